//! Faults while clients send: each shows the clients the views that it must, and every history holds extended virtual synchrony.

use std::time::{Duration, Instant};

use lab::{CgroupWish, Cut, LabConfig, Signal};
use testkit::trial::Failed;

use crate::client::Client;
use crate::cluster::{Bus, NAMES, names};
use crate::history;

/// Time between two messages of one client.
const PACE: Duration = Duration::from_millis(4);

pub(crate) const TRIALS: &[crate::Named] = &[
    ("three_daemons_agree_through_cuts_of_every_kind", cuts),
    ("five_daemons_agree_through_a_partition_and_deaths", partition),
    ("eight_daemons_agree_while_some_freeze_and_one_leaves", freezes),
    ("a_daemon_that_stood_still_for_a_moment_or_for_long_goes_on_with_the_others", stalls),
    ("a_daemon_that_is_killed_and_started_again_in_a_loop_is_let_in_at_last", loop_of_deaths),
    ("machines_that_do_not_hear_each_other_are_in_no_view_together", cliques),
];

/// Clients at all daemons, in one view, at work.
fn begin(n: usize) -> (Bus, Vec<Client>) {
    let bus = Bus::new(n);
    let clients = Client::everywhere(&bus, PACE);
    let all: Vec<usize> = (0..n).collect();
    see(&clients, &all, &all);
    clients.iter().for_each(|client| client.wait_for_messages(50));
    (bus, clients)
}

/// Waits until the clients at daemons `who` see members at exactly `these`.
fn see(clients: &[Client], who: &[usize], these: &[usize]) {
    for &i in who {
        clients[i].wait_for_daemons(&names(these));
    }
}

/// Work goes on for a moment at these clients.
fn work(clients: &[Client], who: &[usize]) {
    who.iter().for_each(|&i| clients[i].wait_for_messages(30));
}

fn end(bus: &Bus, clients: Vec<Client>, dead: Vec<Client>) -> Result<(), Failed> {
    let mut traces = Client::finish(clients);
    traces.extend(Client::finish(dead));
    bus.all_live()?;
    let messages: usize = traces.iter().map(|trace| trace.client.heard.len()).sum();
    println!("{} sessions were told {messages} things", traces.len());
    Ok(history::check(&traces)?)
}

fn cuts() -> Result<(), Failed> {
    let (bus, clients) = begin(3);
    for cut in [Cut::Carrier, Cut::PortMute, Cut::Deaf, Cut::Dumb] {
        let began = Instant::now();
        bus.lab.machine(2).cut(cut)?;
        see(&clients, &[0, 1], &[0, 1]);
        see(&clients, &[2], &[2]);
        let apart = began.elapsed();
        work(&clients, &[0, 1, 2]);
        let began = Instant::now();
        bus.lab.machine(2).heal()?;
        see(&clients, &[0, 1, 2], &[0, 1, 2]);
        println!(
            "{cut:?}: apart after {apart:?}, one again {:?} after it was mended",
            began.elapsed()
        );
        work(&clients, &[0, 1, 2]);
    }
    end(&bus, clients, Vec::new())
}

fn partition() -> Result<(), Failed> {
    let (mut bus, mut clients) = begin(5);
    // Two sides: alpha is alone with beta behind a switch of their own, as far as the others can tell.
    for i in [3, 4] {
        bus.lab.machine(i).cut(Cut::PortMute)?;
    }
    see(&clients, &[0, 1, 2], &[0, 1, 2]);
    see(&clients, &[3], &[3]);
    see(&clients, &[4], &[4]);
    work(&clients, &[0, 1, 2, 3, 4]);
    // One dies while they are apart, and another one as they come together again.
    bus.kill(1);
    see(&clients, &[0, 2], &[0, 2]);
    clients[1].wait_for_end();
    bus.lab.machine(3).heal()?;
    bus.lab.machine(4).heal()?;
    bus.kill(4);
    see(&clients, &[0, 2, 3], &[0, 2, 3]);
    work(&clients, &[0, 2, 3]);
    for i in [1, 4] {
        bus.start(i);
        let new = Client::start(&bus, i, Some(PACE));
        let old = std::mem::replace(&mut clients[i], new);
        clients.push(old);
    }
    let dead = clients.split_off(5);
    see(&clients, &[0, 1, 2, 3, 4], &[0, 1, 2, 3, 4]);
    work(&clients, &[0, 1, 2, 3, 4]);
    end(&bus, clients, dead)
}

fn freezes() -> Result<(), Failed> {
    let (mut bus, mut clients) = begin(8);
    let all: Vec<usize> = (0..8).collect();
    for (frozen, time) in [(3, 200), (0, 1000), (7, 3000)] {
        bus.process(frozen).signal(Signal::STOP)?;
        // The fault itself: how long somebody stands still is what is tried here.
        std::thread::sleep(Duration::from_millis(time));
        bus.process(frozen).signal(Signal::CONT)?;
        work(&clients, &all);
        see(&clients, &all, &all);
    }
    // It is missed while it is away: the others go on.
    bus.process(5).signal(Signal::STOP)?;
    let others = [0, 1, 2, 3, 4, 6, 7];
    see(&clients, &others, &others);
    work(&clients, &others);
    bus.process(5).signal(Signal::CONT)?;
    see(&clients, &all, &all);
    bus.stop(6);
    clients[6].wait_for_end();
    let others = [0, 1, 2, 3, 4, 5, 7];
    see(&clients, &others, &others);
    work(&clients, &others);
    let dead = vec![clients.remove(6)];
    end(&bus, clients, dead)
}

/// By a signal, and by the kernel's freezer as the host of a virtual machine does it. Whoever wakes is in an old view and must deliver
/// nothing in it that the others did not: that the histories hold says so.
fn stalls() -> Result<(), Failed> {
    let groups = LabConfig { cgroups: CgroupWish::IfPossible, ..LabConfig::default() };
    let mut bus = Bus::silent_in(3, groups);
    (0..3).for_each(|i| bus.start(i));
    let clients = Client::everywhere(&bus, PACE);
    let all = [0, 1, 2];
    see(&clients, &all, &all);
    let freezer = bus.lab.machine(0).release().map_err(|why| why.to_string());
    println!("the kernel's freezer: {freezer:?}");
    // The first of a view leads it; the last does not.
    for (at, time) in [200, 1000, 3000, 10_000].into_iter().enumerate() {
        for (kind, i) in [(0, at % 3), (1, (at + 2) % 3)] {
            let signal = kind == 0 || freezer.is_err();
            let machine = bus.lab.machine(i);
            if signal {
                bus.process(i).signal(Signal::STOP)?
            } else {
                machine.hold()?
            }
            // The fault itself: how long somebody stands still is what is tried here.
            std::thread::sleep(Duration::from_millis(time));
            let others: Vec<usize> = all.into_iter().filter(|other| *other != i).collect();
            if time > 1500 {
                see(&clients, &others, &others);
            }
            if signal {
                bus.process(i).signal(Signal::CONT)?
            } else {
                machine.release()?
            }
            let began = Instant::now();
            work(&clients, &others);
            see(&clients, &all, &all);
            println!(
                "{} stood still for {time} ms: one again after {:?}",
                NAMES[i],
                began.elapsed()
            );
            work(&clients, &all);
        }
    }
    end(&bus, clients, Vec::new())
}

fn loop_of_deaths() -> Result<(), Failed> {
    let (mut bus, mut clients) = begin(3);
    let mut dead = Vec::new();
    for _ in 0..5 {
        bus.kill(1);
        clients[1].wait_for_end();
        bus.start(1);
        let new = Client::start(&bus, 1, Some(PACE));
        // It answers its clients alone or with the others, but it does answer them.
        new.wait_for("a view", |last| last.number > 0);
        dead.push(std::mem::replace(&mut clients[1], new));
    }
    see(&clients, &[0, 1, 2], &[0, 1, 2]);
    work(&clients, &[0, 1, 2]);
    end(&bus, clients, dead)
}

/// Alpha and beta do not hear each other, gamma hears both: a view has gamma and one of them, and it stands.
fn cliques() -> Result<(), Failed> {
    let (bus, clients) = begin(3);
    bus.lab.machine(0).cut(Cut::Apart)?;
    bus.lab.machine(1).cut(Cut::Apart)?;
    let pair = clients[2].wait_for("a view of two", |last| last.daemons.len() == 2).daemons;
    let (in_it, outside) = if pair == names(&[0, 2]) { (0, 1) } else { (1, 0) };
    see(&clients, &[in_it, 2], &[in_it, 2]);
    see(&clients, &[outside], &[outside]);
    work(&clients, &[0, 1, 2]);
    let stands = clients[2].last();
    println!("gamma is with {:?}", stands.daemons);
    bus.lab.machine(0).heal()?;
    bus.lab.machine(1).heal()?;
    see(&clients, &[0, 1, 2], &[0, 1, 2]);
    end(&bus, clients, Vec::new())
}

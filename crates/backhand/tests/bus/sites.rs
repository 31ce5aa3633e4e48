//! Two sites, each with a network of its own and a router between them: one view, one copy of a message over the router, another
//! relay when the first dies, and two views while the router passes nothing.

use std::time::Duration;

use lab::LabConfig;
use spread_client::blocking::Connection;
use spread_client::{Event, GroupName, Options, Service};
use testkit::trial::Failed;

use crate::client::{Client, connect};
use crate::cluster::{Bus, NAMES, PORT, names};
use crate::history;
use crate::support::PATIENCE;

pub(crate) const TRIALS: &[crate::Named] = &[
    ("two_sites_of_a_spread_conf_are_one_view_and_a_message_crosses_once", of_a_file),
    ("two_sites_that_machines_name_are_one_view_and_a_message_crosses_once", by_name),
];

/// The site of each machine.
const SITES: [u8; 5] = [0, 0, 1, 1, 1];
const WEST: [usize; 2] = [0, 1];
/// The first of these is the relay: what comes from the west comes to it.
const EAST: [usize; 3] = [2, 3, 4];
const ALL: [usize; 5] = [0, 1, 2, 3, 4];
/// Time between two messages of one client.
const PACE: Duration = Duration::from_millis(8);
/// What is counted while it crosses: so many messages of so many bytes.
const COUNTED: usize = 2000;
const BYTES: usize = 1000;

fn silent() -> Bus {
    Bus::silent_in(5, LabConfig { sites: SITES.to_vec(), ..LabConfig::default() })
}

fn of_a_file() -> Result<(), Failed> {
    let mut bus = silent();
    let segment = |number: u8, these: &[usize]| {
        let line = |i: &usize| format!("  {} {}\n", NAMES[*i], bus.lab.machine(*i).address());
        let lines: String = these.iter().map(line).collect();
        format!("Spread_Segment 239.192.48.{number}:{PORT} {{\n{lines}}}\n")
    };
    let conf = segment(9, &WEST) + &segment(10, &EAST);
    bus.write("sites.conf", &conf);
    let start = |bus: &mut Bus, i: usize| {
        bus.start_with(i, lab::Spawn::new(crate::support::PROGRAM), "sites.conf", "key");
    };
    Ok(history::check(&through(&mut bus, start)?)?)
}

fn by_name() -> Result<(), Failed> {
    let mut bus = silent();
    // One seed at each site leads to all.
    let seeds = [WEST[0], EAST[0], EAST[1]].map(|i| bus.lab.machine(i).address().to_string());
    let start = |bus: &mut Bus, i: usize| {
        let site = if SITES[i] == 0 { "west" } else { "east" };
        bus.start_whole(i, &format!("[bus]\nsite = \"{site}\"\nseeds = {seeds:?}\n"));
    };
    // Nobody listed them, so they are in the order of their names.
    Ok(history::check_ordered(Some(&[]), &through(&mut bus, start)?)?)
}

fn through(bus: &mut Bus, start: impl Fn(&mut Bus, usize)) -> Result<Vec<history::Trace>, Failed> {
    ALL.iter().for_each(|&i| start(bus, i));
    let mut clients = Client::everywhere(bus, PACE);
    let see = |clients: &[Client], who: &[usize], these: &[usize]| {
        who.iter().for_each(|&i| drop(clients[i].wait_for_daemons(&names(these))));
        who.iter().for_each(|&i| clients[i].wait_for_messages(30));
    };
    see(&clients, &ALL, &ALL);
    count(bus)?;

    // The relay of the east dies: the next takes its place, and nobody misses anything.
    bus.kill(EAST[0]);
    clients[EAST[0]].wait_for_end();
    let left: Vec<usize> = ALL.into_iter().filter(|i| *i != EAST[0]).collect();
    see(&clients, &left, &left);
    start(bus, EAST[0]);
    let new = Client::start(bus, EAST[0], Some(PACE));
    let dead = vec![std::mem::replace(&mut clients[EAST[0]], new)];
    see(&clients, &ALL, &ALL);

    let began = std::time::Instant::now();
    bus.lab.part_sites()?;
    see(&clients, &WEST, &WEST);
    see(&clients, &EAST, &EAST);
    let apart = began.elapsed();
    let began = std::time::Instant::now();
    bus.lab.join_sites()?;
    see(&clients, &ALL, &ALL);
    println!("apart after {apart:?}, one again after {:?}", began.elapsed());
    count(bus)?;

    let mut traces = Client::finish(clients);
    traces.extend(Client::finish(dead));
    bus.all_live()?;
    Ok(traces)
}

/// Somebody in the west sends to members in the east: how often each message crosses.
fn count(bus: &Bus) -> Result<(), Failed> {
    let group = GroupName::new(b"counted")?;
    let options = Options::default();
    let mut members: Vec<Connection> = EAST.iter().map(|&i| connect(bus, i, &options)).collect();
    for member in &mut members {
        member.join(&group)?;
    }
    // What is sent before somebody has joined is not for him.
    for member in &mut members {
        while !matches!(member.receive_within(PATIENCE)?,
            Some(Event::Membership(view)) if view.members.iter().count() == EAST.len())
        {}
    }
    let mut sender = connect(bus, WEST[1], &options);
    let (_, before) = bus.lab.crossed(1)?;
    for _ in 0..COUNTED {
        sender.multicast(Service::Agreed, &group, &[7; BYTES])?;
    }
    for member in &mut members {
        let mut left = COUNTED;
        while left > 0 {
            match member.receive_within(PATIENCE)? {
                Some(Event::Regular(message)) => {
                    assert_eq!(message.body.len(), BYTES);
                    left -= 1;
                }
                Some(_) => {}
                None => return Err(format!("{left} messages are missing").into()),
            }
        }
    }
    let (_, after) = bus.lab.crossed(1)?;
    let copies = (after - before) as f64 / (COUNTED * BYTES) as f64;
    println!("{COUNTED} messages of {BYTES} bytes: {copies:.2} times their bytes crossed");
    // Heads, tokens, heartbeats and the clients at work besides are in it; a second copy would make it more than 2.
    if (1.0..1.8).contains(&copies) {
        Ok(())
    } else {
        Err(format!("{copies:.2} times the bytes of the messages crossed").into())
    }
}

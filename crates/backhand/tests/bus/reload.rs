//! Lists and keys that change while daemons run and clients send: no message is lost, and no view changes that need not.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use lab::{Signal, Spawn};
use testkit::trial::Failed;

use crate::client::Client;
use crate::cluster::{Bus, NAMES, count, names};
use crate::history;
use crate::support::{KEY, PROGRAM, until};

pub(crate) const TRIALS: &[crate::Named] = &[
    ("a_daemon_comes_into_the_list_and_goes_out_of_it_by_signals_in_turn", list),
    ("a_list_is_read_again_everywhere_when_one_monitor_asks", monitor),
    ("the_key_changes_in_three_steps_without_a_view_change", key),
];

/// Time between two messages of one client.
const PACE: Duration = Duration::from_millis(4);
/// What a daemon says when it has taken a configuration again.
const TAKEN: &str = "the configuration of the bus was read again";
/// What a daemon says of a view.
const VIEW: &str = "a view is installed";

/// Lets daemon `i` read its files again, and waits until it has.
fn reload(bus: &Bus, i: usize) {
    let before = count(&bus.said(i), &[TAKEN]);
    bus.process(i).signal(Signal::HUP).unwrap();
    until(&format!("{} reads again", NAMES[i]), || {
        (count(&bus.said(i), &[TAKEN]) > before).then_some(())
    });
}

/// How many views each of these daemons had.
fn views(bus: &Bus, who: &[usize]) -> Vec<usize> {
    who.iter().map(|&i| count(&bus.said(i), &[VIEW])).collect()
}

fn all_see(clients: &[Client], these: &[usize]) {
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(these))));
}

fn work(clients: &[Client]) {
    clients.iter().for_each(|client| client.wait_for_messages(100));
}

fn list() -> Result<(), Failed> {
    let mut bus = Bus::silent(4);
    let (old, new, first) = (bus.conf(3), bus.conf(4), [0, 1, 2]);
    bus.write("spread.conf", &old);
    first.iter().for_each(|&i| bus.start(i));
    let mut clients: Vec<Client> =
        first.iter().map(|&i| Client::start(&bus, i, Some(PACE))).collect();
    all_see(&clients, &first);

    bus.write("spread.conf", &new);
    let before = views(&bus, &first);
    for i in first {
        reload(&bus, i);
        work(&clients);
    }
    assert_eq!(views(&bus, &first), before, "a view changed while the list was brought");
    first.iter().for_each(|&i| bus.wait_until_said(i, &["have the same list of daemons"]));
    bus.start(3);
    clients.push(Client::start(&bus, 3, Some(PACE)));
    all_see(&clients, &[0, 1, 2, 3]);
    work(&clients);

    bus.write("spread.conf", &old);
    let before = views(&bus, &[0, 1, 2, 3]);
    for i in [1, 0] {
        reload(&bus, i);
        work(&clients);
    }
    assert_eq!(views(&bus, &[0, 1, 2, 3]), before, "a view changed before the last had the list");
    reload(&bus, 2);
    all_see(&clients[..3], &first);
    clients[3].wait_for_daemons(&names(&[3]));
    bus.wait_until_said(3, &["does not have this daemon", "may own nothing"]);
    let after: Vec<usize> = before[..3].iter().map(|views| views + 1).collect();
    // Clients may know before the log does.
    until("one change of the view takes it out", || (views(&bus, &first) == after).then_some(()));
    bus.stop(3);
    clients[3].wait_for_end();
    let gone = clients.split_off(3);
    work(&clients);
    let mut traces = Client::finish(clients);
    traces.extend(Client::finish(gone));
    bus.all_live()?;
    Ok(history::check(&traces)?)
}

fn monitor() -> Result<(), Failed> {
    let bus = Bus::new(3);
    let clients = Client::everywhere(&bus, PACE);
    all_see(&clients, &[0, 1, 2]);
    let before = views(&bus, &[0, 1, 2]);
    // Another order, and another group to speak to.
    let line = |i: usize| format!("  {} {}\n", NAMES[i], bus.lab.machine(i).address());
    let lines: String = [2, 0, 1].into_iter().map(line).collect();
    bus.write("spread.conf", &format!("Spread_Segment 239.192.48.10:4803 {{\n{lines}}}\n"));
    let words = ["bus", "monitor", "reload", "all"];
    let process = bus.lab.machine(1).spawn(Spawn::new(PROGRAM).args(words).cwd("/"))?;
    assert_eq!(process.wait_timeout(crate::support::PATIENCE), Some(lab::Exit::Code(0)));
    (0..3).for_each(|i| bus.wait_until_said(i, &[TAKEN]));
    (0..3).for_each(|i| assert_eq!(count(&bus.said(i), &["not taken again"]), 0));
    work(&clients);
    assert_eq!(views(&bus, &[0, 1, 2]), before, "a view changed");
    bus.all_live()?;
    // The views of before and after have another order.
    Ok(history::check_ordered(None, &Client::finish(clients))?)
}

fn key() -> Result<(), Failed> {
    let bus = Bus::new(3);
    let clients = Client::everywhere(&bus, PACE);
    all_see(&clients, &[0, 1, 2]);
    let before = views(&bus, &[0, 1, 2]);
    let other = KEY.replace('5', "6");
    let put = |name: &str, key: &str| {
        let path = bus.path(name);
        let fresh = path.with_extension("new");
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        fs::write(&fresh, key)?;
        fs::rename(&fresh, &path)
    };
    let everywhere = || {
        for i in [2, 0, 1] {
            reload(&bus, i);
            work(&clients);
        }
    };
    put("key.previous", &other)?;
    everywhere();
    put("key", &other)?;
    put("key.previous", KEY)?;
    everywhere();
    fs::remove_file(bus.path("key.previous"))?;
    everywhere();
    assert_eq!(views(&bus, &[0, 1, 2]), before, "a view changed");
    for i in 0..3 {
        let said = bus.said(i);
        assert_eq!(count(&said, &["that no key here opens"]), 0, "{said}");
    }
    bus.all_live()?;
    Ok(history::check(&Client::finish(clients))?)
}

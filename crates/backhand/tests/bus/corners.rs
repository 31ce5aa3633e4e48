//! What happens rarely: the largest message, daemons that know only one other, and a daemon that dies again and again.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::{Cut, Spawn};
use spread_client::blocking::Connection;
use spread_client::{Event, GroupName, Options, Outgoing, Service};
use testkit::trial::Failed;

use crate::client::{Client, connect};
use crate::cluster::{Bus, NAMES, PORT, count, names};
use crate::support::{PATIENCE, until};

pub(crate) const TRIALS: &[crate::Named] = &[
    ("the_largest_message_goes_through_every_kind_of_socket", largest),
    ("daemons_whose_only_seed_is_one_and_the_same_find_each_other", one_seed),
    ("a_process_that_dies_again_and_again_is_missed_at_once_each_time", deaths),
];

/// Destinations of the largest message, and what it may have of body and destinations of 32 bytes.
const GROUPS: usize = 100;
const LARGEST: usize = 143_952 - 32 * GROUPS;
/// The connection string of a process that sends the largest message.
const SENDER: &str = "BACKHAND_BUS_LARGEST";

fn group(i: usize) -> GroupName {
    GroupName::new(format!("largest-{i:03}").as_bytes()).unwrap()
}

fn options() -> Options {
    Options { full_size: true, ..Options::default() }
}

fn send(connection: &mut Connection) {
    let groups: Vec<GroupName> = (0..GROUPS).map(group).collect();
    let body: Vec<u8> = (0..LARGEST).map(|i| (i % 251) as u8).collect();
    let service = Service::Safe;
    let message = Outgoing { service, self_discard: false, kind: 3, groups: &groups, body: &body };
    connection.send(&message).unwrap();
}

/// Waits for the message, which comes whole and once.
fn receive(connection: &mut Connection) {
    loop {
        match connection.receive_within(PATIENCE).unwrap() {
            Some(Event::Regular(message)) => {
                assert_eq!(message.groups.len(), GROUPS);
                let whole = message.body.iter().enumerate().all(|(i, b)| *b == (i % 251) as u8);
                assert!(message.body.len() == LARGEST && whole, "{} bytes", message.body.len());
                return;
            }
            Some(_) => {}
            None => panic!("the largest message did not come"),
        }
    }
}

/// Takes over when this process is to be a sender in its machine; otherwise returns at once.
pub(crate) fn send_if_asked() {
    let Ok(endpoint) = std::env::var(SENDER) else { return };
    let mut connection = Connection::connect(&endpoint.parse().unwrap(), &options()).unwrap();
    connection.join(&group(GROUPS - 1)).unwrap();
    send(&mut connection);
    receive(&mut connection);
    std::process::exit(0);
}

fn largest() -> Result<(), Failed> {
    let bus = Bus::new(2);
    let watchers = [0, 1].map(|i| Client::start(&bus, i, None));
    watchers.iter().for_each(|watcher| drop(watcher.wait_for_daemons(&names(&[0, 1]))));
    // One at each end of the list of groups, so that each gets it once.
    let mut near = connect(&bus, 0, &options());
    let mut far = connect(&bus, 1, &options());
    for (at, connection) in [&mut near, &mut far].into_iter().enumerate() {
        connection.join(&group(at * 50))?;
        let joined = connection.receive_within(PATIENCE)?;
        assert!(matches!(joined, Some(Event::Membership(_))), "{joined:?}");
    }
    // By the Unix socket, and over TCP from another machine than the daemon's.
    send(&mut near);
    receive(&mut near);
    receive(&mut far);
    let endpoint = format!("{PORT}@{}", bus.lab.machine(0).address());
    let sender = Spawn::myself().env(SENDER, &endpoint).cwd("/");
    let process = bus.lab.machine(1).spawn(sender)?;
    receive(&mut near);
    receive(&mut far);
    assert_eq!(process.wait_timeout(PATIENCE), Some(lab::Exit::Code(0)));
    Ok(bus.all_live()?)
}

fn one_seed() -> Result<(), Failed> {
    let mut bus = Bus::silent(3);
    let seed = bus.lab.machine(0).address();
    for (i, name) in NAMES.into_iter().enumerate().take(3) {
        bus.lab.machine(i).cut(Cut::Multicast)?;
        let folder = bus.path("").display().to_string();
        let seeds = if i == 0 { String::new() } else { format!("seeds = [\"{seed}\"]\n") };
        let text = format!(
            "[cluster]\nname = \"{name}\"\nkey_file = \"{folder}/key\"\nstate_dir = \"{folder}/{name}\"\n\
             [http]\nlisten = [\"127.0.0.1:8080\"]\nworkers = 1\n\
             [bus]\nsocket = \"/tmp/{PORT}\"\nsegment = \"none\"\n{seeds}"
        );
        let file = bus.write(&format!("{name}.toml"), &text);
        bus.run(i, &["run".as_ref(), "--config".as_ref(), file.as_os_str()]);
    }
    let clients = [0, 1, 2].map(|i| Client::start(&bus, i, None));
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1, 2]))));
    // The two that do not know each other are in one view without the one they know, too.
    bus.kill(0);
    clients[1..].iter().for_each(|client| drop(client.wait_for_daemons(&names(&[1, 2]))));
    Ok(bus.all_live()?)
}

/// The network says at once that nobody is there, also of the second and third life.
fn deaths() -> Result<(), Failed> {
    let mut bus = Bus::new(3);
    let clients = [0, 1].map(|i| Client::start(&bus, i, None));
    let gone = |bus: &Bus| -> usize {
        let said = [0, 1].map(|i| bus.said(i));
        said.iter().map(|said| count(said, &["nobody is at the address of gamma any more"])).sum()
    };
    for time in 1..=3 {
        let third = Client::start(&bus, 2, None);
        let all: BTreeSet<String> = names(&[0, 1, 2]);
        clients.iter().for_each(|client| drop(client.wait_for_daemons(&all)));
        let before = gone(&bus);
        bus.kill(2);
        clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1]))));
        until("why is said", || (gone(&bus) > before).then_some(()));
        third.wait_for_end();
        println!("death {time} was seen");
        // Deaths a moment apart might be seen by what is left of the first.
        std::thread::sleep(Duration::from_secs(if time < 3 { 3 } else { 0 }));
        bus.start(2);
    }
    Ok(bus.all_live()?)
}

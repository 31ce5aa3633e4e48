//! What a message costs the network: as much for many who hear it as for one.

use std::fs;
use std::thread::JoinHandle;

use spread_client::blocking::Connection;
use spread_client::{Event, GroupName, Options, Service};
use testkit::trial::Failed;

use crate::client::connect;
use crate::cluster::{Bus, names};

pub(crate) const TRIALS: &[crate::Named] =
    &[("a_message_for_many_costs_the_network_what_one_for_a_single_subscriber_costs", many)];

/// Messages of a measurement.
const MESSAGES: usize = 2_000;
/// Bytes of each.
const SIZE: usize = 1_000;
/// Daemons; the publisher is at the first.
const DAEMONS: usize = 5;
/// Subscribers of the second measurement at each of the other daemons.
const CROWD: usize = 6;

/// What the machine of daemon `i` has sent through its cable, in bytes.
fn sent(bus: &Bus, i: usize) -> u64 {
    let path = format!("/proc/{}/net/dev", bus.process(i).pid());
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:")).unwrap();
    // Eight columns of what was received, then the bytes sent.
    line.split_whitespace().nth(8).unwrap().parse().unwrap()
}

/// A subscriber at daemon `i`, which has been told of its own join.
fn subscribe(bus: &Bus, i: usize, group: &GroupName) -> Connection {
    let options = Options::named(&format!("s{}", bus.session())).unwrap();
    let mut connection = connect(bus, i, &options);
    connection.join(group).unwrap();
    while !matches!(connection.receive().unwrap(), Event::Membership(_)) {}
    connection
}

/// Reads until all messages of one measurement came.
fn hear(mut connection: Connection) -> JoinHandle<Connection> {
    std::thread::spawn(move || {
        let mut count = 0;
        while count < MESSAGES {
            if let Event::Regular(message) = connection.receive().unwrap() {
                assert_eq!(message.body.len(), SIZE);
                count += 1;
            }
        }
        connection
    })
}

/// Publishes, and waits until everybody has everything; what the publisher's machine sent meanwhile.
fn publish(bus: &Bus, group: &GroupName, subscribers: Vec<Connection>) -> (u64, Vec<Connection>) {
    let mut publisher = connect(bus, 0, &Options::default());
    let hearing: Vec<_> = subscribers.into_iter().map(hear).collect();
    let before = sent(bus, 0);
    for _ in 0..MESSAGES {
        publisher.multicast(Service::Agreed, group, &[7; SIZE]).unwrap();
    }
    let subscribers = hearing.into_iter().map(|thread| thread.join().unwrap()).collect();
    (sent(bus, 0) - before, subscribers)
}

fn many() -> Result<(), Failed> {
    let bus = Bus::new(DAEMONS);
    let all: Vec<usize> = (0..DAEMONS).collect();
    let watchers: Vec<_> =
        all.iter().map(|&i| crate::client::Client::start(&bus, i, None)).collect();
    watchers.iter().for_each(|client| drop(client.wait_for_daemons(&names(&all))));
    let group = GroupName::new(b"news").unwrap();
    let one = vec![subscribe(&bus, 1, &group)];
    let (for_one, mut subscribers) = publish(&bus, &group, one);
    for i in 1..DAEMONS {
        let missing = CROWD - usize::from(i == 1);
        subscribers.extend((0..missing).map(|_| subscribe(&bus, i, &group)));
    }
    assert_eq!(subscribers.len(), CROWD * (DAEMONS - 1));
    let (for_many, _) = publish(&bus, &group, subscribers);
    let payload = (MESSAGES * SIZE) as u64;
    eprintln!("{payload} bytes published: {for_one} sent for one subscriber, {for_many} for 24");
    // Everything was sent at all: the subscribers are on other machines.
    assert!(for_one >= payload && for_many >= payload, "{for_one} and {for_many} of {payload}");
    // Signs of life and the token are in it, and what was sent again.
    assert!(for_many < for_one + payload / 2, "{for_one} for one, {for_many} for many");
    Ok(bus.all_live()?)
}

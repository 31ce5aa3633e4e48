//! Members of the group that are no machines of the cluster: many of them, and such as say what nobody can read.

mod support;

use std::time::Duration;

use support::{Cluster, singles};
use vip::{Event, MESSAGE_TYPE, View, ViewId};

/// Two machines that share two sets.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(2, &singles(2));
    cluster.together();
    cluster.pass(Duration::from_secs(6));
    assert_eq!(cluster.counts(), [1, 1]);
    cluster
}

/// A view in which the first machine is the first member, and the second one that with this index.
fn crowd(cluster: &mut Cluster, second: usize, members: usize) {
    let [first, last] = [0, 1].map(|at| cluster.nodes[at].name.clone());
    let mut names: Vec<String> = (0..members).map(|at| format!("#c{at}#m1")).collect();
    names[0] = first;
    names[second] = last;
    let now = cluster.now;
    for (at, me) in [0, second].into_iter().enumerate() {
        let view = View { id: ViewId([members as u8; 12]), members: names.clone(), me };
        cluster.nodes[at].vip.handle_view(now, view);
    }
}

fn told(cluster: &Cluster, at: usize, wanted: &Event) -> bool {
    cluster.nodes[at].events.contains(wanted)
}

#[test]
fn of_a_crowd_the_first_count_and_a_machine_behind_them_lets_go() {
    let mut cluster = cluster();
    crowd(&mut cluster, 1_024, 1_500);
    // What the second says is not for the first any more.
    cluster.parts = vec![vec![0], vec![1]];
    cluster.run();
    assert!(told(&cluster, 0, &Event::Crowded { members: 1_500, left_out: false }));
    assert!(told(&cluster, 1, &Event::Crowded { members: 1_500, left_out: true }));
    assert_eq!(cluster.counts(), [1, 0]);
    cluster.pass(Duration::from_secs(6));
    assert_eq!(cluster.counts(), [2, 0]);
    // It is a machine like any other that comes when they have gone.
    cluster.parts.clear();
    cluster.together();
    cluster.pass(Duration::from_secs(30));
    assert_eq!(cluster.counts(), [1, 1]);
    cluster.sound();
}

#[test]
fn a_crowd_behind_all_machines_costs_nobody_anything() {
    let mut cluster = cluster();
    crowd(&mut cluster, 1, 1_500);
    cluster.run();
    cluster.pass(Duration::from_secs(6));
    assert_eq!(cluster.counts(), [1, 1]);
    for at in 0..2 {
        assert!(told(&cluster, at, &Event::Crowded { members: 1_500, left_out: false }));
    }
    cluster.sound();
}

#[test]
fn a_word_that_cannot_be_read_is_told_of_and_changes_nothing() {
    let mut cluster = cluster();
    let (now, from) = (cluster.now, cluster.nodes[1].name.clone());
    for body in [&b""[..], b"BHV", b"hello, I am somebody else"] {
        cluster.nodes[0].events.clear();
        cluster.nodes[0].vip.handle_message(now, &from, MESSAGE_TYPE, body);
        cluster.run();
        let is =
            |event: &Event| matches!(event, Event::Unreadable { member, .. } if *member == from);
        assert!(cluster.nodes[0].events.iter().any(is), "{:?}", cluster.nodes[0].events);
    }
    assert_eq!(cluster.counts(), [1, 1]);
    cluster.sound();
}

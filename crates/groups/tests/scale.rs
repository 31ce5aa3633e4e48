//! Ten thousand groups of ten members meet again after a partition. Asserted are counts, not times; see the crate's
//! documentation for what was measured.
#![allow(clippy::unwrap_used)]

mod support;

use base::Random;
use groups::limits::MEMBERSHIPS_PER_SESSION;
use ring::{Event, Service};
use spread_wire::ClientMessage;
use support::{Net, group};

const GROUPS: usize = 10_000;
const MEMBERS: usize = 10;
const DAEMONS: usize = 4;
/// Sessions at each daemon.
const SESSIONS: usize = 250;

/// Four daemons with a thousand sessions, of which ten are in each group, in every view of all.
fn full(wants_membership: bool) -> Net {
    let mut net = Net::new(&["alpha", "beta", "delta", "gamma"]);
    net.compares = false;
    net.heal();
    for node in 0..DAEMONS {
        for session in 0..SESSIONS {
            net.connect(node, &format!("s{session}"), wants_membership && session % 10 == 0);
        }
    }
    for number in 0..GROUPS {
        for member in 0..MEMBERS {
            let at = number * 7 + member * 101;
            let (node, name) = (at % DAEMONS, format!("s{}", at / DAEMONS % SESSIONS));
            let session = net.sessions[&(node, name)];
            net.join(node, session, &format!("group-{number:05}"));
        }
        if number % 100 == 0 {
            net.settle();
        }
    }
    net.settle();
    net.nodes.iter_mut().for_each(|node| node.inbox.clear());
    net
}

#[test]
fn ten_thousand_groups_of_ten_meet_again() {
    let mut net = full(true);
    for node in &net.nodes {
        assert_eq!(node.groups.group_count(), GROUPS);
    }
    net.change(&[0, 0, 1, 1], &mut Random::new(1));
    net.settle();
    net.nodes.iter_mut().for_each(|node| node.inbox.clear());

    net.change(&[0, 0, 0, 0], &mut Random::new(1));
    let mut parts = Vec::new();
    for node in 0..DAEMONS {
        while let Some(part) = net.nodes[node].groups.poll_submission() {
            parts.push((node, part.message));
        }
    }
    let bytes: usize = parts.iter().map(|(_, part)| part.len()).sum();
    assert!(parts.iter().all(|(node, part)| *node % 2 == 0 && part.len() <= 100_000));
    assert!((4..=6).contains(&parts.len()), "{} parts", parts.len());
    assert!(bytes < 500_000, "{bytes} bytes");
    for (sender, part) in parts {
        for node in 0..DAEMONS {
            let event =
                Event::Delivered { sender, service: Service::Agreed, message: part.clone() };
            net.event(node, &event);
        }
    }
    let digest = net.nodes[0].groups.state_digest();
    let mut notices = 0;
    for node in &net.nodes {
        assert!(node.groups.is_settled());
        assert_eq!(node.groups.state_digest(), digest);
        assert_eq!(node.groups.group_count(), GROUPS);
        let members: usize = node.groups.groups().map(|group| group.members.len()).sum();
        assert_eq!(members, GROUPS * MEMBERS);
        notices += node.inbox.values().map(Vec::len).sum::<usize>();
    }
    // A tenth of the sessions want to know; each gets one notice for each of its groups.
    assert_eq!(notices, GROUPS * MEMBERS / 10);
}

#[test]
fn ten_thousand_sessions_die_at_once() {
    let mut net = Net::new(&["alpha"]);
    net.compares = false;
    net.heal();
    for number in 0..10_000 {
        let session = net.connect(0, &format!("s{number}"), number % 1000 == 0);
        net.join(0, session, &format!("group-{}", number % 2000));
        net.join(0, session, &format!("other-{}", number % 3001));
        net.settle();
    }
    assert_eq!(net.nodes[0].groups.session_count(), 10_000);
    assert_eq!(net.nodes[0].groups.group_count(), 5_001);
    for session in net.sessions.values().copied().collect::<Vec<_>>() {
        net.nodes[0].groups.disconnect(session, groups::Departure::Lost);
    }
    assert!(net.nodes[0].groups.is_paused());
    net.settle();
    assert_eq!(net.nodes[0].groups.session_count(), 0);
    assert_eq!(net.nodes[0].groups.group_count(), 0);
}

#[test]
fn one_session_may_be_in_very_many_groups() {
    let mut net = Net::new(&["alpha"]);
    net.compares = false;
    net.heal();
    let ann = net.connect(0, "ann", false);
    for number in 0..MEMBERSHIPS_PER_SESSION {
        net.join(0, ann, &format!("group-{number}"));
        net.settle();
    }
    assert_eq!(net.nodes[0].groups.group_count(), MEMBERSHIPS_PER_SESSION);
    net.say(0, ann, ClientMessage::Kill);
    net.settle();
    assert_eq!(net.nodes[0].groups.group_count(), 0);
    assert_eq!(net.nodes[0].groups.group(&group("group-1")), None);
}

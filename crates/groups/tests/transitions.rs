//! What members are told while some are lost and the next view is not complete (`spread-semantics.md`, 3).
#![allow(clippy::unwrap_used)]

mod support;

use base::Random;
use bytes::Bytes;
use groups::SessionId;
use ring::{Event, Service};
use spread_wire::client::Event as Told;
use spread_wire::{Cause, ClientMessage, GroupName, Membership, ServiceType};
use support::{Net, group, multicast};

/// Three daemons with one member of `net` each, and everything said about that taken away.
fn three() -> (Net, [SessionId; 3]) {
    let mut net = Net::new(&["alpha", "beta", "gamma"]);
    net.heal();
    let sessions = [(0, "ann"), (1, "ben"), (2, "cat")].map(|(node, name)| {
        let session = net.connect(node, name, true);
        net.join(node, session, "net");
        session
    });
    net.settle();
    sessions.iter().zip(0..).for_each(|(session, node)| _ = net.inbox(node, *session));
    (net, sessions)
}

/// These go on together; everybody else is lost to them.
fn transitional(net: &mut Net, together: &[usize]) {
    let daemons = together.iter().map(|node| net.nodes[*node].daemon).collect::<Vec<_>>();
    for node in together {
        net.event(*node, &Event::Transitional { together: daemons.clone().into() });
    }
}

/// What a daemon's session said reaches `to`, as message of the present view.
fn deliver(net: &mut Net, message: &(usize, Bytes), to: &[usize]) {
    let (sender, message) = message.clone();
    let event = Event::Delivered { sender, service: Service::Agreed, message };
    to.iter().for_each(|node| net.event(*node, &event));
}

/// A message of a daemon's session, taken from it.
fn said(net: &mut Net, node: usize, session: SessionId, message: ClientMessage) -> (usize, Bytes) {
    net.say(node, session, message);
    (node, net.nodes[node].groups.poll_submission().unwrap().message)
}

fn names(names: &spread_wire::Names) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn sets(view: &Membership) -> Vec<Vec<String>> {
    view.sets.iter().map(|set| names(&set)).collect()
}

fn network(told: &Told) -> &Membership {
    match told {
        Told::Membership(view) if view.cause == Cause::Network => view,
        other => panic!("not a change by the network: {other:?}"),
    }
}

fn is_transition(told: &Told, name: GroupName) -> bool {
    matches!(told, Told::Transitional(signal) if signal.group == name)
}

#[test]
fn a_join_while_members_are_lost_is_a_change_by_the_network() {
    let (mut net, [ann, ben, _]) = three();
    let abe = net.connect(0, "abe", true);
    let join = said(&mut net, 0, abe, ClientMessage::Join(group("net")));
    transitional(&mut net, &[0, 1]);
    let [signal] = &net.told(1, ben)[..] else { panic!() };
    assert!(is_transition(signal, group("net")));
    deliver(&mut net, &join, &[0, 1]);

    let told = net.told(1, ben);
    let view = network(&told[0]);
    let all = ["#abe#alpha", "#ann#alpha", "#ben#beta", "#cat#gamma"];
    assert_eq!(names(&view.members), all);
    // Those who go on together, those at each lost daemon, and the new one alone and last.
    assert_eq!(
        sets(view),
        [vec!["#ann#alpha", "#ben#beta"], vec!["#cat#gamma"], vec!["#abe#alpha"]]
    );
    assert_eq!(view.own, Some(0));
    let Told::Transitional(again) = &told[1] else { panic!() };
    assert_eq!((again.id, told.len()), (view.id, 2));

    let own = net.told(0, abe);
    assert_eq!((network(&own[0]).own, &own[1]), (Some(2), &told[1]));
    let others = net.told(0, ann);
    assert_eq!(others[1..], told[..], "after the first signal");

    // The view ends the transition for all.
    net.change(&[0, 0, 1], &mut Random::new(1));
    let told = net.told(1, ben);
    let view = network(&told[0]);
    assert_eq!((told.len(), view.id.index, sets(view).len()), (1, 1, 1));
    assert_eq!(names(&view.members), ["#abe#alpha", "#ann#alpha", "#ben#beta"]);
}

#[test]
fn a_leave_and_an_end_while_members_are_lost_are_changes_by_the_network() {
    let (mut net, [ann, ben, _]) = three();
    let abe = net.connect(0, "abe", true);
    net.join(0, abe, "net");
    net.settle();
    let leave = said(&mut net, 0, ann, ClientMessage::Leave(group("net")));
    let end = said(&mut net, 0, abe, ClientMessage::Kill);
    transitional(&mut net, &[0, 1]);
    net.inbox(0, ann);
    net.inbox(1, ben);
    for message in [leave, end] {
        deliver(&mut net, &message, &[0, 1]);
    }
    assert_eq!(net.told(0, ann), [Told::SelfLeave(group("net"))]);
    let told = net.told(1, ben);
    assert_eq!(sets(network(&told[0])), [vec!["#abe#alpha", "#ben#beta"], vec!["#cat#gamma"]]);
    assert!(is_transition(&told[1], group("net")));
    assert_eq!(sets(network(&told[2])), [vec!["#ben#beta"], vec!["#cat#gamma"]]);
    assert!(is_transition(&told[3], group("net")));
    assert_eq!(told.len(), 4);
}

#[test]
fn a_join_from_a_lost_daemon_puts_the_group_in_transition() {
    let (mut net, [_, ben, cat]) = three();
    net.join(1, ben, "room");
    net.settle();
    net.inbox(1, ben);
    let join = said(&mut net, 2, cat, ClientMessage::Join(group("room")));
    transitional(&mut net, &[0, 1]);
    deliver(&mut net, &join, &[0, 1]);
    let told = net.told(1, ben);
    assert!(is_transition(&told[0], group("net")), "room has nobody lost yet");
    assert_eq!(sets(network(&told[1])), [vec!["#ben#beta"], vec!["#cat#gamma"]]);
    assert!(is_transition(&told[2], group("room")));
    net.change(&[0, 0, 1], &mut Random::new(1));
    let told = net.told(1, ben);
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|told| names(&network(told).members).last().unwrap() == "#ben#beta"));
}

#[test]
fn groups_that_lost_nobody_go_on_as_always() {
    let (mut net, [ann, ben, _]) = three();
    net.join(0, ann, "room");
    net.settle();
    net.inbox(0, ann);
    let join = said(&mut net, 1, ben, ClientMessage::Join(group("room")));
    let leave = said(&mut net, 0, ann, ClientMessage::Leave(group("room")));
    transitional(&mut net, &[0, 1]);
    net.inbox(0, ann);
    net.inbox(1, ben);
    deliver(&mut net, &join, &[0, 1]);
    deliver(&mut net, &leave, &[0, 1]);
    let told = net.told(1, ben);
    let [Told::Membership(joined), Told::Membership(left)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((joined.cause, joined.id.index), (Cause::Join, 2));
    assert_eq!((left.cause, left.id.index), (Cause::Leave, 3));
    net.change(&[0, 0, 1], &mut Random::new(1));
    assert_eq!(net.told(1, ben).len(), 1, "only net has changed");
    let id = net.nodes[1].groups.group(&group("room")).unwrap().id;
    assert_eq!(id, left.id);
}

#[test]
fn the_two_parts_of_a_network_never_use_the_same_id() {
    let (mut net, [ann, _, cat]) = three();
    let mut joins = Vec::new();
    for (node, name) in [(0, "abe"), (2, "cut")] {
        let session = net.connect(node, name, true);
        for room in ["net", "new"] {
            joins.push((node, said(&mut net, node, session, ClientMessage::Join(group(room)))));
        }
    }
    let before = net.nodes[0].groups.group(&group("net")).unwrap().id;
    // One that only gamma hears of while all are still together.
    let early = net.connect(2, "early", true);
    let early = said(&mut net, 2, early, ClientMessage::Join(group("new")));
    deliver(&mut net, &early, &[2]);
    let first = net.nodes[2].groups.group(&group("new")).unwrap().id;
    transitional(&mut net, &[0, 1]);
    transitional(&mut net, &[2]);
    let mut ids = vec![(group("net"), before), (group("new"), first)];
    for (node, message) in &joins {
        deliver(&mut net, message, &[*node]);
    }
    for node in [0, 2] {
        ids.extend(net.nodes[node].groups.groups().map(|view| (view.name, view.id)));
    }
    for (node, session) in [(0, ann), (2, cat)] {
        ids.extend(net.told(node, session).iter().filter_map(|told| match told {
            Told::Membership(view) => Some((view.group, view.id)),
            _ => None,
        }));
    }
    ids.sort_unstable();
    ids.dedup();
    // Of net one before and one on each side; of new, two at gamma's and one at alpha's.
    assert_eq!(ids.len(), 6, "{ids:?}");
}

/// Found by the simulator: alpha counted on from beta's join while beta, which alpha had lost, did so in its own way.
#[test]
fn a_join_from_a_lost_daemon_begins_an_id_of_this_part() {
    let mut net = Net::new(&["alpha", "beta"]);
    net.heal();
    let [ann, abe, ben, bob] = [(0, "ann"), (0, "abe"), (1, "ben"), (1, "bob")]
        .map(|(node, name)| net.connect(node, name, true));
    net.join(0, ann, "net");
    net.settle();
    net.inbox(0, ann);
    let joins = [(1, ben), (1, bob), (0, abe)]
        .map(|(node, who)| said(&mut net, node, who, ClientMessage::Join(group("net"))));
    // Beta has both of its own before the end of the view, alpha the first and after it.
    joins[..2].iter().for_each(|join| deliver(&mut net, join, &[1]));
    transitional(&mut net, &[0]);
    [0, 2].iter().for_each(|join| deliver(&mut net, &joins[*join], &[0]));
    let views = |told: Vec<Told>| {
        let views = told.into_iter().filter_map(|told| match told {
            Told::Membership(view) => Some((view.id, names(&view.members))),
            _ => None,
        });
        views.collect::<Vec<_>>()
    };
    let (alphas, betas) = (views(net.told(0, ann)), views(net.told(1, ben)));
    assert_eq!((alphas.len(), betas.len()), (2, 2));
    for (id, members) in &alphas {
        assert!(
            betas.iter().all(|(other, same)| id != other || members == same),
            "{alphas:?} {betas:?}"
        );
    }
}

/// Found by the simulator: gamma has alpha's word that it comes along, but alpha loses gamma as well and goes on alone.
#[test]
fn a_daemon_that_goes_on_alone_never_uses_the_ids_of_those_who_count_on_it() {
    let (mut net, [ann, ben, cat]) = three();
    let leave = said(&mut net, 1, ben, ClientMessage::Leave(group("net")));
    let (alpha, gamma) = (net.nodes[0].daemon, net.nodes[2].daemon);
    for (node, together) in [(0, vec![alpha]), (2, vec![alpha, gamma])] {
        net.event(node, &Event::Transitional { together: together.into() });
        deliver(&mut net, &leave, &[node]);
    }
    let (alone, counting) = (net.told(0, ann), net.told(2, cat));
    let (one, other) = (network(&alone[1]), network(&counting[1]));
    assert_eq!((&one.members, sets(one).len(), sets(other).len()), (&other.members, 2, 1));
    assert_ne!(one.id, other.id, "the sets are others");
}

#[test]
fn a_loss_during_the_exchange_is_signalled_only_to_who_gets_something_after_it() {
    for followed in [false, true] {
        let (mut net, [ann, ben, cat]) = three();
        net.change(&[0, 0, 1], &mut Random::new(1));
        net.settle();
        // All meet; beta's words are under way when alpha and beta lose each other before the exchange is over.
        let talk = multicast(ServiceType::AGREED_MESS, &["net"], "late");
        let talk = said(&mut net, 1, ben, talk);
        net.change(&[0, 0, 0], &mut Random::new(1));
        for (session, node) in [ann, ben, cat].into_iter().zip(0..) {
            net.inbox(node, session);
        }
        transitional(&mut net, &[1]);
        if followed {
            deliver(&mut net, &talk, &[1]);
        }
        net.change(&[0, 1, 0], &mut Random::new(1));
        net.settle();
        let told = net.told(1, ben);
        let view = network(told.last().unwrap());
        assert_eq!(names(&view.members), ["#ben#beta"]);
        if followed {
            assert!(is_transition(&told[0], group("net")));
            assert!(matches!(&told[1], Told::Regular(talk) if &talk.body[..] == b"late"));
            assert_eq!(told.len(), 3);
        } else {
            assert_eq!(told.len(), 1, "one word about both changes");
        }
        let told = net.told(0, ann);
        assert_eq!(names(&network(told.last().unwrap()).members), ["#ann#alpha", "#cat#gamma"]);
    }
}

/// Found by the simulator: the second exchange that was cut off had something to tell, in a view that had lost a member in
/// the first one without a word.
#[test]
fn a_loss_without_a_word_is_signalled_when_something_comes_after_all() {
    let (mut net, [_, ben, _]) = three();
    net.change(&[0, 0, 1], &mut Random::new(1));
    net.settle();
    let (_, talk) = said(&mut net, 1, ben, multicast(ServiceType::SAFE_MESS, &["net"], "late"));
    net.change(&[0, 0, 0], &mut Random::new(1));
    let before = network(net.told(1, ben).last().unwrap()).id;
    net.change(&[0, 1, 1], &mut Random::new(1));
    assert_eq!(net.told(1, ben), [], "alpha is lost, and nothing comes after it");
    deliver(&mut net, &(0, talk), &[1]);
    net.change(&[0, 1, 2], &mut Random::new(1));
    let told = net.told(1, ben);
    let Told::Transitional(signal) = &told[0] else { panic!("{told:?}") };
    assert_eq!((signal.group, signal.id), (group("net"), before));
    assert!(matches!(&told[1], Told::Regular(talk) if &talk.body[..] == b"late"));
    assert_eq!(names(&network(&told[2]).members), ["#ben#beta"]);
    assert_eq!(told.len(), 3);
}

#[test]
fn a_further_loss_is_not_signalled_twice() {
    let mut net = Net::new(&["alpha", "beta", "delta", "gamma"]);
    net.change(&[0, 0, 0, 1], &mut Random::new(1));
    for (node, name) in [(0, "ann"), (1, "ben"), (2, "dan")] {
        let session = net.connect(node, name, true);
        net.join(node, session, "net");
    }
    net.settle();
    let ann = net.sessions[&(0, "ann".to_owned())];
    let talk = said(&mut net, 0, ann, multicast(ServiceType::SAFE_MESS, &["net"], "late"));
    net.inbox(0, ann);
    // Delta is lost and gamma comes; before that exchange is over, beta is lost as well.
    net.change(&[0, 0, 1, 0], &mut Random::new(1));
    assert!(is_transition(&net.told(0, ann)[0], group("net")));
    transitional(&mut net, &[0, 3]);
    deliver(&mut net, &talk, &[0, 3]);
    net.change(&[0, 1, 2, 0], &mut Random::new(1));
    net.settle();
    let told = net.told(0, ann);
    assert!(matches!(&told[0], Told::Regular(talk) if &talk.body[..] == b"late"), "{told:?}");
    assert_eq!(names(&network(&told[1]).members), ["#ann#alpha"]);
    assert_eq!(told.len(), 2);
}

#[test]
fn members_follow_a_new_order_of_the_daemons() {
    let (mut net, [ann, ben, cat]) = three();
    let old = net.rings[0].view.clone();
    let mut members = old.members.to_vec();
    members.reverse();
    let previous = vec![old.id; 3].into();
    let id = ring::RingId { counter: 9, founder: 9 };
    let view = ring::View { id, members: members.into(), previous, time: 9 };
    transitional(&mut net, &[0, 1, 2]);
    for node in 0..3 {
        net.event(node, &Event::Installed(view.clone()));
    }
    let leave = said(&mut net, 1, ben, ClientMessage::Leave(group("net")));
    deliver(&mut net, &leave, &[0, 1, 2]);
    let told = [net.told(0, ann), net.told(2, cat)];
    assert_eq!(told[0], told[1]);
    let [Told::Membership(left)] = &told[0][..] else { panic!("{told:?}") };
    assert_eq!(names(&left.members), ["#cat#gamma", "#ann#alpha"]);
}

#[test]
fn an_exchange_that_ends_after_its_view_still_counts() {
    let (mut net, [ann, _, cat]) = three();
    net.change(&[0, 0, 1], &mut Random::new(1));
    net.settle();
    net.inbox(0, ann);
    net.inbox(2, cat);
    net.change(&[0, 0, 0], &mut Random::new(1));
    let parts: Vec<(usize, Bytes)> = [0, 2]
        .into_iter()
        .map(|node| (node, net.nodes[node].groups.poll_submission().unwrap().message))
        .collect();
    deliver(&mut net, &parts[0], &[0, 1]);
    transitional(&mut net, &[0, 1]);
    assert_eq!(net.told(0, ann), []);
    deliver(&mut net, &parts[1], &[0, 1]);
    let told = net.told(0, ann);
    assert_eq!(names(&network(&told[0]).members), ["#ann#alpha", "#ben#beta", "#cat#gamma"]);
    assert!(is_transition(&told[1], group("net")), "and cat is lost again");
    assert_eq!(told.len(), 2);
}

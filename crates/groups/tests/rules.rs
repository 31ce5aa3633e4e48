//! Delivery, names and limits as clients see them (`spread-client-protocol.md`, 2.5, 3.7 and 3.11).
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use groups::limits::MEMBERSHIPS_PER_SESSION;
use groups::{Departure, Groups, Limits, Output, Refusal};
use ring::{Event, Service};
use spread_wire::client::Event as Told;
use spread_wire::limits::LOCAL_MEMBERS_MAX;
use spread_wire::{Cause, ClientMessage, ServiceType};
use support::{Net, daemon, group, multicast, private};

const AGREED: ServiceType = ServiceType::AGREED_MESS;

/// One daemon and one session in it, which is in no group.
fn alone() -> (Net, groups::SessionId) {
    let mut net = Net::new(&["alpha"]);
    net.heal();
    let ann = net.connect(0, "ann", true);
    (net, ann)
}

fn causes(told: &[Told]) -> Vec<(String, Cause, i32)> {
    let views = told.iter().filter_map(|told| match told {
        Told::Membership(view) => Some((view.group.to_string(), view.cause, view.id.index)),
        _ => None,
    });
    views.collect()
}

#[test]
fn what_is_for_nobody_vanishes() {
    let (mut net, ann) = alone();
    let none: [&[&str]; 6] =
        [&[], &["nobody"], &["#ben#alpha"], &["#ann#beta"], &["#ann"], &["##alpha", "#a#b#c"]];
    for to in none {
        net.say(0, ann, multicast(AGREED, to, "lost"));
    }
    net.settle();
    assert_eq!(net.told(0, ann), []);
    assert_eq!(net.nodes[0].groups.counters().malformed, 0);
}

#[test]
fn a_hundred_destinations_are_one_copy() {
    let (mut net, ann) = alone();
    let rooms: Vec<String> = (0..100).map(|number| format!("room{number}")).collect();
    for room in &rooms {
        net.join(0, ann, room);
    }
    net.settle();
    net.inbox(0, ann);
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    net.say(0, ann, multicast(AGREED, &rooms, "all"));
    net.settle();
    let told = net.told(0, ann);
    let [Told::Regular(message)] = &told[..] else { panic!("{} copies", told.len()) };
    assert_eq!(message.groups.len(), 100);
}

#[test]
fn who_discards_its_own_is_skipped_but_not_its_neighbours() {
    let (mut net, ann) = alone();
    let ben = net.connect(0, "ben", false);
    net.join(0, ann, "room");
    net.join(0, ben, "room");
    net.settle();
    net.inbox(0, ann);
    let discard = AGREED | ServiceType::SELF_DISCARD;
    net.say(0, ann, multicast(discard, &["room", "#ann#alpha"], "hello"));
    net.settle();
    assert_eq!(net.told(0, ann), []);
    assert_eq!(net.told(0, ben).len(), 1);
}

#[test]
fn only_the_sender_itself_discards_not_one_of_the_same_name_elsewhere() {
    let mut net = Net::new(&["alpha", "beta"]);
    net.heal();
    let here = net.connect(0, "ann", false);
    let there = net.connect(1, "ann", false);
    net.join(0, here, "room");
    net.join(1, there, "room");
    net.settle();
    net.say(0, here, multicast(AGREED | ServiceType::SELF_DISCARD, &["room"], "hello"));
    net.settle();
    assert_eq!(net.told(0, here), []);
    assert_eq!(net.told(1, there).len(), 1);
}

#[test]
fn joining_twice_and_leaving_what_one_is_not_in_is_nothing() {
    let (mut net, ann) = alone();
    net.join(0, ann, "room");
    net.join(0, ann, "room");
    net.leave(0, ann, "other");
    net.settle();
    assert_eq!(causes(&net.told(0, ann)), [("room".into(), Cause::Join, 1)]);
    assert_eq!(net.nodes[0].groups.group_count(), 1);
}

#[test]
fn a_group_that_everybody_left_begins_anew() {
    let (mut net, ann) = alone();
    for _ in 0..2 {
        net.join(0, ann, "room");
        net.leave(0, ann, "room");
    }
    net.settle();
    let told = net.told(0, ann);
    let first = ("room".to_owned(), Cause::Join, 1);
    assert_eq!(causes(&told), [first.clone(), first]);
    assert_eq!(told.iter().filter(|told| matches!(told, Told::SelfLeave(_))).count(), 2);
    assert_eq!(net.nodes[0].groups.group_count(), 0);
}

#[test]
fn the_end_of_a_session_is_told_group_by_group_in_the_order_of_names() {
    let (mut net, ann) = alone();
    let ben = net.connect(0, "ben", true);
    for room in ["b", "c", "B", "a"] {
        net.join(0, ben, room);
        net.join(0, ann, room);
    }
    net.settle();
    net.inbox(0, ann);
    net.nodes[0].groups.disconnect(ben, Departure::Lost);
    let submission = net.nodes[0].groups.poll_submission().unwrap();
    assert_eq!(submission.service, Service::Safe);
    let (service, message) = (submission.service, submission.message);
    net.event(0, &Event::Delivered { sender: 0, service, message });
    let told = causes(&net.told(0, ann));
    let order = ["B", "a", "b", "c"].map(|room| (room.to_owned(), Cause::Disconnect, 3));
    assert_eq!(told, order);
}

#[test]
fn a_name_is_free_when_the_end_was_delivered() {
    let (mut net, ann) = alone();
    let taken = Refusal::Taken(private("ann"));
    assert_eq!(net.nodes[0].groups.connect(private("ann"), true), Err(taken));
    net.say(0, ann, ClientMessage::Kill);
    assert_eq!(net.nodes[0].groups.connect(private("ann"), true), Err(taken));
    assert_eq!(net.nodes[0].closed, [ann]);
    // A second end is harmless, and so is what an ended session says.
    net.nodes[0].groups.disconnect(ann, Departure::Lost);
    net.join(0, ann, "room");
    net.settle();
    let again = net.connect(0, "ann", true);
    net.join(0, again, "room");
    net.settle();
    assert_eq!(net.told(0, again).len(), 1);
}

#[test]
fn there_are_as_many_sessions_as_configured() {
    let limits = Limits { sessions: 1, ..Limits::default() };
    let mut groups = Groups::new(daemon("alpha", 1), limits);
    assert!(groups.connect(private("ann"), true).is_ok());
    assert_eq!(groups.connect(private("ben"), true), Err(Refusal::Full { limit: 1 }));
}

#[test]
fn one_more_local_member_than_a_group_can_have_is_rejected() {
    let mut net = Net::new(&["alpha", "beta"]);
    net.heal();
    for number in 0..LOCAL_MEMBERS_MAX {
        let session = net.connect(0, &format!("s{number}"), false);
        net.join(0, session, "room");
    }
    let late = net.connect(0, "late", false);
    let far = net.connect(1, "far", true);
    net.join(0, late, "room");
    net.join(1, far, "room");
    net.settle();
    let [Told::Reject(reject)] = &net.told(0, late)[..] else { panic!() };
    assert_eq!(reject.service, ServiceType::CAUSED_BY_JOIN);
    let names: Vec<String> = reject.groups.iter().map(|name| name.to_string()).collect();
    assert_eq!(names, ["room", "#late#alpha"]);
    let members = net.nodes[1].groups.group(&group("room")).unwrap().members;
    assert_eq!(members.len(), LOCAL_MEMBERS_MAX + 1, "those of another daemon are counted apart");
    // Once one has left there is room again.
    let seventh = net.sessions[&(0, "s7".to_owned())];
    net.leave(0, seventh, "room");
    net.join(0, late, "room");
    net.settle();
    assert_eq!(net.told(0, late), []);
    let members = net.nodes[0].groups.group(&group("room")).unwrap().members;
    assert_eq!(members.len(), LOCAL_MEMBERS_MAX + 1);
}

#[test]
fn a_session_is_in_so_many_groups_and_the_next_join_is_rejected() {
    let (mut net, ann) = alone();
    for number in 0..MEMBERSHIPS_PER_SESSION {
        net.join(0, ann, &format!("g{number}"));
    }
    net.settle();
    let rejects = |told: &[Told]| told.iter().filter(|t| matches!(t, Told::Reject(_))).count();
    assert_eq!(rejects(&net.told(0, ann)), 0);
    net.join(0, ann, "more");
    net.settle();
    assert_eq!(rejects(&net.told(0, ann)), 1);
    // What it is in does not count twice, and another session is not kept out.
    net.join(0, ann, "g7");
    let bob = net.connect(0, "bob", true);
    net.join(0, bob, "more");
    net.settle();
    assert_eq!((rejects(&net.told(0, ann)), rejects(&net.told(0, bob))), (0, 0));
    assert_eq!(net.nodes[0].groups.group(&group("more")).unwrap().members.len(), 1);
}

#[test]
fn clients_are_paused_while_much_waits_for_the_ring() {
    let limits = Limits { pause_messages: 4, ..Limits::default() };
    let mut groups = Groups::new(daemon("alpha", 1), limits);
    let ann = groups.connect(private("ann"), true).unwrap();
    let outputs = |groups: &mut Groups| -> Vec<Output> {
        std::iter::from_fn(|| groups.poll_output()).collect()
    };
    for _ in 0..3 {
        groups.handle_client(ann, ClientMessage::Join(group("room")));
    }
    assert_eq!(outputs(&mut groups), []);
    groups.handle_client(ann, ClientMessage::Leave(group("room")));
    assert_eq!(outputs(&mut groups), [Output::Pause]);
    assert!(groups.is_paused());
    // Before the first view nothing goes to the ring.
    assert_eq!(groups.poll_submission(), None);
    let mut net = Net::new(&["alpha"]);
    std::mem::swap(&mut net.nodes[0].groups, &mut groups);
    net.nodes[0].daemon = daemon("alpha", 1);
    net.change(&[0], &mut base::Random::new(1));
    // Half of it must be gone before clients are read again.
    for paused in [true, false] {
        assert!(net.pull(0));
        assert_eq!(net.nodes[0].groups.is_paused(), paused);
    }
    net.settle();
    assert_eq!(causes(&net.told(0, ann)), [("room".into(), Cause::Join, 1)]);
}

#[test]
fn clients_are_paused_and_their_messages_held_while_states_are_exchanged() {
    let mut net = Net::new(&["alpha", "beta"]);
    let ann = net.connect(0, "ann", true);
    net.join(0, ann, "room");
    net.change(&[0, 0], &mut base::Random::new(1));
    let groups = &mut net.nodes[0].groups;
    assert!(groups.is_paused() && !groups.is_settled());
    assert_eq!(groups.missing_states().len(), 2);
    let part = groups.poll_submission().unwrap();
    assert_eq!(part.message[0], 4, "the state goes first");
    assert_eq!(groups.poll_submission(), None, "the join waits");
    // The view is over before the state was taken: it is of no use to another view.
    net.change(&[0, 1], &mut base::Random::new(1));
    assert!(!net.nodes[0].groups.is_paused());
    let join = net.nodes[0].groups.poll_submission().unwrap();
    assert_eq!(join.message[0], 1);
    assert_eq!(net.nodes[1].groups.poll_submission(), None);
}

#[test]
fn what_a_peer_sends_may_be_anything() {
    let mut net = Net::new(&["alpha", "beta"]);
    net.heal();
    let ann = net.connect(0, "ann", true);
    net.join(0, ann, "room");
    net.settle();
    net.inbox(0, ann);
    let deliver = |net: &mut Net, sender: usize, message: &[u8]| {
        let message = Bytes::copy_from_slice(message);
        net.event(0, &Event::Delivered { sender, service: Service::Agreed, message });
    };
    let digest = net.nodes[0].groups.state_digest();
    let malformed: [&[u8]; 6] =
        [b"", b"\x01", b"\x01\x03ann", b"\x02\x03ann\x00", b"\x03\x0babcdefghijk", &[0x80; 60]];
    for message in malformed {
        deliver(&mut net, 1, message);
    }
    deliver(&mut net, 7, b"\x03\x03ann");
    assert_eq!(net.nodes[0].groups.counters().malformed, malformed.len() as u64 + 1);
    deliver(&mut net, 1, b"\x63 of a newer version");
    assert_eq!(net.nodes[0].groups.counters().unknown, 1);
    // Beta cannot end a session of alpha, nor speak in its name.
    deliver(&mut net, 1, b"\x03\x03ann");
    assert_eq!(net.nodes[0].groups.state_digest(), digest);
    net.say(0, ann, multicast(AGREED, &["room"], "forged"));
    let forged = net.nodes[0].groups.poll_submission().unwrap().message;
    deliver(&mut net, 1, &forged);
    assert_eq!(net.told(0, ann), []);
    deliver(&mut net, 0, &forged);
    assert_eq!(net.told(0, ann).len(), 1);
}

#[test]
fn a_state_that_makes_no_sense_counts_as_empty_and_holds_nobody_up() {
    let mut net = Net::new(&["alpha", "beta"]);
    let ann = net.connect(0, "ann", true);
    net.join(0, ann, "room");
    net.change(&[0, 1], &mut base::Random::new(1));
    net.settle();
    net.inbox(0, ann);
    net.change(&[0, 0], &mut base::Random::new(1));
    let own = net.nodes[0].groups.poll_submission().unwrap().message;
    let other = net.nodes[1].groups.poll_submission().unwrap().message;
    let deliver = |net: &mut Net, sender: usize, message: &[u8]| {
        let message = Bytes::copy_from_slice(message);
        net.event(0, &Event::Delivered { sender, service: Service::Agreed, message });
    };
    deliver(&mut net, 0, &own);
    // Not for alpha to say, cut, of another format, of another view.
    deliver(&mut net, 0, &other);
    deliver(&mut net, 1, &own);
    deliver(&mut net, 1, &other[..20]);
    let mut wrong = other.to_vec();
    wrong[1] = 9;
    deliver(&mut net, 1, &wrong);
    assert_eq!(net.nodes[0].groups.counters().malformed, 4);
    let mut stale = other.to_vec();
    stale[2] ^= 1;
    deliver(&mut net, 1, &stale);
    assert_eq!(net.nodes[0].groups.counters().stale, 1);
    assert!(!net.nodes[0].groups.is_settled());
    let mut garbage = other.to_vec();
    garbage.truncate(27);
    garbage.extend_from_slice(&[0xff; 40]);
    deliver(&mut net, 1, &garbage);
    assert!(net.nodes[0].groups.is_settled());
    assert_eq!(net.nodes[0].groups.counters().malformed_states, 1);
    assert_eq!(net.nodes[0].groups.group_count(), 1);
    assert_eq!(net.told(0, ann), []);
}

//! Each property catches what breaks it: a check that cannot fail proves nothing.

use base::{Boot, Instant};
use ring::{Daemon, DaemonName};
use spread_wire::{Cause, GroupId, GroupName, ServiceType};

use super::super::client::{Client, Deed, End, Item, Sent, View};
use super::{Told, check};
use crate::bus::trace::{MessageId, Trace};

const NAMES: [&str; 3] = ["#a#x", "#b#x", "#c#y"];

fn name(text: &str) -> GroupName {
    GroupName::destination(text.as_bytes()).unwrap()
}

fn room() -> GroupName {
    name("room")
}

fn names(members: &str) -> Vec<GroupName> {
    members.chars().map(|one| name(NAMES["abc".find(one).unwrap()])).collect()
}

/// A view of the room with the number `index`; `sets` is the subject, or the vs sets with a stroke between, of which the
/// receiver is in `own`.
fn view(cause: Cause, time: i32, index: i32, members: &str, sets: &str, own: usize) -> Item {
    Item::View(Box::new(View {
        group: room(),
        id: GroupId { proc: 1, time, index },
        cause,
        members: names(members),
        sets: sets.split('|').map(names).collect(),
        own: Some(own),
    }))
}

fn joined(index: i32, members: &str, who: &str) -> Item {
    view(Cause::Join, 1, index, members, who, 0)
}

fn network(time: i32, members: &str, sets: &str, own: usize) -> Item {
    view(Cause::Network, time, 1, members, sets, own)
}

fn signal(time: i32, index: i32) -> Item {
    Item::Signal(room(), GroupId { proc: 1, time, index })
}

fn message(client: u32, number: u32) -> Item {
    Item::Message(MessageId { life: client, number })
}

/// Three clients, two of them at one daemon, that joined in their order; each is told what is said of it besides.
struct Case {
    clients: Vec<Client>,
    lives: Vec<Trace>,
}

impl Case {
    fn new(more: [Vec<Item>; 3]) -> Self {
        let lives = ["x", "y"].map(|name| {
            let name = DaemonName::new(name.as_bytes()).unwrap();
            Trace::new(Daemon { name, boot: Boot([name.as_bytes()[0]; 16]) }, 0, Instant::ORIGIN)
        });
        let joins = [joined(1, "a", "a"), joined(2, "ab", "b"), joined(3, "abc", "c")];
        let clients = more.into_iter().enumerate().map(|(at, more)| {
            let mut client = Client::new(at / 2, name(NAMES[at]), true);
            client.deeds = vec![Deed::Join(room())];
            let heard = joins[at..].iter().cloned().chain(more);
            client.heard = heard.map(|item| (Instant::from_millis(1), item)).collect();
            client
        });
        Self { clients: clients.collect(), lives: lives.to_vec() }
    }

    /// A client has sent so many messages to the room.
    fn sent(mut self, client: usize, count: u32, service: ServiceType) -> Self {
        for number in 1..=count {
            let sender = &mut self.clients[client];
            sender.deeds.push(Deed::Say(number));
            sender.sent.push(Sent { to: vec![room()], service, after: 0 });
        }
        self
    }

    fn agreed(self, client: usize, count: u32) -> Self {
        self.sent(client, count, ServiceType::AGREED_MESS)
    }

    /// They live on and are told everything.
    fn whole(mut self) -> Self {
        self.clients.iter_mut().for_each(|client| client.whole = true);
        self
    }

    fn client(mut self, at: usize, change: impl FnOnce(&mut Client)) -> Self {
        change(&mut self.clients[at]);
        self
    }

    fn result(&self) -> Result<(), String> {
        check(Told {
            clients: &self.clients,
            lives: Some(&self.lives),
            anchored: true,
            order: Some(&[]),
        })
    }

    /// The first property that is broken, by the words before its colon.
    fn broken(&self) -> String {
        let what = self.result().expect_err("nothing was noticed");
        what.split(':').next().unwrap().to_string()
    }
}

/// The same for all three.
fn all(items: &[Item]) -> [Vec<Item>; 3] {
    [items.to_vec(), items.to_vec(), items.to_vec()]
}

#[test]
fn a_good_history_is_good() {
    let said = [message(0, 1), message(2, 1)];
    assert_eq!(Case::new(all(&said)).agreed(0, 1).agreed(2, 1).whole().result(), Ok(()));
}

#[test]
fn a_good_parting_is_good() {
    let near = vec![message(0, 1), signal(1, 3), message(1, 1), network(2, "ab", "ab", 0)];
    let far = vec![message(0, 1), signal(1, 3), network(3, "c", "c", 0)];
    let case = Case::new([near.clone(), near, far]).sent(0, 1, ServiceType::SAFE_MESS);
    assert_eq!(case.agreed(1, 1).whole().result(), Ok(()));
}

#[test]
fn a_message_that_nobody_sent_is_caught() {
    assert_eq!(Case::new(all(&[message(0, 1)])).broken(), "integrity");
}

#[test]
fn a_message_for_others_is_caught() {
    let case = Case::new([vec![message(0, 1)], vec![], vec![]]);
    let case = case.agreed(0, 1).client(0, |c| c.sent[0].to = vec![name("hall"), name("#b#x")]);
    assert_eq!(case.broken(), "integrity");
}

#[test]
fn a_message_that_was_to_be_discarded_is_caught() {
    let both = ServiceType::AGREED_MESS | ServiceType::SELF_DISCARD;
    let case = Case::new([vec![message(0, 1)], vec![], vec![]]).sent(0, 1, both);
    assert_eq!(case.broken(), "integrity");
}

#[test]
fn a_message_after_the_own_leave_is_caught() {
    let case = Case::new([vec![Item::Left(room()), message(1, 1)], vec![], vec![]]).agreed(1, 1);
    assert_eq!(case.client(0, |c| c.deeds.push(Deed::Leave(room()))).broken(), "integrity");
}

#[test]
fn a_notice_for_one_who_wants_none_is_caught() {
    let case = Case::new(all(&[])).client(0, |c| c.wants = false);
    assert!(case.result().unwrap_err().contains("did not want"));
}

#[test]
fn a_message_twice_is_caught() {
    let case = Case::new(all(&[message(0, 1), message(0, 1)])).agreed(0, 1);
    assert_eq!(case.broken(), "no duplication");
}

#[test]
fn an_own_message_a_join_or_a_leave_that_does_not_come_is_caught() {
    let case = || Case::new(all(&[])).whole();
    assert_eq!(case().agreed(0, 1).broken(), "self-delivery");
    let hall = name("hall");
    assert_eq!(case().client(0, |c| c.deeds.push(Deed::Join(hall))).broken(), "self-delivery");
    let leave = Deed::Leave(room());
    assert_eq!(case().client(0, |c| c.deeds.push(leave)).broken(), "self-delivery");
    // Who is no more owes nothing.
    let case = Case::new(all(&[])).agreed(0, 1).client(0, |c| c.end = Some(End::Daemon));
    assert_eq!(case.result(), Ok(()));
}

#[test]
fn a_message_left_out_is_caught_unless_the_daemons_parted() {
    let case = || {
        let some = [message(2, 1), message(2, 3)];
        let all = vec![message(2, 1), message(2, 2), message(2, 3)];
        Case::new([some.to_vec(), some.to_vec(), all]).agreed(2, 3)
    };
    assert_eq!(case().broken(), "FIFO");
    let mut parted = case();
    let signal = crate::bus::trace::Item::Transitional(Vec::new());
    parted.lives[0].items.push((Instant::from_millis(1), signal));
    assert_eq!(parted.result(), Ok(()));
}

#[test]
fn a_senders_messages_out_of_order_are_caught() {
    let case = Case::new([vec![message(2, 2), message(2, 1)], vec![], vec![]]).agreed(2, 2);
    assert_eq!(case.broken(), "FIFO");
}

#[test]
fn views_that_cannot_be_are_caught() {
    let last = |item: Item| Case::new([vec![item], vec![], vec![]]).broken();
    assert_eq!(last(joined(4, "bc", "c")), "form", "without itself");
    assert_eq!(last(network(2, "bac", "bac", 0)), "form", "members out of order");
    assert_eq!(last(network(2, "abc", "a|b", 0)), "form", "one in no set");
    assert_eq!(last(network(2, "abc", "ab|bc", 0)), "form", "one in two sets");
    assert_eq!(last(network(2, "abc", "ab|c", 1)), "form", "the set of others");
    assert_eq!(last(view(Cause::Leave, 1, 4, "ac", "c", 0)), "form", "left, and a member");
    assert_eq!(last(view(Cause::Leave, 1, 4, "ac", "b", 0)), "causes", "who never left");
    assert_eq!(last(view(Cause::Disconnect, 1, 4, "ac", "b", 0)), "causes", "who never ended");
}

#[test]
fn groups_of_an_end_in_a_wrong_order_are_caught() {
    let hall = |cause, index, members, who| match view(cause, 1, index, members, who, 0) {
        Item::View(view) => Item::View(Box::new(View { group: name("hall"), ..*view })),
        other => other,
    };
    let end = vec![
        hall(Cause::Join, 1, "a", "a"),
        hall(Cause::Join, 2, "ac", "c"),
        view(Cause::Disconnect, 1, 4, "ab", "c", 0),
        hall(Cause::Disconnect, 3, "a", "c"),
    ];
    let case = Case::new([end, vec![], vec![]]).client(2, |c| c.end = Some(End::Lost));
    let in_hall = |c: &mut Client| c.deeds.push(Deed::Join(name("hall")));
    assert_eq!(case.client(0, in_hall).client(2, in_hall).broken(), "disconnects");
}

#[test]
fn one_id_for_two_views_is_caught() {
    let near = vec![signal(1, 3), network(2, "ab", "ab", 0)];
    let other = vec![signal(1, 3), network(2, "bc", "b|c", 0)];
    assert_eq!(Case::new([near, other, vec![]]).broken(), "ids");
    // The same members in other sets are another view as well.
    let a = vec![signal(1, 3), network(2, "ab", "a|b", 0)];
    let b = vec![signal(1, 3), network(2, "ab", "ab", 0)];
    assert_eq!(Case::new([a, b, vec![]]).broken(), "ids");
}

#[test]
fn steps_that_do_not_follow_are_caught() {
    let after = |items: Vec<Item>| Case::new([items, vec![], vec![]]).broken();
    assert_eq!(after(vec![network(2, "abc", "abc", 0)]), "steps", "nothing changed");
    assert_eq!(after(vec![network(2, "ab", "ab", 0)]), "steps", "a loss without a signal");
    assert_eq!(after(vec![signal(1, 3), network(2, "abc", "abc", 0)]), "steps", "no loss");
    let gone = |item: Item| {
        let case = Case::new([vec![item], vec![], vec![]]).client(2, |c| c.end = Some(End::Lost));
        case.client(1, |c| c.end = Some(End::Lost)).broken()
    };
    assert_eq!(gone(view(Cause::Disconnect, 1, 5, "ab", "c", 0)), "steps", "a number left out");
    assert_eq!(gone(view(Cause::Disconnect, 1, 4, "a", "c", 0)), "steps", "two gone for one");
    assert_eq!(gone(view(Cause::Network, 2, 3, "abc", "ab|c", 0)), "steps", "not counted anew");
    // The first view is that of the own join, and one that comes along was there before.
    let case = Case::new(all(&[])).client(1, |c| _ = c.heard.remove(0));
    assert_eq!(case.broken(), "steps");
}

#[test]
fn a_change_by_one_member_after_the_signal_is_caught() {
    let items = vec![signal(1, 3), view(Cause::Disconnect, 1, 4, "ab", "c", 0)];
    let case = Case::new([items, vec![], vec![]]).client(2, |c| c.end = Some(End::Lost));
    assert_eq!(case.broken(), "steps");
}

#[test]
fn signals_of_other_views_second_ones_and_last_ones_are_caught() {
    assert_eq!(Case::new([vec![signal(1, 2)], vec![], vec![]]).broken(), "signals");
    assert_eq!(Case::new([vec![signal(1, 3), signal(1, 3)], vec![], vec![]]).broken(), "signals");
    let last = Case::new([vec![signal(1, 3)], vec![], vec![]]);
    assert_eq!(last.result(), Ok(()), "its daemon may have died then");
    assert_eq!(last.whole().broken(), "signals");
}

#[test]
fn two_orders_are_caught() {
    let (a, b) = (vec![message(0, 1), message(2, 1)], vec![message(2, 1), message(0, 1)]);
    let case = Case::new([a.clone(), b, a]).agreed(0, 1).agreed(2, 1);
    assert_eq!(case.broken(), "one order of messages, which is causal");
}

#[test]
fn an_answer_before_its_question_is_caught() {
    // The second sends after it was told the first's message; the third gets them the wrong way round.
    let told = [message(0, 1), message(1, 1)];
    let turned = vec![message(1, 1), message(0, 1)];
    let case = Case::new([vec![], vec![told[0].clone()], turned]).agreed(0, 1).agreed(1, 1);
    assert_eq!(case.result(), Ok(()));
    let case = case.client(1, |c| c.sent[0].after = 3);
    assert_eq!(case.broken(), "one order of messages, which is causal");
}

#[test]
fn a_message_on_the_other_side_of_a_view_is_caught() {
    let left = || view(Cause::Disconnect, 1, 4, "ab", "c", 0);
    let a = vec![message(0, 1), left()];
    let b = vec![left(), message(0, 1)];
    let case = Case::new([a, b, vec![]]).agreed(0, 1).client(2, |c| c.end = Some(End::Lost));
    assert_eq!(case.broken(), "one order of messages and views");
}

#[test]
fn who_comes_together_and_was_told_other_things_is_caught() {
    let a = vec![message(2, 1), signal(1, 3), network(2, "ab", "ab", 0)];
    let b = vec![signal(1, 3), network(2, "ab", "ab", 0)];
    assert_eq!(Case::new([a, b, vec![]]).agreed(2, 1).broken(), "virtual synchrony");
    // The other side of the signal is another promise.
    let a = vec![message(2, 1), signal(1, 3), network(2, "ab", "ab", 0)];
    let b = vec![signal(1, 3), message(2, 1), network(2, "ab", "ab", 0)];
    assert_eq!(Case::new([a, b, vec![]]).agreed(2, 1).broken(), "virtual synchrony");
}

#[test]
fn a_safe_message_that_a_member_never_gets_is_caught() {
    let case = || {
        let without = vec![signal(1, 3), network(3, "c", "c", 0)];
        let with = vec![message(1, 1), signal(1, 3), network(2, "ab", "ab", 0)];
        Case::new([with.clone(), with, without]).sent(1, 1, ServiceType::SAFE_MESS)
    };
    assert_eq!(case().whole().broken(), "safe");
    assert_eq!(case().result(), Ok(()), "who is no more owes nothing");
}

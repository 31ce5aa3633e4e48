//! Each property catches a trace that breaks it: a check that cannot fail proves nothing.

use std::sync::Arc;

use base::{Boot, Instant};
use ring::{Daemon, DaemonName, RingId, Service, View};

use super::super::trace::{Content, Item, MessageId, Trace};
use super::all;

fn daemon(life: usize) -> Daemon {
    let name = DaemonName::new(&[b'a' + life as u8]).unwrap();
    Daemon { name, boot: Boot([life as u8; 16]) }
}

fn daemons(lives: &[usize]) -> Vec<Daemon> {
    lives.iter().map(|&life| daemon(life)).collect()
}

/// View `counter` of these lives, who come from view `from` each (0: from none).
fn view(counter: u64, lives: &[usize], from: u64) -> View {
    let id = |counter| match counter {
        0 => RingId::default(),
        counter => RingId { counter, founder: 7 },
    };
    View {
        id: id(counter),
        members: daemons(lives).into(),
        previous: lives.iter().map(|_| id(from)).collect::<Arc<[RingId]>>(),
        time: 1000 + counter as u32,
    }
}

fn installed(counter: u64, lives: &[usize], from: u64) -> Item {
    Item::Installed(view(counter, lives, from))
}

fn signal(lives: &[usize]) -> Item {
    Item::Transitional(daemons(lives))
}

fn content(life: u32, number: u32, seen: u32, service: Service) -> Item {
    Item::Delivered(Content { id: MessageId { life, number }, seen, service, length: 0 })
}

/// An agreed message, sent before anything was seen.
fn message(life: u32, number: u32) -> Item {
    content(life, number, 0, Service::Agreed)
}

fn safe(life: u32, number: u32) -> Item {
    content(life, number, 0, Service::Safe)
}

/// One life for each list of what was told; each sent so many messages and lives to the end.
fn traces<const N: usize>(sent: [u64; N], items: [Vec<Item>; N]) -> Vec<Trace> {
    let lives = items.into_iter().zip(sent).enumerate();
    lives
        .map(|(life, (items, sent))| {
            let mut trace = Trace::new(daemon(life), life, Instant::ORIGIN);
            trace.items = items.into_iter().map(|item| (Instant::ORIGIN, item)).collect();
            trace.sent = sent;
            trace.ended = false;
            trace
        })
        .collect()
}

/// The first property broken, by the words before its colon.
fn broken(traces: &[Trace]) -> String {
    let what = all(traces).expect_err("nothing was noticed");
    what.split(':').next().unwrap().to_string()
}

#[test]
fn a_good_history_is_good() {
    let one = || vec![installed(1, &[0, 1], 0), safe(0, 1), message(1, 1), signal(&[0, 1])];
    let mut a = one();
    let mut b = one();
    a.extend([message(0, 2), installed(2, &[0, 1], 1), message(1, 2)]);
    b.extend([message(0, 2), installed(2, &[0, 1], 1), message(1, 2)]);
    assert_eq!(all(&traces([2, 2], [a, b])), Ok(()));
}

#[test]
fn a_message_that_nobody_sent_is_caught() {
    let items = vec![installed(1, &[0], 0), message(0, 1)];
    assert!(all(&traces([0], [items])).is_err());
}

#[test]
fn a_message_of_a_stranger_to_the_view_is_caught() {
    let a = vec![installed(1, &[0], 0), message(1, 1)];
    let b = vec![installed(2, &[1], 0), message(1, 1)];
    assert_eq!(broken(&traces([0, 1], [a, b])), "integrity");
}

#[test]
fn one_message_in_two_views_is_caught() {
    let a = vec![installed(1, &[0, 1], 0), message(1, 1)];
    let b = vec![installed(2, &[0, 1], 0), message(1, 1)];
    assert_eq!(broken(&traces([0, 1], [a, b])), "integrity");
}

#[test]
fn a_message_twice_is_caught() {
    let items = vec![installed(1, &[0], 0), message(0, 1), message(0, 1)];
    assert_eq!(broken(&traces([1], [items])), "no duplication");
}

#[test]
fn two_views_under_one_id_are_caught() {
    let a = vec![installed(1, &[0, 1], 0)];
    let b = vec![installed(1, &[1], 0)];
    assert_eq!(all(&traces([0, 0], [a, b])).unwrap_err().matches("is also").count(), 1);
}

#[test]
fn one_id_for_clients_of_two_views_is_caught() {
    let mut other = view(2, &[0, 1], 0);
    other.time = view(1, &[0], 0).time;
    let a = vec![installed(1, &[0], 0)];
    let b = vec![Item::Installed(other)];
    let what = all(&traces([0, 0], [a, b])).unwrap_err();
    assert!(what.contains("under one id"), "{what}");
}

#[test]
fn a_view_without_oneself_is_caught() {
    let what = all(&traces([0, 0], [vec![installed(1, &[1], 0)], vec![]])).unwrap_err();
    assert!(what.contains("without itself"), "{what}");
}

#[test]
fn going_back_to_an_older_view_is_caught() {
    let a = vec![installed(2, &[0], 0), signal(&[0]), installed(1, &[0], 2)];
    let what = all(&traces([0], [a])).unwrap_err();
    assert!(what.contains("went back"), "{what}");
}

#[test]
fn a_false_origin_is_caught() {
    let a = vec![installed(1, &[0], 0), signal(&[0]), installed(3, &[0], 2)];
    let what = all(&traces([0], [a])).unwrap_err();
    assert!(what.contains("came to"), "{what}");
}

#[test]
fn a_missing_signal_and_a_second_one_are_caught() {
    let without = vec![installed(1, &[0], 0), installed(2, &[0], 1)];
    assert!(all(&traces([0], [without])).unwrap_err().contains("no transitional signal"));
    let twice = vec![installed(1, &[0], 0), signal(&[0]), signal(&[0])];
    assert!(all(&traces([0], [twice])).unwrap_err().contains("two transitional signals"));
}

#[test]
fn a_signal_that_names_others_than_the_view_is_caught() {
    let a = vec![installed(1, &[0, 1], 0), signal(&[0]), installed(2, &[0, 1], 1)];
    let b = vec![installed(1, &[0, 1], 0), signal(&[0, 1]), installed(2, &[0, 1], 1)];
    assert_eq!(broken(&traces([0, 0], [a, b])), "transitional sets");
}

#[test]
fn a_message_left_out_between_two_of_a_sender_is_caught() {
    let a = vec![installed(1, &[0], 0), message(0, 1), message(0, 3)];
    assert_eq!(broken(&traces([3], [a])), "FIFO");
}

#[test]
fn two_orders_are_caught() {
    let a = vec![installed(1, &[0, 1], 0), message(0, 1), message(1, 1)];
    let b = vec![installed(1, &[0, 1], 0), message(1, 1), message(0, 1)];
    assert_eq!(broken(&traces([1, 1], [a, b])), "total order");
}

#[test]
fn an_answer_before_its_question_is_caught() {
    // The second sends after it saw the first's message; the third gets only the answer.
    let answer = || content(1, 1, 1, Service::Agreed);
    let a = vec![installed(1, &[0, 1, 2], 0), message(0, 1), answer()];
    let b = vec![installed(1, &[0, 1, 2], 0), message(0, 1), answer()];
    let c = vec![installed(1, &[0, 1, 2], 0), answer()];
    assert_eq!(broken(&traces([1, 1, 0], [a, b, c])), "causal order");
}

#[test]
fn an_own_message_that_does_not_come_is_caught() {
    let a = vec![installed(1, &[0], 0), message(0, 1)];
    assert_eq!(broken(&traces([2], [a])), "self-delivery");
}

#[test]
fn who_goes_together_and_saw_other_things_is_caught() {
    let a = vec![installed(1, &[0, 1], 0), message(0, 1), signal(&[0, 1])];
    let b = vec![installed(1, &[0, 1], 0), signal(&[0, 1])];
    let with_next = |mut items: Vec<Item>| {
        items.push(installed(2, &[0, 1], 1));
        items
    };
    assert_eq!(broken(&traces([1, 0], [with_next(a), with_next(b)])), "virtual synchrony");
}

#[test]
fn a_message_on_the_other_side_of_the_signal_is_caught() {
    let next = || installed(2, &[0, 1], 1);
    let a = vec![installed(1, &[0, 1], 0), message(0, 1), signal(&[0, 1]), next()];
    let b = vec![installed(1, &[0, 1], 0), signal(&[0, 1]), message(0, 1), next()];
    assert_eq!(broken(&traces([1, 0], [a, b])), "virtual synchrony");
}

#[test]
fn a_safe_message_that_a_member_never_gets_is_caught() {
    let a = vec![installed(1, &[0, 1], 0), safe(0, 1), signal(&[0]), installed(2, &[0], 1)];
    let b = vec![installed(1, &[0, 1], 0), signal(&[1]), installed(3, &[1], 1)];
    assert_eq!(broken(&traces([1, 0], [a, b])), "safe in a view");
}

#[test]
fn a_safe_message_after_the_signal_that_a_companion_never_gets_is_caught() {
    // The companion is told of the same view later, but went another way: it owes the message all the same.
    let a = vec![installed(1, &[0, 1], 0), signal(&[0, 1]), safe(0, 1), installed(2, &[0, 1], 1)];
    let b = vec![installed(1, &[0, 1], 0), signal(&[1]), installed(3, &[1], 1)];
    assert_eq!(broken(&traces([1, 0], [a, b])), "safe after the signal");
}

#[test]
fn who_failed_owes_nothing() {
    let a = vec![installed(1, &[0, 1], 0), safe(0, 1)];
    let b = vec![installed(1, &[0, 1], 0)];
    let mut traces = traces([1, 0], [a, b]);
    traces[1].ended = true;
    assert_eq!(all(&traces), Ok(()));
}

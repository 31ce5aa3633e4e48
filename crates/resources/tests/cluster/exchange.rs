//! Questions, answers and promises, over the real exchange sockets.

use std::net::UdpSocket;
use std::time::Duration;

use announce::exchange::{Answer, Probe, Question, tag};
use announce::reception::Refused;
use candidacy::Slot;
use crypto::random;
use resources::{Handle, Served, ServedFigures};

use crate::bench::{Node, PATIENCE, Plan, net, pair};

struct Slow;

impl Served for Slow {
    fn figures(&self) -> ServedFigures {
        ServedFigures::default()
    }
    fn service_micros(&self, route: u32) -> u32 {
        if route == 7 { 25_000 } else { 0 }
    }
    fn turnaround(&self, _: Slot) -> Option<(Duration, u64)> {
        None
    }
}

/// Asks as a worker of `from` would.
fn ask(from: &Handle, whom: &Node, host: u8) -> Answer {
    let socket = UdpSocket::bind((whom.net.ip(host), 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut asker = from.asker().unwrap();
    let mut nonce = [0; 16];
    random(&mut nonce);
    let question = Question { route: 7, reserve: true, deadline_micros: 10_000 };
    let mut datagram = Vec::new();
    asker.seal(
        &Probe { nonce, whom: tag(&whom.handle.me()), question: Some(question) },
        &mut datagram,
    );
    socket.send_to(&datagram, whom.net.exchange(whom.host)).unwrap();
    let mut buffer = [0; 2048];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(length, datagram.len(), "an answer is as long as its probe");
    let (who, answer) = asker.open(from.clock().now(), &mut buffer[..length]).unwrap();
    assert_eq!((who, answer.nonce), (whom.handle.me(), nonce));
    answer
}

#[test]
fn a_question_is_answered_with_figures_and_a_promise() {
    let (a, b) = pair(net());
    b.handle.set_served(Slow);
    b.handle.local().try_begin().unwrap();
    let first = ask(&a.handle, &b, 1);
    assert_eq!((first.report.in_flight, first.route_service_micros), (1, 25_000));
    assert_ne!(first.reservation, 0);
    let second = ask(&a.handle, &b, 1);
    assert_eq!(second.report.in_flight, 2, "what is promised counts in answers");
    assert_eq!(b.handle.local().in_flight(), 1, "but not in admission");
    assert!(second.report.is_newer_than(&first.report));
    assert!(b.handle.consume_reservation(second.reservation));
    assert!(!b.handle.consume_reservation(second.reservation), "a promise is kept once");
    assert!(!b.handle.consume_reservation(0));
    assert_eq!(b.handle.stats().reservations_used, 1);
    assert!(b.handle.stats().answered >= 2);
}

#[test]
fn a_stranger_with_the_key_is_answered_and_promised_nothing() {
    let net = net();
    let a = Plan::new(net, 1, &[1]).start();
    // It announces to itself only, so the first has never heard of it.
    let stranger = Plan::new(net, 2, &[2]).start();
    let answer = ask(&stranger.handle, &a, 2);
    assert_eq!(answer.reservation, 0);
    assert_eq!(a.handle.matrix().slow.load().find(stranger.handle.me().machine), None);
}

#[test]
fn noise_on_the_exchange_is_counted_and_gets_no_answer() {
    let net = net();
    let a = Plan::new(net, 1, &[1]).start();
    let socket = UdpSocket::bind((net.ip(9), 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    for noise in [&b""[..], b"x", &[0; 100], &[b'B'; 1500]] {
        socket.send_to(noise, net.exchange(1)).unwrap();
    }
    let mut asker = a.handle.asker().unwrap();
    let mut datagram = Vec::new();
    asker.seal(&Probe { nonce: [1; 16], whom: tag(&a.handle.me()), question: None }, &mut datagram);
    // A machine's own probe is a genuine one, and what came before it is then judged too.
    socket.send_to(&datagram, net.exchange(1)).unwrap();
    let mut buffer = [0; 2048];
    assert_eq!(socket.recv_from(&mut buffer).unwrap().0, datagram.len());
    assert_eq!(a.handle.stats().refused(Refused::Torn), 4);
    a.until("the count", |handle| (handle.stats().answered == 1).then_some(()));
}

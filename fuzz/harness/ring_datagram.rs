//! A daemon in a view with another, whose key somebody has stolen: it sends anything under the other's name.
//!
//! The input is datagrams, each after its length in two bytes, most significant first. The first byte of all says how the
//! two stand when they begin: in a view; in one with messages under way; with a change of view under way. What must hold: nothing panics; what
//! is held, sent at once and told at once is bounded; the daemon still asks to be woken.

use base::{Boot, Instant};
use bytes::Bytes;
use ring::{Daemon, DaemonName, Ring, Service, Settings, Surroundings};
use std::time::Duration;

/// Two times what may be unstable; see `ring::settings`.
const HELD_MAX: usize = 2 * ring::settings::UNSTABLE_MAX as usize;
/// More than one datagram can set off: 64 packets again, and a word to everybody.
const SENT_MAX: usize = 1000;

struct Around(u8);

impl Surroundings for Around {
    fn random(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(5).wrapping_add(77);
            *byte = self.0;
        }
    }

    fn unix_seconds(&mut self) -> u32 {
        1_700_000_000
    }
}

struct Pair {
    now: Instant,
    daemons: [Ring; 2],
    boots: [Boot; 2],
}

fn daemon(i: u8) -> Daemon {
    Daemon { name: DaemonName::of_host(["ann", "bob"][usize::from(i)]), boot: Boot([i + 1; 16]) }
}

impl Pair {
    fn new() -> Self {
        let now = Instant::from_millis(1);
        let ring = |i: u8| Ring::new(now, Settings::new(daemon(i)), Box::new(Around(i)), 1);
        Self { now, daemons: [ring(0), ring(1)], boots: [daemon(0).boot, daemon(1).boot] }
    }

    /// Carries everything between the two for so long.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let mut quiet = true;
            for i in 0..2 {
                if self.daemons[i].next_timeout(self.now).is_some_and(|at| at <= self.now) {
                    self.daemons[i].handle_timeout(self.now);
                }
                while let Some(transmit) = self.daemons[i].poll_transmit() {
                    let (boot, now) = (self.boots[i], self.now);
                    self.daemons[1 - i].handle_datagram(now, &boot, &transmit.datagram);
                    quiet = false;
                }
                while self.daemons[i].poll_event().is_some() {}
                while self.daemons[i].poll_notice().is_some() {}
            }
            let next = self.now + Duration::from_millis(1);
            // Most of the time nothing happens, and a fuzzer has better to do.
            let due = self.daemons.iter().filter_map(|daemon| daemon.next_timeout(next)).min();
            self.now = if quiet { due.unwrap_or(end).clamp(next, end.max(next)) } else { next };
        }
    }

    fn submit(&mut self, i: usize, messages: usize) {
        for _ in 0..messages {
            let message = Bytes::from(vec![7; 3000]);
            let _ = self.daemons[i].submit(message, Service::Safe);
        }
        self.daemons[i].handle_submitted(self.now);
    }
}

pub fn run(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    let mut rest = rest;
    let mut pair = Pair::new();
    pair.pass(Duration::from_millis(if how % 4 == 3 { 149 } else { 400 }));
    if how % 4 == 1 {
        pair.submit(0, 30);
        pair.submit(1, 30);
        pair.pass(Duration::from_millis(2));
    }
    if how % 4 == 2 {
        let [ann, bob] = &mut pair.daemons;
        let tag = ring::Tag::from(&daemon(1));
        ann.handle_unreachable(pair.now, tag);
        bob.handle_timeout(pair.now);
        while bob.poll_transmit().is_some() {}
    }
    while let [high, low, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (datagram, later) = more.split_at(length);
        rest = later;
        let (now, boot) = (pair.now, pair.boots[1]);
        let ann = &mut pair.daemons[0];
        ann.handle_datagram(now, &boot, datagram);
        if ann.next_timeout(now).is_some_and(|at| at <= now) {
            ann.handle_timeout(now);
        }
        let sent = core::iter::from_fn(|| ann.poll_transmit()).count();
        assert!(sent <= SENT_MAX, "{sent} datagrams at once");
        while ann.poll_event().is_some() {}
        assert!(ann.status(now).held <= HELD_MAX);
        pair.now = now + Duration::from_micros(100);
    }
    pair.pass(Duration::from_millis(300));
    assert!(pair.daemons[0].next_timeout(pair.now).is_some());
}

/// What the two say to each other until they are in a view and have sent something: one input for each kind of word.
#[allow(dead_code)] // Used to write the corpus.
pub fn recorded() -> Vec<(u8, Vec<u8>)> {
    let mut pair = Pair::new();
    let mut seen: Vec<(u8, Vec<u8>)> = Vec::new();
    for round in 0..600 {
        if round == 400 {
            pair.submit(1, 3);
        }
        for i in 0..2 {
            pair.daemons[i].handle_timeout(pair.now);
            while let Some(transmit) = pair.daemons[i].poll_transmit() {
                let kind = transmit.datagram[0];
                if seen.iter().filter(|(other, _)| *other == kind).count() < 2 {
                    let length = (transmit.datagram.len() as u16).to_be_bytes();
                    let input = [&[kind % 4][..], &length, &transmit.datagram].concat();
                    seen.push((kind, input));
                }
                let (boot, now) = (pair.boots[i], pair.now);
                pair.daemons[1 - i].handle_datagram(now, &boot, &transmit.datagram);
            }
            while pair.daemons[i].poll_event().is_some() {}
        }
        pair.now += Duration::from_millis(1);
    }
    seen
}

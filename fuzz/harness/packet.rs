//! Any bytes as announcement, probe, answer and raw datagram, then sealed as if by a member.
//!
//! What must hold: nothing panics; what is understood can be said again and is understood alike; no
//! answer is longer than its probe; raw bytes admit nobody; a genuine sender takes at most one row.

#[path = "toy_suite.rs"]
mod toy_suite;

use announce::answerer::{Answerer, State};
use announce::reception::{Reception, Settings};
use announce::{Announcement, Answer, Contact, Probe, Reservations};
use base::{AddrBlocks, Boot, Instant, MachineId};
use candidacy::Report;
use seal::{ClusterKey, MAX_DATAGRAM, OVERHEAD, Purpose, Sealer, Speaker};
use toy_suite::Toy;

struct Idle;

impl State for Idle {
    fn report(&self, promised: u32) -> Report {
        Report { sequence: 1, in_flight: promised as u16, ..Report::default() }
    }
    fn service_micros(&self, route: u32) -> u32 {
        route
    }
    fn is_admitted(&self, _: &Speaker) -> bool {
        true
    }
}

pub fn run(data: &[u8]) {
    texts(data);
    raw(data);
    sealed(data);
}

fn texts(data: &[u8]) {
    if let Ok(decoded) = Announcement::decode(data) {
        let mut text = Vec::new();
        decoded.announcement.encode(&mut text);
        let again = Announcement::decode(&text).map(|again| again.announcement);
        assert_eq!(again.as_ref(), Ok(&decoded.announcement));
        let contact = decoded.announcement.contact.to_string();
        assert_eq!(contact.parse::<Contact>().as_ref(), Ok(&decoded.announcement.contact));
    }
    if let Ok(probe) = Probe::decode(data) {
        assert_eq!(Probe::decode(&probe.encode()), Ok(probe));
    }
    if let Ok(answer) = Answer::decode(data) {
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
}

fn speaker(n: u8) -> Speaker {
    Speaker { machine: MachineId([n; 16]), boot: Boot([n; 16]) }
}

fn key() -> ClusterKey {
    ClusterKey::from_bytes([3; 32])
}

fn accept() -> AddrBlocks {
    AddrBlocks(["127.0.0.0/8".parse().unwrap()].into())
}

fn reception() -> Reception<Toy> {
    let settings = Settings { me: speaker(1), accept: accept(), channel: 0, capacity: 4 };
    Reception::new(&Toy, &key(), settings)
}

fn answerer(n: u8) -> Answerer<Toy> {
    Answerer::new(&Toy, &key(), speaker(n), 1, accept(), 8, Reservations::new().1)
}

fn raw(data: &[u8]) {
    let (now, from) = (Instant::from_millis(5), "127.0.0.1:4445".parse().unwrap());
    let mut reception = reception();
    reception.handle_datagram(now, from, &mut data.to_vec(), &mut |out: &mut [u8]| out.fill(9));
    assert!(reception.poll_event().is_none() && reception.poll_transmit().is_none());
    let mut out = Vec::new();
    let outcome = answerer(1).handle_datagram(now, from, &mut data.to_vec(), &Idle, &mut out);
    assert!(outcome.is_err() && out.is_empty());
}

fn sealed(data: &[u8]) {
    if data.len() > MAX_DATAGRAM - OVERHEAD {
        return;
    }
    let from = "127.0.0.1:4445".parse().unwrap();
    let mut entropy = |out: &mut [u8]| out.fill(9);
    let (mut reception, mut answerer) = (reception(), answerer(2));
    for purpose in [Purpose::Announce, Purpose::Exchange] {
        let mut sealer = Sealer::new(&Toy, &key(), purpose, speaker(2), 0);
        let (mut now, mut bytes) = (Instant::from_millis(5), Vec::new());
        sealer.seal(data, &mut bytes);
        let mut answer = Vec::new();
        let length = bytes.len();
        if answerer.handle_datagram(now, from, &mut bytes.clone(), &Idle, &mut answer).is_ok() {
            assert!(answer.len() <= length);
        }
        reception.handle_datagram(now, from, &mut bytes, &mut entropy);
        for _ in 0..4 {
            while let Some(mut transmit) = reception.poll_transmit() {
                let mut answer = Vec::new();
                let asked = &mut transmit.bytes;
                if answerer.handle_datagram(now, from, asked, &Idle, &mut answer).is_ok() {
                    reception.handle_datagram(now, from, &mut answer, &mut entropy);
                }
            }
            while reception.poll_event().is_some() {}
            let Some(due) = reception.poll_timeout() else { break };
            now = due;
            reception.handle_timeout(now, &mut entropy);
        }
        assert!(reception.admitted() <= 1);
    }
}

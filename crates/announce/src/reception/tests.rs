//! A reception among honest, past, doubled and hostile senders.

use super::*;
use crate::answerer::{Answerer, State};
use crate::contact::Contact;
use crate::reservations::Reservations;
use crate::test_suite::{Ring, key, speaker};
use alloc::boxed::Box;
use candidacy::Report;
use seal::Sealer;
use std::format;
use std::vec;

const ME: u8 = 1;

fn at(millis: u64) -> Instant {
    Instant::from_millis(10_000 + millis)
}

struct Idle;

impl State for Idle {
    fn report(&self, promised: u32) -> Report {
        Report { sequence: 40, in_flight: promised as u16, ..Report::default() }
    }
    fn service_micros(&self, _: u32) -> u32 {
        0
    }
    fn is_admitted(&self, _: &Speaker) -> bool {
        false
    }
}

/// Another machine: what it announces, and how it answers while it is alive.
struct Machine {
    speaker: Speaker,
    address: SocketAddr,
    sealer: Sealer<Ring>,
    answerer: Answerer<Ring>,
    announcement: Announcement,
    alive: bool,
}

impl Machine {
    fn new(machine: u8, boot: u8, host: u8) -> Self {
        let speaker = speaker(machine, boot);
        let (_, granter) = Reservations::new();
        let mut announcement = Announcement::new(format!("web{machine}"), Contact::here(8080));
        announcement.peer_port = 4446;
        announcement.exchange_port = 4446;
        Self {
            speaker,
            address: SocketAddr::from(([10, 0, 0, host], 4445)),
            sealer: Sealer::new(&Ring, &key(), Purpose::Announce, speaker, 0),
            answerer: Answerer::new(&Ring, &key(), speaker, 1, all(), 64, granter),
            announcement,
            alive: true,
        }
    }

    /// Its next announcement.
    fn announce(&mut self) -> Vec<u8> {
        self.announcement.sequence += 1;
        self.say()
    }

    /// The same announcement once more, as for another target.
    fn say(&mut self) -> Vec<u8> {
        let (mut text, mut out) = (Vec::new(), Vec::new());
        self.announcement.encode(&mut text);
        self.sealer.seal(&text, &mut out);
        out
    }

    fn exchange(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.announcement.exchange_port)
    }
}

fn all() -> AddrBlocks {
    AddrBlocks(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn entropy() -> impl Entropy {
    let mut random = base::Random::new(5);
    move |out: &mut [u8]| out.fill_with(|| random.next_u64() as u8)
}

type Bytes = Box<dyn FnMut(&mut [u8])>;

/// One reception, and the random bytes it draws.
struct World {
    reception: Reception<Ring>,
    entropy: Bytes,
    probes: usize,
}

impl World {
    fn new(capacity: usize) -> Self {
        let settings = Settings { me: speaker(ME, 1), accept: all(), channel: 3, capacity };
        let mut entropy = entropy();
        Self {
            reception: Reception::new(&Ring, &key(), settings),
            entropy: Box::new(move |out: &mut [u8]| entropy.fill(out)),
            probes: 0,
        }
    }

    fn hear(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.reception.handle_datagram(now, from, &mut bytes.to_vec(), &mut self.entropy);
    }

    /// Delivers probes to the machines and their answers back, until all is quiet.
    fn settle(&mut self, now: Instant, machines: &mut [&mut Machine]) -> Vec<Event> {
        while let Some(Transmit { to, mut bytes }) = self.reception.poll_transmit() {
            self.probes += 1;
            let target = machines.iter_mut().find(|m| m.alive && m.exchange() == to);
            let Some(machine) = target else { continue };
            let (from, mut answer) = ("10.0.0.250:9".parse().unwrap(), Vec::new());
            if machine.answerer.handle_datagram(now, from, &mut bytes, &Idle, &mut answer).is_ok() {
                self.hear(now, to, &answer);
            }
        }
        core::iter::from_fn(|| self.reception.poll_event()).collect()
    }

    /// Lets time pass until `end`, settling whatever becomes due.
    fn pass(&mut self, end: Instant, machines: &mut [&mut Machine]) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(due) = self.reception.poll_timeout().filter(|&due| due <= end) {
            self.reception.handle_timeout(due, &mut self.entropy);
            events.extend(self.settle(due, machines));
        }
        events
    }

    fn admit(&mut self, now: Instant, machine: &mut Machine) -> (Slot, u32) {
        let bytes = machine.announce();
        self.hear(now, machine.address, &bytes);
        match &self.settle(now, &mut [machine])[..] {
            [Event::Admitted { slot, epoch, .. }] => (*slot, *epoch),
            other => panic!("{other:?}"),
        }
    }

    fn refused(&self, reason: Refused) -> u64 {
        self.reception.counters().refused(reason)
    }
}

#[test]
fn a_machine_is_admitted_after_it_answered_our_number() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    let bytes = web2.announce();
    world.hear(at(0), web2.address, &bytes);
    assert_eq!(world.reception.poll_event(), None, "believed before it answered");
    let events = world.settle(at(1), &mut [&mut web2]);
    let [Event::Admitted { slot, epoch, speaker, replaces, report, announcement, whereabouts }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*slot, *epoch, *speaker, *replaces), (Slot(1), 2, web2.speaker, None));
    assert_eq!((report.sequence, &announcement.name[..]), (40, "web2"));
    assert_eq!(announcement.contact, "10.0.0.2:8080".parse().unwrap());
    assert_eq!(whereabouts.peer, Some("10.0.0.2:4446".parse().unwrap()));
    assert_eq!(world.reception.find(&web2.speaker), Some((Slot(1), 2)));
    let bytes = web2.announce();
    world.hear(at(1000), web2.address, &bytes);
    let events = world.settle(at(1000), &mut []);
    assert!(matches!(&events[..], [Event::Heard { slot: Slot(1), epoch: 2, .. }]), "{events:?}");
    assert_eq!((world.reception.counters().accepted, world.probes), (2, 1));
}

#[test]
fn a_recording_of_an_old_boot_is_worth_nothing() {
    let mut old = Machine::new(2, 1, 2);
    let recording: Vec<_> = (0..20).map(|_| old.announce()).collect();
    old.alive = false;
    let mut new = Machine::new(2, 2, 2);
    let mut world = World::new(8);
    let (slot, epoch) = world.admit(at(0), &mut new);
    for (n, bytes) in recording.iter().enumerate() {
        let now = at(n as u64 * 1000);
        world.hear(now, old.address, bytes);
        let events = world.pass(now + Duration::from_millis(999), &mut [&mut new]);
        assert!(events.is_empty(), "{events:?}");
    }
    assert_eq!(world.reception.find(&new.speaker), Some((slot, epoch)));
    assert!(world.probes <= 10, "{} probes for 20 recordings", world.probes);
    // The same when the machine is not there at all.
    let mut alone = World::new(8);
    for bytes in &recording {
        alone.hear(at(0), old.address, bytes);
        assert!(alone.pass(at(5000), &mut []).is_empty());
    }
    assert_eq!(alone.reception.admitted(), 0);
}

#[test]
fn a_replay_within_a_boot_changes_nothing() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    world.admit(at(0), &mut web2);
    let bytes = web2.announce();
    world.hear(at(1000), web2.address, &bytes);
    assert_eq!(world.settle(at(1000), &mut []).len(), 1);
    for _ in 0..100 {
        world.hear(at(1001), web2.address, &bytes);
    }
    assert!(world.settle(at(1001), &mut [&mut web2]).is_empty());
    assert_eq!(world.refused(Refused::Replayed), 100);
}

#[test]
fn a_recorded_answer_admits_nobody() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    let bytes = web2.announce();
    world.hear(at(0), web2.address, &bytes);
    let mut probe = world.reception.poll_transmit().unwrap().bytes;
    let (from, mut answer) = ("10.0.0.250:9".parse().unwrap(), Vec::new());
    web2.answerer.handle_datagram(at(0), from, &mut probe, &Idle, &mut answer).unwrap();
    // Played to a reception that drew another number.
    let mut later = World::new(8);
    later.entropy = Box::new(|out: &mut [u8]| out.fill(0xee));
    let bytes = web2.announce();
    later.hear(at(0), web2.address, &bytes);
    later.hear(at(0), web2.address, &answer);
    web2.alive = false;
    assert!(later.settle(at(0), &mut [&mut web2]).is_empty());
    assert_eq!((later.refused(Refused::Unasked), later.reception.admitted()), (1, 0));
}

#[test]
fn the_same_announcement_by_another_way_is_a_duplicate() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    world.admit(at(0), &mut web2);
    let (first, second) = (web2.announce(), web2.say());
    world.hear(at(1000), web2.address, &first);
    world.hear(at(1000), "[fd00::2]:4445".parse().unwrap(), &second);
    assert_eq!(world.settle(at(1000), &mut []).len(), 1);
    assert_eq!(world.refused(Refused::Duplicate), 1);
}

#[test]
fn a_machine_that_starts_anew_keeps_its_row_under_a_new_epoch() {
    let (mut world, mut old) = (World::new(8), Machine::new(2, 1, 2));
    let (slot, epoch) = world.admit(at(0), &mut old);
    let late = old.announce();
    old.alive = false;
    let mut new = Machine::new(2, 2, 2);
    let bytes = new.announce();
    world.hear(at(500), new.address, &bytes);
    let events = world.settle(at(500), &mut [&mut old, &mut new]);
    let [Event::Admitted { slot: row, epoch: now, replaces, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*row, *replaces), (slot, Some(old.speaker.boot)));
    assert!(*now > epoch);
    // A last word of the old boot arrives late.
    world.hear(at(501), old.address, &late);
    assert!(world.pass(at(5000), &mut [&mut new]).is_empty());
    assert_eq!(world.reception.find(&old.speaker), None);
    assert_eq!(world.reception.find(&new.speaker), Some((slot, *now)));
}

#[test]
fn a_machine_that_starts_anew_elsewhere_waits_until_the_old_boot_is_silent() {
    let (mut world, mut old) = (World::new(8), Machine::new(2, 1, 2));
    world.admit(at(0), &mut old);
    old.alive = false;
    let mut new = Machine::new(2, 2, 77);
    let bytes = new.announce();
    world.hear(at(500), new.address, &bytes);
    assert!(world.settle(at(500), &mut [&mut old, &mut new]).is_empty());
    let events = world.pass(at(2000), &mut [&mut old, &mut new]);
    assert!(matches!(&events[..], [Event::Admitted { replaces: Some(_), .. }]), "{events:?}");
}

#[test]
fn two_live_boots_of_one_machine_are_noticed_and_the_first_stays() {
    let (mut world, mut first, mut second) =
        (World::new(8), Machine::new(2, 1, 2), Machine::new(2, 2, 3));
    let (slot, _) = world.admit(at(0), &mut first);
    let mut complaints = 0;
    for second_of_time in 0..9 {
        let now = at(100 + second_of_time * 1000);
        let bytes = second.announce();
        world.hear(now, second.address, &bytes);
        let mut events = world.settle(now, &mut [&mut first, &mut second]);
        events.extend(world.pass(now + Duration::from_millis(900), &mut [&mut first, &mut second]));
        for event in events {
            match event {
                Event::TwoBoots { machine, admitted, refused, .. } => {
                    complaints += 1;
                    assert_eq!(machine, first.speaker.machine);
                    assert_eq!(admitted, (first.speaker.boot, first.address));
                    assert_eq!(refused, (second.speaker.boot, second.address));
                }
                Event::Answered { slot: who, .. } => assert_eq!(who, slot),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(complaints, 1, "said once in a while, not each second");
    assert!(world.reception.find(&first.speaker).is_some());
}

#[test]
fn an_answer_given_before_the_old_boot_ended_does_not_count_against_the_new() {
    let (mut world, mut old) = (World::new(8), Machine::new(2, 1, 2));
    let (slot, _) = world.admit(at(0), &mut old);
    assert!(world.reception.probe(at(100), slot, &mut world.entropy));
    let Transmit { mut bytes, .. } = world.reception.poll_transmit().unwrap();
    let (from, mut late) = ("10.0.0.250:9".parse().unwrap(), Vec::new());
    old.answerer.handle_datagram(at(100), from, &mut bytes, &Idle, &mut late).unwrap();
    old.alive = false;
    let mut new = Machine::new(2, 2, 77);
    let bytes = new.announce();
    world.hear(at(500), new.address, &bytes);
    assert!(world.settle(at(500), &mut [&mut old, &mut new]).is_empty());
    world.hear(at(510), old.exchange(), &late);
    let events = world.pass(at(2000), &mut [&mut old, &mut new]);
    assert!(matches!(&events[..], [Event::Answered { .. }, Event::Admitted { .. }]), "{events:?}");
}

#[test]
fn another_live_program_with_our_identity_is_noticed() {
    let (mut world, mut twin) = (World::new(8), Machine::new(ME, 2, 9));
    let bytes = twin.announce();
    world.hear(at(0), twin.address, &bytes);
    let events = world.settle(at(0), &mut [&mut twin]);
    let expected = Event::TwinOfUs { boot: twin.speaker.boot, from: twin.address };
    assert_eq!(events, [expected]);
    assert_eq!((world.refused(Refused::Double), world.reception.admitted()), (1, 0));
    // Our own earlier boot, recorded or still under way, is not alive and not worth a word.
    let mut before = Machine::new(ME, 7, 1);
    before.alive = false;
    let bytes = before.announce();
    world.hear(at(10), before.address, &bytes);
    assert!(world.pass(at(5000), &mut [&mut before]).is_empty());
}

#[test]
fn our_own_words_are_not_heard() {
    let (mut world, mut mirror) = (World::new(8), Machine::new(ME, 1, 1));
    let bytes = mirror.announce();
    world.hear(at(0), mirror.address, &bytes);
    assert!(world.settle(at(0), &mut [&mut mirror]).is_empty());
    assert_eq!((world.refused(Refused::Own), world.probes), (1, 0));
}

#[test]
fn what_comes_from_outside_the_blocks_is_not_even_opened() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    let bytes = web2.announce();
    world.hear(at(0), "192.0.2.2:4445".parse().unwrap(), &bytes);
    assert_eq!(world.refused(Refused::Blocked), 1);
    // The same packet from inside counts: nothing was remembered of it.
    world.hear(at(0), web2.address, &bytes);
    assert_eq!(world.settle(at(0), &mut [&mut web2]).len(), 1);
}

#[test]
fn a_flood_of_forgeries_changes_nothing_and_is_counted() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    world.admit(at(0), &mut web2);
    let genuine = web2.announce();
    let mut random = base::Random::new(3);
    for n in 0..20_000u32 {
        let mut forged = genuine.clone();
        match n % 4 {
            0 => forged[8..12].copy_from_slice(&n.to_be_bytes()), // another machine
            1 => forged[60] ^= 1 << (n / 4 % 8),                  // a bent byte
            2 => forged.truncate(random.below(64) as usize),
            _ => forged.fill_with(|| random.next_u64() as u8),
        }
        world.hear(at(500), web2.address, &forged);
    }
    assert!(world.settle(at(500), &mut [&mut web2]).is_empty());
    assert_eq!(world.probes, 1, "forgeries made us send");
    let torn_or_forged =
        [Refused::Torn, Refused::Forged, Refused::Busy].map(|why| world.refused(why));
    assert_eq!(torn_or_forged.iter().sum::<u64>(), 20_000);
    world.hear(at(501), web2.address, &genuine);
    assert_eq!(world.settle(at(501), &mut []).len(), 1, "the real one still counts");
}

#[test]
fn recordings_cannot_keep_a_live_machine_out() {
    let mut world = World::new(200);
    for boot in 0..NEWCOMERS_MAX as u8 + 40 {
        let mut past = Machine::new(100, boot, 100);
        let bytes = past.announce();
        world.hear(at(u64::from(boot) / 64), past.address, &bytes);
    }
    assert!(world.settle(at(2), &mut []).is_empty());
    assert_eq!(world.probes, NEWCOMERS_MAX, "the list is bounded");
    let mut live = Machine::new(2, 1, 2);
    let bytes = live.announce();
    world.hear(at(60), live.address, &bytes);
    assert_eq!(world.settle(at(60), &mut [&mut live]).len(), 1);
    world.pass(at(5000), &mut []);
    assert!(world.probes <= NEWCOMERS_MAX * usize::from(TRIES) + 1);
    assert_eq!(world.reception.poll_timeout(), None, "nothing is waited for any more");
}

#[test]
fn a_live_machines_own_packets_sent_again_from_elsewhere_cannot_keep_it_out() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    for n in 0..60 {
        let elsewhere = SocketAddr::from(([10, 9, 9, n % 3], 4445));
        let recorded = web2.announce();
        world.hear(at(u64::from(n) * 50), elsewhere, &recorded);
        world.pass(at(u64::from(n) * 50 + 40), &mut []);
    }
    world.admit(at(3000), &mut web2);
    assert_eq!(world.pass(at(9000), &mut [&mut web2]), []);
    assert_eq!(world.reception.poll_timeout(), None, "elsewhere it is waited for no longer");
}

#[test]
fn a_lost_probe_is_sent_again() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    web2.alive = false;
    let bytes = web2.announce();
    world.hear(at(0), web2.address, &bytes);
    assert!(world.settle(at(0), &mut [&mut web2]).is_empty());
    web2.alive = true;
    let events = world.pass(at(300), &mut [&mut web2]);
    assert!(matches!(&events[..], [Event::Admitted { .. }]), "{events:?}");
}

#[test]
fn without_an_exchange_port_there_is_no_admission() {
    let (mut world, mut mute) = (World::new(8), Machine::new(2, 1, 2));
    mute.announcement.exchange_port = 0;
    let bytes = mute.announce();
    world.hear(at(0), mute.address, &bytes);
    assert_eq!((world.reception.poll_transmit(), world.refused(Refused::Unadmitted)), (None, 1));
}

#[test]
fn when_all_rows_are_taken_it_is_said_once() {
    let mut world = World::new(3);
    let mut machines: Vec<_> = (2..=4).map(|n| Machine::new(n, 1, n)).collect();
    let (slot, _) = world.admit(at(0), &mut machines[0]);
    world.admit(at(0), &mut machines[1]);
    for n in 0..5 {
        let bytes = machines[2].announce();
        world.hear(at(n * 1000), machines[2].address, &bytes);
        let events = world.settle(at(n * 1000), &mut [&mut machines[2]]);
        let expected: &[Event] =
            &[Event::Full { speaker: machines[2].speaker, from: machines[2].address }];
        assert_eq!(events, if n == 0 { expected } else { &[] });
    }
    world.reception.release(slot);
    let later = at(4000) + COOLDOWN;
    let bytes = machines[2].announce();
    world.hear(later, machines[2].address, &bytes);
    let events = world.settle(later, &mut [&mut machines[2]]);
    assert!(matches!(&events[..], [Event::Admitted { slot: row, .. }] if *row == slot));
}

#[test]
fn a_newer_packet_version_is_read_in_part_and_said() {
    let (mut world, mut newer) = (World::new(8), Machine::new(2, 1, 2));
    newer.announcement.sequence = 1;
    let mut text = Vec::new();
    newer.announcement.encode(&mut text);
    text[0] = 7;
    text.extend_from_slice(&[200, 2, 1, 1]);
    let mut bytes = Vec::new();
    newer.sealer.seal(&text, &mut bytes);
    world.hear(at(0), newer.address, &bytes);
    let events = world.settle(at(0), &mut [&mut newer]);
    let said = Event::NewerVersion {
        speaker: newer.speaker,
        from: newer.address,
        version: 7,
        understood: true,
    };
    assert_eq!((&events[0], events.len()), (&said, 2));
    // One that needs a newer reader is refused, counted, and said once.
    let mut stranger = Machine::new(3, 1, 3);
    text[1] = 2;
    for n in 0..5 {
        stranger.sealer.seal(&text, &mut bytes);
        world.hear(at(n), stranger.address, &bytes);
    }
    let events = world.settle(at(5), &mut [&mut stranger]);
    assert!(
        matches!(&events[..], [Event::NewerVersion { version: 2, understood: false, .. }]),
        "{events:?}"
    );
    assert_eq!(world.refused(Refused::NewerVersion), 5);
}

#[test]
fn a_probed_member_tells_its_state_and_how_long_it_took() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    let (slot, epoch) = world.admit(at(0), &mut web2);
    assert!(world.reception.probe(at(100), slot, &mut world.entropy));
    let events = world.settle(at(103), &mut [&mut web2]);
    let [Event::Answered { slot: who, epoch: which, report, round_trip }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*who, *which, report.sequence), (slot, epoch, 40));
    assert_eq!(*round_trip, Duration::from_millis(3));
    assert!(!world.reception.probe(at(100), Slot(5), &mut world.entropy), "nobody there");
    // Answers that never come are forgotten.
    web2.alive = false;
    assert!(world.reception.probe(at(200), slot, &mut world.entropy));
    world.pass(at(200) + LATEST_ANSWER, &mut [&mut web2]);
    assert_eq!(world.reception.poll_timeout(), None);
}

#[test]
fn a_machine_with_two_interfaces_stays_where_it_was_admitted() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    world.admit(at(0), &mut web2);
    let other: SocketAddr = "10.9.9.9:4445".parse().unwrap();
    for n in 1..10 {
        // The other interface is always faster.
        let (first, second) = (web2.announce(), web2.say());
        world.hear(at(n * 1000), other, &first);
        world.hear(at(n * 1000), web2.address, &second);
        let events = world.settle(at(n * 1000), &mut [&mut web2]);
        let [Event::Heard { whereabouts, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(whereabouts.from, web2.address);
    }
}

#[test]
fn a_machine_that_moved_is_believed_after_it_answered_from_there() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    let (slot, epoch) = world.admit(at(0), &mut web2);
    web2.address = "10.0.0.99:4445".parse().unwrap();
    let bytes = web2.announce();
    world.hear(at(3500), web2.address, &bytes);
    assert_eq!(world.reception.poll_event(), None);
    let events = world.settle(at(3501), &mut [&mut web2]);
    let [Event::Heard { slot: who, epoch: which, whereabouts, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*who, *which), (slot, epoch));
    assert_eq!(whereabouts.exchange, "10.0.0.99:4446".parse().unwrap());
    // And probed there from now on.
    assert!(world.reception.probe(at(3600), slot, &mut world.entropy));
    assert_eq!(world.settle(at(3600), &mut [&mut web2]).len(), 1);
}

#[test]
fn peers_are_found_at_a_stated_address_and_plain_machines_have_none() {
    let (mut world, mut web2) = (World::new(8), Machine::new(2, 1, 2));
    web2.announcement.address = Some("10.5.5.5".parse().unwrap());
    let whereabouts = Whereabouts::of(&web2.announcement, web2.address).unwrap();
    assert_eq!(whereabouts.peer, Some("10.5.5.5:4446".parse().unwrap()));
    assert_eq!(whereabouts.exchange, "10.5.5.5:4446".parse().unwrap());
    web2.announcement.address = None;
    web2.announcement.plain = true;
    let bytes = web2.announce();
    world.hear(at(0), web2.address, &bytes);
    let events = world.settle(at(0), &mut [&mut web2]);
    assert!(matches!(&events[..], [Event::Admitted { whereabouts: w, .. }] if w.peer.is_none()));
}

//! Announcements there and back, cut, bent, repeated, and from the future.

use super::*;
use crate::packet::{TEXT_MAX, Turnaround};
use proptest::prelude::*;
use std::format;
use std::vec;

fn text(a: &Announcement) -> Vec<u8> {
    let mut out = Vec::new();
    a.encode(&mut out);
    out
}

fn smallest() -> Announcement {
    let mut a = Announcement::new("", "10.0.0.1:80".parse().unwrap());
    a.sequence = 1;
    a
}

fn any_contact() -> impl Strategy<Value = Contact> {
    let port = 1..=u16::MAX;
    prop_oneof![
        (any::<IpAddr>(), port.clone()).prop_map(|(ip, port)| Contact::Address((ip, port).into())),
        ("[a-z0-9][a-z0-9.-]{0,252}", port).prop_map(|(name, port)| Contact::Name { name, port }),
    ]
}

prop_compose! {
    fn any_announcement()(
        (sequence, report, interval_millis) in (1u64.., any::<u64>(), any::<u32>()),
        (name, program) in ("[^\\p{Cc}]{0,16}", "[^\\p{Cc}]{0,6}"),
        contact in any_contact(),
        address in proptest::option::of(any::<IpAddr>().prop_filter("reachable", is_reachable)),
        (peer_port, exchange_port, cpus_milli, arriba) in any::<(u16, u16, u32, u32)>(),
        (total_memory, available_memory, load_milli, load_high_water) in any::<(u64, u64, u32, u32)>(),
        (cpu_idle_permille, cpu, memory, io) in any::<(u16, Option<u16>, Option<u16>, Option<u16>)>(),
        (running_slots, ready_slots, in_flight, relaying, limit) in any::<(u32, u32, u32, u32, u32)>(),
        (count, mean_micros, p99_micros, plain) in any::<(u32, u32, u32, bool)>(),
        routes in proptest::collection::vec(any::<(u32, u32, u16)>(), 0..=ROUTES_MAX),
    ) -> Announcement {
        Announcement {
            sequence, report: Report::from_bits(report), interval_millis, name, program, contact, address, peer_port,
            exchange_port, cpus_milli, arriba, total_memory, available_memory, load_milli, load_high_water,
            cpu_idle_permille, pressure: Pressure { cpu, memory, io }, running_slots, ready_slots, in_flight,
            relaying, limit, turnaround: Turnaround { count, mean_micros, p99_micros }, plain,
            routes: routes.into_iter()
                .map(|(key, service_micros, in_flight)| RouteFigures { key, service_micros, in_flight })
                .collect(),
        }
    }
}

proptest! {
    #[test]
    fn an_announcement_survives_its_bytes(a in any_announcement()) {
        let bytes = text(&a);
        prop_assert!(bytes.len() <= TEXT_MAX);
        prop_assert_eq!(decode(&bytes), Ok(Decoded { announcement: a, version: VERSION }));
    }

    #[test]
    fn no_cut_announcement_reads_as_another_machine(a in any_announcement()) {
        let bytes = text(&a);
        for length in 0..bytes.len() {
            // A cut between two fields leaves a shorter packet; its seal would have noticed.
            if let Ok(decoded) = decode(&bytes[..length]) {
                prop_assert_eq!(&decoded.announcement.contact, &a.contact);
            }
        }
    }

    #[test]
    fn unknown_fields_are_stepped_over(
        a in any_announcement(),
        tag in tag::LAST + 1..,
        value in proptest::collection::vec(any::<u8>(), 0..=255),
        version in any::<u8>(),
    ) {
        let mut bytes = text(&a);
        bytes[0] = version;
        Writer(&mut bytes).bytes(tag, &value);
        Writer(&mut bytes).bytes(tag, &value);
        prop_assert_eq!(decode(&bytes), Ok(Decoded { announcement: a, version }));
    }

    #[test]
    fn bent_bytes_and_noise_never_panic(
        a in any_announcement(),
        flips in proptest::collection::vec(any::<prop::sample::Index>(), 1..8),
        noise in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = text(&a);
        for flip in flips {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for bytes in [&bytes[..], &noise] {
            if let Ok(decoded) = decode(bytes) {
                // What was understood can be said again and is understood alike.
                let again = decode(&text(&decoded.announcement)).map(|d| d.announcement);
                prop_assert_eq!(again, Ok(decoded.announcement));
            }
        }
    }
}

#[test]
fn the_largest_announcement_fits_a_datagram() {
    let a = Announcement {
        sequence: u64::MAX,
        report: Report::from_bits(u64::MAX),
        interval_millis: u32::MAX,
        name: "é".repeat(200),
        program: "9".repeat(200),
        contact: Contact::Name { name: "a".repeat(crate::contact::NAME_MAX), port: u16::MAX },
        address: Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        peer_port: u16::MAX,
        exchange_port: u16::MAX,
        cpus_milli: u32::MAX,
        arriba: u32::MAX,
        total_memory: u64::MAX,
        available_memory: u64::MAX,
        load_milli: u32::MAX,
        load_high_water: u32::MAX,
        cpu_idle_permille: u16::MAX,
        pressure: Pressure { cpu: Some(u16::MAX), memory: Some(u16::MAX), io: Some(u16::MAX) },
        running_slots: u32::MAX,
        ready_slots: u32::MAX,
        in_flight: u32::MAX,
        relaying: u32::MAX,
        limit: u32::MAX,
        turnaround: Turnaround { count: u32::MAX, mean_micros: u32::MAX, p99_micros: u32::MAX },
        plain: true,
        routes: vec![
            RouteFigures { key: u32::MAX, service_micros: u32::MAX, in_flight: u16::MAX };
            20
        ],
    };
    let bytes = text(&a);
    assert!(bytes.len() <= TEXT_MAX, "{} of {TEXT_MAX}", bytes.len());
    let decoded = decode(&bytes).unwrap().announcement;
    assert_eq!(decoded.routes.len(), ROUTES_MAX);
    assert_eq!(decoded.name, "é".repeat(NAME_MAX / 2), "cut between two characters");
    assert_eq!(decoded.program, "9".repeat(PROGRAM_MAX));
}

#[test]
fn a_newer_version_is_read_as_far_as_it_allows() {
    let mut bytes = text(&smallest());
    bytes[0] = 9;
    assert_eq!(decode(&bytes).unwrap().version, 9);
    bytes[1] = 2;
    assert_eq!(decode(&bytes), Err(Malformed::TooNew { needed: 2 }));
}

#[test]
fn what_is_wrong_is_named() {
    let whole = text(&smallest());
    let with = |tag: u8, value: &[u8]| {
        let mut bytes = whole.clone();
        Writer(&mut bytes).bytes(tag, value);
        decode(&bytes)
    };
    assert_eq!(decode(&[]), Err(Malformed::Cut));
    assert_eq!(decode(&[1, 1]), Err(Malformed::Missing { tag: tag::SEQUENCE }));
    let unnumbered = text(&Announcement { sequence: 0, ..smallest() });
    assert_eq!(decode(&unnumbered), Err(Malformed::Missing { tag: tag::SEQUENCE }));
    let zero = [&unnumbered[..], &[tag::SEQUENCE, 1, 0]].concat();
    assert_eq!(decode(&zero), Err(Malformed::Missing { tag: tag::SEQUENCE }));
    assert_eq!(decode(&whole[..whole.len() - 1]), Err(Malformed::Cut));
    assert_eq!(with(tag::SEQUENCE, &[2]), Err(Malformed::Repeated { tag: tag::SEQUENCE }));
    assert_eq!(with(tag::LIMIT, &[0; 9]), Err(Malformed::Field { tag: tag::LIMIT }));
    assert_eq!(with(tag::ADDRESS, &[224, 0, 0, 1]), Err(Malformed::Field { tag: tag::ADDRESS }));
    assert_eq!(with(tag::ADDRESS, &[0; 16]), Err(Malformed::Field { tag: tag::ADDRESS }));
    let program = Malformed::Field { tag: tag::PROGRAM };
    assert_eq!(with(tag::PROGRAM, b"1\n2"), Err(program));
    assert_eq!(with(tag::PROGRAM, &[b'1'; PROGRAM_MAX + 1]), Err(program));
    let twice = [&whole[..], &[tag::PROGRAM, 1, b'1', tag::PROGRAM, 1, b'2']].concat();
    assert_eq!(decode(&twice), Err(Malformed::Repeated { tag: tag::PROGRAM }));
    assert_eq!(with(tag::ROUTE, &[0; 9]), Err(Malformed::Field { tag: tag::ROUTE }));
    for name in [&b"web\r\n1"[..], b"\xff", &[b'a'; NAME_MAX + 1]] {
        let mut bytes = vec![1, 1];
        Writer(&mut bytes).bytes(tag::NAME, name);
        assert_eq!(decode(&bytes), Err(Malformed::Field { tag: tag::NAME }));
    }
    for contact in [&b"\0\x50"[..], b"\0\0www", b"\0\x50\0abc", b"\0\x50a b", b"\0"] {
        let mut bytes = vec![1, 1];
        Writer(&mut bytes).bytes(tag::CONTACT, contact);
        assert_eq!(decode(&bytes), Err(Malformed::Field { tag: tag::CONTACT }), "{contact:?}");
    }
}

#[test]
fn an_announcement_from_before_there_was_a_program_field_is_understood() {
    let old = text(&smallest());
    assert!(!Reader(&old[2..]).any(|field| field.unwrap().0 == tag::PROGRAM));
    assert_eq!(decode(&old).unwrap().announcement.program, "");
}

#[test]
fn no_pressure_is_told_from_pressure_that_is_not_known() {
    let pressure = Pressure { cpu: Some(9300), memory: Some(0), io: None };
    let read = decode(&text(&Announcement { pressure, ..smallest() })).unwrap().announcement;
    assert_eq!(read.pressure, pressure);
    assert_eq!(decode(&text(&smallest())).unwrap().announcement.pressure, Pressure::default());
}

#[test]
fn an_interval_is_taken_within_reason() {
    let mut a = smallest();
    for (millis, expected) in [(0, 1000), (1, 50), (250, 250), (u32::MAX, 60_000)] {
        a.interval_millis = millis;
        let read = decode(&text(&a)).unwrap().announcement;
        assert_eq!((read.interval_millis, read.interval().as_millis()), (millis, expected));
    }
}

#[test]
fn a_number_too_large_counts_as_the_largest() {
    let mut bytes = text(&smallest());
    Writer(&mut bytes).bytes(tag::PEER_PORT, &[1, 0, 0]);
    assert_eq!(decode(&bytes).unwrap().announcement.peer_port, u16::MAX);
}

#[test]
fn the_documented_example_is_what_is_written() {
    let mut a = Announcement::new("web1", "10.0.0.1:8080".parse().unwrap());
    a.sequence = 258;
    a.report = Report::from_bits(0x0000_0007_0003_0010);
    a.peer_port = 4446;
    a.cpus_milli = 2000;
    let hex: Vec<_> = text(&a).iter().map(|byte| format!("{byte:02x}")).collect();
    let documented = include_str!("../../../docs/announcement-packet.md");
    assert!(documented.contains(&hex.join(" ")), "the document lacks: {}", hex.join(" "));
}

//! Frames byte by byte, and all of them read again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use vip::announce::{Address, Announcement, Host, Kind as To, Why};
use vip::conflict::Claim;

use super::*;

const OWN: Mac = Mac([0x52, 0x54, 0, 1, 2, 3]);
const HOST: Mac = Mac([0x52, 0x54, 0, 9, 9, 9]);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456);

fn hex(frame: &Frame) -> String {
    frame.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a frame of ours means to whoever hears it on interface 3.
fn heard(frame: &Frame) -> (Kind, String, String) {
    let event = read(3, frame.as_bytes()).unwrap();
    assert_eq!((event.interface, event.from, event.mac), (3, OWN, OWN));
    (event.kind, event.sender.to_string(), event.target.to_string())
}

#[test]
fn arp_packets_are_what_the_standard_says() {
    let pad = "00".repeat(18);
    let header = "525400010203080600010800060400";
    let own = "5254000102030a00000a";
    assert_eq!(
        hex(&arp::gratuitous_request(OWN, VIP)),
        format!("ffffffffffff{header}01{own}0000000000000a00000a{pad}")
    );
    assert_eq!(
        hex(&arp::gratuitous_reply(OWN, VIP)),
        format!("ffffffffffff{header}02{own}5254000102030a00000a{pad}")
    );
    let host = Ipv4Addr::new(10, 0, 0, 1);
    assert_eq!(
        hex(&arp::directed_reply(OWN, VIP, host, Some(HOST))),
        format!("525400090909{header}02{own}5254000909090a000001{pad}")
    );
    assert_eq!(
        hex(&arp::directed_reply(OWN, VIP, host, None)),
        format!("ffffffffffff{header}02{own}ffffffffffff0a000001{pad}")
    );
    assert_eq!(
        hex(&arp::probe(OWN, VIP)),
        format!("ffffffffffff{header}0152540001020300000000000000000000{}{pad}", "0a00000a")
    );
}

#[test]
fn advertisements_are_what_the_standard_says() {
    let frame = discovery::advertisement(OWN, VIP6, false);
    let vip = "fd000000000000000000000000123456";
    let all_nodes = "ff020000000000000000000000000001";
    let bytes = hex(&frame);
    // Between them is the check sum, which reading verifies.
    let (before, after) = (bytes[..112].to_owned(), bytes[116..].to_owned());
    assert_eq!(before, format!("33330000000152540001020386dd6000000000203aff{vip}{all_nodes}8800"));
    assert_eq!(after, format!("20000000{vip}0201525400010203"));
    let router = discovery::advertisement(OWN, VIP6, true);
    assert_eq!(router.as_bytes()[58], 0xa0);
    let host = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    let directed = discovery::directed_advertisement(OWN, VIP6, false, host, HOST);
    assert_eq!(directed.as_bytes()[..6], HOST.0);
    assert_eq!(directed.as_bytes()[38..54], host.octets());
}

#[test]
fn a_question_in_ipv6_goes_to_those_whose_address_ends_alike() {
    let frame = discovery::probe(OWN, VIP6);
    assert_eq!(frame.as_bytes()[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
    assert_eq!(frame.as_bytes()[22..38], [0; 16]);
    let group: Ipv6Addr = "ff02::1:ff12:3456".parse().unwrap();
    assert_eq!(frame.as_bytes()[38..54], group.octets());
    assert_eq!(frame.as_bytes().len(), 78);
}

#[test]
fn what_we_say_is_understood() {
    let host = Ipv4Addr::new(10, 0, 0, 1);
    let all = |kind, sender: &str, target: &str| (kind, sender.to_owned(), target.to_owned());
    let (vip, six) = ("10.0.0.10", "fd00::12:3456");
    let announced = all(Kind::Announcement, vip, vip);
    assert_eq!(heard(&arp::gratuitous_request(OWN, VIP)), announced);
    assert_eq!(heard(&arp::gratuitous_reply(OWN, VIP)), announced);
    let directed = arp::directed_reply(OWN, VIP, host, None);
    assert_eq!(heard(&directed), all(Kind::Reply, vip, "10.0.0.1"));
    assert_eq!(heard(&arp::probe(OWN, VIP)), all(Kind::Probe, "0.0.0.0", vip));
    let advertised = all(Kind::Advertisement, six, six);
    assert_eq!(heard(&discovery::advertisement(OWN, VIP6, true)), advertised);
    assert_eq!(heard(&discovery::probe(OWN, VIP6)), all(Kind::Probe, "::", six));
}

#[test]
fn the_meaning_of_what_is_heard_is_who_has_or_wants_which_address() {
    let meaning = |frame: Frame| {
        let event = read(1, frame.as_bytes()).unwrap();
        (event.claim(), event.asks())
    };
    let (vip, six) = (IpAddr::from(VIP), IpAddr::from(VIP6));
    assert_eq!(meaning(probe(OWN, vip)), ((vip, Claim::Wants), None));
    assert_eq!(meaning(probe(OWN, six)), ((six, Claim::Wants), None));
    assert_eq!(meaning(defence(OWN, vip, false)), ((vip, Claim::Has), None));
    assert_eq!(meaning(defence(OWN, six, false)), ((six, Claim::Has), None));
    let mut request = arp::gratuitous_request(OWN, VIP).as_bytes().to_vec();
    request[41] = 99;
    let event = read(1, &request).unwrap();
    assert_eq!((event.kind, event.claim()), (Kind::Request, (vip, Claim::Has)));
    assert_eq!(event.asks(), Some([10, 0, 0, 99].into()));
}

#[test]
fn an_announcement_is_said_in_every_form_that_equipment_takes() {
    let said = |ip: IpAddr, kind| {
        let address = Address { interface: 3, ip };
        let mut out = Vec::new();
        announcement(&Announcement { address, kind, why: Why::First }, OWN, false, &mut out);
        out
    };
    let four = said(VIP.into(), To::Broadcast);
    assert_eq!(four, [arp::gratuitous_request(OWN, VIP), arp::gratuitous_reply(OWN, VIP)]);
    assert_eq!(said(VIP6.into(), To::Broadcast), [discovery::advertisement(OWN, VIP6, false)]);
    let host = Ipv4Addr::new(10, 0, 0, 1);
    let to = |mac, ping| To::Directed(Host { ip: host.into(), mac, ping });
    assert_eq!(said(VIP.into(), to(None, true)), [arp::directed_reply(OWN, VIP, host, None)]);
    let both = said(VIP.into(), to(Some(HOST), true));
    assert_eq!(both[0], arp::directed_reply(OWN, VIP, host, Some(HOST)));
    assert_eq!(Some(both[1]), ping(OWN, VIP.into(), host.into(), HOST));
    assert_eq!(said(VIP6.into(), to(Some(HOST), false)), [], "of the other family");
    let host: Ipv6Addr = "fd00::1".parse().unwrap();
    let six = To::Directed(Host { ip: host.into(), mac: Some(HOST), ping: true });
    let both = said(VIP6.into(), six);
    assert_eq!(both[0], discovery::directed_advertisement(OWN, VIP6, false, host, HOST));
    assert_eq!(both.len(), 2);
}

#[test]
fn a_router_says_in_every_advertisement_that_it_is_one() {
    let host: IpAddr = "fd00::1".parse().unwrap();
    let directed = To::Directed(Host { ip: host, mac: Some(HOST), ping: false });
    let address = Address { interface: 3, ip: VIP6.into() };
    for (router, flags) in [(false, 0x20), (true, 0xa0)] {
        let mut out = vec![defence(OWN, VIP6.into(), router)];
        for kind in [To::Broadcast, directed] {
            let said = Announcement { address, kind, why: Why::Refresh };
            announcement(&said, OWN, router, &mut out);
        }
        let said: Vec<u8> = out.iter().map(|frame| frame.as_bytes()[58]).collect();
        assert_eq!(said, [flags; 3]);
    }
}

#[test]
fn a_ping_is_the_historical_one() {
    let frame = ping(OWN, VIP.into(), [10, 0, 0, 1].into(), HOST).unwrap();
    let header = "4500001c00000000400166d70a00000a0a000001";
    assert_eq!(hex(&frame), format!("5254000909095254000102030800{header}0800fa01fefefefe"));
    assert_eq!(frame.as_bytes().len(), 42);
    assert_eq!(read(1, frame.as_bytes()), Err(Refused::Protocol));
    let six = ping(OWN, VIP6.into(), "fd00::1".parse().unwrap(), HOST).unwrap();
    assert_eq!(six.as_bytes().len(), 62);
    assert_eq!(read(1, six.as_bytes()), Err(Refused::Hops));
    assert_eq!(ping(OWN, VIP.into(), VIP6.into(), HOST), None);
}

/// Each byte at a place replaced, and what becomes of the frame.
fn with(frame: &Frame, changes: &[(usize, u8)]) -> Result<Event, Refused> {
    let mut bytes = frame.as_bytes().to_vec();
    changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
    read(1, &bytes)
}

#[test]
fn malformed_arp_is_refused_with_its_reason() {
    let frame = arp::gratuitous_request(OWN, VIP);
    for (at, byte, reason) in [
        (6, 1, Refused::Address),     // the Ethernet source is a group
        (12, 9, Refused::Protocol),   // neither ARP nor IPv6
        (15, 6, Refused::Hardware),   // another kind of hardware
        (16, 9, Refused::Hardware),   // not for IPv4
        (18, 8, Refused::Hardware),   // longer Ethernet addresses
        (19, 16, Refused::Hardware),  // longer addresses
        (21, 3, Refused::Operation),  // a reverse request
        (22, 0xff, Refused::Address), // the sender's Ethernet address is a group
        (28, 127, Refused::Address),  // this host as sender
        (28, 224, Refused::Address),  // a group as sender
        (38, 224, Refused::Address),  // a group as target
    ] {
        assert_eq!(with(&frame, &[(at, byte)]), Err(reason), "{at}");
    }
    let nobody = [(28, 0), (29, 0), (30, 0), (31, 0), (21, 2)];
    assert_eq!(with(&frame, &nobody), Err(Refused::Address), "nobody cannot reply");
    assert_eq!(read(1, &frame.as_bytes()[..41]), Err(Refused::Length));
    assert!(read(1, &frame.as_bytes()[..42]).is_ok(), "padding is not needed");
    assert_eq!(read(1, &[]), Err(Refused::Length));
}

#[test]
fn malformed_discovery_is_refused_with_its_reason() {
    let frame = discovery::advertisement(OWN, VIP6, false);
    for (at, byte, reason) in [
        (14, 0x40, Refused::Protocol), // not IPv6 after all
        (20, 17, Refused::Protocol),   // not ICMPv6
        (21, 254, Refused::Hops),      // through a router
        (19, 0x21, Refused::Length),   // longer than the frame
        (19, 0x10, Refused::Length),   // shorter than a message
        (56, 1, Refused::Checksum),
        (80, 1, Refused::Checksum),
    ] {
        assert_eq!(with(&frame, &[(at, byte)]), Err(reason), "{at}");
    }
    // From here on with the right check sum.
    let summed = |changes: &[(usize, u8)]| summed(&frame, changes);
    assert!(summed(&[]).is_ok());
    for (changes, reason) in [
        (&[(55, 1)][..], Refused::Operation), // another code
        (&[(54, 134)], Refused::Operation),   // an advertisement of a router
        (&[(22, 0xff)], Refused::Address),    // from a group
        (&[(62, 0xff)], Refused::Address),    // about a group
        (&[(58, 0x60)], Refused::Address),    // answers all
        (&[(79, 0)], Refused::Options),       // an option without length
        (&[(79, 2)], Refused::Options),       // an option that is cut
        (&[(80, 0xff)], Refused::Address),    // at a group
    ] {
        assert_eq!(summed(changes), Err(reason), "{changes:?}");
    }
    let other = summed(&[(78, 14)]).unwrap();
    assert_eq!(other.mac, OWN, "without the option the frame's source counts");
}

#[test]
fn a_question_by_nobody_must_be_asked_at_the_right_group() {
    let frame = discovery::probe(OWN, VIP6);
    assert!(summed(&frame, &[]).is_ok());
    assert_eq!(summed(&frame, &[(53, 0x57)]), Err(Refused::Address));
}

/// As `with`, and with the check sum made right again.
fn summed(frame: &Frame, changes: &[(usize, u8)]) -> Result<Event, Refused> {
    let mut bytes = frame.as_bytes().to_vec();
    changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
    (bytes[56], bytes[57]) = (0, 0);
    let ip = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap());
    let sum = checksum::of_icmpv6(ip(22), ip(38), &bytes[54..]);
    bytes[56..58].copy_from_slice(&sum.to_be_bytes());
    read(1, &bytes)
}

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(|[a, b, c, d, e, f]| Mac([a & 0xfe | 2, b, c, d, e, f]))
}

fn four() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 4]>().prop_map(|[a, b, c, d]| Ipv4Addr::new(1 + a % 126, b, c, d))
}

fn six() -> impl Strategy<Value = Ipv6Addr> {
    // Anything but a group, and not the few below ::2.
    any::<[u8; 16]>().prop_map(|bytes| Ipv6Addr::from(bytes.map(|byte| byte.max(1)))).prop_map(
        |ip| {
            if ip.is_multicast() { Ipv6Addr::from_bits(ip.to_bits() >> 1) } else { ip }
        },
    )
}

proptest! {
    #[test]
    fn what_was_built_is_read_back(own in mac(), host in mac(), a in four(), b in four(), c in six(), d in six()) {
        let event = |kind, sender: IpAddr, target: IpAddr| {
            Ok(Event { interface: 9, from: own, mac: own, sender, target, kind })
        };
        let is = |frame: Frame| read(9, frame.as_bytes());
        prop_assert_eq!(is(arp::gratuitous_request(own, a)), event(Kind::Announcement, a.into(), a.into()));
        prop_assert_eq!(is(arp::gratuitous_reply(own, a)), event(Kind::Announcement, a.into(), a.into()));
        let kind = if a == b { Kind::Announcement } else { Kind::Reply };
        prop_assert_eq!(is(arp::directed_reply(own, a, b, Some(host))), event(kind, a.into(), b.into()));
        prop_assert_eq!(is(arp::probe(own, a)), event(Kind::Probe, Ipv4Addr::UNSPECIFIED.into(), a.into()));
        prop_assert_eq!(is(discovery::advertisement(own, c, true)), event(Kind::Advertisement, c.into(), c.into()));
        let directed = discovery::directed_advertisement(own, c, false, d, host);
        prop_assert_eq!(is(directed), event(Kind::Advertisement, c.into(), c.into()));
        prop_assert_eq!(is(discovery::probe(own, c)), event(Kind::Probe, Ipv6Addr::UNSPECIFIED.into(), c.into()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let _ = read(1, &bytes);
    }

    #[test]
    fn a_frame_with_any_bytes_changed_is_read_or_refused(
        own in mac(),
        ip in six(),
        changes in proptest::collection::vec((12usize..86, any::<u8>()), 0..6),
        length in 0usize..90,
    ) {
        for frame in [discovery::advertisement(own, ip, false), arp::gratuitous_reply(own, VIP)] {
            let mut bytes = frame.as_bytes().to_vec();
            changes.iter().for_each(|(at, byte)| {
                if let Some(there) = bytes.get_mut(*at) { *there = *byte }
            });
            bytes.truncate(length);
            if let Ok(event) = read(1, &bytes) {
                prop_assert!(event.mac.is_station());
                prop_assert_eq!(event.sender.is_unspecified(), event.kind == Kind::Probe);
            }
        }
    }
}

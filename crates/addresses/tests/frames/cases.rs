//! What is tried on the cable.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use addresses::frames::{
    Event, Family, Heard, Hindrance, Kind, Mac, OpenError, PacketSocket, arp, discovery, probe,
};
use rustix::event::PollFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use vip::announce::Address;
use vip::conflict::{Action, Claim, Conflicts, Settings};

use crate::cable::{Far, hear, interface, ip, lay, open, ready, ready_any, send};

/// A test: its name as a sentence, and what happens inside.
pub(crate) type Case = (&'static str, fn());

/// All tests.
pub(crate) const CASES: &[Case] = &[
    ("linux_takes_both_gratuitous_forms_at_once", gratuitous),
    ("linux_takes_a_directed_reply_only_a_second_after_the_last_change", directed),
    ("linux_takes_an_advertisement_to_all_and_to_itself_at_once", advertised),
    ("who_asks_for_an_address_is_heard", asked),
    ("a_probe_is_answered_by_whoever_has_the_address", probed),
    ("asking_finds_who_has_an_address_and_what_is_free", taken_or_free),
    ("traffic_own_frames_and_other_networks_do_not_wake_us", quiet),
    ("a_link_that_goes_down_is_told_and_comes_back_by_itself", link),
    ("an_interface_that_does_not_exist_or_is_no_ethernet_is_named", absent),
    ("without_the_capability_the_remedy_is_named", forbidden),
    ("a_flood_is_taken_in_pieces", flood),
    ("a_runtime_can_wait_for_what_is_heard_and_for_the_link", awaited),
    ("a_thousand_addresses_are_announced_in_milliseconds", thousand),
];

const VIP: &str = "10.77.0.9";
const VIP6: &str = "fd77::9";

fn four(text: &str) -> std::net::Ipv4Addr {
    text.parse().unwrap()
}

fn six(text: &str) -> std::net::Ipv6Addr {
    text.parse().unwrap()
}

fn gratuitous() {
    let far = lay();
    let (socket, (_, own)) = (open("one", Family::Arp), interface("one"));
    for frame in [arp::gratuitous_request(own, four(VIP)), arp::gratuitous_reply(own, four(VIP))] {
        far.believe(VIP);
        send(&socket, &[frame]);
        far.learns(VIP, own);
    }
}

/// Waits until the far host has worked off what was sent before: it answers in order.
fn settle(socket: &mut PacketSocket, own: Mac) {
    send(socket, &[arp::probe(own, four("10.77.0.2"))]);
    hear(socket, |event| event.kind == Kind::Reply);
}

fn directed() {
    let far = lay();
    let (mut socket, (_, own)) = (open("one", Family::Arp), interface("one"));
    let mac = far.run(|| interface("two").1);
    let told = arp::directed_reply(own, four(VIP), four("10.77.0.2"), Some(mac));
    // With ff:ff:ff:ff:ff:ff as target even sender = target is an ordinary reply for Linux.
    let historical = arp::directed_reply(own, four(VIP), four(VIP), None);
    for frame in [told, historical] {
        far.believe(VIP);
        send(&socket, &[frame]);
        settle(&mut socket, own);
        assert_ne!(far.believes(VIP), own.to_string(), "the entry changed just now");
        // The lock time has no event to wait for, so it is tried until it is over.
        let begin = Instant::now();
        while far.believes(VIP) != own.to_string() {
            assert!(begin.elapsed() < Duration::from_secs(10));
            send(&socket, &[frame]);
            settle(&mut socket, own);
        }
        eprintln!("an ordinary reply was taken after {:?}", begin.elapsed());
        assert!(begin.elapsed() > Duration::from_millis(500));
    }
}

fn advertised() {
    let far = lay();
    let (socket, (_, own)) = (open("one", Family::Discovery), interface("one"));
    let (host, mac) = (six("fd77::2"), far.run(|| interface("two").1));
    let directed = discovery::directed_advertisement(own, six(VIP6), false, host, mac);
    for frame in [discovery::advertisement(own, six(VIP6), false), directed] {
        far.believe(VIP6);
        send(&socket, &[frame]);
        far.learns(VIP6, own);
    }
}

/// A program on the far host that wants to send something to an address.
fn want(far: &Far, address: &'static str, from: &'static str) {
    far.run(move || {
        let socket = UdpSocket::bind((from.parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.send_to(b"?", (address.parse::<IpAddr>().unwrap(), 9)).unwrap();
    });
}

fn asked() {
    let far = lay();
    let mac = far.run(|| interface("two").1);
    let (number, _) = interface("one");
    let mut socket = open("one", Family::Arp);
    want(&far, VIP, "10.77.0.2");
    let event = hear(&mut socket, |event| event.asks() == Some(four(VIP).into()));
    let (sender, target) = (four("10.77.0.2").into(), four(VIP).into());
    let expected = Event { interface: number, from: mac, mac, sender, target, kind: Kind::Request };
    assert_eq!(event, expected);
    // The kernel joins the group of an address that we add, also without duplicate address detection.
    let mut socket = open("one", Family::Discovery);
    ip(&format!("addr add {VIP6}/128 dev one nodad"));
    want(&far, VIP6, "fd77::2");
    let event = hear(&mut socket, |event| event.asks() == Some(six(VIP6).into()));
    let (sender, target) = (six("fd77::2").into(), six(VIP6).into());
    let expected =
        Event { interface: number, from: mac, mac, sender, target, kind: Kind::Solicitation };
    assert_eq!(event, expected);
}

fn probed() {
    let far = lay();
    let mac = far.run(|| interface("two").1);
    let (_, own) = interface("one");
    for (family, ip) in [(Family::Arp, "10.77.0.2"), (Family::Discovery, "fd77::2")] {
        let ip: IpAddr = ip.parse().unwrap();
        let mut socket = open("one", family);
        send(&socket, &[probe(own, ip)]);
        let (claimed, event) = loop {
            let event = hear(&mut socket, |event| event.mac == mac);
            if event.claim().0 == ip {
                break (event.claim().1, event);
            }
        };
        assert_eq!(claimed, Claim::Has, "{event:?}");
    }
}

fn taken_or_free() {
    let far = lay();
    let mac = far.run(|| interface("two").1);
    let (number, own) = interface("one");
    let mut sockets = [open("one", Family::Arp), open("one", Family::Discovery)];
    let mut conflicts = Conflicts::new(Settings::default());
    conflicts.set_ours([own]);
    let begin = Instant::now();
    let now = || base::Instant::from_millis(1000) + begin.elapsed();
    let at = |ip: &str| Address { interface: number, ip: ip.parse().unwrap() };
    for ip in ["10.77.0.2", "10.77.0.99", "fd77::2", "fd77::99"] {
        conflicts.probe(now(), at(ip));
    }
    let mut done = Vec::new();
    while done.len() < 4 {
        while let Some(action) = conflicts.poll(now()) {
            match action {
                Action::Ask(asked) => {
                    let socket = &sockets[usize::from(asked.ip.is_ipv6())];
                    send(socket, &[probe(own, asked.ip)]);
                }
                result => done.push(result),
            }
        }
        let due = conflicts.next_timeout().map(|due| due.since(now()));
        ready_any(&sockets, due.unwrap_or_default());
        for socket in &mut sockets {
            let hear = |event: Event| {
                let (ip, claim) = event.claim();
                let address = Address { interface: event.interface, ip };
                conflicts.seen(now(), address, event.mac, claim);
            };
            socket.receive(hear).unwrap();
        }
    }
    eprintln!("all were answered after {:?}", begin.elapsed());
    let taken = |ip| Action::Taken { address: at(ip), mac, machine: None };
    for result in [taken("10.77.0.2"), taken("fd77::2")] {
        assert!(done[..2].contains(&result), "{done:?}");
    }
    for ip in ["10.77.0.99", "fd77::99"] {
        assert!(done[2..].contains(&Action::Free(at(ip))), "{done:?}");
    }
}

fn quiet() {
    let far = lay();
    let (_, own) = interface("one");
    let mut sockets = [open("one", Family::Arp), open("one", Family::Discovery)];
    // Both hosts learn each other first, so that traffic needs no question.
    let mac = far.run(|| interface("two").1);
    for (host, other) in [("10.77.0.2", "10.77.0.1"), ("fd77::2", "fd77::1")] {
        ip(&format!("neigh replace {host} lladdr {mac} dev one nud permanent"));
        far.run(move || {
            ip(&format!("neigh replace {other} lladdr {own} dev two nud permanent"));
        });
    }
    let far_mac = mac;
    far.run(move || {
        for (from, to) in [("10.77.0.2", "10.77.0.1"), ("fd77::2", "fd77::1")] {
            let from: IpAddr = from.parse().unwrap();
            let to: IpAddr = to.parse().unwrap();
            let socket = UdpSocket::bind((from, 0)).unwrap();
            // Nobody listens, so refusals come back, and they are errors of the next call.
            (0..1000).for_each(|_| _ = socket.send_to(b"traffic", (to, 9)));
        }
        tagged(far_mac);
    });
    send(&sockets[0], &[arp::gratuitous_request(own, four(VIP))]);
    send(&sockets[1], &[discovery::advertisement(own, six(VIP6), false)]);
    let woken = sockets.each_ref().map(|socket| ready(socket, PollFlags::IN, Duration::ZERO));
    // Now something that is meant for us: it is the first thing that is heard.
    far.run(move || {
        send(&open("two", Family::Arp), &[arp::gratuitous_request(far_mac, four("10.77.0.77"))]);
        let six = discovery::advertisement(far_mac, six("fd77::77"), false);
        send(&open("two", Family::Discovery), &[six]);
    });
    let first = sockets.each_mut().map(|socket| hear(socket, |_| true).target.to_string());
    assert_eq!(first, ["10.77.0.77", "fd77::77"]);
    assert_eq!(woken, [false, false]);
    assert_eq!(sockets.map(|socket| socket.refused()), [0, 0]);
}

/// Sends an announcement on VLAN 5, for which the near host has no interface.
fn tagged(own: Mac) {
    let plain = arp::gratuitous_request(own, four("10.77.0.55"));
    let (addresses, rest) = plain.as_bytes().split_at(12);
    let frame = [addresses, &[0x81, 0, 0, 5], rest].concat();
    let socket = socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, None).unwrap();
    let number = i32::try_from(interface("two").0).unwrap();
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: the storage is made for every address, and a `sockaddr_ll` is a plain C structure.
    #[allow(unsafe_code)]
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    (link.sll_family, link.sll_ifindex) = (libc::AF_PACKET as u16, number);
    // SAFETY: the storage holds a whole `sockaddr_ll`, whose length is given.
    #[allow(unsafe_code)]
    let place = unsafe {
        socket2::SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    };
    assert_eq!(socket.send_to(&frame, &place).unwrap(), 64);
}

fn link() {
    let far = lay();
    let (_, own) = interface("one");
    let mut socket = open("one", Family::Arp);
    let frame = arp::gratuitous_request(own, four(VIP));
    ip("link set one down");
    assert!(ready(&socket, PollFlags::IN, Duration::from_secs(5)), "going down wakes");
    assert_eq!(socket.receive(|_| {}).unwrap(), Heard::LinkDown);
    assert_eq!(socket.receive(|_| {}).unwrap(), Heard::All, "told once");
    assert!(matches!(socket.send(&[frame]), (0, Some(Hindrance::LinkDown))));
    ip("link set one up");
    far.believe(VIP);
    let begin = Instant::now();
    while far.believes(VIP) != own.to_string() {
        assert!(begin.elapsed() < Duration::from_secs(10));
        // The carrier may take a moment, and until then frames are lost.
        send(&socket, &[frame]);
    }
    // The far host's interface drops what it sends until the kernel has worked off that its carrier is back, at most once a second.
    let mut heard = false;
    while !heard {
        assert!(begin.elapsed() < Duration::from_secs(10), "the socket hears nothing any more");
        send(&socket, &[arp::probe(own, four("10.77.0.2"))]);
        ready(&socket, PollFlags::IN, Duration::from_millis(50));
        socket.receive(|event| heard |= event.kind == Kind::Reply).unwrap();
    }
    eprintln!("the far host was heard again after {:?}", begin.elapsed());
    ip("link del one");
    while socket.receive(|_| {}).unwrap() != Heard::LinkDown {
        assert!(ready(&socket, PollFlags::IN, Duration::from_secs(5)), "its end wakes");
    }
    assert!(matches!(socket.send(&[frame]), (0, Some(Hindrance::Gone))));
}

fn absent() {
    for number in [0, 99, u32::MAX] {
        let error = PacketSocket::open(number, Family::Arp).unwrap_err();
        assert!(matches!(error, OpenError::NoInterface { .. }), "{error:?}");
        assert!(error.to_string().contains(&number.to_string()));
    }
    // The first interface of every namespace is its loopback.
    let error = PacketSocket::open(1, Family::Discovery).unwrap_err();
    assert!(matches!(error, OpenError::NotEthernet { interface: 1, kind: 772 }), "{error:?}");
}

fn forbidden() {
    let nothing = rustix::thread::CapabilitySet::empty();
    let sets = rustix::thread::CapabilitySets {
        effective: nothing,
        permitted: nothing,
        inheritable: nothing,
    };
    rustix::thread::set_capabilities(None, sets).unwrap();
    let error = PacketSocket::open(1, Family::Arp).unwrap_err();
    assert!(matches!(error, OpenError::Permission { interface: 1 }), "{error:?}");
    assert!(error.to_string().contains("CAP_NET_RAW"));
}

fn flood() {
    let far = lay();
    let mut socket = open("one", Family::Arp);
    far.run(|| {
        let own = interface("two").1;
        send(&open("two", Family::Arp), &[arp::gratuitous_request(own, four(VIP)); 100]);
    });
    // Until all have come: what was sent last is heard last.
    let (mut heard, mut pieces) = (0, 0);
    while heard < 100 {
        assert!(ready(&socket, PollFlags::IN, Duration::from_secs(5)));
        let before = heard;
        let more = socket.receive(|_| heard += 1).unwrap();
        assert!(heard - before <= addresses::frames::RECEIVE_MAX);
        pieces += usize::from(more == Heard::More);
    }
    assert_eq!((heard, pieces), (100, 1));
}

fn awaited() {
    let far = lay();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let socket = open("one", Family::Arp);
        // A link that goes down is an error, which is not readable.
        let either = Interest::READABLE | Interest::ERROR;
        // SAFETY: the socket has one descriptor, open as long as it lives.
        #[allow(unsafe_code)]
        let socket = unsafe { AsyncFd::register_with_interest(socket, either) };
        let mut socket = socket.unwrap();
        for round in 0..3 {
            far.run(|| {
                let own = interface("two").1;
                send(&open("two", Family::Arp), &[arp::gratuitous_request(own, four(VIP))]);
            });
            let mut heard = 0;
            while heard == 0 {
                let mut ready = socket.ready_mut(either).await.unwrap();
                let end = ready.get_inner_mut().receive(|_| heard += 1).unwrap();
                if end == Heard::All {
                    ready.clear_ready();
                }
            }
            assert_eq!(heard, 1, "in round {round}");
        }
        ip("link set one down");
        loop {
            let mut ready = socket.ready_mut(either).await.unwrap();
            match ready.get_inner_mut().receive(|_| {}).unwrap() {
                Heard::LinkDown => break,
                _ => ready.clear_ready(),
            }
        }
    });
}

fn thousand() {
    let far = lay();
    let (_, own) = interface("one");
    let (arp, discovery) = (open("one", Family::Arp), open("one", Family::Discovery));
    let (mut fours, mut sixes) = (Vec::new(), Vec::new());
    for n in 0..1000u16 {
        let ip = std::net::Ipv4Addr::from_bits(0x0a4d_0000 + u32::from(n) + 256);
        fours.extend([arp::gratuitous_request(own, ip), arp::gratuitous_reply(own, ip)]);
        let ip = std::net::Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, n);
        sixes.push(discovery::advertisement(own, ip, false));
    }
    far.believe("10.77.4.231");
    far.believe("fd77::1:3e7");
    let begin = Instant::now();
    send(&arp, &fours);
    let after_four = begin.elapsed();
    send(&discovery, &sixes);
    eprintln!("1,000 IPv4 took {after_four:?}, 1,000 IPv6 {:?}", begin.elapsed() - after_four);
    far.learns("10.77.4.231", own);
    far.learns("fd77::1:3e7", own);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

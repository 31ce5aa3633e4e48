//! Adding, renewing, expiring, deleting.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use addresses::kernel::sysctl::Flux;
use addresses::kernel::{Address, Deleted, Event, Kernel, Lease, PROTOCOL, capabilities, sysctl};

use crate::stage::{add, cable, ip, lease, many, there, until, until_removed, watch};

/// How late the kernel may be with an expiry.
const LATE: Duration = Duration::from_millis(1_100);

pub(crate) fn runs_out() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel).index;
    let (v4, v6) = (many(eth, false, 3), many(eth, true, 3));
    let mut watch = watch();
    let start = Instant::now();
    let all = [v4, v6].concat();
    add(&mut kernel, &all, lease(1));
    assert_eq!(there(&mut kernel, &all).len(), 6);
    let after = until_removed(&mut watch, &all) - start;
    eprintln!("a lease of 1 s ran out after {after:?}");
    assert!(after >= Duration::from_millis(900), "{after:?}");
    assert!(after <= Duration::from_secs(1) + LATE + Duration::from_millis(100), "{after:?}");
    assert!(there(&mut kernel, &all).is_empty());
}

pub(crate) fn renewed() {
    let mut kernel = Kernel::open().unwrap();
    let all = [many(cable(&mut kernel).index, false, 2), many(cable(&mut kernel).index, true, 2)];
    let all = all.concat();
    add(&mut kernel, &all, lease(1));
    let mut watch = watch();
    // Longer than the lease and its lateness; a removal in between would be an event.
    let end = Instant::now() + Duration::from_millis(2_500);
    while Instant::now() < end {
        add(&mut kernel, &all, lease(1));
        let pause = Duration::from_millis(100);
        if crate::stage::readable(&watch, pause) {
            while let Some(event) = watch.next_event().unwrap() {
                assert!(!matches!(event, Event::AddressRemoved(_)), "{event:?}");
            }
        }
    }
    assert_eq!(there(&mut kernel, &all).len(), 4);
    assert!(there(&mut kernel, &all).iter().all(|held| held.valid == Some(1)));
    until_removed(&mut watch, &all);
}

pub(crate) fn marked() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel);
    let all = [many(eth.index, false, 1), many(eth.index, true, 1)].concat();
    // One that was there before, by hand, becomes ours when it is taken over.
    ip(&format!("addr add {}/32 dev {}", all[0].ip, eth.name));
    assert_eq!(there(&mut kernel, &all)[0].protocol.unwrap_or(0), 0);
    add(&mut kernel, &all, lease(5));
    for held in kernel.list().unwrap() {
        let ours = all.contains(&held.address);
        assert_eq!(held.protocol == Some(PROTOCOL), ours, "{held:?}");
        assert_eq!(held.is_ours(), ours);
        assert_eq!(held.valid.is_some(), ours, "the machine's own are there for good: {held:?}");
    }
}

pub(crate) fn missing() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel).index;
    let all = [many(eth, false, 2), many(eth, true, 2)].concat();
    add(&mut kernel, &all[1..3], lease(5));
    let outcome = kernel.delete(&all).unwrap().into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(outcome, [Deleted::Missing, Deleted::Gone, Deleted::Gone, Deleted::Missing]);
    let nowhere = Address { interface: 4_711, ..all[0] };
    assert_eq!(kernel.delete(&[nowhere]).unwrap(), [Ok(Deleted::Missing)]);
}

fn timed(kernel: &mut Kernel, addresses: &[Address], most: [Duration; 3]) {
    let mut took = [Duration::ZERO; 3];
    for (i, took) in took.iter_mut().enumerate() {
        let start = Instant::now();
        if i < 2 {
            add(kernel, addresses, lease(30));
            *took = start.elapsed();
            assert_eq!(there(kernel, addresses).len(), addresses.len());
        } else {
            let outcomes = kernel.delete(addresses).unwrap();
            *took = start.elapsed();
            assert!(outcomes.iter().all(|outcome| *outcome == Ok(Deleted::Gone)));
            assert!(there(kernel, addresses).is_empty());
        }
    }
    eprintln!("{} addresses: added, renewed, deleted in {took:?}", addresses.len());
    for (took, most) in took.iter().zip(most) {
        assert!(*took <= most, "{took:?} of {most:?}");
    }
}

/// Generous against what was measured: others may use the processors.
pub(crate) fn a_thousand() {
    let mut kernel = Kernel::open().unwrap();
    let all = many(cable(&mut kernel).index, false, 1_000);
    for _ in 0..3 {
        timed(&mut kernel, &all, [Duration::from_millis(300); 3]);
    }
}

pub(crate) fn two_hundred_of_six() {
    let mut kernel = Kernel::open().unwrap();
    let all = many(cable(&mut kernel).index, true, 200);
    for _ in 0..3 {
        timed(&mut kernel, &all, [Duration::from_secs(3); 3]);
    }
}

pub(crate) fn own_outcomes() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel);
    let good = many(eth.index, false, 2);
    let nowhere = Address { interface: 4_711, ..good[0] };
    let impossible = Address { prefix: 33, ..good[0] };
    let six = many(eth.index, true, 1)[0];
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", eth.name), "1").unwrap();
    let outcomes = kernel.add(&[good[0], nowhere, six, impossible, good[1]], lease(5)).unwrap();
    assert_eq!((&outcomes[0], &outcomes[4]), (&Ok(()), &Ok(())));
    let words = |i: usize| outcomes[i].clone().unwrap_err().to_string();
    assert!(words(1).contains("interface 4711") && words(1).contains("no such interface"));
    assert!(words(2).contains("disable_ipv6=0"), "{}", words(2));
    assert!(words(3).contains("1 to 32"), "{}", words(3));
    assert_eq!(there(&mut kernel, &good).len(), 2);
}

/// The other end of a cable of our own has the same address.
pub(crate) fn no_duplicates() {
    ip("link add near type veth peer name far");
    ip("link set near up");
    ip("link set far up");
    let mut kernel = Kernel::open().unwrap();
    let links = kernel.links().unwrap();
    let index = |name: &str| links.iter().find(|link| link.name == name).unwrap().index;
    let others = many(index("far"), true, 2);
    add(&mut kernel, &others, lease(30));
    // Asked for in the ordinary way it does not work, so somebody does answer.
    let mut asking = watch();
    ip(&format!("addr add {}/128 dev near", others[1].ip));
    until(
        &mut asking,
        "the finding of a duplicate",
        |event| matches!(event, Event::AddressAdded(held) if held.duplicate && !held.works()),
    );
    let ours = Address { interface: index("near"), ..others[0] };
    add(&mut kernel, &[ours], lease(30));
    let held = there(&mut kernel, &[ours])[0];
    assert!(!held.tentative && !held.duplicate && held.deprecated, "{held:?}");
    // By a socket of that interface, since it is a local address of two.
    assert!(UdpSocket::bind((ours.ip, 0)).is_ok());
    // The kernel finds out nothing later either: it would say so by an event.
    let mut watch = watch();
    add(&mut kernel, &[ours], lease(1));
    until(&mut watch, "the end of the lease", |event| match event {
        Event::AddressAdded(held) => {
            assert!(!held.duplicate && !held.tentative, "{held:?}");
            false
        }
        Event::AddressRemoved(held) => held.address == ours,
        _ => false,
    });
}

fn source_towards(to: IpAddr) -> IpAddr {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0_u8; 16].into() };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    socket.connect((to, 9)).unwrap();
    socket.local_addr().unwrap().ip()
}

/// A network without a gateway and multicast are where the first address of an interface counts, and the machine's own becomes the
/// second when it is set anew.
fn source_with(lease: Lease) -> Vec<IpAddr> {
    let mut kernel = Kernel::open().unwrap();
    ip("link add near type veth peer name far");
    ip("link set near up");
    ip("link set far up");
    let near = kernel.links().unwrap().into_iter().find(|link| link.name == "near").unwrap();
    let vip = Address { ip: "10.99.0.100".parse().unwrap(), prefix: 32, interface: near.index };
    let six = Address { ip: "2001:db8:9::100".parse().unwrap(), prefix: 128, ..vip };
    ip("addr add 2001:db8:9::5/64 dev near nodad");
    add(&mut kernel, &[vip, six], lease);
    ip("addr add 10.99.0.5/24 dev near");
    ip("route replace 203.0.113.0/24 dev near");
    ip("route replace 224.0.0.0/4 dev near");
    ip("route replace 192.0.2.0/24 via 10.99.0.9 dev near");
    ["10.99.0.9", "203.0.113.1", "239.1.2.3", "192.0.2.1", "2001:db8:9::200"]
        .map(|to| source_towards(to.parse().unwrap()))
        .to_vec()
}

pub(crate) fn no_source() {
    let sources = source_with(lease(30));
    let own: IpAddr = "10.99.0.5".parse().unwrap();
    assert_eq!(sources, [own, own, own, own, "2001:db8:9::5".parse().unwrap()]);
    // And yet it is one of this machine.
    UdpSocket::bind(("10.99.0.100", 0)).unwrap().connect("10.99.0.9:9").unwrap();
}

pub(crate) fn a_source() {
    let sources = source_with(Lease { source: true, ..lease(30) });
    assert_eq!(sources[1], "10.99.0.100".parse::<IpAddr>().unwrap());
}

pub(crate) fn promoted() {
    let mut kernel = Kernel::open().unwrap();
    ip("link add near type veth peer name far");
    ip("link set near up");
    let near = kernel.links().unwrap().into_iter().find(|link| link.name == "near").unwrap();
    std::fs::write("/proc/sys/net/ipv4/conf/near/promote_secondaries", "0").unwrap();
    assert!(sysctl::promote_secondaries("near").unwrap(), "it had to be set");
    assert!(!sysctl::promote_secondaries("near").unwrap(), "it was set already");
    let read = std::fs::read_to_string("/proc/sys/net/ipv4/conf/near/promote_secondaries");
    assert_eq!(read.unwrap().trim(), "1");
    let vip = Address { ip: "10.98.0.100".parse().unwrap(), prefix: 24, interface: near.index };
    let own = Address { ip: "10.98.0.5".parse().unwrap(), ..vip };
    let mut watch = watch();
    add(&mut kernel, &[vip], lease(1));
    ip("addr add 10.98.0.5/24 dev near");
    assert!(there(&mut kernel, &[own])[0].secondary);
    until_removed(&mut watch, &[vip]);
    assert!(!there(&mut kernel, &[own])[0].secondary, "it was promoted and is not gone");
}

pub(crate) fn without_power() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel).index;
    capabilities::drop_to_net_admin_and_raw(false).unwrap();
    assert_eq!(capabilities::missing(), None);
    add(&mut kernel, &many(eth, false, 1), lease(5));
    let nothing = rustix::thread::CapabilitySet::empty();
    let sets = rustix::thread::CapabilitySets {
        effective: nothing,
        permitted: nothing,
        inheritable: nothing,
    };
    rustix::thread::set_capabilities(None, sets).unwrap();
    let refused = kernel.add(&many(eth, false, 2), lease(5)).unwrap();
    let words = refused[1].clone().unwrap_err().to_string();
    assert!(words.contains("198.18.0.2/32") && words.contains("CAP_NET_ADMIN"), "{words}");
    assert!(capabilities::missing().unwrap().contains("CAP_NET_RAW"));
}

pub(crate) fn read_only() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel);
    let path = format!("/proc/sys/net/ipv4/conf/{}/promote_secondaries", eth.name);
    std::fs::write(&path, "0").unwrap();
    std::fs::write("/proc/sys/net/ipv4/conf/all/promote_secondaries", "0").unwrap();
    for words in ["--bind /proc/sys /proc/sys", "-o remount,ro,bind /proc/sys"] {
        assert!(Command::new("mount").args(words.split(' ')).status().unwrap().success());
    }
    let words = sysctl::promote_secondaries(&eth.name).unwrap_err().to_string();
    assert!(words.contains(&path) && words.contains("Read-only"), "{words}");
    assert!(words.contains("by its host") && words.contains("/32"), "{words}");
}

pub(crate) fn answering() {
    let mut kernel = Kernel::open().unwrap();
    let name = cable(&mut kernel).name;
    for (value, meaning) in [
        ("0", Flux::Everywhere),
        ("1", Flux::OwnOnly),
        ("2", Flux::OwnOnly),
        ("3", Flux::NotForHost),
        ("8", Flux::Never),
    ] {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/arp_ignore"), value).unwrap();
        assert_eq!(sysctl::arp_flux(&name).unwrap(), meaning);
    }
}

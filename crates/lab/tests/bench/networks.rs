//! Several networks, and clients and routers with neighbour tables of their own.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::{
    Cut, HostConfig, Lab, LabConfig, LabError, Leg, Mac, NeighbourState, NetworkConfig, Output,
    Place, Spawn,
};

use crate::support::{PATIENCE, Pair, SHORT, eventually, shell};

/// Three machines on three networks, the last of which only two have; a client each on the first and the second network, a
/// router on the first, and a client behind it.
pub(crate) fn config(config: LabConfig) -> LabConfig {
    LabConfig {
        interface: "fxp0".into(),
        networks: vec![NetworkConfig::new("fxp1"), NetworkConfig::new("fxp2").only([0, 2])],
        hosts: vec![HostConfig::on(0), HostConfig::on(1), HostConfig::on(0), HostConfig::behind(2)],
        ..config
    }
}

const CLIENT: Place = Place::Host(0);
const ROUTER: Place = Place::Host(2);
const BEHIND: Place = Place::Host(3);

/// Whether a connection from a place to an address comes about; somebody listens there.
fn reaches(lab: &Lab, from: Place, to: IpAddr, at: Place) -> bool {
    let listener = lab.listen(at, SocketAddr::new(to, 0)).unwrap();
    lab.connect_from(from, listener.local_addr().unwrap(), SHORT * 3).is_ok()
}

fn mac(lab: &Lab, place: Place, name: &str) -> Mac {
    let links = lab.links(place).unwrap();
    links.iter().find(|link| link.name == name).unwrap().mac.unwrap()
}

pub(crate) fn addresses_on_each(lab: &Lab) {
    let machine = lab.machine(2);
    for (network, interface, address) in
        [(0, "fxp0", "10.77.0.3"), (1, "fxp1", "10.78.1.3"), (2, "fxp2", "10.78.2.3")]
    {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(machine.address_on(network), Some(address));
        let held = lab.addresses(machine.place()).unwrap();
        let here: Vec<_> = held.iter().filter(|held| held.interface == interface).collect();
        assert!(
            here.iter().any(|held| held.address == address && held.valid.is_none()),
            "{held:?}"
        );
        let six = machine.address6_on(network).unwrap();
        assert!(here.iter().any(|held| held.address == six && !held.tentative), "{held:?}");
    }
    assert_eq!(lab.machine(1).address_on(2), None);
    let error = lab.machine(1).cut_on(2, Cut::Carrier).unwrap_err().to_string();
    assert!(error.contains("network 2"), "{error}");
    assert_eq!(shell(&lab.machine(1), "ls /proc/sys/net/ipv4/conf | grep -c fxp"), "2");
}

pub(crate) fn cut_alone(lab: &Lab) {
    let on = |network| {
        let address = |i: usize| lab.machine(i).address_on(network).unwrap();
        Pair::new(lab, [address(0), address(1)])
    };
    let (first, second) = (on(0), on(1));
    assert!(first.ping(b"first") && second.ping(b"second"));
    for cut in [Cut::PortMute, Cut::Deaf, Cut::Carrier] {
        lab.machine(0).cut_on(1, cut).unwrap();
        assert!(first.ping(b"whole") && !second.ping(b"cut"), "{cut:?}");
        lab.machine(0).heal_on(1).unwrap();
        eventually("the second network is back", || second.ping(b"healed"));
    }
    lab.machine(0).cut(Cut::PortMute).unwrap();
    assert!(!first.ping(b"cut") && !second.ping(b"cut"));
    lab.machine(0).heal().unwrap();
    eventually("both are back", || first.ping(b"healed") && second.ping(b"healed"));
    lab.cut(CLIENT, Some(0), Cut::Carrier).unwrap();
    assert!(!reaches(lab, CLIENT, lab.machine(0).address(), Place::Machine(0)));
    lab.heal(CLIENT, None).unwrap();
    eventually("so is the client", || {
        reaches(lab, CLIENT, lab.machine(0).address(), Place::Machine(0))
    });
}

pub(crate) fn neighbours_of_its_own(lab: &Lab) {
    let to = lab.machine(0).address();
    assert!(reaches(lab, CLIENT, to, Place::Machine(0)));
    let known = || lab.neighbours(CLIENT).unwrap().into_iter().find(|n| n.address == to);
    let entry = known().expect("the client has learned the machine");
    assert_eq!(
        (entry.interface.as_str(), entry.mac),
        ("eth0", Some(mac(lab, Place::Machine(0), "fxp0")))
    );
    assert!(!lab.neighbours(ROUTER).unwrap().iter().any(|n| n.address == to), "its own table");
    lab.flush_neighbours(CLIENT).unwrap();
    assert!(known().is_none_or(|entry| entry.mac.is_none()), "{:?}", known());
    assert!(reaches(lab, CLIENT, to, Place::Machine(0)));
    assert_eq!(known().unwrap().state, NeighbourState::Reachable);
    let here = lab.host_addresses(0)[0];
    assert!(lab.neighbours(Place::Machine(0)).unwrap().iter().any(|n| n.address == here));
}

pub(crate) fn through_a_router(lab: &Lab) {
    assert_eq!(lab.host_addresses(3)[0], IpAddr::from([10, 79, 3, 203]));
    for (to, via) in [
        (lab.machine(1).address(), Plan::ROUTER4),
        (lab.machine(1).address6_on(0).unwrap(), Plan::ROUTER6),
    ] {
        let via: IpAddr = via.parse().unwrap();
        let listener = lab.listen(Place::Machine(1), SocketAddr::new(to, 0)).unwrap();
        let stream = lab.connect_from(BEHIND, listener.local_addr().unwrap(), PATIENCE).unwrap();
        assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
        let knows = |place, address| {
            lab.neighbours(place).unwrap().iter().any(|n| n.address == address && n.mac.is_some())
        };
        assert!(knows(ROUTER, to), "the router has learned the machine");
        assert!(!knows(BEHIND, to), "the client behind it has not");
        assert!(knows(Place::Machine(1), via), "the machine has learned the router");
    }
    let shell = Spawn::new("sh").args(["-c", "uname -n; cat /proc/sys/net/ipv4/ip_forward"]);
    let process = lab.spawn_in(ROUTER, shell.stdout(Output::Pipe)).unwrap();
    let said: Vec<_> =
        BufReader::new(process.take_stdout().unwrap()).lines().map_while(Result::ok).collect();
    assert_eq!(said, ["h3", "1"]);
}

/// Where the router of these tests is on its network.
struct Plan;

impl Plan {
    const ROUTER4: &str = "10.77.0.202";
    const ROUTER6: &str = "fd77::ca";
}

/// An address that moves by hand, without a word: who knew the old place goes on asking there.
pub(crate) fn moved_address(lab: &Lab) {
    let address = IpAddr::from([10, 77, 0, 100]);
    let (one, two) = (Place::Machine(0), Place::Machine(1));
    let valid = Some(Duration::from_secs(100));
    lab.add_address(one, "fxp0", address, 32, valid).unwrap();
    let held = |place| lab.addresses(place).unwrap().into_iter().find(|h| h.address == address);
    let left = held(one).unwrap();
    assert_eq!((left.prefix, left.interface.as_str()), (32, "fxp0"));
    let life = left.valid.unwrap();
    assert!(life > Duration::from_secs(90) && life <= Duration::from_secs(100), "{life:?}");
    assert!(reaches(lab, BEHIND, address, one));
    lab.delete_address(one, "fxp0", address).unwrap();
    lab.add_address(two, "fxp0", address, 32, None).unwrap();
    assert_eq!((held(one), held(two).unwrap().valid), (None, None));
    let knows = || {
        let table = lab.neighbours(ROUTER).unwrap();
        table.iter().find(|n| n.address == address).and_then(|n| n.mac)
    };
    assert_eq!(knows(), Some(mac(lab, one, "fxp0")), "the router knows the old place");
    assert!(!reaches(lab, BEHIND, address, two));
    lab.flush_neighbours(ROUTER).unwrap();
    assert!(reaches(lab, BEHIND, address, two));
    assert_eq!(knows(), Some(mac(lab, two, "fxp0")));
    let error = lab.delete_address(one, "fxp0", address).unwrap_err().to_string();
    assert!(error.contains("10.77.0.100"), "{error}");
    let six: IpAddr = "fd77::100".parse().unwrap();
    lab.add_address(one, "fxp0", six, 128, valid).unwrap();
    // The kernel joins the group in which it is asked for an address a moment after it has the address, and who asked in
    // between asks again a second later.
    eventually("it is usable", || reaches(lab, BEHIND, six, one));
}

pub(crate) fn thousand_addresses(lab: &Lab) {
    for i in 0..500_u16 {
        let [high, low] = i.to_be_bytes();
        let four = IpAddr::from([10, 200, high, low]);
        lab.add_address(CLIENT, "eth0", four, 32, None).unwrap();
        let six = IpAddr::from([0xfdc8, 0, 0, 0, 0, 0, 0, i + 1]);
        lab.add_address(CLIENT, "eth0", six, 128, None).unwrap();
    }
    let held = lab.addresses(CLIENT).unwrap();
    assert!(held.len() >= 1000, "{}", held.len());
}

pub(crate) fn renamed_and_removed(lab: &Lab) {
    let (place, network) = (Place::Machine(0), 1);
    let names = || {
        let links = lab.links(place).unwrap().into_iter().filter(|link| link.passing);
        links.map(|link| link.name).collect::<Vec<_>>()
    };
    lab.rename_link(place, "fxp1", "lan0").unwrap();
    assert!(names().contains(&"lan0".into()) && !names().contains(&"fxp1".into()));
    let address = |i: usize| lab.machine(i).address_on(network).unwrap();
    let pair = Pair::new(lab, [address(0), address(1)]);
    lab.machine(0).cut_on(network, Cut::Dumb).unwrap();
    assert!(!pair.ping(b"cut under its new name"));
    lab.machine(0).heal_on(network).unwrap();
    eventually("it is healed", || pair.ping(b"healed"));
    lab.set_link(place, "lan0", false).unwrap();
    assert!(!names().contains(&"lan0".into()) && !pair.ping(b"down"));
    lab.machine(0).heal_on(network).unwrap();
    lab.set_link(place, "lan0", true).unwrap();
    eventually("it is up again", || pair.ping(b"up"));
    drop(pair);
    lab.remove_link(place, network).unwrap();
    assert!(!names().contains(&"lan0".into()));
    assert!(!lab.addresses(place).unwrap().iter().any(|held| held.address == address(0)));
    assert!(lab.remove_link(place, network).unwrap_err().to_string().contains("network 1"));
    assert!(lab.machine(0).cut_on(network, Cut::Carrier).is_err());
    lab.add_link(place, network).unwrap();
    assert!(names().contains(&"fxp1".into()));
    assert!(Pair::new(lab, [address(0), address(1)]).ping(b"new"));
    assert!(lab.add_link(place, network).is_err());
}

pub(crate) fn parted(lab: &Lab) {
    let [one, two, three] = [0, 1, 2].map(Place::Machine);
    let address = |i: usize| lab.machine(i).address();
    let pairs = [(0, 1), (0, 2), (1, 2)];
    let heard =
        || pairs.map(|(a, b)| reaches(lab, Place::Machine(a), address(b), Place::Machine(b)));
    // A neighbour that was asked for in vain is asked for again only after a second.
    let forget =
        || [one, two, three, CLIENT].iter().for_each(|p| lab.flush_neighbours(*p).unwrap());
    assert_eq!(heard(), [true; 3]);
    for (groups, expected) in [
        (vec![vec![one]], [false, false, true]),
        (vec![vec![one], vec![two]], [false; 3]),
        (vec![vec![one, two], vec![three]], [true, false, false]),
        (vec![vec![one, three, CLIENT]], [false, true, false]),
        (vec![], [true; 3]),
    ] {
        lab.part(0, &groups).unwrap();
        forget();
        assert_eq!(heard(), expected, "{groups:?}");
        let together = groups.iter().any(|group| group.contains(&CLIENT)) || groups.is_empty();
        assert_eq!(reaches(lab, CLIENT, address(0), one), together, "{groups:?}");
    }
    let second = [0, 1].map(|i| lab.machine(i).address_on(1).unwrap());
    lab.part(0, &[vec![one]]).unwrap();
    assert!(Pair::new(lab, second).ping(b"the other network is whole"));
    lab.machine(1).cut(Cut::PortMute).unwrap();
    lab.join(0).unwrap();
    forget();
    assert_eq!(heard(), [false, true, false], "what was cut stays cut");
    lab.machine(1).heal().unwrap();
    forget();
    assert_eq!(heard(), [true; 3]);
    assert!(lab.part(0, &[vec![one], vec![one]]).is_err());
    assert!(lab.part(2, &[vec![two]]).unwrap_err().to_string().contains("network 2"));
}

pub(crate) fn sysctls(lab: &Lab) {
    let name = "net.ipv4.conf.fxp0.arp_ignore";
    lab.set_sysctl(Place::Machine(0), name, "1").unwrap();
    let read = |i: usize| shell(&lab.machine(i), "cat /proc/sys/net/ipv4/conf/fxp0/arp_ignore");
    assert_eq!((read(0).as_str(), read(1).as_str()), ("1", "0"));
    for name in ["kernel.panic", "net/../kernel/panic", "net..ipv4", ""] {
        let refused = lab.set_sysctl(Place::Machine(0), name, "1");
        assert!(matches!(refused, Err(LabError::Config { .. })), "{name}");
    }
    let error = lab.set_sysctl(Place::Machine(0), "net.ipv4.no_such", "1").unwrap_err();
    assert!(error.to_string().contains("net.ipv4.no_such"), "{error}");
}

pub(crate) fn bad_configurations(config: fn() -> LabConfig) {
    let refused = |config: LabConfig| match Lab::start(config) {
        Err(LabError::Config { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let network = |name: &str| vec![NetworkConfig::new(name)];
    assert!(refused(LabConfig { interface: "a/b".into(), ..config() }).contains("interface"));
    assert!(refused(LabConfig { networks: network("eth0"), ..config() }).contains("interface"));
    let networks = vec![NetworkConfig::new("eth1").only([3])];
    assert!(refused(LabConfig { networks, ..config() }).contains("machine"));
    for leg in [Leg::Network(1), Leg::Behind(0), Leg::Behind(7)] {
        let hosts = vec![HostConfig { leg, gateways: Vec::new() }];
        assert!(refused(LabConfig { hosts, ..config() }).contains("of a host"), "{leg:?}");
    }
}

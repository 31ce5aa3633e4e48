//! Telling those who knew the old owner: frames that go to one host alone, as they are seen at that host and at others.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lab::{Cut, Mac, Place, TcpProbe};
use socket2::Socket;
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{BEHIND, PORT, ROUTER, Stand, WARM, v4, v6};

pub(crate) const TRIALS: &[Named] =
    &[("a_router_is_told_of_a_new_owner_that_never_spoke_with_it_and_so_are_listed_hosts", told)];

const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

/// What an ARP reply or a neighbour advertisement says, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    to: Mac,
    ip: IpAddr,
    /// Where that is.
    mac: Mac,
    /// Which host is told; in IPv6 nobody is named but by the frame.
    host: Option<IpAddr>,
}

impl Said {
    /// From a whole frame, if it is one of these.
    fn read(frame: &[u8]) -> Option<Self> {
        let mac = |at: usize| Some(Mac(frame.get(at..at + 6)?.try_into().ok()?));
        let v4 =
            |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
        let to = mac(0)?;
        match u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?) {
            ARP if frame.get(20..22)? == [0, 2] => {
                Some(Self { to, ip: v4(28)?.into(), mac: mac(22)?, host: Some(v4(38)?.into()) })
            }
            // An advertisement that nobody asked for, with its Ethernet address as the first option.
            IPV6 if frame.get(20) == Some(&58) && frame.get(54) == Some(&136) => {
                let asked = frame.get(58)? & 0x40 != 0;
                let ip = Ipv6Addr::from(<[u8; 16]>::try_from(frame.get(62..78)?).ok()?).into();
                (!asked && frame.get(78) == Some(&2)).then_some(Self {
                    to,
                    ip,
                    mac: mac(80)?,
                    host: None,
                })
            }
            _ => None,
        }
    }
}

/// Somebody who listens at a host.
struct Ears {
    sockets: [Socket; 2],
    heard: BTreeSet<Said>,
    /// How often the first address was announced to everybody, by whom.
    announced: Vec<Mac>,
}

impl Ears {
    fn at(stand: &Stand, host: usize) -> Self {
        let on = |kind| stand.lab.wire(Place::Host(host), "eth0", kind).unwrap();
        Self { sockets: [on(ARP), on(IPV6)], heard: BTreeSet::new(), announced: Vec::new() }
    }

    fn listen(&mut self) {
        let mut frame = [0; 2_048];
        for socket in &mut self.sockets {
            loop {
                match socket.read(&mut frame) {
                    Ok(length) => {
                        let Some(said) = Said::read(&frame[..length]) else { continue };
                        if said.ip == v4(1) && said.host == Some(v4(1)) {
                            self.announced.push(said.mac);
                        }
                        self.heard.insert(said);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("listening: {error}"),
                }
            }
        }
    }

    fn has(&self, is: impl Fn(&Said) -> bool) -> bool {
        self.heard.iter().any(is)
    }
}

fn told() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, [v4(1), v6(1)]);
    let listed = stand.lab.host_addresses(WARM)[0];
    let section = format!(
        "announce_every = \"1s\"\nshare_neighbours_every = \"1s\"\nnotify = [\"neighbours\", \"{listed}\"]\n\
         list = [[\"{}\", \"{}\"]]\n",
        v4(1),
        v6(1)
    );
    for i in stand.all() {
        let text = stand.with(i, &section);
        stand.start_as(i, &text, lab::Spawn::new(crate::support::PROGRAM));
    }
    stand.wait_until_whole(&stand.all());
    let old = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != old).collect();
    let routers: Vec<IpAddr> = stand.lab.host_addresses(ROUTER);

    // Somebody behind the router uses the addresses, and so the owner and the router learn of each other.
    for ip in [v4(1), v6(1)] {
        let probe = TcpProbe::new(Place::Host(BEHIND), (ip, PORT).into());
        let probe = probe.start(&stand.lab)?;
        stand.until("it is served through the router", || {
            probe.look(|trace| trace.tries().len() > trace.lost().count()).then_some(())
        });
        drop(probe.finish());
    }
    let knows = |i: usize| {
        let known = stand.lab.neighbours(Place::Machine(i)).unwrap();
        let known = known.iter().filter(|one| one.mac.is_some()).map(|one| one.address);
        known.filter(|ip| routers.contains(ip)).collect::<Vec<_>>()
    };
    assert_eq!(knows(old).len(), 2, "the owner knows the router by both: {:?}", knows(old));
    let here = stand.lab.links(Place::Host(ROUTER))?;
    let here = here.into_iter().find(|link| link.name == "eth0").and_then(|link| link.mac);
    let router = here.expect("it has a hardware address");

    // The owner samples its neighbours as often as it announces: when it has announced three times, it has told the others.
    let (mut at_router, mut at_listed) = (Ears::at(&stand, ROUTER), Ears::at(&stand, WARM));
    stand.until("it has announced three times", || {
        at_router.listen();
        (at_router.announced.len() >= 3).then_some(())
    });
    // From here on nothing that is for all hosts of IPv6 reaches the router: what it hears was meant for it.
    stand.lab.cut(Place::Host(ROUTER), None, Cut::Multicast)?;
    for i in &others {
        assert_eq!(knows(*i), Vec::<IpAddr>::new(), "m{} has spoken with the router", i + 1);
    }
    at_router.listen();
    at_router.heard.clear();
    at_listed.listen();
    at_listed.heard.clear();

    stand.kill(old);
    stand.wait_until_whole(&others);
    let new = stand.mac(stand.holder(&others, v4(1)).expect("one has it"));
    for ip in [v4(1), v6(1)] {
        stand.until(&format!("the router is told of {ip}"), || {
            at_router.listen();
            at_router
                .has(|said| said.to == router && said.ip == ip && said.mac == new)
                .then_some(())
        });
        stand.until(&format!("the router believes it of {ip}"), || {
            (stand.believes(ROUTER, ip) == Some(new)).then_some(())
        });
    }
    assert!(!at_router.has(|said| said.ip == v6(1) && said.to != router), "not only by name");
    stand.until("the listed host is told", || {
        at_listed.listen();
        at_listed
            .has(|said| said.ip == v4(1) && said.host == Some(listed) && said.mac == new)
            .then_some(())
    });
    // What is for the router goes to the router alone.
    assert!(!at_listed.has(|said| said.to == router), "{:?}", at_listed.heard);
    println!("told: at the router {:?}", at_router.heard);
    println!("told: at the listed host {:?}", at_listed.heard);
    stand.lab.heal(Place::Host(ROUTER), None)?;
    Ok(stand.all_live()?)
}

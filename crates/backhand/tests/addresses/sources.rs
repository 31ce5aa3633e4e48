//! A machine's own address beside those of the cluster: from which one it speaks to all others, and by which it is known.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lab::{Exit, Mac, Place, Signal, Spawn, Which};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{PORT, Stand, v4};
use crate::support::{PATIENCE, get};

pub(crate) const TRIALS: &[Named] = &[
    ("what_a_run_has_left_behind_is_not_what_the_next_one_speaks_from", left_behind),
    ("a_machine_whose_own_address_is_exchanged_speaks_to_all_from_the_new_one", exchanged),
    ("a_machine_whose_interface_goes_into_a_bridge_speaks_to_all_and_hears_them_there", bridged),
];

const IPV4: u16 = 0x0800;
/// The bus's usual group, and as the kernel lists it.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 48, 3);
const LISTED: &str = "0330C0EF";
/// It speaks to the group once a second at least.
const TIMES: usize = 3;
/// What is said where the bus goes with the machine.
const MOVED: &str = "the segment is heard and spoken to there now";

/// Who has sent a frame to the group, from which address.
fn sender(frame: &[u8]) -> Option<(Mac, Ipv4Addr)> {
    let v4 = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
    let mac = Mac(frame.get(6..12)?.try_into().ok()?);
    (frame.get(12..14)? == [8, 0] && v4(30)? == GROUP).then_some((mac, v4(26)?))
}

/// From which addresses machine `who` speaks to the group from now on, as machine `at` sees it.
fn speaks_from(stand: &Stand, who: usize, at: usize) -> BTreeSet<Ipv4Addr> {
    let mut socket = stand.lab.wire(Place::Machine(at), "eth0", IPV4).unwrap();
    let (who, mut times, mut from) = (stand.mac(who), 0, BTreeSet::new());
    let mut frame = [0; 2_048];
    stand.until("it has spoken to the group", || {
        loop {
            match socket.read(&mut frame) {
                Ok(length) => {
                    if let Some((mac, ip)) = sender(&frame[..length])
                        && mac == who
                    {
                        times += 1;
                        from.insert(ip);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("listening: {error}"),
            }
        }
        (times >= TIMES).then_some(())
    });
    from
}

/// By which address machine `i` knows itself.
fn known_by(stand: &Stand, i: usize) -> IpAddr {
    let at: SocketAddr = (stand.lab.machine(i).address(), PORT).into();
    stand.until("it shows its page", || {
        let mut stream = stand.lab.connect(at, Duration::from_secs(1)).ok()?;
        let page = get(&mut stream, at, "/backhand/status.json", "Connection: close\r\n").ok()?;
        let page: serde_json::Value = serde_json::from_slice(&page.body).ok()?;
        let mut rows = page["machines"].as_array()?.iter();
        let own = rows.find(|row| row["this"] == true)?["address"].as_str()?;
        Some(own.parse::<SocketAddr>().ok()?.ip())
    })
}

/// No machine has found that multicast does not come through.
fn nobody_complains(stand: &Stand) {
    for i in stand.all() {
        for words in ["cannot be sent through an interface", "by unicast but not by multicast"] {
            assert_eq!(stand.count(i, &[words]), 0, "m{} says so: {words}", i + 1);
        }
    }
}

fn left_behind() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, (1..=2).map(v4));
    stand.start(0);
    stand.wait_until_whole(&[0]);
    // Everything of the program dies, its guardian before it could do anything.
    let guardian = Which::Named("backhand-guard".to_owned());
    stand.lab.machine(0).signal_one(&guardian, Signal::STOP)?;
    stand.kill_all(0);
    assert!(!stand.held(0).is_empty(), "somebody has cleared it");
    stand.start(0);
    stand.wait_until_said(0, &["taken off", "has left it behind"]);
    stand.wait_until_whole(&[0]);
    // Another machine gets them all.
    stand.start(1);
    stand.wait_until_even(&[0, 1]);
    stand.vip(0, &["drain"]);
    stand.wait_until_whole(&[1]);
    for (who, other) in [(0, 1), (1, 0)] {
        let own = stand.lab.machine(who).address4();
        assert_eq!(speaks_from(&stand, who, other), BTreeSet::from([own]));
    }
    for i in stand.all() {
        assert_eq!(known_by(&stand, i), stand.lab.machine(i).address());
    }
    nobody_complains(&stand);
    Ok(stand.all_live()?)
}

/// The length of the network of machine `i`'s own address.
fn prefix(stand: &Stand, i: usize) -> u8 {
    let own = stand.lab.machine(i).address();
    let all = stand.lab.addresses(Place::Machine(i)).unwrap();
    all.iter().find(|held| held.address == own).expect("it has its own address").prefix
}

fn exchanged() -> Result<(), Failed> {
    let stand = Stand::new(2, 2);
    let (place, new) = (Place::Machine(0), Ipv4Addr::new(10, 77, 0, 51));
    let (old, prefix) = (stand.lab.machine(0).address4(), prefix(&stand, 0));
    assert_eq!(speaks_from(&stand, 0, 1), BTreeSet::from([old]));
    stand.lab.delete_address(place, "eth0", old.into())?;
    stand.lab.add_address(place, "eth0", new.into(), prefix, None)?;
    stand.wait_until_said(0, &[MOVED, &new.to_string()]);
    assert_eq!(speaks_from(&stand, 0, 1), BTreeSet::from([new]));
    stand.wait_until_even(&stand.all());
    nobody_complains(&stand);
    Ok(stand.all_live()?)
}

fn bridged() -> Result<(), Failed> {
    let stand = Stand::new(2, 2);
    let own = stand.lab.machine(0).address4();
    let prefix = prefix(&stand, 0);
    let goes = format!("address del {own}/{prefix} dev eth0");
    let comes = format!("address add {own}/{prefix} dev br9");
    let orders = ["link add br9 type bridge", "link set br9 up", "link set eth0 master br9"];
    for words in orders.into_iter().chain([goes.as_str(), comes.as_str()]) {
        let ip = Spawn::new("ip").args(words.split(' ')).cwd("/");
        let exit = stand.lab.machine(0).spawn(ip)?.wait_timeout(PATIENCE);
        assert_eq!(exit, Some(Exit::Code(0)), "ip {words}");
    }
    stand.wait_until_said(0, &[MOVED, "br9"]);
    assert_eq!(speaks_from(&stand, 0, 1), BTreeSet::from([own]));
    // Under each interface stand its groups.
    let joined = std::fs::read_to_string(format!("/proc/{}/net/igmp", stand.run(0).pid()))?;
    let (mut interface, mut at) = ("", Vec::new());
    for line in joined.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, name, ":", ..] => interface = name,
            [group, ..] if group == LISTED => at.push(interface),
            _ => {}
        }
    }
    assert_eq!(at, ["br9"], "{joined}");
    stand.wait_until_even(&stand.all());
    nobody_complains(&stand);
    Ok(stand.all_live()?)
}

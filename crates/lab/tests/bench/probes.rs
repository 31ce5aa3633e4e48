//! The probes, against services of the test's own whose faults are known.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lab::{
    Cut, Lab, Loss, Mac, NeighbourState, Outcome, OwnerProbe, PingProbe, Place, TcpProbe, TcpTrace,
};

use crate::support::eventually;

const PORT: u16 = 80;
const CLIENT: Place = Place::Host(0);
const ROUTER: Place = Place::Host(2);
const BEHIND: Place = Place::Host(3);
const FOUR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 100));

fn six() -> IpAddr {
    "fd77::100".parse().unwrap()
}

/// Lets a machine answer on all its addresses, those included that it is still to get.
fn serve(lab: &Lab, machine: usize, answer: fn(&mut TcpStream, &str)) {
    let name = lab.machine(machine).name().to_owned();
    let at = SocketAddr::new("::".parse().unwrap(), PORT);
    let listener = lab.listen(Place::Machine(machine), at).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            answer(&mut stream, &name);
        }
    });
}

fn named(stream: &mut TcpStream, name: &str) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request);
    let head = format!("HTTP/1.1 200 OK\r\nX-Served-By: {name}\r\nContent-Length: 2\r\n\r\nok");
    let _ = stream.write_all(head.as_bytes());
}

fn take(lab: &Lab, machine: usize, address: IpAddr) {
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    lab.add_address(Place::Machine(machine), "fxp0", address, prefix, None).unwrap();
}

fn leave(lab: &Lab, machine: usize, address: IpAddr) {
    lab.delete_address(Place::Machine(machine), "fxp0", address).unwrap();
}

fn tcp(from: Place) -> TcpProbe {
    TcpProbe::new(from, SocketAddr::new(FOUR, PORT))
}

/// Waits until a running probe has seen so many served promptly.
fn served(probe: &lab::Probing<TcpTrace>, count: usize) {
    eventually("connections are served", || {
        probe.look(|trace| trace.tries().iter().filter(|one| trace.is_prompt(one)).count()) >= count
    });
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn steady(lab: &Lab) {
    serve(lab, 0, named);
    for address in [FOUR, six()] {
        take(lab, 0, address);
        let probe = TcpProbe::new(BEHIND, SocketAddr::new(address, PORT)).start(lab).unwrap();
        served(&probe, 100);
        let trace = probe.finish();
        assert_eq!((trace.lost().count(), trace.not_tried()), (0, 0), "{trace}");
        let owners: Vec<_> = trace.owners().into_iter().map(|(_, owner)| owner).collect();
        assert_eq!(owners, ["m1"]);
        let starts = trace.tries().windows(2).map(|pair| pair[1].started - pair[0].started);
        let counted = trace.tries().len() as u64 + trace.missed;
        let whole = starts.sum::<Duration>().as_millis() as u64 / 5 + 1;
        assert!(whole.abs_diff(counted) <= 1, "{whole} slots, {counted} used or missed");
        let connected = |one: &lab::Try| one.connected.is_some_and(|at| at <= one.ended);
        assert!(trace.tries().iter().all(connected));
    }
}

pub(crate) fn late_is_not_lost(lab: &Lab) {
    serve(lab, 0, named);
    take(lab, 0, FOUR);
    let probe = tcp(CLIENT).start(lab).unwrap();
    served(&probe, 20);
    let left = Instant::now();
    lab.machine(0).cut(Cut::PortMute).unwrap();
    std::thread::sleep(ms(200));
    lab.machine(0).heal().unwrap();
    let back = Instant::now();
    eventually("it is served again", || probe.look(|t| t.first_success_after(back).is_some()));
    let trace = probe.finish();
    assert_eq!(trace.lost().count(), 0, "{trace}");
    let hole = trace.between(left + ms(10), back - ms(10));
    assert!(hole.late().count() > 10, "{hole}");
    assert!(hole.late().all(|one| one.ended - one.started > ms(800)));
    let pause = trace.longest_pause().unwrap();
    assert!(pause.length() >= ms(180) && pause.from < left + ms(250), "{trace}");
    assert!(trace.first_success_after(left + ms(20)).unwrap().started >= pause.until);
}

pub(crate) fn losses_by_kind(lab: &Lab) {
    take(lab, 0, FOUR);
    let run = |probe: TcpProbe, count: usize| {
        let probe = probe.start(lab).unwrap();
        eventually("some have ended", || probe.look(|trace| trace.tries().len()) >= count);
        probe.finish()
    };
    let all = |trace: &TcpTrace, loss: &Loss| {
        let wanted = Outcome::Lost(loss.clone());
        let others = trace.tries().iter().filter(|one| one.outcome != wanted).count();
        assert_eq!(others, 0, "{trace}");
    };
    all(&run(tcp(CLIENT), 10), &Loss::Refused);
    let nowhere = SocketAddr::new(IpAddr::from([192, 0, 2, 1]), PORT);
    all(&run(TcpProbe::new(CLIENT, nowhere), 10), &Loss::Unreachable);
    serve(lab, 0, |stream, _| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ntorn");
    });
    all(&run(tcp(CLIENT), 10), &Loss::Closed);
    // What is not read when the connection is closed makes the kernel reset it.
    serve(lab, 1, |stream, _| {
        let _ = stream.read(&mut [0]);
    });
    let second = SocketAddr::new(lab.machine(1).address(), PORT);
    all(&run(TcpProbe::new(CLIENT, second), 10), &Loss::ResetAfter);
    let mute = TcpProbe { patience: ms(700), ..tcp(CLIENT) };
    lab.machine(0).cut(Cut::Deaf).unwrap();
    let trace = run(mute, 100);
    all(&trace, &Loss::TimedOut);
    assert!(trace.tries().iter().all(|one| one.ended - one.started >= ms(700)));
    assert!(trace.longest_pause().unwrap().length() >= ms(400), "nothing counts but the bounds");
}

pub(crate) fn warm_and_cold(lab: &Lab) {
    serve(lab, 0, named);
    serve(lab, 1, named);
    take(lab, 0, FOUR);
    let (warm, cold) = (tcp(CLIENT), tcp(BEHIND).cold(ROUTER));
    let (warm, cold) = (warm.start(lab).unwrap(), cold.start(lab).unwrap());
    served(&warm, 50);
    served(&cold, 50);
    // Nobody says that the address has moved.
    lab.cut(Place::Machine(0), Some(0), Cut::PortMute).unwrap();
    let moved = Instant::now();
    take(lab, 1, FOUR);
    eventually("the cold client has followed", || {
        cold.look(|trace| trace.owners().last().is_some_and(|(_, owner)| owner == "m2"))
    });
    std::thread::sleep(ms(300));
    let (warm, cold) = (warm.finish(), cold.finish());
    assert_eq!(cold.not_cold, 0);
    let followed = cold.first_success_after(moved).unwrap();
    // A second later only if it has asked the old one in the moment between cut and move.
    assert!(followed.started - moved < ms(1300), "{cold}");
    assert_eq!(warm.first_success_after(moved + ms(5)), None, "the warm one asks the old place");
    assert_eq!(warm.owners().len(), 1);
    let table = lab.neighbours(CLIENT).unwrap();
    let entry = table.iter().find(|entry| entry.address == FOUR).unwrap();
    assert_ne!(entry.state, NeighbourState::Incomplete);
}

fn mac(lab: &Lab, machine: usize) -> Mac {
    let links = lab.links(Place::Machine(machine)).unwrap();
    links.iter().find(|link| link.name == "fxp0").unwrap().mac.unwrap()
}

pub(crate) fn owners_counted(lab: &Lab) {
    let (one, two) = (mac(lab, 0), mac(lab, 1));
    for address in [FOUR, six()] {
        let probe = OwnerProbe::new(CLIENT, address).start(lab).unwrap();
        let last = || probe.look(|t| t.questions().iter().rev().nth(1).map(|q| q.owners()));
        let all = |wanted: &[Mac]| Some(wanted.iter().copied().collect::<BTreeSet<_>>());
        eventually("nobody has it", || last() == all(&[]));
        take(lab, 0, address);
        eventually("one has it", || last() == all(&[one]));
        take(lab, 1, address);
        let began = Instant::now();
        eventually("two have it", || last() == all(&[one, two]));
        leave(lab, 0, address);
        let ended = Instant::now();
        eventually("the other has it", || last() == all(&[two]));
        leave(lab, 1, address);
        let gone = Instant::now();
        eventually("nobody has it again", || last() == all(&[]));
        let trace = probe.finish();
        let doubled = trace.doubled().unwrap();
        assert!(doubled.from + ms(250) > began && doubled.until < ended + ms(250), "{doubled:?}");
        assert!(trace.first_answer_of(two, began).unwrap() <= doubled.until + ms(250));
        assert!(trace.last_answer_of(two).unwrap() <= gone + ms(250));
        assert!(trace.last_answer_of(one).unwrap() <= ended + ms(250));
        assert!(trace.owners().len() >= 5, "{:?}", trace.owners());
        let both = trace.owners_between(doubled.from, doubled.until + ms(5));
        assert_eq!(both, BTreeSet::from([one, two]));
        assert!(trace.longest_silence().is_some());
    }
}

pub(crate) fn pings(lab: &Lab) {
    for address in [FOUR, six()] {
        take(lab, 0, address);
        let probe = PingProbe::new(BEHIND, address).start(lab).unwrap();
        let answered =
            |probe: &lab::Probing<lab::PingTrace>| probe.look(|t| t.pings().len() - t.lost());
        eventually("it is answered", || answered(&probe) >= 20);
        lab.machine(0).cut(Cut::Deaf).unwrap();
        let cut = Instant::now();
        std::thread::sleep(ms(150));
        lab.machine(0).heal().unwrap();
        let before = answered(&probe);
        eventually("it is answered again", || answered(&probe) > before + 20);
        let trace = probe.finish();
        assert_eq!(trace.repeated, 0);
        let pause = trace.longest_pause().unwrap();
        assert!(pause.length() >= ms(140) && pause.from < cut + ms(250), "{pause:?}");
        leave(lab, 0, address);
    }
}

pub(crate) fn out_of_bounds(lab: &Lab) {
    for probe in [
        TcpProbe { every: ms(0), ..tcp(CLIENT) },
        TcpProbe { patience: ms(100), ..tcp(CLIENT) },
        TcpProbe { path: "no slash".into(), ..tcp(CLIENT) },
        tcp(Place::Host(9)),
        tcp(CLIENT).cold(Place::Host(9)),
    ] {
        assert!(matches!(probe.start(lab), Err(lab::LabError::Config { .. })));
    }
    let elsewhere = OwnerProbe { interface: "fxp7".into(), ..OwnerProbe::new(CLIENT, FOUR) };
    let error = elsewhere.start(lab).unwrap_err().to_string();
    assert!(error.contains("fxp7"), "{error}");
}

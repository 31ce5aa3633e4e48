//! A thousand addresses, as one client of all of them sees them.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lab::{NeighbourRoom, PingProbe, PingTrace, Place, Probing};
use testkit::trial::Failed;

use crate::Named;
use crate::sizes::wide;
use crate::stand::{PORT, Stand, WARM, v6};
use crate::support::PATIENCE;

pub(crate) const TRIALS: &[Named] =
    &[("a_thousand_addresses_of_version_6_go_over_and_are_answered_for", thousand_of_six)];

/// Those that need more room in the neighbour table than the kernel has by itself: see [`may_make_room`].
pub(crate) const ROOMY: &[Named] =
    &[("a_client_with_a_thousand_neighbours_reaches_each_before_and_after_a_death", neighbours)];

/// How often each address is asked: several hundred at a time, so not too often.
const ASKED: Duration = Duration::from_millis(50);

/// Whether the limits of the kernel's only neighbour table can be raised here.
pub(crate) fn may_make_room() -> Result<(), String> {
    let limit = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";
    match OpenOptions::new().write(true).open(limit) {
        Ok(_) => Ok(()),
        Err(_) => Err(
            "only root of the first network namespace may raise the kernel's limit of neighbours"
                .into(),
        ),
    }
}

fn thousand_of_six() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, (1..=1000).map(v6));
    stand.start_all();
    let lost = stand.held(0);
    assert!(lost.len() > 300, "{}", lost.len());
    let asked: Vec<(IpAddr, Probing<PingTrace>)> = lost
        .iter()
        .map(|ip| {
            let probe = PingProbe { every: ASKED, ..PingProbe::new(Place::Host(WARM), *ip) };
            (*ip, probe.start(&stand.lab).unwrap())
        })
        .collect();
    let answered = |after: Instant| {
        asked.iter().filter(move |(_, probe)| {
            probe.look(|trace| {
                trace.pings().iter().any(|ping| ping.sent >= after && ping.answered.is_some())
            })
        })
    };
    let now = Instant::now();
    stand.until("each is answered for", || (answered(now).count() == lost.len()).then_some(()));
    let began = Instant::now();
    stand.kill(0);
    let others = [1, 2];
    // When each was first seen on an interface of another machine.
    let mut back: BTreeMap<IpAddr, Duration> = BTreeMap::new();
    stand.until("all are on other interfaces", || {
        let map = stand.map_of(&others);
        let now = began.elapsed();
        for ip in lost.iter().filter(|ip| map.contains_key(*ip)) {
            back.entry(*ip).or_insert(now);
        }
        (back.len() == lost.len()).then_some(())
    });
    stand.wait_until_whole(&others);
    // The guardian has long taken them off there: what answers from here on is another machine.
    let whole = Instant::now();
    stand.until_within(2 * PATIENCE, "each is answered for by another", || {
        (answered(whole).count() == lost.len()).then_some(())
    });
    let mut first_answers = Vec::new();
    for (_, probe) in asked {
        // Not to its end, for which each waits a while.
        let trace = probe.look(Clone::clone);
        let pings = trace.pings().iter();
        // The last one that nobody answered, and the first one after it.
        let silent =
            pings.clone().filter(|p| p.sent > began && p.sent < whole && p.answered.is_none());
        let silent = silent.map(|ping| ping.sent).next_back().unwrap_or(began);
        let again = pings.clone().filter(|p| p.sent > silent).find_map(|p| p.answered);
        first_answers.push(again.expect("it was answered").saturating_duration_since(began));
    }
    first_answers.sort();
    let (first, last) = (back.values().min().unwrap(), back.values().max().unwrap());
    println!(
        "{} of 1000 addresses of version 6 lost their holder: on other interfaces after {first:?} to {last:?}, answered for after {:?} to {:?} (asked each {ASKED:?})",
        lost.len(),
        first_answers.first().unwrap(),
        first_answers.last().unwrap(),
    );
    // Two seconds are aimed at; the rest is for machines that are busy.
    let last = *first_answers.last().unwrap();
    assert!(last < Duration::from_secs(6), "{last:?}");
    let took = each_is_served(&stand, lost.iter().copied());
    println!("and each served over TCP: {took:?} for all, one after the other");
    Ok(stand.all_live()?)
}

fn neighbours() -> Result<(), Failed> {
    let _room = NeighbourRoom::make(4000)?;
    let mut stand = wide(1000)?;
    let all = stand.shared.clone();
    let took = each_is_served(&stand, all.iter().copied());
    let known = stand.lab.neighbours(Place::Host(WARM))?;
    let known = known.iter().filter(|one| one.mac.is_some() && all.contains(&one.address)).count();
    assert_eq!(known, all.len(), "the client does not know them all");
    let lost = stand.held(2);
    let began = Instant::now();
    stand.kill(2);
    let whole = stand.wait_until_whole(&[0, 1]);
    let again = each_is_served(&stand, all.iter().copied());
    println!(
        "a client with {known} neighbours: each served once in {took:?}; {} moved in {whole:?}; each served again in {again:?}, {:?} after the death",
        lost.len(),
        began.elapsed()
    );
    Ok(stand.all_live()?)
}

/// A new connection of the warm host to each, with a request and its whole answer; how long that took for all.
fn each_is_served(stand: &Stand, all: impl Iterator<Item = IpAddr>) -> Duration {
    let began = Instant::now();
    for ip in all {
        let answer = ask(stand, ip).unwrap_or_else(|error| panic!("{ip}: {error}"));
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("here\n"),
            "{ip}: {answer}"
        );
    }
    began.elapsed()
}

fn ask(stand: &Stand, ip: IpAddr) -> Result<String, Box<dyn std::error::Error>> {
    let within = Duration::from_secs(5);
    let mut stream = stand.lab.connect_from(Place::Host(WARM), (ip, PORT).into(), within)?;
    stream.set_read_timeout(Some(within))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

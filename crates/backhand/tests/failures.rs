//! A machine is taken away under load, in every way the lab knows: no request is lost, and the machine is soon no longer chosen.
//!
//! Clients send `GET` at a steady rate to the machines that stay. The time until the dead machine is no longer chosen runs from the
//! fault to the beginning of the last request that was still meant for it, read to the millisecond from the access logs of the entries: a
//! request served by that machine, or one that had to be tried again. It is printed, not asserted, since times on a busy test machine are noise.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lab::{CgroupWish, Cut, Lab};
use support::{Cluster, PATIENCE};
use testkit::trial::{self, Failed};

/// The route under test sends to anyone, so that the dead machine would go on being chosen if nobody noticed.
const ANYONE: &str = "[[route]]\nname = \"anyone\"\nchain = [\"byAge 5\", \"byRandom\"]\n";
/// Clients at a time, half of them at each entry. So many that those who wait for the dead machine hardly thin out the load: with few, all
/// would soon be waiting, and nobody left to find out whether it is still chosen.
const CLIENTS: u32 = 240;
/// Time between two requests of one client. Together they make one every 2 ms, of which a third are meant for the machine under test.
const PAUSE: Duration = Duration::from_millis(480);
/// Responses that a fault may catch between their first and their last byte: very few, as they are short.
const TORN_MAX: u64 = 4;

fn main() -> ExitCode {
    lab::init();
    let needs = Lab::available().map(drop).map_err(|why| why.to_string());
    let trial = |name: &str, run: fn() -> Result<(), Failed>| trial::trial(name, &needs, run);
    let trials = vec![
        trial("a_killed_machine_costs_no_request", || {
            loses_nothing("kill -9", |c| c.process(1).kill9().unwrap())
        }),
        trial("a_frozen_machine_costs_no_request", || {
            loses_nothing("SIGSTOP", |c| c.process(1).stop().unwrap())
        }),
        trial("a_pulled_cable_costs_no_request", || {
            loses_nothing("carrier down", |c| c.lab.machine(1).cut(Cut::Carrier).unwrap())
        }),
        trial("a_deaf_switch_port_costs_no_request", || {
            loses_nothing("port mute", |c| c.lab.machine(1).cut(Cut::PortMute).unwrap())
        }),
        trial("a_machine_that_returns_is_used_again", returns),
    ];
    // Beside each other they would measure one another.
    trial::run_in_turn(trials)
}

fn three_machines() -> Cluster {
    let mut cluster = Cluster::new(3, CgroupWish::No);
    let site = cluster.folder().join("site");
    std::fs::create_dir(&site).unwrap();
    std::fs::write(site.join("page"), vec![b'x'; 2000]).unwrap();
    let more = format!("{ANYONE}[local]\ndirectory = \"{}\"\n", site.display());
    (0..3).for_each(|i| {
        cluster.start(i, &more);
    });
    cluster.wait_until_known(&[0, 1, 2], 3);
    cluster
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    served: AtomicU64,
    by_victim: AtomicU64,
    /// Responses that began and did not end. The promise does not cover them: what a client has seen cannot be taken back.
    torn: AtomicU64,
}

/// Client number `n` sends requests at machine 0 or machine 2, both of which stay, until told to stop. Returns the first failure.
fn client(cluster: &Cluster, seen: &Seen, stop: &AtomicBool, n: u32) -> Result<(), String> {
    let host = cluster.entry(if n.is_multiple_of(2) { 0 } else { 2 });
    let connect = || cluster.lab.connect(host, PATIENCE).map_err(|e| e.to_string());
    let mut stream = connect()?;
    let mut due = Instant::now() + PAUSE / CLIENTS * n;
    while !stop.load(Relaxed) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += PAUSE;
        let answer = match support::get(&mut stream, host, "/page", "") {
            Ok(answer) => answer,
            Err(error) if error.kind() == support::TORN => {
                seen.torn.fetch_add(1, Relaxed);
                stream = connect()?;
                continue;
            }
            Err(error) => return Err(format!("a request was lost: {error}")),
        };
        if answer.status != 200 || answer.body.len() != 2000 {
            let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]);
            return Err(format!("a client was answered {}: {body}", answer.status));
        }
        seen.served.fetch_add(1, Relaxed);
        if answer.by() == "m2" {
            seen.by_victim.fetch_add(1, Relaxed);
        }
    }
    Ok(())
}

fn loses_nothing(what: &str, fault: fn(&Cluster)) -> Result<(), Failed> {
    let cluster = Arc::new(three_machines());
    let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (cluster, seen, stop) = (cluster.clone(), seen.clone(), stop.clone());
            std::thread::spawn(move || client(&cluster, &seen, &stop, n))
        })
        .collect();
    wait(&seen.by_victim, 200);
    let (struck, at) = (Timestamp::now(), Instant::now());
    fault(&cluster);
    cluster.wait_until_known(&[0, 2], 2);
    let known = at.elapsed();
    let served = seen.served.load(Relaxed);
    wait(&seen.served, served + 400);
    stop.store(true, Relaxed);
    for client in clients {
        client.join().map_err(|_| "a client panicked")??;
    }
    let story = Story::read(&cluster, struck)?;
    println!(
        "{what}: no longer chosen after {:?}; {} requests moved to another machine, the longest took {:?}; \
         out of every status page after {known:?}; of {} requests none lost, {} torn mid-response",
        story.last,
        story.moved,
        story.longest,
        seen.served.load(Relaxed),
        seen.torn.load(Relaxed)
    );
    if seen.torn.load(Relaxed) > TORN_MAX {
        return Err(format!("{what}: {} responses were torn", seen.torn.load(Relaxed)).into());
    }
    // Broken, not slow: by then every page had it out, and requests were still sent there.
    if story.last > known + Duration::from_secs(2) {
        return Err(format!("{what}: m2 was still chosen {:?} after the fault", story.last).into());
    }
    Ok(())
}

/// What the access logs of the entries tell about the time after the fault.
struct Story {
    /// From the fault to the beginning of the last request that was meant for the dead machine.
    last: Duration,
    /// Requests that were tried again.
    moved: u64,
    /// The longest that any request took which was under way at the fault or began after it.
    longest: Duration,
}

impl Story {
    fn read(cluster: &Cluster, struck: Timestamp) -> Result<Self, Failed> {
        let mut story = Self { last: Duration::ZERO, moved: 0, longest: Duration::ZERO };
        for entry in [0, 2] {
            for record in cluster.access_log(entry)? {
                story.take(&record, struck)?;
            }
        }
        Ok(story)
    }

    fn take(&mut self, record: &serde_json::Value, struck: Timestamp) -> Result<(), Failed> {
        let end: Timestamp = record["time"].as_str().unwrap_or_default().parse()?;
        let took = Duration::from_micros(record["duration_us"].as_u64().unwrap_or(0));
        let begin = end - SignedDuration::try_from(took)?;
        if end < struck {
            return Ok(());
        }
        self.longest = self.longest.max(took);
        let again = record["attempts"].as_u64().unwrap_or(0) > 1;
        self.moved += u64::from(again);
        if (again || record["machine"] == "m2") && begin > struck {
            self.last = self.last.max(begin.duration_since(struck).unsigned_abs());
        }
        Ok(())
    }
}

fn returns() -> Result<(), Failed> {
    let mut cluster = three_machines();
    cluster.process(1).kill9()?;
    cluster.wait_until_known(&[0, 2], 2);
    let more =
        format!("{ANYONE}[local]\ndirectory = \"{}\"\n", cluster.folder().join("site").display());
    cluster.start(1, &more);
    let at = Instant::now();
    cluster.wait_until_known(&[0, 1, 2], 3);
    println!("known again {:?} after its start", at.elapsed());
    let deadline = Instant::now() + PATIENCE;
    while cluster.get(0, "/page")?.by() != "m2" {
        if Instant::now() > deadline {
            return Err("m2 is known again but not chosen".into());
        }
    }
    Ok(())
}

/// Waits until a counter has reached `n`.
fn wait(counter: &AtomicU64, n: u64) {
    support::until("the load runs", || (counter.load(Relaxed) >= n).then_some(()));
}

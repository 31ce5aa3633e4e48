//! A machine is taken away under load, in every way the lab knows: no request is lost, and the machine is soon no longer chosen.
//!
//! The client sends `GET` at a steady rate to the machines that stay. The time until the dead machine is no longer chosen is measured from the
//! fault to the last decision for it, as the status page of the entry counts them, and printed; it is not asserted, since times on a test machine are noise.

mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use lab::{CgroupWish, Cut, Lab};
use libtest_mimic::{Arguments, Failed, Trial};
use support::{Cluster, PATIENCE};

/// The route under test sends to anyone, so that the dead machine would go on being chosen if nobody noticed.
const ANYONE: &str = "[[route]]\nname = \"anyone\"\nchain = [\"byAge 5\", \"byRandom\"]\n";

fn main() -> ExitCode {
    lab::init();
    let available = Lab::available();
    let trial = |name: &str, run: fn() -> Result<(), Failed>| {
        let why = available.as_ref().err().map(ToString::to_string);
        let ignored = why.is_some();
        let name = why.map_or_else(|| name.to_owned(), |why| format!("{name} (ignored: {why})"));
        Trial::test(name, run).with_ignored_flag(ignored)
    };
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
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
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

/// What the client saw.
#[derive(Default)]
struct Seen {
    served: AtomicU64,
    by_victim: AtomicU64,
    /// Nanoseconds from the start to the end of the last request served by the machine under test.
    last_by_victim: AtomicU64,
}

/// Sends requests at machine 0 and machine 2, both of which stay, until told to stop. Returns the first failure.
fn client(
    cluster: &Cluster,
    seen: &Seen,
    stop: &AtomicBool,
    start: Instant,
    entry: usize,
) -> Result<(), String> {
    let host = cluster.entry(entry);
    let mut stream = cluster.lab.connect(host, PATIENCE).map_err(|e| e.to_string())?;
    while !stop.load(Relaxed) {
        let answer = support::get(&mut stream, host, "/page", "")
            .map_err(|e| format!("after {:?}: {e}", start.elapsed()))?;
        if answer.status != 200 || answer.body.len() != 2000 {
            return Err(format!(
                "after {:?}: status {} with {} bytes",
                start.elapsed(),
                answer.status,
                answer.body.len()
            ));
        }
        seen.served.fetch_add(1, Relaxed);
        if answer.by() == "m2" {
            seen.by_victim.fetch_add(1, Relaxed);
            seen.last_by_victim.fetch_max(start.elapsed().as_nanos() as u64, Relaxed);
        }
    }
    Ok(())
}

fn loses_nothing(what: &str, fault: fn(&Cluster)) -> Result<(), Failed> {
    let cluster = Arc::new(three_machines());
    let (seen, stop, start) =
        (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)), Instant::now());
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let (cluster, seen, stop) = (cluster.clone(), seen.clone(), stop.clone());
            std::thread::spawn(move || {
                client(&cluster, &seen, &stop, start, if n % 2 == 0 { 0 } else { 2 })
            })
        })
        .collect();
    wait(&seen.by_victim, 50);
    let struck = start.elapsed();
    fault(&cluster);
    cluster.wait_until_known(&[0, 2], 2);
    let noticed = start.elapsed();
    let served = seen.served.load(Relaxed);
    wait(&seen.served, served + 200);
    stop.store(true, Relaxed);
    for client in clients {
        client.join().map_err(|_| "a client panicked")??;
    }
    println!(
        "{what}: out of the matrix after {:?}, nothing lost in {} requests",
        noticed - struck,
        seen.served.load(Relaxed)
    );
    let last = Duration::from_nanos(seen.last_by_victim.load(Relaxed));
    // A response that was under way when the machine died may still end; none begins after the machine was out.
    if last > noticed + Duration::from_secs(1) {
        return Err(
            format!("{what}: m2 still answered {:?} after it was out", last - noticed).into()
        );
    }
    Ok(())
}

fn returns() -> Result<(), Failed> {
    let mut cluster = three_machines();
    cluster.process(1).kill9()?;
    cluster.wait_until_known(&[0, 2], 2);
    let more =
        format!("{ANYONE}[local]\ndirectory = \"{}\"\n", cluster.folder().join("site").display());
    cluster.start(1, &more);
    cluster.wait_until_known(&[0, 1, 2], 3);
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
    let deadline = Instant::now() + PATIENCE;
    while counter.load(Relaxed) < n {
        assert!(
            Instant::now() < deadline,
            "the load does not run: {} of {n}",
            counter.load(Relaxed)
        );
        std::thread::yield_now();
    }
}

//! Work of others on every processor, at normal priority: nobody is taken for dead because of it.
//!
//! Burners spin on every processor, twice over, and one more starts processes and writes to the disk, while clients send a
//! little through daemons whose threads have the priority that they have by default. No view may change. How idle the
//! processors were is measured, since a test whose load did not come proves nothing.
//!
//! `BACKHAND_BUS_BUSY` is how many seconds it lasts, `BACKHAND_BUS_BURNERS` how many burners there are, where something else
//! keeps the machine busy as well.

use std::fs;
use std::time::{Duration, Instant};

use lab::{Lab, LabConfig, Output, Spawn, Wish};
use testkit::trial::Failed;

use crate::client::Client;
use crate::cluster::{Bus, NAMES, count, names};
use crate::history;

pub(crate) const TRIALS: &[crate::Named] =
    &[("no_view_changes_while_others_use_every_processor_and_the_disk", busy)];

/// How long, without `BACKHAND_BUS_BUSY`.
const SECONDS: u64 = 15;
/// Time between two messages of one client.
const PACE: Duration = Duration::from_millis(20);
/// The most of the processors' time that may have been idle.
const IDLE_MAX: f64 = 0.05;
/// What a daemon says of each view.
const VIEW: &str = "a view is installed";
/// Starts processes and writes to the disk for ever; the file is its first argument.
const WRITER: &str = "while :; do head -c 4000000 /dev/zero > \"$0\"; sync \"$0\"; /bin/true; done";

/// The number in an environment variable.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Idle time of all processors since the start of the machine, and all their time, in ticks.
fn processors() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap();
    let line = text.lines().next().unwrap_or_default();
    // user, nice, system, idle, waiting for a disk, interrupts twice, stolen; guests are part of the first two.
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).map(|word| word.parse().unwrap()).collect();
    (ticks[3] + ticks[4], ticks.iter().sum())
}

/// What daemon `i` has seen of the others' silence, and what it allows.
fn timing(bus: &Bus, i: usize) -> String {
    let Some(detail) = bus.detail(i) else { return "no answer".into() };
    let silence = detail.daemons.iter().map(|daemon| daemon.longest_silence_micros).max();
    let silence = silence.unwrap_or_default() as f64 / 1e3;
    let timeout = detail.timeout_micros as f64 / 1e3;
    let rotation = detail.rotation_micros.unwrap_or_default() as f64 / 1e3;
    format!("timeout {timeout:.0} ms, longest silence {silence:.1} ms, token {rotation:.2} ms")
}

/// Views that daemon `i` has told of.
fn views(bus: &Bus, i: usize) -> usize {
    count(&bus.said(i), &[VIEW])
}

fn busy() -> Result<(), Failed> {
    let seconds = number("BACKHAND_BUS_BUSY").unwrap_or(SECONDS);
    let cores = std::thread::available_parallelism()?.get();
    let burners = number("BACKHAND_BUS_BURNERS").unwrap_or(2 * cores as u64) as usize;
    // In a user namespace nobody may raise his priority, so where it is possible there is none.
    let root = rustix::process::geteuid().is_root();
    let wish = if root { Wish::RootNamespaces } else { Wish::Namespaces };
    let mut bus = Bus::silent_in(3, LabConfig { wish, ..LabConfig::default() });
    (0..3).for_each(|i| bus.start(i));
    let clients = Client::everywhere(&bus, PACE);
    let all = names(&[0, 1, 2]);
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&all)));
    clients.iter().for_each(|client| client.wait_for_messages(50));
    println!("{}", bus.detail(0).map(|detail| detail.priority).unwrap_or_default());

    let before: Vec<(usize, usize)> =
        (0..3).map(|i| (views(&bus, i), clients[i].last().number)).collect();
    let load = load(&bus.lab, burners, &bus.path("written"))?;
    let (began, (idle, total)) = (Instant::now(), processors());
    let mut reports = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_secs(1));
        bus.all_live()?;
        clients.iter().for_each(|client| client.wait_for_messages(1));
        for (i, before) in before.iter().enumerate() {
            if (views(&bus, i), clients[i].last().number) != *before {
                let at = began.elapsed();
                let said: Vec<String> = (0..3).map(|i| bus.said(i)).collect();
                let (name, said) = (NAMES[i], said.join("\n"));
                return Err(format!("{name} changed its view after {at:?}\n{said}").into());
            }
        }
        if began.elapsed().as_secs() / 60 > reports {
            reports += 1;
            println!("{reports} min: {}", timing(&bus, 0));
        }
    }
    let (idle_now, total_now) = processors();
    let idle = (idle_now - idle) as f64 / (total_now - total).max(1) as f64;
    for (i, name) in NAMES.iter().enumerate().take(3) {
        println!("{name}: {}", timing(&bus, i));
    }
    println!("{seconds} s, {burners} burners, processors idle {:.1} %", idle * 100.0);
    drop(load);
    let traces = Client::finish(clients);
    bus.all_live()?;
    history::check(&traces)?;
    if idle > IDLE_MAX {
        return Err(format!("the processors were idle {:.1} % of the time", idle * 100.0).into());
    }
    Ok(())
}

/// Processes that keep the machine busy until this is dropped.
struct Load(Vec<lab::Process>);

impl Drop for Load {
    fn drop(&mut self) {
        for process in &self.0 {
            let _ = process.kill9();
        }
    }
}

fn load(lab: &Lab, burners: usize, file: &std::path::Path) -> Result<Load, Failed> {
    let mut load = Load(Vec::new());
    if burners > 0 {
        load.0.push(lab.machine(0).burn(burners)?);
    }
    let writer = Spawn::new("/bin/sh").args(["-c", WRITER]).arg(file).cwd("/");
    load.0.push(lab.machine(0).spawn(writer.stdout(Output::Null).stderr(Output::Null))?);
    Ok(load)
}

//! What becomes of addresses and of new connections when machines fail, stop and come back: ours beside Debian's keepalived.
//!
//! All run in machines of the lab, with the same web servers behind and the same clients before them. Rounds are interleaved, so
//! that a slow minute is everybody's; each measurement has a cluster of its own.

mod cluster;
mod fault;
mod idle;
mod many;
mod packages;
mod report;
mod scan;
mod server;
mod system;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use cluster::Cluster;
use fault::Fault;
use report::{Metric, Results};
use system::{Programs, System, Wanted};
use watch::{Connections, Length, Seen};

/// How often a measurement is tried; on a busy machine a cluster may not form in time.
const TRIES: usize = 3;

/// Connections of each client whose fate is told while it runs.
const TOLD: usize = 12;

/// Measures how fast addresses move. Needs namespaces: of a user, or of root.
#[derive(Debug, Parser)]
struct Args {
    /// Runs of each fault with each system
    #[arg(long)]
    runs: Option<usize>,
    /// A short run: two of each
    #[arg(long)]
    quick: bool,
    /// Milliseconds between two connections of a client, 1 to 20
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=20))]
    every: u64,
    /// How many addresses of each version one machine takes over from another; 0 leaves it out. More than 300 raise the limits of
    /// the whole machine's neighbour table for this time, which needs root.
    #[arg(long, default_value_t = 1_000)]
    many: u16,
    /// Measure only what has one of these in its name, which is as in the tables; `idle` and `many` are the other parts
    #[arg(long)]
    only: Vec<String>,
    /// Measure only systems whose name contains one of these
    #[arg(long)]
    system: Vec<String>,
    /// Keep the figures that the JSON file has already
    #[arg(long)]
    add: bool,
    /// The Backhand binary [default: target/release/backhand, built]
    #[arg(long)]
    backhand: Option<PathBuf>,
    /// The keepalived binary [default: the environment variable KEEPALIVED, then PATH]
    #[arg(long)]
    keepalived: Option<PathBuf>,
    /// Copy the logs of all programs to this folder
    #[arg(long)]
    logs: Option<PathBuf>,
    /// Where the JSON results go
    #[arg(long, default_value = "docs/benchmarks/failover.json")]
    json: PathBuf,
    /// Where the tables go
    #[arg(long, default_value = "docs/benchmarks/failover.md")]
    table: PathBuf,
    /// The addresses that a client started in the lab is to connect to
    #[arg(long, hide = true)]
    scan: Option<String>,
}

fn main() -> Result<()> {
    lab::init();
    let args = Args::parse();
    if let Some(order) = &args.scan {
        return scan::run(order);
    }
    let binary = args.backhand.clone().map_or_else(bench_common::build_backhand, Ok)?;
    let binary = binary.canonicalize().with_context(|| binary.display().to_string())?;
    let systems = systems(&args)?;
    let said = args.keepalived.clone().or_else(|| std::env::var_os("KEEPALIVED").map(Into::into));
    let keepalived = if systems.iter().all(|system| system.is_ours()) {
        None
    } else {
        Some(packages::keepalived(said.as_deref())?)
    };
    let load = bench_common::load_before()?;
    let version = keepalived.as_deref().map(packages::version);
    let mut run = Run {
        results: Results::open(&args.json, args.add, load, version)?,
        programs: Programs { backhand: binary, keepalived },
        only: args.only.clone(),
        logs: args.logs.clone(),
        every: Duration::from_millis(args.every),
    };
    let runs = args.runs.unwrap_or(if args.quick { 2 } else { 20 });
    for turn in 0..runs {
        for system in systems.clone() {
            eprintln!("run {} of {runs}: {}", turn + 1, system.name());
            run.faults(system, turn)?;
            run.idle(system)?;
            run.many(system, args.many)?;
        }
        run.results.write(&args.json, &args.table)?;
    }
    println!("{}", run.results.tables());
    Ok(())
}

fn systems(args: &Args) -> Result<Vec<System>> {
    let asked = |s: &System| {
        args.system.is_empty() || args.system.iter().any(|only| s.name().contains(only.as_str()))
    };
    let systems: Vec<System> = System::ALL.into_iter().filter(asked).collect();
    if systems.is_empty() {
        let known = System::ALL.map(System::name).join("; ");
        bail!("--system fits none of: {known}");
    }
    Ok(systems)
}

/// Everything that one run needs to know.
struct Run {
    results: Results,
    programs: Programs,
    only: Vec<String>,
    logs: Option<PathBuf>,
    every: Duration,
}

impl Run {
    fn wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }

    /// Measures something in a new cluster, again if it did not come about.
    fn measured<T>(&mut self, what: &str, measure: impl Fn(&Programs) -> Result<T>) -> Result<T> {
        let mut tried = 1;
        loop {
            match measure(&self.programs) {
                Ok(seen) => return Ok(seen),
                Err(error) if tried < TRIES => eprintln!("  {what}, again: {error:#}"),
                Err(error) => return Err(error.context(what.to_owned())),
            }
            self.results.void();
            tried += 1;
        }
    }

    fn faults(&mut self, system: System, turn: usize) -> Result<()> {
        for fault in Fault::ALL {
            let name = fault.name();
            if !self.wanted(name) || !fault.applies(system.is_ours(), &self.programs) {
                continue;
            }
            let mut seen = self.fault(system, fault, turn)?;
            let mut tried = 1;
            while seen.has_blinked() && tried < TRIES {
                eprintln!("  {name}, again: the clients were kept waiting by other work");
                self.results.void();
                tried += 1;
                seen = self.fault(system, fault, turn)?;
            }
            self.take(name, system, fault, &seen);
        }
        Ok(())
    }

    fn fault(&mut self, system: System, fault: Fault, turn: usize) -> Result<Seen> {
        let (name, logs, every) = (fault.name(), self.logs.clone(), self.every);
        self.measured(name, |programs| {
            let wanted = Wanted { addresses: system::three(), spread: true };
            let mut cluster = Cluster::start(system, programs, wanted)?;
            let seen = watch::run(&mut cluster, programs, fault, turn, every);
            if let Some(logs) = &logs {
                cluster.keep_logs(logs, &format!("{} {name} {turn}", system.name()))?;
            }
            seen.with_context(|| cluster.last_words())
        })
    }

    fn take(&mut self, name: &str, system: System, fault: Fault, seen: &Seen) {
        let mut add = |metric: Metric, length: Length| {
            self.results.add(name, &system.name(), metric, length.millis, length.ended);
        };
        let count = |count: usize| Length { millis: count as f64, ended: true };
        let kinds: [(Option<&Connections>, [Metric; 3]); 2] = [
            (Some(&seen.warm), [Metric::PauseWarm, Metric::BrokenWarm, Metric::SlowWarm]),
            (seen.cold.as_ref(), [Metric::PauseCold, Metric::BrokenCold, Metric::SlowCold]),
        ];
        for (connections, [pause, broken, slow]) in kinds {
            let Some(connections) = connections else { continue };
            add(pause, connections.pause);
            add(broken, count(connections.reset));
            add(slow, count(connections.lost + connections.late));
            let few = connections.told.iter().take(TOLD);
            few.for_each(|told| eprintln!("    {pause:?} {told}"));
        }
        add(Metric::Doubled, seen.doubled);
        if fault != Fault::Return {
            add(Metric::Gone, seen.gone);
        }
        let show = |c: &Connections| {
            format!(
                "pause {:.1} ms, reset {}, lost {}, late {}",
                c.pause.millis, c.reset, c.lost, c.late
            )
        };
        let cold = seen.cold.as_ref().map(show).unwrap_or_default();
        eprintln!(
            "  {name}: warm {}; cold {cold}; two {:.0} ms{}; gone {:.1} ms{}",
            show(&seen.warm),
            seen.doubled.millis,
            if seen.doubled.ended { "" } else { " and on" },
            seen.gone.millis,
            if seen.gone.ended { "" } else { " and not yet" },
        );
    }

    fn idle(&mut self, system: System) -> Result<()> {
        if !self.wanted("idle") {
            return Ok(());
        }
        let percent = self.measured("idle", |programs| {
            let wanted = Wanted { addresses: system::three(), spread: true };
            idle::percent(&Cluster::start(system, programs, wanted)?)
        })?;
        eprintln!("  idle: {percent:.3} %");
        self.results.add("idle", &system.name(), Metric::Idle, percent, true);
        Ok(())
    }

    fn many(&mut self, system: System, count: u16) -> Result<()> {
        for v4 in [true, false] {
            let name = format!("many, {count} IPv{}", if v4 { 4 } else { 6 });
            // The others differ from these in when they notice, not in how long they take then.
            let one_of_each = matches!(system, System::Backhand | System::Keepalived(100));
            if count == 0 || !one_of_each || !self.wanted(&name) {
                continue;
            }
            let seen = self.measured(&name, |programs| many::run(system, programs, count, v4))?;
            let all = seen.missing == 0;
            eprintln!("  {name}: {seen:?}");
            for (metric, value) in [
                (Metric::ManyFirst, seen.first),
                (Metric::ManyAll, seen.last),
                (Metric::ManySpread, seen.last - seen.first),
            ] {
                self.results.add(&name, &system.name(), metric, value, all);
            }
        }
        Ok(())
    }
}

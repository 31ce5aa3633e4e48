//! The bus: throughput, latency, processor time and reaction times, in one machine and in several, beside Corosync.
//!
//! Daemons run in machines of the lab, clients beside them; the load is this binary again. Rounds are interleaved, so that a
//! slow minute is everybody's, and each figure is the median of the rounds.

mod clock;
mod cluster;
mod latency;
mod original;
mod packages;
mod reactions;
mod report;
mod role;
mod session;
mod system;
mod throughput;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;

use cluster::Cluster;
use latency::Pinned;
use report::{Metric, Results};
use system::System;
use throughput::Case;

/// Numbers of daemons whose growth is measured.
const GROWTH: [usize; 4] = [2, 4, 8, 16];
/// The most of Corosync's: its timeouts grow with them, to half a minute for 16.
const GROWTH_COROSYNC: usize = 8;
/// How often a measurement is tried; on a busy machine a client may be too late to be counted.
const TRIES: usize = 3;
/// The cases in which it is.
const GROWTH_CASE: Case = Case { size: 100, safe: false, senders: 1, receivers: 1 };

/// Measures the bus. Needs root, for namespaces and priorities.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds; each measures every system in every case once
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds in which messages are counted
    #[arg(long)]
    seconds: Option<f64>,
    /// Pings of a measurement of latency; a twentieth of it where they are paced
    #[arg(long)]
    pings: Option<usize>,
    /// Reactions of each kind in a round; of Corosync always one
    #[arg(long)]
    turns: Option<usize>,
    /// A short run: one round, short measurements, fewer cases
    #[arg(long)]
    quick: bool,
    /// Measure only what has this in its name, which is as in the table behind one of the words throughput, latency, reactions, growth;
    /// may be given several times, then all must be there
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
    /// Where the JSON results go
    #[arg(long, default_value = "docs/benchmarks/bus.json")]
    json: PathBuf,
    /// Where the tables go
    #[arg(long, default_value = "docs/benchmarks/bus.md")]
    table: PathBuf,
    /// What a process of the load is to do
    #[arg(long, hide = true)]
    role: Option<String>,
}

fn main() -> Result<()> {
    lab::init();
    let args = Args::parse();
    if let Some(order) = &args.role {
        return role::run(order);
    }
    let binary = args.backhand.clone().map_or_else(bench_common::build_backhand, Ok)?;
    let binary = binary.canonicalize().with_context(|| binary.display().to_string())?;
    if cfg!(feature = "corosync") {
        packages::need("corosync", "corosync")?;
    }
    let load = bench_common::load_before()?;
    let mut run = Run {
        results: Results::open(&args.json, args.add, load)?,
        systems: systems(&args)?,
        binary,
        rounds: args.rounds.unwrap_or(if args.quick { 1 } else { 3 }),
        seconds: args.seconds.unwrap_or(if args.quick { 0.5 } else { 1.5 }),
        pings: args.pings.unwrap_or(if args.quick { 2_000 } else { 10_000 }),
        turns: args.turns.unwrap_or(if args.quick { 2 } else { 3 }),
        quick: args.quick,
        only: args.only.clone(),
    };
    for round in 1..=run.rounds {
        for system in run.systems.clone() {
            eprintln!("round {round} of {}: {}", run.rounds, system.name());
            run.fixed(system, 1)?;
            run.fixed(system, 3)?;
            run.growth(system)?;
        }
        run.results.write(&args.json, &args.table)?;
    }
    println!("{}", run.results.tables());
    Ok(())
}

fn systems(args: &Args) -> Result<Vec<System>> {
    let built = |s: &System| s.is_ours() || cfg!(feature = "corosync");
    let asked = |s: &System| {
        args.system.is_empty() || args.system.iter().any(|only| s.name().contains(only.as_str()))
    };
    let systems: Vec<System> = System::ALL.into_iter().filter(built).filter(asked).collect();
    if systems.is_empty() {
        let known = System::ALL.map(System::name).join(", ");
        bail!("--system fits none of {known}; those of Corosync need --features corosync");
    }
    Ok(systems)
}

/// Everything that one run needs to know.
struct Run {
    results: Results,
    systems: Vec<System>,
    binary: PathBuf,
    rounds: usize,
    seconds: f64,
    pings: usize,
    turns: usize,
    quick: bool,
    only: Vec<String>,
}

impl Run {
    fn wanted(&self, part: &str, machines: usize, case: &str) -> bool {
        let name = format!("{part}, {machines} machines: {case}");
        self.only.iter().all(|only| name.contains(only.as_str()))
    }

    fn start(&self, system: System, machines: usize, pinned: Pinned) -> Result<Cluster> {
        let cores: Vec<_> = (0..machines).map(|i| pinned.daemon(i)).collect();
        Cluster::start(system, Path::new(&self.binary), machines, &cores)
    }

    fn add(&mut self, machines: usize, case: &str, system: System, metric: Metric, sample: f64) {
        eprintln!("  {machines} {case}: {metric:?} {sample:.2}");
        self.results.add(machines, case, system, metric, sample);
    }

    /// Everything about clusters of one and of three.
    fn fixed(&mut self, system: System, machines: usize) -> Result<()> {
        // One daemon says nothing to others: there is nothing to seal, and no ring.
        let same = [System::Insecure, System::Regular, System::CorosyncSealed];
        if machines == 1 && same.contains(&system) {
            return Ok(());
        }
        let cases: Vec<Case> = Case::all(self.quick)
            .into_iter()
            .filter(|case| !case.safe || system.is_ours())
            .filter(|case| self.wanted("throughput", machines, &case.to_string()))
            .collect();
        if !cases.is_empty() {
            let mut cluster = self.start(system, machines, Pinned::Free)?;
            for case in cases {
                self.throughput(&mut cluster, case)?;
            }
        }
        for pinned in Pinned::ALL {
            let cases: Vec<(latency::Case, String)> = latency::Case::all(machines)
                .into_iter()
                .filter(|case| !case.safe || system.is_ours())
                .map(|case| (case, format!("{case}; {pinned}")))
                .filter(|(_, name)| self.wanted("latency", machines, name))
                .collect();
            if !cases.is_empty() {
                let mut cluster = self.start(system, machines, pinned)?;
                for (case, name) in cases {
                    self.latency(&mut cluster, case, pinned, &name)?;
                }
            }
        }
        // How a visit ends has no part in the membership.
        let reacts = machines > 1 && system != System::Regular;
        if reacts && self.wanted("reactions", machines, "") {
            let mut cluster = self.start(system, machines, Pinned::Free)?;
            let turns = self.turns_of(system);
            reactions::run(&mut cluster, turns, &mut |name, millis| {
                self.add(machines, name, system, Metric::ReactionMillis, millis);
            })?;
        }
        Ok(())
    }

    /// What becomes of it with more daemons. They all share this machine's processors, so part of it is that.
    fn growth(&mut self, system: System) -> Result<()> {
        if !system.is_sealed() || system == System::Regular {
            return Ok(());
        }
        let most = if self.quick { 4 } else { usize::MAX };
        let most = if system.is_ours() { most } else { most.min(GROWTH_COROSYNC) };
        for machines in GROWTH.into_iter().filter(|n| *n <= most) {
            if !self.wanted("growth", machines, "") {
                continue;
            }
            let mut cluster = self.start(system, machines, Pinned::Free)?;
            self.throughput(&mut cluster, GROWTH_CASE)?;
            let case = latency::Case { safe: false, paced: false, echo: false };
            let name = format!("{case}; {}", Pinned::Free);
            self.latency(&mut cluster, case, Pinned::Free, &name)?;
            for millis in reactions::crashes(&mut cluster, self.turns_of(system))? {
                let metric = Metric::ReactionMillis;
                self.add(machines, reactions::CRASH, system, metric, millis);
            }
        }
        Ok(())
    }

    /// Corosync's reactions are its timeouts, many seconds of which nothing new is learnt.
    fn turns_of(&self, system: System) -> usize {
        if system.is_ours() { self.turns } else { 1 }
    }

    fn throughput(&mut self, cluster: &mut Cluster, case: Case) -> Result<()> {
        let (system, machines) = (cluster.system, cluster.machines());
        let mut tried = 1;
        let rate = loop {
            match throughput::run(cluster, case, self.seconds) {
                Ok(rate) => break rate,
                Err(error) if tried < TRIES => eprintln!("  {case}, again: {error:#}"),
                Err(error) => {
                    return Err(error.context(format!("{case}: {}", cluster.last_words())));
                }
            }
            self.results.void();
            tried += 1;
        };
        let name = case.to_string();
        self.add(machines, &name, system, Metric::MessagesPerSecond, rate.per_second);
        self.add(machines, &name, system, Metric::CpuMicros, rate.cpu_micros);
        Ok(())
    }

    fn latency(
        &mut self,
        cluster: &mut Cluster,
        case: latency::Case,
        pinned: Pinned,
        name: &str,
    ) -> Result<()> {
        let (system, machines) = (cluster.system, cluster.machines());
        let pinged = latency::run(cluster, case, pinned, self.pings)
            .with_context(|| format!("{name}: {}", cluster.last_words()))?;
        self.add(machines, name, system, Metric::LatencyMicros, pinged.p50);
        self.add(machines, name, system, Metric::LatencyP99Micros, pinged.p99);
        Ok(())
    }
}

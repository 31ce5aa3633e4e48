//! What a request costs: ours, nginx and HAProxy before the same origin, in one interleaved run.
//!
//! One core carries the server under test and nothing else; the other carries the load (`wrk`) and the origin (nginx).
//! Every server does what a site needs: it logs each request to a file, checks the origin's health and keeps connections alive. Rounds are
//! interleaved, so that a slow minute of the machine is everybody's, and each figure is the median of the rounds.
//! Absolute figures of one machine mean little; the ratios in the last table are the result.

mod cases;
mod load;
mod process;
mod report;
mod servers;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;

/// Compares Backhand with nginx and HAProxy. Needs two cores, and the Debian packages nginx-light, haproxy and wrk.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds; each measures every server in every case once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load per measurement
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Connections that the load keeps busy
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Measure only the cases whose name contains this
    #[arg(long)]
    case: Option<String>,
    /// Measure only the servers whose name contains one of these
    #[arg(long)]
    server: Vec<String>,
    /// The Backhand binary [default: target/release/backhand, built when missing]
    #[arg(long)]
    backhand: Option<PathBuf>,
    /// Where the JSON results go
    #[arg(long, default_value = "docs/benchmarks/http.json")]
    json: PathBuf,
    /// Where the table goes
    #[arg(long, default_value = "docs/benchmarks/http.md")]
    table: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    process::need(&[("nginx", "nginx-light"), ("haproxy", "haproxy"), ("wrk", "wrk")])?;
    if std::thread::available_parallelism()?.get() < 2 {
        bail!("two cores are needed: one for the server under test, one for the load");
    }
    let binary = args.backhand.clone().map_or_else(bench_common::build_backhand, Ok)?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let site = cases::Site::make(folder.path())?;
    let _origin = servers::origin(folder.path(), &site)?;
    let selected = |name: &str| {
        args.server.is_empty() || args.server.iter().any(|s| name.contains(s.as_str()))
    };
    let servers = servers::all(folder.path(), &site, &binary)?;
    let servers: Vec<_> = servers.into_iter().filter(|s| selected(s.name)).collect();
    let mut results = report::Results::new(&args.seconds, &args.connections);
    for round in 1..=args.rounds {
        for case in cases::CASES
            .iter()
            .filter(|c| args.case.as_ref().is_none_or(|only| c.name.contains(only.as_str())))
        {
            for server in servers.iter().filter(|s| s.role == case.role) {
                let running =
                    server.start().with_context(|| format!("cannot start {}", server.name))?;
                let url = format!("http://127.0.0.1:{}/{}", server.port, case.file);
                load::wait_until_served(server.port, case.file)?;
                load::run(&url, case, args.connections, 1)?;
                let before = running.cpu_nanos()?;
                let got = load::run(&url, case, args.connections, args.seconds)?;
                let cpu = running.cpu_nanos()? - before;
                let sample = report::Sample::new(&got, cpu);
                eprintln!(
                    "round {round}/{}  {:<22} {:<26} {sample}",
                    args.rounds, case.name, server.name
                );
                results.add(case.name, server.name, sample);
            }
        }
    }
    results.write(&args.json, &args.table)?;
    println!("{}", results.table());
    Ok(())
}

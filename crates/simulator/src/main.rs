//! Runs policies side by side and prints the table that stands in `docs/simulation.md`.

#![forbid(unsafe_code)]

use std::time::Duration;

use clap::{Parser, ValueEnum};
use simulator::measure::{End, quantile};
use simulator::scenario::{CORES, Prices};
use simulator::{Outcome, Policy, Scenario, World};

/// Simulates deciding machines and prints how each policy does.
#[derive(Debug, Parser)]
#[command(name = "simulator")]
struct Arguments {
    /// Sizes of fleets.
    #[arg(long, value_delimiter = ',', default_value = "6,20,100")]
    machines: Vec<u16>,
    /// Loads, as shares of the fleet's capacity.
    #[arg(long, value_delimiter = ',', default_value = "0.7,0.9")]
    load: Vec<f64>,
    /// Policies; all if none is named.
    #[arg(long, value_delimiter = ',')]
    policy: Vec<Named>,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs with seeds that follow, put together.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Seconds measured, instead of what gives about 24,000 requests.
    #[arg(long)]
    seconds: Option<f64>,
    /// Share of datagrams lost, in percent.
    #[arg(long, default_value_t = 0.5)]
    loss: f64,
    /// Mean demand of a request in milliseconds.
    #[arg(long, default_value_t = 20.0)]
    demand: f64,
    /// Mean of the random part of a datagram's way in microseconds; the fixed part is twice that.
    #[arg(long, default_value_t = 20.0)]
    jitter: f64,
    /// Longest wait for answers in microseconds.
    #[arg(long, default_value_t = 1000)]
    wait: u64,
    /// Nothing but requests costs CPU.
    #[arg(long)]
    free: bool,
    /// Equal machines without burners.
    #[arg(long)]
    even: bool,
    /// Check every step, too.
    #[arg(long)]
    checked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Named(Policy);

impl ValueEnum for Named {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Named; Policy::ALL.len()] = {
            let mut all = [Named(Policy::RoundRobin); Policy::ALL.len()];
            let mut i = 0;
            while i < all.len() {
                all[i] = Named(Policy::ALL[i]);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

impl Arguments {
    fn scenario(&self, policy: Policy, machines: u16, load: f64, seed: u64) -> Scenario {
        let mut scenario = Scenario::new(policy, machines, load, seed);
        scenario.seconds = self.seconds.unwrap_or(scenario.seconds);
        scenario.loss = self.loss / 100.0;
        scenario.demand = self.demand / 1e3;
        scenario.jitter = self.jitter / 1e6;
        scenario.asking.longest_wait = Duration::from_micros(self.wait);
        scenario.uneven = !self.even;
        scenario.checked = self.checked;
        if self.free {
            scenario.prices = Prices::NONE;
        }
        scenario
    }
}

const HEAD: &str = "\
| policy | mean ms | p50 | p99 | p99.9 | errors % | moved on | elsewhere % | found p99 | asked % | wait µs | silent % | datagrams/req | balancing CPU % | age p50 ms |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

fn row(scenario: &Scenario, runs: u64, outcome: &Outcome) -> String {
    let count = outcome.count().max(1) as f64;
    let ms = |q| outcome.quantile(q) * 1e3;
    let fleet: f64 = (0..scenario.machines).map(|m| scenario.speed(m) * CORES).sum();
    let balancing = outcome.overhead / (fleet * scenario.seconds * runs as f64) * 100.0;
    let per = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    format!(
        "| {} | {:.1} | {:.1} | {:.0} | {:.0} | {:.2} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.2} | {:.1} |",
        scenario.policy.name(),
        outcome.mean() * 1e3,
        ms(0.5),
        ms(0.99),
        ms(0.999),
        outcome.errors() * 100.0,
        outcome.moves,
        outcome.relayed as f64 / count * 100.0,
        quantile(&outcome.found, 0.99),
        outcome.asked as f64 / count * 100.0,
        per(outcome.waited, outcome.asked as f64) * 1e6,
        per(outcome.silent as f64, outcome.questions as f64) * 100.0,
        outcome.datagrams as f64 / count,
        balancing,
        quantile(&outcome.ages, 0.5) * 1e3,
    )
}

#[allow(clippy::print_stdout, reason = "the table is what the program is for")]
fn main() {
    let arguments = Arguments::parse();
    let policies: Vec<Policy> = if arguments.policy.is_empty() {
        Policy::ALL.to_vec()
    } else {
        arguments.policy.iter().map(|named| named.0).collect()
    };
    for &machines in &arguments.machines {
        for &load in &arguments.load {
            let mut head = true;
            for &policy in &policies {
                let scenario = arguments.scenario(policy, machines, load, arguments.seed);
                let mut outcome = Outcome::default();
                for seed in arguments.seed..arguments.seed + arguments.runs {
                    outcome.merge(World::new(Scenario { seed, ..scenario.clone() }).run());
                }
                if std::mem::take(&mut head) {
                    let (count, late) = (outcome.count(), outcome.ended(End::EntryLost));
                    println!(
                        "\n### {machines} machines, load {load:.2} ({} requests)\n\n{HEAD}",
                        count - late
                    );
                }
                println!("{}", row(&scenario, arguments.runs, &outcome));
            }
        }
    }
}

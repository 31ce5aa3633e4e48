//! Runs faulty histories of rings and checks each: `bus-histories --seed 1 --count 100000`, `--groups` with clients.

#![forbid(unsafe_code)]

use std::time::Instant;

use clap::Parser;
use simulator::bus::reactions::{Event, measure};
use simulator::bus::{Plan, Summary, World, checks, groups, run};

/// Runs faulty histories of rings of daemons and checks extended virtual synchrony in each.
#[derive(Debug, Parser)]
#[command(name = "bus-histories")]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, from the first on.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// With groups and clients on top of the rings.
    #[arg(long)]
    groups: bool,
    /// With fixed lists of daemons that change while the daemons run.
    #[arg(long)]
    lists: bool,
    /// Go on after a history that failed, and count.
    #[arg(long)]
    keep_going: bool,
    /// Measure how fast rings of several sizes react, instead; the count is that of trials, at most.
    #[arg(long)]
    reactions: bool,
    /// Tell everything that happens in the first history.
    #[arg(long)]
    loud: bool,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    if arguments.reactions {
        return reactions(arguments.seed, arguments.count);
    }
    let draw = |seed| {
        let plan = if arguments.groups { Plan::with_clients(seed) } else { Plan::new(seed) };
        if arguments.lists { plan.with_lists() } else { plan }
    };
    if arguments.loud {
        let plan = draw(arguments.seed);
        println!("{plan:#?}");
        let mut world = World::new(&plan);
        world.loud = true;
        let calm = world.run();
        println!("{calm:?}; {:?}", checks::all(&world.traces));
        println!("{:?}", groups::checks::all(&world));
        return std::process::ExitCode::SUCCESS;
    }
    let begin = Instant::now();
    let (mut total, mut failed, mut calm) = (Summary::default(), 0_u64, Vec::new());
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.count) {
        let before = Instant::now();
        let result = run(&draw(seed));
        if before.elapsed().as_secs_f64() > 2.0 {
            eprintln!("seed {seed} took {:.1} s", before.elapsed().as_secs_f64());
        }
        match result {
            Ok(summary) => {
                total.views += summary.views;
                total.delivered += summary.delivered;
                total.sent += summary.sent;
                total.lives += summary.lives;
                total.clients += summary.clients;
                total.said += summary.said;
                total.told += summary.told;
                total.steps += summary.steps;
                total.datagrams += summary.datagrams;
                calm.extend(summary.calm_after);
            }
            Err(what) => {
                failed += 1;
                println!("{what}");
                if !arguments.keep_going {
                    return std::process::ExitCode::FAILURE;
                }
            }
        }
    }
    if arguments.groups {
        let Summary { clients, said, told, .. } = total;
        println!("{clients} clients sent {said} messages and were told {told} things");
    }
    calm.sort_unstable();
    let of = |share: f64| calm.get((share * (calm.len().max(1) - 1) as f64) as usize);
    println!(
        "{} histories in {:.1} s: {} lives, {} views, {} messages sent, {} delivered, {} datagrams, {} steps; {failed} failed",
        arguments.count,
        begin.elapsed().as_secs_f64(),
        total.lives,
        total.views,
        total.sent,
        total.delivered,
        total.datagrams,
        total.steps
    );
    println!(
        "at rest after the last fault: median {:?}, 99 % {:?}, last {:?}",
        of(0.5),
        of(0.99),
        of(1.0)
    );
    std::process::ExitCode::from(u8::from(failed > 0))
}

/// A table of reaction times: median and 99 % of the trials.
fn reactions(seed: u64, count: u64) -> std::process::ExitCode {
    let sizes = [1, 3, 5, 8, 16, 32];
    let mut failed = false;
    println!("| median / 99 % in ms, daemons: | 1 | 3 | 5 | 8 | 16 | 32 |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for event in Event::ALL {
        print!("| {} |", event.name());
        for machines in sizes {
            if machines == 1 && event != Event::Start {
                print!(" – |");
                continue;
            }
            let trials = count.min(200 / machines as u64 * 2 + 20);
            let mut times = Vec::new();
            for seed in seed..seed + trials {
                match measure(event, machines, seed) {
                    Ok(time) => times.push(time.as_secs_f64() * 1000.0),
                    Err(what) => {
                        eprintln!("{what}");
                        failed = true;
                    }
                }
            }
            times.sort_by(f64::total_cmp);
            let of = |share: f64| times.get((share * (times.len().max(1) - 1) as f64) as usize);
            let show =
                |share: f64| of(share).map_or_else(|| "?".to_string(), |ms| format!("{ms:.0}"));
            print!(" {} / {} |", show(0.5), show(0.99));
        }
        println!();
    }
    std::process::ExitCode::from(u8::from(failed))
}

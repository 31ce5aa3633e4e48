//! Runs faulty histories of addresses and checks each: `vip-histories --seed 1 --count 100000`.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use clap::Parser;
use simulator::vip::{Plan, World, run};

/// Runs faulty histories of machines that share addresses, and checks who holds what in each.
#[derive(Debug, Parser)]
#[command(name = "vip-histories")]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, from the first on.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// All sets under quorum; otherwise in a third of the histories.
    #[arg(long)]
    quorum: bool,
    /// Go on after a history that failed, and count.
    #[arg(long)]
    keep_going: bool,
    /// Leave away from a history that failed all faults that are not needed for that.
    #[arg(long)]
    shrink: bool,
    /// Tell everything that happens in the first history.
    #[arg(long)]
    loud: bool,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let draw = |seed| if arguments.quorum { Plan::draw(seed, true) } else { Plan::new(seed) };
    if arguments.loud {
        let mut plan = draw(arguments.seed);
        if arguments.shrink {
            plan = shrunk(&plan);
        }
        println!("{plan:#?}");
        let mut world = World::new(&plan);
        world.loud = true;
        println!("{:?}", world.run());
        return std::process::ExitCode::SUCCESS;
    }
    let begin = Instant::now();
    let (mut failed, mut settled, mut holes) = (0_u64, Vec::new(), Vec::new());
    let (mut doubled, mut answered, mut lost) = (Duration::ZERO, 0, 0);
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.count) {
        let plan = draw(seed);
        match run(&plan) {
            Ok(measured) => {
                settled.push(measured.settled);
                holes.extend(measured.holes);
                doubled = doubled.max(measured.doubled);
                answered += measured.answered;
                lost += measured.lost;
            }
            Err(what) => {
                failed += 1;
                println!("{what}");
                if arguments.shrink {
                    println!("{:#?}", shrunk(&plan).faults);
                }
                if !arguments.keep_going {
                    return std::process::ExitCode::FAILURE;
                }
            }
        }
    }
    println!(
        "{} histories in {:.1} s; {failed} failed; {answered} probes answered, {lost} not; two of one view had an address for at most {doubled:?}",
        arguments.count,
        begin.elapsed().as_secs_f64(),
    );
    say("settled after the last fault", settled);
    say("holes that one fault made", holes);
    std::process::ExitCode::from(u8::from(failed > 0))
}

/// The history with as few faults as still make it fail in the same way: in the same words, but for the numbers.
fn shrunk(plan: &Plan) -> Plan {
    let way = |plan: &Plan| {
        let what = run(plan).err()?;
        let (_, what) = what.split_once("): ")?;
        Some(what.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>())
    };
    let once = way(plan);
    plan.shrunk(|plan| once.is_some() && way(plan) == once)
}

fn say(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let of = |share: f64| times.get((share * (times.len().max(1) - 1) as f64) as usize);
    println!(
        "{what}: {}; median {:?}, 90 % {:?}, 99 % {:?}, longest {:?}",
        times.len(),
        of(0.5),
        of(0.9),
        of(0.99),
        of(1.0)
    );
}

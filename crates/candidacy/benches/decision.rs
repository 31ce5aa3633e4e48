//! What a decision costs: nanoseconds and allocations, for fleets from 2 to 1,024 machines.
//!
//! `cargo bench -p candidacy`. Each figure is the least of several batches, because everything that
//! disturbs a batch makes it longer; the median is printed beside it to show how quiet the machine was.
//! The fleet is as a busy entry machine sees it: this machine has more than it likes, a quarter of the
//! others (or all, or none) were heard of within the last 60 ms. The counting allocator proves
//! that deciding allocates nothing; the program fails if it does.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark reads the clock and prints; only the library is a core"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant as Clock};

use base::{Instant, MachineId, Random};
use candidacy::request::Plain;
use candidacy::{
    Chain, Hot, Machine, Report, RouteRule, Routes, Scratch, Slot, Snapshot, Tried, View, decide,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands every call on to the system's allocator unchanged and only counts.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promises are those that `System` asks for.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    // SAFETY: the caller's promises are those that `System` asks for.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

const SIZES: [u16; 6] = [2, 6, 20, 100, 400, 1024];
const NOW: Instant = Instant::from_millis(100_000);

/// How many of the machines were heard of lately.
#[derive(Clone, Copy)]
enum Freshness {
    Quarter,
    All,
    None,
}

fn fleet(n: u16, freshness: Freshness) -> (Hot, Snapshot) {
    let hot = Hot::new(n.into());
    let mut random = Random::new(7);
    let mut machines = Vec::new();
    for i in 0..n {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&i.to_be_bytes());
        let addr = ([10, 0, (i >> 8) as u8, i as u8], 80).into();
        let mut machine = Machine::new(MachineId(id), format!("web{i}.example.com"), addr);
        (machine.cpus_milli, machine.arriba) = (2000, 500 + random.below(1500));
        (machine.total_memory, machine.available_memory) = (8 << 30, 4 << 30);
        machine.load_milli = random.below(4000);
        machine.load_high_water = 8;
        machines.push(Some(machine));
        let slot = Slot(i);
        hot.admit(slot, 1, Instant::from_millis(90_000));
        let fresh = match freshness {
            Freshness::Quarter => i % 4 == 1,
            Freshness::All => true,
            Freshness::None => false,
        };
        let age = if fresh { random.below(50) } else { 200 + random.below(700) };
        let at = Instant::from_millis(100_000 - u64::from(age));
        let in_flight = 3 + random.below(6) as u16;
        hot.hear(slot, 1, Report { sequence: 1, in_flight, ..Report::default() }, at);
        hot.observe_hop(slot, Duration::from_micros(200 + u64::from(random.below(100))));
    }
    (0..8).for_each(|_| hot.begin_service());
    (hot, Snapshot::new(1, Slot(0), machines))
}

/// Least and median nanoseconds of one decision, and allocations of all.
fn measure(chain: &Chain, n: u16, freshness: Freshness) -> (f64, f64, u64) {
    let (hot, snapshot) = fleet(n, freshness);
    let view =
        View { hot: &hot, snapshot: &snapshot, now: NOW, service: Duration::from_millis(20) };
    let (mut random, mut scratch) = (Random::new(1), Scratch::new());
    let request = Plain { host: "www.example.com", target: "/a/b?c", method: "GET", headers: &[] };
    let mut batch = |decisions: u32| {
        let begun = Clock::now();
        for _ in 0..decisions {
            let tried = black_box(&Tried::NONE);
            black_box(decide(chain, &view, &request, tried, &mut random, &mut scratch, None));
        }
        begun.elapsed().as_nanos() as f64 / f64::from(decisions)
    };
    let per_batch = (500_000 / u32::from(n)).clamp(500, 20_000);
    batch(per_batch);
    let mut times = [0.0; 31];
    let before = ALLOCATIONS.load(Relaxed);
    times.iter_mut().for_each(|time| *time = batch(per_batch));
    let allocations = ALLOCATIONS.load(Relaxed) - before;
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2], allocations)
}

/// Least nanoseconds to find the route of a request that none of `rules` covers, and allocations.
fn find_route(rules: usize) -> (f64, u64) {
    let rule = |i: usize| {
        let mut rule = RouteRule { name: format!("r{i}"), ..RouteRule::default() };
        match i % 4 {
            0 => rule.prefixes = vec![format!("/area{i}")],
            1 => rule.extensions = vec![format!("x{i}")],
            2 => rule.hosts = vec![format!("*.site{i}.example.com")],
            _ => rule.regex = Some(format!("^/api/v{i}/[a-z]+$")),
        }
        rule
    };
    let rules: Vec<RouteRule> = (0..rules).map(rule).collect();
    let routes = Routes::new(&rules, Chain::standard()).expect("rules");
    let request = Plain { host: "www.example.com", target: "/a/b?c", method: "GET", headers: &[] };
    let batch = || {
        let begun = Clock::now();
        (0..20_000).for_each(|_| {
            black_box(routes.find(black_box(&request)));
        });
        begun.elapsed().as_nanos() as f64 / 20_000.0
    };
    batch();
    let before = ALLOCATIONS.load(Relaxed);
    let least = (0..31).map(|_| batch()).fold(f64::INFINITY, f64::min);
    (least, ALLOCATIONS.load(Relaxed) - before)
}

fn main() {
    let fresh = Chain::standard();
    let classic = Chain::parse(&["byAge", "byRandom", "byLogWindow", "byLoad"]).expect("a chain");
    let busy = Chain::parse(&["byAge", "byBusyChildren"]).expect("a chain");
    let cases = [
        ("byFresh, a quarter fresh", &fresh, Freshness::Quarter),
        ("byFresh, all fresh", &fresh, Freshness::All),
        ("byFresh, none fresh", &fresh, Freshness::None),
        ("byAge byRandom byLogWindow byLoad", &classic, Freshness::Quarter),
        ("byAge byBusyChildren", &busy, Freshness::Quarter),
    ];
    println!("ns per decision: least (median) of 31 batches\n");
    println!("| chain | {} |", SIZES.map(|n| format!("{n}")).join(" | "));
    println!("|---|{}", "--:|".repeat(SIZES.len()));
    let mut allocated = 0;
    for (name, chain, freshness) in cases {
        let cells = SIZES.map(|n| {
            let (least, median, allocations) = measure(chain, n, freshness);
            allocated += allocations;
            format!("{least:.0} ({median:.0})")
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
    println!();
    for rules in [1, 8, 40] {
        let (least, allocations) = find_route(rules);
        allocated += allocations;
        println!("finding the route past {rules} rules: {least:.0} ns");
    }
    println!("\nallocations while deciding: {allocated}");
    assert_eq!(allocated, 0, "a decision must not allocate");
}

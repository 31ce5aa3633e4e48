//! A cluster that does not exist, alive enough to look at and to test the pages with.
#![allow(dead_code)] // Each test and the preview use a part of it.

pub(crate) mod addresses;
mod bus;

use std::time::{Duration, Instant};

use base::{Histogram, Random};
use console::view::{
    Appraisal, DecisionRow, MachineRow, Outcome, Pressure, Ranked, RouteRow, StatusView, Step,
    Struck, Tone,
};

/// The figures of six unequal machines, which move a little at each look.
pub(crate) struct Sample {
    start: Instant,
    random: Random,
    turnaround: Vec<Histogram>,
    routes: [Histogram; 3],
    age: Histogram,
    looks: u64,
    requests: u64,
    /// Machines with addresses, and how many at each.
    pub(crate) addresses: (usize, usize),
}

const NAMES: [&str; 6] = ["birch", "cedar", "elm", "hazel", "maple", "rowan"];
const CPUS: [f64; 6] = [4.0, 4.0, 2.0, 8.0, 0.5, 4.0];

impl Sample {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            start: Instant::now(),
            random: Random::new(seed),
            turnaround: NAMES.iter().map(|_| Histogram::new()).collect(),
            routes: std::array::from_fn(|_| Histogram::new()),
            age: Histogram::new(),
            looks: 0,
            requests: 0,
            addresses: (NAMES.len(), 3),
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random.next_u64() % n.max(1)
    }

    fn machine(&mut self, i: usize) -> MachineRow {
        let wave = ((self.looks as f64 / 9.0 + i as f64).sin() + 1.2) / 2.2;
        let mine = (CPUS[i] * 2.5 * wave) as u64 + self.below(3);
        let others = (CPUS[i] * 4.0 * wave) as u64 + self.below(4);
        let (condition, tone, usable) = match i {
            2 => ("over its limit", Tone::Warn, true),
            4 => ("ejected, back in 4 s", Tone::Bad, false),
            _ => ("alive", Tone::Good, true),
        };
        let limit = (CPUS[i] * 16.0) as u32;
        let turnaround = self.turnaround[i].snapshot();
        let memory = ((CPUS[i] * 2.0) as u64).max(1) << 30;
        MachineRow {
            entry: i as u16,
            name: NAMES[i].into(),
            id: format!("{:032x}", 0xa1b2_c3d4_u64 * (i as u64 + 1)),
            boot: format!("{:x}{:024x}", 0x9c41_7e02_u64 + i as u64 * 0x1111_3337, i),
            version: Some(if i == 2 { "0.2.0" } else { "0.1.0" }.into()),
            this: i == 0,
            address: format!("10.0.0.{}:8080", i + 1),
            peer: Some(format!("10.0.0.{}:4446", i + 1)),
            plain: false,
            condition: condition.into(),
            tone,
            usable,
            age_ms: Some(if i == 0 { 0 } else { 40 + self.below(1000) }),
            information_age_ms: Some(if i == 0 { 0 } else { 1 + self.below(60) }),
            total_memory_bytes: memory,
            available_memory_bytes: (memory as f64 * (0.9 - 0.5 * wave)) as u64,
            ready_servers: Some(limit.saturating_sub((mine + others) as u32)),
            total_servers: Some(limit),
            ms_per_request: turnaround.mean().map(|d| d.as_secs_f64() * 1e3),
            requests: turnaround.count(),
            arriba: Some((CPUS[i].max(1.0) * 91_000.0) as u64 + self.below(3)),
            cpus: CPUS[i],
            load: CPUS[i] * wave * 0.9,
            load_high_water: (CPUS[i] * 2.0).max(1.0),
            cpu_idle: (1.0 - wave).clamp(0.0, 1.0),
            pressure: Pressure {
                cpu_percent: Some(if i == 4 { 61.0 } else { wave * 9.0 }),
                memory_percent: Some(0.0),
                io_percent: Some(wave * 2.0),
            },
            in_flight_mine: mine as u32,
            in_flight_others: others as u32,
            in_flight_limit: Some(limit),
            turnaround,
            ..MachineRow::default()
        }
    }
}

impl console::Source for Sample {
    fn view(&mut self, _: bool) -> StatusView {
        self.looks += 1;
        let wave = (self.looks as f64 / 7.0).sin() * 60.0;
        let arrived = (190.0 + wave) as u64 + self.below(50);
        self.requests += arrived;
        for _ in 0..arrived {
            let machine = self.below(NAMES.len() as u64) as usize;
            let x = self.below(10_000) as f64 / 10_000.0;
            let micros =
                (900.0 + 2_500.0 * -(1.0 - x).ln() * (2.0 / CPUS[machine]).max(1.0)) as u64;
            self.turnaround[machine].record(Duration::from_micros(micros));
            let route = if x < 0.7 { 2 } else { usize::from(x < 0.9) };
            self.routes[route]
                .record(Duration::from_micros(micros * if route == 1 { 40 } else { 1 }));
            self.age.record(Duration::from_micros(200 + (x * 30_000.0) as u64));
        }
        let machines = (0..NAMES.len()).map(|i| self.machine(i)).collect();
        let mut view = StatusView {
            version: "0.1.0".into(),
            this: NAMES[0].into(),
            id: format!("{:032x}", 0xa1b2_c3d4_u64),
            boot: format!("{:032x}", 7),
            uptime_seconds: 11_520.0 + self.start.elapsed().as_secs_f64(),
            machines,
            routes: routes(&self.routes),
            decisions: decisions(self.looks),
            bus: Some(bus::bus(self.looks)),
            addresses: Some(addresses::addresses(
                &NAMES[..self.addresses.0],
                self.addresses.1,
                self.looks,
            )),
            information_age: self.age.snapshot(),
            ..StatusView::default()
        };
        let totals = &mut view.totals;
        totals.workers = 4;
        totals.cluster.announcement_packets_sent = 11_523 + self.looks;
        totals.cluster.heard = 57_610 + 5 * self.looks;
        totals.cluster.admitted = 7;
        totals.cluster.deaths = 2;
        let c = &mut totals.counters;
        c.requests = 2_304_000 + self.requests;
        c.peer_requests = 1_890_220 + self.requests;
        c.status_2xx = c.requests - 4_410;
        c.status_3xx = 4_012;
        c.status_4xx = 391;
        c.status_5xx = 7 + self.looks / 23;
        c.decided_here = c.requests / 5;
        c.decided_proxy = c.requests - c.decided_here;
        c.bytes_out = c.requests * 21_000;
        c.bytes_in = c.requests * 310;
        c.open = 212;
        c.accepted = 91_204;
        c.peers_in = 80;
        c.connects = 1_204;
        c.pool_hits = c.decided_proxy - 1_204;
        c.pool_idle = 61;
        c.retries = 31;
        c.ejections = 3;
        c.moved_by_death = 4;
        c.reports = c.decided_proxy;
        c.probes = 8_112;
        c.asked = 12_077;
        totals.reasons = vec![("best_here", c.decided_here), ("best_there", c.decided_proxy)];
        view
    }
}

fn routes(turnaround: &[Histogram; 3]) -> Vec<RouteRow> {
    let row =
        |i: usize, name: &str, matches: &str, chain: &[&str], empty: &str, asking: &str| RouteRow {
            name: name.into(),
            matches: matches.into(),
            chain: chain.iter().map(|f| (*f).into()).collect(),
            empty: empty.into(),
            asking: asking.into(),
            requests: turnaround[i].snapshot().count(),
            turnaround: turnaround[i].snapshot(),
            ..RouteRow::default()
        };
    vec![
        row(
            0,
            "write",
            "path /shop, method POST or PUT",
            &["byHostname ^hazel$"],
            "refuse",
            "never",
        ),
        row(1, "reports", "path /reports/", &["byAge 5", "byFresh"], "here", "auto"),
        row(2, "default", "", &["byFresh"], "here", "auto"),
    ]
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).into()).collect()
}

/// What the decisions of a moment look like.
fn decisions(looks: u64) -> Vec<DecisionRow> {
    (0..12).map(|i| decision(looks * 3 + 12 - i, i)).collect()
}

fn decision(number: u64, i: u64) -> DecisionRow {
    let paths = [
        "/",
        "/style.css",
        "/shop/cart",
        "/reports/2026/q3",
        "/img/harbour.jpg",
        "/api/v1/items/4711",
    ];
    let path = paths[(number % 6) as usize];
    let write = path.starts_with("/shop");
    let here = number.is_multiple_of(5);
    let (winner, next) = if write {
        ("hazel", "")
    } else if here {
        ("birch", "rowan")
    } else {
        ("rowan", "birch")
    };
    let order = [winner, next, "cedar", "hazel"];
    let costs = [0.81, 1.02, 1.4, 2.35];
    let step = if write {
        Step {
            function: "byHostname ^hazel$".into(),
            left: vec![Ranked { name: "hazel".into(), figure: None }],
            went: names(&["birch", "cedar", "rowan"]),
            ..Step::default()
        }
    } else {
        let ranked = order.iter().zip(costs);
        Step {
            function: "byFresh".into(),
            left: ranked.map(|(n, c)| Ranked { name: (*n).into(), figure: Some(c) }).collect(),
            ..Step::default()
        }
    };
    let appraisal = |(name, cost): (&&str, f32)| Appraisal {
        name: (*name).into(),
        mine: 2,
        others: 1.5,
        age_ms: (*name != "birch").then_some(0.7),
        growth: cost - 0.1,
        hop: if *name == "birch" { 0.0 } else { 0.1 },
        penalty: 0.0,
        strain: 1.0,
        cost,
    };
    let asked = !write && number.is_multiple_of(4);
    let mut steps = vec![step];
    if asked {
        let ranked = order.iter().zip(costs);
        steps.push(Step {
            function: "asking first".into(),
            left: ranked.map(|(n, c)| Ranked { name: (*n).into(), figure: Some(c) }).collect(),
            ..Step::default()
        });
    }
    DecisionRow {
        number,
        age_ms: 140 + i * 830,
        method: if write { "POST".into() } else { "GET".into() },
        host: "www.example.org".into(),
        path: path.into(),
        route: if write { "write".into() } else { "default".into() },
        outcome: if winner == "birch" { Outcome::Here } else { Outcome::Proxy },
        winner: Some(winner.into()),
        reason: if winner == "birch" { "best_here".into() } else { "best_there".into() },
        why: if write {
            "hazel is the only machine left".into()
        } else {
            format!("{winner} (cost 0.81, 0.7 ms old) before {next} (cost 1.02)")
        },
        excluded: vec![
            Struck { name: "maple".into(), why: "ejected".into() },
            Struck { name: "elm".into(), why: "over limit".into() },
        ],
        candidates: names(&["birch", "cedar", "hazel", "rowan"]),
        steps,
        appraisals: if write {
            Vec::new()
        } else {
            order.iter().zip(costs).map(appraisal).collect()
        },
        estimates: if asked {
            order.iter().zip([0.6, 0.8, 1.4]).map(appraisal).collect()
        } else {
            Vec::new()
        },
        answered: if asked { names(&["rowan", "cedar"]) } else { Vec::new() },
        waited_ms: asked.then_some(0.41),
        promised: if asked { names(&["cedar"]) } else { Vec::new() },
        silent: if asked && number.is_multiple_of(8) { names(&["hazel"]) } else { Vec::new() },
    }
}

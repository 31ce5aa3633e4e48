//! The last minute: what a single look cannot show.
//!
//! Samples come at an even pace and are kept in rings of [`SAMPLES`]; from them come the sparklines and
//! the rates. Recent quantiles are differences of the ever-growing histograms: two older copies of each
//! are kept and take turns every [`TURN`], so that *the last minute* is the last half to whole minute.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use base::histogram::Counts;

use crate::view::StatusView;

/// Samples in a sparkline.
pub(crate) const SAMPLES: usize = 60;
/// How often the older copies of histograms take turns.
const TURN: Duration = Duration::from_secs(30);

/// What was seen before.
#[derive(Debug)]
pub(crate) struct History {
    interval: Duration,
    last: Option<Instant>,
    turned: Option<Instant>,
    /// By identity: a machine that changes its name keeps its past.
    machines: HashMap<String, Past>,
    /// By place: routes do not change while the program runs.
    routes: Vec<Past>,
    entry: Past,
    requests: Series,
    errors: Series,
    bus_taken: Series,
    bus_given: Series,
    p99: Ring,
}

/// The past of one machine, one route, or all routes together.
#[derive(Debug, Default)]
struct Past {
    in_flight: Ring,
    requests: Series,
    before: Counts,
    older: Counts,
    newer: Counts,
}

/// A ring of samples.
#[derive(Debug, Default)]
struct Ring(VecDeque<f32>);

/// A counter, as the rates between its samples.
#[derive(Debug, Default)]
struct Series {
    last: Option<u64>,
    rates: Ring,
}

impl Ring {
    fn push(&mut self, sample: f64) {
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(sample as f32);
    }

    fn list(&self) -> Vec<f32> {
        self.0.iter().copied().collect()
    }
}

impl Series {
    /// Takes the counter's value, `seconds` after the last one. The first has no rate yet.
    fn push(&mut self, count: u64, seconds: f64) {
        if let (Some(last), true) = (self.last, seconds > 0.0) {
            // A counter that went back belongs to a machine that began anew.
            self.rates.push(count.saturating_sub(last) as f64 / seconds);
        }
        self.last = Some(count);
    }

    fn now(&self) -> f64 {
        self.rates.0.back().copied().unwrap_or(0.0).into()
    }
}

impl Past {
    fn push(&mut self, in_flight: f64, counts: &Counts, seconds: f64, turn: bool) {
        self.in_flight.push(in_flight);
        self.requests.push(counts.count(), seconds);
        if turn {
            self.older = std::mem::replace(&mut self.newer, counts.clone());
        }
    }

    /// Median and 99th percentile of the last minute, in milliseconds.
    fn recent(&self, counts: &Counts) -> (Option<f64>, Option<f64>) {
        let recent = counts.since(&self.older);
        let at = |q| recent.quantile(q).map(millis);
        (at(0.5), at(0.99))
    }
}

impl History {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: None,
            turned: None,
            machines: HashMap::new(),
            routes: Vec::new(),
            entry: Past::default(),
            requests: Series::default(),
            errors: Series::default(),
            bus_taken: Series::default(),
            bus_given: Series::default(),
            p99: Ring::default(),
        }
    }

    /// Takes a sample, seen at `now`.
    pub(crate) fn push(&mut self, view: &StatusView, now: Instant) {
        let seconds = self.last.map_or(0.0, |last| now.duration_since(last).as_secs_f64());
        self.last = Some(now);
        let turn = self.turned.is_none_or(|at| now.duration_since(at) >= TURN);
        // The first turn only starts the clock: what was counted before belongs to the last minute too.
        let turn = turn && self.turned.replace(now).is_some();

        self.machines.retain(|id, _| view.machines.iter().any(|machine| machine.id == *id));
        for machine in &view.machines {
            let past = self.machines.entry(machine.id.clone()).or_default();
            past.push(machine.in_flight() as f64, &machine.turnaround, seconds, turn);
        }
        self.routes.resize_with(view.routes.len(), Past::default);
        for (past, route) in self.routes.iter_mut().zip(&view.routes) {
            past.push(0.0, &route.turnaround, seconds, turn);
        }
        let all = all_routes(view);
        let entered: u64 = view.machines.iter().map(|m| u64::from(m.in_flight_mine)).sum();
        self.entry.push(entered as f64, &all, seconds, turn);
        let p99 = all.since(&self.entry.before).quantile(0.99);
        self.p99.push(p99.map_or(f64::NAN, millis));
        self.entry.before = all;
        self.requests.push(view.totals.counters.requests, seconds);
        self.errors.push(view.totals.counters.status_5xx, seconds);
        if let Some(bus) = &view.bus {
            self.bus_taken.push(bus.counters.messages, seconds);
            self.bus_given.push(bus.counters.delivered, seconds);
        }
    }

    /// Writes trends, rates and recent quantiles into a view.
    pub(crate) fn fill_in(&self, view: &mut StatusView) {
        for machine in &mut view.machines {
            let Some(past) = self.machines.get(&machine.id) else { continue };
            (machine.p50_ms, machine.p99_ms) = past.recent(&machine.turnaround);
            machine.requests_per_second = past.requests.now();
            machine.trend_in_flight = past.in_flight.list();
        }
        for (route, past) in view.routes.iter_mut().zip(&self.routes) {
            (route.p50_ms, route.p99_ms) = past.recent(&route.turnaround);
            route.requests_per_second = past.requests.now();
            route.trend_requests_per_second = past.requests.rates.list();
        }
        let (p50, p99) = self.entry.recent(&all_routes(view));
        let trend = &mut view.trend;
        trend.interval_seconds = self.interval.as_secs_f64();
        trend.requests_per_second = self.requests.rates.list();
        trend.errors_per_second = self.errors.rates.list();
        trend.in_flight = self.entry.in_flight.list();
        trend.p99_ms = self.p99.list();
        (trend.recent_p50_ms, trend.recent_p99_ms) = (p50, p99);
        if let Some(bus) = &mut view.bus {
            bus.messages_per_second = self.bus_taken.now();
            bus.delivered_per_second = self.bus_given.now();
            bus.trend_messages = self.bus_taken.rates.list();
            bus.trend_delivered = self.bus_given.rates.list();
        }
    }
}

fn all_routes(view: &StatusView) -> Counts {
    let mut all = Counts::default();
    view.routes.iter().for_each(|route| all.merge(&route.turnaround));
    all
}

/// To the microsecond: more was not measured.
fn millis(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{MachineRow, RouteRow};
    use base::Histogram;

    fn view(histogram: &Histogram, in_flight: u32) -> StatusView {
        let turnaround = histogram.snapshot();
        let machine = MachineRow {
            id: "a".into(),
            in_flight_mine: in_flight,
            turnaround: turnaround.clone(),
            ..MachineRow::default()
        };
        let mut view = StatusView { machines: vec![machine], ..StatusView::default() };
        view.totals.counters.requests = turnaround.count();
        view.routes = vec![RouteRow { turnaround, ..RouteRow::default() }];
        view
    }

    #[test]
    fn rates_are_what_came_between_two_samples() {
        let (histogram, start) = (Histogram::new(), Instant::now());
        let mut history = History::new(Duration::from_secs(1));
        history.push(&view(&histogram, 0), start);
        (0..50).for_each(|_| histogram.record(Duration::from_millis(3)));
        let mut seen = view(&histogram, 7);
        history.push(&seen, start + Duration::from_secs(2));
        history.fill_in(&mut seen);
        assert_eq!(seen.trend.requests_per_second, [25.0]);
        assert_eq!(seen.machines[0].requests_per_second, 25.0);
        assert_eq!(seen.machines[0].trend_in_flight, [0.0, 7.0]);
        assert_eq!(seen.trend.in_flight, [0.0, 7.0]);
        assert!(seen.trend.p99_ms[0].is_nan() && seen.trend.p99_ms[1] >= 3.0);
        assert!(seen.routes[0].p50_ms.is_some_and(|ms| (3.0..3.8).contains(&ms)));
    }

    #[test]
    fn what_happened_minutes_ago_is_not_recent() {
        let (histogram, start) = (Histogram::new(), Instant::now());
        let mut history = History::new(Duration::from_secs(1));
        (0..100).for_each(|_| histogram.record(Duration::from_secs(1)));
        for second in 0..100 {
            history.push(&view(&histogram, 0), start + Duration::from_secs(second));
            if second == 75 {
                histogram.record(Duration::from_millis(2));
            }
        }
        let mut seen = view(&histogram, 0);
        history.fill_in(&mut seen);
        assert!(
            seen.machines[0].p99_ms.is_some_and(|ms| ms < 3.0),
            "{:?}",
            seen.machines[0].p99_ms
        );
        assert_eq!(seen.trend.requests_per_second.len(), SAMPLES);
    }

    #[test]
    fn a_machine_that_left_the_matrix_is_forgotten() {
        let (histogram, start) = (Histogram::new(), Instant::now());
        let mut history = History::new(Duration::from_secs(1));
        history.push(&view(&histogram, 1), start);
        history.push(&StatusView::default(), start);
        assert!(history.machines.is_empty());
    }
}

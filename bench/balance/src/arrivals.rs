//! When requests come and what they cost: the same for every rival, from a seed.

use std::time::Duration;

use base::Random;

/// One request of the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// From the start of the run.
    pub(crate) at: Duration,
    /// Processor time it costs, in microseconds.
    pub(crate) micros: u32,
    /// The machine where it enters, by index.
    pub(crate) entry: usize,
}

/// Mean processor time of a request in microseconds: nine in ten cost 6 ms in the mean, one in ten 26 ms.
pub(crate) const MEAN_MICROS: f64 = 0.9 * 6_000.0 + 0.1 * 26_000.0;
const LEAST_MICROS: f64 = 5_000.0;

/// Poisson arrivals at `rate` per second, each at a random machine.
pub(crate) fn plan(seed: u64, rate: f64, count: usize, machines: usize) -> Vec<Arrival> {
    let mut random = Random::new(seed);
    let mut at = 0.0;
    (0..count)
        .map(|_| {
            at += exponential(&mut random) / rate;
            let mean = if random.unit() < 0.9 { 6_000.0 } else { 26_000.0 };
            // A request must outlast several quotas, or quotas would not make a machine slow: a fixed part and a random one.
            let micros = LEAST_MICROS + exponential(&mut random) * (mean - LEAST_MICROS);
            Arrival {
                at: Duration::from_secs_f64(at),
                micros: micros as u32,
                entry: random.below(machines as u32) as usize,
            }
        })
        .collect()
}

fn exponential(random: &mut Random) -> f64 {
    -(1.0 - random.unit()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_has_the_rate_and_the_cost_that_were_asked_for() {
        let plan = plan(1, 100.0, 50_000, 6);
        let last = plan.last().unwrap().at.as_secs_f64();
        assert!((last - 500.0).abs() < 15.0, "{last}");
        let mean = plan.iter().map(|a| f64::from(a.micros)).sum::<f64>() / 50_000.0;
        assert!((mean / MEAN_MICROS - 1.0).abs() < 0.03, "{mean}");
        assert!((0..6).all(|m| plan.iter().filter(|a| a.entry == m).count() > 8_000));
    }

    #[test]
    fn the_same_seed_plans_the_same_day() {
        let key = |seed| {
            plan(seed, 10.0, 100, 6).iter().map(|a| (a.at, a.micros, a.entry)).collect::<Vec<_>>()
        };
        assert_eq!(key(3), key(3));
        assert_ne!(key(3), key(4));
    }
}

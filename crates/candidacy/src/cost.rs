//! The price of one more request, here and there.
//!
//! A machine with `c` CPUs of relative speed `s` that holds `n` requests serves each of them
//! `max(1, n/c)/s` times slower than an idle machine of average speed would. So all of them together
//! spend `F(n) = n·max(1, n/c)/s`, and one more makes it grow by `F(n+1) − F(n)`: `1/s` as long as a
//! CPU is free, `(2n+1)/(c·s)` beyond. This *marginal* cost counts what the newcomer does to the others,
//! which the selfish "how long will mine take" does not (the idea of the cost-benefit framework behind
//! the historical `byCost`; both were simulated, see `docs/simulation.md`).
//!
//! Below saturation the model says that a second request costs nothing. Only the number of CPUs says so, and the
//! service may use fewer of them: a program of one thread uses one. So what is asked for a free CPU rises
//! with the share of CPUs in use, by a quarter when all are: of two machines that seem to have room, the emptier
//! one is taken, as least connections would. (Simulated at 0.90 with 6 and 20 machines: a quarter costs
//! nothing where the CPUs are what they seem, twice the price costs 3 to 5 % of the mean.)
//!
//! Memory and the limit of requests enter as exponentials of their used share, so that they matter
//! only when nearly gone. The framework's base is the number of machines; with six machines that
//! would make half-used memory expensive, so the base here is that of the largest fleet.
//!
//! Everything is in units of one typical request on an idle machine of average speed.

use alloc::vec::Vec;

use crate::hot::MAX_MACHINES;
use crate::snapshot::Machine;

/// What costing needs of a machine's slow figures, computed once per snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// CPUs.
    pub(crate) cores: f32,
    /// `1/s`.
    pub(crate) slowness: f32,
    /// `c·s`: its share of the fleet's work, and its reciprocal.
    pub(crate) capacity: f32,
    pub(crate) per_capacity: f32,
    /// What short memory multiplies with; at least 1.
    pub(crate) strain: f32,
    /// `1/limit`, 0 without one.
    pub(crate) per_limit: f32,
    /// The historical price: `n^(memory used) + n^(load/high-water mark)`.
    pub(crate) classic: f32,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            cores: 1.0,
            slowness: 1.0,
            capacity: 1.0,
            per_capacity: 1.0,
            strain: 1.0,
            per_limit: 0.0,
            classic: 2.0,
        }
    }
}

/// What the last free CPU costs more than the first.
const LEAN: f32 = 0.25;
/// Share of memory or limit from which it begins to cost.
const STRAIN_FROM: f32 = 0.75;
/// What is added to the factor 1 when the last of it is used.
const STRAIN_AT_END: f32 = 4.0;
/// Binary logarithm of the exponential's base.
const LOG_BASE: f32 = MAX_MACHINES.ilog2() as f32;

/// The factor for a used share: 1 below [`STRAIN_FROM`], then exponentially up to 5 at 1.
pub(crate) fn strain(used: f32) -> f32 {
    if used <= STRAIN_FROM {
        return 1.0;
    }
    let price = |u: f32| libm::exp2f(LOG_BASE * u.min(1.5));
    let floor = price(STRAIN_FROM);
    1.0 + STRAIN_AT_END * (price(used) - floor) / (price(1.0) - floor)
}

impl Figures {
    /// The figures of all rows. Speeds are relative to the mean of those that are known.
    pub(crate) fn of(machines: &[Option<Machine>]) -> Vec<Self> {
        let present = || machines.iter().flatten();
        let (sum, known) = present()
            .filter(|m| m.arriba > 0)
            .fold((0.0, 0u32), |(sum, n), m| (sum + f64::from(m.arriba), n + 1));
        let mean = if known == 0 { 1.0 } else { sum / f64::from(known) };
        let count = present().count();
        let of = |m: &Option<Machine>| {
            m.as_ref().map_or_else(Self::default, |m| Self::new(m, mean, count))
        };
        machines.iter().map(of).collect()
    }

    fn new(machine: &Machine, mean_arriba: f64, count: usize) -> Self {
        let speed = if machine.arriba == 0 { 1.0 } else { f64::from(machine.arriba) / mean_arriba };
        let speed = speed.clamp(0.02, 50.0) as f32;
        let cores = (machine.cpus_milli as f32 / 1000.0).clamp(0.01, 4096.0);
        let used = memory_used(machine);
        let capacity = cores * speed;
        Self {
            cores,
            slowness: 1.0 / speed,
            capacity,
            per_capacity: 1.0 / capacity,
            strain: strain(used),
            per_limit: if machine.limit == 0 { 0.0 } else { 1.0 / machine.limit as f32 },
            classic: classic(machine, used, 0, count),
        }
    }

    /// The growth of everybody's time by one more request beside `n`.
    pub(crate) fn growth(&self, n: f32) -> f32 {
        if n >= self.cores {
            return (2.0 * n + 1.0) * self.per_capacity;
        }
        let lean = self.slowness + LEAN * n * self.per_capacity;
        let exact = (n + 1.0) * (n + 1.0) * self.per_capacity - n * self.slowness;
        if n + 1.0 <= self.cores { lean } else { exact.max(lean) }
    }

    /// What one request takes here, if the machine is idle and its CPUs are of average speed: 1, or more where a quota
    /// leaves less than one CPU.
    pub(crate) fn unit(&self) -> f32 {
        1.0 / self.cores.min(1.0)
    }

    /// What memory and the limit multiply the growth with.
    pub(crate) fn strain_at(&self, n: f32) -> f32 {
        let used = (n + 1.0) * self.per_limit;
        if used > STRAIN_FROM { self.strain * strain(used) } else { self.strain }
    }
}

fn memory_used(machine: &Machine) -> f32 {
    if machine.total_memory == 0 {
        return 0.0;
    }
    let available = machine.available_memory.min(machine.total_memory);
    1.0 - (available as f64 / machine.total_memory as f64) as f32
}

/// The historical cost with `predicted` further running requests.
fn classic(machine: &Machine, memory_used: f32, predicted: u32, machines: usize) -> f32 {
    let n = (machines.max(2)) as f32;
    let load = machine.load_milli as f32 / 1000.0 + predicted as f32;
    let high_water = machine.load_high_water.max(1) as f32;
    libm::powf(n, memory_used) + libm::powf(n, (load / high_water).min(8.0))
}

/// The historical cost of a machine for which requests were predicted.
pub(crate) fn classic_with(machine: &Machine, predicted: u32, machines: usize) -> f32 {
    classic(machine, memory_used(machine), predicted, machines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::MachineId;
    use core::net::{Ipv4Addr, SocketAddr};
    use proptest::prelude::*;

    fn figures(edit: impl FnOnce(&mut Machine)) -> Figures {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let mut machine = Machine::new(MachineId([0; 16]), "a", addr);
        machine.cpus_milli = 2000;
        edit(&mut machine);
        Figures::of(&[Some(machine)])[0]
    }

    #[test]
    fn a_free_cpu_costs_one_request_or_a_little_more_and_a_busy_one_more_with_every_guest() {
        let two_cores = figures(|_| {});
        assert_eq!(two_cores.growth(0.0), 1.0);
        assert_eq!(two_cores.growth(1.0), 1.125);
        assert_eq!(two_cores.growth(2.0), 2.5);
        assert_eq!(two_cores.growth(3.0), 3.5);
        assert!((two_cores.growth(1.5) - (2.5 * 2.5 / 2.0 - 1.5)).abs() < 1e-6);
    }

    #[test]
    fn memory_matters_only_when_nearly_gone() {
        let used = |percent: u64| {
            figures(|m| (m.total_memory, m.available_memory) = (100, 100 - percent)).strain
        };
        assert_eq!((used(0), used(50), used(75)), (1.0, 1.0, 1.0));
        assert!(used(90) > 2.0 && used(90) < 3.0, "{}", used(90));
        assert!((used(100) - 5.0).abs() < 1e-3);
    }

    #[test]
    fn the_historical_cost_is_exponential_in_memory_and_load() {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let mut machine = Machine::new(MachineId([0; 16]), "a", addr);
        (machine.total_memory, machine.available_memory) = (100, 50);
        (machine.load_milli, machine.load_high_water) = (4000, 8);
        assert!((classic_with(&machine, 0, 16) - (4.0 + 4.0)).abs() < 1e-4);
        assert!((classic_with(&machine, 4, 16) - (4.0 + 16.0)).abs() < 1e-4);
    }

    proptest! {
        #[test]
        fn no_figures_make_a_cost_that_cannot_be_compared(
            cpus_milli: u32, arriba: u32, total: u64, available: u64,
            limit: u32, load_milli: u32, load_high_water: u32, n in 0u32..200_000,
        ) {
            let f = figures(|m| {
                (m.cpus_milli, m.arriba, m.limit) = (cpus_milli, arriba, limit);
                (m.total_memory, m.available_memory) = (total, available);
                (m.load_milli, m.load_high_water) = (load_milli, load_high_water);
            });
            let n = n as f32;
            let cost = f.growth(n) * f.strain_at(n);
            prop_assert!(cost.is_finite() && cost > 0.0, "{f:?} {n} {cost}");
            prop_assert!(f.classic.is_finite());
        }

        #[test]
        fn one_more_request_never_gets_cheaper_with_more_guests(
            cpus_milli in 10u32..64_000, n in 0.0f32..1000.0, more in 0.0f32..10.0,
        ) {
            let f = figures(|m| m.cpus_milli = cpus_milli);
            prop_assert!(f.growth(n + more) >= f.growth(n) * 0.999, "{} {}", f.growth(n), f.growth(n + more));
        }
    }
}

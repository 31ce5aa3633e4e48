//! Messages per second, and the daemons' processor time for each.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use lab::Process;

use crate::clock::{self, SECOND};
use crate::cluster::{self, Cluster};
use crate::role::{Counted, Role};
use crate::session::{Bus, Load, Window};

/// Bodies of these sizes, in bytes.
pub(crate) const SIZES: [usize; 4] = [100, 1_400, 8_192, 100_000];
/// From the orders until the load begins: clients connect and join.
const LEAD: u64 = SECOND / 2;
/// More for each machine beyond three.
const LEAD_EACH: u64 = SECOND / 10;
/// From the beginning of the load until it is counted.
const WARM: u64 = SECOND * 3 / 10;

/// Who sends what to how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) size: usize,
    pub(crate) safe: bool,
    pub(crate) senders: usize,
    pub(crate) receivers: usize,
}

impl Case {
    /// What is measured. `quick` leaves out what tells little more.
    pub(crate) fn all(quick: bool) -> Vec<Self> {
        let mut cases = Vec::new();
        for size in SIZES {
            for safe in [false, true] {
                for (senders, receivers) in [(1, 1), (1, 2), (1, 3), (3, 3)] {
                    let middling = receivers == 2 || (safe && receivers == 1);
                    if !middling || (!quick && size == SIZES[0]) {
                        cases.push(Self { size, safe, senders, receivers });
                    }
                }
            }
        }
        cases
    }

    /// Where its senders and receivers are: one for each machine, the others first so that one receiver is not at its sender's.
    fn places(&self, machines: usize) -> (Vec<usize>, Vec<usize>) {
        let senders = (0..self.senders).map(|n| n % machines).collect();
        let last = machines - 1;
        let receivers = (0..self.receivers).map(|n| last - n % machines).collect();
        (senders, receivers)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = match self.size {
            8_192 => "8 KB".into(),
            100_000 => "100 KB".into(),
            1_400 => "1,400 B".into(),
            other => format!("{other} B"),
        };
        let service = if self.safe { "safe" } else { "agreed" };
        write!(f, "{size} {service}, {} → {}", self.senders, self.receivers)
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Messages per second that came to the slowest receiver.
    pub(crate) per_second: f64,
    /// Microseconds of processor time that all daemons together spent for each.
    pub(crate) cpu_micros: f64,
}

/// Runs one case for `seconds`.
pub(crate) fn run(cluster: &mut Cluster, case: Case, seconds: f64) -> Result<Rate> {
    let group = cluster.group();
    let machines = cluster.machines();
    let (senders, mut receivers) = case.places(machines);
    let lead = LEAD + LEAD_EACH * machines.saturating_sub(3) as u64;
    let begin = clock::now() + lead;
    let from = begin + WARM;
    let until = from + (seconds * SECOND as f64) as u64;
    let window = Window { from, until };
    let load = Load { size: case.size, safe: case.safe, begin, until };

    let mut counting: Vec<Process> = Vec::new();
    let mut sending = Vec::new();
    // Corosync's senders receive as well: they take the place of a receiver, the one of their machine if there is one.
    let closed = cluster.system.bus() == Bus::Cpg;
    for at in senders {
        let instead = receivers.iter().position(|&r| r == at);
        let window = (closed && instead.is_some()).then_some(window);
        if let (Some(instead), true) = (instead, closed) {
            receivers.swap_remove(instead);
        }
        let process = cluster.role(at, &group, None, Role::Send(load, window))?;
        if window.is_some() { counting.push(process) } else { sending.push(process) }
    }
    for at in receivers {
        counting.push(cluster.role(at, &group, None, Role::Receive(window))?);
    }

    clock::sleep_until(from);
    let before = cluster.cpu_nanos()?;
    clock::sleep_until(until);
    let spent = cluster.cpu_nanos()? - before;

    let mut least = u64::MAX;
    for process in &counting {
        least = least.min(cluster::answer::<Counted>(process)?.messages);
    }
    for process in &sending {
        cluster::answer::<Counted>(process)?;
    }
    // What was sent last is still on its way to nobody.
    std::thread::sleep(Duration::from_millis(100));
    let cpu_micros = spent as f64 / 1e3 / least.max(1) as f64;
    Ok(Rate { per_second: least as f64 / seconds, cpu_micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_receiver_is_on_another_machine_and_three_are_on_each() {
        let case = |senders, receivers| Case { size: 100, safe: false, senders, receivers };
        assert_eq!(case(1, 1).places(3), (vec![0], vec![2]));
        assert_eq!(case(3, 3).places(3), (vec![0, 1, 2], vec![2, 1, 0]));
        assert_eq!(case(3, 3).places(1), (vec![0; 3], vec![0; 3]));
        assert_eq!(case(1, 1).to_string(), "100 B agreed, 1 → 1");
    }
}

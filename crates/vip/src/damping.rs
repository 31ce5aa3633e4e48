//! Who flaps waits longer: a machine that comes back again and again is not given addresses back each time.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::time::Duration;

use base::Instant;

/// Comings that lie further back are forgotten.
const MEMORY: Duration = Duration::from_secs(600);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Machines remembered; more never are members at a time.
const MACHINES_MAX: usize = 2_048;

/// How often machines have come of late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damping {
    machines: BTreeMap<String, (u32, Instant)>,
}

impl Damping {
    /// A machine has come.
    pub(crate) fn came(&mut self, machine: &str, now: Instant) {
        if self.machines.len() >= MACHINES_MAX && !self.machines.contains_key(machine) {
            self.machines.retain(|_, (_, last)| now.since(*last) < MEMORY);
            if self.machines.len() >= MACHINES_MAX {
                return;
            }
        }
        let (count, last) = self.machines.entry(machine.into()).or_insert((0, now));
        if now.since(*last) > MEMORY {
            *count = 0;
        }
        *count += 1;
        *last = now;
    }

    /// How long after its coming nothing is moved to a machine: `first` after the first time, twice as long each further time.
    pub(crate) fn wait(&self, machine: &str, first: Duration, now: Instant) -> Duration {
        match self.machines.get(machine) {
            Some((count, last)) if now.since(*last) <= MEMORY => {
                let doubled =
                    first.saturating_mul(2_u32.saturating_pow(count.saturating_sub(1).min(16)));
                doubled.min(WAIT_MAX.max(first))
            }
            _ => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coming_doubles_the_wait_until_it_is_forgotten() {
        let (mut damping, mut now) = (Damping::default(), Instant::from_millis(1));
        let first = Duration::from_secs(4);
        for seconds in [4, 8, 16, 32, 64, 128, 256, 300, 300] {
            damping.came("m1", now);
            assert_eq!(damping.wait("m1", first, now), Duration::from_secs(seconds));
            now += Duration::from_secs(60);
        }
        assert_eq!(damping.wait("m2", first, now), first);
        now += Duration::from_secs(601);
        assert_eq!(damping.wait("m1", first, now), first);
    }
}

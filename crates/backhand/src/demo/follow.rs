//! What becomes of the addresses of a machine that was harmed, as the probes see it.

use std::time::{Duration, Instant};

use super::bus::and;
use super::probe::Probes;
use super::tally::Millis;

/// How long they may be nowhere until that is told. A frozen machine's lease and more are over by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// The addresses that a machine had when it was harmed.
pub(crate) struct Follow {
    machine: String,
    harmed: Instant,
    addresses: Vec<usize>,
}

/// What became of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All are answered for by others.
    Elsewhere(String),
    /// Some are not, after all this time.
    InVain(String),
}

impl Follow {
    /// Of a machine that is about to be harmed; nothing if it has no address.
    pub(crate) fn begin(probes: &Probes, machine: &str) -> Option<Self> {
        let owners = probes.owners();
        let its = |at: &usize| owners[*at].as_deref() == Some(machine);
        let addresses: Vec<usize> = (0..probes.len()).filter(its).collect();
        let some = !addresses.is_empty();
        some.then(|| Self { machine: machine.into(), harmed: Instant::now(), addresses })
    }

    /// The machine.
    pub(crate) fn machine(&self) -> &str {
        &self.machine
    }

    /// What has become of them, once that is known.
    pub(crate) fn look(&self, probes: &Probes) -> Option<Fate> {
        let now = |at: &usize| (*at, probes.elsewhere(*at, &self.machine, self.harmed));
        let now: Vec<_> = self.addresses.iter().map(now).collect();
        let missing: Vec<String> =
            now.iter().filter(|(_, by)| by.is_none()).map(|(at, _)| probes.short(*at)).collect();
        if !missing.is_empty() {
            let late = self.harmed.elapsed() >= PATIENCE;
            return late.then(|| {
                Fate::InVain(format!(
                    "nobody else answers for {} of {}",
                    and(&missing),
                    self.machine
                ))
            });
        }
        let told: Vec<String> = now
            .into_iter()
            .filter_map(|(at, by)| Some((at, by?)))
            .map(|(at, (by, after))| {
                format!("{} by {by} after {}", probes.short(at), Millis(after))
            })
            .collect();
        Some(Fate::Elsewhere(format!(
            "new connections to what {} had are answered: {}",
            self.machine,
            and(&told)
        )))
    }
}

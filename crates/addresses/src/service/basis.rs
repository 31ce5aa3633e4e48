//! On what leases are renewed, shared between the service, which knows what was decided, and the kernel's thread, which renews.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Instant;
use vip::lease::{Basis, Freshness};

/// What the daemon of the bus knows of its ring, when it runs in this program.
#[derive(Clone, Debug)]
pub struct Beat {
    /// Up to then no daemon had gone on without ours, by CLOCK_BOOTTIME.
    pub since: Instant,
    /// The names of the daemons in the view.
    pub daemons: Vec<String>,
    /// When ours last went on after the others may have gone on without it, because it was kept from running.
    pub kept: Option<Instant>,
}

/// Asks the daemon. It must not block.
pub type Pulse = Arc<dyn Fn() -> Option<Beat> + Send + Sync>;

/// There is one ring at a time, and whether it is the right one is judged by its daemons.
const RING: [u8; 8] = [0; 8];

#[derive(Clone, Debug)]
struct Decided {
    /// The daemons of the members of the view on which the table rests.
    daemons: Vec<String>,
    /// Sets under quorum may be held too.
    quorum: bool,
    /// A word of ours that all daemons of the view have had was sent then.
    echoed: Option<Instant>,
}

/// The shared part.
pub(super) struct Shared {
    pulse: Option<Pulse>,
    decided: Mutex<Option<Decided>>,
    /// When the service's loop last came round, in nanoseconds: one that hangs renews nothing.
    beat: AtomicU64,
}

impl Shared {
    pub(super) fn new(pulse: Option<Pulse>, now: Instant) -> Self {
        Self { pulse, decided: Mutex::new(None), beat: AtomicU64::new(now.as_nanos()) }
    }

    /// When the daemon last went on after it was kept from running, where it runs in this program.
    pub(super) fn kept(&self) -> Option<Instant> {
        self.pulse.as_ref().and_then(|pulse| pulse()).and_then(|bus| bus.kept)
    }

    /// The service's loop came round. How long it had not.
    pub(super) fn beat(&self, now: Instant) -> Duration {
        now.since(Instant::from_nanos(self.beat.swap(now.as_nanos(), Relaxed)))
    }

    /// What the table rests on now; `None` when on nothing.
    pub(super) fn decide(&self, decided: Option<(Vec<String>, bool, Option<Instant>)>) {
        let decided = decided.map(|(daemons, quorum, echoed)| Decided { daemons, quorum, echoed });
        *self.decided.lock().unwrap_or_else(PoisonError::into_inner) = decided;
    }

    /// What a lease may rest on, read now: the basis, whether it covers sets under quorum, and how fresh the bus is.
    pub(super) fn read(&self) -> (Option<Basis>, bool, Freshness) {
        let decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let beat = Instant::from_nanos(self.beat.load(Relaxed));
        let nothing = Freshness { ring: None, since: Instant::ORIGIN };
        let Some(decided) = decided else { return (None, false, nothing) };
        let (covered, since) = match &self.pulse {
            Some(pulse) => match pulse() {
                Some(bus) => {
                    (decided.daemons.iter().all(|daemon| bus.daemons.contains(daemon)), bus.since)
                }
                None => (false, Instant::ORIGIN),
            },
            None => (true, decided.echoed.unwrap_or(Instant::ORIGIN)),
        };
        let ring = covered.then_some(RING);
        (Some(Basis { ring: RING }), decided.quorum, Freshness { ring, since: since.min(beat) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_ring_without_a_member_s_daemon_is_no_basis() {
        let daemons = Arc::new(Mutex::new(vec!["m1".to_owned(), "m2".to_owned()]));
        let there = daemons.clone();
        let pulse: Pulse = Arc::new(move || {
            let daemons = there.lock().unwrap().clone();
            Some(Beat { since: at(90), daemons, kept: Some(at(80)) })
        });
        let shared = Shared::new(Some(pulse), at(100));
        assert_eq!((shared.read().0, shared.kept()), (None, Some(at(80))));
        shared.decide(Some((vec!["m1".into(), "m2".into()], true, None)));
        let (basis, quorum, bus) = shared.read();
        assert_eq!((bus.ring, bus.since, quorum), (basis.map(|basis| basis.ring), at(90), true));
        daemons.lock().unwrap().pop();
        assert_eq!(shared.read().2.ring, None);
    }

    #[test]
    fn a_service_that_hangs_makes_every_word_old() {
        let pulse: Pulse =
            Arc::new(|| Some(Beat { since: at(5_000), daemons: vec![], kept: None }));
        let shared = Shared::new(Some(pulse), at(100));
        shared.decide(Some((vec![], false, None)));
        assert_eq!(shared.read().2.since, at(100));
        shared.beat(at(6_000));
        assert_eq!(shared.read().2.since, at(5_000));
    }

    #[test]
    fn without_a_daemon_of_its_own_the_last_echo_counts() {
        let shared = Shared::new(None, at(9_000));
        shared.decide(Some((vec!["far".into()], false, Some(at(8_000)))));
        assert_eq!(shared.read().2.since, at(8_000));
    }
}

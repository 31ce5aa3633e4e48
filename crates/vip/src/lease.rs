//! When the kernel's lease of an address is renewed, and when it must not be.
//!
//! Every address is on its interface with a short lifetime (`valid_lft`). It is renewed several times in that lifetime, but only
//! on the strength of a fresh word of the bus: a machine that hears nothing any more lets its addresses run out, even if this
//! program is stopped and renews nothing by itself. A renewal creates an address again that has run out, so the bus is
//! asked immediately before *and* after each batch: what was renewed across a gap is taken off at once.
//!
//! The clock must be one that goes on while the machine sleeps (`CLOCK_BOOTTIME`).

use core::time::Duration;

use base::Instant;

/// What the bus says of its own freshness, read off in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Which ring the daemon is in; `None` while it is in none. Not the id of the group's view, which stays the same when a daemon without
    /// a member of the group comes or goes.
    pub ring: Option<[u8; 8]>,
    /// The moment up to which no member of it had gone on without us.
    pub since: Instant,
}

/// On what the addresses here are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The ring that holds the view that was last worked out here: one with the daemons of all its members.
    pub ring: [u8; 8],
}

/// What is to be done with all addresses that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Nothing before [`Lease::next_timeout`].
    Nothing,
    /// Renew them for [`Lease::valid`], then ask [`Lease::renewed`].
    Renew,
}

/// What a batch of renewals was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// The bus was fresh before and after.
    Good,
    /// There was a gap: all that was renewed is to be taken off now.
    Gap,
}

/// The rule of renewing.
#[derive(Clone, Debug)]
pub struct Lease {
    valid: Duration,
    fresh: Duration,
    next: Instant,
    /// Renewals that were due and not allowed, or came so late that the kernel may have taken addresses away.
    missed: u64,
    late: u64,
    last: Option<Instant>,
    /// The word on which the batch under way was begun.
    word: Instant,
}

impl Lease {
    /// With `valid_lft` and the oldest word to renew on.
    pub fn new(valid: Duration, fresh: Duration, now: Instant) -> Self {
        Self { valid, fresh, next: now, missed: 0, late: 0, last: None, word: now }
    }

    /// `valid_lft` for additions and renewals.
    pub fn valid(&self) -> Duration {
        self.valid
    }

    /// Six renewals to a lease: five may come to nothing.
    pub fn interval(&self) -> Duration {
        self.valid / 6
    }

    /// When to ask again.
    pub fn next_timeout(&self) -> Instant {
        self.next
    }

    /// Whether an address may be added or renewed now.
    pub fn allows(&self, now: Instant, basis: Option<Basis>, bus: Freshness) -> bool {
        basis.is_some_and(|basis| bus.ring == Some(basis.ring))
            && now.since(bus.since) <= self.fresh
    }

    /// Whether what was begun on the strength of this word (its [`Freshness::since`]), and has ended just now, was still in time.
    /// Then it runs out no later than it would have after a renewal that was allowed, whatever has become of the ring meanwhile:
    /// somebody who joins during a batch makes no gap.
    pub fn covers(&self, now: Instant, word: Instant) -> bool {
        now.since(word) <= self.fresh
    }

    /// A further part of the renewals that are under way begins, on this word.
    pub fn begin(&mut self, word: Instant) {
        self.word = word;
    }

    /// What is due. Call it immediately before the renewal, with the bus read just now.
    pub fn poll(&mut self, now: Instant, basis: Option<Basis>, bus: Freshness) -> Todo {
        if now < self.next {
            return Todo::Nothing;
        }
        if !self.allows(now, basis, bus) {
            self.missed += 1;
            // Soon again: the ring may be back in a moment, and the lease has run only a part of its time.
            self.next = now + self.interval() / 5;
            return Todo::Nothing;
        }
        if self.last.is_some_and(|last| now.since(last) > self.valid) {
            self.late += 1;
        }
        self.word = bus.since;
        Todo::Renew
    }

    /// Says what the batch begun at `begun` was worth. Call it immediately after it, with the bus read just now.
    pub fn renewed(
        &mut self,
        begun: Instant,
        now: Instant,
        basis: Option<Basis>,
        bus: Freshness,
    ) -> Worth {
        self.last = Some(begun);
        self.next = begun + self.interval();
        // One that took longer than a word may be old has been asleep in the middle.
        let awake = now.since(begun) <= self.fresh + self.valid;
        if self.covers(now, self.word) || awake && self.allows(now, basis, bus) {
            return Worth::Good;
        }
        // What was taken off is put back as soon as that is allowed.
        self.next = now + self.interval() / 5;
        Worth::Gap
    }

    /// Whether what is held has missed renewals: then nothing slow may be begun before the next one, or the lease runs out meanwhile.
    pub fn is_pressed(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.since(last) >= self.interval() * 2)
    }

    /// The first addresses are there. Their lease runs since the addition was begun, however long it took.
    pub fn began(&mut self, begun: Instant) {
        self.last = Some(begun);
        self.next = begun + self.interval();
    }

    /// Nothing is held: what comes next is a beginning.
    pub fn rest(&mut self, now: Instant) {
        self.last = None;
        self.next = now;
    }

    /// Renewals that were due and not allowed; renewals that came after the lease had run out.
    pub fn counters(&self) -> (u64, u64) {
        (self.missed, self.late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: [u8; 8] = [1; 8];
    const BASIS: Option<Basis> = Some(Basis { ring: RING });

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn bus(since: u64) -> Freshness {
        Freshness { ring: Some(RING), since: at(since) }
    }

    fn lease() -> Lease {
        Lease::new(Duration::from_secs(3), Duration::from_millis(300), at(0))
    }

    #[test]
    fn a_fresh_bus_renews_six_times_in_a_lease() {
        let mut lease = lease();
        for step in 0..7 {
            let now = at(step * 500);
            assert_eq!(lease.poll(now, BASIS, bus(step * 500)), Todo::Renew);
            assert_eq!(lease.renewed(now, now, BASIS, bus(step * 500)), Worth::Good);
            assert_eq!(lease.poll(at(step * 500 + 499), BASIS, bus(step * 500)), Todo::Nothing);
        }
        assert_eq!(lease.counters(), (0, 0));
    }

    #[test]
    fn an_old_word_or_another_ring_renews_nothing() {
        let mut lease = lease();
        assert_eq!(lease.poll(at(1_000), BASIS, bus(699)), Todo::Nothing);
        assert_eq!(lease.next_timeout(), at(1_100));
        let other = Freshness { ring: Some([2; 8]), since: at(1_100) };
        assert_eq!(lease.poll(at(1_100), BASIS, other), Todo::Nothing);
        assert_eq!(lease.poll(at(1_200), None, bus(1_200)), Todo::Nothing);
        assert_eq!(lease.poll(at(1_300), BASIS, bus(1_000)), Todo::Renew);
        assert_eq!(lease.counters(), (3, 0));
    }

    #[test]
    fn a_batch_across_a_sleep_is_a_gap() {
        let mut lease = lease();
        assert_eq!(lease.poll(at(0), BASIS, bus(0)), Todo::Renew);
        // Asleep for ten seconds in the middle; the last word is as old.
        assert_eq!(lease.renewed(at(0), at(10_000), BASIS, bus(0)), Worth::Gap);
        // Even if the same ring has spoken again since.
        assert_eq!(lease.poll(at(10_100), BASIS, bus(10_100)), Todo::Renew);
        assert_eq!(lease.renewed(at(10_100), at(20_000), BASIS, bus(20_000)), Worth::Gap);
    }

    #[test]
    fn a_ring_that_changes_during_a_short_batch_makes_no_gap() {
        let mut lease = lease();
        let other = |since| Freshness { ring: Some([2; 8]), since: at(since) };
        assert_eq!(lease.poll(at(1_000), BASIS, bus(950)), Todo::Renew);
        assert_eq!(lease.renewed(at(1_000), at(1_250), BASIS, other(1_250)), Worth::Good);
        assert_eq!(lease.poll(at(2_000), BASIS, bus(1_950)), Todo::Renew);
        // The word on which it was begun is too old now, and the others may have gone on since.
        assert_eq!(lease.renewed(at(2_000), at(2_251), BASIS, other(2_251)), Worth::Gap);
        assert_eq!(lease.next_timeout(), at(2_351), "what was taken off is put back soon");
    }

    #[test]
    fn a_slow_addition_is_no_reason_to_renew_late() {
        let mut lease = lease();
        lease.rest(at(0));
        assert!(!lease.is_pressed(at(10_000)), "nothing is held");
        // It took 1.8 s, of which the lease has run all.
        lease.began(at(10_000));
        assert_eq!(lease.next_timeout(), at(10_500));
        assert!(!lease.is_pressed(at(10_999)));
        assert!(lease.is_pressed(at(11_800)));
        assert_eq!(lease.poll(at(11_800), None, bus(11_800)), Todo::Nothing, "not just now");
        assert!(lease.is_pressed(at(11_800)));
        assert_eq!(lease.poll(at(11_900), BASIS, bus(11_900)), Todo::Renew);
        assert_eq!(lease.renewed(at(11_900), at(11_900), BASIS, bus(11_900)), Worth::Good);
        assert!(!lease.is_pressed(at(11_900)));
    }

    #[test]
    fn a_renewal_after_the_lease_is_counted_as_late() {
        let mut lease = lease();
        assert_eq!(lease.renewed(at(0), at(0), BASIS, bus(0)), Worth::Good);
        assert_eq!(lease.poll(at(3_001), BASIS, bus(3_001)), Todo::Renew);
        assert_eq!(lease.counters(), (0, 1));
    }
}

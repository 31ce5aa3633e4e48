//! Places promised in answers and not yet taken.
//!
//! Think of coat hooks: the answerer hangs a number on a free hook, the request that carries the number
//! takes it off, and what hangs there past its time is cleared away. One thread grants and clears
//! ([`Granter`]); any worker may take a number off ([`Reservations::consume`]), by one
//! compare-and-swap, without waiting.
//!
//! Promises count in answers only, so that two askers at once do not get the same place. They never
//! refuse a request: admission looks at what is really in flight. And they count at their odds: who asks
//! fourteen machines goes to one, so most promises lapse, and counting them whole would make machines
//! look busy that nobody is coming to (simulated: 29 instead of 26 ms mean at 100 machines). The share
//! that is kept is learned, and taken for all until something is known.
//!
//! Rules: an id is nonzero and taken at most once; one asker (a machine in one life) holds at most
//! [`PER_ASKER`]; the number held is exact after every clearing, and clearing comes before each answer.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::sync::atomic::{AtomicU32, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use core::time::Duration;

use base::Instant;
use seal::Speaker;

/// Hooks in all.
pub const CAPACITY: usize = 4096;
/// The most promises one asker holds at a time.
pub const PER_ASKER: u32 = 64;

const HOOK_BITS: u32 = CAPACITY.trailing_zeros();

/// The hooks, shared between the answerer and the workers.
#[derive(Debug)]
pub struct Reservations {
    hooks: Vec<AtomicU32>,
    held: AtomicU32,
}

impl Reservations {
    /// The hooks, all free, and the one who may hang something on them.
    pub fn new() -> (Arc<Self>, Granter) {
        let hooks = (0..CAPACITY).map(|_| AtomicU32::new(0)).collect();
        let shared = Arc::new(Self { hooks, held: AtomicU32::new(0) });
        (shared.clone(), Granter::new(shared))
    }

    /// Promises held at this moment.
    pub fn held(&self) -> u32 {
        self.held.load(Relaxed)
    }

    /// Takes the promise `id`, for the request that carried it. `false` if there is none: expired,
    /// taken before, or never given. The request is served all the same.
    pub fn consume(&self, id: u32) -> bool {
        if id == 0 {
            return false;
        }
        let hook = &self.hooks[id as usize % CAPACITY];
        let taken = hook.compare_exchange(id, 0, AcqRel, Relaxed).is_ok();
        if taken {
            // The granter counted before it hung the number, so this never goes below zero.
            self.held.fetch_sub(1, Relaxed);
        }
        taken
    }
}

/// Grants and clears promises. One, on the answerer's thread.
#[derive(Debug)]
pub struct Granter {
    shared: Arc<Reservations>,
    /// When which promise ends, soonest first.
    ends: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Whose promise hangs, or hung, on each hook.
    askers: Vec<Option<Speaker>>,
    /// Promises by asker, as far as known: those taken by workers are found when clearing.
    counts: BTreeMap<Speaker, u32>,
    free: Vec<u16>,
    round: u32,
    /// The share of promises that are kept, in 65,536ths, over about the last 64.
    kept_share: u32,
}

const WHOLE: u32 = 1 << 16;

impl Granter {
    fn new(shared: Arc<Reservations>) -> Self {
        Self {
            shared,
            ends: BinaryHeap::new(),
            askers: alloc::vec![None; CAPACITY],
            counts: BTreeMap::new(),
            free: (0..CAPACITY as u16).rev().collect(),
            round: 0,
            kept_share: WHOLE,
        }
    }

    /// Promises held at this moment.
    pub fn held(&self) -> u32 {
        self.shared.held()
    }

    /// Requests that the promises held at this moment may be expected to bring.
    pub fn expected(&self) -> u32 {
        let brought = u64::from(self.held()) * u64::from(self.kept_share);
        ((brought + u64::from(WHOLE / 2)) / u64::from(WHOLE)) as u32
    }

    /// Learns what became of one promise.
    fn learn(&mut self, kept: bool) {
        let aim = if kept { WHOLE } else { 0 };
        self.kept_share = self.kept_share - self.kept_share / 64 + aim / 64;
    }

    /// Promises a place to `asker` for `lasting`; `None` if it holds too many or all hooks are taken.
    pub fn grant(&mut self, now: Instant, asker: Speaker, lasting: Duration) -> Option<u32> {
        self.expire(now);
        if self.count(&asker) >= PER_ASKER || self.free.is_empty() {
            self.collect();
        }
        if self.count(&asker) >= PER_ASKER {
            return None;
        }
        let hook = self.free.pop()?;
        // Every id is new for about a million promises of its hook; a hook's ids are never zero.
        self.round = self.round % (u32::MAX >> HOOK_BITS) + 1;
        let id = self.round << HOOK_BITS | u32::from(hook);
        self.askers[usize::from(hook)] = Some(asker);
        *self.counts.entry(asker).or_default() += 1;
        self.ends.push(Reverse((now + lasting, id)));
        self.shared.held.fetch_add(1, Relaxed);
        self.shared.hooks[usize::from(hook)].store(id, core::sync::atomic::Ordering::Release);
        Some(id)
    }

    /// Clears promises whose time is over. To be called before [`held`](Self::held) is told anyone.
    pub fn expire(&mut self, now: Instant) {
        while self.ends.peek().is_some_and(|Reverse((end, _))| *end <= now) {
            let Some(Reverse((_, id))) = self.ends.pop() else { return };
            let lapsed = self.shared.consume(id);
            self.learn(!lapsed);
            self.release(id);
        }
    }

    /// Finds the promises that workers took, and frees their hooks before their time is over.
    fn collect(&mut self) {
        let ends = core::mem::take(&mut self.ends);
        let (hanging, taken): (Vec<_>, Vec<_>) = ends.into_iter().partition(|Reverse((_, id))| {
            self.shared.hooks[*id as usize % CAPACITY].load(Acquire) == *id
        });
        self.ends = hanging.into();
        for Reverse((_, id)) in taken {
            self.learn(true);
            self.release(id);
        }
    }

    fn count(&self, asker: &Speaker) -> u32 {
        self.counts.get(asker).copied().unwrap_or(0)
    }

    /// Frees the hook of a promise that is off it. Called once for each promise.
    fn release(&mut self, id: u32) {
        let hook = id as usize % CAPACITY;
        if let Some(asker) = self.askers[hook].take() {
            self.free.push(hook as u16);
            let left = self.count(&asker).saturating_sub(1);
            if left == 0 {
                self.counts.remove(&asker);
            } else {
                self.counts.insert(asker, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_suite::speaker;
    use std::thread;

    const NOW: Instant = Instant::from_millis(1);
    const LASTING: Duration = Duration::from_millis(2);

    #[test]
    fn a_promise_is_taken_once() {
        let (hooks, mut granter) = Reservations::new();
        let id = granter.grant(NOW, speaker(1, 1), LASTING).unwrap();
        assert_eq!(hooks.held(), 1);
        assert!(hooks.consume(id) && !hooks.consume(id));
        assert!(!hooks.consume(0) && !hooks.consume(id ^ 1));
        assert_eq!(hooks.held(), 0);
    }

    #[test]
    fn a_promise_not_taken_ends_in_time() {
        let (hooks, mut granter) = Reservations::new();
        let id = granter.grant(NOW, speaker(1, 1), LASTING).unwrap();
        granter.expire(NOW + Duration::from_nanos(1_999_999));
        assert_eq!(granter.held(), 1);
        granter.expire(NOW + LASTING);
        assert_eq!(granter.held(), 0);
        assert!(!hooks.consume(id));
    }

    #[test]
    fn promises_count_at_the_odds_that_they_are_kept() {
        let (hooks, mut granter) = Reservations::new();
        let mut now = NOW;
        for round in 0..400 {
            now += LASTING;
            let ids: Vec<u32> =
                (0..8).filter_map(|_| granter.grant(now, speaker(1, 1), LASTING)).collect();
            if round == 0 {
                assert_eq!(granter.expected(), 8, "unknown odds count whole");
            }
            if round == 399 {
                assert_eq!((granter.held(), granter.expected()), (8, 2));
            }
            assert!(hooks.consume(ids[0]) && hooks.consume(ids[1]));
        }
        for _ in 0..100 {
            now += LASTING;
            let id = granter.grant(now, speaker(1, 1), LASTING).unwrap();
            assert!(hooks.consume(id));
        }
        assert!(granter.kept_share > WHOLE * 7 / 10, "{}", granter.kept_share);
    }

    #[test]
    fn one_asker_cannot_hold_every_place() {
        let (hooks, mut granter) = Reservations::new();
        let mut ids = Vec::new();
        while let Some(id) = granter.grant(NOW, speaker(1, 1), LASTING) {
            ids.push(id);
        }
        assert_eq!(ids.len() as u32, PER_ASKER);
        assert!(granter.grant(NOW, speaker(2, 1), LASTING).is_some());
        // What its requests took counts no more.
        assert!(hooks.consume(ids[0]));
        assert!(granter.grant(NOW, speaker(1, 1), LASTING).is_some());
        assert!(granter.grant(NOW, speaker(1, 1), LASTING).is_none());
        granter.expire(NOW + LASTING);
        assert_eq!((granter.held(), granter.counts.len(), granter.free.len()), (0, 0, CAPACITY));
    }

    #[test]
    fn when_all_hooks_are_taken_nothing_is_promised() {
        let (_hooks, mut granter) = Reservations::new();
        let mut given = 0;
        for asker in 0..=u8::MAX {
            while granter.grant(NOW, speaker(asker, 1), LASTING).is_some() {
                given += 1;
            }
        }
        assert_eq!(given, CAPACITY);
        let later = NOW + LASTING;
        assert!(granter.grant(later, speaker(7, 7), LASTING).is_some());
        assert_eq!(granter.held(), 1);
    }

    #[test]
    fn takers_and_clearer_together_count_every_promise_once() {
        let (hooks, mut granter) = Reservations::new();
        let (send, receive) = std::sync::mpsc::sync_channel::<u32>(64);
        let mut now = NOW;
        let hooks = &hooks;
        let taken = thread::scope(|threads| {
            let taker =
                threads.spawn(move || receive.iter().filter(|&id| hooks.consume(id)).count());
            for n in 0..20_000u32 {
                now += Duration::from_micros(100);
                if let Some(id) = granter.grant(now, speaker((n % 40) as u8, 1), LASTING) {
                    send.send(id).unwrap();
                }
            }
            drop(send);
            taker.join().unwrap()
        });
        assert!(taken > 0);
        granter.expire(now + LASTING);
        assert_eq!((granter.held(), granter.free.len(), granter.counts.len()), (0, CAPACITY, 0));
    }
}

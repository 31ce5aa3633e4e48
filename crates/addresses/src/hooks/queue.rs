//! Which hook may run now: of each set one at a time and in order, of a round after all that came before it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What waits for what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// One behind the other.
    Set(Arc<str>),
    /// Behind everything that came before.
    Round,
}

/// Jobs that wait, and places of those that run.
pub(super) struct Queue<T> {
    waiting: VecDeque<(u64, Lane, T)>,
    // How many wait in each lane: a take-over calls for thousands of sets at once.
    lengths: BTreeMap<Lane, usize>,
    running: Vec<(u64, Lane)>,
    next: u64,
    parallel: usize,
    per_lane: usize,
}

impl<T> Queue<T> {
    /// At most `parallel` run at a time and `per_lane` wait in one lane; both at least 1.
    pub(super) fn new(parallel: usize, per_lane: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            lengths: BTreeMap::new(),
            running: Vec::new(),
            next: 0,
            parallel: parallel.max(1),
            per_lane: per_lane.max(1),
        }
    }

    /// Jobs that wait or run.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Whether any of a lane waits or runs.
    pub(super) fn has(&self, lane: &Lane) -> bool {
        self.lengths.contains_key(lane) || self.running.iter().any(|(_, other)| other == lane)
    }

    /// Puts a job at the end of its lane. If too many wait there, the oldest of them comes back.
    pub(super) fn push(&mut self, lane: Lane, job: T) -> Option<T> {
        let length = self.lengths.get(&lane).copied().unwrap_or(0);
        let full = length >= self.per_lane;
        let oldest = || self.waiting.iter().position(|(_, other, _)| *other == lane);
        let oldest = if full { oldest() } else { None };
        let dropped = oldest.and_then(|at| self.remove(at)).map(|(_, _, job)| job);
        *self.lengths.entry(lane.clone()).or_default() += 1;
        self.waiting.push_back((self.next, lane, job));
        self.next += 1;
        dropped
    }

    fn remove(&mut self, at: usize) -> Option<(u64, Lane, T)> {
        let removed = self.waiting.remove(at)?;
        if let Some(length) = self.lengths.get_mut(&removed.1) {
            *length -= 1;
            if *length == 0 {
                self.lengths.remove(&removed.1);
            }
        }
        Some(removed)
    }

    /// The next job that may run, and its number for [`Queue::finish`].
    pub(super) fn take(&mut self) -> Option<(u64, T)> {
        if self.running.len() >= self.parallel {
            return None;
        }
        let at = self.first_free()?;
        let (number, lane, job) = self.remove(at)?;
        self.running.push((number, lane));
        Some((number, job))
    }

    fn first_free(&self) -> Option<usize> {
        let set = |lane: &Lane| match lane {
            Lane::Set(name) => Some(name.clone()),
            Lane::Round => None,
        };
        let mut busy: BTreeSet<_> = self.running.iter().filter_map(|(_, lane)| set(lane)).collect();
        self.waiting.iter().enumerate().position(|(at, (number, lane, _))| match lane {
            Lane::Set(name) => busy.insert(name.clone()),
            Lane::Round => at == 0 && self.running.iter().all(|(other, _)| other > number),
        })
    }

    /// A job has ended.
    pub(super) fn finish(&mut self, number: u64) {
        self.running.retain(|(other, _)| *other != number);
    }

    /// All that wait, which will not run any more.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = T> {
        self.lengths.clear();
        std::mem::take(&mut self.waiting).into_iter().map(|(_, _, job)| job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> Lane {
        Lane::Set(name.into())
    }

    fn taken<T>(queue: &mut Queue<T>) -> Vec<(u64, T)> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn a_set_runs_one_job_at_a_time_in_order_and_others_beside_it() {
        let mut queue = Queue::new(8, 8);
        for (lane, job) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")] {
            assert_eq!(queue.push(set(lane), job), None);
        }
        assert_eq!(taken(&mut queue), [(0, "a1"), (2, "b1")]);
        assert!(queue.has(&set("a")) && queue.has(&set("b")) && !queue.has(&set("c")));
        queue.finish(2);
        assert!(!queue.has(&set("b")));
        assert_eq!(taken(&mut queue), []);
        queue.finish(0);
        assert_eq!(taken(&mut queue), [(1, "a2")]);
        queue.finish(1);
        assert_eq!(taken(&mut queue), [(3, "a3")]);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_round_waits_for_all_before_it_and_holds_nobody_up() {
        let mut queue = Queue::new(8, 8);
        queue.push(set("a"), "a1");
        queue.push(set("b"), "b1");
        queue.push(Lane::Round, "post");
        queue.push(set("c"), "c1");
        assert_eq!(taken(&mut queue), [(0, "a1"), (1, "b1"), (3, "c1")]);
        queue.finish(0);
        assert_eq!(taken(&mut queue), []);
        queue.finish(1);
        // c1 came later: the round does not wait for it.
        assert_eq!(taken(&mut queue), [(2, "post")]);
    }

    #[test]
    fn two_rounds_never_run_at_once() {
        let mut queue = Queue::new(8, 8);
        queue.push(Lane::Round, 1);
        queue.push(Lane::Round, 2);
        assert_eq!(taken(&mut queue), [(0, 1)]);
        queue.finish(0);
        assert_eq!(taken(&mut queue), [(1, 2)]);
    }

    #[test]
    fn no_more_run_than_allowed() {
        let mut queue = Queue::new(2, 8);
        for name in ["a", "b", "c"] {
            queue.push(set(name), name);
        }
        assert_eq!(taken(&mut queue).len(), 2);
        queue.finish(0);
        assert_eq!(taken(&mut queue), [(2, "c")]);
    }

    #[test]
    fn a_full_lane_drops_its_oldest_and_keeps_the_newest() {
        let mut queue = Queue::new(1, 2);
        queue.push(set("a"), "runs");
        assert_eq!(taken(&mut queue).len(), 1);
        assert_eq!(queue.push(set("a"), "down"), None);
        assert_eq!(queue.push(set("b"), "other"), None);
        assert_eq!(queue.push(set("a"), "up"), None);
        assert_eq!(queue.push(set("a"), "down again"), Some("down"));
        queue.finish(0);
        assert_eq!(taken(&mut queue), [(2, "other")]);
        assert_eq!(queue.clear().collect::<Vec<_>>(), ["up", "down again"]);
    }
}

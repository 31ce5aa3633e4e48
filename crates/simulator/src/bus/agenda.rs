//! What is to happen, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use base::Instant;
use ring::Tag;

use super::plan::Fault;
use super::post::Letter;

/// Something that happens.
pub(super) enum Action {
    Arrive { to: usize, letter: Letter },
    Timer { machine: usize, life: usize },
    Send { machine: usize, life: usize },
    Fault(Fault),
    Start(usize),
    Thaw(usize),
    Reread(usize),
    Judge,
    Unreachable { machine: usize, life: usize, about: Tag },
}

/// What is to happen: ordered by time, and at one time by when it was planned. The actions lie apart, so that
/// putting them in order moves little.
pub(crate) struct Agenda<T> {
    times: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    actions: Vec<Option<T>>,
    free: Vec<u32>,
    planned: u64,
}

impl<T> Agenda<T> {
    /// Nothing is to happen.
    pub(crate) fn new() -> Self {
        Self { times: BinaryHeap::new(), actions: Vec::new(), free: Vec::new(), planned: 0 }
    }

    pub(crate) fn plan(&mut self, at: Instant, action: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.actions.push(None);
            self.actions.len() as u32 - 1
        });
        self.actions[slot as usize] = Some(action);
        self.planned += 1;
        self.times.push(Reverse((at, self.planned, slot)));
    }

    /// When the next thing happens.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.times.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn next(&mut self) -> Option<(Instant, T)> {
        let Reverse((at, _, slot)) = self.times.pop()?;
        self.free.push(slot);
        Some((at, self.actions[slot as usize].take()?))
    }
}

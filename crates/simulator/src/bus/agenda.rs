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
#[derive(Default)]
pub(super) struct Agenda {
    times: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    actions: Vec<Option<Action>>,
    free: Vec<u32>,
    planned: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, at: Instant, action: Action) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.actions.push(None);
            self.actions.len() as u32 - 1
        });
        self.actions[slot as usize] = Some(action);
        self.planned += 1;
        self.times.push(Reverse((at, self.planned, slot)));
    }

    pub(super) fn next(&mut self) -> Option<(Instant, Action)> {
        let Reverse((at, _, slot)) = self.times.pop()?;
        self.free.push(slot);
        Some((at, self.actions[slot as usize].take()?))
    }
}

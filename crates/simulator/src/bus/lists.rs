//! Fixed lists of daemons that change while the daemons run: an operator goes from machine to machine.

use std::time::Duration;

use base::{Instant, Random};

use super::agenda::Action;
use super::plan::{Fault, Plan};
use super::world::World;

/// A machine that stands still reads its list so long after it was last looked at.
const LATER: Duration = Duration::from_millis(20);

impl Plan {
    /// The same history with lists: an operator goes from machine to machine with one after the other, in any order, and does not
    /// always get to the end before going round with the next. Whoever starts again has the list of its machine. When the
    /// faults end all have the last list, but for those that are not in it.
    #[must_use]
    pub fn with_lists(mut self) -> Self {
        // Names and machines are the same here.
        self.twins = None;
        let mut dice = Random::new(self.seed ^ 0x1157);
        let n = self.machines;
        let span = self.calm.since(Instant::from_millis(100));
        self.lists = vec![(0..n).collect()];
        for number in 1..=1 + dice.below(3) as usize {
            let share = 0.5 + 0.5 * dice.unit();
            let mut list: Vec<usize> = (0..n).filter(|_| dice.unit() < share).collect();
            dice.shuffle(&mut list);
            self.lists.push(list);
            let begin = Instant::from_millis(100) + span.mul_f64(dice.unit());
            let step = Duration::from_millis(dice.below(200).into());
            let mut order: Vec<usize> = (0..n).collect();
            dice.shuffle(&mut order);
            for (turn, machine) in order.into_iter().enumerate() {
                let at = begin + step * turn as u32;
                if at < self.calm && dice.below(8) != 0 {
                    self.faults.push((at, Fault::Relist(machine, number)));
                }
            }
        }
        self.faults.extend((0..n).map(|i| (self.calm, Fault::Relist(i, self.lists.len() - 1))));
        self.faults.sort_by_key(|(at, _)| *at);
        self
    }
}

impl World {
    /// The list is brought to the machine.
    pub(super) fn relist(&mut self, i: usize, list: usize) {
        if self.plan.lists[list].contains(&i) {
            self.machines[i].list = list;
            self.reread(i);
        }
    }

    /// Its daemon reads it.
    pub(super) fn reread(&mut self, i: usize) {
        let now = self.machines[i].clock(self.now);
        let settings = self.machines[i].settings(&self.plan);
        if self.machines[i].frozen {
            self.schedule(self.now + LATER, Action::Reread(i));
        } else if let Some(ring) = &mut self.machines[i].ring {
            ring.reload(now, settings, false);
            self.collect(i);
        }
    }

    /// A member of a view who may not stay, because some other does not list it and neither do all whom that one lists.
    pub(super) fn struck(&self, members: &[usize]) -> Option<usize> {
        let by_all = |by: usize, at: usize| {
            let listed = || members.iter().filter(|other| self.lists(by, **other));
            !self.lists(by, at) && listed().all(|other| !self.lists(*other, at))
        };
        members.iter().copied().find(|&at| members.iter().any(|&by| by_all(by, at)))
    }

    /// Whether the list of one machine has the other.
    pub(super) fn lists(&self, one: usize, other: usize) -> bool {
        let list = self.plan.lists.get(self.machines[one].list);
        list.is_none_or(|list| list.contains(&other))
    }
}

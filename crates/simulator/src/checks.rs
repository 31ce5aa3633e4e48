//! What must hold after every step.
//!
//! Violations carry the seed, so that the run can be had again:
//! `simulator --seed N --machines M --policy P`.

use candidacy::hot::Standing;
use candidacy::{Decision, Slot, Tried, Verdict};

use crate::node::Node;
use crate::scenario::Scenario;

/// The ledger that the matrices' own counts are held against.
#[derive(Clone, Debug)]
pub struct Checks {
    seed: u64,
    policy: &'static str,
    /// Open requests by entry and target, as the world knows them.
    open: Vec<Vec<u32>>,
}

impl Checks {
    /// Nothing open.
    pub fn new(scenario: &Scenario) -> Self {
        let n = usize::from(scenario.machines);
        Self { seed: scenario.seed, policy: scenario.policy.name(), open: vec![vec![0; n]; n] }
    }

    fn fail(&self, what: String) -> ! {
        panic!("seed {} of {} machines under {}: {what}", self.seed, self.open.len(), self.policy)
    }

    /// A decision names only machines that are candidates in the eyes of the one who decides.
    pub fn decision(&self, node: &Node, decision: &Decision, tried: &Tried, now: base::Instant) {
        let named = match decision.verdict {
            Verdict::Proxy(slot) | Verdict::Redirect { slot, .. } => slot,
            _ => return,
        };
        let standing = node.hot.standing(named, now);
        if standing != Standing::Usable {
            self.fail(format!("named machine {}, which is {}", named.0, standing.as_str()));
        }
        if named == node.slot || tried.contains(named) || node.snapshot.machine(named).is_none() {
            self.fail(format!("named machine {}, which is itself, tried or unknown", named.0));
        }
    }

    /// A request of `entry` is on its way to `target`.
    pub fn opened(&mut self, entry: u16, target: u16) {
        self.open[usize::from(entry)][usize::from(target)] += 1;
    }

    /// It is over for the entry.
    pub fn closed(&mut self, entry: u16, target: u16) {
        let open = &mut self.open[usize::from(entry)][usize::from(target)];
        match open.checked_sub(1) {
            Some(left) => *open = left,
            None => self.fail(format!("a request from {entry} to {target} ended twice")),
        }
    }

    /// The process of `entry` is gone with its counts.
    pub fn forget(&mut self, entry: u16) {
        self.open[usize::from(entry)].fill(0);
    }

    /// A machine's own counts are the ledger's.
    pub fn counts(&self, node: &Node, running: usize) {
        let entry = node.slot.index();
        for (target, &open) in self.open[entry].iter().enumerate() {
            let mine = node.hot.mine(Slot(target as u16));
            if target != entry && mine != open {
                self.fail(format!("{entry} counts {mine} of its requests at {target}, not {open}"));
            }
        }
        if node.hot.serving() as usize != running {
            self.fail(format!("{entry} counts {} in service, not {running}", node.hot.serving()));
        }
    }
}

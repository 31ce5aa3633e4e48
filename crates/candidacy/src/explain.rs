//! Why this machine: a decision told step by step.
//!
//! Made only when asked for; then it may allocate. The slots are names of rows in the snapshot the
//! decision was made with; whoever shows them looks the names up there.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::decide::{Reason, Verdict};
use crate::hot::{Slot, Standing};

/// What one function of the chain did.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The function with its argument, as configured.
    pub function: String,
    /// The list it left, best first.
    pub left: Vec<Slot>,
    /// Who came in.
    pub came: Vec<Slot>,
    /// Who went out.
    pub went: Vec<Slot>,
    /// For ordering functions: what each machine was ranked by, in the order of `left`.
    pub figures: Vec<f32>,
    /// A failure that left the list as it was.
    pub failed: Option<String>,
}

/// What the costing saw of one machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Appraisal {
    /// The machine.
    pub slot: Slot,
    /// Our own requests there.
    pub mine: u32,
    /// Requests of others there, as believed (decayed towards the fleet's mean).
    pub others: f32,
    /// Age of the newest report; `None` for this machine itself, or if there is none.
    pub age: Option<Duration>,
    /// Growth of everybody's time there, in typical requests of a machine of average speed.
    pub growth: f32,
    /// The price of going there, same unit.
    pub hop: f32,
    /// Held against it for failures and overdue answers, same unit.
    pub penalty: f32,
    /// What memory and limit multiply the growth with (1 = neither is short).
    pub strain: f32,
    /// The sum that was compared.
    pub cost: f32,
}

/// A decision told step by step.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Machines that were no candidates from the start, and why.
    pub excluded: Vec<(Slot, Standing)>,
    /// The functions in order.
    pub steps: Vec<Step>,
    /// What `byFresh` saw, cheapest first; empty without it.
    pub appraisals: Vec<Appraisal>,
    /// Machines that were asked and answered in time.
    pub answered: Vec<Slot>,
    /// Machines that were asked and did not.
    pub silent: Vec<Slot>,
    /// The outcome.
    pub verdict: Option<Verdict>,
    /// Why.
    pub reason: Option<Reason>,
    /// One sentence for people, such as "web2 (cost 1.25, 0.4 ms old) before web1 (cost 2.5)".
    pub because: String,
}

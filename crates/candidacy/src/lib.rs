//! Which machine should do this request: the resource matrix, the chain of candidacy functions, the
//! decision and its explanation.
//!
//! Think of a good head waiter. He keeps the room in his head, freshest glance first; he does not
//! count plates before each guest, and he does not lock the dining room while he thinks. The glances
//! are [`Hot`], the seating plan is [`Snapshot`], the rules of the house are a [`Chain`], and the
//! sentence "table four, please" is a [`Decision`].
//!
//! The order of use: [`Routes::find`] names the rule for a request, [`decide`] runs its chain over a
//! [`View`] of the matrix, [`asking`] may ask a few machines first, [`failures`] hears how it went.
//!
//! Rules: no clock, socket, thread or global randomness; deciding allocates nothing and locks nothing
//! (the first use of a regular expression and explanations excepted); a decision never names a machine
//! that is dead, draining, unhealthy, ejected or over its limit.
//!
//! Not here: how figures are measured and carried (`resources`, `announce`), and what is done with a
//! decision (`balancer`).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod asking;
pub mod chain;
mod cost;
pub mod decide;
pub mod explain;
pub mod failures;
pub mod hot;
pub mod outside;
pub mod report;
pub mod request;
pub mod route;
pub mod snapshot;
#[cfg(test)]
mod testing;

pub use chain::{Chain, ChainError};
pub use decide::{Decision, Reason, Scratch, Tried, Verdict, View, decide};
pub use explain::Explanation;
pub use hot::{Condition, Heard, Hot, MAX_MACHINES, Slot};
pub use report::{Flags, Report};
pub use request::RequestView;
pub use route::{Empty, Route, RouteId, RouteRule, Routes};
pub use snapshot::{Contact, Machine, RouteFigures, Snapshot};

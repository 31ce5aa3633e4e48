//! Who is in the view: hearing, choosing, and changing it.
//!
//! A change goes through four words. Everybody *states* whom it hears and whose proposal it follows; standing views go on
//! meanwhile. When all that a leader proposes follow it, it *commits*: members stop their rings and
//! answer *ready* with what they have. The leader tells all of everything (*install*), members fetch from each other what
//! is missing of their old ring and say *recovered*; when all have, *go* installs the view. Whoever sees a newer
//! word of the other side that no longer agrees, or waits too long, goes back to stating; what was promised for
//! the old ring (the obligations) is kept until a view is installed.

mod bound;
mod choose;
mod form;
mod graph;
#[cfg(test)]
mod graph_tests;
mod hear;
mod install;
mod introduce;
mod lists;
mod peers;
mod recover;
mod state;

pub(crate) use bound::Bound;
pub(crate) use choose::Proposal;
pub(crate) use graph::{Graph, Key, Node};
pub(crate) use peers::{ME, Peer, Peers};

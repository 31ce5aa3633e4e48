//! Who owns which address: allocation, maturity, balance, preference, conflict, leases, announcing.
//!
//! All machines of a cluster are members of one group of the bus. The bus gives each member the same views and the same
//! messages in the same order, so who owns what needs no vote: each machine works it out by the same function from the
//! same words. After every change of the view each member says what it holds and what it may hold (*gather*); when all
//! have spoken, conflicts are settled and holes are filled (*run*); from then on only ordered words change the table.
//!
//! - [`Vip`]: everything of one machine; what its driver calls.
//! - [`Set`]: addresses that move as one. [`settings`]: what is configured. `message`: what members say.
//! - `gather`: from a view to a table. `word`: what this machine says for it. `silence`: members that say nothing.
//! - `table`: who owns what. `allocate`: the pure functions that fill, settle, balance. `forms`: which form of an address that
//!   machines group differently. `able`: what can be held here. `hidden`: what nobody would find here.
//! - `orders`: what operators ask. `moves`: planned moves, *make before break*. `reconcile`: from the table to what is to be
//!   done here.
//! - `quorum`: sets that may never be held twice, and the leases that are waited for. `agreement`: machines that differ in
//!   which those are. `damping`: who flaps waits longer.
//! - [`lease`]: when the kernel's lease of an address is renewed. [`status`]: why an address is where it is.
//! - [`properties`]: the two properties of the paper as functions over what members hold.
//!
//! Sources: Amir, Caudy, Munjal, Schlossnagle, Tutu, *N-Way Fail-Over Infrastructure for Reliable Servers and Routers*, DSN
//! 2003; the program Wackamole 2.1.4, whose faults (`wackamole.md`, 15) are not repeated.
//!
//! Rules, checked by the tests and the simulator:
//!
//! - Members of one view that have seen the same words have the same table.
//! - In a component of ready members each set that somebody can hold is held by one, except while it moves.
//! - A planned move is ordered: the new owner adds and announces, the old one releases, the new one announces again.
//! - A set under quorum is claimed only by a majority, and only when the lease of a lost holder has certainly run out.
//!
//! A core: views, messages and the time come in; messages to the group and actions on this machine go out. Not here: the
//! bus, interfaces, packets, hooks, health checks (`addresses`).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod able;
mod agreement;
mod allocate;
pub mod announce;
pub mod conflict;
mod damping;
mod fenced;
mod forms;
mod gather;
mod hidden;
pub mod lease;
mod memory;
mod message;
mod moves;
pub mod neighbours;
mod orders;
mod outside;
mod peer;
pub mod properties;
mod quorum;
mod reason;
mod reconcile;
mod set;
pub mod settings;
mod silence;
pub mod status;
mod table;
mod vip;
mod word;

pub use outside::{Action, After, Event, NoSuch, Service, Transmit, View, ViewId};
pub use reason::Reason;
pub use set::{ADDRESSES_PER_SET_MAX, Set, SetKey};
pub use settings::{Identity, Settings};
pub use vip::{MESSAGE_TYPE, Order, Vip};

//! The daemons of a cluster agree: on who is there, and on one order of all messages.
//!
//! A token goes round the members; only its holder sends, and what it sends carries the next numbers of
//! one sequence. The same token collects who has received what. When somebody is gone or comes back, the
//! members that hear each other agree on a new view, give each other what is missing of the old one, and
//! go on. That is extended virtual synchrony (Moser, Amir, Melliar-Smith, Agarwal, 1994) over the single
//! ring of Totem (Amir, Moser, Melliar-Smith, Agarwal, Ciarfella, 1995).
//!
//! A core: datagrams, the time and random seeds come in, datagrams and [`Event`]s go out. No sockets, clocks or threads.
//! Not here: sealing (a datagram handed in is believed to be from whom the driver says), groups of
//! clients (`groups`), and the sockets (`spread-daemon`).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod event;
pub mod name;
pub mod view;

pub use event::{Event, Service};
pub use name::{DaemonName, NameError};
pub use view::{Daemon, RingId, View};

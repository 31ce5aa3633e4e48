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

mod bits;
pub mod event;
mod membership;
pub mod name;
pub mod notice;
mod order;
mod outbox;
mod ring;
pub mod settings;
pub mod status;
pub mod view;
mod wire;

pub use event::{Event, Service};
pub use name::{DaemonName, NameError};
pub use notice::Notice;
pub use order::{Counters, SubmitError};
pub use outbox::{To, Transmit};
pub use ring::Ring;
pub use settings::{Settings, Surroundings};
pub use status::{PeerStatus, Status};
pub use view::{Daemon, RingId, View, VirtualIds};
pub use wire::{KINDS, Tag};

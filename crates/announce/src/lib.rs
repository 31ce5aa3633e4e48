//! What machines tell each other over UDP, and whom to believe: formats, admission, liveness, and
//! when to speak. Without a socket.
//!
//! Think of a fleet in fog. Every ship sounds its horn each second and says how it fares
//! ([`packet`]). A ship you have not met must first answer a word you made up on the spot
//! ([`reception`]), for a horn can be recorded. A ship that falls silent is hailed at once if you have
//! people on board, and given up if it does not answer twice ([`liveness`]).
//!
//! - [`packet`]: the announcement, its fields and its bytes.
//! - [`exchange`]: probe and answer, one pair for admission, liveness, freshness and questions.
//! - [`answerer`]: the thread that answers probes; [`reservations`]: what its answers promised.
//! - [`reception`]: which datagram counts, who is a machine of this cluster, in which slot.
//! - [`liveness`]: who is suspected, dead, back.
//! - [`herald`]: when this machine announces.
//!
//! Rules: nothing a datagram says changes anything until its sender's boot has answered a fresh random
//! number of ours under the cluster key; no clocks are compared; every table is bounded; malformed input
//! is counted and forgotten.
//!
//! Not here: sockets, threads and measuring (`resources`), and what is done with the figures
//! (`candidacy`).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod answerer;
mod codec;
pub mod contact;
pub mod exchange;
pub mod herald;
pub mod liveness;
pub mod packet;
pub mod reception;
pub mod reservations;
#[cfg(test)]
mod test_suite;
mod wire;

pub use answerer::Answerer;
pub use contact::Contact;
pub use exchange::{Answer, Asker, Probe, Question};
pub use herald::Herald;
pub use liveness::Liveness;
pub use packet::{Announcement, Malformed};
pub use reception::Reception;
pub use reservations::{Granter, Reservations};

//! The cluster key and what it makes: sealed datagrams, replay windows, proof of a live boot, and
//! the handshake of a peer connection.
//!
//! Think of a ship's signal locker. One key opens it; every flag inside is cut for one purpose, one
//! ship and one voyage, so a flag kept from last year's voyage means nothing today, and a flag for
//! mooring cannot be flown in battle.
//!
//! - [`key`]: the text of a key file becomes 32 bytes that are wiped when dropped.
//! - [`suite`]: what a driver supplies: HKDF, HMAC and an AEAD. No cipher is implemented here.
//! - [`envelope`]: one datagram, sealed by a [`Sealer`] and opened by an [`Opener`].
//! - [`window`]: which counters were seen, so that a replay changes nothing.
//! - [`challenge`]: who still owes us an answer to a random number, which proves a live boot.
//! - [`peer`]: both sides of the handshake that opens a TCP connection between two machines.
//!
//! What it defends against: whoever can send to us, record us and replay, without holding the key.
//! What it does not: a machine that holds the key may speak as any other, and a peer connection is
//! authenticated at its start only, not encrypted.
//!
//! Not here: sockets, clocks, entropy (they come in), and what the messages mean (see `announce`).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;
// The suite that the tests share with production calls this crate by its name.
#[cfg(test)]
extern crate self as seal;

pub mod challenge;
pub mod envelope;
pub mod key;
pub mod opener;
pub mod peer;
pub mod suite;
#[cfg(test)]
mod test_suite;
pub mod window;

pub use challenge::Challenges;
pub use envelope::{Header, MAX_BUS_DATAGRAM, MAX_DATAGRAM, OVERHEAD, Refusal, Sealer};
pub use key::{ClusterKey, KeyError};
pub use opener::{Opened, Opener};
pub use suite::{Cipher, Entropy, Purpose, Speaker, Suite};

//! Probes: who serves an address, measured every few milliseconds from a place of the lab.
//!
//! [`TcpProbe`] makes a new connection each time and asks a question by HTTP; that is what users see. [`OwnerProbe`] asks
//! the wire who has the address and counts those who answer. [`PingProbe`] only says whether anybody does.
//!
//! Each has one thread in the caller and sockets in its place. All instants are [`std::time::Instant`], on Linux
//! `CLOCK_MONOTONIC`: they compare with each other and with those the caller takes itself.
//!
//! An answer to an [`OwnerProbe`] is heard by the kernel of its place, too, which may learn from it where an address has
//! gone: give it a host of its own, and not the one whose neighbour table a [`TcpProbe`] measures.

mod cold;
mod owner;
mod pace;
mod ping;
mod running;
mod tcp;

pub use cold::Neighbourhood;
pub use owner::{OwnerProbe, OwnerTrace, Question};
pub use ping::{Ping, PingProbe, PingTrace};
pub use running::{Probing, Span};
pub use tcp::{Answer, Loss, Outcome, TcpProbe, TcpTrace, Try};

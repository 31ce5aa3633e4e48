//! ARP and neighbour discovery: the frames that tell neighbours where an address is, and hearing what they say and ask.
//!
//! Building and reading are functions of bytes: [`announcement`], [`probe`] and [`defence`] make the frames for what the core decided
//! (`vip::announce`, `vip::conflict`), [`read`] turns a frame into an [`Event`]. Only [`PacketSocket`] touches the world.
//!
//! Not here: when to announce, and what a claim means.

pub mod arp;
mod checksum;
pub mod discovery;
mod event;
mod filter;
mod frame;
mod ping;
mod said;
mod socket;

pub use event::{Event, Kind, Refused, read};
pub use frame::Frame;
pub use ping::ping;
pub use said::{announcement, defence, probe};
pub use socket::{Family, Heard, Hindrance, OpenError, PacketSocket, RECEIVE_MAX};
pub use vip::neighbours::Mac;

#[cfg(test)]
mod tests;

//! The second storey: the real `groups` on top of the real `ring` in each machine, with clients that come, join, talk,
//! leave, die and read slowly, in the same weather.
//!
//! - [`crowd`]: how many clients there are in one history, and what they are like.
//! - [`client`]: what one client did and was told.
//! - `desk`: the groups of one daemon and the sessions at it. `acts`: what clients do.
//! - `truth`: whether tables and clients know, at the end, what is true.
//! - [`checks`]: what a client may rely on, property by property.

mod acts;
pub mod checks;
pub mod client;
pub mod crowd;
pub(super) mod desk;
mod truth;

pub use client::Client;
pub use crowd::Crowd;
pub(super) use desk::Desk;

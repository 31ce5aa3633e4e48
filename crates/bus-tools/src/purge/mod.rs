//! Objects removed from the caches of all machines by one message, and acknowledged by each.
//!
//! `backhand purged` runs beside each cache, a member of a group (`cachepurge` unless another is said), and may do nothing
//! but remove files beneath the cache's folder. `backhand purge` sends what to remove to the group and waits until every
//! member has answered. Programs that only send, as `spcachepurge` of the book, work too: a message with type 0 and
//! the path as its body is a purge without an answer.
//!
//! A cache must never serve what was purged, so whatever a member may have missed is removed:
//!
//! - It clears its folder when it has joined the group, at its start and whenever it is back: what was said before is lost.
//! - Members cut off from each other and back tell each other what was purged meanwhile ([`missed`]).
//!
//! Not here: what a cache stores where. The folder has the paths of the URLs (see [`object`]); a cache that fetched an object
//! before a purge must not store it after.

pub mod ask;
pub mod confine;
pub mod folder;
pub mod member;
pub mod message;
pub mod missed;
pub mod object;
mod place;

pub use spread_client::Endpoint;

/// The group unless another is said, as in the book.
pub const GROUP: &str = "cachepurge";

/// A private name beginning with `start`, and unlike that of any other program of this daemon.
fn private_name(start: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    // Dice, no secret.
    let mut rest = RandomState::new().hash_one(std::process::id());
    let mut name = start.to_owned();
    while name.len() < crate::user::NAME_MAX {
        name.push(char::from(DIGITS[(rest % 36) as usize]));
        rest /= 36;
    }
    name
}

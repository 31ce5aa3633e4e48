//! How many client connections there is room for.
//!
//! A request needs a descriptor for its client and usually one for whoever serves it. If clients could take them
//! all, every request of those already in would fail. So a part is kept back for the service and the peers:
//! a newcomer beyond the rest takes the place of a connection that rests between two requests, and is
//! turned away if there is none.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most that is kept back.
const KEPT_BACK_MAX: usize = 4096;
/// What is taken to be in use where nobody can count it.
const IN_USE: usize = 64;

/// Places for client connections, shared by all workers.
#[derive(Debug)]
pub(crate) struct Room {
    places: usize,
    taken: AtomicUsize,
}

impl Room {
    /// The room that is left now under this limit of file descriptors.
    pub(crate) fn under(limit: u64) -> Self {
        let in_use = fs::read_dir("/proc/self/fd").map_or(IN_USE, Iterator::count);
        let free = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(in_use);
        Self { places: (free - (free / 4).min(KEPT_BACK_MAX)).max(1), taken: AtomicUsize::new(0) }
    }

    /// Takes a place for a connection, also where there is none; `false` if somebody else has to go for it.
    pub(crate) fn enter(&self) -> bool {
        self.taken.fetch_add(1, Relaxed) < self.places
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_what_is_free_is_kept_back() {
        let room = |places| Room { places, taken: AtomicUsize::new(0) };
        let in_use = fs::read_dir("/proc/self/fd").unwrap().count();
        let places = Room::under(in_use as u64 + 400).places;
        // Other tests open and close files meanwhile.
        assert!((200..=400).contains(&places), "{places}");
        assert_eq!(Room::under(0).places, 1);
        assert!(Room::under(u64::MAX).places > 1 << 40);
        let room = room(2);
        assert!(room.enter() && room.enter());
        assert!(!room.enter());
        room.leave();
        room.leave();
        assert!(room.enter());
    }
}

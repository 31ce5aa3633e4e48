//! How many client connections there is room for.
//!
//! A request needs a descriptor for its client and usually one for whoever serves it. If clients could take them
//! all, every request of those already in would fail. So half of them are kept back for the service and the peers:
//! a newcomer beyond the rest takes the place of a connection that rests between two requests, and is
//! turned away if there is none.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most that is kept back.
const KEPT_BACK_MAX: usize = 16 * 1024;
/// What is taken to be in use where nobody can count it.
const IN_USE: usize = 64;

/// Places for client connections, shared by all workers.
#[derive(Debug)]
pub(crate) struct Room {
    places: AtomicUsize,
    taken: AtomicUsize,
}

impl Room {
    /// The room that is left now under this limit of file descriptors, of which so many will be taken by files.
    pub(crate) fn under(limit: u64, files: usize) -> Self {
        let room = Self { places: AtomicUsize::new(0), taken: AtomicUsize::new(0) };
        room.measure(limit, files);
        room
    }

    /// Measures again: each worker that was started has taken some descriptors of its own.
    pub(crate) fn measure(&self, limit: u64, files: usize) {
        let in_use = fs::read_dir("/proc/self/fd").map_or(IN_USE, Iterator::count);
        let free = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(in_use + files);
        self.places.store((free - (free / 2).min(KEPT_BACK_MAX)).max(1), Relaxed);
    }

    /// Takes a place for a connection, also where there is none; `false` if somebody else has to go for it.
    pub(crate) fn enter(&self) -> bool {
        self.taken.fetch_add(1, Relaxed) < self.places.load(Relaxed)
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
    fn half_of_what_is_free_is_kept_back() {
        let places = |limit, files| Room::under(limit, files).places.into_inner();
        let in_use = fs::read_dir("/proc/self/fd").unwrap().count();
        // Other tests open and close files meanwhile.
        let some = places(in_use as u64 + 500, 100);
        assert!((150..=250).contains(&some), "{some}");
        assert_eq!(places(0, 10), 1);
        assert!(places(u64::MAX, 10) > 1 << 40);
        let room = Room { places: AtomicUsize::new(2), taken: AtomicUsize::new(0) };
        assert!(room.enter() && room.enter());
        assert!(!room.enter());
        room.leave();
        room.leave();
        assert!(room.enter());
    }
}

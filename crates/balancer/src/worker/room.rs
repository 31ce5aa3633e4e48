//! How many client connections there is room for.
//!
//! A request needs a descriptor for its client and usually one for whoever serves it. If clients could take them
//! all, every request of those already in would fail. So half of them are kept back for the service and the peers:
//! a newcomer beyond the rest takes the place of a connection that rests between two requests, and is
//! turned away if there is none.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::local::files::OPEN_MAX;

/// The most that is kept back.
const KEPT_BACK_MAX: usize = 16 * 1024;
/// Most pipes of one worker.
const PIPES_MAX: usize = 4096;
/// What is taken to be in use where nobody can count it.
const IN_USE: usize = 64;

/// What of the descriptors one worker may use apart from connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// Large files kept open.
    pub(crate) files: usize,
    /// Pipes, of two descriptors each.
    pub(crate) pipes: usize,
}

impl Shares {
    /// For each of so many workers under this limit: an eighth of it for the files of all, an eighth for their pipes.
    pub(crate) fn of(limit: u64, workers: usize) -> Self {
        let each = usize::try_from(limit).unwrap_or(usize::MAX) / 8 / workers.max(1);
        Self { files: each.min(OPEN_MAX), pipes: (each / 2).min(PIPES_MAX) }
    }

    fn descriptors(self) -> usize {
        self.files + 2 * self.pipes
    }
}

/// Places for client connections, shared by all workers.
#[derive(Debug)]
pub(crate) struct Room {
    places: AtomicUsize,
    taken: AtomicUsize,
}

impl Room {
    /// The room that is left now under this limit of file descriptors, of which each of so many workers will take its
    /// shares.
    pub(crate) fn under(limit: u64, shares: Shares, workers: usize) -> Self {
        let room = Self { places: AtomicUsize::new(0), taken: AtomicUsize::new(0) };
        room.measure(limit, shares, workers);
        room
    }

    /// Measures again: each worker that was started has taken some descriptors of its own.
    pub(crate) fn measure(&self, limit: u64, shares: Shares, workers: usize) {
        let in_use = fs::read_dir("/proc/self/fd").map_or(IN_USE, Iterator::count);
        let free = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .saturating_sub(in_use + shares.descriptors() * workers);
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
        let shares = |files| Shares { files, pipes: 10 };
        let places = |limit, files| Room::under(limit, shares(files), 1).places.into_inner();
        let in_use = fs::read_dir("/proc/self/fd").unwrap().count();
        // Other tests open and close files meanwhile.
        let some = places(in_use as u64 + 500, 80);
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

//! How many connections there may be. Those that stay for long have places of their own, so that they keep nobody from asking and
//! ordering.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::words::{Answer, ErrorKind};

/// Connections at a time, of all sockets.
const CONNECTIONS: usize = 32;
/// Of these, those that watch decisions.
const WATCHING: usize = 16;
/// Of these, those that follow the table, as an order does until it is carried out.
const FOLLOWING: usize = 8;
/// Connections beyond all that are told why they are closed; more are closed at once.
const TURNED_AWAY: usize = 16;
/// The log says so not more often than this.
const SELDOM: Duration = Duration::from_secs(60);

/// The places that there are.
pub(super) struct Room {
    all: Semaphore,
    watching: Semaphore,
    following: Semaphore,
    turned_away: Semaphore,
    logged: Cell<Option<Instant>>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            all: Semaphore::new(CONNECTIONS),
            watching: Semaphore::new(WATCHING),
            following: Semaphore::new(FOLLOWING),
            turned_away: Semaphore::new(TURNED_AWAY),
            logged: Cell::new(None),
        }
    }

    /// For a connection.
    pub(super) fn enter(&self) -> Result<SemaphorePermit<'_>, Answer> {
        self.take(&self.all, || {
            format!(
                "there are {CONNECTIONS} connections at the control sockets of this service already, and it takes no more; end some of them, or ask again in a while: those that say nothing are closed after some seconds"
            )
        })
    }

    /// For one that watches decisions.
    pub(super) fn watch(&self) -> Result<SemaphorePermit<'_>, Answer> {
        self.take(&self.watching, || {
            format!("{WATCHING} connections watch this service already, and no more may; end one of them (`backhand vip watch`)")
        })
    }

    /// For one that follows the table.
    pub(super) fn follow(&self) -> Result<SemaphorePermit<'_>, Answer> {
        self.take(&self.following, || {
            format!(
                "{FOLLOWING} connections follow this service already, as an order does that is waited for, and no more may; end one of them, or give the order without waiting for it (--no-wait)"
            )
        })
    }

    /// For one that is to be told that there is no place.
    pub(super) fn turn_away(&self) -> Option<SemaphorePermit<'_>> {
        self.turned_away.try_acquire().ok()
    }

    fn take<'a>(
        &self,
        places: &'a Semaphore,
        full: impl FnOnce() -> String,
    ) -> Result<SemaphorePermit<'a>, Answer> {
        places.try_acquire().map_err(|_| {
            let message = full();
            let now = Instant::now();
            if self.logged.get().is_none_or(|at| now.duration_since(at) >= SELDOM) {
                self.logged.set(Some(now));
                tracing::warn!("somebody was turned away at a control socket: {message}");
            }
            Answer::Error { kind: ErrorKind::Busy, message }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_watches_or_follows_leaves_places_for_those_who_ask() {
        let room = Room::new();
        let busy = |told: Result<SemaphorePermit<'_>, Answer>| {
            matches!(told, Err(Answer::Error { kind: ErrorKind::Busy, .. }))
        };
        let mut stay = Vec::new();
        for _ in 0..WATCHING {
            stay.push((room.enter().unwrap(), room.watch().unwrap()));
        }
        assert!(busy(room.watch()));
        for _ in 0..FOLLOWING {
            stay.push((room.enter().unwrap(), room.follow().unwrap()));
        }
        assert!(busy(room.follow()));
        let asks: Vec<_> = (stay.len()..CONNECTIONS).map(|_| room.enter().unwrap()).collect();
        assert!(asks.len() >= 4);
        assert!(busy(room.enter()));
        drop(stay);
        assert!(!busy(room.watch()) && !busy(room.follow()) && !busy(room.enter()));
    }
}

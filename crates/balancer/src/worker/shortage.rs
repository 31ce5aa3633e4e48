//! What is given up when file descriptors run out, cheapest first, and what is said of it.
//!
//! A worker gives up only what is its own: another thread's connections are out of its reach, and that thread has the
//! same need soon enough.

use std::io;

use super::Worker;
use crate::exhausted::is_exhausted;

impl Worker {
    /// Gives up something that can be had again; `false` if there is nothing. What a connection held is free only
    /// once its task has run.
    pub(crate) fn make_room(&self) -> bool {
        let files = self.site.as_ref().is_some_and(|site| site.borrow_mut().close_files());
        if files || self.pool.drop_oldest() {
            self.count_pool();
            return true;
        }
        self.end_longest_idle()
    }

    /// Ends the client connection that has rested for longest; `false` if none rests.
    pub(crate) fn end_longest_idle(&self) -> bool {
        let ended = self.controls.end_longest_idle();
        if ended {
            self.stats.counters.made_room.bump();
            self.say_short("resting connections are closed for new ones");
        }
        ended
    }

    /// Counts a client that was turned away.
    pub(crate) fn turned_away(&self) {
        self.stats.counters.accept_exhausted.bump();
        self.say_short("connections are turned away");
    }

    /// Makes something that needs a descriptor, giving up what can be given up for it.
    pub(crate) async fn with_room<T>(
        &self,
        mut make: impl AsyncFnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let made = make().await;
            if !made.as_ref().is_err_and(is_exhausted) {
                return made;
            }
            if !self.make_room() {
                self.say_short("requests are answered with 503");
                return made;
            }
            tokio::task::yield_now().await;
        }
    }

    fn say_short(&self, so: &str) {
        if let Some(held) = self.warnings.descriptors.borrow_mut().pass(self.now()) {
            tracing::warn!(
                held,
                "file descriptors are short: {so}; raise the limit (LimitNOFILE, ulimit -n)"
            );
        }
    }
}

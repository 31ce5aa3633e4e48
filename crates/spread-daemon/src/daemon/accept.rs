//! Clients that come.

use std::time::Duration;

use base::Instant;

use super::Daemon;
use crate::poll::Token;

/// Clients accepted before anything else is done.
const ACCEPTS: usize = 64;

impl Daemon {
    pub(super) fn accept(&mut self, now: Instant, at: usize) {
        for _ in 0..ACCEPTS {
            match self.listeners.accept(at) {
                Ok(Some(arrival)) => {
                    self.short_told = false;
                    self.sessions.accept(now, &self.poll, &mut self.groups, arrival);
                }
                Ok(None) => return,
                Err(error) => {
                    // No descriptors, no memory. Those who wait are looked at again in a while, and not before: the kernel
                    // would say again and again that they wait.
                    if !std::mem::replace(&mut self.short_told, true) {
                        tracing::warn!(%error, "clients cannot be accepted for now; raise the limit of open files if that is why");
                    }
                    self.accept_again = Some(now + Duration::from_millis(100));
                    self.hush(true);
                    return;
                }
            }
        }
    }

    pub(super) fn hush(&self, hush: bool) {
        for (at, socket) in self.listeners.sockets().enumerate() {
            if let Err(error) = self.poll.hush(socket, Token::Listener(at), hush) {
                tracing::error!(%error, "a listening socket cannot be watched");
            }
        }
    }
}

//! A bell that any thread may ring to wake the one that waits in `poll`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd that is written at most once until it was heard: ringing it twice costs one system call.
#[derive(Debug)]
pub(crate) struct Bell {
    fd: OwnedFd,
    ringing: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd, ringing: AtomicBool::new(false) })
    }

    /// Wakes the listener, now or when it next waits.
    pub(crate) fn ring(&self) {
        // The load first, since many threads may ring a bell that rings already.
        if !self.ringing.load(SeqCst) && !self.ringing.swap(true, SeqCst) {
            // It can only fail when the counter is full, and then the listener is awake.
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Stops the ringing; whether there was any. What was said before a ring is seen by who heard it.
    ///
    /// The descriptor is read first: a ring between the two steps writes nothing, but who rang has spoken
    /// before, and the listener listens after. The other way round such a ring would be swallowed and the
    /// bell stay mute.
    pub(crate) fn hear(&self) -> bool {
        let mut count = [0; 8];
        let rang = rustix::io::read(&self.fd, &mut count).is_ok();
        self.ringing.store(false, SeqCst);
        rang
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn rings(bell: &Bell) -> bool {
        let mut fds = [PollFd::new(bell, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn a_bell_rings_until_it_is_heard_and_can_ring_again() {
        let bell = Bell::new().unwrap();
        assert!(!rings(&bell));
        bell.ring();
        bell.ring();
        assert!(rings(&bell));
        assert!(bell.hear());
        assert!(!rings(&bell) && !bell.hear());
        bell.ring();
        assert!(rings(&bell));
    }
}

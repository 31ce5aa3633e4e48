//! Waiting for descriptors until a moment.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits until one of `fds` has something to read (or an error to tell), or `patience` is over.
pub(super) fn wait(fds: &[BorrowedFd<'_>], patience: Option<Duration>) {
    let mut fds: Vec<PollFd<'_>> =
        fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let patience = patience.map(|patience| Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    });
    // An interrupted wait is a short one; other errors cannot happen with descriptors that we hold open.
    let _ = poll(&mut fds, patience.as_ref());
}

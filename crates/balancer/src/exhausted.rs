//! Telling our own want apart from what others did wrong.

use std::io;

use rustix::io::Errno;

/// Whether the process or the system has no descriptor or memory left.
pub(crate) fn is_exhausted(e: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| e.raw_os_error() == Some(errno.raw_os_error()))
}

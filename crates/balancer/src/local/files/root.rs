//! The directory, and opening what lies beneath it and nowhere else.
//!
//! The kernel keeps the fence: `openat2` with `RESOLVE_BENEATH` refuses every way out, symbolic links and
//! races between look and open included, which no check of ours before an `open` could. Where the kernel
//! has no `openat2` (before 5.6, or a filter of system calls), paths are walked one directory at a time and
//! no symbolic link is followed at all; [`Root::is_fenced`] tells, and the log says so.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::options::{Links, OpenError, Options};

/// Every file is opened so: never waits (for a pipe's other end), never becomes our terminal.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// An open root.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    identity: (u64, u64),
    links: Links,
    fenced: bool,
}

impl Root {
    /// Opens the root.
    ///
    /// # Errors
    /// It is not there, not a directory, or cannot be read. Without a root in the options there is nothing to
    /// open, which counts as missing.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let path = options.root.clone().unwrap_or_default();
        let failed = |errno: Errno| match errno {
            Errno::NOENT => OpenError::Missing(path.clone()),
            Errno::NOTDIR => OpenError::NotADirectory(path.clone()),
            Errno::ACCESS | Errno::PERM => OpenError::Forbidden(path.clone()),
            errno => OpenError::Io { path: path.clone(), error: errno.into() },
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = fs::open(&path, flags, Mode::empty()).map_err(failed)?;
        let stat = fs::fstat(&dir).map_err(failed)?;
        // Readable is not enough: without leave to enter it, nothing in it can be opened.
        fs::accessat(&dir, ".", fs::Access::EXEC_OK, fs::AtFlags::EACCESS).map_err(failed)?;
        let fenced = match options.links {
            Links::Anywhere => true,
            links => has_openat2(&dir, resolve(links)),
        };
        Ok(Self { dir, identity: (stat.st_dev, stat.st_ino), links: options.links, fenced })
    }

    /// Whether links are treated as the options say. If not, none is followed.
    pub fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// Device and inode: two roots with the same are the same directory.
    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Opens what lies at `path` (relative, without dot segments; empty for the root itself).
    pub(super) fn open_beneath(&self, path: &[u8]) -> io::Result<(OwnedFd, Stat)> {
        let path = if path.is_empty() { b"." } else { path };
        let file = match (self.links, self.fenced) {
            (Links::Anywhere, _) => fs::openat(&self.dir, path, FILE, Mode::empty())?,
            (links, true) => openat2(&self.dir, path, resolve(links))?,
            (_, false) => self.walk(path)?,
        };
        let stat = fs::fstat(&file)?;
        Ok((file, stat))
    }

    /// One directory at a time, following no link.
    fn walk(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut at: Option<OwnedFd> = None;
        let mut steps = path.split(|&b| b == b'/').peekable();
        while let Some(step) = steps.next() {
            if step == b".." {
                return Err(Errno::XDEV.into());
            }
            let here = at.as_ref().unwrap_or(&self.dir).as_fd();
            let flags = match steps.peek() {
                Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
                None => FILE | OFlags::NOFOLLOW,
            };
            let next = fs::openat(here, step, flags, Mode::empty())?;
            at = Some(next);
        }
        at.ok_or_else(|| Errno::NOENT.into())
    }

    #[cfg(test)]
    pub(super) fn without_openat2(mut self) -> Self {
        self.fenced = false;
        self
    }
}

fn resolve(links: Links) -> ResolveFlags {
    let fence = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if links == Links::None { fence | ResolveFlags::NO_SYMLINKS } else { fence }
}

fn openat2(dir: &OwnedFd, path: &[u8], resolve: ResolveFlags) -> io::Result<OwnedFd> {
    // EAGAIN: something was renamed during the walk and the kernel cannot vouch for the fence.
    for _ in 0..4 {
        match fs::openat2(dir, path, FILE, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            done => return Ok(done?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// Filters of system calls answer ENOSYS or EPERM to what they do not know.
fn has_openat2(dir: &OwnedFd, resolve: ResolveFlags) -> bool {
    !matches!(
        fs::openat2(dir, ".", FILE, Mode::empty(), resolve),
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL)
    )
}

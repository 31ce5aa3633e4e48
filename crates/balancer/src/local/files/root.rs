//! The directory, and opening what lies beneath it and nowhere else.
//!
//! The kernel keeps the fence: `openat2` with `RESOLVE_BENEATH` refuses every way out, symbolic links and
//! races between look and open included, which no check of ours before an `open` could. It follows no link
//! itself: where one is met and links are allowed, the place it leads to is asked for, judged as the path of a
//! request would be (beneath the root, no hidden name), and opened by that path. So an absolute link that stays inside
//! is followed, and no link publishes a hidden file. Where the kernel
//! has no `openat2` (before 5.6, or a filter of system calls), paths are walked one directory at a time and
//! no symbolic link is followed at all; [`Root::is_fenced`] tells, and the log says so.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{self, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::options::{Links, OpenError, Options};
use super::path;

/// Every file is opened so: never waits (for a pipe's other end), never becomes our terminal.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

const FENCE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

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
            Links::Inside | Links::None => has_openat2(&dir),
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
            (Links::None, true) => openat2(&self.dir, path)?,
            (Links::Inside, true) => match openat2(&self.dir, path) {
                Err(error) if is_link(&error) => openat2(&self.dir, &self.linked(path)?)?,
                opened => opened?,
            },
            (_, false) => self.walk(path)?,
        };
        let stat = fs::fstat(&file)?;
        Ok((file, stat))
    }

    /// Where a path with links in it leads, beneath the root.
    fn linked(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        // Named, not opened: nothing happens to what is there, whatever it is.
        let named = OFlags::PATH | OFlags::CLOEXEC;
        let end = place_of(&fs::openat(&self.dir, path, named, Mode::empty())?)?;
        let root = place_of(&self.dir)?;
        let root = root.strip_suffix(b"/").unwrap_or(&root);
        let outside = || io::Error::from(Errno::XDEV);
        match end.strip_prefix(root).ok_or_else(outside)? {
            b"" => Ok(b".".to_vec()),
            [b'/', path @ ..] if !path::is_hidden(path) => Ok(path.to_vec()),
            _ => Err(outside()),
        }
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

/// The path of an open file, without links.
fn place_of(file: &OwnedFd) -> io::Result<Vec<u8>> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok(path.into_os_string().into_vec())
}

/// A symbolic link was met on the way.
fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

fn openat2(dir: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    // EAGAIN: something was renamed during the walk and the kernel cannot vouch for the fence.
    for _ in 0..4 {
        match fs::openat2(dir, path, FILE, Mode::empty(), FENCE) {
            Err(Errno::AGAIN) => {}
            done => return Ok(done?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// Filters of system calls answer ENOSYS or EPERM to what they do not know.
fn has_openat2(dir: &OwnedFd) -> bool {
    !matches!(
        fs::openat2(dir, ".", FILE, Mode::empty(), FENCE),
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL)
    )
}

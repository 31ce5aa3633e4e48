//! The folder of a cache, from which things are removed and outside of which nothing is touched.
//!
//! Every directory is opened with `openat2` beneath the folder and through no symbolic link, so the kernel refuses what would
//! lead out of it, whatever others rename or link meanwhile. A symbolic link in the cache is removed, never followed.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags, fstat, open, openat2, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::object::Object;
use super::place;

/// Directories within directories; what lies deeper is left and told.
const DEPTH_MAX: usize = 128;
/// How often a directory is read again because something was left in it.
const PASSES: usize = 3;
/// Files removed before the caller may do something else.
const PAUSE: u64 = 256;
/// How often an opening is tried again that others' renaming disturbed.
const DISTURBED_MAX: usize = 100;

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be opened.
    #[error("the folder {path} cannot be opened: {source}")]
    Open {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no cache.
    #[error(
        "{path} is no folder of a cache, and everything in it would be removed; name one that holds nothing else"
    )]
    Never {
        /// The folder.
        path: PathBuf,
    },
    /// It holds things, and nothing says that it is a cache.
    #[error(
        "{path} holds things and is not marked as a cache, and everything in it would be removed; if that is meant, start once with --adopt, or begin {path}/CACHEDIR.TAG with \"Signature: 8a477f597d28d172789f06886806bc55\""
    )]
    Unmarked {
        /// The folder.
        path: PathBuf,
    },
    /// It is another user's.
    #[error(
        "{path} belongs to user {owner}, so it is not emptied; start this program as that user"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The number of the user.
        owner: u32,
    },
    /// It cannot be marked.
    #[error("{path} cannot be marked as a cache with the file CACHEDIR.TAG: {source}")]
    Mark {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel cannot open beneath a folder.
    #[error("this kernel has no openat2 (Linux 5.6), without which nothing holds purges in {path}")]
    Kernel {
        /// The folder.
        path: PathBuf,
    },
}

/// The folder of a cache.
#[derive(Debug)]
pub struct Folder {
    root: OwnedFd,
    path: PathBuf,
}

/// What a removal came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Files removed; directories are not counted.
    pub removed: u64,
    /// The first thing that could not be removed, and why.
    pub failure: Option<String>,
}

impl Folder {
    /// Opens the folder, and marks it as a cache if it is empty. One that holds things has to be marked already, unless `adopt`
    /// says that all of that may go.
    ///
    /// # Errors
    /// It cannot be opened, or is none of a cache.
    pub fn open(path: &Path, adopt: bool) -> Result<Self, FolderError> {
        let failed = |source: io::Error| FolderError::Open { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(failed)?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let home = home.map(|home| home.canonicalize().unwrap_or(home));
        let working = std::env::current_dir().ok();
        if place::is_never(&path, home.as_deref(), working.as_deref()) {
            return Err(FolderError::Never { path });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let failed =
            |source: Errno| FolderError::Open { path: path.clone(), source: source.into() };
        let root = open(&path, flags, Mode::empty()).map_err(failed)?;
        let owner = fstat(&root).map_err(failed)?.st_uid;
        if owner != 0 && owner != geteuid().as_raw() {
            return Err(FolderError::Foreign { path, owner });
        }
        match beneath(root.as_fd(), c".") {
            Ok(_) => {}
            Err(Errno::NOSYS | Errno::PERM) => return Err(FolderError::Kernel { path }),
            Err(source) => return Err(failed(source)),
        }
        if !place::is_marked(root.as_fd()).map_err(failed)? {
            if !adopt && !place::is_empty(root.as_fd()).map_err(failed)? {
                return Err(FolderError::Unmarked { path });
            }
            if let Err(source) = place::mark(root.as_fd()) {
                return Err(FolderError::Mark { path, source });
            }
        }
        Ok(Self { root, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes everything in it but its mark. `meanwhile` is called now and then.
    pub fn clear(&self, meanwhile: &mut dyn FnMut()) -> Removal {
        let mut work = Work { removal: Removal::default(), meanwhile, top: true };
        work.contents(self.root.as_fd(), c"", &mut Vec::new());
        work.removal
    }

    /// Removes an object. That there is none is no failure. `meanwhile` is called now and then.
    pub fn remove(&self, object: &Object, meanwhile: &mut dyn FnMut()) -> Removal {
        let top = object.parents.is_empty();
        let mut work = Work { removal: Removal::default(), meanwhile, top };
        let parents: &CStr = if top { c"." } else { &object.parents };
        match beneath(self.root.as_fd(), parents) {
            Ok(directory) if object.prefix => {
                work.contents(directory.as_fd(), &object.last, &mut Vec::new());
            }
            Ok(directory) => work.entry(directory.as_fd(), &object.last, &mut Vec::new()),
            // What is not there, or has a file where a directory would be, is purged.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => work.failed(parents, errno),
        }
        work.removal
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Opens a directory beneath another one.
fn beneath(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    // Without NOFOLLOW, which would call a link no directory, as if there were nothing to purge.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut disturbed = 0;
    loop {
        match openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            // Something was renamed at that moment, and the kernel could not tell whether it stayed beneath.
            Err(Errno::AGAIN) if disturbed < DISTURBED_MAX => disturbed += 1,
            outcome => return outcome,
        }
    }
}

/// A removal on its way.
struct Work<'a> {
    removal: Removal,
    meanwhile: &'a mut dyn FnMut(),
    /// It begins in the folder itself, where its mark is.
    top: bool,
}

impl Work<'_> {
    /// Removes a file or a directory with all that is in it. `way` are the directories above, for the limit of depth.
    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, way: &mut Vec<CString>) {
        if self.top && way.is_empty() && name == place::TAG {
            return;
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => {
                self.removal.removed += 1;
                if self.removal.removed.is_multiple_of(PAUSE) {
                    (self.meanwhile)();
                }
            }
            Err(Errno::NOENT) => {}
            // Linux says the first of a directory, other systems the second.
            Err(Errno::ISDIR | Errno::PERM) => self.tree(directory, name, way),
            Err(errno) => self.failed(name, errno),
        }
    }

    fn tree(&mut self, directory: BorrowedFd<'_>, name: &CStr, way: &mut Vec<CString>) {
        if way.len() >= DEPTH_MAX {
            let text = format!("directories deeper than {DEPTH_MAX} are left");
            self.removal.failure.get_or_insert(text);
            return;
        }
        let inner = match beneath(directory, name) {
            Ok(inner) => inner,
            // It was a file after all, which could not be removed; or it is gone.
            Err(Errno::NOTDIR) => return self.failed(name, Errno::PERM),
            Err(Errno::NOENT) => return,
            Err(errno) => return self.failed(name, errno),
        };
        way.push(name.to_owned());
        for _ in 0..PASSES {
            let before = self.removal.removed;
            self.contents(inner.as_fd(), c"", way);
            match unlinkat(directory, name, AtFlags::REMOVEDIR) {
                // Some file systems leave things out when others are removed while they are read.
                Err(Errno::NOTEMPTY) if self.removal.removed > before => {}
                // What the cache stored meanwhile is newer than the purge.
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => break,
                Err(errno) => {
                    self.failed(name, errno);
                    break;
                }
            }
        }
        way.pop();
    }

    /// Removes everything in a directory whose name begins with `start`.
    fn contents(&mut self, directory: BorrowedFd<'_>, start: &CStr, way: &mut Vec<CString>) {
        let entries = match Dir::read_from(directory) {
            Ok(entries) => entries,
            Err(errno) => return self.failed(c".", errno),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => return self.failed(c".", errno),
            };
            let name = entry.file_name();
            if name != c"." && name != c".." && name.to_bytes().starts_with(start.to_bytes()) {
                self.entry(directory, name, way);
            }
        }
    }

    fn failed(&mut self, name: &CStr, errno: Errno) {
        let why = match errno {
            Errno::LOOP => "it is a symbolic link, which is not followed".to_owned(),
            errno => io::Error::from(errno).to_string(),
        };
        self.removal
            .failure
            .get_or_insert_with(|| format!("{}: {why}", name.to_bytes().escape_ascii()));
    }
}

//! Measuring this machine: facts once, figures each second.
//!
//! A [`Meter`] reads the kernel's files below a root directory, which is `/` except in tests. What is
//! measured is the machine, or the control group the program runs in; see [`Scope`]. Every parser is a
//! pure function over text.

mod arriba;
mod cgroup;
mod load;
mod meter;
mod place;
mod proc;
mod psi;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::Scope;

pub use meter::{Facts, Figures, Meter};
pub use psi::{Pressure, Stall};

/// Measures the speed of one CPU; see the module `arriba`. Takes up to 0.4 s.
pub fn arriba() -> u32 {
    arriba::measure()
}

/// Whether there is a control group of this path, in any hierarchy.
pub(crate) fn is_group(root: &Root, path: &Path) -> bool {
    !meter::named_group(root, path).is_empty()
}

/// The directory below which `/proc` and `/sys` are found.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// A root other than `/`, for tests with files of their own.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file, if it can be read; never more than [`proc::TEXT_MAX`] bytes.
    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::new();
        fs::File::open(self.path(path)).ok()?.take(proc::TEXT_MAX).read_to_end(&mut bytes).ok()?;
        // The kernel's files are text except for names that users choose.
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    fn list(&self, path: impl AsRef<Path>) -> impl Iterator<Item = String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    }

    fn directories(&self, path: impl AsRef<Path>) -> impl Iterator<Item = String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        dirs.filter_map(|entry| entry.file_name().into_string().ok())
    }
}

//! What is served and how, as `[local]` says.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::exhausted::is_exhausted;

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// Those that lead to somewhere in the root.
    #[default]
    Inside,
    /// None.
    None,
    /// All, wherever they lead.
    Anywhere,
}

/// What is served and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory; `None` shows a page of welcome at `/`.
    pub root: Option<PathBuf>,
    /// Names that answer for a directory, the preferred one first.
    pub index: Vec<String>,
    /// Types by extension in lower case, before the built-in ones.
    pub types: BTreeMap<String, String>,
    /// Whether precompressed siblings are sent.
    pub precompressed: bool,
    /// Which symbolic links are followed.
    pub links: Links,
    /// The value of `Cache-Control`, if one is sent.
    pub cache_control: Option<String>,
    /// Whether `X-Content-Type-Options: nosniff` is sent.
    pub nosniff: bool,
    /// Bytes of small files that one worker keeps in memory; 0 keeps nothing.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: None,
            index: vec!["index.html".into()],
            types: BTreeMap::new(),
            precompressed: true,
            links: Links::Inside,
            cache_control: None,
            nosniff: true,
            memory: 16 << 20,
        }
    }
}

/// The root cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there.
    #[error("{0:?} does not exist")]
    Missing(PathBuf),
    /// It is a file, or something else that holds no files.
    #[error("{0:?} is not a directory")]
    NotADirectory(PathBuf),
    /// This program may not read it, or not enter one of the directories above it.
    #[error("{0:?} cannot be read by this user")]
    Forbidden(PathBuf),
    /// Anything else the system said.
    #[error("{path:?} cannot be opened: {error}")]
    Io {
        /// The root.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl OpenError {
    /// Whether it failed for want of descriptors or memory, which says nothing of the directory.
    pub(crate) fn is_of_ours(&self) -> bool {
        matches!(self, Self::Io { error, .. } if is_exhausted(error))
    }

    /// What the operator can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Missing(path) => {
                format!("create it (mkdir -p {}) or name another", path.display())
            }
            Self::NotADirectory(_) => "name the directory that holds the files".into(),
            Self::Forbidden(path) => format!(
                "let the user that Backhand runs as read and enter it and every directory above it (namei -l {})",
                path.display()
            ),
            Self::Io { .. } => "name a directory that can be read".into(),
        }
    }
}

//! Reading the cluster key's file: a secret, so everything about it is suspicious.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use seal::ClusterKey;

/// Most bytes read: a key is not a film.
const KEY_FILE_MAX: u64 = 4096;
/// The command that makes a key file.
const MAKE: &str = "backhand key >";

/// Reads a key file.
///
/// # Errors
/// The file is missing or unreadable, others than its owner may read it, or it holds no key.
pub fn read_key(path: &Path) -> Result<ClusterKey, KeyFileError> {
    let io = |error| KeyFileError::Io { path: path.into(), error };
    // Not waiting for whoever may one day write into a pipe of that name.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| io(error.into()))?;
    let file = File::from(file);
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(KeyFileError::NotAFile { path: path.into() });
    }
    if meta.mode() & 0o077 != 0 {
        return Err(KeyFileError::Readable { path: path.into(), mode: meta.mode() & 0o777 });
    }
    let mut bytes = Vec::with_capacity(256);
    file.take(KEY_FILE_MAX).read_to_end(&mut bytes).map_err(io)?;
    let content = |error| KeyFileError::Content { path: path.into(), error };
    // What is not text is no key; the lossy form only serves to say so.
    ClusterKey::from_text(&String::from_utf8_lossy(&bytes)).map_err(content)
}

/// Why a cluster key cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be opened or read.
    #[error("cannot read {path:?}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("{path:?} is not a regular file")]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Group or others may read it, so it may not be secret any more.
    #[error("{path:?} can be read by others than its owner (mode {mode:o})")]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Too short, no key, a placeholder.
    #[error("{path:?}: {error}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with the text.
        error: seal::KeyError,
    },
}

impl KeyFileError {
    /// What the operator can do.
    pub fn remedy(&self) -> String {
        let make = |path: &Path| {
            let path = path.display();
            format!("make one with: (umask 077; {MAKE} {path}); all machines need the same")
        };
        match self {
            Self::Io { path, error } if error.kind() == io::ErrorKind::NotFound => make(path),
            Self::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that Backhand runs as own the file".into()
            }
            Self::Io { .. } | Self::NotAFile { .. } => {
                "name the file that holds the cluster key".into()
            }
            Self::Readable { path, .. } => {
                format!(
                    "run chmod 600 {}; if others may have read it, make a new key",
                    path.display()
                )
            }
            Self::Content { path, .. } => make(path),
        }
    }
}

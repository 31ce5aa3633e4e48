//! Reading the cluster key's file: a secret, so everything about it is suspicious.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Fewest bytes of a key, without the space around it: base64 of 24 random bytes, or any long phrase.
pub const KEY_MIN: usize = 32;
/// Most bytes read: a key is not a film.
pub const KEY_MAX: usize = 4096;

/// The bytes of the cluster key, which no message ever shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A secret from bytes, for programs that make their own.
    ///
    /// # Errors
    /// Fewer than [`KEY_MIN`] or more than [`KEY_MAX`] bytes after trimming.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::of(bytes, Path::new("the key"))
    }

    fn of(bytes: &[u8], path: &Path) -> Result<Self, KeyError> {
        let bytes = bytes.trim_ascii();
        match bytes.len() {
            0..KEY_MIN => Err(KeyError::Short { path: path.into(), len: bytes.len() }),
            KEY_MIN..=KEY_MAX => Ok(Self(bytes.to_vec())),
            _ => Err(KeyError::Long { path: path.into() }),
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// The file is missing or unreadable, others than its owner may read it, or it is too short or long.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let io = |error| KeyError::Io { path: path.into(), error };
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if !meta.is_file() {
            return Err(KeyError::NotAFile { path: path.into() });
        }
        if meta.mode() & 0o077 != 0 {
            return Err(KeyError::Readable { path: path.into(), mode: meta.mode() & 0o777 });
        }
        let mut bytes = Vec::with_capacity(256);
        file.take(KEY_MAX as u64 + 64).read_to_end(&mut bytes).map_err(io)?;
        Self::of(&bytes, path)
    }

    /// The bytes, for deriving keys and nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a cluster key cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
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
    /// Too few bytes to be hard to guess.
    #[error("{path:?} holds {len} bytes, a key needs at least {KEY_MIN}")]
    Short {
        /// The file.
        path: PathBuf,
        /// Bytes in it, space around them not counted.
        len: usize,
    },
    /// More bytes than any key has: probably the wrong file.
    #[error("{path:?} holds more than {KEY_MAX} bytes, which is no key")]
    Long {
        /// The file.
        path: PathBuf,
    },
}

impl KeyError {
    /// What the operator can do.
    pub fn remedy(&self) -> String {
        let make = |path: &Path| {
            let path = path.display();
            format!(
                "make one with: head -c 32 /dev/urandom | base64 > {path} && chmod 600 {path}; all machines need the same"
            )
        };
        match self {
            Self::Io { path, error } if error.kind() == io::ErrorKind::NotFound => make(path),
            Self::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that Backhand runs as own the file".into()
            }
            Self::Io { .. } | Self::NotAFile { .. } | Self::Long { .. } => {
                "name the file that holds the cluster key".into()
            }
            Self::Readable { path, .. } => {
                format!(
                    "run chmod 600 {}; if others may have read it, make a new key",
                    path.display()
                )
            }
            Self::Short { path, .. } => make(path),
        }
    }
}

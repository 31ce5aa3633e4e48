//! What the parent is told when a word does not reach its guardian.

use std::io;

/// The guardian does not know of what was just said, so do not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started, or asked.
    #[error("guardian: {what}: {source}")]
    Io {
        /// What was wanted.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It is dead: start another and tell it everything again.
    #[error("the guardian is dead; another has to be started")]
    Gone,
    /// It does not read: it was stopped, or the machine is far too busy. Kill it and start another.
    #[error("the guardian does not read what it is told; it has to be replaced")]
    Stuck,
    /// Nothing of it was taken.
    #[error("guardian: {what} has {found} and may have {most} at most")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        most: usize,
    },
    /// The suspicion time is out of bounds.
    #[error("suspicion time {found:?}: choose 20 ms to 60 s")]
    Suspicion {
        /// Its value.
        found: std::time::Duration,
    },
    /// It did not begin.
    #[error("the guardian did not begin within {0:?}; is guardian::init() the first call of main?")]
    NoBeginning(std::time::Duration),
    /// The words from the former image of this process are no guardian.
    #[error("{0:?} names no guardian of this process; a new one has to be started")]
    NoHeir(String),
}

impl Error {
    pub(super) fn io<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { what, source: source.into() }
    }
}

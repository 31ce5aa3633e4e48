//! What is to be sent.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The answer to one request for a file.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status; one of 200, 204, 206, 301, 304, 400, 404, 405, 412, 416, 500, 503.
    pub status: u16,
    /// What follows the head.
    pub body: Body,
}

/// What follows the head.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing: the answer has none, or the request was HEAD.
    Empty,
    /// Bytes in memory: small enough to go out in one write with the head.
    Memory(Rc<[u8]>, Range<usize>),
    /// A part of a file, or all of it.
    File {
        /// Open for reading; its own position is of no meaning.
        file: Rc<OwnedFd>,
        /// Where to begin.
        offset: u64,
        /// How many bytes. The file may meanwhile have become shorter: then the connection has to be closed.
        len: u64,
    },
    /// Several ranges of a file, each behind a head of its own, and a last line.
    Parts(Vec<Part>),
}

/// A piece of a multipart body.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes to send as they are.
    Bytes(Vec<u8>),
    /// Bytes of a file.
    File {
        /// Open for reading; its own position is of no meaning.
        file: Rc<OwnedFd>,
        /// Where to begin.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
}

impl Body {
    /// Bytes it has.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Memory(_, range) => range.len() as u64,
            Self::File { len, .. } => *len,
            Self::Parts(parts) => parts.iter().map(Part::len).sum(),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Part {
    /// Bytes it has.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

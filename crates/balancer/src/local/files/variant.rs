//! One representation of a file: its bytes or its descriptor, and its head lines, made once.

use std::io::Write;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::Stat;

use super::answer::{Body, Part};
use super::conditions::Validators;
use super::encoding::Coding;
use super::options::Options;
use crate::date;

/// Largest file kept in memory.
pub(super) const SMALL: u64 = 64 * 1024;
/// Age of a change, by the wall clock, from which on another change must show in the file's times. Kernels
/// count them in ticks of up to 10 ms, network file systems in seconds.
const SETTLED_SECS: i64 = 2;

/// What a file is known by: if all of it is the same, so are the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    pub(super) len: u64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Last modification in seconds since 1970.
    pub(super) fn modified(&self) -> i64 {
        self.modified.0
    }
}

/// Where the bytes are.
#[derive(Clone, Debug)]
enum Source {
    Memory(Rc<[u8]>),
    Open(Rc<OwnedFd>),
}

/// One representation of a file, ready to be sent.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) identity: Identity,
    pub(super) validators: Validators,
    source: Source,
    content_type: String,
    varies: bool,
    /// `ETag`, `Last-Modified`, `Vary`, `Cache-Control`: what a 304 says as well.
    common: Vec<u8>,
    /// All lines of a 200.
    whole: Vec<u8>,
}

/// What a variant is made of.
#[derive(Debug)]
pub(super) struct Making<'a> {
    pub(super) options: &'a Options,
    pub(super) content_type: &'a str,
    pub(super) coding: Option<Coding>,
    /// Whether there are other representations of the same file.
    pub(super) varies: bool,
    /// The wall clock, in seconds since 1970.
    pub(super) wall: i64,
    /// Whether small files go into memory.
    pub(super) keep: bool,
}

impl Variant {
    /// Makes a variant of an open regular file. A small one is read and its descriptor closed.
    pub(super) fn make(file: OwnedFd, identity: Identity, making: &Making<'_>) -> Self {
        let settled = [identity.modified.0, identity.changed.0]
            .iter()
            .all(|time| time.saturating_add(SETTLED_SECS) <= making.wall);
        let small = making.keep && settled && identity.len <= SMALL;
        let bytes = if small { read(&file, identity.len) } else { None };
        let suffix = making.coding.map(|c| format!("-{}", c.name())).unwrap_or_default();
        let (seconds, nanos) = identity.modified;
        let stamp = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let validators = Validators {
            // No inode: copies of one site on several machines must have one tag.
            tag: format!("{stamp:x}-{:x}{suffix}", identity.len),
            weak: !settled,
            modified: seconds,
        };
        let source = match bytes {
            Some(bytes) => Source::Memory(bytes),
            None => Source::Open(Rc::new(file)),
        };
        let common = common(&validators, making);
        let mut variant = Self {
            identity,
            validators,
            source,
            content_type: making.content_type.into(),
            varies: making.varies,
            common,
            whole: Vec::new(),
        };
        variant.whole = variant.head_of_whole(making);
        variant
    }

    /// Bytes of memory it takes, roughly.
    pub(super) fn weight(&self) -> usize {
        let content = match &self.source {
            Source::Memory(bytes) => bytes.len(),
            Source::Open(_) => 0,
        };
        size_of::<Self>() + self.common.len() + self.whole.len() + content
    }

    /// Whether it holds a descriptor.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.source, Source::Open(_))
    }

    /// Whether it says that there are other representations.
    pub(super) fn varies(&self) -> bool {
        self.varies
    }

    /// The lines of a 200.
    pub(super) fn lines_of_whole(&self) -> &[u8] {
        &self.whole
    }

    /// The lines that a 304 shares with the 200.
    pub(super) fn lines_of_unmodified(&self) -> &[u8] {
        &self.common
    }

    /// Lines and body of a 206 with one range.
    pub(super) fn one_range(&self, range: Range<u64>, headers: &mut Vec<u8>) -> Body {
        let len = self.identity.len;
        let kept = self.whole.len() - content_length(len).len();
        headers.extend_from_slice(&self.whole[..kept]);
        // Writing to memory cannot fail.
        let _ = write!(headers, "Content-Range: bytes {}-{}/{len}\r\n", range.start, range.end - 1);
        headers.extend_from_slice(content_length(range.end - range.start).as_bytes());
        self.body(range)
    }

    /// Lines and body of a 206 with several ranges, divided by `boundary`.
    pub(super) fn ranges(
        &self,
        ranges: &[Range<u64>],
        boundary: &str,
        headers: &mut Vec<u8>,
    ) -> Body {
        let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
        for (i, range) in ranges.iter().enumerate() {
            let before = if i == 0 { "" } else { "\r\n" };
            let head = format!(
                "{before}--{boundary}\r\nContent-Type: {}\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
                self.content_type,
                range.start,
                range.end - 1,
                self.identity.len
            );
            parts.push(Part::Bytes(head.into_bytes()));
            parts.push(match self.body(range.clone()) {
                Body::Memory(bytes, range) => Part::Bytes(bytes[range].to_vec()),
                Body::File { file, offset, len } => Part::File { file, offset, len },
                Body::Empty | Body::Parts(_) => Part::Bytes(Vec::new()),
            });
        }
        parts.push(Part::Bytes(format!("\r\n--{boundary}--\r\n").into_bytes()));
        let len = parts.iter().map(Part::len).sum();
        let own_type = format!("Content-Type: {}\r\n", self.content_type);
        let kept = self.whole.len() - content_length(self.identity.len).len() - own_type.len();
        headers.extend_from_slice(&self.whole[..kept]);
        let _ = write!(headers, "Content-Type: multipart/byteranges; boundary={boundary}\r\n");
        headers.extend_from_slice(content_length(len).as_bytes());
        Body::Parts(parts)
    }

    /// The bytes of a range.
    pub(super) fn body(&self, range: Range<u64>) -> Body {
        match &self.source {
            // A file in memory is small, so its offsets fit.
            Source::Memory(bytes) => {
                Body::Memory(bytes.clone(), range.start as usize..range.end as usize)
            }
            Source::Open(file) => {
                Body::File { file: file.clone(), offset: range.start, len: range.end - range.start }
            }
        }
    }

    /// Content type and length last, where ranges replace them.
    fn head_of_whole(&self, making: &Making<'_>) -> Vec<u8> {
        let mut lines = self.common.clone();
        if let Some(coding) = making.coding {
            let _ = write!(lines, "Content-Encoding: {}\r\n", coding.name());
        }
        if making.options.nosniff {
            lines.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
        }
        let _ = write!(lines, "Accept-Ranges: bytes\r\nContent-Type: {}\r\n", self.content_type);
        lines.extend_from_slice(content_length(self.identity.len).as_bytes());
        lines
    }
}

fn common(validators: &Validators, making: &Making<'_>) -> Vec<u8> {
    let weak = if validators.weak { "W/" } else { "" };
    let modified = date::format(validators.modified);
    let mut lines = Vec::with_capacity(160);
    let _ = write!(lines, "ETag: {weak}\"{}\"\r\nLast-Modified: {modified}\r\n", validators.tag);
    if making.varies {
        lines.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
    if let Some(value) = &making.options.cache_control {
        let _ = write!(lines, "Cache-Control: {value}\r\n");
    }
    lines
}

pub(super) fn content_length(len: u64) -> String {
    format!("Content-Length: {len}\r\n")
}

/// All bytes of a small file; `None` if they are not as many as they should be, or cannot be read.
fn read(file: &OwnedFd, len: u64) -> Option<Rc<[u8]>> {
    let mut bytes = vec![0; len as usize + 1];
    let mut have = 0;
    loop {
        match rustix::io::pread(file, &mut bytes[have..], have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        if have == bytes.len() {
            return None;
        }
    }
    (have as u64 == len).then(|| Rc::from(&bytes[..have]))
}

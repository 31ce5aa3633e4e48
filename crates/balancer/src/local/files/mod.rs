//! The files of a directory, served as a good web server serves them.
//!
//! ```text
//! path ──► cache ──┬─ fresh ─────────────────────────────► conditions ──► range ──► head, body
//!                  └─ else: resolve ──► open beneath root ─┘
//!                              └─ hostile: 400 or 404
//! ```
//!
//! Everything here is called on a worker and answers at once. Small files are kept in memory and go out
//! with their head in one write, without a look at the disk for a second; of large ones a descriptor is
//! kept, from which the relay sends. A file that must come from a slow disk makes its worker wait, as with
//! most servers of its kind.
//!
//! Tags are made of modification time and length, without the inode, so that copies on several machines
//! have the same: a client that comes back to another machine still has what it has.
//!
//! Not here: writing to the connection, the status line, `Date` and `Connection` (the relay).

mod answer;
mod cache;
mod conditions;
mod encoding;
mod options;
mod pages;
mod path;
mod range;
mod request;
mod resource;
mod root;
mod types;
mod variant;

#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use base::Instant;
use rustix::io::Errno;

pub use answer::{Answer, Body, Part};
pub use options::{Links, OpenError, Options};
pub use request::Request;
pub use root::Root;

pub(crate) use cache::OPEN_MAX;
use cache::{Cache, FRESH, Lookup};
use conditions::Outcome;
use encoding::Accepted;
use pages::Pages;
use path::Refusal;
use range::Asked;
use resource::{Finder, Found, Resource};
use variant::{Variant, content_length};

/// The methods that files answer.
const ALLOW: &[u8] = b"Allow: GET, HEAD, OPTIONS\r\n";

/// The files of one worker.
#[derive(Debug)]
pub struct Files {
    options: Options,
    root: Option<Root>,
    root_checked: Instant,
    cache: Cache,
    pages: Pages,
    /// The wall clock, in seconds since 1970: only to know whether a file's last change is long ago.
    wall: fn() -> i64,
    /// The path being looked for, kept for its storage.
    path: Vec<u8>,
    /// Makes boundaries that nobody can foresee.
    random: RandomState,
    boundaries: u64,
}

/// Why there is no file to send.
enum Miss {
    Status(u16),
    /// A directory without its last slash.
    Directory,
}

impl Files {
    /// The files that these options describe.
    ///
    /// Of large files at most `open_max` descriptors are kept, and never more than 256.
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn new(options: &Options, open_max: usize) -> Result<Self, OpenError> {
        let root = options.root.as_ref().map(|_| Root::open(options)).transpose()?;
        if root.as_ref().is_some_and(|root| !root.is_fenced()) {
            tracing::warn!(
                "This kernel has no openat2, so no symbolic link in the served directory is followed"
            );
        }
        Ok(Self {
            options: options.clone(),
            root,
            root_checked: Instant::ORIGIN,
            cache: Cache::new(options.memory, open_max.min(OPEN_MAX)),
            pages: Pages::default(),
            wall,
            path: Vec::new(),
            random: RandomState::new(),
            boundaries: 0,
        })
    }

    /// Answers one request. Appends header lines, each ending in CR LF, to `headers`: everything except the
    /// status line, `Date`, `Connection` and the empty line. `Content-Length` is among them unless the status
    /// is 204 or 304.
    ///
    /// `now` only says how old the cache is. Any body of the request has to be dealt with by the caller.
    pub fn answer(&mut self, request: &Request<'_>, now: Instant, headers: &mut Vec<u8>) -> Answer {
        match request.method {
            b"GET" | b"HEAD" => {}
            b"OPTIONS" => {
                headers.extend_from_slice(ALLOW);
                return Answer { status: 204, body: Body::Empty };
            }
            _ => {
                headers.extend_from_slice(ALLOW);
                return self.page(405, request, headers);
            }
        }
        if self.root.is_none() {
            return self.welcome(request, headers);
        }
        match self.look_up(request, now) {
            Ok(resource) => {
                let accepted = || Accepted::parse(request.accept_encoding.iter());
                self.send(request, resource.choose(accepted), headers)
            }
            Err(Miss::Status(status)) => self.page(status, request, headers),
            Err(Miss::Directory) => self.redirect(request, headers),
        }
    }

    /// Closes every file that is kept open; `false` if there is none.
    pub fn close_files(&mut self) -> bool {
        self.cache.close()
    }

    fn look_up(&mut self, request: &Request<'_>, now: Instant) -> Result<Rc<Resource>, Miss> {
        self.look_at_root(now);
        if let Lookup::Fresh(resource) = self.cache.get(request.path, now) {
            return Ok(resource);
        }
        let directory = path::resolve(request.path, &mut self.path).map_err(|why| match why {
            Refusal::Malformed => Miss::Status(400),
            Refusal::Hidden => Miss::Status(404),
        })?;
        let canonical = path::is_canonical(request.path, &self.path, directory);
        let known = match self.cache.get(request.path, now) {
            Lookup::Stale(resource) => Some(resource),
            _ => None,
        };
        match self.find(directory, known.as_deref()) {
            Ok(resource) => {
                let resource = Rc::new(resource);
                if canonical && self.cache.is_on() {
                    self.cache.put(request.path, &resource, now);
                }
                Ok(resource)
            }
            Err(miss) => {
                self.cache.remove(request.path);
                Err(miss)
            }
        }
    }

    /// Opens what `self.path` names: a file, or the first index of a directory.
    fn find(&mut self, directory: bool, known: Option<&Resource>) -> Result<Resource, Miss> {
        let Some(root) = &self.root else { return Err(Miss::Status(404)) };
        let finder = Finder { root, options: &self.options, wall: (self.wall)() };
        if !directory {
            return match finder.find(&self.path, known) {
                Ok(Found::File(resource)) => Ok(resource),
                Ok(Found::Directory) => Err(Miss::Directory),
                Ok(Found::Other) => Err(Miss::Status(404)),
                Err(e) => Err(Miss::Status(status_of(&e))),
            };
        }
        let mut status = 404;
        let len = self.path.len();
        for name in &self.options.index {
            if len > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.as_bytes());
            let found = finder.find(&self.path, known);
            self.path.truncate(len);
            match found {
                Ok(Found::File(resource)) => return Ok(resource),
                Ok(_) => {}
                Err(e) => status = status.max(status_of(&e)),
            }
        }
        // Forbidden (403) is less than missing (404) by number, but only overload says anything useful.
        Err(Miss::Status(status))
    }

    /// Follows a root that was exchanged for another: `current -> releases/43`.
    fn look_at_root(&mut self, now: Instant) {
        if now.since(self.root_checked) < FRESH {
            return;
        }
        self.root_checked = now;
        let (Some(root), Ok(found)) = (&self.root, Root::open(&self.options)) else { return };
        if root.identity() != found.identity() {
            self.root = Some(found);
            self.cache.clear();
        }
    }

    fn send(
        &mut self,
        request: &Request<'_>,
        variant: &Rc<Variant>,
        headers: &mut Vec<u8>,
    ) -> Answer {
        let range = match conditions::judge(request, &variant.validators) {
            Outcome::NotModified => {
                headers.extend_from_slice(variant.lines_of_unmodified());
                return Answer { status: 304, body: Body::Empty };
            }
            Outcome::Failed => return self.page(412, request, headers),
            Outcome::Proceed { range } => request.range.filter(|_| range),
        };
        let len = variant.identity.len;
        let body = match range.map_or(Asked::Whole, |field| range::parse(field, len)) {
            Asked::Whole => {
                headers.extend_from_slice(variant.lines_of_whole());
                let body = if request.method == b"HEAD" || len == 0 {
                    Body::Empty
                } else {
                    variant.body(0..len)
                };
                return Answer { status: 200, body };
            }
            Asked::One(range) => variant.one_range(range, headers),
            Asked::Many(ranges) => variant.ranges(&ranges, &self.boundary(), headers),
            Asked::Nothing => {
                headers.extend_from_slice(format!("Content-Range: bytes */{len}\r\n").as_bytes());
                return self.page(416, request, headers);
            }
        };
        Answer { status: 206, body }
    }

    /// A line that stands in no file but by a chance of one in 2⁶⁴.
    fn boundary(&mut self) -> String {
        self.boundaries += 1;
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(self.boundaries);
        format!("part-{:016x}", hasher.finish())
    }

    /// 301 to the same path with a slash behind it. The path is written anew from its resolved names, so that
    /// `//evil.example` cannot come out of it.
    fn redirect(&self, request: &Request<'_>, headers: &mut Vec<u8>) -> Answer {
        headers.extend_from_slice(b"Location: ");
        path::append_encoded(&self.path, headers);
        headers.push(b'/');
        if let Some(query) = request.query {
            headers.push(b'?');
            headers.extend(query.iter().filter(|b| b.is_ascii_graphic()));
        }
        headers.extend_from_slice(b"\r\nContent-Length: 0\r\n");
        Answer { status: 301, body: Body::Empty }
    }

    fn page(&self, status: u16, request: &Request<'_>, headers: &mut Vec<u8>) -> Answer {
        html(status, self.pages.of(status), request, headers)
    }

    fn welcome(&self, request: &Request<'_>, headers: &mut Vec<u8>) -> Answer {
        if request.path != b"/" {
            return self.page(404, request, headers);
        }
        headers.extend_from_slice(b"Cache-Control: no-store\r\n");
        html(200, self.pages.welcome(), request, headers)
    }
}

fn wall() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

fn html(status: u16, page: Rc<[u8]>, request: &Request<'_>, headers: &mut Vec<u8>) -> Answer {
    headers.extend_from_slice(
        b"Content-Type: text/html; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n",
    );
    headers.extend_from_slice(content_length(page.len() as u64).as_bytes());
    let body = if request.method == b"HEAD" || page.is_empty() {
        Body::Empty
    } else {
        let all = 0..page.len();
        Body::Memory(page, all)
    };
    Answer { status, body }
}

/// What an error of opening means to the client. What lies outside of the root, or behind a link that leads
/// there, is not there.
fn status_of(e: &io::Error) -> u16 {
    match e.raw_os_error().map(Errno::from_raw_os_error) {
        Some(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
            | Errno::ILSEQ,
        ) => 404,
        Some(Errno::ACCESS | Errno::PERM) => 403,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => 503,
        _ => 500,
    }
}

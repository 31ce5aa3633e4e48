//! The files of a directory, served as a good web server serves them.
//!
//! ```text
//! path ──► resolve ──► cache ──┬─ fresh ────────────────► conditions ──► range ──► head, body
//!           │                  └─ stale or unknown ─► open beneath the root ─┘
//!           └─ hostile: 400 or 404
//! ```
//!
//! Everything here is called on a worker and answers at once. Small files are kept in memory and go out
//! with their head in one write; of large ones a descriptor is kept, from which the relay sends.
//!
//! Not here: writing to the connection, the status line, `Date` and `Connection` (the relay).

mod answer;
mod options;
mod request;
mod root;

pub use answer::{Answer, Body, Part};
pub use options::{Links, OpenError, Options};
pub use request::Request;
pub use root::Root;

use base::Instant;

/// The files of one worker.
#[derive(Debug)]
pub struct Files {
    options: Options,
}

impl Files {
    /// The files that these options describe.
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn new(options: &Options) -> Result<Self, OpenError> {
        Ok(Self { options: options.clone() })
    }

    /// Answers one request. Appends header lines, each ending in CR LF, to `headers`: everything except the
    /// status line, `Date`, `Connection` and the empty line. `Content-Length` is among them where the status
    /// allows it.
    ///
    /// `now` only says how old the cache is. Any body of the request has to be dealt with by the caller.
    pub fn answer(&mut self, request: &Request<'_>, now: Instant, headers: &mut Vec<u8>) -> Answer {
        let _ = (request, now, headers, &self.options);
        Answer { status: 404, body: Body::Empty }
    }
}

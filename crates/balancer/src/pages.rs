//! The internal pages: requests under one path prefix that are answered by this process itself.
//!
//! They are never balanced and never run on a worker: a thread of their own calls [`Pages::handle`], and
//! what is answered comes back to the connection through a channel, whole or as an endless stream
//! (server-sent events). Whether the client may see them is decided by the implementor, who is told
//! the client's address.

use std::net::IpAddr;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Chunks of a stream that may wait for a slow client before [`PageStream::send`] refuses more.
pub const STREAM_BACKLOG: usize = 64;

/// What answers the internal pages. Implemented by `console`.
pub trait Pages: Send + Sync + 'static {
    /// The path prefix, beginning and ending with a slash (`/backhand/`). A request whose path starts with
    /// it, or equals it without the last slash, is never balanced.
    fn path(&self) -> &str;

    /// Other exact paths that are answered here too, such as `/metrics`.
    fn also(&self) -> &[String] {
        &[]
    }

    /// Answers one request. Called on the pages' thread, one request after the other: an answer that takes
    /// long, and every stream, belongs on a thread of the implementor. A reply that is dropped unanswered
    /// becomes a 500.
    fn handle(&self, request: PageRequest, reply: PageReply);
}

/// One request to the internal pages. The body, if there was one, has been discarded.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// `GET`, `HEAD`, ... as sent.
    pub method: String,
    /// The path without the query, not decoded.
    pub path: String,
    /// What follows the question mark, without it; empty if there was none.
    pub query: String,
    /// The header fields in order; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The client's address, already corrected by a trusted forwarder's word.
    pub client: IpAddr,
}

impl PageRequest {
    /// The first value of a header field, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// How the answer begins, at the end where it comes out.
#[derive(Debug)]
pub struct PageHead {
    /// The status code.
    pub status: u16,
    /// The header fields in order, without those of framing.
    pub headers: Vec<(String, String)>,
    /// What follows the head.
    pub body: PageBody,
}

/// What the answer consists of.
#[derive(Debug)]
pub enum PageBody {
    /// All of it.
    Whole(Bytes),
    /// Chunks until the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
}

/// The place to put the answer to one [`PageRequest`].
#[derive(Debug)]
pub struct PageReply {
    pub(crate) to: oneshot::Sender<PageHead>,
}

impl PageReply {
    /// A reply and the end at which it comes out: for the connection, and for tests of an implementor.
    pub fn new() -> (Self, oneshot::Receiver<PageHead>) {
        let (to, from) = oneshot::channel();
        (Self { to }, from)
    }

    /// Answers at once and in full. Header names and values with control bytes are left out; framing
    /// fields are set by the connection.
    pub fn whole(self, status: u16, headers: Vec<(String, String)>, body: impl Into<Bytes>) {
        // The client may have gone; then nobody wants the answer.
        let _ = self.to.send(PageHead { status, headers, body: PageBody::Whole(body.into()) });
    }

    /// Begins an answer without known end. It ends when the [`PageStream`] is dropped, or when the client
    /// goes or this machine drains.
    pub fn stream(self, status: u16, headers: Vec<(String, String)>) -> PageStream {
        let (to, from) = mpsc::channel(STREAM_BACKLOG);
        let _ = self.to.send(PageHead { status, headers, body: PageBody::Stream(from) });
        PageStream { to }
    }

    /// Whether the client has gone and no answer is wanted any more.
    pub fn is_unwanted(&self) -> bool {
        self.to.is_closed()
    }
}

/// An answer that goes on. Dropping it ends the answer in good order.
#[derive(Clone, Debug)]
pub struct PageStream {
    to: mpsc::Sender<Bytes>,
}

/// Why a chunk of a stream was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The client has gone, or this machine drains. Nothing more will be taken.
    #[error("the client has gone")]
    Gone,
    /// The client reads too slowly: [`STREAM_BACKLOG`] chunks wait. The chunk was not taken.
    #[error("the client reads too slowly")]
    Behind,
}

impl PageStream {
    /// Sends one chunk, without waiting.
    pub fn send(&self, chunk: impl Into<Bytes>) -> Result<(), StreamError> {
        self.to.try_send(chunk.into()).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => StreamError::Behind,
            mpsc::error::TrySendError::Closed(_) => StreamError::Gone,
        })
    }

    /// Whether the client has gone.
    pub fn is_gone(&self) -> bool {
        self.to.is_closed()
    }
}

/// No internal pages at all: a path that nothing begins with. For tests and for `status = off`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPages;

impl Pages for NoPages {
    fn path(&self) -> &str {
        ""
    }
    fn handle(&self, _: PageRequest, reply: PageReply) {
        reply.whole(404, Vec::new(), Bytes::new());
    }
}

/// Whether `path` (without query) belongs to the internal pages.
pub(crate) fn is_internal(pages: &dyn Pages, path: &[u8]) -> bool {
    let prefix = pages.path().as_bytes();
    let under = !prefix.is_empty()
        && (path.starts_with(prefix) || prefix.strip_suffix(b"/").is_some_and(|p| p == path));
    under || pages.also().iter().any(|p| p.as_bytes() == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(&'static str, Vec<String>);
    impl Pages for At {
        fn path(&self) -> &str {
            self.0
        }
        fn also(&self) -> &[String] {
            &self.1
        }
        fn handle(&self, _: PageRequest, _: PageReply) {}
    }

    #[test]
    fn only_paths_below_the_prefix_are_internal() {
        let pages = At("/backhand/", vec!["/metrics".into()]);
        for path in ["/backhand/", "/backhand", "/backhand/x/y", "/metrics"] {
            assert!(is_internal(&pages, path.as_bytes()), "{path}");
        }
        for path in ["/", "/backhandy", "/x/backhand/", "/metrics/", "/Backhand/"] {
            assert!(!is_internal(&pages, path.as_bytes()), "{path}");
        }
        assert!(!is_internal(&NoPages, b"/"));
    }

    #[test]
    fn a_stream_refuses_what_a_slow_client_cannot_take() {
        let (reply, mut from) = PageReply::new();
        let stream = reply.stream(200, Vec::new());
        let head = from.try_recv().unwrap();
        for _ in 0..STREAM_BACKLOG {
            assert_eq!(stream.send("x"), Ok(()));
        }
        assert_eq!(stream.send("x"), Err(StreamError::Behind));
        drop(head);
        assert_eq!(stream.send("x"), Err(StreamError::Gone));
    }
}

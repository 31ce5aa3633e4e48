//! A request to the internal pages: handed to their thread, answered through a channel.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::conn::Conn;
use super::http::Request;
use super::outcome::Ended;
use super::reply;
use crate::pages::{PageBody, PageHead, PageReply, PageRequest};
use crate::worker::control::Interrupt;

/// What a page is asked for, on its way to the pages' thread.
pub(crate) type Job = (PageRequest, PageReply);

impl Conn {
    /// Answers a request to the internal pages.
    pub(crate) async fn page(&mut self, request: &Request, client: std::net::IpAddr) -> Ended {
        let w = self.w.clone();
        w.stats.counters.pages.bump();
        let (to, mut from) = PageReply::new();
        let job = (request.for_page(self.head.bytes(), client), to);
        if w.shared.pages_to.try_send(job).is_err() {
            return self.refuse(request, 503, "The pages are busy; try again in a moment.").await;
        }
        self.due_in(w.config.http.response_timeout);
        let head = poll_fn(|cx| {
            use std::future::Future;
            if let Poll::Ready(head) = std::pin::Pin::new(&mut from).poll(cx) {
                return Poll::Ready(head.ok());
            }
            if self.poll_gone(cx).is_ready() || self.slot.interrupt().is_some() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await;
        match head {
            Some(head) => self.send_page(request, head).await,
            None if self.gone => Ended::Gone,
            None => self.refuse(request, 500, "The page was not answered.").await,
        }
    }

    async fn send_page(&mut self, request: &Request, head: PageHead) -> Ended {
        let status = head.status;
        match head.body {
            PageBody::Whole(body) => {
                let keep = self.may_keep(request) && request.body.is_none();
                self.page_head(request, status, &head.headers, Some(body.len()), keep);
                let mut bytes = 0;
                if !request.is_head {
                    self.out.put(&self.w.buffers, &body);
                    bytes = body.len() as u64;
                }
                match self.flush().await {
                    Ok(()) => Ended::Done { status, keep, bytes },
                    Err(_) => Ended::Gone,
                }
            }
            PageBody::Stream(from) => {
                self.page_head(request, status, &head.headers, None, false);
                if request.is_head {
                    drop(from);
                    return match self.flush().await {
                        Ok(()) => Ended::Done { status, keep: false, bytes: 0 },
                        Err(_) => Ended::Gone,
                    };
                }
                self.w.stats.counters.tunnels.bump();
                let mut bytes = 0;
                let sent = self.stream_page(request, from, &mut bytes).await;
                self.w.stats.counters.tunnels.sub(1);
                match sent {
                    Ok(()) => Ended::Done { status, keep: false, bytes },
                    Err(_) => Ended::Left { status, bytes },
                }
            }
        }
    }

    fn page_head(
        &mut self,
        request: &Request,
        status: u16,
        headers: &[(String, String)],
        length: Option<usize>,
        keep: bool,
    ) {
        let mut text = self.w.text.borrow_mut();
        text.clear();
        reply::begin(status, &self.w.date, &mut text);
        let mut lines = String::new();
        for (name, value) in headers.iter().filter(|(name, value)| is_sendable(name, value)) {
            // Writing to a string cannot fail.
            let _ = write!(lines, "{name}: {value}\r\n");
        }
        let _ = match length {
            Some(length) => write!(lines, "Content-Length: {length}\r\n"),
            None if request.version_11 => write!(lines, "Transfer-Encoding: chunked\r\n"),
            None => Ok(()),
        };
        text.extend_from_slice(lines.as_bytes());
        reply::end(keep, !request.version_11, &mut text);
        self.out.put(&self.w.buffers, &text);
    }

    /// Sends chunks as they come until the stream ends, the client goes, or this machine drains.
    async fn stream_page(
        &mut self,
        request: &Request,
        mut from: mpsc::Receiver<Bytes>,
        bytes: &mut u64,
    ) -> io::Result<()> {
        let w = self.w.clone();
        loop {
            self.flush().await?;
            self.slot.clear_deadline();
            self.slot.set_idle(true);
            let chunk = poll_fn(|cx| {
                if let Poll::Ready(chunk) = from.poll_recv(cx) {
                    return Poll::Ready(Ok::<_, io::Error>(chunk));
                }
                if self.poll_gone(cx).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                match self.slot.interrupt() {
                    None if !w.is_draining() => Poll::Pending,
                    None | Some(Interrupt::Drain) => Poll::Ready(Ok(None)),
                    Some(_) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                }
            })
            .await;
            self.slot.set_idle(false);
            let Some(chunk) = chunk? else { break };
            if chunk.is_empty() {
                continue;
            }
            *bytes += chunk.len() as u64;
            if request.version_11 {
                self.out.put(&w.buffers, format!("{:x}\r\n", chunk.len()).as_bytes());
            }
            self.out.put(&w.buffers, &chunk);
            if request.version_11 {
                self.out.put(&w.buffers, b"\r\n");
            }
        }
        if request.version_11 {
            self.out.put(&w.buffers, b"0\r\n\r\n");
        }
        self.flush().await
    }
}

/// Whether a header of a page can stand in a head: a token, a value without control bytes, and not one that
/// says how the message is framed.
fn is_sendable(name: &str, value: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let ours = ["content-length", "transfer-encoding", "connection", "date"];
    !name.is_empty()
        && name.bytes().all(token)
        && !value.bytes().any(|b| b < b' ' && b != b'\t' || b == 127)
        && !ours.iter().any(|o| name.eq_ignore_ascii_case(o))
}

#[cfg(test)]
mod tests {
    use super::is_sendable;

    #[test]
    fn a_page_cannot_break_out_of_its_head() {
        assert!(is_sendable("Content-Type", "text/html; charset=utf-8"));
        for (name, value) in [
            ("", "x"),
            ("X Y", "x"),
            ("X", "a\r\nSet-Cookie: b"),
            ("Content-Length", "5"),
            ("transfer-encoding", "chunked"),
        ] {
            assert!(!is_sendable(name, value), "{name}: {value}");
        }
    }
}

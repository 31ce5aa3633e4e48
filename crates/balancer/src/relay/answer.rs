//! What this machine says itself, to a client or to a peer, and the account of a request when it is over.

use base::Instant;

use super::conn::{Conn, Entry};
use super::http::Request;
use super::outcome::{Ended, Failure};
use super::reply::Reply;
use super::request::Trace;

impl Conn {
    /// Nobody answered: says so, to a peer in a way that lets it try another.
    pub(super) async fn give_up(&mut self, request: &Request, last: Failure) -> Ended {
        if last != Failure::OverLimit {
            self.w.stats.counters.failed.bump();
        }
        match last {
            Failure::Connect { .. } | Failure::Refused if self.entry == Entry::Peer => {
                self.refuse_peer(request, "unhealthy").await
            }
            Failure::OverLimit => self.over_limit(request).await,
            Failure::Exhausted if self.entry == Entry::Peer => {
                self.refuse_peer(request, "limit").await
            }
            Failure::Exhausted => {
                self.unavailable(request, "This machine has no file descriptors left.").await
            }
            _ if self.entry == Entry::Peer => {
                let mut headers = b"backhand-refused: failed\r\n".to_vec();
                self.w.append_report(&mut headers);
                let status = if last == Failure::Timeout { 504 } else { 502 };
                self.answer_with(request, status, &headers, "The service here failed.").await
            }
            Failure::Timeout | Failure::Behind { late: true } => {
                self.refuse(request, 504, "The machine that serves this did not answer in time.")
                    .await
            }
            Failure::Refused => {
                self.unavailable(request, "No machine is left for this request.").await
            }
            _ => self.refuse(request, 502, "The machine that serves this could not answer.").await,
        }
    }

    pub(super) async fn over_limit(&mut self, request: &Request) -> Ended {
        self.w.stats.counters.over_limit.bump();
        if self.entry == Entry::Peer {
            return self.refuse_peer(request, "limit").await;
        }
        self.unavailable(request, "This machine is serving as much as it can.").await
    }

    /// 503 with `Retry-After`.
    pub(crate) async fn unavailable(&mut self, request: &Request, text: &str) -> Ended {
        let headers = format!("Retry-After: {}\r\n", self.w.config.http.retry_after_secs);
        self.answer_with(request, 503, headers.as_bytes(), text).await
    }

    /// 503 with the flag that lets the entry try another machine.
    pub(crate) async fn refuse_peer(&mut self, request: &Request, why: &str) -> Ended {
        let mut headers = format!("backhand-refused: {why}\r\n").into_bytes();
        self.w.append_report(&mut headers);
        self.answer_with(request, 503, &headers, "This machine passes.").await
    }

    pub(super) async fn redirect(&mut self, request: &Request, location: &str) -> Ended {
        let headers = format!("Location: {location}\r\nCache-Control: no-store\r\n");
        self.answer_with(request, 302, headers.as_bytes(), location).await
    }

    /// 403: the address rules of the route turn this client away.
    pub(super) async fn forbid(&mut self, request: &Request) -> Ended {
        self.w.stats.counters.forbidden.bump();
        let mut headers = Vec::new();
        if self.entry == Entry::Peer {
            self.w.append_report(&mut headers);
        }
        self.answer_with(request, 403, &headers, "This is not for your address.").await
    }

    /// One of our own answers.
    pub(crate) async fn refuse(&mut self, request: &Request, status: u16, text: &str) -> Ended {
        self.answer_with(request, status, b"", text).await
    }

    pub(super) async fn answer_with(
        &mut self,
        request: &Request,
        status: u16,
        headers: &[u8],
        text: &str,
    ) -> Ended {
        // After these the rest of the connection cannot be understood.
        let keep = self.may_keep(request) && !matches!(status, 400 | 408 | 413);
        let old = !request.version_11;
        let reply = Reply { status, headers, text, keep, old, head_only: request.is_head };
        match self.reply(reply).await {
            Ok(bytes) => Ended::Done { status, keep, bytes },
            Err(_) => Ended::Gone,
        }
    }

    /// Whether the client's connection may go on after this request, as far as this side is concerned.
    pub(crate) fn may_go_on(&self, request: &Request) -> bool {
        request.keep && !self.w.is_draining() && !self.is_parted_from()
    }

    /// The same after an answer of this machine's own.
    pub(crate) fn may_keep(&self, request: &Request) -> bool {
        self.may_go_on(request) && !self.waits_for_leave
    }

    /// Counts what happened and writes it down; returns whether the connection goes on.
    pub(super) fn account(
        &mut self,
        request: &Request,
        ended: &Ended,
        trace: &Trace,
        begun: Instant,
    ) -> bool {
        let w = &self.w;
        let counters = &w.stats.counters;
        let (status, bytes, keep) = match *ended {
            Ended::Done { status, keep, bytes } => (status, bytes, keep),
            Ended::Cut { status, bytes } => (status, bytes, false),
            Ended::Left { status, bytes } => {
                if !request.internal {
                    counters.client_gone.bump();
                }
                (status, bytes, false)
            }
            // 499 is what other servers write for a client that went away.
            Ended::Gone => {
                counters.client_gone.bump();
                (499, 0, false)
            }
            Ended::Failed(_) | Ended::BadRequest(_) => (500, 0, false),
        };
        // Looking at the pages is not what the machine is there for.
        if !request.internal {
            counters.bytes_out.add(bytes);
        }
        if self.entry == Entry::Client && !request.internal {
            match status {
                100..300 => counters.status_2xx.bump(),
                300..400 => counters.status_3xx.bump(),
                400..500 => counters.status_4xx.bump(),
                _ => counters.status_5xx.bump(),
            }
        }
        w.log(self, request, (status, bytes), trace, begun);
        keep
    }
}

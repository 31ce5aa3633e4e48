//! One request given to one machine or to the local service, and its response.
//!
//! Request body and response are moved at the same time, in one task that polls both sockets: a response
//! may come before the body is complete, and then it is what counts. Until its first byte the exchange can
//! fail without the client noticing; [`Failure`] then says what another attempt may assume.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use http1::{Limits, Scan};

use super::conn::{Conn, Entry, Holding};
use super::download::{Download, DownloadError};
use super::http::{ADDED_FIELDS, Refusal, Request, Response, max_head};
use super::outcome::{Ended, Failure};
use super::upload::{Upload, UploadError};
use crate::peers::Upstream;
use crate::peers::pool::Key;
use crate::worker::Worker;
use crate::worker::buffers::Inbox;
use crate::worker::control::Interrupt;

/// What an exchange with one target needs to know.
pub(crate) struct Target {
    pub(crate) key: Key,
    /// For one that believes marks, the reservation to send along (0 = none).
    pub(crate) mark: Option<u32>,
    /// Time from the request's last byte to the response's first.
    pub(crate) patience: Duration,
    /// Place of the request's route in the configuration.
    pub(crate) route: usize,
}

impl Target {
    /// What is taken from it as a response head.
    fn limits(&self, w: &Worker) -> Limits {
        let (from, max_fields) = match self.key {
            Key::Machine(_) => (Entry::Peer, http1::MAX_FIELDS),
            Key::Local => (Entry::Client, http1::MAX_FIELDS - ADDED_FIELDS),
        };
        Limits { max_head: max_head(w.config.http.max_head, from), max_fields }
    }
}

pub(super) enum Head {
    /// The response's head and the rest of what was read are with the client.
    Begun {
        response: Response,
        download: Download,
    },
    /// Both ways are open; this came behind the head.
    Upgraded {
        response: Response,
        rest: Inbox,
    },
    Ended(Ended),
}

impl Conn {
    /// Gives the request to `up` and its response to the client.
    pub(crate) async fn exchange(
        &mut self,
        request: &Request,
        upload: &mut Upload,
        mut up: Upstream,
        target: &Target,
    ) -> Ended {
        if let Err(ended) = self.send_head(request, upload, &mut up, target) {
            return ended;
        }
        self.due_in(if upload.is_complete() {
            target.patience
        } else {
            self.w.config.http.body_timeout
        });
        self.slot.wait_on(up.machine());
        let mut uploaded = false;
        let head = self.await_head(request, upload, &mut up, target, &mut uploaded).await;
        let ended = match head {
            Head::Ended(ended) => {
                // A refusal that was read to its end spoils nothing.
                if up.refused && uploaded && upload.is_complete() && !up.broken {
                    self.w.give_back(up);
                }
                ended
            }
            Head::Upgraded { response, rest } => self.tunnel(up, response, rest).await,
            Head::Begun { response, download } => {
                self.deliver(request, upload, up, response, download, uploaded).await
            }
        };
        self.slot.wait_on(None);
        ended
    }

    /// Writes the head and what is there of the body.
    fn send_head(
        &mut self,
        request: &Request,
        upload: &mut Upload,
        up: &mut Upstream,
        target: &Target,
    ) -> Result<(), Ended> {
        let w = self.w.clone();
        let mut text = w.text.borrow_mut();
        text.clear();
        self.onward(request, target.mark, &mut text);
        let body = upload.unsent();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let sent =
            super::io::send(&mut up.stream, &mut cx, &mut up.pending, &w.buffers, &text, body);
        upload.sent(body.len());
        // A failure here is found again when the response is awaited, and judged there.
        up.broken |= sent.is_err();
        Ok(())
    }

    /// Waits for the response's head, while the body goes out.
    async fn await_head(
        &mut self,
        request: &Request,
        upload: &mut Upload,
        up: &mut Upstream,
        target: &Target,
        uploaded: &mut bool,
    ) -> Head {
        let w = self.w.clone();
        let mut early = Inbox::default();
        // Kept from read to read, so that a head that comes byte by byte costs linear time.
        let mut scan = Scan::default();
        let head = poll_fn(|cx| {
            if let Poll::Ready(ended) = self.poll_upload(cx, upload, up, target.patience, uploaded)
            {
                return Poll::Ready(Head::Ended(ended));
            }
            // Who still waits for a 100 may never send the body.
            let waits = request.head.expects_continue && upload.taken == 0;
            let about =
                (request, !upload.is_complete() && (waits || !upload.is_worth_discarding()));
            loop {
                let read = w.scratch.with(w.lengths.first_read(target.route), |piece| {
                    let n = match up.stream.poll_read(cx, piece) {
                        Poll::Ready(Ok(n)) if n > 0 => n,
                        Poll::Pending => return Poll::Pending,
                        _ => return Poll::Ready(Some(Head::Ended(up.ended_early(&early)))),
                    };
                    if early.is_empty() {
                        let (head, used) =
                            self.receive(cx, about, up, target, &piece[..n], &mut scan);
                        if head.is_none() {
                            early.put(&w.buffers, &piece[used..n]);
                        }
                        return Poll::Ready(head);
                    }
                    early.put(&w.buffers, &piece[..n]);
                    let (head, used) =
                        self.receive(cx, about, up, target, early.bytes(), &mut scan);
                    early.consume(used);
                    Poll::Ready(head)
                });
                match read {
                    Poll::Ready(Some(head)) => return Poll::Ready(head),
                    Poll::Ready(None) if early.len() > target.limits(&w).max_head => {
                        return Poll::Ready(Head::Ended(Ended::Failed(Failure::Malformed)));
                    }
                    Poll::Ready(None) => {}
                    Poll::Pending => break,
                }
            }
            if *uploaded && self.poll_gone(cx).is_ready() {
                return Poll::Ready(Head::Ended(Ended::Gone));
            }
            match self.slot.interrupt() {
                None => Poll::Pending,
                Some(why) => {
                    // What has arrived of the body and is not taken there is no fault of the client.
                    let theirs = *uploaded || upload.waits_for_origin() || !up.pending.is_empty();
                    Poll::Ready(Head::Ended(self.interrupted(why, theirs)))
                }
            }
        })
        .await;
        early.clear(&w.buffers);
        head
    }

    /// What an interruption means for a request whose response has not begun. `theirs` says that the machine is waited
    /// for, rather than the client.
    fn interrupted(&self, why: Interrupt, theirs: bool) -> Ended {
        match why {
            Interrupt::Death => Ended::Failed(Failure::Died),
            Interrupt::Drain | Interrupt::Room => Ended::Gone,
            Interrupt::Deadline if theirs => Ended::Failed(Failure::Timeout),
            Interrupt::Deadline => {
                self.w.stats.counters.timed_out.bump();
                Ended::BadRequest(408)
            }
        }
    }

    /// Moves the body on. Ready only if that ends the exchange; when the body is out, `uploaded` is set and
    /// the time for the response begins.
    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        up: &mut Upstream,
        patience: Duration,
        uploaded: &mut bool,
    ) -> Poll<Ended> {
        if *uploaded {
            return Poll::Pending;
        }
        let w = self.w.clone();
        if up.broken {
            *uploaded = true;
            return Poll::Pending;
        }
        let mut moved = false;
        let polled = match super::io::poll_flush(&mut up.stream, cx, &mut up.pending, &w.buffers) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Err(UploadError::Origin)),
            Poll::Ready(Ok(())) => {
                upload.poll(cx, &mut self.inbox, &mut self.stream, &mut up.stream, &w, &mut moved)
            }
        };
        if moved {
            self.due_in(w.config.http.body_timeout);
        }
        match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            // It may have answered before it closed; reading will tell.
            Poll::Ready(Err(UploadError::Origin)) => up.broken = true,
            Poll::Ready(Err(UploadError::Client(io::ErrorKind::InvalidData))) => {
                return Poll::Ready(Ended::BadRequest(400));
            }
            Poll::Ready(Err(UploadError::Client(_))) => {
                self.gone = true;
                return Poll::Ready(Ended::Gone);
            }
            Poll::Ready(Err(UploadError::TooLong)) => return Poll::Ready(Ended::BadRequest(413)),
        }
        *uploaded = true;
        self.due_in(patience);
        Poll::Pending
    }

    /// Reads the response's head in these bytes and, if it is whole, sends it on with what follows. The number
    /// tells how many bytes were used by interim responses when no final head is there yet. `much_left` says that
    /// more of the request's body is to come than would be read for the sake of the connection, or may never come.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        (request, much_left): (&Request, bool),
        up: &mut Upstream,
        target: &Target,
        bytes: &[u8],
        scan: &mut Scan,
    ) -> (Option<Head>, usize) {
        let w = self.w.clone();
        let may_stay = self.may_go_on(request);
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let mut text = w.text.borrow_mut();
            text.clear();
            let mut fields = w.response_fields.borrow_mut();
            let mut response = match Response::read(
                rest,
                request,
                may_stay,
                &target.limits(&w),
                scan,
                &mut fields,
            ) {
                Ok(Some(response)) => response,
                Ok(None) => return (None, used),
                Err(error) => {
                    self.not_understood(target.key, &error);
                    return (Some(Head::Ended(Ended::Failed(Failure::Malformed))), used);
                }
            };
            // A refusal before the end of a long body: what is left of it would stand before the next request.
            response.plan.keep_alive &= !(much_left && response.head.status >= 300);
            self.backward(target.key == Key::Local, request, &response, rest, &fields, &mut text);
            let after = &rest[response.head.len..];
            if let (Key::Machine(slot), true) = (target.key, up.is_marked()) {
                if let Some(report) = response.report {
                    w.hear(slot, up.epoch, report);
                }
                let failure = match response.refused {
                    Some(Refusal::NothingDone) => Some(Failure::Refused),
                    Some(Refusal::Failed) => {
                        Some(Failure::Behind { late: response.head.status == 504 })
                    }
                    None => None,
                };
                if let Some(failure) = failure {
                    let whole = response.body().is_none_or(|mut body| {
                        body.pass(after).is_ok_and(|p| p.done && p.used == after.len())
                    });
                    up.refused = whole && response.head.keep_alive;
                    return (Some(Head::Ended(Ended::Failed(failure))), used);
                }
            }
            if response.events || response.head.status == 101 {
                self.holding = Holding::default();
                self.lasts = true;
            }
            if response.head.status == 101 {
                self.out.put(&w.buffers, &text);
                let mut rest = Inbox::default();
                rest.put(&w.buffers, after);
                return (Some(Head::Upgraded { response, rest }), bytes.len());
            }
            if response.head.status < 200 {
                if request.version_11 && self.out.is_empty() {
                    let sent = super::io::send(
                        &mut self.stream,
                        cx,
                        &mut self.out,
                        &w.buffers,
                        &text,
                        &[],
                    );
                    if sent.is_err() {
                        return (Some(Head::Ended(Ended::Gone)), used);
                    }
                }
                used += response.head.len;
                *scan = Scan::default();
                continue;
            }
            w.lengths.learn(target.route, response.head.framing);
            if !self.out.is_empty() {
                // An interim response that the client has not taken yet goes first.
                let pending = std::mem::take(&mut self.out);
                let mut download = Download::new(response.body(), response.plan.delivery);
                let begun = download.begin_behind(pending, &w.buffers, &text, after);
                return (Some(Self::begun(response, download, begun)), bytes.len());
            }
            let mut download = Download::new(response.body(), response.plan.delivery);
            let begun = download.begin(cx, &mut self.stream, &w.buffers, &text, after);
            if let Err(DownloadError::Origin) = begun {
                // The body is malformed from the start, and nothing of the response has gone to the client.
                return (Some(Head::Ended(Ended::Failed(Failure::Malformed))), used);
            }
            return (Some(Self::begun(response, download, begun)), bytes.len());
        }
    }

    /// Says, at most once a minute, that a response could not be understood.
    fn not_understood(&self, key: Key, error: &http1::Reject) {
        let Some(held) = self.w.warnings.response.borrow_mut().pass(self.w.now()) else { return };
        let from = match key {
            Key::Local => "the local service".to_owned(),
            Key::Machine(slot) => self.w.name_of(Some(slot)),
        };
        tracing::warn!(from, %error, held, "a response was not understood");
    }

    fn begun(response: Response, download: Download, begun: Result<(), DownloadError>) -> Head {
        match begun {
            Ok(()) => Head::Begun { response, download },
            Err(DownloadError::Client) => Head::Ended(Ended::Gone),
            Err(DownloadError::Origin) => {
                Head::Ended(Ended::Cut { status: response.head.status, bytes: download.bytes })
            }
        }
    }
}

//! The rest of a response on its way to the client, and the tunnel that an upgraded connection becomes.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use super::conn::{Conn, Entry, Holding, LAST_SIGN};
use super::download::{Download, DownloadError};
use super::http::{Request, Response};
use super::outcome::Ended;
use super::tunnel::Way;
use super::upload::Upload;
use crate::peers::Upstream;
use crate::worker::buffers::Inbox;
use crate::worker::control::Interrupt;

impl Conn {
    /// Brings the rest of the response to the client, and the connection to its pool if its state is certain.
    pub(super) async fn deliver(
        &mut self,
        request: &Request,
        upload: &mut Upload,
        mut up: Upstream,
        response: Response,
        mut download: Download,
        mut uploaded: bool,
    ) -> Ended {
        let w = self.w.clone();
        let usual = match self.entry {
            Entry::Client => w.config.http.body_timeout,
            // It passes on what its client takes, and finds out first when that one does not.
            Entry::Peer => w.config.http.body_timeout * 2,
        };
        // An event stream may be silent for as long as it likes, unless its machine was found dead or its client takes
        // nothing.
        let mut dead = false;
        let wait = |conn: &Self, dead: bool, waits_for_client: bool| match (dead, response.events) {
            (true, _) if !waits_for_client => conn.due_in(usual.min(LAST_SIGN)),
            (false, true) if !waits_for_client => conn.slot.clear_deadline(),
            _ => conn.due_in(usual),
        };
        wait(self, dead, false);
        let result = poll_fn(|cx| {
            let mut moved = false;
            // A response may come before the body is out; the body goes on, for whoever reads it.
            if !uploaded
                && let Poll::Ready(_) = self.poll_upload(cx, upload, &mut up, usual, &mut uploaded)
            {
                (uploaded, up.broken) = (true, true);
            }
            if response.events && uploaded && !dead && !download.waits_for_client() {
                self.slot.clear_deadline();
            }
            let polled = download.poll(cx, &mut up.stream, &mut self.stream, &w, &mut moved);
            if self.slot.interrupt() == Some(Interrupt::Death) {
                self.slot.wait_on(None);
                (dead, moved) = (true, true);
            }
            if polled.is_pending() && download.is_received() {
                // All of it is here: nobody but the client is busy with it.
                self.holding = Holding::default();
            }
            let theirs = !download.waits_for_client();
            if moved {
                self.queued = None;
                wait(self, dead, !theirs);
            }
            match (polled, self.slot.interrupt()) {
                (Poll::Pending, Some(Interrupt::Deadline)) if dead && theirs && !w.is_over(&up) => {
                    // It is back, and so was only away for a moment.
                    dead = false;
                    self.slot.wait_on(up.machine());
                    wait(self, dead, false);
                    Poll::Pending
                }
                (Poll::Pending, Some(Interrupt::Deadline)) if !theirs && self.still_takes() => {
                    wait(self, dead, true);
                    Poll::Pending
                }
                (Poll::Pending, Some(Interrupt::Deadline)) => {
                    w.stats.counters.timed_out.bump();
                    let whose = if theirs { DownloadError::Origin } else { DownloadError::Client };
                    Poll::Ready(Err(whose))
                }
                (Poll::Pending, Some(Interrupt::Drain)) => Poll::Ready(Err(DownloadError::Origin)),
                (polled, _) => polled,
            }
        })
        .await;
        download.release(&w.buffers, &w.pipes);
        let (status, bytes) = (response.head.status, download.bytes);
        match result {
            Ok(()) => {
                let whole = uploaded && upload.is_complete() && !up.broken;
                if whole && response.head.keep_alive && !download.excess {
                    w.give_back(up);
                }
                // What is left of a small body is thrown away, so that the connection can go on as was said.
                let keep = response.plan.keep_alive
                    && (upload.is_complete() || upload.is_worth_discarding());
                Ended::Done { status, keep: keep && self.may_go_on(request), bytes }
            }
            Err(DownloadError::Client) => {
                self.gone = true;
                Ended::Left { status, bytes }
            }
            Err(DownloadError::Origin) => {
                // Where the end of the connection would be that of the body, only a reset tells.
                self.cut = response.ends_with_connection();
                Ended::Cut { status, bytes }
            }
        }
    }

    /// Moves bytes both ways until both sides have ended.
    pub(super) async fn tunnel(
        &mut self,
        mut up: Upstream,
        response: Response,
        rest: Inbox,
    ) -> Ended {
        let w = self.w.clone();
        let mut back =
            Way::starting_with(std::mem::take(&mut self.out).followed_by(rest, &w.buffers));
        let mut forth = Way::starting_with(std::mem::take(&mut self.inbox));
        self.slot.clear_deadline();
        w.stats.counters.tunnels.bump();
        let mut dead = false;
        let result = poll_fn(|cx| {
            let before = back.bytes;
            let one = forth.poll(cx, &mut self.stream, &mut up.stream, &w.buffers, &w.scratch)?;
            let two = back.poll(cx, &mut up.stream, &mut self.stream, &w.buffers, &w.scratch)?;
            match self.slot.interrupt() {
                Some(Interrupt::Deadline) if dead && !w.is_over(&up) => {
                    dead = false;
                    self.slot.wait_on(up.machine());
                    self.slot.clear_deadline();
                }
                Some(Interrupt::Drain | Interrupt::Deadline) => return Poll::Ready(Ok(())),
                Some(Interrupt::Death) => {
                    self.slot.wait_on(None);
                    dead = true;
                    self.due_in(LAST_SIGN);
                }
                _ if dead && back.bytes > before => self.due_in(LAST_SIGN),
                _ => {}
            }
            if one.is_ready() && two.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await;
        w.stats.counters.tunnels.sub(1);
        let bytes = back.bytes;
        forth.release(&w.buffers);
        back.release(&w.buffers);
        self.gone = true;
        let _: io::Result<()> = result;
        Ended::Done { status: response.head.status, keep: false, bytes }
    }
}

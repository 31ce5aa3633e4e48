//! Requests served by this machine: by an HTTP server behind it, or from its files.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::conn::{Conn, Entry, Holding};
use super::exchange::Target;
use super::http::Request;
use super::outcome::{Ended, Failure};
use super::reply;
use super::upload::Upload;
use crate::config::{Itself, Service};
use crate::local::files::{self, Body, Part};
use crate::peers::Way;
use crate::peers::pool::Key;
use crate::worker::control::Interrupt;
use crate::worker::decision::Plan;

/// Bodies up to this size are read and sent with their head; longer ones go from file to socket in the
/// kernel.
const READ: u64 = 16 * 1024;
/// The most that one sendfile moves, so that one fast client does not keep the others waiting.
const PIECE: u64 = 1 << 20;
/// How long a file may be under way and count as a request in service. What takes longer waits for its client, and costs
/// this machine next to nothing: it must not keep others from their place.
const BUSY: Duration = Duration::from_secs(1);

impl Conn {
    /// Serves the request here. There is room for it: a ticket is held.
    pub(crate) async fn local_service(
        &mut self,
        request: &Request,
        upload: &mut Upload,
        plan: &Plan,
    ) -> Ended {
        let w = self.w.clone();
        let (way, mark) = match (&w.config.local.itself, &w.config.local.service) {
            (Itself::Proxy(address), _) => (Way::Plain(*address), Some(0)),
            (Itself::Direct, Service::Server(address)) => (Way::Plain(*address), None),
            (Itself::Direct, Service::Unix(path)) => (Way::Unix(path), None),
            (Itself::Direct, Service::Files(_)) => return self.files(request).await,
        };
        let target = Target { key: Key::Local, mark, patience: plan.patience, route: plan.route };
        let connect = w.config.local.connect_timeout;
        let up = match w.upstream(Key::Local, 0, way, connect).await {
            Ok(up) => up,
            Err(failure) => return Ended::Failed(failure),
        };
        let ended = self.exchange(request, upload, up, &target).await;
        let again = matches!(ended, Ended::Failed(Failure::Reset { rested: true }))
            && request.is_idempotent
            && upload.is_replayable();
        if !again {
            return ended;
        }
        // The server closed a resting connection at this very moment: it is well, ask it once more.
        upload.rewind();
        match w.connect(Key::Local, 0, way, connect).await {
            Ok(up) => self.exchange(request, upload, up, &target).await,
            Err(failure) => Ended::Failed(failure),
        }
    }

    /// Answers from the files.
    async fn files(&mut self, request: &Request) -> Ended {
        let w = self.w.clone();
        let keep = self.may_keep(request);
        let answer = self.file_head(request, keep);
        let (status, body) = (answer.status, answer.body);
        let (bytes, mut sent) = (body.len(), 0);
        let parts = match body {
            Body::Empty => Vec::new(),
            Body::Memory(bytes, range) => {
                if self.send_behind_head(&bytes[range]).is_err() {
                    return Ended::Gone;
                }
                Vec::new()
            }
            Body::File { file, offset, len } => vec![Part::File { file, offset, len }],
            Body::Parts(parts) => parts,
        };
        for part in parts {
            match part {
                Part::Bytes(bytes) => self.out.put(&w.buffers, &bytes),
                Part::File { file, offset, len } => {
                    if let Err(error) = self.send_file(&file, offset, len, &mut sent).await {
                        if error.kind() == io::ErrorKind::UnexpectedEof {
                            return Ended::Cut { status, bytes: sent };
                        }
                        return Ended::Left { status, bytes: sent };
                    }
                }
            }
        }
        match self.flush().await {
            Ok(()) => Ended::Done { status, keep, bytes },
            Err(_) => Ended::Gone,
        }
    }

    /// Sends what is pending and these bytes in one system call; only what the kernel does not take is copied.
    fn send_behind_head(&mut self, body: &[u8]) -> io::Result<()> {
        let buffers = &self.w.buffers;
        let mut head = std::mem::take(&mut self.out);
        // Whoever flushes the rest leaves the waker.
        let mut cx = Context::from_waker(Waker::noop());
        let sent =
            super::io::send(&mut self.stream, &mut cx, &mut self.out, buffers, head.bytes(), body);
        head.clear(buffers);
        sent.map(drop)
    }

    fn file_head(&mut self, request: &Request, keep: bool) -> files::Answer {
        let w = self.w.clone();
        let missing = || files::Answer { status: 404, body: Body::Empty };
        let Some(site) = &w.site else { return missing() };
        let mut lines = w.lines.borrow_mut();
        lines.clear();
        let head = self.head.bytes();
        let (method, target) = (request.head.method.of(head), request.head.target.of(head));
        let mut wanted = files::Request::new(method, target);
        request.fields.iter().for_each(|f| wanted.header(f.name.of(head), f.value.of(head)));
        let mut answer = site.borrow_mut().answer(&wanted, w.now(), &mut lines);
        // Without a descriptor for it.
        if answer.status == 503 && w.make_room() {
            lines.clear();
            answer = site.borrow_mut().answer(&wanted, w.now(), &mut lines);
        }
        let mut text = w.text.borrow_mut();
        text.clear();
        reply::begin(answer.status, &w.date, &mut text);
        text.extend_from_slice(&lines);
        if self.entry == Entry::Peer {
            w.append_report_at_end(&mut text);
        }
        w.append_served_by(&mut text);
        reply::end(keep, !request.version_11, &mut text);
        self.out.put(&w.buffers, &text);
        answer
    }

    /// Sends a part of a file behind what is pending.
    /// Counts in `sent` what the kernel took.
    async fn send_file(
        &mut self,
        file: &OwnedFd,
        mut offset: u64,
        mut len: u64,
        sent: &mut u64,
    ) -> io::Result<()> {
        let w = self.w.clone();
        if len <= READ {
            return w.scratch.with(len as usize, |piece| {
                let mut filled = 0;
                while filled < len as usize {
                    match rustix::io::pread(file, &mut piece[filled..], offset + filled as u64)? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        n => filled += n,
                    }
                }
                self.out.put(&w.buffers, &piece[..filled]);
                *sent += len;
                Ok(())
            });
        }
        self.flush_before(true).await?;
        let patience = w.config.http.body_timeout;
        let begun = w.recent();
        let mut counts = self.holding.ticket.is_some();
        self.due_in(if counts { patience.min(BUSY) } else { patience });
        poll_fn(|cx| {
            while len > 0 {
                if self.stream.poll_write_ready(cx)?.is_pending() {
                    match self.slot.interrupt() {
                        None | Some(Interrupt::Death) => {}
                        Some(Interrupt::Deadline) if counts => {
                            counts = false;
                            self.holding = Holding::default();
                            self.due_in(patience);
                        }
                        Some(Interrupt::Deadline) if self.still_takes() => self.due_in(patience),
                        Some(_) => {
                            w.stats.counters.timed_out.bump();
                            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                        }
                    }
                    return Poll::Pending;
                }
                let moved = self.stream.try_write_with(|| {
                    let piece = len.min(PIECE) as usize;
                    Ok(rustix::fs::sendfile(&self.stream, file, Some(&mut offset), piece)?)
                });
                match moved {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(n) => {
                        len -= n as u64;
                        self.queued = None;
                        *sent += n as u64;
                        if counts && w.recent().since(begun) >= BUSY {
                            counts = false;
                            self.holding = Holding::default();
                        }
                        self.due_in(if counts { patience.min(BUSY) } else { patience });
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => return Poll::Ready(Err(e)),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}

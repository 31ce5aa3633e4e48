//! The thread that writes, and the bounded queue before it.
//!
//! While the target refuses, the batch at hand is kept and offered again, and the queue fills. What finds the
//! queue full is dropped by whoever brings it, and counted. Loss is told at once, and then once a minute.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::pen::{Pen, Sink};

/// Batches that may wait, whatever their size. The bound in bytes is the configuration's.
const BATCHES_MAX: usize = 4096;
/// How often a target that refused is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How often loss is told.
const TELL: Duration = Duration::from_secs(60);

/// What passes to the thread.
enum Word {
    Batch(Vec<u8>),
    /// Look at the flags.
    Wake,
}

/// What everybody shares.
#[derive(Debug)]
struct Shared {
    /// Bytes in the queue.
    waiting: AtomicUsize,
    limit: usize,
    lost: AtomicU64,
    reopen: AtomicBool,
    closing: AtomicBool,
}

/// The end at which batches go in.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    shared: Arc<Shared>,
    to: SyncSender<Word>,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Queue,
    thread: Thread,
    done: Receiver<()>,
}

/// How many records were lost since the start.
#[derive(Clone, Debug)]
pub struct Lost(Option<Arc<Shared>>);

impl Lost {
    /// For a log that is off.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.lost.load(Ordering::Relaxed))
    }
}

impl Queue {
    /// Puts a batch of so many lines in, without waiting; the vector comes back empty. If there is no room the
    /// lines are lost.
    pub(super) fn put(&self, batch: &mut Vec<u8>, lines: u64) {
        let len = batch.len();
        let before = self.shared.waiting.fetch_add(len, Ordering::Relaxed);
        if before + len <= self.shared.limit {
            // With room to spare, so that the last line of the next batch need not move all the others.
            let full = std::mem::replace(batch, Vec::with_capacity(len + len / 4));
            if self.to.try_send(Word::Batch(full)).is_ok() {
                return;
            }
        }
        self.shared.waiting.fetch_sub(len, Ordering::Relaxed);
        self.shared.lost.fetch_add(lines, Ordering::Relaxed);
        batch.clear();
    }
}

impl Writer {
    /// Starts the thread with an open sink, which `reopen` replaces by another.
    pub(super) fn start<S: Sink + Send + 'static>(
        sink: S,
        reopen: impl FnMut(&mut S) -> io::Result<()> + Send + 'static,
        limit: usize,
    ) -> io::Result<Self> {
        let (to, from) = sync_channel(BATCHES_MAX);
        let (ended, done) = sync_channel(1);
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            limit,
            lost: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        });
        let queue = Queue { shared: shared.clone(), to };
        let handle = thread::Builder::new().name("access log".into()).spawn(move || {
            let (pen, told) = (Pen::default(), Told::default());
            Loop { shared, from, sink, reopen, pen, told, failing: false }.run();
            // Nobody waits any more if the patience ran out.
            let _ = ended.send(());
        })?;
        Ok(Self { queue, thread: handle.thread().clone(), done })
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    pub(super) fn lost(&self) -> Lost {
        Lost(Some(self.queue.shared.clone()))
    }

    pub(super) fn reopen(&self) {
        self.queue.shared.reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Writes what is in the queue and ends; waits for it at most so long. Tells whether it ended.
    pub(super) fn finish(self, patience: Duration) -> bool {
        self.queue.shared.closing.store(true, Ordering::Release);
        self.wake();
        self.done.recv_timeout(patience).is_ok()
    }

    fn wake(&self) {
        // A full queue wakes it as well.
        let _ = self.queue.to.try_send(Word::Wake);
        self.thread.unpark();
    }
}

/// What the thread has said of losses.
#[derive(Debug, Default)]
struct Told {
    lost: u64,
    at: Option<Instant>,
}

/// The thread's state.
struct Loop<S, R> {
    shared: Arc<Shared>,
    from: Receiver<Word>,
    sink: S,
    reopen: R,
    pen: Pen,
    told: Told,
    /// The last attempt to write was refused.
    failing: bool,
}

impl<S: Sink, R: FnMut(&mut S) -> io::Result<()>> Loop<S, R> {
    fn run(mut self) {
        loop {
            if self.shared.reopen.swap(false, Ordering::Acquire) {
                self.open_anew();
            }
            if !self.pen.is_idle() {
                let wrote = self.pen.write(&mut self.sink);
                self.judge(wrote);
            }
            self.tell();
            let closing = self.shared.closing.load(Ordering::Acquire);
            if !self.pen.is_idle() {
                if closing {
                    return self.give_up();
                }
                thread::park_timeout(RETRY);
                continue;
            }
            let word = if closing {
                self.from.try_recv().map_err(|e| e == TryRecvError::Empty)
            } else {
                self.from.recv_timeout(TELL).map_err(|e| e == RecvTimeoutError::Timeout)
            };
            match word {
                Ok(Word::Batch(batch)) => {
                    self.shared.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
                    self.pen.load(batch);
                }
                Ok(Word::Wake) => {}
                Err(nothing_yet) if nothing_yet && !closing => {}
                Err(_) => return,
            }
        }
    }

    fn open_anew(&mut self) {
        match (self.reopen)(&mut self.sink) {
            Ok(()) => self.pen.moved(),
            Err(error) => {
                tracing::error!(%error, "The access log cannot be opened anew; the old file is kept");
            }
        }
    }

    fn judge(&mut self, wrote: io::Result<()>) {
        match wrote {
            Ok(()) if self.failing => {
                self.failing = false;
                let lost = self.shared.lost.load(Ordering::Relaxed);
                tracing::info!(lost, "The access log is written again");
            }
            Ok(()) => {}
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(
                    %error,
                    "The access log cannot be written; requests go on, and records are lost when the buffer is full"
                );
            }
            Err(_) => {}
        }
    }

    /// Tells of losses, at most once a minute.
    fn tell(&mut self) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost == self.told.lost || self.told.at.is_some_and(|at| at.elapsed() < TELL) {
            return;
        }
        let since_last = lost - self.told.lost;
        tracing::warn!(since_last, lost, "Access-log records were lost");
        self.told = Told { lost, at: Some(Instant::now()) };
    }

    /// The end has come and the target still refuses: what is left is lost.
    fn give_up(&mut self) {
        let mut lines = self.pen.lines_left();
        while let Ok(word) = self.from.try_recv() {
            if let Word::Batch(batch) = word {
                lines += memchr::memchr_iter(b'\n', &batch).count() as u64;
            }
        }
        let lost = self.shared.lost.fetch_add(lines, Ordering::Relaxed) + lines;
        tracing::warn!(lost, "The access log ended with records unwritten");
    }
}

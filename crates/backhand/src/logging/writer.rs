//! The thread that writes log lines, and the bounded queue before it.
//!
//! Standard error may be a pipe that nobody reads, or a file on a full disk. Whoever logs must neither wait for it
//! nor fail with it: a line is queued, a thread of its own writes, and what finds the queue full is lost and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that may wait.
const WAITING_MAX: usize = 1024 * 1024;

/// The end at which lines go in. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Lines came.
    more: Condvar,
    /// Everything that waited was offered to the target.
    empty: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Bytes in `lines`.
    bytes: usize,
    /// The thread has a line at hand.
    writing: bool,
    /// Lines lost since the loss was told last.
    lost: u64,
}

impl Queue {
    /// Starts the thread that writes to `target`. It ends with the program.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(target: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let mine = shared.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || mine.write_to(target))?;
        Ok(Self(shared))
    }

    /// Waits until what was said is written, but not longer than this.
    pub(super) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.0.lock();
        while state.writing || !state.lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state =
                self.0.empty.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn put(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.bytes + line.len() > WAITING_MAX {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        drop(state);
        self.0.more.notify_one();
    }
}

impl Shared {
    /// Nobody panics with the lock held; if somebody did, the lines would still be lines.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut target: impl Write) {
        // The loss that cannot be told now is told with the next line, rather than tried without end.
        let mut told = true;
        let mut state = self.lock();
        loop {
            let line = state.lines.pop_front();
            if line.is_none() && (told || state.lost == 0) {
                self.empty.notify_all();
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.bytes -= line.as_ref().map_or(0, Vec::len);
            state.writing = true;
            let mut lost = std::mem::take(&mut state.lost);
            drop(state);
            if lost > 0 && tell(&mut target, lost) {
                lost = 0;
            }
            told = line.is_none();
            lost += line.map_or(0, |line| u64::from(target.write_all(&line).is_err()));
            state = self.lock();
            state.lost += lost;
            state.writing = false;
        }
    }
}

/// Says how many lines are missing here; `false` if that cannot be said yet either.
fn tell(target: &mut impl Write, lost: u64) -> bool {
    target
        .write_all(format!("backhand: {lost} log lines could not be written here\n").as_bytes())
        .is_ok()
}

impl Write for Queue {
    /// The subscriber brings each line whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A target that takes a line when it is allowed to, and fails when it is told to.
    struct Target {
        allowed: Receiver<bool>,
        wrote: Sender<String>,
    }

    impl Write for Target {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if !self.allowed.recv().unwrap_or(false) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let _ = self.wrote.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> (Queue, Sender<bool>, Receiver<String>) {
        let ((allow, allowed), (wrote, written)) = (channel(), channel());
        (Queue::start(Target { allowed, wrote }).unwrap(), allow, written)
    }

    #[test]
    fn nobody_waits_for_a_target_that_takes_nothing_and_the_loss_is_told() {
        let (queue, allow, written) = queue();
        let line = vec![b'x'; WAITING_MAX / 4];
        for _ in 0..10 {
            queue.put(&line);
        }
        assert!(queue.0.lock().bytes <= WAITING_MAX);
        queue.flush(Duration::from_millis(1));
        for _ in 0..10 {
            allow.send(true).unwrap();
        }
        // Four or five found room, and then comes the word of the others.
        let all: Vec<String> = written.iter().take(5).collect();
        let said =
            all.iter().find(|line| line.starts_with("backhand: ")).expect("the loss is told");
        assert!(said.ends_with(" log lines could not be written here\n"), "{said}");
        queue.flush(Duration::from_secs(10));
        assert_eq!(queue.0.lock().bytes, 0);
    }

    #[test]
    fn what_a_target_refused_is_counted_and_told_when_it_takes_lines_again() {
        let (queue, allow, written) = queue();
        for (line, allowed) in [("one\n", false), ("two\n", true)] {
            queue.put(line.as_bytes());
            allow.send(allowed).unwrap();
            if allowed {
                allow.send(true).unwrap();
            }
        }
        let all: Vec<String> = written.iter().take(2).collect();
        assert_eq!(all, ["backhand: 1 log lines could not be written here\n", "two\n"]);
    }

    #[test]
    fn everything_said_is_written_at_the_end() {
        let (queue, allow, written) = queue();
        for n in 0..5 {
            queue.put(format!("{n}\n").as_bytes());
            allow.send(true).unwrap();
        }
        queue.flush(Duration::from_secs(10));
        assert_eq!(written.try_iter().collect::<String>(), "0\n1\n2\n3\n4\n");
    }
}

//! The terminal view: lines that stay, and one line that moves where the output is a terminal.
//!
//! When nobody reads any more (`backhand demo | head`), the demonstration ends as if it had been asked to.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use super::board::Board;
use super::tally::{Millis, Tally};

/// Where the demonstration speaks.
pub(crate) struct Screen {
    start: Instant,
    terminal: bool,
    moving: bool,
    /// Set when there is nobody to speak to.
    stop: Arc<AtomicBool>,
    /// Where events are shown besides.
    board: Arc<Board>,
}

impl Screen {
    pub(crate) fn new(stop: Arc<AtomicBool>, board: Arc<Board>) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { start: Instant::now(), terminal, moving: false, stop, board }
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        // A full disk behind it is no reason to end: what is shown is the cluster, not this text.
        let nobody_reads = |error: std::io::Error| {
            // A terminal that was closed.
            let hung_up = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
            error.kind() == ErrorKind::BrokenPipe || hung_up
        };
        if written.is_err_and(nobody_reads) {
            self.stop.store(true, Relaxed);
        }
    }

    /// A line without a time.
    pub(crate) fn say(&mut self, text: &str) {
        self.clear();
        self.write(&format!("{text}\n"));
    }

    /// A line with the seconds since the start.
    pub(crate) fn event(&mut self, text: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.board.event(format!("{seconds:.1} s  {text}"));
        self.clear();
        if self.terminal {
            self.write(&format!("\x1b[1m{seconds:6.1} s  {text}\x1b[0m\n"));
        } else {
            self.write(&format!("{seconds:6.1} s  {text}\n"));
        }
    }

    /// What happened in the last second: overwritten by the next such line on a terminal, kept otherwise. `more` is said as
    /// far as there is room for it, the first piece first.
    pub(crate) fn second(&mut self, names: &[String], second: &Tally, more: &[String]) {
        let seconds = self.start.elapsed().as_secs_f64();
        let line = bars(seconds, names, second, more, self.width());
        self.clear();
        if self.terminal {
            self.write(&line);
            self.moving = true;
        } else {
            self.write(&format!("{line}\n"));
        }
    }

    /// Columns of the terminal: a longer line would break and could not be overwritten.
    fn width(&self) -> usize {
        let size = || rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        let columns = self.terminal.then(size).flatten().map_or(0, |size| size.ws_col);
        if columns == 0 { usize::MAX } else { usize::from(columns) }
    }

    fn clear(&mut self) {
        if self.moving {
            self.write("\r\x1b[2K");
            self.moving = false;
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.moving {
            self.write("\n");
        }
    }
}

/// `   4.0 s  60/s   m1 ████ 20   m2 ████ 21   m3 ████ 19   slowest 3.1 ms`, with bars as long as there is room for,
/// cut where even without them there is none.
fn bars(seconds: f64, names: &[String], second: &Tally, more: &[String], columns: usize) -> String {
    const LONGEST: usize = 12;
    let all = second.requests().max(1) as usize;
    let lost = second.lost + second.other_status;
    let with = |longest: usize, pieces: usize| {
        let mut line = format!("{seconds:6.1} s  {:>4}/s ", second.requests());
        for name in names {
            let served = second.by_machine.get(name).copied().unwrap_or(0);
            let bar = "█".repeat((served as usize * longest).div_ceil(all));
            line += &format!("  {name} {bar:<longest$}{served:>4}");
        }
        line += &format!("  slowest {}", Millis(second.longest));
        if lost > 0 {
            line += &format!("  LOST {lost}");
        }
        line + &more[..pieces].concat()
    };
    // The last column stays free: some terminals go to the next line once it is written to.
    let room = columns.saturating_sub(1);
    let fits = |line: &String| line.chars().count() <= room;
    // More is told where there is room for it, with shorter bars if need be.
    let lengths = |pieces| (0..=LONGEST).rev().map(move |long| (long, pieces));
    let mut all = (0..=more.len()).rev().flat_map(lengths).map(|(long, pieces)| with(long, pieces));
    all.find(fits).unwrap_or_else(|| with(0, 0).chars().take(room).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_shows_each_machines_share() {
        let mut second = Tally { served: 30, ..Tally::default() };
        second.by_machine.insert("m1".into(), 20);
        second.by_machine.insert("m2".into(), 10);
        let names = ["m1".into(), "m2".into(), "m3".into()];
        let more =
            ["  at m1 .101  m2 .102".into(), "  bus m1+m2+m3  token 0.4 ms  60 msg/s".into()];
        let line = bars(4.0, &names, &second, &more, usize::MAX);
        assert!(line.ends_with(&more.concat()), "{line}");
        assert!(
            line.contains("30/s") && line.contains("m1 ████████") && line.contains("  20"),
            "{line}"
        );
        assert!(line.contains("m3  "), "{line}");
        assert!(!line.contains("LOST"));
        for columns in [1, 40, 60, 80, 100] {
            let line = bars(4.0, &names, &second, &more, columns);
            assert!(line.chars().count() < columns, "{line}");
            assert_eq!(line.contains("slowest"), columns >= 60, "{line}");
        }
    }
}

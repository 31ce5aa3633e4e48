//! The terminal view: lines that stay, and one line that moves where the output is a terminal.
//!
//! When nobody reads any more (`backhand demo | head`), the demonstration ends as if it had been asked to.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use super::tally::{Millis, Tally};

/// Where the demonstration speaks.
pub(crate) struct Screen {
    start: Instant,
    terminal: bool,
    moving: bool,
    /// Set when there is nobody to speak to.
    stop: Arc<AtomicBool>,
}

impl Screen {
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { start: Instant::now(), terminal, moving: false, stop }
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        // A full disk behind it is no reason to end: what is shown is the cluster, not this text.
        if written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
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
        self.clear();
        if self.terminal {
            self.write(&format!("\x1b[1m{seconds:6.1} s  {text}\x1b[0m\n"));
        } else {
            self.write(&format!("{seconds:6.1} s  {text}\n"));
        }
    }

    /// What happened in the last second: overwritten by the next such line on a terminal, kept otherwise.
    pub(crate) fn second(&mut self, names: &[String], second: &Tally) {
        let line = bars(self.start.elapsed().as_secs_f64(), names, second);
        self.clear();
        if self.terminal {
            self.write(&line);
            self.moving = true;
        } else {
            self.write(&format!("{line}\n"));
        }
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

/// `   4.0 s  60/s   m1 ████ 20   m2 ████ 21   m3 ████ 19   slowest 3.1 ms`
fn bars(seconds: f64, names: &[String], second: &Tally) -> String {
    const WIDTH: u64 = 12;
    let all = second.requests().max(1);
    let mut line = format!("{seconds:6.1} s  {:>4}/s ", second.requests());
    for name in names {
        let served = second.by_machine.get(name).copied().unwrap_or(0);
        let bar = "█".repeat(((served * WIDTH).div_ceil(all)) as usize);
        line += &format!(
            "  {name} {bar:<width$}{served:>4}",
            width = if names.len() > 4 { 1 } else { WIDTH as usize }
        );
    }
    line += &format!("  slowest {}", Millis(second.longest));
    let lost = second.lost + second.other_status;
    if lost > 0 {
        line += &format!("  LOST {lost}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_shows_each_machines_share() {
        let mut second = Tally { served: 30, ..Tally::default() };
        second.by_machine.insert("m1".into(), 20);
        second.by_machine.insert("m2".into(), 10);
        let line = bars(4.0, &["m1".into(), "m2".into(), "m3".into()], &second);
        assert!(
            line.contains("30/s") && line.contains("m1 ████████") && line.contains("  20"),
            "{line}"
        );
        assert!(line.contains("m3  "), "{line}");
        assert!(!line.contains("LOST"));
    }
}

//! The terminal as a sheet: raw keys, another screen, no cursor; and all of that undone, however it ends.

use std::io::{self, Write};
use std::panic;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Another screen, no cursor, lines that do not wrap.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// What a terminal has that does not say.
const USUAL: (usize, usize) = (80, 24);

/// The terminal behind standard input and output, as a sheet until this is dropped.
pub(super) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Takes it.
    ///
    /// # Errors
    /// It is none, or cannot be written.
    pub(super) fn enter() -> io::Result<Self> {
        let terminal = Self { before: tcgetattr(stdin())? };
        // What a panic says belongs on the usual screen, so that is there first.
        let (before, usual) = (terminal.before.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |what| {
            restore(&before);
            usual(what);
        }));
        terminal.again()?;
        Ok(terminal)
    }

    /// Takes it once more, after somebody else had it.
    pub(super) fn again(&self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw)?;
        self.write(ENTER)
    }

    /// Gives it back for a while.
    pub(super) fn release(&self) {
        restore(&self.before);
    }

    /// Columns and lines, as they are now.
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => USUAL,
        }
    }

    /// Shows these lines and nothing else.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        let mut out = String::from("\x1b[H");
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                out.push_str("\r\n");
            }
            out.push_str(line);
            out.push_str("\x1b[K");
        }
        out.push_str("\x1b[J");
        self.write(&out)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore(&self.before);
        // A thread that panics must not touch the hook; it is this one's, and has been called.
        if !std::thread::panicking() {
            drop(panic::take_hook());
        }
    }
}

/// A terminal that is gone needs nothing.
fn restore(before: &Termios) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    let _ = tcsetattr(stdin(), OptionalActions::Now, before);
}

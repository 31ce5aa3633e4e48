//! Going into the background.
//!
//! The original forked twice. This program is started again instead, by itself, before it has any thread: what is forked with threads
//! may hang for ever. The one that was typed waits until the other serves, so that its exit status says whether it does.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use rustix::fs::Mode;

use super::line::IN_BACKGROUND;

/// What it says when it serves.
const SERVES: &str = "serves";

/// The one that was typed, as seen from the background.
pub(super) struct Parent(());

/// Of the one in the background: it has no terminal and no folder any more.
pub(super) fn leave_terminal() -> Parent {
    // One that leads a session already has no terminal to leave.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    let _ = rustix::process::umask(Mode::from_raw_mode(0o027));
    // As `ps` and `killall` know it; otherwise it would be called as the file that it was started from.
    let _ = rustix::thread::set_name(c"wackamole");
    Parent(())
}

impl Parent {
    /// Says that it serves, or why it does not, and nothing more ever.
    pub(super) fn tell(self, failure: Option<&str>) {
        let mut out = std::io::stdout().lock();
        // Whoever has gone does not wait.
        let _ = writeln!(out, "{}", failure.unwrap_or(SERVES)).and_then(|()| out.flush());
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stdout(&null);
        }
    }
}

/// Starts the one in the background and waits until it serves.
pub(super) fn start(program: &str) -> Result<ExitCode> {
    let mut words = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    let child = command
        .args(words)
        .arg(IN_BACKGROUND)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.context(
        "the program cannot be started in the background; stay in the foreground with -d",
    )?;
    let mut said = String::new();
    if let Some(out) = child.stdout.take() {
        // A line of at most so many bytes; the other end may stay open.
        BufReader::new(out.take(64 << 10))
            .read_line(&mut said)
            .context("nothing is heard from the background")?;
    }
    match said.trim_end() {
        SERVES => Ok(ExitCode::SUCCESS),
        "" => {
            let ended = child.wait().context("nothing is heard from the background")?;
            anyhow::bail!(
                "{program} ended in the background: {ended}; start it with -d to see why"
            );
        }
        why => anyhow::bail!("{why}"),
    }
}

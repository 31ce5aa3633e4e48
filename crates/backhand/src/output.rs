//! What the short commands print: a reader that goes away is no mistake, a full disk is one.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes to standard output.
///
/// # Errors
/// What the system says, except that nobody reads any more (`backhand check | head`).
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("standard output cannot be written"),
    }
}

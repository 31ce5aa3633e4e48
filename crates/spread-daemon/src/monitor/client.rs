//! Asking a daemon of this machine through its control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::words::{Answer, Request};

/// How long a word of the daemon is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of all answers: a daemon of a thousand others says less.
const ANSWERS_MAX: u64 = 1 << 20;

/// Why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no control socket, or nobody at it.
    #[error("no daemon answers at {path:?}: {error}; {}", remedy(error))]
    Nobody {
        /// The control socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It did not end its answer.
    #[error("the daemon at {path:?} broke off: {error}")]
    Broken {
        /// The control socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "become root or the user that the daemon runs as, or name another socket with -s"
        }
        _ => "start one, or name its Unix socket with -s",
    }
}

/// Says `request` and hands each answer to `on` until the last, which is an end or a mistake.
///
/// # Errors
/// Nobody is there, or the answer breaks off.
pub fn ask(path: &Path, request: &Request, mut on: impl FnMut(Answer)) -> Result<(), AskError> {
    let nobody = |error| AskError::Nobody { path: path.into(), error };
    let broken = |error| AskError::Broken { path: path.into(), error };
    let mut socket = UnixStream::connect(path).map_err(nobody)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    socket.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
    let mut line = serde_json::to_string(request).map_err(io::Error::from).map_err(broken)?;
    line.push('\n');
    socket.write_all(line.as_bytes()).map_err(broken)?;
    for line in BufReader::new(socket.take(ANSWERS_MAX)).lines() {
        let answer: Answer = serde_json::from_str(&line.map_err(broken)?)
            .map_err(|error| broken(io::Error::from(error)))?;
        let last = matches!(answer, Answer::End | Answer::Mistake { .. });
        on(answer);
        if last {
            return Ok(());
        }
    }
    Err(broken(io::ErrorKind::UnexpectedEof.into()))
}

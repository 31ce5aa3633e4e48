//! The other end of a control socket: what commands use.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::historical::{self, Record};
use super::words::{Answer, Ask};

/// How long an answer may take that is not waited for by the user.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest answer, in bytes: a table of every set for every machine.
const ANSWER_MAX: u64 = 256 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("nobody listens at {}: {error}; {}", .path.display(), remedy(.path, .error))]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The connection broke.
    #[error("the service at {} went away or does not answer: {error}", .path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is somebody else.
    #[error("what answers at {} is no service of addresses: {what}", .path.display())]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// What is wrong with the answer.
        what: String,
    },
}

fn remedy(path: &Path, error: &io::Error) -> &'static str {
    match error.kind() {
        // It says the same of a file that nobody can listen at.
        io::ErrorKind::ConnectionRefused
            if std::fs::metadata(path).is_ok_and(|file| !file.file_type().is_socket()) =>
        {
            "this is no socket; name that of a running service"
        }
        io::ErrorKind::NotFound => {
            "start the service (`backhand run` with [addresses]), or name its configuration with --config or its socket with --socket, which for wackamole is the path of its Control"
        }
        io::ErrorKind::ConnectionRefused => "the program that made it has ended; start it again",
        io::ErrorKind::PermissionDenied => "ask as root or as the user of the service",
        _ => "name the socket of a running service",
    }
}

/// A connection to a service.
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    /// What has come of the next line.
    line: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let nobody = |error| ClientError::Nobody { path: path.to_owned(), error };
        let stream = UnixStream::connect(path).map_err(nobody)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(nobody)?;
        Ok(Self { path: path.to_owned(), stream: BufReader::new(stream), line: Vec::new() })
    }

    /// Asks something; the answers are [`next`](Self::next).
    ///
    /// # Errors
    /// The connection broke.
    pub fn ask(&mut self, ask: &Ask) -> Result<(), ClientError> {
        // A value of strings can always be written.
        let mut line = serde_json::to_vec(ask).unwrap_or_default();
        line.push(b'\n');
        self.stream.get_ref().write_all(&line).map_err(|error| self.broken(error))
    }

    /// The next answer; `None` if there is none until then.
    ///
    /// # Errors
    /// The connection broke, or this is no answer.
    pub fn next(&mut self, until: Option<Instant>) -> Result<Option<Answer>, ClientError> {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.stream.get_ref().set_read_timeout(left).map_err(|error| self.broken(error))?;
            let room = ANSWER_MAX.saturating_sub(self.line.len() as u64);
            match (&mut self.stream).take(room).read_until(b'\n', &mut self.line) {
                Ok(_) if self.line.ends_with(b"\n") => {
                    let line = std::mem::take(&mut self.line);
                    return serde_json::from_slice(&line)
                        .map(Some)
                        .map_err(|error| self.stranger(error.to_string()));
                }
                Ok(_) => return Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// Asks and takes one answer.
    ///
    /// # Errors
    /// As the others, or no answer in time.
    pub fn answer(&mut self, ask: &Ask) -> Result<Answer, ClientError> {
        self.ask(ask)?;
        let answer = self.next(Some(Instant::now() + PATIENCE))?;
        answer.ok_or_else(|| self.broken(io::ErrorKind::TimedOut.into()))
    }

    /// The table, in the historical language.
    ///
    /// # Errors
    /// The connection broke, or this is no table.
    pub fn historical_table(&mut self) -> Result<Vec<Record>, ClientError> {
        let length = u32::from_be_bytes(self.historical(historical::LIST)?) as usize;
        if !length.is_multiple_of(historical::RECORD) || length > historical::LISTING_MAX {
            return Err(self.stranger(format!("a table of {length} bytes")));
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).map_err(|error| self.broken(error))?;
        Ok(historical::records(&bytes))
    }

    /// Simulates a failure or its end, in the historical language; whether it was accepted.
    ///
    /// # Errors
    /// The connection broke.
    pub fn historical_order(&mut self, order: u8) -> Result<bool, ClientError> {
        Ok(i32::from_be_bytes(self.historical(order)?) == 0)
    }

    fn historical(&mut self, order: u8) -> Result<[u8; 4], ClientError> {
        let mut first = [0; 4];
        let stream = self.stream.get_ref();
        let done =
            stream.set_read_timeout(Some(PATIENCE)).and_then(|()| (&*stream).write_all(&[order]));
        done.and_then(|()| self.stream.read_exact(&mut first))
            .map_err(|error| self.broken(error))?;
        Ok(first)
    }

    fn broken(&self, error: io::Error) -> ClientError {
        // So the system says that the time of a socket is over.
        let error = match error.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        };
        ClientError::Broken { path: self.path.clone(), error }
    }

    fn stranger(&self, what: String) -> ClientError {
        ClientError::Stranger { path: self.path.clone(), what }
    }
}

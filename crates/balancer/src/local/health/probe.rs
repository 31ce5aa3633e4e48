//! One check: a connection, or a GET over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Outcome, Target};
use crate::config::HealthCheck;
use crate::exhausted::is_exhausted;
use crate::local::files::Root;

/// Bytes of a response that are read, so that the service sees its answer taken.
const RESPONSE_MAX: usize = 256 * 1024;
/// Bytes of a status line up to its code: `HTTP/1.1 200`.
const STATUS_LEN: usize = 12;

/// Checks once; tells the outcome and why.
pub(super) fn check(target: &Target, check: &HealthCheck, timeout: Duration) -> (Outcome, String) {
    let deadline = Instant::now() + timeout;
    let done = match target {
        Target::Directory(options) => {
            return match Root::open(options) {
                Ok(_) => (Outcome::Good, "its directory can be read".into()),
                Err(e) if e.is_of_ours() => (Outcome::Unknown, e.to_string()),
                Err(e) => (Outcome::Refused, e.to_string()),
            };
        }
        Target::Tcp(address) => TcpStream::connect_timeout(address, timeout)
            .and_then(|stream| ask_tcp(stream, *address, check, deadline)),
        Target::Unix(path) => {
            connect_unix(path).and_then(|stream| ask_unix(stream, check, deadline))
        }
    };
    match done {
        Ok(said) => said,
        Err(e) => (judge(&e), format!("{target}: {e}")),
    }
}

/// What an error says about the service.
fn judge(e: &io::Error) -> Outcome {
    match e.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => Outcome::Refused,
        // Of ports or descriptors of our own there are none left.
        ErrorKind::AddrNotAvailable => Outcome::Unknown,
        _ if is_exhausted(e) => Outcome::Unknown,
        _ => Outcome::Bad,
    }
}

/// A Unix socket connects at once or not at all; without waiting, a full queue is an error.
fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&socket2::SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

fn ask_tcp(
    stream: TcpStream,
    address: SocketAddr,
    check: &HealthCheck,
    deadline: Instant,
) -> io::Result<(Outcome, String)> {
    let HealthCheck::Path(path) = check else { return Ok(accepted()) };
    stream.set_write_timeout(Some(left(deadline)?))?;
    ask(stream, &address.to_string(), path, deadline, TcpStream::set_read_timeout)
}

fn ask_unix(
    stream: UnixStream,
    check: &HealthCheck,
    deadline: Instant,
) -> io::Result<(Outcome, String)> {
    let HealthCheck::Path(path) = check else { return Ok(accepted()) };
    stream.set_write_timeout(Some(left(deadline)?))?;
    ask(stream, "localhost", path, deadline, UnixStream::set_read_timeout)
}

fn accepted() -> (Outcome, String) {
    (Outcome::Good, "it accepts connections".into())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn ask<S: Read + Write>(
    mut stream: S,
    host: &str,
    path: &str,
    deadline: Instant,
    set_timeout: impl Fn(&S, Option<Duration>) -> io::Result<()>,
) -> io::Result<(Outcome, String)> {
    // In one piece: a service that answers after the first and closes would break the second.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: backhand-health\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut status = [0; STATUS_LEN];
    let mut have = 0;
    while have < STATUS_LEN {
        set_timeout(&stream, Some(left(deadline)?))?;
        match stream.read(&mut status[have..])? {
            0 => return Ok((Outcome::Bad, format!("GET {path} was answered with nothing"))),
            n => have += n,
        }
    }
    let verdict = verdict(&status, path);
    drain(stream, deadline, set_timeout);
    Ok(verdict)
}

fn verdict(status: &[u8; STATUS_LEN], path: &str) -> (Outcome, String) {
    let code = status
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok())
        .and_then(|code| code.parse::<u16>().ok());
    match code {
        Some(code @ 200..=399) => (Outcome::Good, format!("GET {path} is answered with {code}")),
        Some(code) => (Outcome::Bad, format!("GET {path} is answered with {code}")),
        None => (Outcome::Bad, format!("GET {path} is not answered in HTTP/1")),
    }
}

/// Takes the rest of the answer, within reason, so that the service is not left with a broken connection.
fn drain<S: Read>(
    mut stream: S,
    deadline: Instant,
    set_timeout: impl Fn(&S, Option<Duration>) -> io::Result<()>,
) {
    let mut rest = [0; 4096];
    for _ in 0..RESPONSE_MAX / rest.len() {
        let Ok(left) = left(deadline) else { return };
        if set_timeout(&stream, Some(left)).is_err() || !matches!(stream.read(&mut rest), Ok(1..)) {
            return;
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Directory(options) => {
                write!(f, "{}", options.root.as_deref().unwrap_or(Path::new("/")).display())
            }
        }
    }
}

//! One connection of a probe: connecting, asking, reading the answer to its end.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::Socket;

use super::trace::{Answer, Loss, Outcome};

/// Longest answer read, in bytes; one that is longer is taken as complete.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// It stands; the request is sent then.
    Hesitating(Instant),
    /// So many bytes of the request are out.
    Asking(usize),
    Reading,
}

/// A connection under way.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    started: Instant,
    connected: Option<Instant>,
    hesitation: Duration,
    stage: Stage,
    answer: Vec<u8>,
}

impl Connection {
    /// Begins to connect. Between the end of that and the request it hesitates for so long.
    pub(super) fn start(
        socket: Socket,
        to: SocketAddr,
        started: Instant,
        hesitation: Duration,
    ) -> Result<Self, Loss> {
        let not_tried = |e: std::io::Error| Loss::NotTried(e.to_string());
        socket.set_nonblocking(true).map_err(not_tried)?;
        // The request is small, and the answer is not to wait for it.
        socket.set_tcp_nodelay(true).map_err(not_tried)?;
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(connecting(&error)),
        }
        let stage = Stage::Connecting;
        Ok(Self { socket, started, connected: None, hesitation, stage, answer: Vec::new() })
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn connected(&self) -> Option<Instant> {
        self.connected
    }

    /// Whether the other side is waited for. One that hesitates hears of its end that way.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.stage, Stage::Reading | Stage::Hesitating(_))
    }

    /// When it goes on by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Hesitating(until) => Some(until),
            _ => None,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Goes as far as it can without waiting; its outcome when it has come to an end.
    pub(super) fn go_on(
        &mut self,
        request: &[u8],
        named_by: &str,
        now: Instant,
        patience: Duration,
    ) -> Option<Outcome> {
        let ended = match self.stage {
            Stage::Connecting => self.connect(now).and_then(|there| match there {
                true => self.go_on_hesitating(request, named_by, now),
                false => Ok(None),
            }),
            Stage::Hesitating(_) => self.go_on_hesitating(request, named_by, now),
            Stage::Asking(_) => self.ask(request, named_by, now),
            Stage::Reading => self.read(named_by, now),
        };
        match ended {
            Ok(Some(answer)) => Some(Outcome::Answered(answer)),
            Err(loss) => Some(Outcome::Lost(loss)),
            Ok(None) if now.saturating_duration_since(self.started) >= patience => {
                Some(Outcome::Lost(Loss::TimedOut))
            }
            Ok(None) => None,
        }
    }

    /// Whether the connection stands.
    fn connect(&mut self, now: Instant) -> Result<bool, Loss> {
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => {
                // One that is refused in its handshake is refused (ECONNREFUSED); a reset says that it stood before anybody looked.
                if error.kind() == ErrorKind::ConnectionReset {
                    self.connected = Some(now);
                }
                return Err(connecting(&error));
            }
        }
        // Without an error it may still be under way; who is at the other end tells.
        match self.socket.peer_addr() {
            Ok(_) => {
                self.connected = Some(now);
                self.stage = Stage::Hesitating(now + self.hesitation);
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }

    fn go_on_hesitating(
        &mut self,
        request: &[u8],
        named_by: &str,
        now: Instant,
    ) -> Result<Option<Answer>, Loss> {
        if let Ok(Some(_)) | Err(_) = self.socket.take_error() {
            return Err(Loss::ResetBefore);
        }
        if self.due().is_some_and(|due| due > now) {
            return Ok(None);
        }
        self.stage = Stage::Asking(0);
        self.ask(request, named_by, now)
    }

    fn ask(
        &mut self,
        request: &[u8],
        named_by: &str,
        now: Instant,
    ) -> Result<Option<Answer>, Loss> {
        while let Stage::Asking(sent) = self.stage {
            match (&self.socket).write(&request[sent..]) {
                Ok(more) if sent + more < request.len() => self.stage = Stage::Asking(sent + more),
                Ok(_) => self.stage = Stage::Reading,
                Err(error) if is_nothing_yet(&error) => return Ok(None),
                Err(_) => return Err(Loss::ResetBefore),
            }
        }
        self.read(named_by, now)
    }

    fn read(&mut self, named_by: &str, now: Instant) -> Result<Option<Answer>, Loss> {
        let mut bytes = [0; 4096];
        loop {
            match (&self.socket).read(&mut bytes) {
                Ok(0) => {
                    return parse(&self.answer, true, named_by, now).ok_or(Loss::Closed).map(Some);
                }
                Ok(length) => {
                    self.answer.extend_from_slice(&bytes[..length]);
                    let ended = self.answer.len() >= MAX_ANSWER;
                    if let Some(answer) = parse(&self.answer, ended, named_by, now) {
                        return Ok(Some(answer));
                    }
                    if ended {
                        return Err(Loss::Closed);
                    }
                }
                Err(error) if is_nothing_yet(&error) => return Ok(None),
                Err(error) => return Err(reading(&error)),
            }
        }
    }
}

fn is_nothing_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Why a connection did not come about.
fn connecting(error: &std::io::Error) -> Loss {
    match error.kind() {
        ErrorKind::ConnectionRefused => Loss::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Loss::ResetBefore,
        ErrorKind::TimedOut => Loss::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Loss::Unreachable,
        _ => Loss::NotTried(error.to_string()),
    }
}

/// Why an answer did not come.
fn reading(error: &std::io::Error) -> Loss {
    match error.kind() {
        ErrorKind::TimedOut => Loss::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Loss::Unreachable,
        _ => Loss::ResetAfter,
    }
}

/// The answer, when it is whole: by its length, or because there will be no more.
fn parse(bytes: &[u8], ended: bool, named_by: &str, at: Instant) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let mut fields = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        fields.next().map(|(_, value)| value.trim())
    };
    let whole = match header("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => body.len() >= length || (ended && bytes.len() >= MAX_ANSWER),
        _ => ended,
    };
    if !whole {
        return None;
    }
    let first = || body.lines().next().map(str::trim);
    let owner = header(named_by).or_else(first).filter(|name| !name.is_empty());
    Some(Answer { at, status, owner: owner.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::event::{PollFd, PollFlags, poll};
    use socket2::{Domain, Type};

    use super::*;

    /// What becomes of a connection to this address, looked at only when the other side has done this.
    fn looked_at_after(to: SocketAddr, done: impl FnOnce()) -> (Option<Outcome>, bool) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let mut connection = match Connection::start(socket, to, Instant::now(), Duration::ZERO) {
            Ok(connection) => connection,
            // A kernel may say so at once.
            Err(loss) => return (Some(Outcome::Lost(loss)), false),
        };
        done();
        let mut fds = [PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::empty())];
        poll(&mut fds, None).unwrap();
        let outcome = connection.go_on(b"?", "x", Instant::now(), Duration::from_secs(60));
        (outcome, connection.connected().is_some())
    }

    #[test]
    fn a_reset_before_anybody_looked_is_of_a_connection_that_stood_and_a_refusal_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let reset = looked_at_after(to, || {
            let accepted = Socket::from(listener.accept().unwrap().0);
            accepted.set_linger(Some(Duration::ZERO)).unwrap();
        });
        assert_eq!(reset, (Some(Outcome::Lost(Loss::ResetBefore)), true));
        drop(listener);
        let refused = looked_at_after(to, || {});
        assert_eq!(refused, (Some(Outcome::Lost(Loss::Refused)), false));
    }

    fn parsed(text: &str, ended: bool) -> Option<(u16, Option<String>)> {
        let answer = parse(text.as_bytes(), ended, "x-served-by", Instant::now())?;
        Some((answer.status, answer.owner))
    }

    #[test]
    fn an_answer_is_whole_by_its_length_or_at_its_end() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nm1\n";
        assert_eq!(parsed(sized, false), Some((200, Some("m1".into()))));
        assert_eq!(parsed(&sized[..sized.len() - 1], true), None, "cut short");
        let unsized_ = "HTTP/1.0 503 No\r\n\r\nm2 is full\nand sorry";
        assert_eq!(parsed(unsized_, false), None);
        assert_eq!(parsed(unsized_, true), Some((503, Some("m2 is full".into()))));
        for torn in ["", "HTTP/1.1 200 OK\r\nX: y\r\n", "HTTP/1.1\r\n\r\n", "no\r\n\r\n"] {
            assert_eq!(parsed(torn, true), None, "{torn:?}");
        }
    }

    #[test]
    fn the_machine_is_named_by_the_header_first() {
        let text = "HTTP/1.1 200 OK\r\nX-Served-By:  m3 \r\nContent-Length: 2\r\n\r\nm1";
        assert_eq!(parsed(text, false), Some((200, Some("m3".into()))));
        assert_eq!(
            parsed("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", false),
            Some((204, None))
        );
    }
}

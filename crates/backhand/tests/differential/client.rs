//! Sends the bytes of one case, and hears what is answered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The most one case may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The statuses of the responses, interim ones left out.
    pub(crate) statuses: Vec<u16>,
    /// Whether the server closed the connection.
    pub(crate) closed: bool,
}

/// Until when to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// So many responses are there; then, if told so, the server has closed.
    Answered(usize, bool),
    /// The server closes, or says nothing for so long.
    Quiet(Duration),
}

pub(crate) fn converse(server: SocketAddr, bytes: &[u8], until: Until) -> std::io::Result<Heard> {
    let mut stream = TcpStream::connect(server)?;
    let _ = stream.set_nodelay(true);
    // A server may refuse and close before everything is out; what it said is still to be read.
    let _ = stream.write_all(bytes);
    let deadline = Instant::now() + PATIENCE;
    let (mut text, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let heard = Heard { statuses: statuses(&text), closed: false };
        let patience = match until {
            Until::Answered(n, false) if heard.statuses.len() >= n => return Ok(heard),
            Until::Answered(..) => deadline.saturating_duration_since(Instant::now()),
            Until::Quiet(quiet) => quiet,
        };
        stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        match stream.read(&mut piece) {
            Ok(n @ 1..) => text.extend_from_slice(&piece[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(heard);
            }
            Ok(_) | Err(_) => return Ok(Heard { closed: true, ..heard }),
        }
    }
}

/// The statuses of the responses in these bytes; no body here contains what looks like another.
fn statuses(text: &[u8]) -> Vec<u16> {
    let line = |at: usize| {
        let status = text.get(at..)?.strip_prefix(b"HTTP/1.")?.get(2..5)?;
        std::str::from_utf8(status).ok()?.parse().ok()
    };
    (0..text.len()).filter_map(line).filter(|&status| status >= 200).collect()
}

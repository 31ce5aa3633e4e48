//! The system's log, for a program without a terminal.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;

/// Where it is taken.
const SOCKET: &str = "/dev/log";
/// The facility of daemons, as the original had it.
const DAEMON: u8 = 3 << 3;

/// Takes lines as they are made for people: a time, a level, the rest. The time is left out, since whoever takes them has his own.
pub(super) struct Syslog(UnixDatagram);

impl Syslog {
    /// `None` where there is none.
    pub(super) fn open() -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(SOCKET).ok()?;
        Some(Self(socket))
    }
}

fn datagram(line: &str) -> String {
    let line = line.trim_end();
    let (_, rest) = line.split_once(' ').unwrap_or(("", line));
    let (level, said) = rest.trim_start().split_once(' ').unwrap_or(("", rest));
    // What a line is about stands before it, and is not for a log that names the program.
    let said = said.trim_start().split_once(": ").map_or(said, |(_, said)| said);
    let severity = match level {
        "ERROR" => 3,
        "WARN" => 4,
        "INFO" => 5,
        _ => 7,
    };
    format!("<{}>wackamole[{}]: {said}", DAEMON | severity, std::process::id())
}

impl Write for Syslog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // One whose taker was started again has to be found again; what is said meanwhile is lost.
        if self.0.send(datagram(&String::from_utf8_lossy(line)).as_bytes()).is_err() {
            let _ = self.0.connect(SOCKET);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_one_of_the_system_s_log() {
        let line = "2026-01-01T00:00:00.1Z  INFO addresses::service::tell:   UP: fxp0:192.0.2.21/255.255.255.255\n";
        let id = std::process::id();
        assert_eq!(
            datagram(line),
            format!("<29>wackamole[{id}]:   UP: fxp0:192.0.2.21/255.255.255.255")
        );
        assert!(datagram("x").starts_with("<31>wackamole["));
    }
}

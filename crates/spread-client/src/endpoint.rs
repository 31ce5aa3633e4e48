//! Where the daemon is: connection strings as the original's library reads them (protocol reference, 1).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use spread_wire::limits::PORT_DEFAULT;

use crate::error::Error;

/// The folder of the Unix sockets; a constant in the original.
pub const SOCKET_FOLDER: &str = "/tmp";
/// The longest host name, in bytes (`HOST_NAME_MAX` of POSIX systems is less).
const HOST_MAX: usize = 255;

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port of a host: a name, or an address of version 4 or 6.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The same, with TLS on it; [`Options::tls`](crate::Options::tls) says with which certificates. Our daemon only.
    Tls {
        /// The host, which the daemon's certificate names.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Endpoint {
    /// Reads a connection string: `4803` is the Unix socket `4803` in `folder`, `4803@host` a TCP port, and nothing is
    /// `4803`. A path that begins with `/` is a Unix socket there, and `tls:4804@host` a TCP port with TLS; the original has no
    /// such forms.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Error> {
        let wrong = || Error::Endpoint { text: text.to_owned() };
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        if text.is_empty() {
            return Ok(Self::Unix(folder.join(PORT_DEFAULT.to_string())));
        }
        let (sealed, place) = match text.strip_prefix("tls:") {
            Some(place) => (true, place),
            None => (false, text),
        };
        let (port, host) = match place.split_once('@') {
            Some((port, host)) => (port, Some(host)),
            None => (place, None),
        };
        // `parse` would take a plus sign.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let port: u16 = port.parse().map_err(|_| wrong())?;
        match host {
            None if sealed => Err(wrong()),
            None => Ok(Self::Unix(folder.join(port.to_string()))),
            Some(host) if host.is_empty() || host.len() > HOST_MAX => Err(wrong()),
            Some(host) if sealed => Ok(Self::Tls { host: host.to_owned(), port }),
            Some(host) => Ok(Self::Tcp { host: host.to_owned(), port }),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    /// Reads a connection string, with the Unix sockets where the original has them.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text, Path::new(SOCKET_FOLDER))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } => write!(f, "{port}@{host}"),
            Self::Tls { host, port } => write!(f, "tls:{port}@{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_are_read_as_the_original_does() {
        let unix = |path: &str| Endpoint::Unix(path.into());
        let tcp = |host: &str, port| Endpoint::Tcp { host: host.into(), port };
        let read = |text: &str| text.parse::<Endpoint>().unwrap();
        assert_eq!(read(""), unix("/tmp/4803"));
        assert_eq!(read("3333"), unix("/tmp/3333"));
        assert_eq!(read("4803@localhost"), tcp("localhost", 4803));
        assert_eq!(read("4803@::1"), tcp("::1", 4803));
        assert_eq!(read("/run/bus.sock"), unix("/run/bus.sock"));
        assert_eq!(read("tls:4804@bus"), Endpoint::Tls { host: "bus".into(), port: 4804 });
        assert_eq!(read("tls:4804@::1").to_string(), "tls:4804@::1");
        assert_eq!(Endpoint::parse("1", Path::new("/run")).unwrap(), unix("/run/1"));
    }

    #[test]
    fn what_is_no_connection_string_is_refused() {
        let long = format!("4803@{}", "x".repeat(256));
        let wrong = ["x", "4803x", "@host", "4803@", "65536", "-1", "+1", " 4803", "4803 @x"];
        for text in wrong.into_iter().chain(["tls:", "tls:4804", "tls:@host", "TLS:1@x", &long]) {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(error.code(), spread_wire::ErrorCode::IllegalSpread, "{text}");
        }
    }
}

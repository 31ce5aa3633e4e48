//! The address that a redirect names.
//!
//! The historical format letters can no longer be verified anywhere, so these are ours:
//!
//! | in the format | stands for |
//! |---|---|
//! | `%S` | the name the chosen machine announces itself as, else its host name |
//! | `%H` | the host the client asked for, without port |
//! | `%2S`, `%2H` | the first two labels of it |
//! | `%-2S`, `%-2H` | the last two labels of it |
//! | `%I` | the machine's address |
//! | `%P` | the port of its web service |
//! | `%%` | a percent sign |
//!
//! So `%1S.%-2H` sends a client of `www.example.com` to `web3.example.com`. A format that holds no
//! colon gets the service's port appended where it is not the scheme's own.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::request::{RequestView, host_name};
use crate::snapshot::Machine;

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Itself.
    Literal(String),
    /// Labels of the machine's name.
    Name(Labels),
    /// Labels of the host asked for.
    Host(Labels),
    /// The machine's address.
    Address,
    /// The machine's port.
    Port,
}

/// Which labels of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The whole name.
    All,
    /// The first so many.
    First(u8),
    /// The last so many.
    Last(u8),
}

impl Labels {
    fn of(self, name: &[u8]) -> &[u8] {
        match self {
            Self::All => name,
            Self::First(n) => {
                let end = dots(name).nth(usize::from(n).saturating_sub(1));
                end.map_or(name, |at| &name[..at])
            }
            Self::Last(n) => {
                let count = dots(name).count();
                let skip = (count + 1).saturating_sub(usize::from(n));
                if skip == 0 {
                    return name;
                }
                dots(name).nth(skip - 1).map_or(name, |at| &name[at + 1..])
            }
        }
    }
}

fn dots(name: &[u8]) -> impl Iterator<Item = usize> + '_ {
    name.iter().enumerate().filter(|&(_, &b)| b == b'.').map(|(at, _)| at)
}

/// Reads a format. The error says what is wrong and what is known.
pub(super) fn parse(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '%' {
            if !is_authority(c as u32) {
                return Err(format!(
                    "{c:?} cannot stand in a host name; the format gives only host and port"
                ));
            }
            literal.push(c);
            continue;
        }
        let (piece, left) = directive(rest)?;
        rest = left;
        match piece {
            None => literal.push('%'),
            Some(piece) => {
                flush(&mut literal, &mut pieces);
                pieces.push(piece);
            }
        }
    }
    flush(&mut literal, &mut pieces);
    if pieces.is_empty() {
        return Err("the format is empty; leave it out for %S, the machine's name".into());
    }
    Ok(pieces)
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(core::mem::take(literal)));
    }
}

fn is_authority(c: u32) -> bool {
    u8::try_from(c).is_ok_and(|b| b.is_ascii_alphanumeric() || b".-_:[]%".contains(&b))
}

/// Reads what follows a percent sign; `None` is the sign itself.
fn directive(text: &str) -> Result<(Option<Piece>, &str), String> {
    let known = "known are %S %H %2S %-2S %2H %-2H %I %P %%";
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    let letter = rest
        .chars()
        .next()
        .ok_or_else(|| format!("the format ends in the middle of a directive; {known}"))?;
    let labels = match (number, negative) {
        ("", false) => Labels::All,
        (n, _) => match (n.parse::<u8>(), negative) {
            (Ok(n @ 1..), false) => Labels::First(n),
            (Ok(n @ 1..), true) => Labels::Last(n),
            _ => {
                return Err(format!("\"%{text}\" needs a number of labels from 1 to 255; {known}"));
            }
        },
    };
    let piece = match (letter, labels) {
        ('S' | 's', labels) => Some(Piece::Name(labels)),
        ('H' | 'h', labels) => Some(Piece::Host(labels)),
        ('I' | 'i', Labels::All) => Some(Piece::Address),
        ('P' | 'p', Labels::All) => Some(Piece::Port),
        ('%', Labels::All) => None,
        _ => {
            return Err(format!(
                "\"%{}\" is not known; {known}",
                &text[..text.len() - rest.len() + letter.len_utf8()]
            ));
        }
    };
    Ok((piece, &rest[letter.len_utf8()..]))
}

/// The name clients know a machine by.
pub(crate) fn public_name(machine: &Machine) -> &str {
    machine.service.name.as_deref().unwrap_or(&machine.name)
}

/// Whether a client that sent this `Host` addressed the machine itself.
pub(crate) fn is_own_name(machine: &Machine, host: &[u8]) -> bool {
    let asked = host_name(host);
    let named = [public_name(machine), machine.name.as_str()]
        .iter()
        .any(|name| !name.is_empty() && name.as_bytes().eq_ignore_ascii_case(asked));
    named
        || core::str::from_utf8(asked)
            .ok()
            .and_then(|text| text.parse::<IpAddr>().ok())
            .is_some_and(|ip| ip.to_canonical() == machine.service.addr.ip().to_canonical())
}

/// Whether a client that sent this `Host` followed a redirect that this format made for the machine: without that,
/// machines that share a format would send a client round and round.
pub(super) fn is_made_name<R: RequestView + ?Sized>(
    pieces: &[Piece],
    machine: &Machine,
    request: &R,
) -> bool {
    let asked = host_name(request.host());
    let mut rest = asked;
    for piece in pieces {
        let text = match piece {
            Piece::Literal(text) => text.as_bytes(),
            Piece::Name(labels) => labels.of(public_name(machine).as_bytes()),
            Piece::Host(labels) => labels.of(asked),
            // An address is compared as one by `is_own_name`, and where a port begins the name has ended.
            Piece::Address => return false,
            Piece::Port => b":",
        };
        let (text, ends) = match text.iter().position(|&b| b == b':') {
            Some(at) => (&text[..at], true),
            None => (text, false),
        };
        match rest.split_at_checked(text.len()) {
            Some((head, tail)) if head.eq_ignore_ascii_case(text) => rest = tail,
            _ => return false,
        }
        if ends {
            break;
        }
    }
    rest.is_empty()
}

/// Appends the whole location. `false` if it is not clean; `out` is then to be cut back.
pub(super) fn write<R: RequestView + ?Sized>(
    pieces: &[Piece],
    machine: &Machine,
    request: &R,
    out: &mut Vec<u8>,
) -> bool {
    let (scheme, own_port) = if request.secure() { ("https://", 443) } else { ("http://", 80) };
    let service: SocketAddr = machine.service.addr;
    out.extend_from_slice(scheme.as_bytes());
    let start = out.len();
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Name(labels) => {
                out.extend_from_slice(labels.of(public_name(machine).as_bytes()))
            }
            Piece::Host(labels) => {
                let host = host_name(request.host());
                match (core::str::from_utf8(host).map(str::parse), labels) {
                    // An address has no labels.
                    (Ok(Ok(IpAddr::V6(v6))), Labels::All) => {
                        out.extend_from_slice(format!("[{v6}]").as_bytes());
                    }
                    (Ok(Ok(_)), Labels::First(_) | Labels::Last(_)) => return false,
                    _ => out.extend_from_slice(labels.of(host)),
                }
            }
            Piece::Address => {
                let text = match service.ip() {
                    IpAddr::V4(v4) => format!("{v4}"),
                    IpAddr::V6(v6) => format!("[{v6}]"),
                };
                out.extend_from_slice(text.as_bytes());
            }
            Piece::Port => out.extend_from_slice(format!("{}", service.port()).as_bytes()),
        }
    }
    if out.len() == start || !out[start..].iter().all(|&b| is_authority(b.into())) {
        return false;
    }
    let empty_label = out[start] == b'.' || out[start..].windows(2).any(|two| two == b"..");
    if empty_label {
        return false;
    }
    let has_port = pieces.iter().any(|p| match p {
        Piece::Literal(text) => text.contains(':'),
        Piece::Port => true,
        _ => false,
    });
    if !has_port && service.port() != own_port {
        out.extend_from_slice(format!(":{}", service.port()).as_bytes());
    }
    let target = request.target();
    // A target that begins with two slashes is a path here, but an address to some clients; behind an
    // authority both read it alike.
    let clean = target.first() == Some(&b'/') && target.iter().all(|&b| b > b' ' && b != 0x7f);
    out.extend_from_slice(target);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Plain;
    use base::MachineId;

    fn machine() -> Machine {
        Machine::new(MachineId([1; 16]), "web3.cluster.example.com", "10.0.0.3:80".parse().unwrap())
    }

    fn location(format: &str, machine: &Machine, host: &str) -> Option<String> {
        let request = Plain { host, target: "/a/b?c=d", ..Plain::default() };
        let mut out = Vec::new();
        write(&parse(format).unwrap(), machine, &request, &mut out)
            .then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_letter_stands_for_what_the_table_says() {
        for (format, expected) in [
            ("%S", "http://web3.cluster.example.com/a/b?c=d"),
            ("%1S.%-2H", "http://web3.example.org/a/b?c=d"),
            ("%-1S", "http://com/a/b?c=d"),
            ("%9S", "http://web3.cluster.example.com/a/b?c=d"),
            ("%-9H", "http://www.example.org/a/b?c=d"),
            ("%I", "http://10.0.0.3/a/b?c=d"),
            ("%S:%P", "http://web3.cluster.example.com:80/a/b?c=d"),
        ] {
            assert_eq!(
                location(format, &machine(), "www.example.org:81").as_deref(),
                Some(expected),
                "{format}"
            );
        }
    }

    #[test]
    fn a_port_that_is_not_the_schemes_own_is_named() {
        let mut machine = machine();
        machine.service.addr = "[fd00::3]:8080".parse().unwrap();
        assert_eq!(location("%I", &machine, "x").as_deref(), Some("http://[fd00::3]:8080/a/b?c=d"));
        machine.service.name = Some("front".into());
        assert_eq!(location("%S", &machine, "x").as_deref(), Some("http://front:8080/a/b?c=d"));
    }

    #[test]
    fn a_strange_host_makes_no_location() {
        for host in ["evil\r\nset-cookie: a=b", "a/b", "a b", "user@host", ""] {
            assert_eq!(location("%H", &machine(), host), None, "{host:?}");
        }
    }

    #[test]
    fn an_address_has_no_labels_and_no_name_has_empty_ones() {
        for host in ["[fd98::1]", "[::1]:8080", "192.0.2.7", "a..b", ".b"] {
            assert_eq!(location("%1S.%-2H", &machine(), host), None, "{host}");
        }
        let same = |host| location("%H", &machine(), host);
        assert_eq!(same("[fd98::1]:81").as_deref(), Some("http://[fd98::1]/a/b?c=d"));
        assert_eq!(same("192.0.2.7").as_deref(), Some("http://192.0.2.7/a/b?c=d"));
    }

    #[test]
    fn a_strange_target_makes_no_location() {
        for target in ["", "*", "http://other/", "/a b", "/a\r\nb"] {
            let request = Plain { host: "x", target, ..Plain::default() };
            assert!(!write(&[Piece::Address], &machine(), &request, &mut Vec::new()), "{target:?}");
        }
    }

    #[test]
    fn mistakes_in_a_format_are_named() {
        for (format, said) in [
            ("%X", "%X"),
            ("%2I", "%2I"),
            ("%0S", "1 to 255"),
            ("%-S", "1 to 255"),
            ("web%", "middle of a directive"),
            ("", "empty"),
            ("http://%S", "host and port"),
        ] {
            let problem = parse(format).unwrap_err();
            assert!(problem.contains(said), "{format}: {problem}");
        }
    }

    #[test]
    fn a_machine_knows_its_own_names() {
        let mut machine = machine();
        machine.service.name = Some("w3".into());
        for host in [
            "web3.cluster.example.com",
            "WEB3.cluster.example.com:8080",
            "w3",
            "w3.",
            "10.0.0.3:80",
        ] {
            assert!(is_own_name(&machine, host.as_bytes()), "{host}");
        }
        for host in ["", "www.example.com", "web3", "10.0.0.30"] {
            assert!(!is_own_name(&machine, host.as_bytes()), "{host}");
        }
    }
}

//! Who the client truly is: the sender, or whom a trusted sender or a peer names.
//!
//! A trusted forwarder names the client in `X-Forwarded-For` or, where that is missing, in `Forwarded`
//! (RFC 7239). Each forwarder adds whom it got the request from at the end, so the client is the last address
//! that is not itself a trusted forwarder; what stands before it is the client's own word. A name that is no
//! address (`unknown`, `_hidden`, garbage) says that nobody knows: such a client has the unspecified address, which
//! no rule lets in that does not let everybody in. The forwarder's own address would open what is open to the
//! machine it runs on, and what stands before the name may be the client's invention.

use std::net::{IpAddr, Ipv4Addr};

use base::AddrBlocks;
use http1::Name;

use super::conn::Entry;
use super::http::Request;
use crate::worker::Worker;

impl Request {
    /// The address of the client as rules, log and the application shall see it. `bytes` begin with the
    /// request's head; it was received from `remote`.
    pub(crate) fn true_client(
        &self,
        bytes: &[u8],
        (entry, remote): (Entry, IpAddr),
        w: &Worker,
    ) -> IpAddr {
        let believed = match entry {
            Entry::Peer => self.marked_client,
            Entry::Client if w.believes(remote) => {
                self.forwarded_client(bytes, &w.config.http.trusted)
            }
            Entry::Client => None,
        };
        believed.unwrap_or(remote)
    }

    fn forwarded_client(&self, bytes: &[u8], trusted: &AddrBlocks) -> Option<IpAddr> {
        let values =
            |kind| self.fields.iter().filter(move |f| f.kind == kind).map(|f| f.value.of(bytes));
        let mut chain = Chain { trusted, client: None, is_lost: false };
        // Most forwarders write only the older one; what they pass on of the other is the client's word.
        if values(Name::XForwardedFor).next().is_some() {
            let all = values(Name::XForwardedFor).flat_map(|value| value.split(|&b| b == b','));
            all.filter(|part| !part.trim_ascii().is_empty())
                .for_each(|part| chain.then(node(part)));
        } else {
            values(Name::Forwarded).for_each(|value| chain.then_all(value));
        }
        chain.end()
    }
}

/// The client whom a forwarder did not want to name.
const NOBODY_KNOWS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The way of a request from its client to us, read in the order in which it was written.
struct Chain<'a> {
    trusted: &'a AddrBlocks,
    client: Option<IpAddr>,
    /// The last who was no trusted forwarder is unknown.
    is_lost: bool,
}

impl Chain<'_> {
    fn then(&mut self, address: Option<IpAddr>) {
        match address {
            Some(address) if !self.trusted.contains(address) => {
                (self.client, self.is_lost) = (Some(address), false);
            }
            // The first of nothing but trusted ones is a client too: it asked itself.
            Some(address) if self.client.is_none() && !self.is_lost => self.client = Some(address),
            Some(_) => {}
            None => (self.client, self.is_lost) = (None, true),
        }
    }

    /// Whom the whole of it names; `None` if nobody is named.
    fn end(&self) -> Option<IpAddr> {
        if self.is_lost { Some(NOBODY_KNOWS) } else { self.client }
    }

    /// Reads the value of one `Forwarded` field.
    fn then_all(&mut self, mut value: &[u8]) {
        loop {
            let (element, rest) = cut(value, b',');
            // A list may have empty elements, which mean nothing (RFC 9110, 5.6.1.2).
            if element.is_none_or(|element| !element.trim_ascii().is_empty()) {
                self.then(element.and_then(named));
            }
            match rest {
                Some(rest) => value = rest,
                None => return,
            }
        }
    }
}

/// What comes before the first such byte outside of quotes, and what comes after it. The first is `None` if a
/// quote is not closed: then nothing of it can be told.
fn cut(value: &[u8], at: u8) -> (Option<&[u8]>, Option<&[u8]>) {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (i, &b) in value.iter().enumerate() {
        match b {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if b == at && !is_quoted => return (Some(&value[..i]), Some(&value[i + 1..])),
            _ => {}
        }
    }
    ((!is_quoted).then_some(value), None)
}

/// Whom one element of `Forwarded` names in its one `for`.
fn named(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut left = Some(element);
    while let Some(text) = left {
        let (pair, rest) = cut(text, b';');
        let pair = pair?;
        if let Some(at) = pair.iter().position(|&b| b == b'=')
            && pair[..at].trim_ascii().eq_ignore_ascii_case(b"for")
        {
            if found.is_some() {
                return None;
            }
            found = Some(pair[at + 1..].trim_ascii());
        }
        left = rest;
    }
    let value = found?;
    match value {
        [b'"', inner @ .., b'"'] => node(inner),
        _ => node(value),
    }
}

/// An address, which may have a port; `None` for everything else.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    let address = match text.parse() {
        Ok(address) => address,
        Err(_) => match text.strip_prefix('[') {
            Some(six) => {
                let (address, port) = six.split_once(']')?;
                (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(())?;
                IpAddr::V6(address.parse().ok()?)
            }
            None => {
                let (address, port) = text.split_once(':')?;
                is_port(port).then_some(())?;
                IpAddr::V4(address.parse().ok()?)
            }
        },
    };
    Some(address.to_canonical())
}

/// A number, or a name made up in its place (RFC 7239 section 6).
fn is_port(port: &str) -> bool {
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let made_up = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    digits || port.strip_prefix('_').is_some_and(made_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain<'a>(trusted: &'a AddrBlocks) -> Chain<'a> {
        Chain { trusted, client: None, is_lost: false }
    }

    fn trusted() -> AddrBlocks {
        AddrBlocks(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    #[test]
    fn the_last_who_is_not_trusted_is_the_client() {
        for (value, client) in [
            ("for=192.0.2.43", "192.0.2.43"),
            ("for=192.0.2.43;proto=https;by=203.0.113.43", "192.0.2.43"),
            ("by=203.0.113.43; FOR=192.0.2.43", "192.0.2.43"),
            ("for=\"192.0.2.43:47011\"", "192.0.2.43"),
            ("for=\"192.0.2.43:_obscure\"", "192.0.2.43"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
            ("for=\"[::ffff:192.0.2.1]\"", "192.0.2.1"),
            ("for=6.6.6.6, for=192.0.2.43, for=10.0.0.1", "192.0.2.43"),
            ("for=6.6.6.6,for=\"[2001:db8::1]\" , for=\"[fd00::1]:80\"", "2001:db8::1"),
            ("for=10.0.0.1, for=10.0.0.2", "10.0.0.1"),
            ("for=192.0.2.1;host=\"a,b;for=6.6.6.6\\\", for=6.6.6.6\"", "192.0.2.1"),
            ("for=_hidden, for=192.0.2.43", "192.0.2.43"),
            ("for=192.0.2.43, , ", "192.0.2.43"),
        ] {
            let trusted = trusted();
            let mut chain = chain(&trusted);
            chain.then_all(value.as_bytes());
            assert_eq!(chain.end(), Some(client.parse().unwrap()), "{value}");
        }
    }

    #[test]
    fn whoever_is_not_named_by_an_address_hides_what_stands_before() {
        for value in [
            "for=6.6.6.6, for=unknown",
            "for=6.6.6.6, for=_hidden",
            "for=6.6.6.6, for=_hidden, for=10.0.0.1",
            "for=6.6.6.6, for=\"_gazonk\"",
            "for=6.6.6.6, proto=https",
            "for=6.6.6.6, for=1.2.3.4;for=5.6.7.8",
            "for=6.6.6.6, for=\"1.2.3.4",
            "for=6.6.6.6, for=\"[2001:db8::1\"",
            "for=6.6.6.6, for=\"[2001:db8::1]x\"",
            "for=6.6.6.6, for=\"[1.2.3.4]\"",
            "for=6.6.6.6, for=1.2.3.4:",
            "for=6.6.6.6, for=1.2.3.4:port",
            "for=\"6.6.6.6, for=1.2.3.4",
        ] {
            let trusted = trusted();
            let mut chain = chain(&trusted);
            chain.then_all(value.as_bytes());
            assert_eq!(chain.end(), Some(NOBODY_KNOWS), "{value}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        let trusted = trusted();
        let mut chain = chain(&trusted);
        for value in ["for=6.6.6.6", "for=192.0.2.1", "for=10.0.0.1"] {
            chain.then_all(value.as_bytes());
        }
        assert_eq!(chain.end(), Some([192, 0, 2, 1].into()));
        chain.then_all(b"for=unknown");
        assert_eq!(chain.end(), Some(NOBODY_KNOWS));
    }
}

//! Heads to send on: what a relay must remove, may not touch, and has to add (RFC 9110 section 7.6, RFC 7239).

use alloc::vec::Vec;
use core::fmt::Write;
use core::net::IpAddr;

use crate::field::{Fields, Name};
use crate::request::{Framing, RequestHead};
use crate::response::{self, ResponseHead};

/// What a request says to the next hop beyond what its client said.
#[derive(Clone, Copy, Debug)]
pub struct Onward<'a> {
    /// The sender's address, which is appended to, or replaces, what the forwarding fields say.
    pub from: IpAddr,
    /// `http` or `https`.
    pub proto: &'a str,
    /// Whether the sender's own forwarding fields are believed and kept.
    pub trusted: bool,
    /// Whole lines to add, each with its CR LF: marks between peers.
    pub lines: &'a [u8],
}

/// Writes a request's head for the next hop: always HTTP/1.1, always a connection that stays, except for an upgrade.
pub fn request(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &RequestHead,
    fields: &Fields,
    onward: &Onward<'_>,
) {
    let head_bytes = &bytes[..head.len];
    out.extend_from_slice(head.method.of(head_bytes));
    out.push(b' ');
    out.extend_from_slice(head.target.of(head_bytes));
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let keep = |kind| match kind {
        Name::Other | Name::Host | Name::ContentLength | Name::Date => true,
        Name::Expect => head.expects_continue,
        Name::Upgrade => head.upgrade,
        Name::XForwardedFor | Name::XForwardedProto | Name::XForwardedHost | Name::Forwarded => {
            false
        }
        Name::TransferEncoding | Name::Connection | Name::OneHop | Name::Backhand | Name::Named => {
            false
        }
    };
    copy(out, head_bytes, fields, keep);
    if head.host.is_none() {
        // HTTP/1.0 without a host: HTTP/1.1 requires the field, empty if there is nothing to say (RFC 9112 section 3.2).
        out.extend_from_slice(b"Host: \r\n");
    } else if fields.first(Name::Host, head_bytes).is_none() {
        line(out, "Host", head.host.map_or(&[][..], |h| h.of(head_bytes)));
    }
    if head.framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if head.upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    forwarding(out, head_bytes, head, fields, onward);
    out.extend_from_slice(onward.lines);
    out.extend_from_slice(b"\r\n");
}

fn forwarding(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &RequestHead,
    fields: &Fields,
    onward: &Onward<'_>,
) {
    let host = head.host.map_or(&[][..], |h| h.of(bytes));
    let earlier = |kind| fields.first(kind, bytes).filter(|_| onward.trusted);
    out.extend_from_slice(b"X-Forwarded-For: ");
    list(out, bytes, fields, Name::XForwardedFor, onward.trusted);
    let mut text = Text(out);
    // Writing to a Vec cannot fail.
    let _ = write!(text, "{}\r\n", onward.from);
    line(
        out,
        "X-Forwarded-Proto",
        earlier(Name::XForwardedProto).unwrap_or(onward.proto.as_bytes()),
    );
    line(out, "X-Forwarded-Host", earlier(Name::XForwardedHost).unwrap_or(host));
    out.extend_from_slice(b"Forwarded: ");
    list(out, bytes, fields, Name::Forwarded, onward.trusted);
    let mut text = Text(out);
    let _ = match onward.from {
        IpAddr::V4(ip) => write!(text, "for={ip}"),
        IpAddr::V6(ip) => write!(text, "for=\"[{ip}]\""),
    };
    let _ = write!(text, ";proto={}", onward.proto);
    if !host.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host);
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

/// The believed values of a list field, each followed by a comma.
fn list(out: &mut Vec<u8>, bytes: &[u8], fields: &Fields, kind: Name, trusted: bool) {
    for field in fields.iter().filter(|f| trusted && f.kind == kind) {
        out.extend_from_slice(field.value.of(bytes));
        out.extend_from_slice(b", ");
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// What a response says to the client beyond what its origin said.
#[derive(Clone, Copy, Debug)]
pub struct Back<'a> {
    /// The client speaks HTTP/1.0, and is answered as it understands.
    pub client_10: bool,
    /// The connection to the client stays.
    pub keep_alive: bool,
    /// The date for an origin without one (RFC 9110 section 6.6.1).
    pub date: &'a [u8],
    /// The body leaves in chunks although it came otherwise.
    pub chunk: bool,
    /// Whole lines to add, each with its CR LF.
    pub lines: &'a [u8],
    /// Fields beginning with `backhand-` are from a peer and stay between peers. False passes them on, to a peer.
    pub strip_marks: bool,
}

/// Writes a response's head for the client. A chunked body goes to an HTTP/1.0 client decoded, and ends with the connection.
pub fn response(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &ResponseHead,
    fields: &Fields,
    back: &Back<'_>,
) {
    let head_bytes = &bytes[..head.len];
    let upgrade = head.status == 101;
    let mut text = Text(out);
    let _ = write!(text, "HTTP/1.1 {} ", head.status);
    out.extend_from_slice(head.reason.of(head_bytes));
    out.extend_from_slice(b"\r\n");
    let keep = |kind| match kind {
        Name::TransferEncoding | Name::Connection | Name::OneHop | Name::Named => false,
        Name::Upgrade => upgrade || head.status == 426,
        Name::Backhand => !back.strip_marks,
        _ => true,
    };
    copy(out, head_bytes, fields, keep);
    if fields.first(Name::Date, head_bytes).is_none() && head.status >= 200 {
        line(out, "Date", back.date);
    }
    if (head.framing == response::Framing::Chunked || back.chunk) && !back.client_10 {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    match (upgrade, back.keep_alive, back.client_10) {
        (true, ..) => out.extend_from_slice(b"Connection: upgrade\r\n"),
        _ if head.status < 200 => {}
        (_, false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (_, true, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (_, true, false) => {}
    }
    out.extend_from_slice(back.lines);
    out.extend_from_slice(b"\r\n");
}

/// Copies the lines whose kind is kept. Neighbours are copied together: mostly everything is kept.
fn copy(out: &mut Vec<u8>, head: &[u8], fields: &Fields, keep: impl Fn(Name) -> bool) {
    let mut run: Option<(usize, usize)> = None;
    for field in fields.iter() {
        let line = field.line(head);
        let (start, end) = (line.start as usize, line.end as usize);
        run = match (run, keep(field.kind)) {
            (Some((from, to)), true) if to == start => Some((from, end)),
            (earlier, kept) => {
                if let Some((from, to)) = earlier {
                    out.extend_from_slice(&head[from..to]);
                }
                kept.then_some((start, end))
            }
        };
    }
    if let Some((from, to)) = run {
        out.extend_from_slice(&head[from..to]);
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

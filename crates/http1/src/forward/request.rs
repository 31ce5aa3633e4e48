//! A request's head for the next hop.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{address, copy, line};
use crate::field::Fields;
use crate::name::Name;
use crate::request::{Framing, RequestHead};

/// What becomes of the fields that tell whence a request came (`X-Forwarded-*`, RFC 7239 `Forwarded`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// Anybody could have written them: they say what we see, and nothing else.
    #[default]
    Replace,
    /// The sender is trusted: its word stays, and what we see of it is added.
    Append,
    /// Another machine of the cluster has written them: they are right as they are. Missing ones are not added.
    Keep,
}

/// What a request says to the next hop beyond what its client said.
#[derive(Clone, Copy, Debug)]
pub struct Onward<'a> {
    /// The sender's address, which is appended to, or replaces, what the forwarding fields say.
    pub from: IpAddr,
    /// Whom a trusted sender named as the client, or the unspecified address for one that it would not name. With
    /// [`Forwarding::Append`] the family of fields that the sender did not write says it too.
    pub client: IpAddr,
    /// `http` or `https`.
    pub proto: &'a str,
    /// Whether the sender's own forwarding fields are believed.
    pub forwarding: Forwarding,
    /// The host for an HTTP/1.0 request that names none, since HTTP/1.1 must name one (RFC 9112 section 3.2): the
    /// address by which the client reached us. Must be a valid host.
    pub authority: &'a str,
    /// Whole lines to add, each with its CR LF: marks between peers.
    pub lines: &'a [u8],
}

/// What passes through whatever it says. `Host` is never touched.
const KEPT: u32 = Name::Other.bit()
    | Name::Host.bit()
    | Name::ContentLength.bit()
    | Name::Date.bit()
    | Name::ContentType.bit()
    | Name::UserAgent.bit()
    | Name::Referer.bit();

const FORWARDING: u32 = Name::XForwardedFor.bit()
    | Name::XForwardedProto.bit()
    | Name::XForwardedHost.bit()
    | Name::Forwarded.bit();

/// Writes a request's head for the next hop: always HTTP/1.1 (RFC 9110 section 7.6: the version is each hop's own),
/// always in origin or asterisk form (RFC 9112 section 3.2), always a connection that stays, except for an upgrade.
///
/// `bytes` begin with the head that `head` and `fields` were read from.
pub fn request(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &RequestHead,
    fields: &Fields,
    onward: &Onward<'_>,
) {
    let bytes = bytes.get(..head.len).unwrap_or_default();
    out.reserve(bytes.len() + onward.lines.len() + 256);
    out.extend_from_slice(head.method.of(bytes));
    out.push(b' ');
    out.extend_from_slice(if head.asterisk { b"*" } else { head.target.of(bytes) });
    out.extend_from_slice(b" HTTP/1.1\r\n");
    // RFC 9112 section 3.2: Host ought to come first, so one that we write does.
    if fields.field(Name::Host).is_none() {
        line(out, b"Host: ", head.host.map_or(onward.authority.as_bytes(), |host| host.of(bytes)));
    }
    copy(out, bytes, fields, kept(head, onward.forwarding));
    if head.framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if let Some(hops) = head.max_forwards {
        out.extend_from_slice(b"Max-Forwards: ");
        address::number(out, hops.saturating_sub(1));
        out.extend_from_slice(b"\r\n");
    }
    // RFC 9110 sections 7.8 and 10.1.4: both are for one hop and are named in Connection.
    match (head.upgrade, head.wants_trailers) {
        (false, false) => {}
        (true, false) => out.extend_from_slice(b"Connection: upgrade\r\n"),
        (false, true) => out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n"),
        (true, true) => out.extend_from_slice(b"TE: trailers\r\nConnection: upgrade, TE\r\n"),
    }
    if onward.forwarding != Forwarding::Keep {
        forwarding(out, bytes, head, fields, onward);
    }
    out.extend_from_slice(onward.lines);
    out.extend_from_slice(b"\r\n");
}

fn kept(head: &RequestHead, forwarding: Forwarding) -> u32 {
    let mut kept = KEPT;
    if head.expects_continue {
        kept |= Name::Expect.bit();
    }
    if head.upgrade {
        kept |= Name::Upgrade.bit();
    }
    if head.max_forwards.is_none() {
        kept |= Name::MaxForwards.bit();
    }
    if forwarding == Forwarding::Keep {
        kept |= FORWARDING;
    }
    kept
}

fn forwarding(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &RequestHead,
    fields: &Fields,
    onward: &Onward<'_>,
) {
    let trusted = onward.forwarding == Forwarding::Append;
    let host = head.host.map_or(onward.authority.as_bytes(), |host| host.of(bytes));
    let earlier = |kind| fields.first(kind, bytes).filter(|value| trusted && !value.is_empty());
    // A sender that wrote one family only means both: what would be written of our own would contradict it.
    let (old, new) = (earlier(Name::XForwardedFor).is_some(), earlier(Name::Forwarded).is_some());
    out.extend_from_slice(b"X-Forwarded-For: ");
    if trusted {
        list(out, bytes, fields, Name::XForwardedFor);
    }
    if new && !old {
        match onward.client.is_unspecified() {
            true => out.extend_from_slice(b"unknown"),
            false => address::plain(out, onward.client),
        }
        out.extend_from_slice(b", ");
    }
    address::plain(out, onward.from);
    out.extend_from_slice(b"\r\n");
    let ours = |text| Some(text).filter(|_| !new || old);
    let proto = earlier(Name::XForwardedProto);
    if let Some(proto) = proto.or(ours(onward.proto.as_bytes())) {
        line(out, b"X-Forwarded-Proto: ", proto);
    }
    if let Some(host) = earlier(Name::XForwardedHost).or(ours(host)) {
        line(out, b"X-Forwarded-Host: ", host);
    }
    out.extend_from_slice(b"Forwarded: ");
    if trusted {
        list(out, bytes, fields, Name::Forwarded);
    }
    if old && !new {
        out.extend_from_slice(b"for=");
        match onward.client.is_unspecified() {
            true => out.extend_from_slice(b"unknown"),
            false => address::node(out, onward.client),
        }
        if let Some(proto) = proto.filter(|proto| proto.iter().all(u8::is_ascii_alphanumeric)) {
            out.extend_from_slice(b";proto=");
            out.extend_from_slice(proto);
        }
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(b"for=");
    address::node(out, onward.from);
    line(out, b";proto=", onward.proto.as_bytes());
    // A host has no byte that would need escaping; the colon before a port needs the quotes (RFC 7239 section 4).
    if !host.is_empty() {
        out.truncate(out.len() - 2);
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host);
        out.extend_from_slice(b"\"\r\n");
    }
}

/// The believed values of a list field, each followed by a comma.
fn list(out: &mut Vec<u8>, bytes: &[u8], fields: &Fields, kind: Name) {
    for field in fields.iter().filter(|field| field.kind == kind) {
        let value = field.value.of(bytes);
        if !value.is_empty() {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
}

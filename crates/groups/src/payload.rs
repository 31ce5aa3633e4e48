//! What daemons tell each other through the ring.
//!
//! | first byte | then | service |
//! |---|---|---|
//! | 0x80 to 0xff | a client's message, as its receivers get it, little-endian: the mark in the type sets that bit | agreed, or safe for safe ones |
//! | 1 join, 2 leave | length of the private name, private name, length of the group, group | agreed |
//! | 3 end of a session | length of the private name, private name | agreed if the client asked, safe if its connection was lost |
//! | 4 state | one part of a table, see `state` | agreed |
//!
//! The daemon of a session is whoever sent the message. Bytes behind what is listed are for newer versions and not looked
//! at; other first bytes are skipped. Nothing a peer sends is trusted to be well formed.

use alloc::vec::Vec;

use bytes::Bytes;
use spread_wire::limits::{DESTINATIONS_MAX, HEADER_BYTES, NAME_FIELD_BYTES};
use spread_wire::{GroupName, Header, Order, PrivateName, Service, ServiceType};

const JOIN: u8 = 1;
const LEAVE: u8 = 2;
const END: u8 = 3;
const STATE: u8 = 4;
/// Set in the first byte of a client's message: the lower half of the little-endian mark.
const CLIENT: u8 = 0x80;

/// One message from the ring, but for states, which `exchange` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    Regular(Regular<'a>),
    Join(PrivateName, GroupName),
    Leave(PrivateName, GroupName),
    End(PrivateName),
    /// Of a kind that this version does not know.
    Unknown,
}

/// What is needed to deliver a client's message; the bytes themselves are passed on as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Regular<'a> {
    /// The sender's private group.
    pub(crate) sender: GroupName,
    pub(crate) service: Service,
    /// Not for the session that sent it.
    pub(crate) discards_self: bool,
    /// The destinations, in fields of 32 bytes.
    pub(crate) groups: &'a [u8],
}

/// The bytes are not what their first one announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Whether a message is part of a state.
pub(crate) fn is_state(message: &[u8]) -> bool {
    message.first() == Some(&STATE)
}

/// Whether a message says that it is a client's.
pub(crate) fn is_regular(message: &[u8]) -> bool {
    message.first().is_some_and(|kind| *kind >= CLIENT)
}

/// The first byte of a part of a state.
pub(crate) fn begin_state(out: &mut Vec<u8>) {
    out.push(STATE);
}

pub(crate) fn join(session: &PrivateName, group: &GroupName) -> Bytes {
    request(JOIN, session, Some(group))
}

pub(crate) fn leave(session: &PrivateName, group: &GroupName) -> Bytes {
    request(LEAVE, session, Some(group))
}

pub(crate) fn end(session: &PrivateName) -> Bytes {
    request(END, session, None)
}

fn request(kind: u8, session: &PrivateName, group: Option<&GroupName>) -> Bytes {
    let mut out = Vec::with_capacity(48);
    out.push(kind);
    for name in [Some(session.as_bytes()), group.map(GroupName::as_bytes)].into_iter().flatten() {
        out.push(name.len() as u8);
        out.extend_from_slice(name);
    }
    out.into()
}

/// Reads a message that is no state.
pub(crate) fn parse(message: &[u8]) -> Result<Payload<'_>, Malformed> {
    let (&kind, mut rest) = message.split_first().ok_or(Malformed)?;
    Ok(match kind {
        CLIENT.. => Payload::Regular(regular(message)?),
        JOIN => Payload::Join(private(&mut rest)?, group(&mut rest)?),
        LEAVE => Payload::Leave(private(&mut rest)?, group(&mut rest)?),
        END => Payload::End(private(&mut rest)?),
        _ => Payload::Unknown,
    })
}

fn name<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let (&length, after) = rest.split_first().ok_or(Malformed)?;
    let (name, after) = after.split_at_checked(length.into()).ok_or(Malformed)?;
    *rest = after;
    Ok(name)
}

fn private(rest: &mut &[u8]) -> Result<PrivateName, Malformed> {
    PrivateName::new(name(rest)?).map_err(|_| Malformed)
}

fn group(rest: &mut &[u8]) -> Result<GroupName, Malformed> {
    GroupName::new(name(rest)?).map_err(|_| Malformed)
}

/// Checks that clients can be given this message: one service, nothing that looks like a membership, true lengths.
fn regular(message: &[u8]) -> Result<Regular<'_>, Malformed> {
    let header = message.first_chunk::<HEADER_BYTES>().ok_or(Malformed)?;
    let (header, order) = Header::decode(header);
    let never = ServiceType::MEMBERSHIP_MESS | ServiceType::REJECT_MESS;
    if order != Order::Little || header.service.intersects(never) {
        return Err(Malformed);
    }
    let groups = usize::try_from(header.groups).map_err(|_| Malformed)?;
    let data = usize::try_from(header.data_length).map_err(|_| Malformed)?;
    if groups > DESTINATIONS_MAX {
        return Err(Malformed);
    }
    let (names, body) =
        message[HEADER_BYTES..].split_at_checked(groups * NAME_FIELD_BYTES).ok_or(Malformed)?;
    if body.len() != data {
        return Err(Malformed);
    }
    Ok(Regular {
        sender: header.name.ok_or(Malformed)?,
        service: header.service.service().ok_or(Malformed)?,
        discards_self: header.service.contains(ServiceType::SELF_DISCARD),
        groups: names,
    })
}

/// A client's message as this machine's clients read it: the very bytes on a little-endian machine, a copy with another
/// header on others.
pub(crate) fn in_native_order(message: &Bytes) -> Bytes {
    if Order::NATIVE == Order::Little {
        return message.clone();
    }
    let Some(header) = message.first_chunk::<HEADER_BYTES>() else { return message.clone() };
    let mut out = message.to_vec();
    out[..HEADER_BYTES].copy_from_slice(&Header::decode(header).0.encode());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spread_wire::Hint;

    fn names() -> (PrivateName, GroupName) {
        (PrivateName::new(b"alice").unwrap(), GroupName::new(b"room").unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        let (alice, room) = names();
        assert_eq!(parse(&join(&alice, &room)), Ok(Payload::Join(alice, room)));
        assert_eq!(parse(&leave(&alice, &room)), Ok(Payload::Leave(alice, room)));
        assert_eq!(parse(&end(&alice)), Ok(Payload::End(alice)));
    }

    #[test]
    fn a_newer_version_may_add_bytes_and_kinds() {
        let (alice, room) = names();
        let mut longer = join(&alice, &room).to_vec();
        longer.extend_from_slice(b"more");
        assert_eq!(parse(&longer), Ok(Payload::Join(alice, room)));
        assert_eq!(parse(&[77, 1, 2, 3]), Ok(Payload::Unknown));
    }

    #[test]
    fn a_message_that_would_look_like_a_membership_is_refused() {
        let header = |service| Header {
            service,
            name: GroupName::destination(b"#alice#alpha").ok(),
            groups: 0,
            hint: Hint::default(),
            data_length: 0,
        };
        let good = header(ServiceType::SAFE_MESS).encode_in(Order::Little);
        assert!(matches!(parse(&good), Ok(Payload::Regular(_))));
        for bits in [ServiceType::REG_MEMB_MESS, ServiceType::REJECT_MESS, ServiceType::FIFO_MESS] {
            let bad = header(ServiceType::SAFE_MESS | bits).encode_in(Order::Little);
            assert_eq!(parse(&bad), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_cut_message_is_taken_for_whole(cut in 0..10usize) {
            let (alice, room) = names();
            let whole = join(&alice, &room);
            prop_assert_eq!(parse(&whole[..cut]), Err(Malformed));
        }
    }
}

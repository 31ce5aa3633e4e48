//! What a client receives, read incrementally (protocol reference, 3.7 to 3.11 and 4).
//!
//! Memory: the decoder keeps one header. The caller's buffer never needs more than the length limit of [`Decoder::new`]
//! and one read of [`Decoder::room`] bytes, whatever the daemon sends.

use bytes::BytesMut;

use crate::error::ErrorCode;
use crate::framing;
use crate::header::{Header, Order};
use crate::limits::{HEADER_BYTES, MEMBERS_MAX, NAME_FIELD_BYTES};
use crate::membership::{Membership, Transitional};
use crate::name::GroupName;
use crate::names::Names;
use crate::regular::Regular;
use crate::reject::{OLD_TYPE_BYTES, Reject};
use crate::service::ServiceType;

/// Bytes of the longest message that a daemon has reason to send: a change of the daemons that names every member twice.
pub const LENGTH_MAX: usize = 2 * MEMBERS_MAX * NAME_FIELD_BYTES + 65_536;

/// Something a daemon says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message for a group this session is in, or for itself.
    Regular(Regular),
    /// The members of a group changed.
    Membership(Membership),
    /// What follows may not reach members that are cut off.
    Transitional(Transitional),
    /// This session has left the group.
    SelfLeave(GroupName),
    /// A message of this session was rejected.
    Reject(Reject),
}

/// Why a message of the daemon cannot be read. The session is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A number in the header is negative.
    #[error("the daemon announced {groups} names and {data} bytes; neither can be negative")]
    Negative {
        /// Names.
        groups: i32,
        /// Bytes of the body.
        data: i32,
    },
    /// It announces more than this client takes.
    #[error(
        "the daemon announced {groups} names and {data} bytes; this client takes {max} bytes in all"
    )]
    Long {
        /// Names.
        groups: i32,
        /// Bytes of the body.
        data: i32,
        /// What is taken.
        max: usize,
    },
    /// The service type says nothing.
    #[error("the daemon sent service type {0}, which is no kind of message")]
    Kind(ServiceType),
    /// The body of a membership message contradicts itself.
    #[error(
        "the daemon sent a membership message of type {0} whose body contradicts itself; daemons before version 4 are not understood"
    )]
    Membership(ServiceType),
}

impl Malformed {
    /// The code that the original's library would return.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Long { .. } => ErrorCode::BufferTooShort,
            Self::Negative { .. } | Self::Kind(_) | Self::Membership(_) => {
                ErrorCode::IllegalMessage
            }
        }
    }
}

/// Reads what the daemon sends in one session. After an error it reads nothing more.
#[derive(Clone, Debug)]
pub struct Decoder {
    length_max: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Content(Content),
    Broken(Malformed),
}

#[derive(Clone, Copy, Debug)]
struct Content {
    header: Header,
    order: Order,
    kind: Kind,
    names: usize,
    total: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Regular,
    Membership,
    Transitional,
    SelfLeave,
    Reject,
}

impl Kind {
    /// Looked at in the order of the original's library: what is rejected is nothing else, and what has a service is no
    /// membership.
    fn of(service: ServiceType) -> Option<Self> {
        Some(if service.contains(ServiceType::REJECT_MESS) {
            Self::Reject
        } else if service.intersects(ServiceType::REGULAR_MESS) {
            Self::Regular
        } else if service.contains(ServiceType::TRANSITION_MESS) {
            Self::Transitional
        } else if service.contains(ServiceType::REG_MEMB_MESS) {
            Self::Membership
        } else if service.contains(ServiceType::CAUSED_BY_LEAVE) {
            Self::SelfLeave
        } else {
            return None;
        })
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(LENGTH_MAX)
    }
}

impl Decoder {
    /// Takes messages of at most `length_max` bytes, names and body together.
    pub fn new(length_max: usize) -> Self {
        Self { length_max, state: State::Header }
    }

    /// Takes the next event off the front of `buffer`. `None` if not all of it has come yet: read more and ask again;
    /// what was used is gone from `buffer` already.
    ///
    /// # Errors
    /// The daemon sent what it cannot mean. Every later call says the same.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Event>, Malformed> {
        let read = self.next(buffer);
        if let Err(why) = read {
            self.state = State::Broken(why);
        }
        read
    }

    /// How many bytes to make room for before the next read into a buffer that has `buffered`: 8 to 64 KiB.
    pub fn room(&self, buffered: usize) -> usize {
        let needed = match self.state {
            State::Content(content) => content.total,
            _ => HEADER_BYTES,
        };
        framing::room(needed, buffered)
    }

    fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Event>, Malformed> {
        let content = match self.state {
            State::Content(content) => content,
            State::Broken(why) => return Err(why),
            State::Header => match framing::header(buffer) {
                None => return Ok(None),
                Some((header, order)) => self.content(header, order)?,
            },
        };
        self.state = State::Content(content);
        let Content { header, order, kind, names, total } = content;
        let Some(mut body) = framing::take(buffer, total) else { return Ok(None) };
        self.state = State::Header;
        let old_type =
            if kind == Kind::Reject { body.split_to(OLD_TYPE_BYTES) } else { body.slice(..0) };
        let groups = Names::from_fields(body.split_to(names));
        let malformed = Malformed::Membership(header.service);
        Ok(Some(match kind {
            Kind::Regular => Event::Regular(Regular {
                service: header.service,
                sender: header.name,
                hint: header.hint,
                groups,
                body,
            }),
            Kind::Membership => Event::Membership(
                Membership::decode(&header, order, groups, body).ok_or(malformed)?,
            ),
            Kind::Transitional => {
                Event::Transitional(Transitional::decode(&header, order, body).ok_or(malformed)?)
            }
            Kind::SelfLeave => Event::SelfLeave(header.name.ok_or(malformed)?),
            Kind::Reject => {
                let bits = old_type.first_chunk().map_or(0, |bytes| order.read_u32(*bytes));
                let old_type = ServiceType::from_bits(bits);
                Event::Reject(Reject::decode(&header, old_type, groups, body))
            }
        }))
    }

    fn content(&self, header: Header, order: Order) -> Result<Content, Malformed> {
        let Header { service, groups, data_length: data, .. } = header;
        let (Ok(names), Ok(body)) = (usize::try_from(groups), usize::try_from(data)) else {
            return Err(Malformed::Negative { groups, data });
        };
        let kind = Kind::of(service).ok_or(Malformed::Kind(service))?;
        let max = self.length_max;
        let names = names.saturating_mul(NAME_FIELD_BYTES);
        let length = names.saturating_add(body);
        if length > max {
            return Err(Malformed::Long { groups, data, max });
        }
        let old_type = if kind == Kind::Reject { OLD_TYPE_BYTES } else { 0 };
        Ok(Content { header, order, kind, names, total: old_type + length })
    }
}

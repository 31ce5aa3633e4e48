//! What a client says to its daemon, read incrementally and checked (protocol reference, 3.5 and 3.6).
//!
//! Each rule of section 3.6 that is broken ends the session, with a [`Violation`] that says which. Where that section
//! lists a defect of the original, the right thing is done: 100 destinations, messages of the full documented size, no
//! bits that would make a message look like a membership, no joins of names that nobody may join.
//!
//! Memory: the decoder keeps one header. The caller's buffer never needs more than [`BODY_AND_NAMES_MAX`] and one read
//! of [`Decoder::room`] bytes, whatever the client sends.

use bytes::BytesMut;

use crate::framing;
use crate::header::{Header, Hint};
use crate::limits::{BODY_AND_NAMES_MAX, DESTINATIONS_MAX, HEADER_BYTES, NAME_FIELD_BYTES};
use crate::name::{GroupName, PrivateGroup};
use crate::names::Names;
use crate::regular::Regular;
use crate::service::{Request, ServiceType};

/// One message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Make me a member. The name is one that may be joined.
    Join(GroupName),
    /// Make me no member any more. The name is one that may be joined.
    Leave(GroupName),
    /// The session ends. What follows is not read.
    Kill,
    /// Deliver this.
    Multicast(Regular),
    /// A message without effect; the session goes on.
    Ignored(Ignored),
}

/// Why a message has no effect. The original creates such groups; its library would not ask for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// A join that names no group.
    #[error("a join without a group was ignored")]
    JoinNothing,
    /// A leave that names no group.
    #[error("a leave without a group was ignored")]
    LeaveNothing,
    /// A join of a group that nobody may join.
    #[error("a join of {0} was ignored: a group's name has the characters from '$' to '~' only")]
    Join(GroupName),
    /// A leave of a group that nobody can have joined.
    #[error("a leave of {0} was ignored: nobody can have joined a group of such a name")]
    Leave(GroupName),
}

/// Which rule a client broke. Its session ends, without a word, as if it had disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not exactly one of the six services, join, leave and kill (rule 1).
    #[error(
        "the client sent service type {0}; exactly one of the services, join, leave and kill must be set"
    )]
    Request(ServiceType),
    /// The bit of messages between daemons of the original.
    #[error("the client sent service type {0}, with a bit that only daemons may set")]
    DaemonsOnly(ServiceType),
    /// The name field is not the session's own private group (rule 2).
    #[error("the client named {found:?} as the sender of its message, and is {own}")]
    Sender {
        /// What it named.
        found: Option<GroupName>,
        /// What it is.
        own: PrivateGroup,
    },
    /// Too many names, or a negative number (rule 3).
    #[error("the client announced {0} group names; 0 to {DESTINATIONS_MAX} are possible")]
    Groups(i32),
    /// Bits of the hint beside the mark and the application's 16 (rule 4).
    #[error("the client sent the hint {0:02x?}, with bits beside the 16 of the application")]
    Hint([u8; 4]),
    /// Body and names are too long, or a length is negative (rule 5).
    #[error(
        "the client announced a body of {data} bytes and {groups} names of 32; together at most {BODY_AND_NAMES_MAX} bytes are possible"
    )]
    Length {
        /// Bytes of the body.
        data: i32,
        /// Names.
        groups: i32,
    },
}

/// Reads what one client sends. After a violation, and after [`ClientMessage::Kill`], it reads nothing more.
#[derive(Clone, Debug)]
pub struct Decoder {
    own: PrivateGroup,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Content(Content),
    Killed,
    Broken(Violation),
}

/// What a header that was found in order announces.
#[derive(Clone, Copy, Debug)]
struct Content {
    request: Request,
    service: ServiceType,
    hint: Hint,
    names: usize,
    data: usize,
}

impl Content {
    fn total(&self) -> usize {
        self.names + self.data
    }
}

impl Decoder {
    /// Reads the session whose private group is `own`.
    pub fn new(own: PrivateGroup) -> Self {
        Self { own, state: State::Header }
    }

    /// Takes the next message off the front of `buffer`. `None` if not all of it has come yet: read more and ask again;
    /// what was used is gone from `buffer` already.
    ///
    /// # Errors
    /// The client broke a rule, which is known as soon as its header is there. Every later call says the same.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<ClientMessage>, Violation> {
        let content = match self.state {
            State::Content(content) => content,
            State::Killed => return Ok(None),
            State::Broken(why) => return Err(why),
            State::Header => match framing::header(buffer) {
                None => return Ok(None),
                Some((header, _)) => match self.check(&header) {
                    Ok(content) => content,
                    Err(why) => {
                        self.state = State::Broken(why);
                        return Err(why);
                    }
                },
            },
        };
        self.state = State::Content(content);
        let Some(mut body) = framing::take(buffer, content.total()) else { return Ok(None) };
        let groups = Names::from_fields(body.split_to(content.names));
        self.state = State::Header;
        Ok(Some(match content.request {
            Request::Kill => {
                self.state = State::Killed;
                ClientMessage::Kill
            }
            // The original looks at the first name only.
            Request::Join => match groups.get(0) {
                Some(group) if group.is_joinable() => ClientMessage::Join(group),
                Some(group) => ClientMessage::Ignored(Ignored::Join(group)),
                None => ClientMessage::Ignored(Ignored::JoinNothing),
            },
            Request::Leave => match groups.get(0) {
                Some(group) if group.is_joinable() => ClientMessage::Leave(group),
                Some(group) => ClientMessage::Ignored(Ignored::Leave(group)),
                None => ClientMessage::Ignored(Ignored::LeaveNothing),
            },
            Request::Multicast(_) => ClientMessage::Multicast(Regular {
                service: content.service,
                sender: Some(*self.own.group()),
                hint: content.hint,
                groups,
                body,
            }),
        }))
    }

    /// How many bytes to make room for before the next read into a buffer that has `buffered`: 8 to 64 KiB. It grows with
    /// what came, not with what was announced.
    pub fn room(&self, buffered: usize) -> usize {
        let needed = match self.state {
            State::Content(content) => content.total(),
            _ => HEADER_BYTES,
        };
        framing::room(needed, buffered)
    }

    /// Whether a message has begun and not ended: what a deadline for slow senders looks at. `buffered` is what the
    /// caller's buffer holds.
    pub fn is_within_message(&self, buffered: usize) -> bool {
        matches!(self.state, State::Content(_)) || buffered > 0
    }

    /// The rules, in the order of section 3.6.
    fn check(&self, header: &Header) -> Result<Content, Violation> {
        let service = header.service;
        let request = service.request().ok_or(Violation::Request(service))?;
        if service.intersects(ServiceType::GROUPS_MESS) {
            return Err(Violation::DaemonsOnly(service));
        }
        if header.name.as_ref() != Some(self.own.group()) {
            return Err(Violation::Sender { found: header.name, own: self.own });
        }
        let groups = usize::try_from(header.groups).ok();
        let groups = groups.filter(|&groups| groups <= DESTINATIONS_MAX);
        let names = groups.ok_or(Violation::Groups(header.groups))? * NAME_FIELD_BYTES;
        if !header.hint.is_legal() {
            return Err(Violation::Hint(header.hint.to_bytes()));
        }
        let data = usize::try_from(header.data_length).ok();
        let data = data.filter(|&data| data <= BODY_AND_NAMES_MAX - names);
        let wrong = Violation::Length { data: header.data_length, groups: header.groups };
        let data = data.ok_or(wrong)?;
        // What makes a message look like a membership or a reject to those who receive it.
        let service = service & !(ServiceType::MEMBERSHIP_MESS | ServiceType::REJECT_MESS);
        Ok(Content { request, service, hint: header.hint, names, data })
    }
}

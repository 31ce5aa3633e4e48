//! What a client sends: joins, leaves, messages, the end (protocol reference, 3.5).

use bytes::Bytes;

use crate::error::ErrorCode;
use crate::header::{Header, Hint, Order};
use crate::limits::{BODY_AND_NAMES_MAX, DESTINATIONS_MAX, NAME_FIELD_BYTES};
use crate::name::{GroupName, PrivateGroup};
use crate::names::Names;
use crate::regular::begin;
use crate::service::{Service, ServiceType};

/// Why a message was not sent. The daemon would end the session for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A join or leave of a group that nobody may join.
    #[error(
        "the group {0} cannot be joined or left; its name may have the characters from '$' to '~' only"
    )]
    Group(GroupName),
    /// More destinations than a message can have.
    #[error("the message has {count} destinations; at most {max} are possible, so send it twice")]
    Destinations {
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// Body and names are too long.
    #[error(
        "the message has a body of {body} bytes and {groups} destinations of 32; together at most {max} bytes are possible"
    )]
    Length {
        /// Bytes of the body.
        body: usize,
        /// Destinations.
        groups: usize,
        /// Bytes that both may have together.
        max: usize,
    },
}

impl SendError {
    /// The code that the original's library would return.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Group(_) => ErrorCode::IllegalGroup,
            Self::Destinations { .. } => ErrorCode::IllegalMessage,
            Self::Length { .. } => ErrorCode::MessageTooLong,
        }
    }
}

/// A message to be delivered.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// How it is ordered.
    pub service: Service,
    /// Whether it is not to come back to this session.
    pub self_discard: bool,
    /// 16 bits for the application.
    pub kind: i16,
    /// Where it goes: groups and private groups. Without any it goes nowhere.
    pub groups: &'a [GroupName],
    /// The application's bytes.
    pub body: &'a [u8],
}

/// Writes the messages of one session.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    own: PrivateGroup,
    order: Order,
    body_and_names_max: usize,
    destinations_max: usize,
}

impl Sender {
    /// Writes for the session whose private group is `own`, in this machine's order, to the full documented sizes.
    pub fn new(own: PrivateGroup) -> Self {
        Self {
            own,
            order: Order::NATIVE,
            body_and_names_max: BODY_AND_NAMES_MAX,
            destinations_max: DESTINATIONS_MAX,
        }
    }

    /// Writes in another order.
    pub fn in_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Takes only messages up to these sizes; see [`PORTABLE_BYTES_MAX`](crate::limits::PORTABLE_BYTES_MAX) and
    /// [`PORTABLE_DESTINATIONS_MAX`](crate::limits::PORTABLE_DESTINATIONS_MAX) for the original daemon. Larger limits
    /// than the protocol's have no effect.
    pub fn up_to(self, body_and_names: usize, destinations: usize) -> Self {
        Self {
            body_and_names_max: body_and_names.min(BODY_AND_NAMES_MAX),
            destinations_max: destinations.min(DESTINATIONS_MAX),
            ..self
        }
    }

    /// The session's private group.
    pub fn own(&self) -> &PrivateGroup {
        &self.own
    }

    /// Asks to become a member of `group`.
    ///
    /// # Errors
    /// Nobody may join such a group.
    pub fn join(&self, group: &GroupName) -> Result<Bytes, SendError> {
        self.request(ServiceType::JOIN_MESS, group)
    }

    /// Asks to be no member of `group` any more.
    ///
    /// # Errors
    /// Nobody may join such a group.
    pub fn leave(&self, group: &GroupName) -> Result<Bytes, SendError> {
        self.request(ServiceType::LEAVE_MESS, group)
    }

    /// Ends the session; then close.
    pub fn kill(&self) -> Bytes {
        self.short(ServiceType::KILL_MESS, self.own.group())
    }

    /// Header and names of a message, to be followed by its body, which need not be copied.
    ///
    /// # Errors
    /// It is too large.
    pub fn head(&self, message: &Outgoing<'_>) -> Result<Bytes, SendError> {
        self.multicast(message, 0).map(bytes::BytesMut::freeze)
    }

    /// A whole message.
    ///
    /// # Errors
    /// It is too large.
    pub fn message(&self, message: &Outgoing<'_>) -> Result<Bytes, SendError> {
        let mut bytes = self.multicast(message, message.body.len())?;
        bytes.extend_from_slice(message.body);
        Ok(bytes.freeze())
    }

    fn request(&self, service: ServiceType, group: &GroupName) -> Result<Bytes, SendError> {
        if !group.is_joinable() {
            return Err(SendError::Group(*group));
        }
        Ok(self.short(service, group))
    }

    fn short(&self, service: ServiceType, group: &GroupName) -> Bytes {
        let header = self.header(service, 1, 0, 0);
        begin(&header, self.order, &Names::new([group]), 0).freeze()
    }

    fn multicast(&self, message: &Outgoing<'_>, room: usize) -> Result<bytes::BytesMut, SendError> {
        let (groups, body) = (message.groups.len(), message.body.len());
        if groups > self.destinations_max {
            return Err(SendError::Destinations { count: groups, max: self.destinations_max });
        }
        let max = self.body_and_names_max;
        if body > max.saturating_sub(groups * NAME_FIELD_BYTES) {
            return Err(SendError::Length { body, groups, max });
        }
        let mut service = ServiceType::from(message.service);
        if message.self_discard {
            service = service | ServiceType::SELF_DISCARD;
        }
        let header = self.header(service, groups as i32, message.kind, body as i32);
        Ok(begin(&header, self.order, &Names::new(message.groups), room))
    }

    fn header(&self, service: ServiceType, groups: i32, kind: i16, data_length: i32) -> Header {
        let hint = Hint::new(kind, self.order);
        Header { service, name: Some(*self.own.group()), groups, hint, data_length }
    }
}

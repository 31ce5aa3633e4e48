//! A message that comes back to its sender, because the access control or a limit rejected it (protocol reference, 3.11).
//!
//! Its form is unlike the others: the old type stands between header and names and counts nowhere, and the sender's own
//! group is appended to the names.

use bytes::{BufMut, Bytes, BytesMut};

use crate::header::{Header, Hint, Order};
use crate::limits::DESTINATIONS_MAX;
use crate::name::{GroupName, PrivateGroup};
use crate::names::Names;
use crate::regular::Regular;
use crate::service::ServiceType;

/// Bytes of the old type, which follow the header and are in no count.
pub(crate) const OLD_TYPE_BYTES: usize = 4;

/// A rejected message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// What it was: the service of a message, or [`ServiceType::CAUSED_BY_JOIN`] of a join, or
    /// [`ServiceType::CAUSED_BY_LEAVE`] of a leave.
    pub service: ServiceType,
    /// The name in the header: the private group of the sender.
    pub sender: Option<GroupName>,
    /// The application's 16 bits.
    pub hint: Hint,
    /// The groups it named, and last the sender's own.
    pub groups: Names,
    /// The application's bytes.
    pub body: Bytes,
}

impl Reject {
    /// The reject of a message from `sender`.
    pub fn of_message(sender: &PrivateGroup, message: &Regular) -> Self {
        // With 100 destinations there is no room for one more, so it takes the last one's place.
        let kept = message.groups.iter().take(DESTINATIONS_MAX - 1);
        Self {
            service: message.service,
            sender: Some(*sender.group()),
            hint: message.hint,
            groups: kept.chain([*sender.group()]).collect(),
            body: message.body.clone(),
        }
    }

    /// The reject of a join of `group`.
    pub fn of_join(sender: &PrivateGroup, group: GroupName, order: Order) -> Self {
        Self {
            service: ServiceType::CAUSED_BY_JOIN,
            sender: Some(*sender.group()),
            hint: Hint::new(0, order),
            groups: Names::new([&group, sender.group()]),
            body: Bytes::new(),
        }
    }

    /// The whole message in `order`.
    pub fn encode(&self, order: Order) -> Bytes {
        let header = Header {
            service: ServiceType::REJECT_MESS | (self.service & ServiceType::SELF_DISCARD),
            name: self.sender,
            groups: self.groups.len() as i32,
            hint: self.hint,
            data_length: self.body.len() as i32,
        };
        let mut bytes = BytesMut::new();
        bytes.put_slice(&header.encode_in(order));
        bytes.put_slice(&order.u32(self.service.bits()));
        bytes.put_slice(self.groups.as_bytes());
        bytes.put_slice(&self.body);
        bytes.freeze()
    }

    pub(crate) fn decode(
        header: &Header,
        old_type: ServiceType,
        groups: Names,
        body: Bytes,
    ) -> Self {
        Self { service: old_type, sender: header.name, hint: header.hint, groups, body }
    }
}

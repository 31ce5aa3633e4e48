//! A regular message: what an application says to groups.
//!
//! From a client to its daemon and from a daemon to a client it has the same form; a delivery differs from what was sent
//! only in the byte order of the header (protocol reference, 3.7).

use bytes::{Bytes, BytesMut};

use crate::header::{Header, Hint, Order};
use crate::limits::{HEADER_BYTES, NAME_FIELD_BYTES};
use crate::name::GroupName;
use crate::names::Names;
use crate::service::{Service, ServiceType};

/// A regular message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regular {
    /// Its service, with [`ServiceType::SELF_DISCARD`] and whatever else its sender set.
    pub service: ServiceType,
    /// The private group of its sender. A daemon of another make may have sent an empty field.
    pub sender: Option<GroupName>,
    /// The application's 16 bits, as the sender wrote them.
    pub hint: Hint,
    /// All its destinations, as the sender named them.
    pub groups: Names,
    /// The application's bytes.
    pub body: Bytes,
}

impl Regular {
    /// How it is ordered; `None` if not exactly one service is named.
    pub fn service(&self) -> Option<Service> {
        self.service.service()
    }

    /// Whether it is not to be delivered to the session that sent it.
    pub fn discards_self(&self) -> bool {
        self.service.contains(ServiceType::SELF_DISCARD)
    }

    /// The header and the names in `order`; the body follows as it is.
    pub fn head(&self, order: Order) -> Bytes {
        self.begin(order, 0).freeze()
    }

    /// The whole message in `order`.
    pub fn encode(&self, order: Order) -> Bytes {
        let mut bytes = self.begin(order, self.body.len());
        bytes.extend_from_slice(&self.body);
        bytes.freeze()
    }

    /// Bytes of the whole message.
    pub fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.groups.as_bytes().len() + self.body.len()
    }

    fn begin(&self, order: Order, room: usize) -> BytesMut {
        let header = Header {
            service: self.service,
            name: self.sender,
            groups: self.groups.len() as i32,
            hint: self.hint,
            data_length: self.body.len() as i32,
        };
        begin(&header, order, &self.groups, room)
    }
}

/// A header and names, with room for what follows.
pub(crate) fn begin(header: &Header, order: Order, names: &Names, room: usize) -> BytesMut {
    let head = HEADER_BYTES + names.len() * NAME_FIELD_BYTES;
    let mut bytes = BytesMut::with_capacity(head + room);
    bytes.extend_from_slice(&header.encode_in(order));
    bytes.extend_from_slice(names.as_bytes());
    bytes
}

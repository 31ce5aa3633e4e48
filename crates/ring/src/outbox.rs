//! Datagrams that wait to be sent.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::wire::{Message, Tag};

/// To whom a datagram goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// To one daemon, where it was last heard from.
    Peer(Tag),
    /// For everybody, to where this daemon was last heard from: another may run there now.
    Door(Tag),
    /// To the segment's multicast or broadcast address, if there is one.
    Group,
    /// To every configured address where daemons may be.
    Seeds,
}

/// A datagram to be sealed and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub to: To,
    /// What.
    pub datagram: Bytes,
}

/// How what is for all members reaches them: by multicast where that is heard, one by one elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fan {
    pub(crate) group: bool,
    pub(crate) singly: Vec<Tag>,
    /// One daemon at each other site, which passes it on there.
    pub(crate) relays: Vec<Tag>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Transmit>,
}

impl Outbox {
    pub(crate) fn send(&mut self, to: Tag, message: &Message<'_>) {
        self.put(To::Peer(to), message.encode().into());
    }

    pub(crate) fn put(&mut self, to: To, datagram: Bytes) {
        self.waiting.push_back(Transmit { to, datagram });
    }

    /// To all members.
    pub(crate) fn fan(&mut self, fan: &Fan, message: &Message<'_>) {
        self.fan_near(fan, message);
        if !fan.relays.is_empty() {
            let datagram = Bytes::from(message.to_be_relayed().encode());
            for &tag in &fan.relays {
                self.put(To::Peer(tag), datagram.clone());
            }
        }
    }

    /// To the members at our site.
    pub(crate) fn fan_near(&mut self, fan: &Fan, message: &Message<'_>) {
        let datagram = Bytes::from(message.encode());
        if fan.group {
            self.put(To::Group, datagram.clone());
        }
        for &tag in &fan.singly {
            self.put(To::Peer(tag), datagram.clone());
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Transmit> {
        self.waiting.pop_front()
    }
}

//! What was heard: who says or asks what about which address.

use std::net::IpAddr;

use vip::conflict::Claim;

use super::frame::{ARP, HEADER, IPV6};
use super::{Mac, arp, discovery};

/// An ARP packet or a message of neighbour discovery. Anybody on the network can have sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The kernel's number of the interface on which it came.
    pub interface: u32,
    /// The Ethernet address that the frame came from.
    pub from: Mac,
    /// The Ethernet address that the packet says its sender has (for an advertisement: that the target has). Nearly always the same.
    pub mac: Mac,
    /// The address that sends it; unspecified for [`Kind::Probe`].
    pub sender: IpAddr,
    /// The address that it is about.
    pub target: IpAddr,
    /// What it is.
    pub kind: Kind,
}

/// What somebody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ARP: who has the target?
    Request,
    /// ARP: the sender is here, said to the target.
    Reply,
    /// ARP or IPv6, without a sender: does somebody have the target? I would take it.
    Probe,
    /// ARP: the sender is here, said to everybody (sender and target are the same).
    Announcement,
    /// IPv6: who has the target?
    Solicitation,
    /// IPv6: the target is here.
    Advertisement,
}

/// Why a frame is none that we understand. It is counted and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It ends before its fields do.
    #[error("the frame is too short for what it says it is")]
    Length,
    /// Neither ARP nor ICMPv6.
    #[error("the frame carries neither ARP nor ICMPv6")]
    Protocol,
    /// ARP for something else than IPv4 on Ethernet.
    #[error("the ARP packet is not for IPv4 on Ethernet")]
    Hardware,
    /// An operation, message or code that we do not know.
    #[error("the packet is neither request, reply, solicitation nor advertisement")]
    Operation,
    /// An address that nobody can have in its place.
    #[error("the packet names an address that cannot stand there")]
    Address,
    /// It came through a router, or pretends to be a message that cannot.
    #[error("the message of neighbour discovery came from another network")]
    Hops,
    /// The check sum is wrong.
    #[error("the check sum is wrong")]
    Checksum,
    /// Options without length, cut, or of a wrong length.
    #[error("the options are malformed")]
    Options,
}

/// Reads a frame as a packet socket gives it. Never panics: anybody on the network can send us bytes.
pub fn read(interface: u32, frame: &[u8]) -> Result<Event, Refused> {
    let (header, rest) = frame.split_first_chunk::<HEADER>().ok_or(Refused::Length)?;
    let [_, _, _, _, _, _, a, b, c, d, e, f, t0, t1] = *header;
    let from = Mac([a, b, c, d, e, f]);
    match u16::from_be_bytes([t0, t1]) {
        _ if !from.is_station() => Err(Refused::Address),
        ARP => arp::read(interface, from, rest),
        IPV6 => discovery::read(interface, from, rest),
        _ => Err(Refused::Protocol),
    }
}

impl Event {
    /// Which address is claimed at [`mac`](Self::mac), and how. Whoever asks or answers has the address that he does it with.
    pub fn claim(&self) -> (IpAddr, Claim) {
        match self.kind {
            Kind::Request | Kind::Reply | Kind::Announcement | Kind::Solicitation => {
                (self.sender, Claim::Has)
            }
            Kind::Advertisement => (self.target, Claim::Has),
            Kind::Probe => (self.target, Claim::Wants),
        }
    }

    /// The address that somebody wants to be told about, if he does. Who only probes learns nothing from an answer.
    pub fn asks(&self) -> Option<IpAddr> {
        matches!(self.kind, Kind::Request | Kind::Solicitation).then_some(self.target)
    }
}

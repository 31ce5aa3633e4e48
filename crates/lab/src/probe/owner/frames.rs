//! Questions and answers about who has an address: ARP (RFC 826) and neighbour discovery (RFC 4861, sections 4.3 and 4.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::chore::Mac;

const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const BROADCAST: [u8; 6] = [0xff; 6];

/// Next header of ICMP for IPv6.
const ICMP6: u8 = 58;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// Bit of an advertisement that says it answers a question.
const SOLICITED: u8 = 0x40;

/// Option of an advertisement with the hardware address of its target.
const TARGET_OPTION: u8 = 2;

/// Who asks for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) mac: Mac,
    /// Of the same family as the target.
    pub(super) address: IpAddr,
    pub(super) target: IpAddr,
}

impl Asker {
    /// The kind of frames it speaks.
    pub(super) fn ether_type(&self) -> u16 {
        if self.target.is_ipv4() { ARP } else { IPV6 }
    }

    /// The whole frame; `None` when the families differ.
    pub(super) fn question(&self) -> Option<Vec<u8>> {
        match (self.address, self.target) {
            (IpAddr::V4(own), IpAddr::V4(target)) => Some(self.who_has(own, target)),
            (IpAddr::V6(own), IpAddr::V6(target)) => Some(self.solicitation(own, target)),
            _ => None,
        }
    }

    /// Who answers the question by this frame, if anybody does.
    pub(super) fn answer(&self, frame: &[u8]) -> Option<Mac> {
        match (self.address, self.target) {
            (IpAddr::V4(own), IpAddr::V4(target)) => is_at(frame, own, target),
            (IpAddr::V6(_), IpAddr::V6(target)) => advertisement(frame, target),
            _ => None,
        }
    }

    fn who_has(&self, own: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let mut frame = self.header(BROADCAST);
        // Ethernet, IPv4, their lengths, a request.
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(self.mac.0);
        frame.extend(own.octets());
        frame.extend([0; 6]);
        frame.extend(target.octets());
        frame
    }

    fn solicitation(&self, own: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
        let [.., a, b, c] = target.octets();
        let (high, low) = (0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
        let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, high, low);
        let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        message.extend(target.octets());
        // Where to answer to.
        message.extend([1, 1]);
        message.extend(self.mac.0);
        let sum = checksum(own, to, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = self.header([0x33, 0x33, 0xff, a, b, c]);
        frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, ICMP6, 255]);
        frame.extend(own.octets());
        frame.extend(to.octets());
        frame.extend(message);
        frame
    }

    fn header(&self, to: [u8; 6]) -> Vec<u8> {
        let mut frame = to.to_vec();
        frame.extend(self.mac.0);
        frame.extend(self.ether_type().to_be_bytes());
        frame
    }
}

/// An ARP reply to us about the target. What is announced to everybody is no answer.
fn is_at(frame: &[u8], own: Ipv4Addr, target: Ipv4Addr) -> Option<Mac> {
    let arp = frame.get(12..)?.strip_prefix(&ARP.to_be_bytes())?;
    let arp = arp.strip_prefix(&[0, 1, 8, 0, 6, 4, 0, 2])?;
    let (mac, rest) = arp.split_first_chunk::<6>()?;
    let (sender, rest) = rest.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<6>()?;
    let (receiver, _) = rest.split_first_chunk::<4>()?;
    (*sender == target.octets() && *receiver == own.octets()).then_some(Mac(*mac))
}

/// A neighbour advertisement about the target that answers a question.
fn advertisement(frame: &[u8], target: Ipv6Addr) -> Option<Mac> {
    let (source, packet) = (frame.get(6..12)?, frame.get(12..)?.strip_prefix(&IPV6.to_be_bytes())?);
    let (header, message) = packet.split_first_chunk::<40>()?;
    let [kind, _, _, _, flags, ..] = message else { return None };
    if header[6] != ICMP6 || *kind != ADVERTISEMENT || flags & SOLICITED == 0 {
        return None;
    }
    if message.get(8..24)? != target.octets() {
        return None;
    }
    let told = message.get(24..).and_then(|options| options.strip_prefix(&[TARGET_OPTION, 1]));
    told.and_then(|mac| mac.get(..6)).unwrap_or(source).try_into().ok().map(Mac)
}

/// The checksum of ICMP for IPv6 (RFC 4443, section 2.3), of a message whose own field is zero.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let mut bytes = from.octets().to_vec();
    bytes.extend(to.octets());
    bytes.extend((message.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, ICMP6]);
    bytes.extend(message);
    internet_checksum(&bytes)
}

/// The checksum of the Internet (RFC 1071).
pub(in crate::probe) fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let word = [pair[0], pair.get(1).copied().unwrap_or(0)];
        sum += u32::from(u16::from_be_bytes(word));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 7]);

    #[test]
    fn a_reply_to_us_is_an_answer_and_an_announcement_is_none() {
        let (own, target) = (Ipv4Addr::new(10, 77, 0, 200), Ipv4Addr::new(10, 77, 0, 100));
        let asker = Asker { mac: OWN, address: own.into(), target: target.into() };
        let question = asker.question().unwrap();
        assert_eq!(question.len(), 42);
        assert_eq!(asker.answer(&question), None);
        let reply = |receiver: Ipv4Addr| {
            let mut frame = OWN.0.to_vec();
            frame.extend(OTHER.0);
            frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
            frame.extend(OTHER.0);
            frame.extend(target.octets());
            frame.extend(OWN.0);
            frame.extend(receiver.octets());
            frame
        };
        assert_eq!(asker.answer(&reply(own)), Some(OTHER));
        assert_eq!(asker.answer(&reply(target)), None);
        for length in 0..reply(own).len() {
            assert_eq!(asker.answer(&reply(own)[..length]), None);
        }
    }

    #[test]
    fn a_solicited_advertisement_is_an_answer() {
        let (own, target): (Ipv6Addr, Ipv6Addr) =
            ("fd77::c8".parse().unwrap(), "fd77::1:203".parse().unwrap());
        let asker = Asker { mac: OWN, address: own.into(), target: target.into() };
        let question = asker.question().unwrap();
        assert_eq!(question[..6], [0x33, 0x33, 0xff, 1, 2, 3]);
        assert_eq!(question[38..54], "ff02::1:ff01:203".parse::<Ipv6Addr>().unwrap().octets());
        // With its checksum in place the sum over everything comes out as zero.
        let to = "ff02::1:ff01:203".parse().unwrap();
        assert_eq!(checksum(own, to, &question[54..]), 0);
        let mut answer = question.clone();
        answer[6..12].copy_from_slice(&OTHER.0);
        (answer[54], answer[58]) = (ADVERTISEMENT, 0x60);
        answer.truncate(78);
        assert_eq!(asker.answer(&answer), Some(OTHER), "by its source");
        answer.extend([2, 1, 2, 0, 0, 0, 0, 8]);
        assert_eq!(asker.answer(&answer), Some(Mac([2, 0, 0, 0, 0, 8])), "by its option");
        answer[58] = 0x20;
        assert_eq!(asker.answer(&answer), None, "an announcement");
        for length in 0..78 {
            assert_eq!(asker.answer(&answer[..length]), None);
        }
    }
}

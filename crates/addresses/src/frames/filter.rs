//! Programs in the kernel that let through only what we want to hear, so that a busy interface does not wake us.
//!
//! A packet socket that is bound to one protocol is not asked about the rest at all, and not about what we send ourselves; a socket
//! for all protocols would cost something for each packet of the machine. What is left to filter is what came for another station
//! (frames of VLANs for which there is no interface here look like that, too), and of IPv6 all but neighbour discovery.

use socket2::SockFilter;

use super::frame::{ARP, HEADER, IPV6};
use super::socket::Family;

// Codes of classic BPF (linux/bpf_common.h, linux/filter.h).
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const RETURN: u16 = 0x06;
/// Where the kernel shows for whom the packet is: to us, to all, to a group; then to others, and outgoing.
const PACKET_TYPE: u32 = 0xffff_f000 + 4;
const TO_GROUP: u32 = libc::PACKET_MULTICAST as u32;
/// Bytes of a packet that is let through: all.
const ALL: u32 = 0x4_0000;

/// The program for one family.
pub(super) fn program(family: Family) -> Vec<SockFilter> {
    let first = HEADER as u32;
    let mut checks = vec![
        Check { load: (LOAD_WORD, PACKET_TYPE), jump: JUMP_GREATER, than: TO_GROUP, good: false },
        Check::equal(LOAD_HALF, 12, u32::from(family.carries())),
    ];
    if family.carries() == IPV6 {
        // The next header is ICMPv6, and no router was passed.
        checks.push(Check::equal(LOAD_BYTE, first + 6, 58));
        checks.push(Check::equal(LOAD_BYTE, first + 7, 255));
    }
    let mut program = Vec::new();
    // Each check is a load and a jump; behind them come, for IPv6, a load and two jumps, then one return for good and one for bad.
    let tail: usize = if family.carries() == ARP { 0 } else { 3 };
    for (at, check) in checks.iter().enumerate() {
        let after = 2 * (checks.len() - at - 1);
        // A handful of instructions: fits in a byte.
        let bad = (after + tail + 1) as u8;
        let (yes, no) = if check.good { (0, bad) } else { (bad, 0) };
        program.push(SockFilter::new(check.load.0, 0, 0, check.load.1));
        program.push(SockFilter::new(check.jump, yes, no, check.than));
    }
    if tail > 0 {
        program.push(SockFilter::new(LOAD_BYTE, 0, 0, first + 40));
        program.push(SockFilter::new(JUMP_EQUAL, 1, 0, 135));
        program.push(SockFilter::new(JUMP_EQUAL, 0, 1, 136));
    }
    program.push(SockFilter::new(RETURN, 0, 0, ALL));
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program
}

/// Something is loaded and compared; `good` says which outcome goes on.
struct Check {
    load: (u16, u32),
    jump: u16,
    than: u32,
    good: bool,
}

impl Check {
    fn equal(load: u16, at: u32, than: u32) -> Self {
        Self { load: (load, at), jump: JUMP_EQUAL, than, good: true }
    }
}

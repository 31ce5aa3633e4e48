//! What a machine says of itself, in eight bytes: in announcements, in answers, and in a header of
//! every response between peers.
//!
//! The sequence is the reporter's own and only grows within a boot, so of two reports of one boot
//! everyone agrees which is newer, whatever way they came. It wraps: "newer" means ahead by less than
//! half of the circle.

use core::fmt;

/// States of a machine that make it no candidate, whatever its figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// Nothing stands against this machine.
    pub const NONE: Self = Self(0);
    /// The machine finishes what it has and takes nothing new.
    pub const DRAINING: Self = Self(1);
    /// The machine's local service fails its health check.
    pub const UNHEALTHY: Self = Self(2);
    /// The machine's local service is at its limit.
    pub const OVER_LIMIT: Self = Self(4);
    const KNOWN: u8 = 7;

    /// The flags of a byte; bits that this version does not know are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::KNOWN)
    }

    /// The byte that travels.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all flags of `other` are set here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// One word of a machine about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// The reporter's own count of its reports in this boot, wrapping.
    pub sequence: u32,
    /// Requests in the reporter's local service; 65,535 also stands for more.
    pub in_flight: u16,
    /// What keeps the reporter from being a candidate.
    pub flags: Flags,
    /// Share of the last seconds in which something there waited for a CPU, in 255ths; 0 also if not known.
    pub pressure: u8,
}

/// Length of a report written as text.
pub const TEXT_LENGTH: usize = 19;

impl Report {
    /// Whether this report is newer than `other` of the same boot.
    pub const fn is_newer_than(&self, other: &Self) -> bool {
        let ahead = self.sequence.wrapping_sub(other.sequence);
        ahead != 0 && ahead < 1 << 31
    }

    /// The eight bytes that travel, most significant first: sequence, in flight, flags, pressure.
    pub const fn to_bits(self) -> u64 {
        (self.sequence as u64) << 32
            | (self.in_flight as u64) << 16
            | (self.flags.bits() as u64) << 8
            | self.pressure as u64
    }

    /// The report of eight bytes. Every value is a report; unknown flags are dropped.
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            sequence: (bits >> 32) as u32,
            in_flight: (bits >> 16) as u16,
            flags: Flags::from_bits((bits >> 8) as u8),
            pressure: bits as u8,
        }
    }

    /// The text of the header between peers, `SSSSSSSS-IIII-FF-PP` in hexadecimal digits.
    pub fn to_text(self) -> [u8; TEXT_LENGTH] {
        let bits = self.to_bits();
        let mut text = [b'-'; TEXT_LENGTH];
        let mut shift = 64;
        for (at, byte) in text.iter_mut().enumerate() {
            if !DASHES.contains(&at) {
                shift -= 4;
                *byte = b"0123456789abcdef"[(bits >> shift) as usize & 15];
            }
        }
        text
    }

    /// Reads [`to_text`](Self::to_text); `None` for anything else.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let mut bits = 0;
        for (at, &byte) in text.iter().enumerate() {
            if DASHES.contains(&at) {
                if byte != b'-' {
                    return None;
                }
            } else {
                bits = bits << 4 | u64::from((byte as char).to_digit(16)?);
            }
        }
        Some(Self::from_bits(bits))
    }
}

const DASHES: [usize; 3] = [8, 13, 16];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn a_report_looks_as_documented() {
        let report = Report {
            sequence: 0xdead_beef,
            in_flight: 17,
            flags: Flags::DRAINING.with(Flags::OVER_LIMIT),
            pressure: 255,
        };
        assert_eq!(report.to_string(), "deadbeef-0011-05-ff");
    }

    #[test]
    fn newer_is_ahead_on_the_circle() {
        let at = |sequence| Report { sequence, ..Report::default() };
        assert!(at(1).is_newer_than(&at(0)) && !at(0).is_newer_than(&at(1)));
        assert!(at(3).is_newer_than(&at(u32::MAX - 3)) && !at(u32::MAX - 3).is_newer_than(&at(3)));
        assert!(!at(7).is_newer_than(&at(7)));
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in ["", "deadbeef-0011-05-f", "deadbeef 0011-05-ff", "deadbeeg-0011-05-ff"] {
            assert_eq!(Report::from_text(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_report_survives_its_text_and_its_bits(bits: u64) {
            let report = Report::from_bits(bits);
            prop_assert_eq!(Report::from_text(&report.to_text()), Some(report));
            prop_assert_eq!(Report::from_bits(report.to_bits()), report);
        }

        #[test]
        fn no_text_makes_it_panic(text: std::vec::Vec<u8>) {
            let _ = Report::from_text(&text);
        }
    }
}

//! How many datagrams were accepted, and how many refused for which reason.

use seal::Refusal;

use crate::exchange::NoAnswer;

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// From an address in no accepted block.
    Blocked,
    /// Too short, too long, or not one of ours.
    Torn,
    /// In an envelope of another version, or an announcement that only newer versions can read.
    NewerVersion,
    /// For another purpose.
    Purpose,
    /// The key did not fit.
    Forged,
    /// Its counter was seen before, or it was meant for an earlier boot.
    Replayed,
    /// Genuine, and cannot be read.
    Malformed,
    /// Our own word, come back.
    Own,
    /// An announcement that came by another way already, or was overtaken.
    Duplicate,
    /// Of a boot that has not yet proven to be alive. Normal for the first word of a machine.
    Unadmitted,
    /// Of a live boot of a machine of which another boot lives: two machines with one identity.
    Double,
    /// An answer that nobody waits for: late, or to nothing we asked.
    Unasked,
    /// More unknown senders in a second than keys are derived for.
    Busy,
    /// No room for another machine.
    Full,
}

impl Refused {
    /// All reasons, in the order of [`Counters::refused`].
    pub const ALL: [Self; 14] = [
        Self::Blocked,
        Self::Torn,
        Self::NewerVersion,
        Self::Purpose,
        Self::Forged,
        Self::Replayed,
        Self::Malformed,
        Self::Own,
        Self::Duplicate,
        Self::Unadmitted,
        Self::Double,
        Self::Unasked,
        Self::Busy,
        Self::Full,
    ];

    /// A word for metrics and people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Torn => "torn",
            Self::NewerVersion => "newer_version",
            Self::Purpose => "purpose",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
            Self::Malformed => "malformed",
            Self::Own => "own",
            Self::Duplicate => "duplicate",
            Self::Unadmitted => "unadmitted",
            Self::Double => "double",
            Self::Unasked => "unasked",
            Self::Busy => "busy",
            Self::Full => "full",
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Length { .. } | Refusal::Foreign => Self::Torn,
            Refusal::Version { .. } => Self::NewerVersion,
            Refusal::Purpose => Self::Purpose,
            Refusal::Forged => Self::Forged,
            Refusal::Replayed => Self::Replayed,
            Refusal::Busy => Self::Busy,
            Refusal::Full => Self::Full,
        }
    }
}

impl From<NoAnswer> for Refused {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Refused(refusal) => refusal.into(),
            NoAnswer::Unreadable(_) => Self::Malformed,
        }
    }
}

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that changed something.
    pub accepted: u64,
    refused: [u64; Refused::ALL.len()],
}

impl Counters {
    /// Datagrams refused for this reason.
    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused[reason as usize]
    }

    /// All reasons with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Refused, u64)> + '_ {
        Refused::ALL.into_iter().zip(self.refused)
    }

    pub(super) fn count(&mut self, outcome: Result<(), Refused>) {
        match outcome {
            Ok(()) => self.accepted += 1,
            Err(reason) => self.refused[reason as usize] += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place_and_a_word_of_its_own() {
        let mut counters = Counters::default();
        for (n, reason) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, n);
            counters.count(Err(reason));
        }
        assert!(counters.iter().all(|(_, count)| count == 1) && counters.accepted == 0);
        let words: std::collections::BTreeSet<_> = Refused::ALL.map(Refused::as_str).into();
        assert_eq!(words.len(), Refused::ALL.len());
    }
}

//! Why a set is where it is, or goes where it goes.

use core::fmt;

/// Why. Each has a number of its own in messages and a word for logs, metrics and commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// Nobody had it.
    Unowned = 0,
    /// Its holder was lost without having released it.
    Lost = 1,
    /// It was held twice when parts of the cluster met.
    Conflict = 2,
    /// For an even share.
    Balance = 3,
    /// The machine wants it.
    Preference = 4,
    /// Its holder is drained.
    Drain = 5,
    /// Its holder goes.
    Leaving = 6,
    /// Its holder is not healthy.
    Unhealthy = 7,
    /// Its holder cannot hold it: the interface is gone, down, or did not take it.
    Unable = 8,
    /// Its holder does not list it any more.
    Unlisted = 9,
    /// Somebody asked for it.
    Operator = 10,
    /// The bus is away.
    BusLost = 11,
    /// There is no majority.
    NoQuorum = 12,
    /// It was held when the table was made, and stays.
    Held = 13,
    /// Others list the addresses otherwise.
    Contradiction = 14,
    /// This machine was silent and was excluded by the others.
    Excluded = 15,
    /// It does not take part yet.
    Immature = 16,
    /// It has as many as it takes (`capacity`).
    Full = 17,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Unowned,
        Self::Lost,
        Self::Conflict,
        Self::Balance,
        Self::Preference,
        Self::Drain,
        Self::Leaving,
        Self::Unhealthy,
        Self::Unable,
        Self::Unlisted,
        Self::Operator,
        Self::BusLost,
        Self::NoQuorum,
        Self::Held,
        Self::Contradiction,
        Self::Excluded,
        Self::Immature,
        Self::Full,
    ];

    pub(crate) fn read(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unowned => "unowned",
            Self::Lost => "lost",
            Self::Conflict => "conflict",
            Self::Balance => "balance",
            Self::Preference => "preference",
            Self::Drain => "drain",
            Self::Leaving => "leaving",
            Self::Unhealthy => "unhealthy",
            Self::Unable => "unable",
            Self::Unlisted => "unlisted",
            Self::Operator => "operator",
            Self::BusLost => "bus-lost",
            Self::NoQuorum => "no-quorum",
            Self::Held => "held",
            Self::Contradiction => "contradiction",
            Self::Excluded => "excluded",
            Self::Immature => "immature",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back_from_its_number() {
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            assert_eq!(Reason::read(number as u8), Some(reason));
        }
        assert_eq!(Reason::read(18), None);
    }
}

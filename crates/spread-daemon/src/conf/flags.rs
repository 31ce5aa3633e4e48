//! `DebugFlags`: the kinds of events that the log shows.

use super::lexer::Token;
use super::mistake::{Mistake, What};

/// The names of the kinds, in the order of their bits.
const NAMES: [&str; 17] = [
    "EXIT",
    "PRINT",
    "DEBUG",
    "DATA_LINK",
    "NETWORK",
    "PROTOCOL",
    "SESSION",
    "CONFIGURATION",
    "MEMBERSHIP",
    "FLOW_CONTROL",
    "STATUS",
    "EVENTS",
    "GROUPS",
    "MEMORY",
    "SKIPLIST",
    "ACM",
    "SECURITY",
];
/// What may be written, for people.
const KNOWN: &str = "ALL, NONE, EXIT, PRINT, DEBUG, DATA_LINK, NETWORK, PROTOCOL, SESSION, CONFIGURATION, MEMBERSHIP, FLOW_CONTROL, STATUS, EVENTS, GROUPS, MEMORY, SKIPLIST, ACM or SECURITY";

/// A set of kinds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebugFlags(u32);

impl DebugFlags {
    /// Every kind.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Whether the kind `name` is in the set; no kind but those of the original is.
    pub fn contains(self, name: &str) -> bool {
        bit(name).is_some_and(|bit| self.0 & bit != 0)
    }

    /// The kinds in the set, by name.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |name| self.contains(name))
    }

    /// Adds and takes away, one word after the other.
    pub(super) fn read(words: &[(bool, Token<'_>)]) -> Result<Self, Mistake> {
        let mut set = Self::default();
        for (negated, word) in words {
            let bits = match word.text {
                "ALL" => Self::ALL.0,
                "NONE" => 0,
                name => bit(name).ok_or_else(|| Mistake::new(word, What::Word(KNOWN)))?,
            };
            match (word.text, negated) {
                ("NONE", false) => set.0 = 0,
                ("NONE", true) => set = Self::ALL,
                (_, false) => set.0 |= bits,
                (_, true) => set.0 &= !bits,
            }
        }
        Ok(set)
    }
}

fn bit(name: &str) -> Option<u32> {
    NAMES.iter().position(|known| *known == name).map(|i| 1 << i)
}

#[cfg(test)]
mod tests {
    use super::super::lexer;
    use super::*;

    fn read(text: &str) -> Result<Vec<&'static str>, Mistake> {
        let (tokens, _) = lexer::tokens(text);
        let mut words = Vec::new();
        let mut negated = false;
        for token in tokens {
            match token.kind {
                lexer::Kind::Not => negated = true,
                lexer::Kind::Word => words.push((std::mem::take(&mut negated), token)),
                _ => {}
            }
        }
        DebugFlags::read(&words).map(|set| set.names().collect())
    }

    #[test]
    fn words_add_and_take_away_in_their_order() {
        assert_eq!(read("PRINT EXIT").unwrap(), ["EXIT", "PRINT"]);
        let most = read("ALL !EVENTS !MEMORY").unwrap();
        assert_eq!(most.len(), NAMES.len() - 2);
        assert!(!most.contains(&"EVENTS"));
        assert_eq!(read("ALL NONE ACM").unwrap(), ["ACM"]);
        assert_eq!(read("!PRINT").unwrap(), [""; 0]);
        assert_eq!(read("EVENTS !ALL").unwrap(), [""; 0]);
    }

    #[test]
    fn a_kind_that_does_not_exist_is_named() {
        let mistake = read("PRINT Exit").unwrap_err();
        assert_eq!((mistake.token.as_str(), mistake.place.column), ("Exit", 7));
        assert!(mistake.what.remedy().contains("SECURITY"));
        assert!(KNOWN.ends_with(NAMES[16]) && NAMES.iter().all(|name| KNOWN.contains(name)));
    }
}

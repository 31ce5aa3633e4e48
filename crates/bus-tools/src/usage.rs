//! Command lines of the historical tools: flags with one dash, told apart by their first characters (`-user x` is `-u x`).
//!
//! Unlike the original, a value that is no number or out of its range is a mistake and not the default.

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Why a command line is not understood. The usage belongs below it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No flag.
    #[error("\"{0}\" is none of the flags; write one of those below")]
    Unknown(String),
    /// Nothing behind a flag.
    #[error("nothing stands behind {0}; write its value there")]
    Missing(String),
    /// A value that the flag cannot have.
    #[error("\"{value}\" behind {flag} is not possible; write {expected}")]
    Value {
        /// The flag.
        flag: String,
        /// What stands behind it.
        value: String,
        /// What could.
        expected: String,
    },
}

impl UsageError {
    /// Whether the word is one that asks for the usage. The original had none, but printed it for any.
    pub fn asks_for_help(&self) -> bool {
        matches!(self, Self::Unknown(word) if word == "-h" || word == "--help")
    }
}

/// The words of a command line, one flag after the other.
pub(crate) struct Words<I>(I);

impl<I: Iterator<Item = OsString>> Words<I> {
    pub(crate) fn new(words: impl IntoIterator<IntoIter = I>) -> Self {
        Self(words.into_iter())
    }

    /// The next word. What is no Unicode becomes something that no flag and no value is.
    pub(crate) fn next(&mut self) -> Option<String> {
        Some(self.0.next()?.to_string_lossy().into_owned())
    }

    /// What stands behind `flag`, whatever it looks like.
    pub(crate) fn value(&mut self, flag: &str) -> Result<String, UsageError> {
        self.next().ok_or_else(|| UsageError::Missing(flag.to_owned()))
    }

    /// The number behind `flag`.
    pub(crate) fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        flag: &str,
        range: RangeInclusive<T>,
    ) -> Result<T, UsageError> {
        let value = self.value(flag)?;
        value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            UsageError::Value { flag: flag.to_owned(), value, expected }
        })
    }

    /// What stands behind `flag`, read as something of which `expected` is the description.
    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        flag: &str,
        expected: &str,
    ) -> Result<T, UsageError> {
        let value = self.value(flag)?;
        value.parse().map_err(|_| UsageError::Value {
            flag: flag.to_owned(),
            value,
            expected: expected.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Words<std::vec::IntoIter<OsString>> {
        Words::new(words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_value_is_the_next_word_whatever_it_looks_like() {
        let mut line = words(&["-u", "-r"]);
        let flag = line.next().unwrap();
        assert_eq!(line.value(&flag).unwrap(), "-r");
        assert_eq!(line.value("-s"), Err(UsageError::Missing("-s".into())));
    }

    #[test]
    fn numbers_have_their_range() {
        assert_eq!(words(&["5"]).number("-n", 1..=5_u32), Ok(5));
        for wrong in ["0", "6", "-1", "5x", ""] {
            let error = words(&[wrong]).number("-n", 1..=5_u32).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("behind -n") && text.contains("from 1 to 5"), "{text}");
        }
    }
}

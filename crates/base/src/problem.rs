//! What is wrong in a configuration: which key, what about it, and what to do.
//!
//! A crate that owns a section returns these; the binary, which alone knows the file's text, turns
//! them into lines with file name, line number and caret. So a crate needs no knowledge of files,
//! and every message in the product has the same three parts.

use alloc::string::String;
use core::fmt;
use core::ops::Range;

/// One mistake in a configuration. Whoever returns it has applied nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key as a reader of the file would write it: `announce.targets[1].ttl`.
    pub key: String,
    /// Where the value stands, in bytes of the file's text, if that is known.
    pub at: Option<Range<usize>>,
    /// What is wrong, with the offending value; lower case, no full stop.
    pub message: String,
    /// What to write or do instead; lower case, no full stop; empty if the message says it all.
    pub remedy: String,
}

impl Problem {
    /// A problem of unknown place: the binary looks the key up in the file.
    pub fn new(
        key: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), at: None, message: message.into(), remedy: remedy.into() }
    }

    /// The same problem, found at these bytes of the file.
    pub fn at(mut self, at: Range<usize>) -> Self {
        self.at = Some(at);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

impl core::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_problem_names_key_mistake_and_remedy() {
        let problem =
            Problem::new("announce.interval", "1ms is below 50ms", "write 50ms or more").at(3..6);
        assert_eq!(problem.to_string(), "announce.interval: 1ms is below 50ms; write 50ms or more");
        assert_eq!(problem.at, Some(3..6));
        assert_eq!(Problem::new("a", "b", "").to_string(), "a: b");
    }
}

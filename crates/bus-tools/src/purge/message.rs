//! What the purging programs say to each other, in the type and body of messages.
//!
//! A purge has the path as its body, and a type from 1 if an answer is wanted. The answer goes to the private group of who asked,
//! with the same type. Type -1 goes to a member that was cut off, and has the paths that it missed.

use std::fmt::Write;

use spread_client::{GroupName, Names};

/// A purge that nobody wants answered, as the programs of the book send it.
pub const UNANSWERED: i16 = 0;
/// What a member missed while it was cut off: paths, each with a NUL behind it.
pub const MISSED: i16 = -1;
/// The members that one answer names at most; more are not waited for. Their names fit into a message that every daemon takes.
pub const MEMBERS_MAX: usize = 4_000;
/// Characters of the longest reason of a failure.
const REASON_MAX: usize = 300;

/// What a member answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How many files it removed.
    pub removed: u64,
    /// Why not all that were meant are gone.
    pub failure: Option<String>,
    /// Who was a member when the purge came, and so will answer.
    pub members: Vec<GroupName>,
}

impl Answer {
    /// The body of a message: a line for the outcome, and one for each member.
    pub fn encode<'a>(
        removed: u64,
        failure: Option<&str>,
        members: impl IntoIterator<Item = &'a Names>,
    ) -> Vec<u8> {
        let mut line = format!("removed {removed}");
        if let Some(reason) = failure {
            let one_line = |c: char| if c.is_control() { ' ' } else { c };
            line.push_str(" failed ");
            line.extend(reason.chars().map(one_line).take(REASON_MAX));
        }
        let mut body = line.into_bytes();
        let members = members.into_iter().flat_map(|members| members.iter().collect::<Vec<_>>());
        for member in members.take(MEMBERS_MAX) {
            body.push(b'\n');
            body.extend_from_slice(member.as_bytes());
        }
        body
    }

    /// Reads the body of a message; `None` if it is no answer.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut lines = body.split(|&byte| byte == b'\n');
        let line = str::from_utf8(lines.next()?).ok()?.strip_prefix("removed ")?;
        let (removed, failure) = match line.split_once(" failed ") {
            Some((removed, reason)) => (removed, Some(printable(reason))),
            None => (line, None),
        };
        let removed = removed.parse().ok()?;
        let members: Option<Vec<GroupName>> =
            lines.map(|name| GroupName::destination(name).ok()).collect();
        Some(Self { removed, failure, members: members? })
    }
}

/// A text of somebody else, for a line of a log or a terminal.
pub fn printable(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(REASON_MAX) {
        if character.is_control() {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupName {
        GroupName::destination(name.as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let members = [group("#a#x"), group("#b#y")];
        let body = Answer::encode(3, None, [&Names::new(&members)]);
        assert_eq!(body, b"removed 3\n#a#x\n#b#y");
        let answer = Answer { removed: 3, failure: None, members: members.to_vec() };
        assert_eq!(Answer::decode(&body), Some(answer));
        let body = Answer::encode(0, Some("/x: no\nright"), []);
        let failure = Some("/x: no right".to_owned());
        assert_eq!(Answer::decode(&body), Some(Answer { removed: 0, failure, members: vec![] }));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for body in [&b""[..], b"removed", b"removed x", b"removed -1", b"hello\n#a#x", b"\xff"] {
            assert_eq!(Answer::decode(body), None);
        }
        let long = [&b"removed 1\n"[..], &[b'x'; 32]].concat();
        assert_eq!(Answer::decode(&long), None);
        let forged = Answer::decode(b"removed 1 failed \x1b[2J").unwrap();
        assert_eq!(forged.failure.unwrap(), "\\u{1b}[2J");
    }

    #[test]
    fn the_members_of_any_answer_fit_into_a_message() {
        let names: Names = (0..5_000).map(|n| group(&format!("#{n:010}#{n:019}"))).collect();
        let body = Answer::encode(u64::MAX, Some(&"x".repeat(1_000)), [&names]);
        assert!(body.len() < 143_152 - 32, "{}", body.len());
        assert_eq!(Answer::decode(&body).unwrap().members.len(), MEMBERS_MAX);
    }
}

//! What is asked at a control socket and what is answered, one line of JSON each.

use serde::{Deserialize, Serialize};

use super::table::{SetRow, Table};
use crate::service::Decision;

/// Longest request, in bytes.
pub const REQUEST_MAX: usize = 4096;

/// A request: `{"ask":"list"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ask {
    /// How everything is: [`Answer::Table`].
    List {
        /// Again whenever something has changed, until the connection ends.
        #[serde(default)]
        follow: bool,
    },
    /// Why a set is where it is: [`Answer::Explained`].
    Explain {
        /// Its name or one of its addresses; all of them if left out.
        #[serde(default)]
        set: Option<String>,
    },
    /// A machine is to hold nothing: [`Answer::Ordered`].
    Drain {
        /// Which; this one if left out.
        #[serde(default)]
        machine: Option<String>,
    },
    /// It takes part again: [`Answer::Ordered`].
    Undrain {
        /// Which; this one if left out.
        #[serde(default)]
        machine: Option<String>,
    },
    /// A set is to go to a machine and to stay there: [`Answer::Ordered`].
    Move {
        /// Its name or one of its addresses.
        set: String,
        /// Which machine.
        machine: String,
    },
    /// Decisions as they happen, one [`Answer::Decision`] each, until the connection ends.
    Watch {
        /// Those with a higher number, as far as they are remembered; only new ones if left out.
        #[serde(default)]
        after: Option<u64>,
    },
    /// Go away from the bus and let everything go, as `wackatrl -f`: [`Answer::Ordered`].
    Away,
    /// Come back, as `wackatrl -s`: [`Answer::Ordered`].
    Back,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// How everything is.
    Table(Box<Table>),
    /// Why sets are where they are.
    Explained {
        /// One after the other, as listed.
        sets: Vec<Explained>,
    },
    /// The order has been given. Whether and when it is carried out, the table shows.
    Ordered {
        /// The machine that it was given to.
        machine: String,
        /// The head of the set that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set: Option<String>,
    },
    /// Something was decided or happened.
    Decision(DecisionRow),
    /// It cannot be done.
    Error {
        /// Of what kind.
        kind: ErrorKind,
        /// What, and what to do.
        message: String,
    },
}

/// Why something that was asked cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The request cannot be read.
    Malformed,
    /// No such set.
    NoSet,
    /// No such machine.
    NoMachine,
    /// The bus is away.
    NoGroup,
    /// The machine cannot have the set.
    Refused,
    /// The service does not answer.
    NoAnswer,
}

/// A set with the reasons for where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The set.
    pub set: SetRow,
    /// Why it is where it is, one sentence each.
    pub why: Vec<String>,
    /// What each machine is for it, one sentence each.
    pub machines: Vec<String>,
    /// What would move it, one sentence each.
    pub moves: Vec<String>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRow {
    /// Its number, from 1. A gap says that some were forgotten before they could be told.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The head of the set that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// What, as a sentence.
    pub what: String,
    /// Whether somebody should look.
    pub alarm: bool,
}

impl From<&Decision> for DecisionRow {
    fn from(one: &Decision) -> Self {
        let since = one.at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            number: one.number,
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            set: one.head.map(|head| head.to_string()),
            what: one.what.clone(),
            alarm: one.alarm,
        }
    }
}

impl Ask {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))
    }
}

impl Answer {
    /// A line, with its end.
    pub fn line(&self) -> Vec<u8> {
        // A value of strings and numbers can always be written.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_people_type_them() {
        let read = |text: &str| Ask::read(text.as_bytes());
        assert_eq!(read(r#"{"ask":"list"}"#), Ok(Ask::List { follow: false }));
        assert_eq!(read(r#"{"ask":"drain"}"#), Ok(Ask::Drain { machine: None }));
        assert_eq!(
            read(r#"{"ask":"move","set":"web","machine":"m2"}"#),
            Ok(Ask::Move { set: "web".into(), machine: "m2".into() })
        );
        for wrong in [
            "",
            "{",
            "[]",
            r#"{"ask":"lost"}"#,
            r#"{"ask":"list","folow":true}"#,
            r#"{"ask":"move"}"#,
        ] {
            let told = read(wrong).unwrap_err();
            assert!(told.starts_with("this is no request: "), "{told}");
        }
    }

    #[test]
    fn an_answer_is_one_line_with_its_kind() {
        let answer = Answer::Error { kind: ErrorKind::NoSet, message: "a\nb".into() };
        let line = answer.line();
        assert_eq!(line, b"{\"answer\":\"error\",\"kind\":\"no-set\",\"message\":\"a\\nb\"}\n");
        assert_eq!(serde_json::from_slice::<Answer>(&line).unwrap(), answer);
    }
}

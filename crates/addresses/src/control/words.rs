//! What is asked at a control socket and what is answered, one line of JSON each.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vip::Reason;

use super::table::{SetRow, Table, millis};
use crate::health::{CheckState, Standing};
use crate::service::{Counters, Decision};

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
        /// Which, by its name or private group; the one that is asked if left out.
        #[serde(default)]
        machine: Option<String>,
    },
    /// It takes part again: [`Answer::Ordered`].
    Undrain {
        /// Which, by its name or private group; the one that is asked if left out.
        #[serde(default)]
        machine: Option<String>,
    },
    /// A set is to go to a machine and to stay there: [`Answer::Ordered`].
    Move {
        /// Its name or one of its addresses.
        set: String,
        /// Which machine, by its name or private group.
        machine: String,
    },
    /// Decisions as they happen, one [`Answer::Decision`] each, until the connection ends.
    Watch {
        /// Those with a higher number, as far as they are remembered; only new ones if left out. A number above the newest is of a run
        /// whose clock was ahead: then all that are remembered.
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
        /// That machine's private group, where it has one.
        #[serde(default)]
        member: Option<String>,
        /// The head of the set that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set: Option<String>,
    },
    /// Something was decided or happened.
    Decision(Box<DecisionRow>),
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
    /// No such machine, or several of that name.
    NoMachine,
    /// The bus is away.
    NoGroup,
    /// The machine cannot have the set.
    Refused,
    /// The service does not answer.
    NoAnswer,
    /// There are as many connections as there may be.
    Busy,
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
    /// Its number, one above that of the one before. The first of a run of the program is the clock at its start, in milliseconds since
    /// 1970, so numbers of a later run are greater. Any other gap says that some were forgotten before they could be told.
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
    /// Why the set has another owner or begins to move, in a word, if it tells of that.
    #[serde(default)]
    pub reason: Option<String>,
    /// The machines that had it or have it then; none where nobody had it, several where it was held more than once.
    #[serde(default)]
    pub from: Vec<String>,
    /// The machine that has it now or is to get it.
    #[serde(default)]
    pub to: Option<String>,
}

impl From<&Decision> for DecisionRow {
    fn from(one: &Decision) -> Self {
        let since = one.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            number: one.number,
            at_ms: millis(since),
            set: one.head.map(|head| head.to_string()),
            what: one.what.clone(),
            alarm: one.alarm,
            reason: one.reason.map(|reason| reason.word().to_owned()),
            from: one.from.clone(),
            to: one.to.clone(),
        }
    }
}

/// A check of the health of the machine that tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRow {
    /// Its name.
    pub name: String,
    /// Whether it passes; unknown until it has done so, or failed, often enough.
    #[serde(default)]
    pub healthy: Option<bool>,
    /// What was wrong when it ran last.
    #[serde(default)]
    pub why: Option<String>,
    /// For how long it has been so.
    #[serde(default)]
    pub since_ms: u64,
    /// How long its last run took.
    #[serde(default)]
    pub took_ms: u64,
}

impl From<&CheckState> for CheckRow {
    fn from(one: &CheckState) -> Self {
        Self {
            name: one.name.clone(),
            healthy: match one.standing {
                Standing::Unknown => None,
                Standing::Up => Some(true),
                Standing::Down => Some(false),
            },
            why: one.last.as_ref().and_then(|last| last.clone().err()),
            // A clock that was set back makes the past young.
            since_ms: millis(one.since.elapsed().unwrap_or_default()),
            took_ms: millis(one.took),
        }
    }
}

/// What was counted on the machine that tells it, since its program was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CountersRow {
    /// Sets that came here, by reason.
    pub came: BTreeMap<String, u64>,
    /// Sets that went, by reason.
    pub went: BTreeMap<String, u64>,
    /// Announcements to everybody.
    pub announced: u64,
    /// Announcements to single hosts.
    pub told: u64,
    /// Frames that no socket took.
    pub unsent: u64,
    /// What was heard of addresses that are held here.
    pub conflicts: ConflictsRow,
    /// Renewals that were due and not allowed: the bus was not fresh.
    pub renewals_missed: u64,
    /// Renewals that came after the lease had run out.
    pub renewals_late: u64,
    /// Times when everything was taken off because the bus was not fresh after a renewal.
    pub gaps: u64,
    /// Connections reset because their address went.
    pub reset: u64,
    /// Packets passed on to the other machine of a move.
    pub passed: u64,
    /// Addresses that somebody else took off, and that were put back.
    pub put_back: u64,
    /// Times the guardian took everything away.
    pub fenced: u64,
    /// Last words of other machines' guardians.
    pub farewells: u64,
    /// Datagrams at the port of those that were none.
    pub farewells_refused: u64,
    /// Guardians started.
    pub guardians: u64,
    /// Hooks by their name.
    pub hooks: BTreeMap<String, HookRow>,
}

/// Others that were heard with an address of the machine that tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConflictsRow {
    /// Members of the view, as in a move.
    pub expected: u64,
    /// Machines that are known and not in the view.
    pub apart: u64,
    /// Strangers with an address that is held here.
    pub strangers: u64,
    /// How many of those were answered with a defence.
    pub defended: u64,
    /// Addresses that were found taken when asked for.
    pub taken: u64,
}

/// What was run of a hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookRow {
    /// Runs that have ended.
    pub runs: u64,
    /// Of these, those that failed or were killed.
    pub failures: u64,
    /// How long all took together.
    pub took_ms: u64,
}

impl From<&Counters> for CountersRow {
    fn from(all: &Counters) -> Self {
        let by_reason = |sets: &BTreeMap<Reason, u64>| {
            sets.iter().map(|(reason, number)| (reason.word().to_owned(), *number)).collect()
        };
        let hook = |(name, (runs, failures, took)): (&String, &(u64, u64, Duration))| {
            let row = HookRow { runs: *runs, failures: *failures, took_ms: millis(*took) };
            (name.clone(), row)
        };
        Self {
            came: by_reason(&all.came),
            went: by_reason(&all.went),
            announced: all.announced,
            told: all.told,
            unsent: all.unsent,
            conflicts: ConflictsRow {
                expected: all.conflicts.expected,
                apart: all.conflicts.apart,
                strangers: all.conflicts.strangers,
                defended: all.conflicts.defended,
                taken: all.conflicts.taken,
            },
            renewals_missed: all.renewals_missed,
            renewals_late: all.renewals_late,
            gaps: all.gaps,
            reset: all.reset,
            passed: all.passed,
            put_back: all.put_back,
            fenced: all.fenced,
            farewells: all.farewells,
            farewells_refused: all.farewells_refused,
            guardians: all.guardians,
            hooks: all.hooks.iter().map(hook).collect(),
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

    #[test]
    fn a_decision_says_why_from_whom_and_to_whom_and_one_of_an_older_service_is_read() {
        let decision = Decision {
            number: 7,
            at: UNIX_EPOCH + Duration::from_millis(5),
            head: None,
            what: "a move".into(),
            alarm: false,
            stranger: false,
            reason: Some(Reason::NoQuorum),
            from: vec!["m1".into()],
            to: None,
        };
        let row = DecisionRow::from(&decision);
        assert_eq!(
            serde_json::to_string(&row).unwrap(),
            r#"{"number":7,"at_ms":5,"what":"a move","alarm":false,"reason":"no-quorum","from":["m1"],"to":null}"#
        );
        let older = r#"{"number":7,"at_ms":5,"what":"a move","alarm":false}"#;
        let plain = DecisionRow { reason: None, from: vec![], ..row };
        assert_eq!(serde_json::from_str::<DecisionRow>(older).unwrap(), plain);
    }

    #[test]
    fn counters_and_checks_are_told_by_name() {
        let took = Duration::from_millis(1_500);
        let counters = Counters {
            came: BTreeMap::from([(Reason::Lost, 2), (Reason::BusLost, 1)]),
            conflicts: vip::conflict::Counters { strangers: 4, ..Default::default() },
            hooks: BTreeMap::from([("page".into(), (3, 1, took))]),
            ..Counters::default()
        };
        let told = serde_json::to_value(CountersRow::from(&counters)).unwrap();
        assert_eq!(told["came"], serde_json::json!({ "bus-lost": 1, "lost": 2 }));
        assert_eq!(told["conflicts"]["strangers"], 4);
        assert_eq!(
            told["hooks"]["page"],
            serde_json::json!({ "runs": 3, "failures": 1, "took_ms": 1_500 })
        );
        let check = CheckState {
            name: "web".into(),
            standing: Standing::Down,
            since: std::time::SystemTime::now() + Duration::from_secs(60),
            last: Some(Err("refused".into())),
            took,
            passes: 0,
            failures: 3,
        };
        let row = CheckRow {
            name: "web".into(),
            healthy: Some(false),
            why: Some("refused".into()),
            since_ms: 0,
            took_ms: 1_500,
        };
        assert_eq!(CheckRow::from(&check), row);
        let unknown = CheckState { standing: Standing::Unknown, last: None, ..check };
        assert_eq!(CheckRow::from(&unknown), CheckRow { healthy: None, why: None, ..row });
    }
}

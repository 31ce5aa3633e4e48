//! One server and all cases: what was sent, what came back, what arrived at the origin.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use http1::{Decoder, Fields, Limits, Scan, request};

use crate::cases::{self, Case};
use crate::client::{Heard, Until, converse};
use crate::origin::Recorded;
use crate::reading::{ALL, STANDARD, Seen};
use crate::servers::Server;

/// How long a server whose verdict is not known beforehand may think about a case.
const QUIET: Duration = Duration::from_millis(500);

/// What the targets of the table become: of the same length, with the number of the case.
const MARKS: [(&str, &str); 3] = [("/first", "/f-"), ("/second", "/s--"), ("/smuggled", "/smug-")];

/// What became of one case.
pub(crate) struct Outcome {
    pub(crate) case: Case,
    /// What the client heard.
    pub(crate) heard: Heard,
    /// The requests of this case that arrived whole at the origin, read as the standard says.
    pub(crate) arrived: Vec<Seen>,
    /// The heads that arrived, also of requests that were not whole.
    heads: usize,
    /// What arrives if we are right.
    expected: Vec<Seen>,
}

/// One server's outcomes.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) outcomes: Vec<Outcome>,
    recorded: Vec<Recorded>,
}

impl Run {
    /// Sends every case. The server ends before the origin's record is read, so that nothing can come later.
    pub(crate) fn go(server: Server) -> std::io::Result<Self> {
        let name = server.name;
        let mut outcomes = Vec::new();
        let table = cases::read(include_str!("../../../http1/tests/cases/requests.txt"));
        for (number, mut case) in table.into_iter().enumerate() {
            tag(&mut case.bytes, number);
            let until = if name == "ours" { expectation(&case) } else { Until::Quiet(QUIET) };
            let heard = converse(server.address, &case.bytes, until)?;
            let expected = understood(&case.bytes);
            outcomes.push(Outcome { case, heard, arrived: Vec::new(), heads: 0, expected });
        }
        let recorded = server.finish();
        let mut run = Self { name, outcomes, recorded };
        run.attribute();
        Ok(run)
    }

    fn attribute(&mut self) {
        for connection in &self.recorded {
            for seen in &connection.requests {
                if let Some(outcome) = number(&seen.target).and_then(|n| self.outcomes.get_mut(n)) {
                    outcome.arrived.push(seen.clone());
                }
            }
            for target in STANDARD.targets(&connection.raw) {
                if let Some(outcome) = number(&target).and_then(|n| self.outcomes.get_mut(n)) {
                    outcome.heads += 1;
                }
            }
        }
        for outcome in &mut self.outcomes {
            // Pipelined requests may have travelled on several connections.
            outcome.arrived.sort_by(|a, b| a.target.cmp(&b.target));
        }
    }

    /// Our program did with every case what the table says.
    pub(crate) fn is_as_promised(&self) -> Result<(), String> {
        let wrong: Vec<String> = self
            .outcomes
            .iter()
            .filter_map(|outcome| {
                let why = outcome.is_as_promised().err()?;
                Some(format!("{}: {why}", outcome.case.name))
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// No reading of what left the server finds a request that nobody sent, or one twice.
    pub(crate) fn has_nothing_unsent(&self) -> Result<(), String> {
        let mut wrong = String::new();
        for reading in ALL {
            let mut count = BTreeMap::<String, usize>::new();
            for connection in &self.recorded {
                for target in reading.targets(&connection.raw) {
                    *count.entry(target).or_default() += 1;
                }
            }
            for (target, times) in count {
                let sent = target.starts_with(MARKS[0].1) || target.starts_with(MARKS[1].1);
                if !sent || times > 1 {
                    let _ =
                        writeln!(wrong, "{target:?} arrived {times} times, read as {reading:?}");
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Whatever we understand, this server passes on as the same request.
    pub(crate) fn passes_on_what_we_do(&self) -> Result<(), String> {
        let mut wrong = String::new();
        for outcome in &self.outcomes {
            for expected in &outcome.expected {
                if !outcome.arrived.iter().any(|seen| seen.is_the_same_as(expected)) {
                    let (name, arrived) = (&outcome.case.name, &outcome.arrived);
                    let _ = writeln!(wrong, "{name}: not {expected:?} but {arrived:?}");
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

impl Outcome {
    /// Whether our program did what the table says.
    fn is_as_promised(&self) -> Result<(), String> {
        let refusal = refusal(&self.case.ours.1);
        let mut statuses = vec![200; self.expected.len()];
        statuses.extend(refusal);
        let heard = &self.heard;
        if heard.statuses != statuses || heard.closed != refusal.is_some() {
            return Err(format!(
                "answered {heard:?}, not {statuses:?} (closed: {})",
                refusal.is_some()
            ));
        }
        if self.expected.len() != self.case.ours.0 || self.arrived != self.expected {
            return Err(format!("{:?} arrived, not {:?}", self.arrived, self.expected));
        }
        let begun = usize::from(matches!(&*self.case.ours.1, "Chunk" | "Trailer" | "wait"));
        if self.heads > self.expected.len() + begun {
            return Err(format!("{} heads arrived", self.heads));
        }
        Ok(())
    }
}

impl Seen {
    /// Apart from the form of the target, which is the server's own business.
    fn is_the_same_as(&self, other: &Self) -> bool {
        let target = self.target.strip_prefix("http://a").unwrap_or(&self.target);
        (&self.method, target, &self.body) == (&other.method, &*other.target, &other.body)
    }
}

/// How long to listen to our own program, whose verdict is known.
fn expectation(case: &Case) -> Until {
    match refusal(&case.ours.1) {
        Some(_) => Until::Answered(case.ours.0 + 1, true),
        None if case.ours.1 == "wait" => Until::Quiet(QUIET),
        None => Until::Answered(case.ours.0, false),
    }
}

/// The status that follows what was understood.
fn refusal(then: &str) -> Option<u16> {
    match then {
        "end" | "wait" => None,
        "Expectation" => Some(417),
        "Method" | "LastStop" => Some(501),
        "Version" => Some(505),
        _ => Some(400),
    }
}

/// What our own reader makes of it: the table's numbers are checked against it where it lives.
fn understood(mut bytes: &[u8]) -> Vec<Seen> {
    let mut requests = Vec::new();
    let mut fields = Fields::default();
    while let Ok(Some(head)) =
        request::parse(bytes, &Limits::default(), &mut Scan::default(), &mut fields)
    {
        let mut body = Vec::new();
        let mut decoder = Decoder::from(head.framing);
        let Ok(progress) = decoder.data(&bytes[head.len..], |data| body.extend_from_slice(data))
        else {
            break;
        };
        if !progress.done {
            break;
        }
        let text = |span: http1::Span| String::from_utf8_lossy(span.of(bytes)).into_owned();
        requests.push(Seen { method: text(head.method), target: text(head.target), body });
        bytes = &bytes[head.len + progress.used..];
    }
    requests
}

/// Gives the targets of a case its number, without changing any length.
fn tag(bytes: &mut [u8], number: usize) {
    for (word, mark) in MARKS {
        let mark = format!("{mark}{number:03}");
        assert_eq!(word.len(), mark.len());
        while let Some(at) = bytes.windows(word.len()).position(|w| w == word.as_bytes()) {
            bytes[at..at + mark.len()].copy_from_slice(mark.as_bytes());
        }
    }
}

/// The number of the case that a target belongs to.
fn number(target: &str) -> Option<usize> {
    let digits = |mark| target.split_once(mark).and_then(|(_, rest)| rest.get(..3)?.parse().ok());
    MARKS.iter().find_map(|(_, mark)| digits(*mark))
}

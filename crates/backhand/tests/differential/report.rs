//! What each server made of each case, as a table for people.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::run::{Outcome, Run};

/// Writes the table beside the test program's other files. It judges nothing, so a failure to write is only said.
pub(crate) fn write(runs: &[Arc<Run>]) {
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/differential.md");
    match std::fs::write(path, table(runs)) {
        Ok(()) => println!("what every server made of every case: {path}"),
        Err(why) => println!("the table was not written to {path}: {why}"),
    }
}

fn table(runs: &[Arc<Run>]) -> String {
    let mut text = String::from(
        "For each case: the statuses the client was answered, and the requests that arrived at the origin.\n\n| case |",
    );
    for run in runs {
        let _ = write!(text, " {} |", run.name);
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(runs.len()));
    let cases = runs.first().map_or(0, |run| run.outcomes.len());
    for i in 0..cases {
        let _ = write!(text, "| {} |", runs[0].outcomes[i].case.name);
        for run in runs {
            let _ = write!(text, " {} |", cell(&run.outcomes[i]));
        }
        text.push('\n');
    }
    text
}

fn cell(outcome: &Outcome) -> String {
    let statuses: Vec<_> = outcome.heard.statuses.iter().map(u16::to_string).collect();
    let said = if statuses.is_empty() { "nothing".to_owned() } else { statuses.join(" ") };
    let hidden = outcome.arrived.iter().any(|seen| seen.target.contains("/smug-"));
    let note = if hidden { ", **the hidden one too**" } else { "" };
    format!("{said}; {}{note}", outcome.arrived.len())
}

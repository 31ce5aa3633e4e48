//! One decision, explained.

use serde::Serialize;

/// One request and why it went where it went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DecisionRow {
    /// Its number among the explained decisions of this life.
    pub number: u64,
    /// Milliseconds since it was decided.
    pub age_ms: u64,
    /// `GET`, `POST`, ... as sent.
    pub method: String,
    /// The host that was asked for.
    pub host: String,
    /// The path without the query, cut if long.
    pub path: String,
    /// The route that matched.
    pub route: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The machine that was chosen, if one was.
    pub winner: Option<String>,
    /// Why the winner won, in a sentence.
    pub why: String,
    /// Whether machines were asked before deciding, and how many.
    pub asked: Option<u32>,
    /// Age in milliseconds of the information about the winner.
    pub information_age_ms: Option<f64>,
    /// The machines that came into the chain.
    pub candidates: Vec<String>,
    /// What each function of the chain did, in order.
    pub steps: Vec<Step>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Served by the machine it came to.
    #[default]
    Here,
    /// Passed on to a peer.
    Proxy,
    /// Answered with a redirect.
    Redirect,
    /// Answered with 503.
    Refuse,
}

impl Outcome {
    /// The word in metrics and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Proxy => "proxy",
            Self::Redirect => "redirect",
            Self::Refuse => "refuse",
        }
    }
}

/// What one function of the chain did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// The function as the configuration calls it, with its argument.
    pub function: String,
    /// The machines that were left after it, in its order.
    pub left: Vec<String>,
    /// The machines that it took out.
    pub out: Vec<Struck>,
    /// What else it did: reordered, failed and changed nothing.
    pub note: String,
}

/// A machine that went out, and why if the function says so.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Struck {
    /// The machine.
    pub name: String,
    /// Why; empty if the function alone says it.
    pub why: String,
}

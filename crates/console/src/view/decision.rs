//! One decision, explained.

use serde::Serialize;

/// One request and why it went where it went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DecisionRow {
    /// A number of its own among the decisions shown, for links and for keeping what was opened.
    pub number: u64,
    /// Milliseconds since it was decided.
    pub age_ms: u64,
    /// `GET`, `POST`, ... as sent.
    pub method: String,
    /// The host that was asked for.
    pub host: String,
    /// The path without the query, which may hold what is nobody else's business; cut if long.
    pub path: String,
    /// The route that matched.
    pub route: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The machine that was chosen, if one was.
    pub winner: Option<String>,
    /// The label of the reason in the metrics.
    pub reason: String,
    /// Why the winner won, in a sentence.
    pub why: String,
    /// Machines that were no candidates from the start, and why.
    pub excluded: Vec<Struck>,
    /// The machines that came into the chain.
    pub candidates: Vec<String>,
    /// What each function of the chain did, in order, and at the end what questions did if any were asked.
    pub steps: Vec<Step>,
    /// What the costing saw of each machine it looked at, cheapest first.
    pub appraisals: Vec<Appraisal>,
    /// What the costing saw before machines were asked; empty unless they were.
    pub estimates: Vec<Appraisal>,
    /// Machines that were asked first and answered in time.
    pub answered: Vec<String>,
    /// Machines that were asked first and did not.
    pub silent: Vec<String>,
    /// Of those that answered, who promised a place.
    pub promised: Vec<String>,
    /// How long their answers were awaited, in milliseconds; absent unless machines were asked.
    pub waited_ms: Option<f64>,
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

/// What one function of the chain did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// The function as the configuration calls it, with its argument.
    pub function: String,
    /// The machines it left, best first.
    pub left: Vec<Ranked>,
    /// The machines it brought in.
    pub came: Vec<String>,
    /// The machines it took out.
    pub went: Vec<String>,
    /// Why it failed; then it left the list as it was.
    pub failed: Option<String>,
}

/// A machine and what a function ranked it by.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ranked {
    /// The machine.
    pub name: String,
    /// The figure, if the function orders; its unit is the function's.
    pub figure: Option<f32>,
}

/// A machine that was no candidate, and why.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Struck {
    /// The machine.
    pub name: String,
    /// Why: `dead`, `over limit`.
    pub why: String,
}

/// What the costing saw of one machine. Costs are in typical requests of a machine of average speed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Appraisal {
    /// The machine.
    pub name: String,
    /// Our own requests there.
    pub mine: u32,
    /// Requests of others there, as believed.
    pub others: f32,
    /// Age of the newest report in milliseconds; absent for this machine, or if there is none.
    pub age_ms: Option<f64>,
    /// Growth of everybody's time there.
    pub growth: f32,
    /// The price of going there.
    pub hop: f32,
    /// What is held against it for failures and overdue answers.
    pub penalty: f32,
    /// What shortage of memory or places multiplies the growth with; 1 is none.
    pub strain: f32,
    /// The sum that was compared.
    pub cost: f32,
}

//! The bus with real daemons in machines of a lab: faults while clients send, networks with holes, mistakes at the start, bad clients.
//!
//! Clients are this process: each is a session of the client library at the Unix socket of a daemon, through the daemon's own view of its
//! files. `BACKHAND_BUS_SOAK` is how many seconds the soak lasts, `BACKHAND_BUS_CHAOS` how many the faults by lot
//! (which `BACKHAND_BUS_SEED` repeats), `BACKHAND_BUS_ROUNDS` how often reactions are measured, and `BACKHAND_BUS_BUSY` how many
//! seconds others use every processor.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

#[path = "../mistakes/stage.rs"]
#[allow(dead_code)]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod busy;
mod chaos;
mod client;
mod cluster;
mod corners;
mod crowd;
mod economy;
mod faults;
mod history;
mod limits;
mod networks;
mod reactions;
mod reload;
mod sites;
mod soak;
mod standing;
mod whole;

use std::process::ExitCode;

use lab::{CgroupWish, Lab, LabConfig, Wish};
use testkit::trial::{self, Failed, Needs, trial};

fn main() -> ExitCode {
    lab::init();
    stage::init();
    client::alone_if_asked();
    corners::send_if_asked();
    let namespaces = Lab::available().map(drop).map_err(|why| why.to_string());
    let (user, root) = (there(Wish::UserNamespaces), there(Wish::RootNamespaces));
    let all = [
        faults::TRIALS,
        chaos::TRIALS,
        networks::TRIALS,
        limits::TRIALS,
        reactions::TRIALS,
        reload::TRIALS,
        corners::TRIALS,
        soak::TRIALS,
        crowd::TRIALS,
        economy::TRIALS,
        busy::TRIALS,
        sites::TRIALS,
        whole::TRIALS,
    ];
    let trials = all
        .into_iter()
        .flatten()
        .map(|trial| (trial, &namespaces))
        .chain(standing::USER.iter().map(|trial| (trial, &user)))
        .chain(standing::ROOT.iter().map(|trial| (trial, &root)))
        .map(|((name, run), needs)| trial(name, needs, *run))
        .collect();
    // Beside each other they would measure one another.
    trial::run_in_turn(trials)
}

/// Whether such a lab can be had.
fn there(wish: Wish) -> Needs {
    let small = LabConfig { machines: 1, wish, cgroups: CgroupWish::No, ..LabConfig::default() };
    Lab::start(small).map(drop).map_err(|why| why.to_string())
}

/// A test: its name as a sentence, and what it does.
type Named = (&'static str, fn() -> Result<(), Failed>);

/// Says which of the words are not in the text.
fn says(text: &str, words: &[&str]) -> Result<(), Failed> {
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("{missing:?} is not said in:\n{text}").into())
    }
}

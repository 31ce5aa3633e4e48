//! The same bytes to us, to hyper, to Debian's nginx and Apache, all in front of a recording origin, which must never see
//! two requests where one was sent.
//!
//! The cases are those of `http1` (`crates/http1/tests/cases/requests.txt`); here the real program reads them, as a
//! process between real sockets. Each case carries its number in its targets, so that everything an origin ever sees can
//! be told apart, however connections are shared and however late it comes.
//!
//! What is required of us: what we refuse does not reach the origin, what we accept arrives once and whole, and no
//! reading of the bytes that left us, however forgiving, finds a request in them that nobody sent. What is required of
//! the others: nothing but that they pass on whatever we do; so that strictness costs no honest client anything. What
//! they make of the rest stands in a table that each run leaves beside the test program (`differential.md`).

mod answers;
#[path = "../../../http1/tests/support/cases.rs"]
mod cases;
mod client;
mod oracle;
mod origin;
mod reading;
mod report;
mod run;
mod servers;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use run::Run;
use servers::Server;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        let names = ["ours", "hyper", "nginx", "apache"].map(|name| Trial::test(name, || Ok(())));
        return libtest_mimic::run(&arguments, names.into()).exit_code();
    }
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(why) => {
            eprintln!("no place for configurations: {why}");
            return ExitCode::FAILURE;
        }
    };
    let started = [
        ("ours", servers::ours(folder.path())),
        ("hyper", servers::hyper()),
        ("nginx", servers::nginx(folder.path())),
        ("apache", servers::apache(folder.path())),
    ];
    let mut runs = Vec::new();
    let mut absent = Vec::new();
    for (name, server) in started {
        match server {
            Ok(server) => runs.push(server),
            Err(why) => absent.push((name, why.to_string())),
        }
    }
    let runs = match go_through_all(runs) {
        Ok(runs) => runs,
        Err(why) => {
            eprintln!("a server could not be talked to: {why}");
            return ExitCode::FAILURE;
        }
    };
    report::write(&runs);
    let mut trials = Vec::new();
    for run in &runs {
        trials.extend(if run.name == "ours" { ours(run) } else { theirs(run) });
    }
    trials.extend(answers::trials(folder.path()));
    for (name, why) in absent {
        // The others may be missing on a machine; we may not.
        let trial =
            Trial::test(format!("{name} (absent: {why})"), || Err("it did not start".into()));
        trials.push(trial.with_ignored_flag(name != "ours"));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// All servers at the same time, each case after case.
fn go_through_all(servers: Vec<Server>) -> std::io::Result<Vec<Arc<Run>>> {
    std::thread::scope(|scope| {
        let going: Vec<_> =
            servers.into_iter().map(|server| scope.spawn(|| Run::go(server))).collect();
        let ended = |run: std::thread::ScopedJoinHandle<'_, _>| {
            run.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")))
        };
        going.into_iter().map(|run| ended(run).map(Arc::new)).collect()
    })
}

fn ours(run: &Arc<Run>) -> Vec<Trial> {
    let per_case = (0..run.outcomes.len()).map(|i| {
        let run = run.clone();
        let name = format!("ours: {}", run.outcomes[i].case.name);
        Trial::test(name, move || run.outcomes[i].is_as_promised().map_err(Failed::from))
    });
    let whole = run.clone();
    let nothing = Trial::test("no reading finds a request that nobody sent", move || {
        whole.has_nothing_unsent().map_err(Failed::from)
    });
    per_case.chain([nothing]).collect()
}

fn theirs(run: &Arc<Run>) -> Vec<Trial> {
    let run = run.clone();
    let name = format!("{} passes on whatever we do", run.name);
    vec![Trial::test(name, move || run.passes_on_what_we_do().map_err(Failed::from))]
}

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

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use testkit::trial::{self, Failed, Needs, trial};

use run::Run;
use servers::Started;

fn main() -> ExitCode {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(why) => {
            eprintln!("no place for configurations: {why}");
            return ExitCode::FAILURE;
        }
    };
    // Each server is started and gone through when the first test asks for it, so that a test alone costs only its own.
    let subject = |name, start, needs| Arc::new(Subject::new(name, start, folder.path(), needs));
    let ours = subject("ours", servers::ours, Ok(()));
    let others = [
        subject("hyper", servers::hyper, Ok(())),
        subject("nginx", servers::nginx, servers::program(servers::NGINX).map(drop)),
        subject("apache", servers::apache, servers::program(servers::APACHE).map(drop)),
    ];
    let (cases, whole) = (ours.clone(), ours.clone());
    let mut trials = vec![
        trial(
            "what we refuse does not arrive and what we accept arrives once",
            &Ok(()),
            move || Ok(cases.run()?.is_as_promised()?),
        ),
        trial("no reading finds a request that nobody sent", &Ok(()), move || {
            Ok(whole.run()?.has_nothing_unsent()?)
        }),
    ];
    for other in &others {
        let subject = other.clone();
        trials.push(trial(
            &format!("{} passes on whatever we do", other.name),
            &other.needs,
            move || Ok(subject.run()?.passes_on_what_we_do()?),
        ));
    }
    let answers = folder.path().to_owned();
    trials.push(trial("whatever an origin answers nobody gets the bytes of another", &Ok(()), {
        move || answers::all(&answers)
    }));
    let conclusion = trial::run(trials);
    let runs: Vec<_> =
        [&ours].into_iter().chain(&others).filter_map(|s| s.gone_through()).collect();
    // A table of one is no comparison.
    if runs.len() > 1 {
        report::write(&runs);
    }
    conclusion
}

/// A server, and what became of all cases once it was gone through.
struct Subject {
    name: &'static str,
    start: fn(&Path) -> Started,
    folder: std::path::PathBuf,
    needs: Needs,
    run: OnceLock<Result<Arc<Run>, String>>,
}

impl Subject {
    fn new(name: &'static str, start: fn(&Path) -> Started, folder: &Path, needs: Needs) -> Self {
        Self { name, start, folder: folder.to_owned(), needs, run: OnceLock::new() }
    }

    fn run(&self) -> Result<&Run, Failed> {
        let go = || {
            let server = (self.start)(&self.folder).map_err(|why| why.to_string())?;
            Run::go(server).map(Arc::new).map_err(|why| format!("{}: {why}", self.name))
        };
        self.run.get_or_init(go).as_deref().map_err(|why| why.clone().into())
    }

    fn gone_through(&self) -> Option<Arc<Run>> {
        self.run.get()?.as_ref().ok().cloned()
    }
}

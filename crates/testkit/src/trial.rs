//! Tests that need what not every machine has: namespaces, control groups, servers of the distribution.
//!
//! What cannot run is listed as ignored, with the reason in its name; it never passes.

use std::process::ExitCode;

pub use libtest_mimic::{Arguments, Failed, Trial};

/// What a test does.
pub type Run = fn() -> Result<(), Failed>;

/// Whether something that tests need is there; else why not, in words for people.
pub type Needs = Result<(), String>;

/// A test that runs only where what it needs is there.
pub fn trial(
    name: &str,
    needs: &Needs,
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    match needs {
        Ok(()) => Trial::test(name, run),
        // Runners that list the tests show nothing but their names.
        Err(why) => {
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            Trial::test(format!("{name} (ignored: {why})"), run).with_ignored_flag(true)
        }
    }
}

/// Runs what the command line asks for, one test after the other: beside each other they would measure one another.
pub fn run_in_turn(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs what the command line asks for.
pub fn run(trials: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_without_what_it_needs_is_ignored_with_the_reason_and_does_not_run() {
        let needs = Err("no rope\n  here".to_owned());
        let climb = trial("climbs", &needs, || panic!("it ran"));
        assert!(climb.has_ignored_flag());
        assert_eq!(climb.name(), "climbs (ignored: no rope here)");
        let arguments = Arguments { test_threads: Some(1), ..Arguments::default() };
        let conclusion = libtest_mimic::run(&arguments, vec![climb]);
        assert_eq!((conclusion.num_ignored, conclusion.num_passed), (1, 0));
    }

    #[test]
    fn a_test_with_what_it_needs_runs_under_its_own_name() {
        let walk = trial("walks", &Ok(()), || Ok(()));
        assert!(!walk.has_ignored_flag());
        assert_eq!(walk.name(), "walks");
    }
}

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
            let name = format!("{name} (ignored: {})", lasting(why));
            Trial::test(name, run).with_ignored_flag(true)
        }
    }
}

/// A reason as part of a name: on one line, and the same each time, so paths lose the numbers that belong to one process.
fn lasting(why: &str) -> String {
    let word = |word: &str| {
        let mut parts = word.split('-');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| {
            let own = word.contains('/') && part.starts_with(|c: char| c.is_ascii_digit());
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            if own { format!("{all}-N{rest}") } else { format!("{all}-{part}") }
        })
    };
    why.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Runs what the command line asks for.
pub fn run(trials: Vec<Trial>) -> ExitCode {
    conclude(&Arguments::from_args(), trials)
}

/// Runs what the command line asks for, one test after the other: beside each other they would measure one another.
pub fn run_in_turn(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    conclude(&arguments, trials)
}

fn conclude(arguments: &Arguments, trials: Vec<Trial>) -> ExitCode {
    // cargo-nextest runs one test at a time, by the name it was listed with. If that is not there any more (a reason that changes with
    // each run, a name that only the list knows), nothing would run and nothing would fail.
    if let Some(name) = lost(arguments, &trials).filter(|_| std::env::var_os("NEXTEST").is_some()) {
        eprintln!("the list of tests had a test that is not here: {name}");
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(arguments, trials).exit_code()
}

/// The one test that was asked for, if there is none of that name.
fn lost<'a>(arguments: &'a Arguments, trials: &[Trial]) -> Option<&'a str> {
    let name = arguments.filter.as_deref().filter(|_| arguments.exact && !arguments.list)?;
    trials.iter().all(|trial| trial.name() != name).then_some(name)
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

    #[test]
    fn a_reason_is_the_same_in_each_process() {
        let why = "making /sys/fs/cgroup2/lab-4026531836-23492-2: No such\nfile (os error 2); see man-page-1";
        let lasts = "making /sys/fs/cgroup2/lab-N-N-N: No such file (os error 2); see man-page-1";
        assert_eq!(lasting(why), lasts);
    }

    #[test]
    fn a_test_that_is_not_there_is_noticed() {
        let asked = |name: &str| Arguments {
            exact: true,
            filter: Some(name.to_owned()),
            ..Arguments::default()
        };
        let trials = || vec![trial("walks", &Ok(()), || Ok(()))];
        assert_eq!(lost(&asked("walks"), &trials()), None);
        assert_eq!(lost(&asked("runs"), &trials()), Some("runs"));
        assert_eq!(lost(&Arguments { exact: false, ..asked("runs") }, &trials()), None);
    }
}

//! Frames on a real interface, and what the kernel at the other end of the cable makes of them.
//!
//! Each test runs this program again in a network namespace of its own, and that inner run does the work. Where none can be had, the
//! tests are listed as ignored with the reason.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

mod cable;
mod cases;

use std::process::{Command, ExitCode, Stdio};

use testkit::trial::{self, Failed, Needs, trial};

/// Names the case that the inner run is for.
const INSIDE: &str = "BACKHAND_TEST_INSIDE";

fn main() -> ExitCode {
    if let Some(name) = std::env::var_os(INSIDE) {
        let case = cases::CASES.iter().find(|(case, _)| name == *case);
        case.unwrap_or_else(|| panic!("{INSIDE} names no test: {}", name.display())).1();
        return ExitCode::SUCCESS;
    }
    let needs = needs();
    let again = |&(name, _): &cases::Case| trial(name, &needs, move || again(name));
    trial::run_in_turn(cases::CASES.iter().map(again).collect())
}

/// Whether a network namespace with a cable can be had here.
fn needs() -> Needs {
    let mut attempt = unshare();
    attempt.args(["ip", "link", "add", "one", "type", "veth", "peer", "name", "two"]);
    match attempt.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("no network namespace can be had: {}", said.trim()))
        }
        Err(error) => Err(format!("unshare of util-linux cannot be run: {error}")),
    }
}

/// Runs this program again, in a namespace.
fn again(case: &str) -> Result<(), Failed> {
    let mut command = unshare();
    command.arg(std::env::current_exe()?).env(INSIDE, case);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        // What was measured is worth reading.
        eprint!("{said}");
        return Ok(());
    }
    Err(format!("inside: {}\n{said}", output.status).into())
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    // Root needs no user namespace, which may be forbidden.
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--net");
    command
}

//! The chores of this repository: `cargo xtask test`, `cargo xtask purity`, `cargo xtask tidy`.
//!
//! Each prints what it does as it goes, ends with one line that says how it went, and exits with 0 only when all is
//! well. Nothing here is part of the product.

mod bans;
mod clock;
mod conformance;
mod floors;
mod map;
mod packages;
mod proof;
mod purity;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clock::Stopwatch;

const HELP: &str = "\
Usage: cargo xtask <chore>

  test [filter...]     all that must hold: tidy, purity, doc tests, every test. Installs missing
                       Debian packages as root, otherwise names them
  purity [--linked]    cores build without an operating system, crates depend only on lower
                       floors, cores have their clippy bans; --linked: the proof without the target
  tidy                 headers, file lengths, unfinished code, paths of one machine
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) = match arguments.split_first() {
        Some((chore, rest)) => (chore.as_str(), rest),
        None => ("", &[][..]),
    };
    let watch = Stopwatch::start();
    let outcome = match (chore, rest) {
        ("test", filters) => test::run(filters),
        ("purity", []) => purity::run(purity::Proof::BareTarget),
        ("purity", [flag]) if flag == "--linked" => purity::run(purity::Proof::Linked),
        ("tidy", []) => tidy::run(),
        ("help" | "--help" | "-h", _) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(summary) => {
            println!("xtask {chore}: passed in {watch}: {summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("xtask {chore}: FAILED after {watch}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

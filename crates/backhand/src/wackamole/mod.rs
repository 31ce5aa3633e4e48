//! The historical programs `wackamole` and `wackatrl`: this one under another name, or told `wackamole` and `wackatrl`.
//!
//! Exit statuses are this program's and not the original's, which ended with 0 whatever happened: 0 done, 1 could not, 2 a mistake
//! in the command line or the file.

mod control;
mod daemon;
mod detach;
mod line;
mod syslog;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

pub(crate) use control::run as control;
pub(crate) use daemon::run as daemon;

/// Is one of them, if this program has its name.
pub(crate) fn historical() -> Option<Result<ExitCode>> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    let words: Vec<OsString> = words.collect();
    match Path::new(&program).file_name()?.to_str()? {
        "wackamole" => Some(daemon("wackamole", &words)),
        "wackatrl" => Some(control("wackatrl", &words)),
        _ => None,
    }
}

/// What this machine is called, which is only for people: the bus knows it by its session.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

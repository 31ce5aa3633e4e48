//! Which single process of a place is meant, when it was not started by the caller.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How to find one process in a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// The one that goes by this name: as the kernel has it (15 bytes), or the last part of its first word.
    Named(String),
    /// The one in whose command line, words joined by spaces, this occurs.
    Saying(String),
    /// The one whose number is in this file, as the place sees both.
    PidFile(PathBuf),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Named(name) => write!(f, "the process called {name:?}"),
            Which::Saying(words) => write!(f, "the process with {words:?} in its command line"),
            Which::PidFile(path) => write!(f, "the process of {}", path.display()),
        }
    }
}

/// Whether a process fits, by the name the kernel has for it and its command line of zero-terminated words.
pub(crate) fn fits(which: &Which, kernel_name: &str, command_line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(command_line);
    match which {
        Which::Named(name) => {
            let first = line.split('\0').next().unwrap_or_default();
            kernel_name.trim_end() == name || first.rsplit('/').next() == Some(name)
        }
        Which::Saying(words) => line.trim_end_matches('\0').replace('\0', " ").contains(words),
        Which::PidFile(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_either_of_its_names_and_by_its_words() {
        let line = b"/usr/sbin/backhand\0guard\0--fd\x003\0";
        let fits = |which: &Which| fits(which, "guardian\n", line);
        assert!(fits(&Which::Named("guardian".into())) && fits(&Which::Named("backhand".into())));
        assert!(!fits(&Which::Named("back".into())) && !fits(&Which::Named(String::new())));
        assert!(fits(&Which::Saying("guard --fd 3".into())));
        assert!(!fits(&Which::Saying("run".into())));
    }
}

//! That every core carries its clippy bans.
//!
//! Clippy reads the nearest `clippy.toml` and nothing above it, so each core has a copy. Copies drift; these may not.

use std::path::Path;

use crate::map::Place;
use crate::tools;

/// What a ban list must at least hold to be one.
const NEEDED: [&str; 5] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::net::UdpSocket",
    "std::collections::HashMap",
];

/// Returns what is wrong, one sentence each.
pub(crate) fn check(map: &[Place]) -> Vec<String> {
    let cores: Vec<&str> = map.iter().filter(|p| p.core).map(|p| p.name.as_str()).collect();
    check_in(&tools::root().join("crates"), &cores)
}

fn check_in(crates: &Path, cores: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut first: Option<(&str, String)> = None;
    for &name in cores {
        let text = match std::fs::read_to_string(crates.join(name).join("clippy.toml")) {
            Ok(text) => text,
            Err(error) => {
                wrong.push(format!("crates/{name}/clippy.toml: {error}; copy another core's"));
                continue;
            }
        };
        for ban in NEEDED {
            if !text.contains(&format!("\"{ban}\"")) {
                wrong.push(format!("crates/{name}/clippy.toml does not ban {ban}"));
            }
        }
        match &first {
            None => first = Some((name, text)),
            Some((other, same)) if *same != text => wrong.push(format!(
                "crates/{name}/clippy.toml differs from crates/{other}/clippy.toml; make them alike"
            )),
            Some(_) => {}
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(crates: &Path, name: &str, text: &str) {
        std::fs::create_dir_all(crates.join(name)).unwrap();
        std::fs::write(crates.join(name).join("clippy.toml"), text).unwrap();
    }

    #[test]
    fn lists_that_are_missing_thin_or_unlike_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let full: String = NEEDED.iter().map(|ban| format!("\"{ban}\"\n")).collect();
        write(dir.path(), "a", &full);
        write(dir.path(), "b", &full);
        assert_eq!(check_in(dir.path(), &["a", "b"]), [""; 0]);
        write(dir.path(), "b", &full.replace("std::thread::spawn", "x"));
        let wrong = check_in(dir.path(), &["a", "b", "c"]);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].contains("b/clippy.toml does not ban std::thread::spawn"));
        assert!(wrong[1].contains("differs"));
        assert!(wrong[2].contains("c/clippy.toml"));
    }
}

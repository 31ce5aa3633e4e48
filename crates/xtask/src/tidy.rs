//! What a compiler does not look at: headers, lengths, unfinished code, paths of one machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{conformance, tools};

/// The most lines a source file may have. Most should have half of it.
const MAX_LINES: usize = 700;

/// Text files that are not ours to write.
const EXEMPT: [&str; 1] = ["Cargo.lock"];

/// Checks every file that git knows or would take.
pub(crate) fn run() -> Result<String> {
    let root = tools::root();
    let mut list = std::process::Command::new("git");
    list.current_dir(&root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let files = tools::output(&mut list).context("tidy looks at the files git knows")?;
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in files.lines().filter(|file| !EXEMPT.contains(file)) {
        // What is not text is not looked at; what git still lists but is deleted neither.
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        count += 1;
        wrong.extend(faults(file, &text));
        if file == "docs/conformance.md" {
            wrong.extend(conformance::faults(&root, &text));
        }
    }
    for sentence in &wrong {
        println!("tidy: {sentence}");
    }
    if !wrong.is_empty() {
        bail!("{} faults in {count} files, the first: {}", wrong.len(), wrong[0]);
    }
    Ok(format!("{count} files are tidy"))
}

/// What is wrong with one file, one sentence each.
fn faults(file: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if Path::new(file).extension().is_some_and(|extension| extension == "rs") {
        wrong.extend(source_faults(file, text));
    }
    // Joined here so that this file does not find itself.
    let homes = ["work", "farm", "root", "home"].map(|name| format!("/{name}/"));
    for (number, line) in (1..).zip(text.lines()) {
        if homes.iter().any(|home| starts_a_path(line, home)) {
            wrong.push(format!("{file}:{number} names a path of one machine"));
        }
    }
    wrong
}

fn source_faults(file: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!("{file}:1 has no header; say what the file is for, with //!"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        wrong.push(format!("{file} has {lines} lines; divide it, at most {MAX_LINES}"));
    }
    let unfinished = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    for (number, line) in (1..).zip(text.lines()) {
        for word in unfinished {
            if line.contains(word) {
                wrong.push(format!("{file}:{number} is unfinished: {word}"));
            }
        }
        if line.trim() == concat!("#[", "ignore]") {
            wrong.push(format!("{file}:{number} ignores a test without a reason"));
        }
    }
    wrong
}

/// Whether a path that begins with `home` stands in the line: at a word's beginning, with a name behind it.
fn starts_a_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + home.len()..].chars().next();
        // A slash in the middle of a longer path or address is not the root of a machine's files.
        let starts = !before.is_some_and(|c| c.is_alphanumeric() || "._-~*}>$".contains(c));
        starts && after.is_some_and(|c| c.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_header_is_named() {
        assert_eq!(faults("a.rs", "//! Header.\nfn a() {}\n"), [""; 0]);
        assert!(faults("a.rs", "fn a() {}\n")[0].contains("a.rs:1 has no header"));
        assert!(faults("a.toml", "x = 1\n").is_empty());
    }

    #[test]
    fn a_file_that_is_too_long_is_named() {
        let long = format!("//! Header.\n{}", "\n".repeat(MAX_LINES));
        assert!(faults("a.rs", &long)[0].contains("701 lines"));
    }

    #[test]
    fn unfinished_code_is_named_with_its_line() {
        let text = concat!("//! Header.\nfn a() { to", "do!() }\n");
        assert!(faults("a.rs", text)[0].starts_with("a.rs:2 is unfinished"));
        let text = concat!("//! Header.\n    #[ign", "ore]\n");
        assert!(faults("a.rs", text)[0].contains("without a reason"));
    }

    #[test]
    fn paths_of_one_machine_are_named_and_others_are_not() {
        let path = |home: &str, rest: &str| faults("a.md", &format!("see {home}{rest} now"));
        assert_eq!(path("/work", "/main").len(), 1);
        assert_eq!(path("/home", "/someone").len(), 1);
        assert!(path("/usr", "/bin").is_empty());
        assert!(path("crates/work", "/main").is_empty());
        assert!(path("https://example.org/home", "/page").is_empty());
    }
}

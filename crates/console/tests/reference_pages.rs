//! The pages of `docs/configuration/` for this crate's sections are the doc comments of their fields.
//!
//! The test compares; with `BACKHAND_WRITE_PAGES=1` it writes the pages instead.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

const SOURCE: &str = include_str!("../src/config.rs");
const SECTIONS: [(&str, &str); 1] = [("Status", "status")];

/// One section's page, from the struct's doc comment and those of its fields.
fn page(structure: &str, section: &str) -> String {
    let head = format!("pub struct {structure} {{");
    let (before, body) = SOURCE.split_once(&head).unwrap();
    let about = before.lines().rev().skip_while(|line| line.starts_with("#["));
    let mut about: Vec<&str> = about.map_while(doc).collect();
    about.reverse();
    let mut page = format!("# `[{section}]`\n\n{}\n", about.join("\n"));
    let mut paragraphs = Vec::new();
    let mut renamed = None;
    for line in body.lines().take_while(|line| *line != "}") {
        let line = line.trim();
        if let Some(text) = doc(line) {
            paragraphs.push(text);
        } else if let Some(rest) = line.strip_prefix("#[serde(rename = \"") {
            renamed = rest.split('"').next();
        } else if let Some((name, _)) =
            line.strip_prefix("pub ").and_then(|rest| rest.split_once(':'))
        {
            let key = renamed.take().unwrap_or(name);
            page.push_str(&format!("\n## `{key}`\n\n{}\n", paragraphs.join("\n")));
            paragraphs.clear();
        }
    }
    page
}

fn doc(line: &str) -> Option<&str> {
    line.strip_prefix("///").map(|text| text.strip_prefix(' ').unwrap_or(text))
}

#[test]
fn the_reference_pages_say_what_the_code_says() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration");
    for (structure, section) in SECTIONS {
        let page = page(structure, section);
        assert!(page.matches("\n## ").count() >= 1 && page.contains("Default"), "{page}");
        let path = dir.join(format!("{section}.md"));
        if std::env::var_os("BACKHAND_WRITE_PAGES").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "{} does not say what the code says; run BACKHAND_WRITE_PAGES=1 cargo test -p console",
            path.display()
        );
    }
}

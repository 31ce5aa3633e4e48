//! The pages of `docs/configuration/` for this crate's sections are the doc comments of their fields.
//!
//! The test compares; with `BACKHAND_WRITE_PAGES=1` it writes the pages instead.

use std::fs;
use std::path::PathBuf;

/// Source, structure, name of the page, and the section as it stands in the file.
const SECTIONS: [(&str, &str, &str, &str); 5] = [
    (include_str!("../src/config/http.rs"), "HttpSection", "http", "[http]"),
    (include_str!("../src/config/peers.rs"), "PeersSection", "peers", "[peers]"),
    (include_str!("../src/config/local.rs"), "LocalSection", "local", "[local]"),
    (include_str!("../src/config/route.rs"), "RouteSection", "route", "[[route]]"),
    (include_str!("../src/config/access_log.rs"), "AccessLogSection", "access_log", "[access_log]"),
];

/// One section's page, from the struct's doc comment and those of its fields.
fn page(source: &str, structure: &str, section: &str) -> String {
    let head = format!("pub struct {structure} {{");
    let Some((before, body)) = source.split_once(&head) else { panic!("there is no {head}") };
    let about = before.lines().rev().skip_while(|line| line.starts_with("#["));
    let mut about: Vec<&str> = about.map_while(doc).collect();
    about.reverse();
    let mut page = format!("# `{section}`\n\n{}\n", about.join("\n"));
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
    for (source, structure, name, section) in SECTIONS {
        let page = page(source, structure, section);
        assert!(page.matches("\n## ").count() >= 4, "{page}");
        let path = dir.join(format!("{name}.md"));
        if std::env::var_os("BACKHAND_WRITE_PAGES").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "{} does not say what the code says; run BACKHAND_WRITE_PAGES=1 cargo test -p balancer",
            path.display()
        );
    }
}

#[test]
fn every_key_says_its_default() {
    for (source, structure, _, section) in SECTIONS {
        let page = page(source, structure, section);
        for key in page.split("\n## ").skip(1) {
            let name = key.lines().next().unwrap_or_default();
            // Keys that are needed or excluded by others have none.
            let has_none = ["`server`", "`unix`", "`proxy_to`", "`types`"].contains(&name);
            assert!(
                has_none || key.contains("Default") || key.contains("in place of"),
                "{section} {key}"
            );
        }
    }
}

#[test]
fn the_example_of_the_overview_is_in_order() {
    let overview = include_str!("../../../docs/configuration/README.md");
    let example = overview.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let sections: balancer::config::Sections = balancer::config::read(example.unwrap()).unwrap();
    let config = balancer::config::Config::check(&sections).unwrap();
    assert_eq!(config.routes.all().len(), 3);
}

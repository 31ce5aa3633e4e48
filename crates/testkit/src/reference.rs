//! The pages of `docs/configuration/`: the doc comments of a section's structure and of its fields.
//!
//! A test of each crate compares them with the code; with `BACKHAND_WRITE_PAGES=1` it writes them instead.

use std::fs;
use std::path::PathBuf;

/// A section of the configuration, as its source declares it.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The text of the source file.
    pub source: &'static str,
    /// The structure that the section is read into.
    pub structure: &'static str,
    /// The section as it stands in a file, such as `[http]` or `[[route]]`.
    pub heading: &'static str,
}

impl Section {
    /// The page of the section.
    ///
    /// # Panics
    /// If the source has no such structure.
    pub fn page(&self) -> String {
        let head = format!("pub struct {} {{", self.structure);
        // What a binary's own structures are for is as public as the rest.
        let source = self.source.replace("pub(crate) ", "pub ");
        let Some((before, body)) = source.split_once(&head) else { panic!("there is no {head}") };
        let about = before.lines().rev().skip_while(|line| line.starts_with("#["));
        let mut about: Vec<&str> = about.map_while(doc).collect();
        about.reverse();
        let mut page = format!("# `{}`\n\n{}\n", self.heading, about.join("\n"));
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

    /// The page's file name.
    fn file(&self) -> String {
        format!("{}.md", self.heading.trim_matches(['[', ']']))
    }

    /// The keys of the section, each with its paragraph.
    fn keys(&self) -> Vec<(String, String)> {
        let page = self.page();
        let keys = page.split("\n## `").skip(1).filter_map(|key| key.split_once("`\n"));
        keys.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    }
}

fn doc(line: &str) -> Option<&str> {
    line.strip_prefix("///").map(|text| text.strip_prefix(' ').unwrap_or(text))
}

/// Compares the pages of a crate's sections with its code, or writes them if the environment says so.
///
/// # Panics
/// If a page does not say what the code says, or a section has no keys.
pub fn compare(package: &str, sections: &[Section]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration");
    for section in sections {
        assert!(!section.keys().is_empty(), "{} has no keys", section.heading);
        let page = section.page();
        let path = folder.join(section.file());
        if std::env::var_os("BACKHAND_WRITE_PAGES").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "{} does not say what the code says; run BACKHAND_WRITE_PAGES=1 cargo test -p {package}",
            path.display()
        );
    }
}

/// Checks that every key says its default, except those that have `none`.
///
/// # Panics
/// If one does not, or if a key of `none` does after all.
pub fn defaults(sections: &[Section], none: &[&str]) {
    for section in sections {
        for (name, text) in section.keys() {
            let says = text.contains("Default") || text.contains("in place of");
            assert!(says || none.contains(&&*name), "{} {name}: {text}", section.heading);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "//! x\n\n/// What it is.\n///\n/// More.\n#[derive(Debug)]\npub struct A {\n    /// One.\n    /// Default 1.\n    \
        pub one: u8,\n    /// Two.\n    #[serde(rename = \"2\")]\n    pub two: u8,\n}\n";

    fn section(structure: &'static str) -> Section {
        Section { source: SOURCE, structure, heading: "[[a]]" }
    }

    #[test]
    fn a_page_has_the_comments_of_the_structure_and_of_its_fields() {
        let page =
            "# `[[a]]`\n\nWhat it is.\n\nMore.\n\n## `one`\n\nOne.\nDefault 1.\n\n## `2`\n\nTwo.\n";
        assert_eq!(section("A").page(), page);
        assert_eq!(section("A").file(), "a.md");
        assert_eq!(section("A").keys()[1], ("2".into(), "\nTwo.\n".into()));
    }

    #[test]
    fn a_key_without_its_default_is_found() {
        defaults(&[section("A")], &["2"]);
        assert!(std::panic::catch_unwind(|| defaults(&[section("A")], &[])).is_err());
    }

    #[test]
    #[should_panic(expected = "there is no pub struct B {")]
    fn a_structure_that_is_not_there_is_named() {
        section("B").page();
    }
}

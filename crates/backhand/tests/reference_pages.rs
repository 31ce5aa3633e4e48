//! The page of this crate's section is the doc comments of its fields, and no section goes without a page.

use std::collections::BTreeSet;

use testkit::reference::{self, Section};

const SECTIONS: [Section; 1] =
    [Section { source: include_str!("../src/logging/mod.rs"), structure: "Log", heading: "[log]" }];

#[test]
fn the_reference_pages_say_what_the_code_says() {
    reference::compare("backhand", &SECTIONS);
}

#[test]
fn every_key_says_its_default() {
    reference::defaults(&SECTIONS, &[]);
}

#[test]
fn every_section_of_the_file_has_a_page_and_a_line_in_the_table_of_sections() {
    let source = include_str!("../src/config/mod.rs");
    let (_, file) = source.split_once("struct File {\n").expect("the file's structure");
    let (fields, _) = file.split_once("\n}").expect("its end");
    let sections: BTreeSet<String> =
        fields.lines().filter_map(|line| Some(line.trim().split_once(':')?.0.to_owned())).collect();
    assert!(sections.len() > 5 && sections.contains("cluster"), "{sections:?}");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration");
    let table = include_str!("../../../docs/configuration/README.md");
    let pages: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the pages")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".md")?.to_owned()))
        .filter(|name| name != "README")
        .collect();
    assert_eq!(sections, pages);
    for section in sections {
        assert!(table.contains(&format!("({section}.md)")), "{section} is not in the table");
    }
}

//! The pages of `docs/configuration/` for this crate's sections are the doc comments of their fields.

use testkit::reference::{self, Section};

const SECTIONS: [Section; 1] = [Section {
    source: include_str!("../src/config.rs"),
    structure: "Status",
    heading: "[status]",
}];

#[test]
fn the_reference_pages_say_what_the_code_says() {
    reference::compare("console", &SECTIONS);
}

#[test]
fn every_key_says_its_default() {
    reference::defaults(&SECTIONS, &[]);
}

//! The page of `docs/configuration/` for this crate's section is the doc comments of its fields.

use testkit::reference::{self, Section};

const SECTIONS: [Section; 1] = [Section {
    source: include_str!("../src/config/section.rs"),
    structure: "BusSection",
    heading: "[bus]",
}];

#[test]
fn the_reference_page_says_what_the_code_says() {
    reference::compare("spread-daemon", &SECTIONS);
}

#[test]
fn every_key_says_its_default() {
    reference::defaults(&SECTIONS, &[]);
}

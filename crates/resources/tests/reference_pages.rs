//! The pages of `docs/configuration/` for this crate's sections are the doc comments of their fields.

use testkit::reference::{self, Section};

const SECTIONS: [Section; 3] = [
    section("Cluster", "[cluster]"),
    section("Announce", "[announce]"),
    section("Measure", "[measure]"),
];

const fn section(structure: &'static str, heading: &'static str) -> Section {
    Section { source: include_str!("../src/config/sections.rs"), structure, heading }
}

#[test]
fn the_reference_pages_say_what_the_code_says() {
    reference::compare("resources", &SECTIONS);
}

#[test]
fn every_key_says_its_default() {
    reference::defaults(&SECTIONS, &[]);
}

//! The page of `docs/configuration/` for this crate's section is the doc comments of its fields, with those of its tables.

use testkit::reference::{self, Section};

const SOURCE: &str = include_str!("../src/config/section.rs");

const fn section(structure: &'static str, heading: &'static str) -> Section {
    Section { source: SOURCE, structure, heading }
}

const SECTIONS: [Section; 7] = [
    section("AddressesSection", "[addresses]"),
    section("SetSection", "[[addresses.set]]"),
    section("BalanceSection", "[addresses.balance]"),
    section("QuorumSection", "[addresses.quorum]"),
    section("HealthSection", "[[addresses.health]]"),
    section("HookSection", "[[addresses.hook]]"),
    section("GuardianSection", "[addresses.guardian]"),
];

/// One page for all of them: the tables belong to the section.
#[test]
fn the_reference_page_says_what_the_code_says() {
    let pages: Vec<String> = SECTIONS.iter().map(Section::page).collect();
    let page = pages.join("\n");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration/addresses.md");
    if std::env::var_os("BACKHAND_WRITE_PAGES").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == page,
        "addresses.md does not say what the code says; run BACKHAND_WRITE_PAGES=1 cargo test -p addresses"
    );
}

#[test]
fn every_key_says_its_default() {
    reference::defaults(&SECTIONS, &[]);
}

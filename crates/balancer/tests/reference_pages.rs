//! The pages of `docs/configuration/` for this crate's sections are the doc comments of their fields.

use testkit::reference::{self, Section};

const SECTIONS: [Section; 5] = [
    section(include_str!("../src/config/http.rs"), "HttpSection", "[http]"),
    section(include_str!("../src/config/peers.rs"), "PeersSection", "[peers]"),
    section(include_str!("../src/config/local.rs"), "LocalSection", "[local]"),
    section(include_str!("../src/config/route.rs"), "RouteSection", "[[route]]"),
    section(include_str!("../src/config/access_log.rs"), "AccessLogSection", "[access_log]"),
];

const fn section(source: &'static str, structure: &'static str, heading: &'static str) -> Section {
    Section { source, structure, heading }
}

#[test]
fn the_reference_pages_say_what_the_code_says() {
    reference::compare("balancer", &SECTIONS);
}

#[test]
fn every_key_says_its_default() {
    // Keys that are needed or excluded by others have none.
    reference::defaults(&SECTIONS, &["server", "unix", "proxy_to", "types"]);
}

#[test]
fn the_example_of_the_overview_is_in_order() {
    let overview = include_str!("../../../docs/configuration/README.md");
    let example = overview.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let sections: balancer::config::Sections = balancer::config::read(example.unwrap()).unwrap();
    let config = balancer::config::Config::check(&sections).unwrap();
    assert_eq!(config.routes.all().len(), 3);
}

//! The metrics page, read by a strict parser of the OpenMetrics text format 1.0.

#[path = "support/openmetrics.rs"]
mod openmetrics;
mod sample;
mod support;

use console::Source;
use openmetrics::parse;
use sample::Sample;
use support::{Fixed, console, get};

#[test]
fn the_exposition_is_strict_openmetrics() {
    let console = console(Sample::new(9));
    let got = get(&console, "/metrics");
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((got.status, got.header("content-type")), (200, media));
    let families = parse(&got.body);
    for (name, kind) in [
        ("backhand", "info"),
        ("backhand_peer_turnaround_seconds", "histogram"),
        ("backhand_route_turnaround_seconds", "histogram"),
        ("backhand_route_asking_workers", "gauge"),
        ("backhand_information_age_seconds", "histogram"),
        ("backhand_in_flight", "gauge"),
        ("backhand_decisions", "counter"),
        ("backhand_decision_reasons", "counter"),
        ("backhand_pool_idle", "gauge"),
        ("backhand_retries", "counter"),
        ("backhand_ejections", "counter"),
        ("backhand_announcements_sent", "counter"),
        ("backhand_announcements_accepted", "counter"),
        ("backhand_announcements_refused", "counter"),
        ("backhand_access_log_lost", "counter"),
        ("backhand_connections", "gauge"),
        ("backhand_workers", "gauge"),
        ("backhand_machine_condition", "stateset"),
        ("backhand_bus_view", "info"),
        ("backhand_bus_view_members", "gauge"),
        ("backhand_bus_views", "counter"),
        ("backhand_bus_stands", "gauge"),
        ("backhand_bus_member_heard", "gauge"),
        ("backhand_bus_member_round_trip_seconds", "gauge"),
        ("backhand_bus_packets", "counter"),
        ("backhand_bus_token_rotation_seconds", "gauge"),
        ("backhand_bus_window", "gauge"),
        ("backhand_bus_queued_messages", "gauge"),
        ("backhand_bus_queued_bytes", "gauge"),
        ("backhand_bus_sessions", "gauge"),
        ("backhand_bus_multicasts", "counter"),
        ("backhand_bus_delivered_multicasts", "counter"),
        ("backhand_bus_backlog_bytes", "gauge"),
        ("backhand_bus_datagrams", "counter"),
        ("backhand_bus_datagrams_dropped", "counter"),
        ("backhand_addresses_stage", "stateset"),
        ("backhand_addresses_healthy", "gauge"),
        ("backhand_addresses_quorum", "gauge"),
        ("backhand_addresses_members", "gauge"),
        ("backhand_addresses_sets", "gauge"),
        ("backhand_addresses_owned", "gauge"),
        ("backhand_addresses_moves", "counter"),
        ("backhand_addresses_announcements", "counter"),
        ("backhand_addresses_conflicts", "counter"),
        ("backhand_addresses_renewals_late", "counter"),
        ("backhand_addresses_renewals_missed", "counter"),
        ("backhand_addresses_gaps", "counter"),
        ("backhand_addresses_passes_on", "gauge"),
        ("backhand_addresses_packets_passed_on", "counter"),
        ("backhand_addresses_connections_reset", "counter"),
        ("backhand_addresses_put_back", "counter"),
        ("backhand_addresses_fenced", "counter"),
        ("backhand_addresses_farewells", "counter"),
        ("backhand_addresses_farewells_refused", "counter"),
        ("backhand_addresses_hook_runs", "counter"),
        ("backhand_addresses_hook_failures", "counter"),
        ("backhand_addresses_hook_seconds", "counter"),
    ] {
        let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(family.kind, kind, "{name}");
        assert!(!family.samples.is_empty(), "{name} has no sample");
    }
    let peers = &families["backhand_peer_turnaround_seconds"];
    assert_eq!(peers.unit, "seconds");
    assert_eq!(peers.samples.iter().filter(|(suffix, ..)| suffix == "_count").count(), 6);
}

#[test]
fn hostile_names_stay_label_values() {
    let mut view = Sample::new(9).view(false);
    let evil = "x\"} 1\n# EOF\nbackhand_requests_total{a=\"\\";
    view.machines[1].name = evil.into();
    view.routes[0].name = evil.into();
    view.this = evil.into();
    let families = parse(&get(&console(Fixed(view)), "/metrics").body);
    let named = |family: &str, label: &str| {
        let mut all = families[family].samples.iter();
        all.any(|(_, labels, _)| labels.get(label).is_some_and(|value| value == evil))
    };
    assert!(named("backhand_in_flight", "machine"));
    assert!(named("backhand_route_turnaround_seconds", "route"));
    assert!(named("backhand", "machine"));
}

#[test]
fn clients_of_the_bus_have_no_series_of_their_own() {
    let mut view = Sample::new(9).view(false);
    let bus = view.bus.as_mut().unwrap();
    let one = bus.slowest[0].clone();
    bus.slowest = vec![one; 100];
    let families = parse(&get(&console(Fixed(view)), "/metrics").body);
    for (name, family) in families.iter().filter(|(name, _)| name.starts_with("backhand_bus")) {
        assert!(family.samples.len() <= 8, "{name} has {} series", family.samples.len());
    }
}

#[test]
fn addresses_are_counted_and_have_no_series_of_their_own() {
    let mut view = Sample::new(9).view(false);
    let machines = ["birch", "cedar", "elm", "hazel", "maple", "rowan"];
    view.addresses = Some(sample::addresses::addresses(&machines, 100, 1));
    let families = parse(&get(&console(Fixed(view)), "/metrics").body);
    let of = |family: &str, label: &str, is: &str| {
        let mut all = families[family].samples.iter();
        all.find(|(_, labels, _)| labels.get(label).is_some_and(|value| value == is))
            .map(|(_, _, value)| *value)
    };
    assert_eq!(of("backhand_addresses_sets", "which", "here"), Some(100.0));
    assert_eq!(of("backhand_addresses_sets", "which", "nowhere"), Some(1.0));
    assert_eq!(of("backhand_addresses_moves", "reason", "lost"), Some(3.0));
    assert_eq!(
        of("backhand_addresses_hook_seconds", "hook", "/etc/backhand/promote main"),
        Some(3.25)
    );
    for (name, family) in families.iter().filter(|(name, _)| name.starts_with("backhand_addresses"))
    {
        assert!(family.samples.len() <= 6, "{name} has {} series", family.samples.len());
    }
}

#[test]
fn two_machines_of_one_name_are_two_series() {
    let mut view = Sample::new(9).view(false);
    for machine in &mut view.machines {
        machine.name = "twin".into();
    }
    let families = parse(&get(&console(Fixed(view)), "/metrics").body);
    assert_eq!(families["backhand_machine_usable"].samples.len(), 6);
}

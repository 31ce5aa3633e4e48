//! Clients that do wrong to a daemon that really runs, and what the others notice of it.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[allow(dead_code)]
#[path = "../tls/client.rs"]
mod client;
mod log;

use std::io::Write;

use client::{Client, Running};

#[test]
fn a_client_that_breaks_the_protocol_is_named_and_a_crowd_of_them_is_counted() {
    log::keep();
    let daemon = Running::start("");
    for name in ["breaker1", "breaker2", "breaker3"] {
        let mut client = Client::connect(daemon.tcp(daemon.plain), name).unwrap();
        client.stream.write_all(&[0xff; 48]).unwrap();
        assert!(client.receive().is_err());
    }
    daemon.until("they are sent away", |status| status.sessions.violations == 3);
    let line = log::wait_until_said(&["WARN", "breaks the protocol", "#breaker1#d", "127.0.0.1"]);
    assert!(line.contains("disconnected: "), "{line}");
    assert!(log::said(&["#breaker2#"]).is_empty() && log::said(&["#breaker3#"]).is_empty());
}

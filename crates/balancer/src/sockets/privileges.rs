//! What /proc can tell about a failed bind: which ports are free to all, which addresses we have.
//!
//! Everything here serves an error message; whatever cannot be read is left out.

use std::fs;

/// The first port that needs no privilege on this machine.
pub(super) fn first_free_port() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

/// The IPv4 addresses of this machine, for the reader of an error.
pub(super) fn addresses() -> String {
    let Ok(trie) = fs::read_to_string("/proc/net/fib_trie") else {
        return "none that could be read".into();
    };
    let mut found: Vec<&str> = Vec::new();
    let mut last = "";
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line.starts_with("/32 host LOCAL") && !found.contains(&last) {
            found.push(last);
        }
    }
    if found.is_empty() { "no IPv4 address".into() } else { found.join(", ") }
}

//! Histories drawn by chance.

use simulator::bus::{Plan, run};

use super::{draw, retell, through};

/// Histories drawn by chance, in each run of the tests. `bus-histories` runs as many as one likes.
const HISTORIES: u64 = 2000;

#[test]
fn histories_drawn_by_chance_are_sound() {
    draw(HISTORIES, "", Plan::new);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let told = || {
        let world = through(&Plan::new(77));
        (
            world.steps,
            world.datagrams,
            world.traces.iter().map(|t| t.items.len()).collect::<Vec<_>>(),
        )
    };
    assert_eq!(told(), told());
}

/// What was found by chance, with its story.
#[test]
fn seeds_that_once_failed_do_not() {
    let stories = [
        (350, "two daemons whose multicast reaches nobody never met, though all others heard both"),
        (6378, "a view was judged by a third's older words, broken and made again 32,000 times"),
        (
            6817,
            "clients saw two views under one id: one member gave a change up that others installed",
        ),
        (15471, "a leader that gave up began its next change under the same ring id"),
        (16183, "a late copy of a commit led into the view just installed once more"),
        (16314, "as 15471, with a view of one beside a view of six under one id"),
        (
            61468,
            "who was with us in a broken view and had gone on was not asked while it was heard, and so fell silent again and again",
        ),
        (
            66191,
            "a daemon that was heard and did not hear had only beacons to be met by, and each was lost",
        ),
        (
            36245,
            "a recorded token of a dead daemon was given to another than it was for: what is sent to one daemon says under its seal to whom",
        ),
    ];
    retell(&stories, Plan::new);
}

/// All 24 had much to send. Whoever waited for the token asked all others for it every 2 ms, though it came by; and what each lost of
/// the little that a bad network loses was added up and taken for full buffers, so that hardly anything was sent in a rotation.
#[test]
fn a_great_ring_on_a_bad_network_sends_what_it_has_and_does_not_ask_for_a_token_that_comes() {
    let summary = run(&Plan::new(75466)).unwrap_or_else(|what| panic!("{what}"));
    let (datagrams, delivered) = (summary.datagrams, summary.delivered);
    assert!(delivered > 50_000, "{delivered} delivered");
    // Each delivery is a datagram, with a share of the token, of heartbeats, of what is sent again.
    assert!(datagrams < 20 * delivered, "{datagrams} datagrams for {delivered} deliveries");
}

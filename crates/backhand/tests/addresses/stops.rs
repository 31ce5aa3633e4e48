//! Moves that are planned: nobody loses a connection by them.

use std::time::{Duration, Instant};

use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{Stand, v4};

pub(crate) const TRIALS: &[Named] = &[
    ("an_orderly_stop_costs_no_connection", stopped),
    ("a_machine_that_comes_gets_its_share_and_costs_no_connection", comes),
    ("a_rolling_restart_of_all_machines_costs_no_connection", rolling),
    ("the_last_machine_that_stops_takes_its_addresses_off", last),
];

fn stopped() -> Result<(), Failed> {
    let mut stand = Stand::new(3, 6);
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let eyes = Eyes::open(&stand, v4(1));
    let began = Instant::now();
    stand.stop(at);
    println!("stopped after {:?}", began.elapsed());
    assert!(stand.is_whole(&others), "{:?}", stand.map());
    assert!(stand.held(at).is_empty());
    eyes.wait_until_served(&stand, Instant::now());
    let new = stand.mac(stand.holder(&others, v4(1)).expect("one has it"));
    eyes.wait_until_only(&stand, new, Duration::from_millis(200));
    eyes.close().nothing_lost("stopped", 1);
    stand.all_live().map_err(Into::into)
}

fn comes() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, (1..=6).map(v4));
    [0, 1].into_iter().for_each(|i| stand.start(i));
    stand.wait_until_even(&[0, 1]);
    let before = stand.map();
    // One of those that are going to move: the third machine gets two of six.
    let eyes: Vec<Eyes> = (1..=6).map(|i| Eyes::open(&stand, v4(i))).collect();
    stand.start(2);
    stand.wait_until_even(&[0, 1, 2]);
    for eye in &eyes {
        eye.wait_until_served(&stand, Instant::now());
    }
    let after = stand.map();
    let moved = before.iter().filter(|(ip, at)| after.get(*ip) != Some(at)).count();
    println!("{moved} of six have moved");
    assert_eq!(moved, 2, "{before:?} {after:?}");
    for eye in eyes {
        eye.close().nothing_lost("balanced", 1);
    }
    Ok(stand.all_live()?)
}

fn rolling() -> Result<(), Failed> {
    let mut stand = Stand::new(3, 6);
    let eyes = Eyes::open(&stand, v4(1));
    for i in stand.all() {
        stand.stop(i);
        stand.start(i);
        stand.wait_until_even(&stand.all());
    }
    eyes.wait_until_served(&stand, Instant::now());
    let seen = eyes.close();
    seen.nothing_lost("rolling", 6);
    assert!(seen.owner.owners().len() > 1, "it has never moved");
    Ok(stand.all_live()?)
}

fn last() -> Result<(), Failed> {
    let mut stand = Stand::new(2, 4);
    stand.stop(0);
    assert!(stand.is_whole(&[1]));
    stand.stop(1);
    assert!(stand.map().is_empty(), "{:?}", stand.map());
    // And whoever comes next finds a clean kernel and takes all.
    stand.start(0);
    stand.wait_until_whole(&[0]);
    Ok(stand.all_live()?)
}

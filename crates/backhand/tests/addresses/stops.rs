//! Moves that are planned: nobody loses a connection by them.

use std::fs;
use std::time::{Duration, Instant};

use lab::{Exit, Spawn};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{Stand, v4};
use crate::support::{PATIENCE, PROGRAM};

pub(crate) const TRIALS: &[Named] = &[
    ("an_orderly_stop_costs_no_connection", stopped),
    ("a_machine_that_comes_gets_its_share_and_costs_no_connection", comes),
    ("a_rolling_restart_of_all_machines_costs_no_connection", rolling),
    ("draining_undraining_and_moving_cost_no_connection", drained),
    ("the_last_machine_that_stops_takes_its_addresses_off", last),
    ("a_second_signal_is_heard_while_the_addresses_leave_and_kills_no_program", again),
];

fn stopped() -> Result<(), Failed> {
    let mut stand = Stand::passing(3, 6);
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
    eyes.close().nothing_lost("stopped", stand.resets(1));
    stand.all_live().map_err(Into::into)
}

fn comes() -> Result<(), Failed> {
    let mut stand = Stand::silent_passing(3, (1..=6).map(v4));
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
        let seen = eye.close();
        let moves = usize::from(before.get(&seen.ip) != after.get(&seen.ip));
        seen.nothing_lost("balanced", stand.resets(moves));
    }
    Ok(stand.all_live()?)
}

fn rolling() -> Result<(), Failed> {
    let mut stand = Stand::passing(3, 6);
    let eyes = Eyes::open(&stand, v4(1));
    for i in stand.all() {
        stand.stop(i);
        stand.start(i);
        stand.wait_until_even(&stand.all());
    }
    eyes.wait_until_served(&stand, Instant::now());
    let seen = eyes.close();
    seen.nothing_lost("rolling", stand.resets(6));
    assert!(seen.tcp[0].owners().len() > 1, "it has never moved");
    Ok(stand.all_live()?)
}

/// What an operator orders is a planned move like any other.
fn drained() -> Result<(), Failed> {
    let stand = Stand::passing(3, 6);
    let ip = v4(1);
    let at = stand.holder(&stand.all(), ip).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let eyes = Eyes::open(&stand, ip);
    // Each of these returns when it has happened.
    println!("{}", stand.vip(at, &["drain"]).trim_end());
    assert!(stand.held(at).is_empty() && stand.is_whole(&others), "{:?}", stand.map());
    eyes.wait_until_served(&stand, Instant::now());
    println!("{}", stand.vip(others[0], &["undrain", stand.lab.machine(at).name()]).trim_end());
    stand.wait_until_even(&stand.all());
    eyes.wait_until_served(&stand, Instant::now());
    let from = stand.holder(&stand.all(), ip).expect("one has it");
    let to = (from + 1) % 3;
    let target = stand.lab.machine(to);
    let words = ["move", &ip.to_string(), target.name()];
    println!("{}", stand.vip(at, &words).trim_end());
    assert_eq!(stand.holder(&stand.all(), ip), Some(to), "{:?}", stand.map());
    eyes.wait_until_served(&stand, Instant::now());
    eyes.wait_until_only(&stand, stand.mac(to), Duration::from_millis(200));
    let seen = eyes.close();
    // Away by the drain, back or not by the balance, and to where it was sent.
    seen.nothing_lost("drained, undrained, moved", stand.resets(3));
    let last = seen.tcp[0].owners().pop().map(|(_, name)| name);
    assert_eq!(last.as_deref(), Some(target.name()), "not where it was sent");
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

/// Under quorum the machine waits for what stops it: first as long as others are to take over in order, then by itself.
fn again() -> Result<(), Failed> {
    ["1m", "0s"].into_iter().try_for_each(hurried)
}

fn hurried(stop_within: &str) -> Result<(), Failed> {
    let mut stand = Stand::silent(3, [v4(1)]);
    let [armed, begun, go, ended] = ["armed", "begun", "go", "ended"].map(|name| stand.path(name));
    let script = format!(
        "test -e {} || exit 0; echo > {}; while [ ! -e {} ]; do sleep 0.05; done; echo > {}",
        armed.display(),
        begun.display(),
        go.display(),
        ended.display()
    );
    let section = format!(
        "stop_within = \"{stop_within}\"\n[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\nquorum = true\n\
         [addresses.quorum]\nmembers = {{ m1 = 1, m2 = 1, m3 = 1 }}\n\
         [[addresses.hook]]\nevent = \"on down\"\ntimeout = \"2m\"\ncommand = [\"/bin/sh\", \"-c\", '{script}']\n",
        v4(1)
    );
    for i in stand.all() {
        let text = stand.with(i, &section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&stand.all());
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    fs::write(&armed, "")?;
    let run = stand.leave(at);
    stand.until("its program runs", || begun.exists().then_some(()));
    let in_vain = ["nobody took these addresses in time"];
    match stop_within {
        "0s" => stand.wait_until_said(at, &in_vain),
        _ => assert_eq!(stand.count(at, &in_vain), 0, "too late for what is to be tried"),
    }
    let cut = ["this machine ends before everything under quorum is stopped"];
    assert_eq!(stand.count(at, &cut), 0);
    let began = Instant::now();
    run.term()?;
    stand.wait_until_said(at, &cut);
    println!("told twice, stop_within = {stop_within}: let go after {:?}", began.elapsed());
    // Others wait for the lease, and not for the program.
    stand.wait_until_whole(&others);
    println!("told twice, stop_within = {stop_within}: taken after {:?}", began.elapsed());
    assert!(!ended.exists());
    fs::write(&go, "")?;
    stand.until("nobody has killed it", || ended.exists().then_some(()));
    let exit = run.wait_timeout(PATIENCE);
    assert_eq!(exit, Some(Exit::Code(0)), "{}", stand.said(at));
    Ok(stand.all_live()?)
}

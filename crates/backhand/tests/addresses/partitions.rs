//! Networks that fall apart in every way and heal.

use std::time::{Duration, Instant};

use lab::{Cut, Place};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{Stand, v4, v6};
use crate::support::PATIENCE;

pub(crate) const TRIALS: &[Named] = &[
    ("each_part_of_four_machines_has_everything_and_the_whole_has_each_once", every_pattern),
    ("a_flapping_carrier_stops_no_other_for_a_second_and_ends_well", flapping),
    ("an_interface_set_down_and_up_for_ten_seconds_moves_little_and_ends_well", set_down_and_up),
    ("a_network_that_parts_again_while_it_merges_ends_well", parted_while_merging),
];

/// Every way to part `n` machines, each as lists of machines; the first list has machine 0.
fn patterns(n: usize) -> Vec<Vec<Vec<usize>>> {
    let mut all: Vec<Vec<Vec<usize>>> = vec![Vec::new()];
    for machine in 0..n {
        let mut next = Vec::new();
        for pattern in all {
            for at in 0..=pattern.len() {
                let mut more = pattern.clone();
                match more.get_mut(at) {
                    Some(part) => part.push(machine),
                    None => more.push(vec![machine]),
                }
                next.push(more);
            }
        }
        all = next;
    }
    all
}

/// Parts the first network; the hosts stay with the first part.
fn part(stand: &Stand, pattern: &[Vec<usize>]) -> Result<(), Failed> {
    let places = |part: &Vec<usize>| part.iter().map(|i| Place::Machine(*i)).collect();
    let groups: Vec<Vec<Place>> = pattern.iter().skip(1).map(places).collect();
    Ok(stand.lab.part(0, &groups)?)
}

fn every_pattern() -> Result<(), Failed> {
    let stand = Stand::new(4, 5);
    let eyes = Eyes::open(&stand, v4(1));
    let all = patterns(4);
    assert_eq!(all.len(), 15);
    let (mut apart, mut one) = (Duration::ZERO, Duration::ZERO);
    for pattern in all.iter().filter(|pattern| pattern.len() > 1) {
        let began = Instant::now();
        part(&stand, pattern)?;
        for part in pattern {
            stand.wait_until_whole(part);
        }
        apart = apart.max(began.elapsed());
        eyes.wait_until_served(&stand, Instant::now());
        let healed = Instant::now();
        stand.lab.join(0)?;
        let settled = stand.wait_until_whole(&stand.all());
        one = one.max(settled);
        let holder = stand.holder(&stand.all(), v4(1)).expect("one has it");
        eyes.wait_until_only(&stand, stand.mac(holder), Duration::from_millis(50));
        eyes.wait_until_served(&stand, Instant::now());
        println!("{pattern:?}: one each {settled:?} after {:?}", healed.duration_since(began));
    }
    println!(
        "at most {apart:?} until every part had everything, {one:?} until the whole had each once"
    );
    stand.wait_until_whole(&stand.all());
    let seen = eyes.close();
    seen.gap("all patterns", seen.owner.questions()[0].asked, Duration::from_secs(3));
    Ok(stand.all_live()?)
}

fn flapping() -> Result<(), Failed> {
    let stand = Stand::new(3, 6);
    let flaps = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let calm = stand.shared.iter().copied().find(|ip| !stand.held(flaps).contains(ip)).unwrap();
    let (eyes, calm) = (Eyes::open(&stand, v4(1)), Eyes::open(&stand, calm));
    let began = Instant::now();
    for round in 0..12_u64 {
        stand.lab.machine(flaps).cut(Cut::Carrier)?;
        // The fault itself: how long each state lasts is what is tried here.
        std::thread::sleep(Duration::from_millis(50 + 37 * round));
        stand.lab.machine(flaps).heal()?;
        std::thread::sleep(Duration::from_millis(430 - 35 * round));
    }
    let still = Instant::now();
    stand.wait_until_whole(&stand.all());
    println!("flapping: one each {:?} after the last", still.elapsed());
    eyes.wait_until_served(&stand, Instant::now());
    calm.wait_until_served(&stand, Instant::now());
    let (seen, calm) = (eyes.close(), calm.close());
    println!("flapping: owners on the wire changed {} times", seen.owner.owners().len());
    seen.gap("flapping", began, Duration::from_secs(3));
    calm.gap("beside a flapping machine", began, Duration::from_secs(1));
    Ok(stand.all_live()?)
}

/// Set down on the machine itself, where the kernel drops what it has of version 6 and keeps the rest.
fn set_down_and_up() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, (1..=6).map(v4).chain((1..=3).map(v6)));
    stand.start_all();
    let flaps = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let calm: Vec<usize> = stand.all().into_iter().filter(|i| *i != flaps).collect();
    let had = stand.held(flaps);
    let other = *stand.held(calm[0]).first().expect("it has some");
    let (eyes, beside) = (Eyes::open(&stand, v4(1)), Eyes::open(&stand, other));
    let (began, mut map, mut moves) = (Instant::now(), stand.map(), 0);
    let place = Place::Machine(flaps);
    let mut flips = 0;
    while began.elapsed() < Duration::from_secs(10) {
        stand.lab.set_link(place, "eth0", flips % 2 == 1)?;
        flips += 1;
        let until = Instant::now() + Duration::from_millis(300);
        // The fault itself: how long each state lasts is what is tried here.
        while Instant::now() < until {
            let now = stand.map();
            moves +=
                now.iter().filter(|(ip, at)| map.get(*ip).is_some_and(|was| was != *at)).count();
            map.extend(now);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    stand.lab.set_link(place, "eth0", true)?;
    let still = Instant::now();
    stand.wait_until_whole(&stand.all());
    println!("set down and up {flips} times: one each {:?} after the last", still.elapsed());
    eyes.wait_until_served(&stand, Instant::now());
    beside.wait_until_served(&stand, Instant::now());
    let (seen, beside) = (eyes.close(), beside.close());
    println!(
        "set down and up: {moves} changes of holders of {} addresses, owners of one on the wire changed {} times",
        had.len(),
        seen.owner.owners().len()
    );
    // Who flaps waits longer each time: by no means does each of them go with each time that it is down, and come back.
    assert!(moves <= 4 * had.len(), "{moves} moves of {had:?} in {} times down", flips / 2);
    seen.gap("set down and up", began, Duration::from_secs(3));
    beside.gap("beside one set down and up", began, Duration::from_secs(1));
    Ok(stand.all_live()?)
}

fn parted_while_merging() -> Result<(), Failed> {
    let stand = Stand::new(4, 6);
    let eyes = Eyes::open(&stand, v4(1));
    let halves = [
        [vec![0, 1], vec![2, 3]],
        [vec![0, 2], vec![1, 3]],
        [vec![0, 3], vec![1, 2]],
        [vec![0, 1], vec![2, 3]],
    ];
    for pair in halves.windows(2) {
        part(&stand, &pair[0])?;
        for part in &pair[0] {
            stand.wait_until_whole(part);
        }
        let met = |i: usize| stand.count(i, &["4 machines:"]);
        let before: usize = stand.all().into_iter().map(met).sum();
        stand.lab.join(0)?;
        // As soon as the first one has heard of all others.
        stand.until_within(PATIENCE, "they meet", || {
            (stand.all().into_iter().map(met).sum::<usize>() > before).then_some(())
        });
        part(&stand, &pair[1])?;
        for part in &pair[1] {
            stand.wait_until_whole(part);
        }
        eyes.wait_until_served(&stand, Instant::now());
        stand.lab.join(0)?;
        stand.wait_until_whole(&stand.all());
    }
    eyes.wait_until_served(&stand, Instant::now());
    let seen = eyes.close();
    seen.gap("merges", seen.owner.questions()[0].asked, Duration::from_secs(3));
    Ok(stand.all_live()?)
}

//! Hundreds of clients that join, leave, die, stop reading and send garbage, for a while: afterwards nothing of them is left.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use base::Random;
use spread_client::blocking::Connection;
use spread_client::{GroupName, Options, Service};
use testkit::trial::Failed;

use crate::client::Client;
use crate::cluster::{Bus, SOON, names};
use crate::limits::raw;
use crate::support::until;

pub(crate) const TRIALS: &[crate::Named] =
    &[("nothing_is_left_of_hundreds_of_clients_that_came_and_went_in_every_way", soak)];

/// How long, without `BACKHAND_BUS_SOAK`.
const SECONDS: u64 = 8;
/// Threads, each with clients of its own.
const CROWDS: u64 = 8;
/// Clients of one crowd at a time.
const CROWD: usize = 30;
/// Groups they use.
const GROUPS: u32 = 20;
/// Bytes that a daemon may have grown by in the later part of the time: what is asked of the system once more, no more for each client.
const GROWTH_MAX: u64 = 24 << 10;

/// One that may have forgotten to read.
enum Guest {
    Good(Connection),
    Deaf(Connection),
    Rude(UnixStream),
}

fn group(dice: &mut Random) -> GroupName {
    GroupName::new(format!("soak{}", dice.below(GROUPS)).as_bytes()).unwrap()
}

/// One step of one crowd.
fn step(bus: &Bus, dice: &mut Random, guests: &mut Vec<Guest>, number: &AtomicU32) {
    let daemon = dice.below(3) as usize;
    if guests.len() < CROWD && dice.below(3) == 0 {
        if dice.below(8) == 0 {
            guests.push(Guest::Rude(raw(bus, daemon)));
            return;
        }
        let mut options = Options::named(&format!("s{}", number.fetch_add(1, Relaxed))).unwrap();
        options.outstanding_max = Some(64);
        options.membership = dice.below(4) != 0;
        // Daemons that have much to do may refuse one; the next comes at once.
        let Ok(connection) = Connection::connect(&bus.endpoint(daemon), &options) else { return };
        let deaf = dice.below(10) == 0;
        guests.push(if deaf { Guest::Deaf(connection) } else { Guest::Good(connection) });
        return;
    }
    if guests.is_empty() {
        return;
    }
    let at = dice.below(guests.len() as u32) as usize;
    let over = match &mut guests[at] {
        Guest::Rude(stream) => {
            let bytes: Vec<u8> = (0..dice.below(300)).map(|_| dice.below(256) as u8).collect();
            stream.write_all(&bytes).is_err() || dice.below(4) == 0
        }
        Guest::Deaf(connection) => {
            // Joins, and then its own messages come to it too.
            connection.join(&group(dice)).is_err() || dice.below(40) == 0
        }
        Guest::Good(connection) => {
            let done = match dice.below(10) {
                0..3 => connection.join(&group(dice)),
                3..5 => connection.leave(&group(dice)),
                5..9 => {
                    let length = if dice.below(20) == 0 { 60_000 } else { dice.below(500) };
                    let service = if dice.below(3) == 0 { Service::Safe } else { Service::Agreed };
                    connection.multicast(service, &group(dice), &vec![1; length as usize])
                }
                _ => Ok(()),
            };
            let mut ended = done.is_err();
            while !ended {
                match connection.receive_within(Duration::ZERO) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => ended = true,
                }
            }
            ended || dice.below(60) == 0
        }
    };
    if over {
        // Half of them say goodbye, the others are torn off as by `kill -9`.
        match guests.swap_remove(at) {
            Guest::Good(connection) if dice.below(2) == 0 => drop(connection.disconnect()),
            gone => drop(gone),
        }
    }
}

fn soak() -> Result<(), Failed> {
    let seconds = std::env::var("BACKHAND_BUS_SOAK").ok().and_then(|n| n.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let bus = Bus::new(3);
    let watchers: Vec<Client> =
        (0..3).map(|i| Client::start(&bus, i, Some(Duration::from_millis(20)))).collect();
    watchers.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1, 2]))));
    let descriptors: Vec<usize> = (0..3).map(|i| bus.descriptors(i)).collect();
    let memory = |when: &str| {
        let all: Vec<u64> = (0..3).map(|i| bus.memory(i)).collect();
        println!("{when}: {all:?} KiB");
        all
    };
    memory("before");
    let (number, steps) = (AtomicU32::new(0), AtomicU64::new(0));
    let began = Instant::now();
    let middle = std::thread::scope(|scope| {
        for crowd in 0..CROWDS {
            let (bus, number, steps) = (&bus, &number, &steps);
            scope.spawn(move || {
                let mut dice = Random::new(crowd);
                let mut guests = Vec::new();
                while began.elapsed() < time {
                    step(bus, &mut dice, &mut guests, number);
                    steps.fetch_add(1, Relaxed);
                }
            });
        }
        // By then they have been as many as they will be.
        std::thread::sleep(time / 2);
        memory("at half time")
    });
    println!("{} sessions made {} steps", number.load(Relaxed), steps.load(Relaxed));
    // The last of them are seen to go.
    for (i, before) in descriptors.iter().enumerate() {
        until("all descriptors are closed", || (bus.descriptors(i) <= *before).then_some(()));
    }
    let stuck: Vec<String> = (0..GROUPS).filter_map(|n| left_in(&bus, n)).collect();
    assert!(stuck.is_empty(), "somebody is left in {stuck:?}");
    let after = memory("after");
    for (middle, after) in middle.iter().zip(&after) {
        assert!(*after <= middle + GROWTH_MAX, "memory grows: {middle} to {after} KiB");
    }
    bus.all_live()?;
    Ok(crate::history::check(&Client::finish(watchers))?)
}

/// Who is in the group besides one that looks, if anybody stays.
fn left_in(bus: &Bus, n: u32) -> Option<String> {
    let name = GroupName::new(format!("soak{n}").as_bytes()).unwrap();
    let mut look =
        crate::client::connect(bus, n as usize % 3, &Options::named(&format!("look{n}")).unwrap());
    look.join(&name).unwrap();
    let deadline = Instant::now() + SOON;
    let mut last = "no view".to_owned();
    while Instant::now() < deadline {
        if let Ok(Some(spread_client::Event::Membership(view))) =
            look.receive_within(Duration::from_millis(100))
        {
            if view.members.len() == 1 {
                return None;
            }
            last = format!("{name} {:?}", view.members);
        }
    }
    Some(last)
}

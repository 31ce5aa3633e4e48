//! How long the clients that stay wait for a view after something happened. Printed, not asserted: times on a busy test machine are noise.

use std::time::{Duration, Instant};

use lab::Cut;
use testkit::trial::Failed;

use crate::client::{Client, Last};
use crate::cluster::{Bus, names};

/// How often each is measured; more with `BACKHAND_BUS_ROUNDS`.
const ROUNDS: usize = 3;

pub(crate) const TRIALS: &[crate::Named] =
    &[("clients_see_deaths_leaves_and_returns_and_the_times_are_printed", times)];

#[derive(Default)]
struct Times(Vec<(&'static str, Vec<Duration>)>);

impl Times {
    /// From `began` to when the view came.
    fn add(&mut self, what: &'static str, began: Instant, last: &Last) {
        let took = last.at.map_or(Duration::MAX, |at| at.saturating_duration_since(began));
        match self.0.iter_mut().find(|(name, _)| *name == what) {
            Some((_, all)) => all.push(took),
            None => self.0.push((what, vec![took])),
        }
    }

    fn print(mut self) {
        for (what, all) in &mut self.0 {
            all.sort();
            println!(
                "{what}: median {:?}, {:?} to {:?}",
                all[all.len() / 2],
                all[0],
                all[all.len() - 1]
            );
        }
    }
}

fn times() -> Result<(), Failed> {
    let rounds = std::env::var("BACKHAND_BUS_ROUNDS").ok().and_then(|n| n.parse().ok());
    let mut bus = Bus::new(3);
    let watcher = Client::start(&bus, 0, None);
    let mut other = Client::start(&bus, 2, None);
    let (both, one, three) = (names(&[0, 2]), names(&[0]), 2);
    let mut times = Times::default();
    watcher.wait_for_daemons(&both);
    for _ in 0..rounds.unwrap_or(ROUNDS) {
        let began = Instant::now();
        bus.kill(three);
        times.add("death of the process to view", began, &watcher.wait_for_daemons(&one));
        other.wait_for_end();

        // A daemon that comes back is seen once a client of it is in the group; its own start is part of that.
        let began = Instant::now();
        bus.start(three);
        other = Client::start(&bus, three, None);
        times.add("restart to view", began, &watcher.wait_for_daemons(&both));
        other.wait_for_daemons(&both);

        let began = Instant::now();
        bus.lab.machine(three).cut(Cut::Carrier)?;
        times.add("carrier down to view", began, &watcher.wait_for_daemons(&one));
        other.wait_for_daemons(&names(&[2]));

        bus.lab.machine(three).heal()?;
        let began = Instant::now();
        times.add("heal to view", began, &watcher.wait_for_daemons(&both));
        other.wait_for_daemons(&both);

        let began = Instant::now();
        bus.process(three).term()?;
        times.add("orderly leave to view", began, &watcher.wait_for_daemons(&one));
        other.wait_for_end();
        bus.stop(three);
        bus.start(three);
        other = Client::start(&bus, three, None);
        watcher.wait_for_daemons(&both);
    }
    times.print();
    bus.all_live()?;
    Ok(())
}

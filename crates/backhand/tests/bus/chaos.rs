//! Faults by lot: cuts of all kinds, freezes, deaths and leaves at random moments while clients send; then calm, in which all must come
//! together, and a history that holds.

use std::time::{Duration, Instant};

use base::Random;
use lab::{Cut, Signal};
use testkit::trial::Failed;

use crate::client::Client;
use crate::cluster::{Bus, NAMES, names};
use crate::history;

pub(crate) const TRIALS: &[crate::Named] =
    &[("daemons_agree_whatever_happens_to_them_by_lot", by_lot)];

/// How long, without `BACKHAND_BUS_CHAOS`.
const SECONDS: u64 = 5;
/// Fewest and most machines.
const MACHINES: std::ops::RangeInclusive<u32> = 3..=8;
/// Milliseconds between two messages of one client, by lot too.
const PACES: [u64; 3] = [1, 4, 20];
/// Longest time between two faults, in milliseconds.
const PAUSE: u32 = 400;

struct Chaos {
    bus: Bus,
    dice: Random,
    /// The client at each daemon that lives.
    clients: Vec<Option<Client>>,
    frozen: Vec<bool>,
    pace: Duration,
    dead: Vec<Client>,
    log: Vec<String>,
}

impl Chaos {
    fn tell(&mut self, began: Instant, what: String) {
        self.log.push(format!("{:.3} {what}", began.elapsed().as_secs_f64()));
    }

    fn one(&mut self) -> usize {
        self.dice.below(self.frozen.len() as u32) as usize
    }

    fn strike(&mut self, began: Instant) -> Result<(), Failed> {
        let i = self.one();
        let machine = self.bus.lab.machine(i);
        let name = NAMES[i];
        match self.dice.below(12) {
            at @ 0..5 => {
                let cuts = [Cut::Carrier, Cut::PortMute, Cut::Deaf, Cut::Dumb, Cut::Multicast];
                machine.cut(cuts[at as usize])?;
                self.tell(began, format!("{name}: {:?}", cuts[at as usize]));
            }
            5 => {
                for _ in 0..2 {
                    let i = self.one();
                    self.bus.lab.machine(i).cut(Cut::Apart)?;
                    self.tell(began, format!("{}: Apart", NAMES[i]));
                }
            }
            6..9 => {
                machine.heal()?;
                self.tell(began, format!("{name}: healed"));
            }
            9 if self.clients[i].is_some() => {
                let frozen = &mut self.frozen[i];
                *frozen = !*frozen;
                let signal = if *frozen { Signal::STOP } else { Signal::CONT };
                self.bus.process(i).signal(signal)?;
                self.tell(began, format!("{name}: {signal:?}"));
            }
            _ if self.frozen[i] => {}
            _ => match self.clients[i].take() {
                Some(client) => {
                    let kill = self.dice.below(2) == 0;
                    if kill {
                        self.bus.kill(i)
                    } else {
                        self.bus.stop(i)
                    }
                    self.tell(
                        began,
                        format!("{name}: {}", if kill { "killed" } else { "stopped" }),
                    );
                    client.wait_for_end();
                    self.dead.push(client);
                }
                None => self.start(began, i),
            },
        }
        Ok(())
    }

    fn start(&mut self, began: Instant, i: usize) {
        self.bus.start(i);
        self.clients[i] = Some(Client::start(&self.bus, i, Some(self.pace)));
        self.tell(began, format!("{}: started", NAMES[i]));
    }

    /// Nothing is wrong any more.
    fn calm(&mut self, began: Instant) -> Result<(), Failed> {
        for i in 0..self.frozen.len() {
            self.bus.lab.machine(i).heal()?;
            if std::mem::take(&mut self.frozen[i]) {
                self.bus.process(i).signal(Signal::CONT)?;
            }
            if self.clients[i].is_none() {
                self.start(began, i);
            }
        }
        self.tell(began, "calm".into());
        Ok(())
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log.join("\n"));
        }
    }
}

fn by_lot() -> Result<(), Failed> {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let time = Duration::from_secs(number("BACKHAND_BUS_CHAOS").unwrap_or(SECONDS));
    let seed = number("BACKHAND_BUS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("BACKHAND_BUS_SEED={seed}");
    let mut dice = Random::new(seed);
    let machines = (MACHINES.start() + dice.below(MACHINES.end() - MACHINES.start() + 1)) as usize;
    let pace = Duration::from_millis(PACES[dice.below(PACES.len() as u32) as usize]);
    let bus = Bus::new(machines);
    let clients: Vec<Client> = Client::everywhere(&bus, pace);
    let all = names(&(0..machines).collect::<Vec<_>>());
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&all)));
    let mut chaos = Chaos {
        bus,
        dice,
        clients: clients.into_iter().map(Some).collect(),
        frozen: vec![false; machines],
        pace,
        dead: Vec::new(),
        log: Vec::new(),
    };
    let began = Instant::now();
    while began.elapsed() < time {
        chaos.strike(began)?;
        // The faults are to fall at any moment of what the one before led to.
        let pause = chaos.dice.below(PAUSE);
        std::thread::sleep(Duration::from_millis(pause.into()));
    }
    chaos.calm(began)?;
    let calm = Instant::now();
    for client in chaos.clients.iter().flatten() {
        client.wait_for_daemons(&all);
    }
    println!(
        "{machines} machines, {} faults; all together {:?} after the last",
        chaos.log.len(),
        calm.elapsed()
    );
    let clients: Vec<Client> = chaos.clients.iter_mut().filter_map(Option::take).collect();
    let mut traces = Client::finish(clients);
    traces.extend(Client::finish(std::mem::take(&mut chaos.dead)));
    chaos.bus.all_live()?;
    let messages: usize = traces.iter().map(|trace| trace.client.heard.len()).sum();
    println!("{} sessions were told {messages} things", traces.len());
    assert!(history::finds_what_cannot_be(&traces));
    Ok(history::check(&traces).map_err(|what| format!("{what}\n{}", chaos.log.join("\n")))?)
}

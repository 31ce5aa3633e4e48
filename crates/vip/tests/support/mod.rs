//! A cluster on a bus that does nothing wrong: messages come in one order, at once, to all that are in one part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // Each test file is a program of its own and uses its own part of this.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use vip::properties::{Seen, Wrong, exactly_once};
use vip::settings::Listed;
use vip::status::{Stage, Status};
use vip::{Action, After, Event, Identity, MESSAGE_TYPE, Set, SetKey, Settings, View, ViewId, Vip};

pub fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

pub fn listed(addresses: &[u8]) -> Listed {
    let addresses: Vec<IpAddr> = addresses.iter().map(|last| ip(*last)).collect();
    Listed { set: Set::new(&addresses).unwrap(), preferred: false, quorum: false }
}

/// `count` sets of one address each, from 10.0.0.1.
pub fn singles(count: u8) -> Settings {
    Settings { sets: (1..=count).map(|last| listed(&[last])).collect(), ..Settings::default() }
}

pub struct Node {
    pub name: String,
    pub vip: Vip,
    pub settings: Settings,
    /// Addresses on its interfaces.
    pub up: BTreeSet<IpAddr>,
    sets: BTreeMap<SetKey, Set>,
    pub dead: bool,
    /// What was said while it was.
    unread: Vec<(String, Vec<u8>)>,
    /// What is to be taken off stays for now.
    pub stuck: bool,
    /// What is to be added comes to no end for now.
    pub hangs: bool,
    /// Interfaces do not take these.
    pub refuses: BTreeSet<IpAddr>,
    /// What was done, in words.
    pub done: Vec<String>,
    pub events: Vec<Event>,
    pub afters: Vec<(IpAddr, After)>,
}

pub struct Cluster {
    pub now: Instant,
    pub nodes: Vec<Node>,
    pub parts: Vec<Vec<usize>>,
    index: i32,
    /// Addresses that are not to be without a holder from now on, whatever happens.
    pub never_away: BTreeSet<IpAddr>,
    /// Machines that are to leave the group and join it again.
    pub rejoins: BTreeSet<usize>,
    /// The most holders any address had in one part at a time since this was last set to 0.
    pub most: usize,
}

impl Cluster {
    pub fn new(count: usize, settings: &Settings) -> Self {
        let mut cluster = Self {
            now: Instant::from_millis(1_000),
            nodes: Vec::new(),
            parts: Vec::new(),
            index: 0,
            never_away: BTreeSet::new(),
            rejoins: BTreeSet::new(),
            most: 0,
        };
        for _ in 0..count {
            cluster.add(settings.clone());
        }
        cluster
    }

    /// A machine that is not connected yet.
    pub fn add(&mut self, settings: Settings) -> usize {
        self.add_called(&format!("m{}", self.nodes.len() + 1), settings)
    }

    /// The same with a name for its machine that another may have, too.
    pub fn add_called(&mut self, machine: &str, settings: Settings) -> usize {
        let at = self.nodes.len();
        let vip = self.fresh(machine, &settings);
        self.nodes.push(Node {
            name: format!("#addr#m{}", at + 1),
            vip,
            settings,
            up: BTreeSet::new(),
            sets: BTreeMap::new(),
            dead: false,
            unread: Vec::new(),
            stuck: false,
            hangs: false,
            refuses: BTreeSet::new(),
            done: Vec::new(),
            events: Vec::new(),
            afters: Vec::new(),
        });
        at
    }

    fn fresh(&mut self, machine: &str, settings: &Settings) -> Vip {
        self.index += 1;
        let identity = Identity {
            machine: machine.into(),
            boot: self.index as u64,
            shown: None,
            macs: Vec::new(),
        };
        let mut vip = Vip::new(identity, settings.clone(), self.now);
        for one in &settings.sets {
            vip.handle_able(self.now, one.set.key(), true, false);
        }
        vip.handle_connected(self.now);
        vip
    }

    /// All in one part.
    pub fn together(&mut self) {
        let all = (0..self.nodes.len()).filter(|at| !self.nodes[*at].dead).collect();
        self.split(&[all]);
    }

    /// The network falls into these parts, or grows together to them.
    pub fn split(&mut self, parts: &[Vec<usize>]) {
        self.announce_views(parts);
        self.run();
    }

    /// The same, but nothing that is said after the view is heard yet.
    pub fn announce_views(&mut self, parts: &[Vec<usize>]) {
        for part in parts {
            if self.parts.contains(part) {
                continue;
            }
            self.index += 1;
            let mut id = [0; 12];
            id[4..8].copy_from_slice(&self.index.to_le_bytes());
            let members: Vec<String> = part.iter().map(|at| self.nodes[*at].name.clone()).collect();
            for (me, at) in part.iter().enumerate() {
                let view = View { id: ViewId(id), members: members.clone(), me };
                self.nodes[*at].vip.handle_view(self.now, view);
            }
        }
        self.parts = parts.to_vec();
    }

    /// Those that are to do so leave the group and join it again.
    pub fn rejoin(&mut self) {
        for at in core::mem::take(&mut self.rejoins) {
            let whole = self.parts.clone();
            let without =
                |part: &Vec<usize>| part.iter().copied().filter(|one| *one != at).collect();
            let parts: Vec<Vec<usize>> = whole.iter().map(without).collect();
            self.announce_views(&parts);
            let now = self.now;
            self.nodes[at].vip.handle_connected(now);
            self.announce_views(&whole);
        }
        self.run();
    }

    /// Everything that can happen without time passing.
    pub fn run(&mut self) {
        for round in 0.. {
            assert!(
                round < 10_000,
                "it does not come to rest: {:?}",
                self.nodes
                    .iter()
                    .map(|n| (
                        n.name.clone(),
                        n.done.iter().rev().take(6).cloned().collect::<Vec<_>>(),
                        n.events.iter().rev().take(4).cloned().collect::<Vec<_>>()
                    ))
                    .collect::<Vec<_>>()
            );
            if !self.step() {
                return;
            }
        }
    }

    /// One message of each part, and what is done on it.
    pub fn step(&mut self) -> bool {
        let mut moved = false;
        for at in 0..self.nodes.len() {
            moved |= self.act(at);
        }
        self.watch();
        for part in self.parts.clone() {
            let sender = part.iter().copied().filter(|at| !self.nodes[*at].dead);
            let sender = sender.collect::<Vec<_>>();
            let sender =
                sender.into_iter().find_map(|at| Some((at, self.nodes[at].vip.poll_transmit()?)));
            let Some((sender, transmit)) = sender else { continue };
            moved = true;
            let name = self.nodes[sender].name.clone();
            for at in part {
                let node = &mut self.nodes[at];
                if node.dead {
                    node.unread.push((name.clone(), transmit.body.clone()));
                    continue;
                }
                node.vip.handle_message(self.now, &name, MESSAGE_TYPE, &transmit.body);
            }
        }
        for at in 0..self.nodes.len() {
            moved |= self.act(at);
        }
        self.watch();
        moved
    }

    fn act(&mut self, at: usize) -> bool {
        let mut moved = false;
        let now = self.now;
        let node = &mut self.nodes[at];
        while let Some(event) = node.vip.poll_event() {
            node.events.push(event);
        }
        while let Some(action) = node.vip.poll_action() {
            moved = true;
            match action {
                Action::Add { set, reason, .. } if node.hangs => {
                    node.done.push(format!("would add {} {reason}", set.head()));
                }
                Action::Add { set, after, reason } => {
                    if set.addresses().iter().any(|one| node.refuses.contains(one)) {
                        node.done.push(format!("refuse {}", set.head()));
                        node.vip.handle_failed(now, set.key());
                        continue;
                    }
                    node.done.push(format!("add {} {reason}", set.head()));
                    node.afters.push((set.head(), after));
                    node.up.extend(set.addresses());
                    node.sets.insert(set.key(), set.clone());
                    node.vip.handle_added(now, set.key());
                }
                Action::Announce(key) => {
                    let head =
                        node.sets.get(&key).map(Set::head).expect("only what is held is announced");
                    node.done.push(format!("announce {head}"));
                }
                Action::Remove { set, reason } if node.stuck => {
                    node.done.push(format!("would remove {} {reason}", set.head()));
                }
                Action::Remove { set, reason } => {
                    node.done.push(format!("remove {} {reason}", set.head()));
                    node.sets.remove(&set.key());
                    node.up = node.sets.values().flat_map(|one| one.addresses().to_vec()).collect();
                    node.vip.handle_removed(now, set.key());
                }
                Action::Rejoin => {
                    node.done.push("rejoin".into());
                    self.rejoins.insert(at);
                }
            }
        }
        moved
    }

    fn watch(&mut self) {
        for part in &self.parts {
            for address in &self.never_away {
                let holders =
                    part.iter().filter(|at| self.nodes[**at].up.contains(address)).count();
                assert!(holders > 0, "nobody has {address} in {part:?}");
            }
        }
        let counts = self.parts.iter().flat_map(|part| {
            let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
            part.iter()
                .flat_map(|at| &self.nodes[*at].up)
                .for_each(|one| *counts.entry(*one).or_default() += 1);
            counts.into_values()
        });
        self.most = counts.chain([self.most]).max().unwrap_or(0);
    }

    /// Time passes, and everybody does what is due.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.living().filter_map(|at| self.nodes[at].vip.next_timeout()).min();
            let next = next.filter(|next| *next <= end).unwrap_or(end);
            // What is due already is done a little later, so that time always passes.
            self.now = if next <= self.now {
                (self.now + Duration::from_millis(1)).min(end)
            } else {
                next
            };
            for at in self.living().collect::<Vec<_>>() {
                self.nodes[at].vip.handle_timeout(self.now);
            }
            self.run();
            if self.now >= end {
                return;
            }
        }
    }

    fn living(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|at| !self.nodes[*at].dead)
    }

    /// The machine is gone; the others are told.
    pub fn kill(&mut self, at: usize) {
        self.nodes[at].dead = true;
        self.nodes[at].up.clear();
        self.nodes[at].sets.clear();
        let without =
            |part: &Vec<usize>| part.iter().copied().filter(|one| *one != at).collect::<Vec<_>>();
        let parts: Vec<Vec<usize>> =
            self.parts.iter().map(without).filter(|part| !part.is_empty()).collect();
        self.split(&parts);
    }

    /// One that has hung goes on, and reads what was said meanwhile.
    pub fn wake(&mut self, at: usize) {
        let now = self.now;
        let node = &mut self.nodes[at];
        node.dead = false;
        for (from, body) in core::mem::take(&mut node.unread) {
            node.vip.handle_message(now, &from, MESSAGE_TYPE, &body);
        }
        self.run();
    }

    /// The machine is started again, alone at first.
    pub fn revive(&mut self, at: usize) {
        let (name, settings) = (format!("m{}", at + 1), self.nodes[at].settings.clone());
        self.nodes[at].vip = self.fresh(&name, &settings);
        self.nodes[at].dead = false;
        self.nodes[at].unread.clear();
    }

    pub fn counts(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.up.len()).collect()
    }

    pub fn holders(&self, address: IpAddr) -> Vec<usize> {
        self.living().filter(|at| self.nodes[*at].up.contains(&address)).collect()
    }

    pub fn status(&self, at: usize) -> Status {
        self.nodes[at].vip.status(self.now)
    }

    /// The first property of the paper.
    pub fn wrong(&self) -> Vec<Wrong> {
        let mut seen = Vec::new();
        for (component, part) in self.parts.iter().enumerate() {
            for at in part {
                let node = &self.nodes[*at];
                let able = node.settings.sets.iter().flat_map(|one| one.set.addresses().to_vec());
                let able = able.filter(|one| !node.refuses.contains(one)).collect();
                let ready = node.vip.status(self.now).stage == Stage::Running;
                seen.push(Seen { component, ready, able, held: node.up.iter().copied().collect() });
            }
        }
        exactly_once(&seen)
    }

    /// All members of a part have the same table.
    pub fn agree(&self) {
        for part in &self.parts {
            let table = |at: usize| {
                let sets = self.status(at).sets;
                sets.into_iter()
                    .map(|set| (set.head, set.owner, set.moving_to, set.reason, set.candidates))
                    .collect::<Vec<_>>()
            };
            for at in &part[1..] {
                assert_eq!(table(part[0]), table(*at), "m{} and m{}", part[0] + 1, at + 1);
            }
        }
    }

    /// Everything is as it should be in a cluster at rest.
    pub fn sound(&self) {
        assert_eq!(self.wrong(), []);
        self.agree();
    }
}

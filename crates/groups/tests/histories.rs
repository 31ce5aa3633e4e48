//! Random histories: sessions come, join, talk, leave and die while daemons part, meet, crash and come back. Each is
//! checked daemon by daemon while it goes on (`support`: equal tables at equal points) and client by client at its end.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::String;

use base::Random;
use bytes::Bytes;
use groups::{Departure, SessionId};
use spread_wire::client::Event;
use spread_wire::{Cause, ClientMessage, GroupId, GroupName, ServiceType};
use support::{Net, group, multicast, told};

const DAEMONS: [&str; 5] = ["alpha", "beta", "delta", "gamma", "omega"];
const NAMES: [&str; 4] = ["ann", "ben", "cat", "dan"];
const ROOMS: [&str; 3] = ["room", "net", "chat"];
const SERVICES: [ServiceType; 4] = [
    ServiceType::FIFO_MESS,
    ServiceType::AGREED_MESS,
    ServiceType::SAFE_MESS,
    ServiceType::RELIABLE_MESS,
];

/// One session, and what it asked for.
struct Client {
    node: usize,
    id: SessionId,
    private: GroupName,
    wants_membership: bool,
    alive: bool,
    /// Its daemon is gone, and another life of it counts its sessions anew.
    crashed: bool,
    asked: BTreeSet<GroupName>,
    /// The bodies it sent to itself, in order.
    to_itself: Vec<String>,
    events: Vec<Event>,
}

struct History {
    net: Net,
    /// Whether each daemon has a session that joins every room first and never leaves. A group that is forgotten and made
    /// again within one view has the same ids again, as with the original; such a history is checked less.
    anchored: bool,
    random: Random,
    clients: Vec<Client>,
    said: u32,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + random.below(4) as usize;
        let net = Net::new(&DAEMONS[..count]);
        let anchored = seed.is_multiple_of(2);
        let mut history = Self { net, anchored, random, clients: Vec::new(), said: 0 };
        (0..count).for_each(|node| history.anchor(node));
        history
    }

    fn anchor(&mut self, node: usize) {
        if self.anchored {
            self.open(node, "anchor", true);
            for room in ROOMS.map(group) {
                let client = self.clients.len() - 1;
                self.clients[client].asked.insert(room);
                self.say(client, ClientMessage::Join(room));
            }
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.random.below(n as u32) as usize
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn some_node(&mut self) -> Option<usize> {
        let node = self.below(self.net.nodes.len());
        self.net.nodes[node].alive.then_some(node)
    }

    fn some_client(&mut self) -> Option<usize> {
        if self.clients.is_empty() {
            return None;
        }
        let client = self.below(self.clients.len());
        let anchor = self.clients[client].private.as_bytes().starts_with(b"#anchor#");
        (self.clients[client].alive && !anchor).then_some(client)
    }

    fn step(&mut self) {
        match self.below(100) {
            0..12 => self.connect(),
            12..30 => self.join_or_leave(),
            30..50 => self.talk(),
            50..54 => self.disconnect(),
            54..60 => _ = self.some_node().map(|node| self.net.pull(node)),
            60..66 => _ = self.some_node().map(|node| self.net.send(node)),
            66..93 => {
                let times = self.below(6);
                _ = self.some_node().map(|node| (0..times).all(|_| self.net.deliver(node)));
            }
            93..98 => self.change(),
            98 => self.crash(),
            _ => self.net.settle(),
        }
    }

    fn connect(&mut self) {
        let Some(node) = self.some_node() else { return };
        let name = self.one_of(&NAMES);
        let wants_membership = self.random.below(5) > 0;
        self.open(node, name, wants_membership);
    }

    fn open(&mut self, node: usize, name: &str, wants_membership: bool) {
        let groups = &mut self.net.nodes[node].groups;
        let Ok(id) = groups.connect(support::private(name), wants_membership) else {
            assert!(groups.is_taken(&support::private(name)));
            return;
        };
        let private = *groups.private_group(&support::private(name)).group();
        self.clients.push(Client {
            node,
            id,
            private,
            wants_membership,
            alive: true,
            crashed: false,
            asked: BTreeSet::new(),
            to_itself: Vec::new(),
            events: Vec::new(),
        });
    }

    fn say(&mut self, client: usize, message: ClientMessage) {
        let Client { node, id, .. } = self.clients[client];
        self.net.say(node, id, message);
    }

    fn join_or_leave(&mut self) {
        let Some(client) = self.some_client() else { return };
        let room = group(self.one_of(&ROOMS));
        if self.random.below(3) > 0 {
            self.clients[client].asked.insert(room);
            self.say(client, ClientMessage::Join(room));
        } else {
            self.clients[client].asked.remove(&room);
            self.say(client, ClientMessage::Leave(room));
        }
    }

    fn talk(&mut self) {
        let Some(client) = self.some_client() else { return };
        self.said += 1;
        let body = format!("{}", self.said);
        let own = format!("{}", self.clients[client].private);
        let mut to = vec![self.one_of(&ROOMS)];
        if self.random.below(2) == 0 {
            to.push(self.one_of(&ROOMS));
        }
        let mut service = self.one_of(&SERVICES);
        if self.random.below(4) == 0 {
            service = service | ServiceType::SELF_DISCARD;
        } else if self.random.below(3) == 0 {
            to.push(&own);
            self.clients[client].to_itself.push(body.clone());
        }
        self.say(client, multicast(service, &to, &body));
    }

    fn disconnect(&mut self) {
        let Some(client) = self.some_client() else { return };
        self.clients[client].alive = false;
        let Client { node, id, .. } = self.clients[client];
        let departure = self.one_of(&[Departure::Asked, Departure::Lost]);
        self.net.nodes[node].groups.disconnect(id, departure);
    }

    fn change(&mut self) {
        let count = self.net.nodes.len();
        let parts = 1 + self.below(3);
        let components: Vec<usize> = (0..count).map(|_| self.below(parts)).collect();
        self.net.change(&components, &mut self.random);
    }

    fn crash(&mut self) {
        let node = self.below(self.net.nodes.len());
        if self.net.nodes[node].alive {
            // What was delivered before the end is part of the history.
            self.collect();
            self.net.crash(node);
            self.clients.iter_mut().filter(|client| client.node == node).for_each(|client| {
                client.alive = false;
                client.crashed = true;
            });
        } else {
            self.net.restart(node);
            self.anchor(node);
        }
    }

    fn collect(&mut self) {
        for client in self.clients.iter_mut().filter(|client| !client.crashed) {
            let got = self.net.inbox(client.node, client.id);
            client.events.extend(got.iter().map(told));
        }
    }

    fn run(mut self) {
        for _ in 0..300 {
            self.step();
            self.collect();
        }
        for node in 0..self.net.nodes.len() {
            if !self.net.nodes[node].alive {
                self.net.restart(node);
                self.anchor(node);
            }
        }
        self.net.heal();
        self.collect();
        self.the_tables_are_what_the_sessions_asked_for();
        self.a_client_knows_the_last_view_of_its_groups();
        if self.anchored {
            self.equal_ids_are_equal_views();
            self.those_who_come_together_saw_the_same();
        }
        self.every_message_comes_once_and_in_one_order();
        self.a_session_hears_itself();
        self.notices_are_only_for_those_who_want_them();
    }

    fn the_tables_are_what_the_sessions_asked_for(&self) {
        let mut wanted: BTreeMap<GroupName, BTreeSet<GroupName>> = BTreeMap::new();
        for client in self.clients.iter().filter(|client| client.alive) {
            for room in &client.asked {
                wanted.entry(*room).or_default().insert(client.private);
            }
        }
        for node in &self.net.nodes {
            assert!(node.groups.is_settled(), "{:?}", node.groups.missing_states());
            let table: BTreeMap<_, _> = node
                .groups
                .groups()
                .map(|view| {
                    let members = view
                        .members
                        .iter()
                        .map(|member| group(&format!("#{}#{}", member.name, member.daemon)));
                    (view.name, members.collect::<BTreeSet<_>>())
                })
                .collect();
            assert_eq!(table, wanted);
            let counters = node.groups.counters();
            assert_eq!((counters.malformed, counters.unknown, counters.dropped), (0, 0, 0));
        }
    }

    fn members(client: &Client) -> impl Iterator<Item = &spread_wire::Membership> {
        client.events.iter().filter_map(|event| match event {
            Event::Membership(membership) => Some(membership),
            _ => None,
        })
    }

    fn a_client_knows_the_last_view_of_its_groups(&self) {
        for client in self.clients.iter().filter(|client| client.alive && client.wants_membership) {
            for room in &client.asked {
                let last = Self::members(client).filter(|view| view.group == *room).last().unwrap();
                let now = self.net.nodes[client.node].groups.group(room).unwrap();
                assert_eq!(last.id, now.id);
                assert_eq!(last.members.len(), now.members.len());
                assert!(last.members.contains(&client.private));
            }
        }
    }

    /// Of views that the network made. Those of joins and leaves can have one id in two parts of the network: one part may
    /// have delivered a join that the other, which it does not concern, never gets; the next change there has that number
    /// too. The original does the same; within one part, tables with their ids are compared all the time.
    fn equal_ids_are_equal_views(&self) {
        let mut views = BTreeMap::new();
        let all = self.clients.iter().flat_map(Self::members);
        for view in all.filter(|view| view.cause == Cause::Network) {
            let first = views.entry((view.group, view.id)).or_insert_with(|| view.members.clone());
            assert_eq!(*first, view.members, "{} {:?}", view.group, view.id);
        }
    }

    /// Two members of one set of a view that also had the same view before got the same between the two.
    fn those_who_come_together_saw_the_same(&self) {
        let mut seen: BTreeMap<_, Vec<&Event>> = BTreeMap::new();
        for client in self.clients.iter().filter(|client| client.wants_membership) {
            for room in ROOMS.map(group) {
                let mut before: Option<(GroupId, Bytes)> = None;
                let mut between = Vec::new();
                for event in &client.events {
                    match event {
                        Event::Membership(view) if view.group == room => {
                            // Its own join is a beginning, whatever it was in earlier.
                            let own = view.changed() == Some(client.private);
                            let joined = own && view.cause == Cause::Join;
                            let set = match view.cause {
                                Cause::Network => view.own_set().map(|set| set.to_bytes()),
                                _ => None,
                            };
                            if let Some(before) = before.filter(|_| !joined) {
                                let now = (view.id, view.members.to_bytes());
                                let key = (room, before.clone(), now, set);
                                let first = seen.entry(key).or_insert_with(|| between.clone());
                                assert_eq!(*first, between, "{room} {before:?} {:?}", view.id);
                            }
                            before = Some((view.id, view.members.to_bytes()));
                            between.clear();
                        }
                        Event::SelfLeave(left) if *left == room => {
                            before = None;
                            between.clear();
                        }
                        Event::Transitional(signal) if signal.group == room => between.push(event),
                        // What was not discarded for the one that sent it.
                        Event::Regular(regular)
                            if regular.groups.contains(&room) && !regular.discards_self() =>
                        {
                            between.push(event);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn every_message_comes_once_and_in_one_order(&self) {
        let heard: Vec<Vec<&[u8]>> = self
            .clients
            .iter()
            .map(|client| {
                let bodies = client.events.iter().filter_map(|event| match event {
                    Event::Regular(regular) => Some(&regular.body[..]),
                    _ => None,
                });
                bodies.collect()
            })
            .collect();
        for (at, one) in heard.iter().enumerate() {
            let place: BTreeMap<&[u8], usize> = one.iter().zip(0..).map(|(b, i)| (*b, i)).collect();
            assert_eq!(place.len(), one.len(), "a message came twice");
            for other in &heard[..at] {
                let common: Vec<usize> =
                    other.iter().filter_map(|body| place.get(body).copied()).collect();
                assert!(common.is_sorted(), "two sessions heard two orders");
            }
        }
    }

    fn a_session_hears_itself(&self) {
        for client in self.clients.iter().filter(|client| client.alive) {
            let own = client.events.iter().filter_map(|event| match event {
                Event::Regular(regular) if regular.groups.contains(&client.private) => {
                    Some(String::from_utf8_lossy(&regular.body).into_owned())
                }
                _ => None,
            });
            assert_eq!(own.collect::<Vec<_>>(), client.to_itself);
        }
    }

    fn notices_are_only_for_those_who_want_them(&self) {
        for client in self.clients.iter().filter(|client| !client.wants_membership) {
            assert!(client.events.iter().all(|event| matches!(event, Event::Regular(_))));
        }
    }
}

#[test]
fn histories_of_parting_and_meeting() {
    for seed in 0..600 {
        let run = std::panic::catch_unwind(|| History::new(seed).run());
        assert!(run.is_ok(), "the history of seed {seed} is wrong; the first message says how");
    }
}

//! Several daemons' groups over a perfect total order, with partitions and merges.
//!
//! A ring is a list of messages; each daemon has delivered a beginning of it. When the view changes, those that go on
//! together first deliver up to the same point, then hear that they are in transition, then deliver the same rest: all of
//! what was sent by one of them, and of the others' what comes before the first hole.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};

use base::{Boot, Random};
use bytes::{Bytes, BytesMut};
use groups::{Groups, Limits, Output, SessionId, Submission};
use ring::{Daemon, DaemonName, Event, RingId, Service, View};
use spread_wire::client::{Decoder, Event as Told};
use spread_wire::{
    ClientMessage, GroupName, Hint, Names, Order, PrivateName, Regular, ServiceType,
};

pub fn group(name: &str) -> GroupName {
    GroupName::destination(name.as_bytes()).unwrap()
}

pub fn private(name: &str) -> PrivateName {
    PrivateName::new(name.as_bytes()).unwrap()
}

pub fn daemon(name: &str, boot: u8) -> Daemon {
    Daemon { name: DaemonName::new(name.as_bytes()).unwrap(), boot: Boot([boot; 16]) }
}

/// What a client understands of the bytes it was given.
pub fn told(message: &Bytes) -> Told {
    let mut buffer = BytesMut::from(&message[..]);
    let told = Decoder::default().decode(&mut buffer).unwrap().unwrap();
    assert!(buffer.is_empty(), "each delivery is one message");
    told
}

pub fn multicast(service: ServiceType, to: &[&str], body: &str) -> ClientMessage {
    ClientMessage::Multicast(Regular {
        service,
        sender: None,
        hint: Hint::new(0, Order::NATIVE),
        groups: Names::new(&to.iter().map(|name| group(name)).collect::<Vec<_>>()),
        body: Bytes::copy_from_slice(body.as_bytes()),
    })
}

pub struct Node {
    pub daemon: Daemon,
    pub groups: Groups,
    pub alive: bool,
    /// The ring it is in, and how much of it it has delivered.
    pub ring: usize,
    pub at: usize,
    /// What the ring took and has not sent; it goes into the next view if this one ends before.
    pub queue: VecDeque<Submission>,
    pub inbox: BTreeMap<SessionId, Vec<Bytes>>,
    pub closed: Vec<SessionId>,
}

pub struct Ring {
    pub view: View,
    pub log: Vec<(usize, Service, Bytes)>,
}

pub struct Net {
    pub nodes: Vec<Node>,
    pub rings: Vec<Ring>,
    /// The latest session of each daemon and name.
    pub sessions: BTreeMap<(usize, String), SessionId>,
    /// The time of the next view.
    pub time: u32,
    /// Whether tables are compared after each message, which takes time.
    pub compares: bool,
    digests: BTreeMap<(usize, usize), u64>,
    boots: u8,
}

impl Net {
    /// Daemons of these names, each in no view yet.
    pub fn new(names: &[&str]) -> Self {
        let mut net = Self {
            nodes: Vec::new(),
            rings: Vec::new(),
            sessions: BTreeMap::new(),
            time: 1,
            compares: true,
            digests: BTreeMap::new(),
            boots: 0,
        };
        for name in names {
            let node = net.fresh(name);
            net.nodes.push(node);
        }
        net
    }

    fn fresh(&mut self, name: &str) -> Node {
        self.boots += 1;
        let daemon = daemon(name, self.boots);
        let groups = Groups::new(daemon, Limits::default());
        let inbox = BTreeMap::new();
        Node {
            daemon,
            groups,
            alive: true,
            ring: usize::MAX,
            at: 0,
            queue: VecDeque::new(),
            inbox,
            closed: Vec::new(),
        }
    }

    pub fn connect(&mut self, node: usize, name: &str, wants_membership: bool) -> SessionId {
        let session = self.nodes[node].groups.connect(private(name), wants_membership).unwrap();
        self.sessions.insert((node, name.to_owned()), session);
        session
    }

    pub fn say(&mut self, node: usize, session: SessionId, message: ClientMessage) {
        self.nodes[node].groups.handle_client(session, message);
        self.collect(node);
    }

    pub fn join(&mut self, node: usize, session: SessionId, name: &str) {
        self.say(node, session, ClientMessage::Join(group(name)));
    }

    pub fn leave(&mut self, node: usize, session: SessionId, name: &str) {
        self.say(node, session, ClientMessage::Leave(group(name)));
    }

    /// The ring takes one message from a daemon.
    pub fn pull(&mut self, node: usize) -> bool {
        let node = &mut self.nodes[node];
        let submission = node.groups.poll_submission();
        let taken = submission.is_some();
        node.queue.extend(submission);
        taken
    }

    /// The ring sends one message that it took.
    pub fn send(&mut self, node: usize) -> bool {
        let node = &mut self.nodes[node];
        let Some(ring) = self.rings.get_mut(node.ring) else { return false };
        let Some(submission) = node.queue.pop_front() else { return false };
        let place = ring.view.position(&node.daemon).unwrap();
        ring.log.push((place, submission.service, submission.message));
        true
    }

    /// Delivers one message to a daemon.
    pub fn deliver(&mut self, node: usize) -> bool {
        let (ring, at) = (self.nodes[node].ring, self.nodes[node].at);
        let Some(entry) = self.rings.get(ring).and_then(|ring| ring.log.get(at)) else {
            return false;
        };
        let (sender, service, message) = entry.clone();
        self.event(node, &Event::Delivered { sender, service, message });
        self.nodes[node].at += 1;
        if self.compares && self.nodes[node].groups.is_settled() {
            let digest = self.nodes[node].groups.state_digest();
            let first = *self.digests.entry((ring, at)).or_insert(digest);
            assert_eq!(digest, first, "tables differ after message {at} of ring {ring}");
        }
        true
    }

    pub fn event(&mut self, node: usize, event: &Event) {
        self.nodes[node].groups.handle_event(event);
        self.collect(node);
    }

    fn collect(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        while let Some(output) = node.groups.poll_output() {
            match output {
                Output::Deliver { session, message } => {
                    node.inbox.entry(session).or_default().push(message);
                }
                Output::Close { session } => node.closed.push(session),
                Output::Pause | Output::Resume => {}
            }
        }
    }

    /// Everything that is submitted is delivered everywhere.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for node in
                (0..self.nodes.len()).filter(|node| self.nodes[*node].alive).collect::<Vec<_>>()
            {
                while self.pull(node) || self.send(node) {
                    moved = true;
                }
                while self.deliver(node) {
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// New views: daemons with the same number, by their index, are in one view.
    pub fn change(&mut self, components: &[usize], random: &mut Random) {
        let alive: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].alive).collect();
        let old: Vec<usize> = self.nodes.iter().map(|node| node.ring).collect();
        let mut numbers: Vec<usize> = alive.iter().map(|node| components[*node]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut views = Vec::new();
        for number in numbers {
            let mut members: Vec<usize> =
                alive.iter().copied().filter(|node| components[*node] == number).collect();
            for ring in
                members.iter().map(|node| old[*node]).collect::<std::collections::BTreeSet<_>>()
            {
                let together: Vec<usize> =
                    members.iter().copied().filter(|node| old[*node] == ring).collect();
                self.finish(ring, &together, random);
            }
            members.sort_by_key(|node| self.nodes[*node].daemon);
            views.push(members);
        }
        for members in views {
            let previous = members.iter().map(|node| match self.rings.get(old[*node]) {
                Some(ring) => ring.view.id,
                None => RingId { counter: 0, founder: *node as u64 },
            });
            let id = RingId { counter: self.rings.len() as u64 + 1, founder: members[0] as u64 };
            let view = View {
                id,
                previous: previous.collect(),
                members: members.iter().map(|node| self.nodes[*node].daemon).collect(),
                time: self.time,
            };
            self.rings.push(Ring { view: view.clone(), log: Vec::new() });
            for node in members {
                self.nodes[node].ring = self.rings.len() - 1;
                self.nodes[node].at = 0;
                self.event(node, &Event::Installed(view.clone()));
            }
        }
        self.time += 1;
    }

    /// The end of a ring for some of its members.
    fn finish(&mut self, ring: usize, together: &[usize], random: &mut Random) {
        let Some(length) = self.rings.get(ring).map(|ring| ring.log.len()) else { return };
        let most = together.iter().map(|node| self.nodes[*node].at).max().unwrap();
        let stop = most + random.below((length - most) as u32 + 1) as usize;
        let hole = stop + random.below((length - stop) as u32 + 1) as usize;
        let daemons: Vec<Daemon> = together.iter().map(|node| self.nodes[*node].daemon).collect();
        let mut ordered = daemons.clone();
        ordered.sort();
        for node in together {
            while self.nodes[*node].at < stop {
                assert!(self.deliver(*node));
            }
            self.event(*node, &Event::Transitional { together: ordered.clone().into() });
        }
        self.same(together);
        for at in stop..length {
            let (sender, service, message) = self.rings[ring].log[at].clone();
            if at >= hole && !daemons.contains(&self.rings[ring].view.members[sender]) {
                continue;
            }
            for node in together {
                let message = message.clone();
                self.event(*node, &Event::Delivered { sender, service, message });
            }
            self.same(together);
        }
    }

    /// Those that go on together have the same tables, unless they are telling them to each other.
    fn same(&self, together: &[usize]) {
        if !self.compares {
            return;
        }
        let groups = together.iter().map(|node| &self.nodes[*node].groups);
        let mut groups = groups.filter(|groups| groups.missing_states().is_empty());
        if let Some(first) = groups.next() {
            let digest = first.state_digest();
            assert!(
                groups.all(|other| other.state_digest() == digest),
                "tables differ in transition"
            );
        }
    }

    /// One view of all that are alive, everything delivered.
    pub fn heal(&mut self) {
        self.change(&vec![0; self.nodes.len()], &mut Random::new(1));
        self.settle();
    }

    pub fn crash(&mut self, node: usize) {
        self.nodes[node].alive = false;
    }

    /// The same name, another life.
    pub fn restart(&mut self, node: usize) {
        let name = self.nodes[node].daemon.name;
        self.nodes[node] = self.fresh(name.as_str());
    }

    /// What a session was given since this was last asked.
    pub fn inbox(&mut self, node: usize, session: SessionId) -> Vec<Bytes> {
        self.nodes[node].inbox.remove(&session).unwrap_or_default()
    }

    pub fn told(&mut self, node: usize, session: SessionId) -> Vec<Told> {
        self.inbox(node, session).iter().map(told).collect()
    }
}

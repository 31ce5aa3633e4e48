//! What is said and heard on the networks: announcements, questions, defences.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use base::{Instant, MachineId};
use tokio::io::unix::AsyncFd;
use vip::announce::{Address, After, Announcer};
use vip::conflict::{Action, Conflicts, Verdict};
use vip::neighbours::{Mac, Neighbours};

use super::places::Places;
use crate::config::{Config, Notify};
use crate::frames::{self, Family, Frame, Heard, Hindrance, PacketSocket};
use crate::kernel::sysctl::forwards_ipv6;

/// Frames given to the network in one turn, so that nothing else waits for long.
const FRAMES_AT_ONCE: usize = 512;

/// What was heard that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// A machine of the cluster that is not in the view uses an address of ours: the bus is cut and the network is not.
    Apart(Address, MachineId),
    /// A stranger uses it. `defended`: he was told so.
    Stranger { address: Address, mac: Mac, defended: bool },
}

/// How asking for an address ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Free(Address),
    /// Somebody has it: a machine that is known, or a stranger.
    Taken(Address, Mac, Option<MachineId>),
}

/// Sockets and what is said through them.
pub(super) struct Air {
    sockets: BTreeMap<(u32, bool), AsyncFd<PacketSocket>>,
    macs: BTreeMap<u32, Mac>,
    /// Interfaces at which the kernel calls itself a router of IPv6, and so do we.
    routers: BTreeSet<u32>,
    /// Frames that a socket had no room for.
    waiting: BTreeMap<(u32, bool), Vec<Frame>>,
    announcer: Announcer,
    conflicts: Conflicts,
    pub(super) neighbours: Neighbours,
    /// The other machines of the view, as they said it.
    said: Vec<(MachineId, Mac)>,
    /// Hardware addresses of machines of the view, and on which interface each was met.
    members: BTreeSet<Mac>,
    near: BTreeMap<u32, BTreeSet<Mac>>,
    /// Announcements sent, by whether they went to everybody.
    pub(super) sent: (u64, u64),
    /// Frames that were lost because a socket could not take them.
    pub(super) unsent: u64,
}

impl Air {
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        let announce = vip::announce::Settings {
            period: config.announce_every,
            frames_per_second: config.frames_per_second,
            notify: Vec::new(),
            seed,
        };
        Self {
            sockets: BTreeMap::new(),
            macs: BTreeMap::new(),
            routers: BTreeSet::new(),
            waiting: BTreeMap::new(),
            announcer: Announcer::new(announce),
            conflicts: Conflicts::new(vip::conflict::Settings { seed, ..Default::default() }),
            neighbours: Neighbours::new(vip::neighbours::AGE),
            said: Vec::new(),
            members: BTreeSet::new(),
            near: BTreeMap::new(),
            sent: (0, 0),
            unsent: 0,
        }
    }

    /// The interfaces have changed. Sockets are opened on those in `used`; returns what could not be opened.
    pub(super) fn know(
        &mut self,
        places: &Places,
        used: &BTreeSet<(u32, bool)>,
        config: &Config,
    ) -> Vec<String> {
        self.macs = places.links().filter_map(|link| Some((link.index, Mac(link.mac?)))).collect();
        self.conflicts.set_ours(self.macs.values().copied());
        self.routers = routers(places, used);
        self.sockets.retain(|key, _| used.contains(key));
        let mut trouble = Vec::new();
        for key in used {
            if self.sockets.contains_key(key) {
                continue;
            }
            let family = if key.1 { Family::Arp } else { Family::Discovery };
            let opened = PacketSocket::open(key.0, family).map_err(|error| chain(&error));
            match opened.and_then(awaited) {
                Ok(socket) => drop(self.sockets.insert(*key, socket)),
                Err(why) => trouble.push(why),
            }
        }
        self.announcer.set_notify(notify(config, places));
        trouble
    }

    /// The other machines of the view and their hardware addresses. Whether they differ from those before.
    pub(super) fn set_members(&mut self, members: Vec<(MachineId, Mac)>) -> bool {
        if self.said == members {
            return false;
        }
        self.said.clone_from(&members);
        self.members = members.iter().map(|(_, mac)| *mac).collect();
        self.near.values_mut().for_each(|met| met.retain(|mac| self.members.contains(mac)));
        self.conflicts.set_members(members);
        true
    }

    /// Whether it is a hardware address of a machine of the view.
    pub(super) fn is_member(&self, mac: Mac) -> bool {
        self.members.contains(&mac)
    }

    /// Neighbours: those that are machines of the view are remembered with the interface.
    pub(super) fn meet(&mut self, neighbours: impl IntoIterator<Item = (u32, [u8; 6])>) {
        for (interface, mac) in neighbours {
            if self.members.contains(&Mac(mac)) {
                self.near.entry(interface).or_default().insert(Mac(mac));
            }
        }
    }

    /// By which of its hardware addresses a machine is reached on an interface: one that was met there, or its only one.
    pub(super) fn reach(&self, interface: u32, macs: &[[u8; 6]]) -> Option<[u8; 6]> {
        let real = |mac: &&[u8; 6]| **mac != [0; 6] && mac[0] & 1 == 0;
        let all: BTreeSet<&[u8; 6]> = macs.iter().filter(real).collect();
        let near = self.near.get(&interface);
        let met = all.iter().find(|mac| near.is_some_and(|near| near.contains(&Mac(***mac))));
        let only = all.first().filter(|_| all.len() == 1);
        met.or(only).map(|mac| **mac)
    }

    pub(super) fn acquired(
        &mut self,
        now: Instant,
        address: Address,
        net: u8,
        until: Option<Instant>,
    ) {
        let after = until.map_or(After::Released, |until| After::Lost { until });
        self.announcer.acquired(now, address, net, after);
        self.conflicts.hold(address);
    }

    pub(super) fn released(&mut self, address: Address) {
        self.announcer.released(address);
        self.conflicts.let_go(address);
        self.conflicts.cancel(address);
    }

    /// Held here, and so it was elsewhere: everybody is told again.
    pub(super) fn won(&mut self, now: Instant, address: Address) {
        self.announcer.won(now, address);
    }

    pub(super) fn again(&mut self, now: Instant, address: Address) {
        self.announcer.again(now, address);
    }

    pub(super) fn link_up(&mut self, now: Instant, interface: u32) {
        self.announcer.link_up(now, interface);
    }

    pub(super) fn ask(&mut self, now: Instant, address: Address) {
        self.conflicts.probe(now, address);
    }

    pub(super) fn cancel(&mut self, address: Address) {
        self.conflicts.cancel(address);
    }

    pub(super) fn conflicts(&self) -> vip::conflict::Counters {
        self.conflicts.counters()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.announcer.next_timeout().into_iter().chain(self.conflicts.next_timeout()).min()
    }

    /// Says what is due, and tells how asking ended.
    pub(super) fn speak(&mut self, now: Instant) -> Vec<Asked> {
        let mut frames: BTreeMap<(u32, bool), Vec<Frame>> = std::mem::take(&mut self.waiting);
        let mut asked = Vec::new();
        let mut count = 0;
        while let Some(action) = self.conflicts.poll(now) {
            match action {
                Action::Ask(address) => {
                    if let Some(mac) = self.macs.get(&address.interface) {
                        let key = (address.interface, address.ip.is_ipv4());
                        frames.entry(key).or_default().push(frames::probe(*mac, address.ip));
                    }
                }
                Action::Free(address) => asked.push(Asked::Free(address)),
                Action::Taken { address, mac, machine } => {
                    asked.push(Asked::Taken(address, mac, machine));
                }
            }
        }
        while count < FRAMES_AT_ONCE
            && let Some(announcement) = self.announcer.poll(now, &self.neighbours)
        {
            let address = announcement.address;
            let Some(mac) = self.macs.get(&address.interface) else { continue };
            let router = self.routers.contains(&address.interface);
            let some = frames.entry((address.interface, address.ip.is_ipv4())).or_default();
            let before = some.len();
            frames::announcement(&announcement, *mac, router, some);
            count += some.len() - before;
            match announcement.kind {
                vip::announce::Kind::Broadcast => self.sent.0 += 1,
                vip::announce::Kind::Directed(_) => self.sent.1 += 1,
            }
        }
        for (key, some) in frames {
            self.send(key, some);
        }
        asked
    }

    fn send(&mut self, key: (u32, bool), frames: Vec<Frame>) {
        let Some(socket) = self.sockets.get(&key) else {
            self.unsent += frames.len() as u64;
            return;
        };
        let (sent, hindrance) = socket.get_ref().send(&frames);
        match hindrance {
            None => {}
            // It is said again in the next turn, a few milliseconds later.
            Some(Hindrance::Full) if frames.len() - sent <= 4 * FRAMES_AT_ONCE => {
                self.waiting.insert(key, frames[sent..].to_vec());
            }
            Some(_) => self.unsent += (frames.len() - sent) as u64,
        }
    }

    /// Whether frames wait for room.
    pub(super) fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits until a socket has something to be read.
    pub(super) async fn heard(&self) -> (u32, bool) {
        poll_fn(|cx| {
            for (key, socket) in &self.sockets {
                if let Poll::Ready(Ok(mut guard)) = socket.poll_read_ready(cx) {
                    guard.retain_ready();
                    return Poll::Ready(*key);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Reads what a socket has.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        key: (u32, bool),
    ) -> (Vec<Claimed>, Option<io::Error>) {
        let Some(socket) = self.sockets.get_mut(&key) else { return (Vec::new(), None) };
        let mut events = Vec::new();
        let outcome = socket.get_mut().receive(|event| events.push(event));
        if matches!(outcome, Ok(Heard::All)) {
            // Nothing is left: wait for the next.
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            if let Poll::Ready(Ok(mut guard)) = socket.poll_read_ready(&mut cx) {
                guard.clear_ready();
            }
        }
        let mut claimed = Vec::new();
        let mut defences = Vec::new();
        for event in events {
            if self.members.contains(&event.mac) {
                self.near.entry(event.interface).or_default().insert(event.mac);
            }
            let address = |ip: IpAddr| Address { interface: event.interface, ip };
            if let Some(ip) = event.asks() {
                self.announcer.asked(now, address(ip));
            }
            let (ip, claim) = event.claim();
            match self.conflicts.seen(now, address(ip), event.mac, claim) {
                Verdict::Nothing | Verdict::Expected { .. } => {}
                Verdict::Apart { machine } => claimed.push(Claimed::Apart(address(ip), machine)),
                Verdict::Stranger { mac, defend } => {
                    if let Some(own) = self.macs.get(&event.interface).filter(|_| defend) {
                        let router = self.routers.contains(&event.interface);
                        defences.push(frames::defence(*own, ip, router));
                    }
                    claimed.push(Claimed::Stranger { address: address(ip), mac, defended: defend });
                }
            }
        }
        if !defences.is_empty() {
            self.send(key, defences);
        }
        let error = outcome.err();
        if error.is_some() {
            self.sockets.remove(&key);
        }
        (claimed, error)
    }
}

/// A socket to be awaited.
fn awaited(socket: PacketSocket) -> Result<AsyncFd<PacketSocket>, String> {
    // SAFETY: the socket owns its descriptor, which stays open and the same until the socket is dropped, together with this.
    #[allow(unsafe_code)]
    let awaited = unsafe { AsyncFd::register(socket) };
    awaited.map_err(|error| error.to_string())
}

/// The interfaces with addresses of version 6 at which the kernel forwards what others send.
fn routers(places: &Places, used: &BTreeSet<(u32, bool)>) -> BTreeSet<u32> {
    let forwards = |index: &u32| {
        // Where it cannot be read there is no IPv6 to be forwarded.
        places.link(*index).is_some_and(|link| forwards_ipv6(&link.name).unwrap_or(false))
    };
    let six = used.iter().filter(|(_, is_four)| !is_four).map(|(index, _)| *index);
    six.filter(forwards).collect()
}

/// The notify list with the interfaces' present numbers.
fn notify(config: &Config, places: &Places) -> Vec<vip::announce::Notify> {
    let one = |notify: &Notify| match notify {
        Notify::Hosts { interface, block, throttle, ping } => {
            // One on an interface that is not there concerns nobody now.
            let interface = match interface {
                Some(name) => Some(places.named(name)?.index),
                None => None,
            };
            Some(vip::announce::Notify::Hosts {
                interface,
                block: vip::neighbours::Network::of(block.first(), block.length()),
                throttle: throttle.unwrap_or(0),
                ping: *ping,
            })
        }
        Notify::Neighbours { ping } => Some(vip::announce::Notify::Neighbours { ping: *ping }),
    };
    config.notify.iter().filter_map(one).collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// A name as a machine's id, which conflicts are told by.
pub(super) fn id_of(machine: &str) -> MachineId {
    let mut id = [0_u8; 16];
    for (at, byte) in machine.bytes().enumerate() {
        id[at % 16] = id[at % 16].wrapping_mul(31) ^ byte;
    }
    MachineId(id)
}

/// At the least so often the loop comes round: what hangs longer than that is late.
pub(super) const BEAT: Duration = Duration::from_millis(50);

//! The wires to the other daemons: sockets, envelopes, and where everybody is.

mod batch;
mod book;
mod envelope;
pub mod interfaces;
mod seeds;
mod socket;
mod strangers;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use base::{Boot, Instant};
use bytes::Bytes;
use ring::{Daemon, Tag, To, Transmit};
use socket2::SockAddr;

pub(crate) use self::book::Book;

use self::batch::{BATCH, Inbox, Parcel};
use self::envelope::{Envelope, Unopened};
use self::interfaces::InterfaceAddress;
use self::seeds::Seeds;
use self::socket::Udp;
use self::strangers::{Strange, Strangers};
use crate::conf::Reach;
use crate::config::{DaemonConfig, Interface, Membership, Protection, SegmentTarget};
use crate::error::StartError;
use crate::status::LinkCounters;

/// Bytes of a datagram that pass an Ethernet in one piece, IPv6 header and all.
const FRAME: usize = 1500 - 40 - 8;

/// So many datagrams are little work.
const FEW: usize = 2;

/// Bytes that usually wait to be sent at most: a window of datagrams, sealed. It may become more.
const ARENA: usize = 512 << 10;

/// Where something for all of a segment goes.
struct Group {
    to: SockAddr,
    socket: usize,
    /// The interface to send through, with its IPv4 address, if it has to be chosen.
    through: Option<(u32, Option<Ipv4Addr>)>,
}

struct Letter {
    socket: usize,
    to: SockAddr,
    through: Option<(u32, Option<Ipv4Addr>)>,
    at: std::ops::Range<usize>,
    /// It is for all of a segment.
    for_all: bool,
}

/// All sockets towards daemons.
pub(crate) struct Link {
    envelope: Envelope,
    /// Those bound to addresses first, then those bound to groups.
    sockets: Vec<Udp>,
    own: usize,
    groups: Vec<Group>,
    /// What those were made of.
    targets: Vec<SegmentTarget>,
    book: Book,
    seeds: Seeds,
    inbox: Inbox,
    letters: Vec<Letter>,
    sealed: Vec<u8>,
    arena: Vec<u8>,
    /// The last datagram that was enveloped: for many receivers once is enough.
    last: Option<(Bytes, Option<Tag>, std::ops::Range<usize>)>,
    boot: Boot,
    /// The kernel cuts messages into datagrams.
    cuts: bool,
    pub(crate) counters: LinkCounters,
    /// Who speaks to us and is nobody we know.
    pub(crate) strangers: Strangers,
    /// It was said that an interface takes no multicast.
    told_through: bool,
}

impl Link {
    /// Opens everything.
    pub(crate) fn open(config: &DaemonConfig, me: &Daemon) -> Result<Self, StartError> {
        let envelope = Envelope::new(&config.protection, me);
        let here = interfaces::addresses().unwrap_or_default();
        let port = config.data.port;
        let mut sockets = Vec::new();
        if config.data.addresses.is_empty() {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            sockets.push(bind(any)?);
            // A machine without IPv6 is no mistake.
            if here.iter().any(|address| address.ip.is_ipv6()) {
                sockets.extend(Udp::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)));
            }
        }
        for ip in &config.data.addresses {
            sockets.push(bind(SocketAddr::new(*ip, port))?);
        }
        let own = sockets.len();
        let mut groups = Vec::new();
        let targets = targets(config);
        for target in targets.iter().cloned() {
            join(&mut sockets, own, &mut groups, target, &here)?;
        }
        let seeds = Seeds::new(config);
        Ok(Self {
            envelope,
            sockets,
            own,
            groups,
            targets,
            book: Book::default(),
            seeds,
            inbox: Inbox::new(),
            letters: Vec::new(),
            sealed: Vec::new(),
            arena: Vec::with_capacity(ARENA),
            last: None,
            boot: me.boot,
            cuts: true,
            counters: LinkCounters::default(),
            strangers: Strangers::default(),
            told_through: false,
        })
    }

    /// This life of the daemon.
    pub(crate) fn boot(&self) -> Boot {
        self.boot
    }

    /// Where everybody is.
    pub(crate) fn book(&self) -> Book {
        self.book.clone()
    }

    /// Whether there is anything that reaches all of a segment.
    pub(crate) fn has_group(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Bytes of a datagram of the ring.
    pub(crate) fn room(&self) -> usize {
        FRAME - self.envelope.overhead()
    }

    /// Takes keys, and where daemons may be. For groups there is [`regroup`](Self::regroup). `false` if a key was to come where there
    /// was none, or to go.
    pub(crate) fn reload(&mut self, config: &DaemonConfig, protection: &Protection) -> bool {
        self.seeds = Seeds::new(config);
        self.strangers.forget();
        self.envelope.rekey(protection)
    }

    /// Speaks to the groups that the configuration names now, if they are others than before. Those of before are heard on, because
    /// not everybody knows of the new ones yet. Whether that was so, and the places of sockets that were opened.
    ///
    /// # Errors
    /// A group cannot be joined; everything is as before then.
    pub(crate) fn regroup(
        &mut self,
        config: &DaemonConfig,
    ) -> Result<Option<std::ops::Range<usize>>, StartError> {
        let targets = targets(config);
        if targets == self.targets {
            return Ok(None);
        }
        let here = interfaces::addresses().unwrap_or_default();
        let (before, mut groups) = (self.sockets.len(), Vec::new());
        for target in targets.iter().cloned() {
            let joined = join(&mut self.sockets, self.own, &mut groups, target, &here);
            if let Err(error) = joined {
                self.sockets.truncate(before);
                return Err(error);
            }
        }
        (self.groups, self.targets) = (groups, targets);
        Ok(Some(before..self.sockets.len()))
    }

    /// What every datagram passes through: where it is received, and where it lies sealed until it is sent.
    pub(crate) fn buffers(&self) -> [std::ops::Range<usize>; 2] {
        // What has been reserved is used later, at the same place.
        [self.inbox.bytes(), &self.arena].map(|bytes| {
            let start = bytes.as_ptr() as usize;
            start..start + bytes.capacity()
        })
    }

    /// The sockets to wait for.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    /// Takes a batch from a socket. `true` if more may wait.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        socket: usize,
        accepts: impl Fn(IpAddr) -> bool,
        mut take: impl FnMut(Boot, &[u8]),
    ) -> bool {
        let Some(udp) = self.sockets.get(socket) else { return false };
        let count = match self.inbox.receive(udp.as_fd()) {
            Ok(count) => count,
            // What ICMP said about an earlier datagram; the next call gives datagrams again.
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        };
        for at in 0..count {
            let Some((from, datagrams)) = self.inbox.datagrams(at) else { continue };
            let accepted = accepts(from.ip());
            for datagram in datagrams {
                self.counters.received += 1;
                self.counters.received_bytes += datagram.len() as u64;
                if !accepted {
                    self.counters.refused += 1;
                    self.strangers.note(from, Strange::Elsewhere);
                    continue;
                }
                match self.envelope.take(now, from.ip(), datagram) {
                    Ok((boot, text)) if boot != self.boot => {
                        self.book.learn(Tag::from(&boot), from);
                        take(boot, text);
                    }
                    // Our own multicast comes back.
                    Ok(_) => {}
                    Err(Unopened::Forged) => {
                        self.counters.forged += 1;
                        self.strangers.note(from, Strange::OtherKey);
                    }
                    Err(Unopened::Replayed) => self.counters.replayed += 1,
                    Err(Unopened::Other) => self.counters.refused += 1,
                }
            }
        }
        count == BATCH
    }

    /// Whom ICMP calls unreachable; none when all was said. A daemon that was started again is there with its earlier boots.
    pub(crate) fn unreachable(&mut self, socket: usize) -> Option<impl Iterator<Item = Tag>> {
        let at = self.sockets.get(socket)?.unreachable()?;
        self.counters.unreachable += 1;
        Some(self.book.who(at).into_iter())
    }

    /// Puts a datagram on the pile for the next [`flush`](Self::flush).
    pub(crate) fn queue(&mut self, transmit: &Transmit) {
        let text = &transmit.datagram;
        let whom = match &transmit.to {
            To::Peer(tag) => Some(*tag),
            To::Door(_) | To::Group | To::Seeds => None,
        };
        // The last one is held on to, so that nothing else can lie where it lay.
        let same = |last: &Bytes| (last.as_ptr(), last.len()) == (text.as_ptr(), text.len());
        let at = match &self.last {
            Some((last, to, at)) if same(last) && *to == whom => at.clone(),
            _ => {
                self.envelope.put(whom, text, &mut self.sealed);
                let start = self.arena.len();
                self.arena.extend_from_slice(&self.sealed);
                start..self.arena.len()
            }
        };
        self.last = Some((text.clone(), whom, at.clone()));
        match &transmit.to {
            To::Peer(tag) | To::Door(tag) => {
                if let Some(to) = self.book.get(*tag) {
                    self.letter(to, at);
                }
            }
            To::Group => {
                for group in &self.groups {
                    let (socket, through) = (group.socket, group.through);
                    self.letters.push(Letter {
                        socket,
                        to: group.to.clone(),
                        through,
                        at: at.clone(),
                        for_all: true,
                    });
                }
            }
            To::Seeds => {
                for to in self.seeds.addresses() {
                    self.letter(to, at.clone());
                }
            }
        }
    }

    /// Whether the pile is little and for all of a segment: no token is in it, for which another daemon waits. What the
    /// clients here get may then go first: whoever waits for his own message has it before the network is worked for.
    pub(crate) fn can_wait(&self) -> bool {
        self.letters.len() <= FEW && self.letters.iter().all(|letter| letter.for_all)
    }

    fn letter(&mut self, to: SocketAddr, at: std::ops::Range<usize>) {
        let fits = |udp: &Udp| udp.at.is_ipv4() == to.is_ipv4();
        if let Some(socket) = self.sockets[..self.own].iter().position(fits) {
            self.letters.push(Letter { socket, to: to.into(), through: None, at, for_all: false });
        }
    }

    /// Sends the pile, in its order.
    pub(crate) fn flush(&mut self) {
        let letters = std::mem::take(&mut self.letters);
        let mut rest = &letters[..];
        while let Some(first) = rest.first() {
            if let Some((interface, address)) = first.through
                && let Err(error) = self.sockets[first.socket].send_through(interface, address)
                && !std::mem::replace(&mut self.told_through, true)
            {
                tracing::warn!(interface, %error, "multicast cannot be sent through an interface; who is there is spoken to singly");
            }
            let (parcels, used) = self.pack(rest);
            let socket = &self.sockets[first.socket];
            let (mut sent, error) = batch::send(socket.as_fd(), &parcels);
            if error.is_some() {
                // An error of an earlier datagram is told once; one of this datagram costs this datagram.
                let (again, error) = batch::send(socket.as_fd(), &parcels);
                sent = again;
                if let Some(error) = error {
                    let several = parcels[0].is_several();
                    if several && error.kind() != io::ErrorKind::WouldBlock {
                        tracing::info!(%error, "this network cannot cut messages into datagrams; each is sent for itself");
                        self.cuts = false;
                        continue;
                    }
                    self.counters.unsent += used[0] as u64;
                    rest = &rest[used[0]..];
                    continue;
                }
            }
            let bytes: usize = parcels[..sent].iter().map(|parcel| parcel.bytes.len()).sum();
            self.counters.sent += used[..sent].iter().sum::<usize>() as u64;
            self.counters.sent_bytes += bytes as u64;
            rest = &rest[used[..sent].iter().sum::<usize>()..];
        }
        self.letters = letters;
        self.letters.clear();
        self.arena.clear();
        self.last = None;
    }

    /// The messages of one call, and how many letters each contains: neighbours of one length to one place are one message.
    fn pack<'a>(&'a self, letters: &'a [Letter]) -> (Vec<Parcel<'a>>, Vec<usize>) {
        let mut parcels: Vec<Parcel<'a>> = Vec::with_capacity(BATCH);
        let mut used: Vec<usize> = Vec::with_capacity(BATCH);
        let mut last: Option<&Letter> = None;
        for letter in letters {
            let length = letter.at.len();
            if let Some(before) = last {
                if letter.socket != before.socket || letter.through != before.through {
                    break;
                }
                if let (Some(parcel), Some(count)) = (parcels.last_mut(), used.last_mut())
                    && self.cuts
                    && letter.to == before.to
                    && letter.at.start == before.at.end
                    && before.at.len() == parcel.each
                    && length <= parcel.each
                    && *count < batch::SEGMENTS
                    && parcel.bytes.len() + length <= batch::SEGMENTED
                {
                    let begin = letter.at.end - parcel.bytes.len() - length;
                    parcel.bytes = &self.arena[begin..letter.at.end];
                    *count += 1;
                    last = Some(letter);
                    continue;
                }
            }
            if parcels.len() == BATCH {
                break;
            }
            parcels.push(Parcel {
                to: &letter.to,
                bytes: &self.arena[letter.at.clone()],
                each: length,
            });
            used.push(1);
            last = Some(letter);
        }
        (parcels, used)
    }
}

fn bind(at: SocketAddr) -> Result<Udp, StartError> {
    Udp::bind(at).map_err(|error| StartError::bus(at, error))
}

fn targets(config: &DaemonConfig) -> Vec<SegmentTarget> {
    match &config.membership {
        Membership::Found { segment, .. } => segment.iter().cloned().collect(),
        Membership::Fixed(list) => {
            let segment = list.members.get(list.me).map_or(0, |member| member.segment);
            list.segments.get(segment).cloned().unwrap_or_default()
        }
    }
}

/// Makes a target one that is heard and spoken to here.
fn join(
    sockets: &mut Vec<Udp>,
    own: usize,
    groups: &mut Vec<Group>,
    target: SegmentTarget,
    here: &[InterfaceAddress],
) -> Result<(), StartError> {
    let to = target.to;
    let Some(sender) = sockets[..own].iter().position(|udp| udp.at.is_ipv4() == to.is_ipv4())
    else {
        return Ok(());
    };
    let wildcard =
        sockets[sender].at.ip().is_unspecified() && sockets[sender].at.port() == to.port();
    let known = sockets[own..].iter().position(|udp| udp.at == to).map(|at| own + at);
    let listener = match known {
        _ if wildcard => sender,
        Some(at) => at,
        None => {
            sockets.push(Udp::bind_group(to).map_err(|error| StartError::bus(to, error))?);
            sockets.len() - 1
        }
    };
    if target.reach != Reach::Multicast {
        groups.push(Group { to: to.into(), socket: sender, through: None });
        return Ok(());
    }
    let bound = sockets[sender].at.ip();
    let chosen = |address: &&InterfaceAddress| {
        address.ip.is_ipv4() == to.is_ipv4()
            && match &target.interface {
                Some(Interface::Name(name)) => address.name == *name,
                Some(Interface::Address(ip)) => address.ip == *ip,
                None if bound.is_unspecified() => address.multicast && !address.ip.is_loopback(),
                None => address.ip == bound,
            }
    };
    let mut seen = Vec::new();
    for address in here.iter().filter(chosen) {
        if seen.contains(&address.index) {
            continue;
        }
        seen.push(address.index);
        sockets[listener]
            .join(to.ip(), address.index)
            .map_err(|error| StartError::group(to, &address.name, error))?;
        let v4 = match address.ip {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        };
        groups.push(Group { to: to.into(), socket: sender, through: Some((address.index, v4)) });
    }
    Ok(())
}

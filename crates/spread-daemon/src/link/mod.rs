//! The wires to the other daemons: sockets, envelopes, and where everybody is.

mod batch;
mod book;
mod envelope;
mod group;
pub mod interfaces;
mod seeds;
mod send;
mod socket;
mod strangers;
mod watch;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use base::{Boot, Instant};
use bytes::Bytes;
use ring::{Daemon, Tag};

pub(crate) use self::book::Book;

use self::batch::{BATCH, Inbox};
use self::envelope::{Envelope, Unopened};
use self::group::{Group, join, targets, watched};
use self::seeds::Seeds;
use self::send::Letter;
use self::socket::Udp;
use self::strangers::{Strange, Strangers};
use self::watch::Watch;
use crate::config::{DaemonConfig, Protection, SegmentTarget};
use crate::error::StartError;
use crate::status::LinkCounters;

/// Bytes of a datagram that pass an Ethernet in one piece, IPv6 header and all.
const FRAME: usize = 1500 - 40 - 8;

/// Bytes that usually wait to be sent at most: a window of datagrams, sealed. It may become more.
const ARENA: usize = 512 << 10;

/// All sockets towards daemons.
pub(crate) struct Link {
    envelope: Envelope,
    /// Those bound to addresses first, then those bound to groups.
    sockets: Vec<Udp>,
    own: usize,
    groups: Vec<Group>,
    /// What those were made of.
    targets: Vec<SegmentTarget>,
    /// Whether those are still where they were, if any of them is anywhere.
    watch: Option<Watch>,
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
    /// It was said that an interface takes no multicast, since the last change of one.
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
        for target in &targets {
            join(&mut sockets, own, &mut groups, target, &here)?;
        }
        let watch = watched(&targets).then(|| Watch::start(here));
        let seeds = Seeds::new(config);
        Ok(Self {
            envelope,
            sockets,
            own,
            groups,
            targets,
            watch,
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
}

fn bind(at: SocketAddr) -> Result<Udp, StartError> {
    Udp::bind(at).map_err(|error| StartError::bus(at, error))
}

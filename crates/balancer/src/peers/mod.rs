//! Connections to other machines and to the local service.

pub(crate) mod handshake;
pub(crate) mod pool;
pub(crate) mod warden;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use candidacy::Slot;
use candidacy::hot::Condition;
use seal::Speaker;
use tokio::net::{TcpStream, UnixStream};

use crate::relay::outcome::{Ended, Failure};
use crate::relay::stream::Stream;
use crate::worker::Worker;
use crate::worker::buffers::Inbox;
use pool::Key;

/// A connection that requests are given to.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) stream: Stream,
    pub(crate) key: Key,
    /// Which admission of the machine it belongs to.
    pub(crate) epoch: u32,
    /// Whether both sides proved themselves, so that marks and reports travel on it.
    marked: bool,
    /// Whether it came from the pool.
    rested: bool,
    /// Bytes of the current request that the kernel would not take yet.
    pub(crate) pending: Inbox,
    /// The peer refused the request, and its refusal was read to its end.
    pub(crate) refused: bool,
    /// A write failed: it is of no use after the current response.
    pub(crate) broken: bool,
}

/// Where and how a connection is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// To a machine's peer listener, as this speaker.
    Peer(SocketAddr, Speaker),
    /// To an HTTP server that knows nothing of marks.
    Plain(SocketAddr),
    /// The same through a Unix socket.
    Unix(&'a Path),
}

impl Upstream {
    fn new(stream: Stream, key: Key, epoch: u32, marked: bool, rested: bool) -> Self {
        Self {
            stream,
            key,
            epoch,
            marked,
            rested,
            pending: Inbox::default(),
            refused: false,
            broken: false,
        }
    }

    /// The machine that it leads to, by row of the matrix; `None` for the local service.
    pub(crate) fn machine(&self) -> Option<u16> {
        match self.key {
            Key::Machine(slot) => Some(slot),
            Key::Local => None,
        }
    }

    /// Whether marks and reports travel on it.
    pub(crate) fn is_marked(&self) -> bool {
        self.marked
    }

    /// How the exchange ends when the connection does before a response head was whole.
    pub(crate) fn ended_early(&self, received: &Inbox) -> Ended {
        Ended::Failed(Failure::Reset { rested: self.rested && received.is_empty() })
    }
}

impl Worker {
    /// A connection to `key`: one that rests in the pool, or a new one.
    pub(crate) async fn upstream(
        &self,
        key: Key,
        epoch: u32,
        way: Way<'_>,
        patience: Duration,
    ) -> Result<Upstream, Failure> {
        let marked = matches!(way, Way::Peer(..));
        if let Some(stream) = self.pool.take(key, epoch) {
            self.stats.counters.pool_hits.bump();
            self.count_pool();
            return Ok(Upstream::new(stream, key, epoch, marked, true));
        }
        self.connect(key, epoch, way, patience).await
    }

    /// Whether the machine at the other end is dead now, or lives another life.
    pub(crate) fn is_over(&self, up: &Upstream) -> bool {
        let hot = &self.shared.resources.matrix().hot;
        up.machine().map(Slot).is_some_and(|slot| {
            hot.condition(slot) == Condition::Dead || hot.epoch(slot) != up.epoch
        })
    }

    /// A new connection.
    pub(crate) async fn connect(
        &self,
        key: Key,
        epoch: u32,
        way: Way<'_>,
        patience: Duration,
    ) -> Result<Upstream, Failure> {
        self.stats.counters.connects.bump();
        let stream = match tokio::time::timeout(patience, self.dial(way)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(?key, ?way, %error, "no connection");
                if error.is_of_ours() {
                    return Err(Failure::Exhausted);
                }
                return Err(Failure::Connect { refused: error.is_refusal() });
            }
            Err(_) => {
                tracing::debug!(?key, ?way, "no connection in time");
                return Err(Failure::Connect { refused: false });
            }
        };
        Ok(Upstream::new(stream, key, epoch, matches!(way, Way::Peer(..)), false))
    }

    async fn dial(&self, way: Way<'_>) -> Result<Stream, handshake::IntroductionError> {
        let tcp =
            async |to| self.with_room(async || TcpStream::connect(to).await).await.map(Stream::tcp);
        Ok(match way {
            Way::Plain(address) => tcp(address).await?,
            Way::Unix(path) => {
                Stream::Unix(self.with_room(async || UnixStream::connect(path).await).await?)
            }
            Way::Peer(address, whom) => {
                let mut stream = tcp(address).await?;
                let (me, key) = (self.shared.me(), self.shared.peer_key());
                handshake::introduce(&mut stream, me, whom, key, &self.buffers).await?;
                stream
            }
        })
    }

    /// Lets a connection rest whose message ended without doubt.
    pub(crate) fn give_back(&self, up: Upstream) {
        debug_assert!(up.pending.is_empty() && !up.broken);
        self.pool.give(up.key, up.epoch, up.stream, self.now().as_nanos());
        self.count_pool();
    }

    pub(crate) fn count_pool(&self) {
        self.stats.counters.pool_idle.set(self.pool.count() as u64);
    }
}

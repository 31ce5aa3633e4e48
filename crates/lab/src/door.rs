//! A door from the host into the lab: a listener outside, relayed to a machine inside.
//!
//! The caller owns the listener, so its port outlives every machine behind it. Each connection asks afresh where to go,
//! takes the next address when one does not answer, and stays with the first that does. Bytes are passed on unread.
//!
//! A machine that freezes keeps its connections open without a word; [`Door::hang_up`] ends them, so that clients try
//! again and come in elsewhere.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, broadcast, watch};

use crate::error::LabError;
use crate::running::{Bench, Lab};
use crate::sockets::Place;

/// How long one target may take to accept; on the lab's switch it takes far less than a millisecond.
const CONNECT_PATIENCE: Duration = Duration::from_millis(500);

/// The most connections at once; more wait in the accept queue.
const MAX_CONNECTIONS: usize = 1024;

/// Whom to try for the next connection, best first.
type Targets = Box<dyn Fn() -> Vec<SocketAddr> + Send + Sync>;

/// What a door has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoorStats {
    /// Connections that came in.
    pub accepted: u64,
    /// Of these, relayed to a machine.
    pub relayed: u64,
    /// Targets that refused or did not answer, so that the next was tried.
    pub passed_over: u64,
    /// Connections closed because no target took them.
    pub turned_away: u64,
    /// Connections open at the moment.
    pub open: u64,
}

/// An open door. Closes, with its connections, when dropped.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    shared: Arc<Shared>,
    close: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    bench: Arc<Bench>,
    targets: Targets,
    hang_up: broadcast::Sender<SocketAddr>,
    counts: Counts,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("counts", &self.counts).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    relayed: AtomicU64,
    passed_over: AtomicU64,
    turned_away: AtomicU64,
    open: AtomicU64,
}

impl Lab {
    /// Opens a door: connections to `listener` (which lives on the host) are relayed to the first of `targets()` that
    /// accepts. The function is asked once per connection, on the door's own thread; it should return at once.
    ///
    /// # Errors
    /// When the listener cannot be used or no thread can be started.
    pub fn door(
        &self,
        listener: TcpListener,
        targets: impl Fn() -> Vec<SocketAddr> + Send + Sync + 'static,
    ) -> Result<Door, LabError> {
        let address = listener.local_addr().map_err(LabError::io("the door's listener"))?;
        listener.set_nonblocking(true).map_err(LabError::io("the door's listener"))?;
        let (close, closed) = watch::channel(false);
        let shared = Arc::new(Shared {
            bench: self.bench().clone(),
            targets: Box::new(targets),
            hang_up: broadcast::channel(64).0,
            counts: Counts::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LabError::io("the door's runtime"))?;
        let doorman = shared.clone();
        let thread = std::thread::Builder::new()
            .name("lab-door".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(doorman.serve(listener, closed)) {
                    tracing::error!(%address, %error, "a door of the lab has closed");
                }
            })
            .map_err(LabError::io("the door's thread"))?;
        Ok(Door { address, shared, close, thread: Some(thread) })
    }
}

impl Door {
    /// Where it listens on the host.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> DoorStats {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DoorStats {
            accepted: read(&counts.accepted),
            relayed: read(&counts.relayed),
            passed_over: read(&counts.passed_over),
            turned_away: read(&counts.turned_away),
            open: read(&counts.open),
        }
    }

    /// Ends all connections relayed to `target`.
    pub fn hang_up(&self, target: SocketAddr) {
        // An error only says that no connection is open.
        drop(self.shared.hang_up.send(target));
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        mut closed: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return Ok(()) };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = closed.wait_for(|closed| *closed) => return Ok(()),
            };
            match accepted {
                Ok((client, _)) => {
                    let this = self.clone();
                    tokio::spawn(async move {
                        this.receive(client).await;
                        drop(place);
                    });
                }
                // The client gave up in the queue, or descriptors are scarce for the moment.
                Err(error) => {
                    tracing::debug!(%error, "accepting at a door of the lab");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    async fn receive(&self, client: TcpStream) {
        let count = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        count(&self.counts.accepted);
        // Subscribed before the choice is made: a target given up meanwhile is heard of.
        let hang_up = self.hang_up.subscribe();
        for target in (self.targets)() {
            match self.connect(target).await {
                Ok(server) => {
                    count(&self.counts.relayed);
                    count(&self.counts.open);
                    relay(client, server, target, hang_up).await;
                    self.counts.open.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                Err(error) => {
                    count(&self.counts.passed_over);
                    tracing::debug!(%target, %error, "a target of the lab's door was passed over");
                }
            }
        }
        count(&self.counts.turned_away);
    }

    async fn connect(&self, target: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = self
            .bench
            .socket(Place::Client, Domain::for_address(target), Type::STREAM)
            .map_err(std::io::Error::other)?;
        self.bench.settle(&socket, Place::Client, target)?;
        socket.set_nonblocking(true)?;
        let connecting = TcpSocket::from_std_stream(socket.into()).connect(target);
        match tokio::time::timeout(CONNECT_PATIENCE, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Passes bytes both ways until both sides are done, one fails, or the target is hung up on.
async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    target: SocketAddr,
    mut hang_up: broadcast::Receiver<SocketAddr>,
) {
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let given_up = async {
        loop {
            match hang_up.recv().await {
                Ok(given_up) if given_up != target => {}
                // Too many at once to know which: better one connection too many ended than one left hanging.
                Ok(_) | Err(_) => return,
            }
        }
    };
    tokio::select! {
        // An error here is the end of the connection, which the client sees for itself.
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        () = given_up => {}
    }
}

//! A new connection every few milliseconds, each with a question by HTTP and an outcome of its own.

mod connection;
mod trace;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use super::cold::{Forgetting, Neighbourhood};
use super::pace::Pace;
use super::running::{MAX_TRIES, Probing, Shared};
use crate::error::LabError;
use crate::running::{Bench, Lab};
use crate::sockets::Place;
use connection::Connection;
pub use trace::{Answer, Loss, Outcome, TcpTrace, Try};

/// Most connections under way at once.
const MAX_UNDER_WAY: usize = 2048;

/// Sockets kept ready. The hub makes them, and may be busy for a moment with a cable.
const STOCK: usize = 128;

/// Sockets made by one order.
const BATCH: usize = 16;

/// Open files wanted: three seconds of lost connections of several probes.
const WANTED_FILES: u64 = 16_384;

/// Longest path in bytes.
const MAX_PATH: usize = 1024;

/// What to probe, and how.
#[derive(Clone, Debug)]
pub struct TcpProbe {
    /// Where the client is.
    pub from: Place,
    /// Whom it asks.
    pub to: SocketAddr,
    /// How often, 1 ms to 1 s. Default 5 ms.
    pub every: Duration,
    /// How long a connection may take before it is given up as timed out, at most 60 s. Default 3 s, as a lost first packet
    /// is sent again after one second, and then after two more.
    pub patience: Duration,
    /// An answer that took longer than this is late; half a second tells what was sent twice. Default 500 ms.
    pub late: Duration,
    /// How long it waits with its request once the connection stands, less than the patience: to the servers that is what a client
    /// far away looks like. Default not at all.
    pub hesitation: Duration,
    /// What is asked for. Default `/`.
    pub path: String,
    /// The header that names the machine. Without it the first line of the body does. Default `x-served-by`.
    pub named_by: String,
    /// Whether the client knows where the address is. Default [`Neighbourhood::Warm`].
    pub neighbourhood: Neighbourhood,
}

impl TcpProbe {
    /// A probe with all defaults.
    #[must_use]
    pub fn new(from: Place, to: SocketAddr) -> Self {
        Self {
            from,
            to,
            every: Duration::from_millis(5),
            patience: Duration::from_secs(3),
            late: Duration::from_millis(500),
            hesitation: Duration::ZERO,
            path: "/".to_owned(),
            named_by: "x-served-by".to_owned(),
            neighbourhood: Neighbourhood::Warm,
        }
    }

    /// The same with a client that is cold before each connection, by the neighbour table of this place.
    #[must_use]
    pub fn cold(mut self, table: Place) -> Self {
        self.neighbourhood = Neighbourhood::Cold(table);
        self
    }

    /// Starts it.
    ///
    /// Connections under way need open files, six hundred for three seconds without an answer: the caller's limit is raised
    /// as far as it may be.
    ///
    /// # Errors
    /// When something is out of bounds, on a lab without cables for a cold client, or when the lab has ended.
    pub fn start(self, lab: &Lab) -> Result<Probing<TcpTrace>, LabError> {
        let bad = |what, value: String, remedy| Err(LabError::Config { what, value, remedy });
        if self.patience > Duration::from_secs(60) || self.patience < self.late {
            let value = format!("{:?}", self.patience);
            return bad(
                "the patience of a probe",
                value,
                "choose up to 60 s, and not less than late",
            );
        }
        if self.hesitation >= self.patience {
            let value = format!("{:?}", self.hesitation);
            return bad("the hesitation of a probe", value, "choose less than its patience");
        }
        let plain = self.path.len() <= MAX_PATH && self.path.bytes().all(|b| b.is_ascii_graphic());
        if !plain || !self.path.starts_with('/') {
            return bad(
                "the path of a probe",
                format!("{:?}", self.path),
                "begin it with / and leave out blanks",
            );
        }
        let pace = Pace::new(Instant::now(), self.every)?;
        let cold = match self.neighbourhood {
            Neighbourhood::Warm => None,
            Neighbourhood::Cold(place) => Some(Forgetting::new(lab, place, self.to.ip())?),
        };
        raise_limit();
        let stock = keep_stock(lab.bench(), self.from, Domain::for_address(self.to))?;
        let name = format!("probe of {}", self.to);
        let trace = TcpTrace::new(self.late);
        let request =
            format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.path, self.to);
        let request = request.into_bytes();
        let prober = Prober { probe: self, request, pace, cold, stock, under_way: Vec::new() };
        Probing::start(&name, trace, move |shared| prober.run(shared))
    }
}

/// Keeps sockets of one place ready, until nobody takes any.
fn keep_stock(
    bench: &Arc<Bench>,
    place: Place,
    domain: Domain,
) -> Result<Receiver<Socket>, LabError> {
    // The first ones here, so that trouble is told to whoever starts the probe.
    let first = bench.sockets(place, (domain, Type::STREAM, None), BATCH)?;
    let (fill, stock) = sync_channel(STOCK);
    for socket in first {
        // There is room for more than one batch.
        drop(fill.try_send(socket));
    }
    // A probe does not keep a lab alive.
    let bench = Arc::downgrade(bench);
    std::thread::Builder::new()
        .name("sockets of a probe".to_owned())
        .spawn(move || refill(&bench, place, domain, &fill))
        .map_err(LabError::io("a thread for a probe"))?;
    Ok(stock)
}

fn refill(bench: &Weak<Bench>, place: Place, domain: Domain, fill: &SyncSender<Socket>) {
    while let Some(bench) = bench.upgrade() {
        let Ok(sockets) = bench.sockets(place, (domain, Type::STREAM, None), BATCH) else { return };
        drop(bench);
        for socket in sockets {
            if fill.send(socket).is_err() {
                return;
            }
        }
    }
}

/// Raises the limit of open files as far as it may be; where it may not, connections without a socket are counted.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(WANTED_FILES, |most| most.min(WANTED_FILES));
    if limit.current.is_some_and(|current| current < most) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
    }
}

/// The thread's own.
struct Prober {
    probe: TcpProbe,
    request: Vec<u8>,
    pace: Pace,
    cold: Option<Forgetting>,
    stock: Receiver<Socket>,
    under_way: Vec<Connection>,
}

impl Prober {
    fn run(mut self, shared: &Shared<TcpTrace>) {
        let mut made = 0;
        loop {
            let going_on = !shared.is_to_stop() && made < MAX_TRIES;
            if !going_on && self.under_way.is_empty() {
                return;
            }
            let now = Instant::now();
            if going_on && self.pace.take(now) {
                made += 1;
                self.start_one(now, shared);
            }
            self.wait(going_on);
            self.go_on(shared);
        }
    }

    fn start_one(&mut self, now: Instant, shared: &Shared<TcpTrace>) {
        let missed = self.pace.missed();
        let still_known = self.cold.as_mut().is_some_and(|cold| cold.forget().is_err());
        shared.with(|trace| {
            trace.missed = missed;
            trace.not_cold += u64::from(still_known);
        });
        let started = if self.under_way.len() >= MAX_UNDER_WAY {
            Err(format!("{MAX_UNDER_WAY} are under way"))
        } else {
            self.stock.try_recv().map_err(|_| "no socket was ready".to_owned())
        };
        let outcome = match started {
            Ok(socket) => {
                match Connection::start(socket, self.probe.to, now, self.probe.hesitation) {
                    Ok(connection) => {
                        self.under_way.push(connection);
                        return;
                    }
                    Err(loss) => loss,
                }
            }
            Err(why) => Loss::NotTried(why),
        };
        let outcome = Outcome::Lost(outcome);
        shared.with(|trace| {
            trace.add(Try { started: now, connected: None, ended: Instant::now(), outcome });
        });
    }

    /// Waits until something happens to a connection, one has to be given up, or the next is due.
    fn wait(&self, going_on: bool) {
        let oldest = self.under_way.first().map(|oldest| oldest.started() + self.probe.patience);
        let next = going_on.then(|| self.pace.due());
        let due = self.under_way.iter().filter_map(Connection::due);
        let Some(until) = oldest.into_iter().chain(next).chain(due).min() else { return };
        let left = until.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let waiting = self.under_way.iter().map(|connection| {
            let flags = if connection.is_reading() { PollFlags::IN } else { PollFlags::OUT };
            PollFd::from_borrowed_fd(connection.as_fd(), flags)
        });
        let mut waiting: Vec<_> = waiting.collect();
        // An interruption is as good as an event: everything is looked at anyway.
        let _ = poll(&mut waiting, Some(&timeout));
    }

    /// Lets every connection go as far as it can.
    fn go_on(&mut self, shared: &Shared<TcpTrace>) {
        let (request, named_by, patience) =
            (&self.request, &self.probe.named_by, self.probe.patience);
        let now = Instant::now();
        self.under_way.retain_mut(|connection| {
            let ended = connection.go_on(request, named_by, now, patience);
            if let Some(outcome) = ended {
                let (started, connected) = (connection.started(), connection.connected());
                shared.with(|trace| {
                    trace.add(Try { started, connected, ended: now, outcome });
                });
                return false;
            }
            true
        });
    }
}

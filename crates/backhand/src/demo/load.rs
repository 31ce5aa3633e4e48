//! The demonstration's client: what a browser would do, at a steady rate, and what it saw.
//!
//! Requests are due at fixed moments (open loop), so a pause of the cluster is seen by every request that was due in it.
//! A client keeps its connection, enters the cluster at any machine, and on a connection error tries the next address, as
//! browsers do; each such attempt is counted. All requests are `GET`, so all may be repeated while no byte of the response has come.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::exchange::{Broken, exchange};

/// How long a client waits for a connection, and for each part of a response, before it tries another address.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests of one visit: on one connection, entering at one machine.
const VISIT: u32 = 10;

/// Opens a connection from where the client stands.
pub(crate) type Connect =
    Arc<dyn Fn(SocketAddr, Duration) -> std::io::Result<TcpStream> + Send + Sync>;

/// How one request ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// From the moment it was due to the last byte, or to giving up.
    pub(crate) took: Duration,
    /// Attempts at further addresses beyond the first.
    pub(crate) further_attempts: u32,
    pub(crate) outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole response, and the machine that it says served it.
    Served { by: String },
    /// An answer that is no success.
    Status(u16),
    /// The response began and broke off. A browser would show half a page.
    CutShort,
    /// No address gave an answer: the request is lost.
    Lost(String),
}

/// The running load.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    ended: Receiver<Ended>,
}

impl Load {
    /// Starts `rate` requests per second over all `entries`, asking for `paths` in turn.
    pub(crate) fn start(
        entries: Vec<SocketAddr>,
        paths: Vec<String>,
        rate: u32,
        connect: Connect,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (to, ended) = channel();
        let clients = (rate / 4).clamp(4, 64);
        let schedule = Arc::new(Schedule {
            start: Instant::now(),
            gap: Duration::from_secs(1) / rate.max(1),
            due: AtomicU64::new(0),
        });
        let paths = Arc::new(paths);
        let threads = (0..clients)
            .map(|n| {
                let client = Client {
                    asked: 0,
                    entries: entries.clone(),
                    at: n as usize % entries.len().max(1),
                    kept: None,
                    connect: connect.clone(),
                };
                let (stop, schedule, paths, to) =
                    (stop.clone(), schedule.clone(), paths.clone(), to.clone());
                std::thread::Builder::new()
                    .name(format!("client {n}"))
                    .spawn(move || client.run(&stop, &schedule, &paths, &to))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { stop, threads, ended })
    }

    /// The next request that ended, waiting for it at most so long.
    pub(crate) fn next(&self, patience: Duration) -> Option<Ended> {
        self.ended.recv_timeout(patience).ok()
    }

    /// Lets requests in progress end, starts no more, and returns what was not yet read.
    pub(crate) fn finish(self) -> Vec<Ended> {
        self.stop.store(true, Relaxed);
        for thread in self.threads {
            // A client that panicked has said so on standard error; its requests are missing from the count.
            let _ = thread.join();
        }
        self.ended.try_iter().collect()
    }
}

struct Schedule {
    start: Instant,
    gap: Duration,
    due: AtomicU64,
}

impl Schedule {
    fn next(&self) -> (u64, Instant) {
        let n = self.due.fetch_add(1, Relaxed);
        (n, self.start + self.gap.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX)))
    }
}

struct Client {
    /// Requests on the present visit.
    asked: u32,
    entries: Vec<SocketAddr>,
    at: usize,
    kept: Option<TcpStream>,
    connect: Connect,
}

impl Client {
    fn run(mut self, stop: &AtomicBool, schedule: &Schedule, paths: &[String], to: &Sender<Ended>) {
        while !stop.load(Relaxed) {
            let (n, due) = schedule.next();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.load(Relaxed) {
                return;
            }
            let path = paths.get(n as usize % paths.len().max(1)).map_or("/", String::as_str);
            let (outcome, further_attempts) = self.request(path);
            if to.send(Ended { took: due.elapsed(), further_attempts, outcome }).is_err() {
                return;
            }
        }
    }

    /// One request, at the present address or, while nothing of a response came, at each further one.
    fn request(&mut self, path: &str) -> (Outcome, u32) {
        self.asked += 1;
        if self.asked > VISIT {
            // The next visitor gets the next address, as round-robin DNS would have it.
            (self.asked, self.kept, self.at) = (1, None, (self.at + 1) % self.entries.len().max(1));
        }
        let mut why = String::from("there is no address to enter at");
        for attempt in 0..=self.entries.len() as u32 {
            match self.attempt(path) {
                Ok(response) if response.status / 100 == 2 => {
                    return (Outcome::Served { by: response.served_by }, attempt);
                }
                Ok(response) => return (Outcome::Status(response.status), attempt),
                Err(Broken::AfterFirstByte) => {
                    self.kept = None;
                    return (Outcome::CutShort, attempt);
                }
                Err(Broken::BeforeFirstByte(error)) => {
                    why = format!("{}: {error}", self.entries[self.at]);
                    self.kept = None;
                    self.at = (self.at + 1) % self.entries.len();
                }
            }
        }
        (Outcome::Lost(why), self.entries.len() as u32)
    }

    fn attempt(&mut self, path: &str) -> Result<super::exchange::Response, Broken> {
        let entry = *self
            .entries
            .get(self.at)
            .ok_or_else(|| Broken::BeforeFirstByte(std::io::ErrorKind::NotFound.into()))?;
        let mut stream = match self.kept.take() {
            Some(stream) => stream,
            None => self.open(entry).map_err(Broken::BeforeFirstByte)?,
        };
        let response = exchange(&mut stream, entry, path)?;
        if response.keep {
            self.kept = Some(stream);
        }
        Ok(response)
    }

    fn open(&self, entry: SocketAddr) -> std::io::Result<TcpStream> {
        let stream = (self.connect)(entry, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

//! The load: open loop, from the plan, with its own lateness measured.
//!
//! Every request is sent when it is due, whether earlier ones have ended or not, and its time counts from when it was due: a slow
//! balancer cannot hide by slowing the load down. If the load itself is late, the run is void.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::{Lab, Place};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::arrivals::Arrival;

/// A request that takes longer has missed its deadline and counts as an error of this length.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// What one run saw.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Time of each request from when it was due, at most [`DEADLINE`], in seconds.
    pub(crate) seconds: Vec<f64>,
    /// Requests without an answer 200 in time.
    pub(crate) errors: usize,
    /// How late each request was sent, in seconds.
    pub(crate) lateness: Vec<f64>,
    /// From the first due moment to the last.
    pub(crate) span: f64,
}

impl Outcome {
    /// Takes in what a later run of the same cell saw.
    pub(crate) fn join(&mut self, later: Self) {
        self.seconds.extend(later.seconds);
        self.errors += later.errors;
        self.lateness.extend(later.lateness);
        self.span += later.span;
    }
}

/// Sockets made ahead: making one is a question to another process, which must not hold the load up.
const SOCKETS_AHEAD: usize = 128;
/// Niceness of the thread that is the load: the clients are other machines, which wait for nobody's processor here.
const NICENESS: i32 = -15;

/// Where requests go, and the connections that wait for the next.
struct Client {
    entries: Vec<SocketAddr>,
    idle: RefCell<Vec<Vec<TcpStream>>>,
    sockets: Receiver<Socket>,
}

/// Sends the whole plan to `entries` and waits for the last answer or deadline.
pub(crate) fn run(lab: &Arc<Lab>, entries: &[SocketAddr], plan: &[Arrival]) -> Result<Outcome> {
    let (stock, sockets) = sync_channel(SOCKETS_AHEAD);
    let client = Client {
        entries: entries.to_vec(),
        idle: RefCell::new(entries.iter().map(|_| Vec::new()).collect()),
        sockets,
    };
    std::thread::scope(|scope| {
        // Ends with an error on either side: the lab's, which the client then misses, or the client's farewell.
        scope.spawn(|| {
            let stock = stock;
            while let Ok(socket) = lab.socket(Place::Client, Domain::IPV4, Type::STREAM)
                && stock.send(socket).is_ok()
            {}
        });
        scope.spawn(move || send(client, plan)).join().expect("the load does not panic")
    })
}

fn send(client: Client, plan: &[Arrival]) -> Result<Outcome> {
    // Of this thread only; 0 is the caller.
    rustix::process::setpriority_process(None, NICENESS).context("the load cannot go first")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let client = Rc::new(client);
    let local = tokio::task::LocalSet::new();
    let start = Instant::now() + Duration::from_millis(100);
    local.block_on(&runtime, async {
        let mut tasks = Vec::with_capacity(plan.len());
        for &arrival in plan {
            let due = start + arrival.at;
            tokio::time::sleep_until(due.into()).await;
            outcome.borrow_mut().lateness.push(due.elapsed().as_secs_f64());
            let (outcome, client) = (outcome.clone(), client.clone());
            tasks.push(tokio::task::spawn_local(async move {
                let left = DEADLINE.saturating_sub(due.elapsed());
                let result = tokio::time::timeout(left, client.request(arrival)).await;
                let mut outcome = outcome.borrow_mut();
                outcome.seconds.push(due.elapsed().min(DEADLINE).as_secs_f64());
                outcome.errors += usize::from(!matches!(result, Ok(Ok(200))));
            }));
        }
        for task in tasks {
            task.await.context("a client of the load failed")?;
        }
        anyhow::Ok(())
    })?;
    let mut outcome = Rc::try_unwrap(outcome)
        .map_err(|_| anyhow::anyhow!("a client is still running"))?
        .into_inner();
    outcome.span = plan.last().map_or(0.0, |a| a.at.as_secs_f64());
    Ok(outcome)
}

impl Client {
    /// One request, to its last byte; the status of the answer.
    async fn request(&self, arrival: Arrival) -> Result<u16> {
        let index = arrival.entry % self.entries.len();
        let kept = self.idle.borrow_mut()[index].pop();
        let mut stream = match kept {
            Some(stream) => stream,
            None => self.connect(self.entries[index]).await?,
        };
        let request = format!("GET /work?us={} HTTP/1.1\r\nHost: bench\r\n\r\n", arrival.micros);
        stream.write_all(request.as_bytes()).await?;
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let n = stream.read(&mut piece).await?;
            anyhow::ensure!(n > 0, "closed before the answer was whole");
            bytes.extend_from_slice(&piece[..n]);
            let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length:"))
                .and_then(|l| l.trim().parse::<usize>().ok());
            if bytes.len() < end + 4 + length.context("an answer without length")? {
                continue;
            }
            if !head.contains("connection: close") {
                self.idle.borrow_mut()[index].push(stream);
            }
            return Ok(head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0));
        }
    }

    async fn connect(&self, entry: SocketAddr) -> Result<TcpStream> {
        let socket = self.sockets.recv().context("the lab makes no more sockets")?;
        socket.set_nonblocking(true)?;
        let stream = TcpSocket::from_std_stream(socket.into()).connect(entry).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

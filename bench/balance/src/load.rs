//! The load: open loop, from the plan, with its own lateness measured.
//!
//! Every request is sent when it is due, whether earlier ones have ended or not, and its time counts from when it was due: a slow
//! balancer cannot hide by slowing the load down. If the load itself is late, the run is void.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::Lab;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

type Idle = Rc<RefCell<Vec<Vec<TcpStream>>>>;

/// Sends the whole plan to `entries` and waits for the last answer or deadline.
pub(crate) fn run(lab: &Arc<Lab>, entries: &[SocketAddr], plan: &[Arrival]) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let idle: Idle = Rc::new(RefCell::new(entries.iter().map(|_| Vec::new()).collect()));
    let local = tokio::task::LocalSet::new();
    let start = Instant::now() + Duration::from_millis(100);
    local.block_on(&runtime, async {
        let mut tasks = Vec::with_capacity(plan.len());
        for arrival in plan {
            let due = start + arrival.at;
            tokio::time::sleep_until(due.into()).await;
            outcome.borrow_mut().lateness.push(due.elapsed().as_secs_f64());
            let (lab, outcome, idle) = (lab.clone(), outcome.clone(), idle.clone());
            let (entry, micros, index) = (
                entries[arrival.entry % entries.len()],
                arrival.micros,
                arrival.entry % entries.len(),
            );
            tasks.push(tokio::task::spawn_local(async move {
                let left = DEADLINE.saturating_sub(due.elapsed());
                let result =
                    tokio::time::timeout(left, request(&lab, &idle, index, entry, micros)).await;
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

async fn request(
    lab: &Arc<Lab>,
    idle: &Idle,
    index: usize,
    entry: SocketAddr,
    micros: u32,
) -> Result<u16> {
    let kept = idle.borrow_mut()[index].pop();
    let mut stream = match kept {
        Some(stream) => stream,
        None => {
            let stream = lab.connect(entry, DEADLINE)?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            TcpStream::from_std(stream)?
        }
    };
    stream
        .write_all(format!("GET /work?us={micros} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())
        .await?;
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
            idle.borrow_mut()[index].push(stream);
        }
        return Ok(head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0));
    }
}

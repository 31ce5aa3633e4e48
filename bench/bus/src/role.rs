//! What a process of the load does: this binary, started again in a machine of the lab.
//!
//! Its orders are one argument, its answer is lines of JSON on standard output.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::clock::{self, SECOND};
use crate::session::{self, Bus, Event, Joined, Load, Session, Window};

/// How long a daemon may take until it accepts sessions, in nanoseconds.
const PATIENCE: u64 = 30 * SECOND;
/// Pings before those that are measured.
const WARM: usize = 200;
/// The first byte of a ping, and of its answer.
const PING: u8 = 1;
const PONG: u8 = 2;

/// What to do, with which bus, where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) bus: Bus,
    pub(crate) group: String,
    /// The processor to stay on, if any.
    pub(crate) core: Option<usize>,
    pub(crate) role: Role,
}

/// What to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Sends as fast as the bus takes it; with a window it is a receiver as well.
    Send(Load, Option<Window>),
    /// Counts.
    Receive(Window),
    /// Measures how long it takes until its own message comes back, or the answer of an [`Role::Echo`].
    Ping { size: usize, safe: bool, count: usize, pause_micros: u64, echo: bool },
    /// Answers pings.
    Echo { size: usize, safe: bool },
    /// Tells of each view; when its daemon is gone, it waits for the next.
    Watch,
}

/// The answer of senders and receivers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) messages: u64,
}

/// The answer of a ping, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Pinged {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A view that was seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Nanoseconds of [`clock`].
    pub(crate) at: u64,
    pub(crate) members: usize,
}

/// Carries out orders.
pub(crate) fn run(order: &str) -> Result<()> {
    let order: Order = serde_json::from_str(order).context("no orders")?;
    if let Some(core) = order.core {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set)?;
    }
    let join = |member| session::join(order.bus, &order.group, member, PATIENCE);
    match order.role {
        Role::Send(load, window) => {
            let messages = join(false)?.session.flood(load, window)?;
            say(&Counted { messages })
        }
        Role::Receive(window) => {
            let mut session = join(true)?.session;
            anyhow::ensure!(clock::now() < window.from, "joined too late: the machine is too slow");
            say(&Counted { messages: session.count(window)? })
        }
        Role::Ping { size, safe, count, pause_micros, echo } => {
            let pause = Duration::from_micros(pause_micros);
            let wanted = if echo { PONG } else { PING };
            let Joined { mut session, mut members } = join(true)?;
            // The other side has to be there before it is asked.
            while echo && members < 2 {
                if let Event::View(now) = session.next()? {
                    members = now;
                }
            }
            say(&ping(&mut *session, &body(PING, size), safe, count, pause, wanted)?)
        }
        Role::Echo { size, safe } => {
            let mut session = join(true)?.session;
            let answer = body(PONG, size);
            loop {
                if session.next()? == Event::Message(PING) {
                    session.send(safe, &answer)?;
                }
            }
        }
        Role::Watch => loop {
            let Joined { mut session, members } = join(true)?;
            say(&Seen { at: clock::now(), members })?;
            while let Ok(event) = session.next() {
                if let Event::View(members) = event {
                    say(&Seen { at: clock::now(), members })?;
                }
            }
        },
    }
}

fn ping(
    session: &mut dyn Session,
    body: &[u8],
    safe: bool,
    count: usize,
    pause: Duration,
    wanted: u8,
) -> Result<Pinged> {
    let mut nanos = Vec::with_capacity(count);
    let warm = if pause.is_zero() { WARM } else { 10 };
    for turn in 0..warm + count {
        let begin = clock::now();
        session.send(safe, body)?;
        while session.next()? != Event::Message(wanted) {}
        if turn >= warm {
            nanos.push(clock::now() - begin);
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    nanos.sort_unstable();
    let micros = |share: f64| nanos[(nanos.len() as f64 * share) as usize] as f64 / 1e3;
    Ok(Pinged { p50: micros(0.5), p99: micros(0.99) })
}

fn body(first: u8, size: usize) -> Vec<u8> {
    let mut body = vec![0; size.max(1)];
    body[0] = first;
    body
}

fn say(answer: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    Ok(std::io::stdout().write_all(&line)?)
}

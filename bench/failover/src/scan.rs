//! The client of many addresses, as a process in its place of the lab: it connects to each again and again.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::many::boottime_nanos;
use crate::server::PORT;

/// Few addresses are each tried so often: it says how fine the figures are.
const EVERY: Duration = Duration::from_millis(50);
/// Many are tried so far apart, and each less often: more connections than that, and they are what is measured.
const APART: Duration = Duration::from_micros(200);
/// The first connection to each has more time: a thousand neighbours have to be asked for.
const FIRST: Duration = Duration::from_secs(2);
/// How long is tried.
const LENGTH: Duration = Duration::from_secs(30);
/// How the machine that takes over says its name.
const TAKER: &[u8] = b"X-Served-By: m2";
/// Longest wait for anything to happen, in nanoseconds.
const BEAT: i64 = 2_000_000;
/// Files that are open besides the connections.
const OTHER_FILES: u64 = 64;

/// What it is told to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) from: IpAddr,
    pub(crate) addresses: Vec<IpAddr>,
}

/// What it has seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// When each address was first served by the taker, in nanoseconds of CLOCK_BOOTTIME.
    pub(crate) served: Vec<Option<u64>>,
}

/// One address and the connection to it.
struct Target {
    to: SocketAddr,
    /// When it is begun, or begun anew.
    due: Instant,
    socket: Option<Socket>,
    asked: bool,
    answer: Vec<u8>,
    served: Option<u64>,
}

/// Sees all addresses once and says so; then finds out when each is served by the other machine.
pub(crate) fn run(order: &str) -> Result<()> {
    let order: Order = serde_json::from_str(order)?;
    let limit = getrlimit(Resource::Nofile);
    let wanted = order.addresses.len() as u64 + OTHER_FILES;
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), ..limit };
        setrlimit(Resource::Nofile, raised).context("too few open files are allowed")?;
    }
    let never = seek(&order, FIRST, |_| true)?.iter().filter(|served| served.is_none()).count();
    if never > 0 {
        bail!("{never} of {} addresses were not served in {LENGTH:?}", order.addresses.len());
    }
    println!("warm");
    let served = seek(&order, EVERY, |answer| has(answer, TAKER))?;
    println!("{}", serde_json::to_string(&Found { served })?);
    Ok(())
}

/// When each address gave the first answer that is good. A connection that has none after `every`, or after everybody else's turn,
/// is begun anew.
fn seek(order: &Order, every: Duration, good: fn(&[u8]) -> bool) -> Result<Vec<Option<u64>>> {
    let start = Instant::now();
    let round = APART * u32::try_from(order.addresses.len())?;
    let every = every.max(round);
    let new = |(turn, ip): (u32, &IpAddr)| Target {
        to: (*ip, PORT).into(),
        due: start + APART * turn,
        socket: None,
        asked: false,
        answer: Vec::new(),
        served: None,
    };
    let mut targets: Vec<Target> = (0..).zip(&order.addresses).map(new).collect();
    let end = start + LENGTH;
    while Instant::now() < end && targets.iter().any(|target| target.served.is_none()) {
        for target in targets.iter_mut().filter(|target| target.served.is_none()) {
            let now = Instant::now();
            if now >= target.due {
                target.begin(order.from)?;
                target.due = now + every;
            }
        }
        wait(&targets);
        for target in &mut targets {
            target.go_on(good);
        }
    }
    Ok(targets.into_iter().map(|target| target.served).collect())
}

fn wait(targets: &[Target]) {
    let waiting = targets.iter().filter_map(|target| {
        let flags = if target.asked { PollFlags::IN } else { PollFlags::OUT };
        target.socket.as_ref().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), flags))
    });
    let mut waiting: Vec<_> = waiting.collect();
    // An interruption is as good as an event.
    let _ = poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: BEAT }));
}

impl Target {
    /// Gives up what there was and connects anew.
    fn begin(&mut self, from: IpAddr) -> Result<()> {
        self.asked = false;
        self.answer.clear();
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        // What cannot be begun now is begun again.
        let _ = socket.connect(&self.to.into());
        self.socket = Some(socket);
        Ok(())
    }

    fn go_on(&mut self, good: fn(&[u8]) -> bool) {
        let Some(socket) = &mut self.socket else { return };
        if !self.asked {
            match socket.write(b"GET / HTTP/1.1\r\nHost: many\r\n\r\n") {
                Ok(_) => self.asked = true,
                Err(error) if is_later(&error) => return,
                Err(_) => self.socket = None,
            }
            return;
        }
        let mut some = [0; 512];
        match socket.read(&mut some) {
            Ok(length) if length > 0 => {
                self.answer.extend_from_slice(&some[..length]);
                if has(&self.answer, b"\r\n\r\n") {
                    self.served = good(&self.answer).then(boottime_nanos);
                    self.socket = None;
                }
            }
            Err(error) if is_later(&error) => {}
            _ => self.socket = None,
        }
    }
}

fn is_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

fn has(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|part| part == what)
}

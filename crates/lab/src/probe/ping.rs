//! Whether anybody answers at an address: echo requests (RFC 792, and RFC 4443 for IPv6).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::owner::internet_checksum;
use super::pace::Pace;
use super::running::{MAX_TRIES, Probing, Shared, Span, longest_pause};
use crate::error::LabError;
use crate::running::{Lab, readable};
use crate::sockets::Place;

/// How long the last one waits for its answer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How far back an answer is looked for: numbers repeat beyond.
const MOST_BACK: usize = 1 << 15;

/// Length of the header of ICMP, in bytes.
const HEADER: usize = 8;

/// Whom to ping, and from where.
#[derive(Clone, Debug)]
pub struct PingProbe {
    /// From where.
    pub from: Place,
    /// Whom.
    pub to: IpAddr,
    /// How often, 1 ms to 1 s. Default 5 ms.
    pub every: Duration,
}

impl PingProbe {
    /// A probe with all defaults.
    #[must_use]
    pub fn new(from: Place, to: IpAddr) -> Self {
        Self { from, to, every: Duration::from_millis(5) }
    }

    /// Starts it.
    ///
    /// # Errors
    /// When `every` is out of bounds, when the kernel gives no raw socket, or when the lab has ended.
    pub fn start(self, lab: &Lab) -> Result<Probing<PingTrace>, LabError> {
        let pace = Pace::new(Instant::now(), self.every)?;
        let (domain, protocol) = match self.to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let sockets = lab.bench().sockets(self.from, (domain, Type::RAW, Some(protocol)), 1)?;
        let socket = sockets.into_iter().next().ok_or(LabError::Ended)?;
        let what = format!("a socket for pinging {}", self.to);
        socket.connect(&SocketAddr::new(self.to, 0).into()).map_err(LabError::io(&*what))?;
        socket.set_nonblocking(true).map_err(LabError::io(what))?;
        // Raw sockets hear everybody's answers: by this each knows its own.
        let mark = std::os::fd::AsRawFd::as_raw_fd(&socket) as u16 ^ std::process::id() as u16;
        let pinging = Pinging { socket, v4: self.to.is_ipv4(), mark, pace };
        let name = format!("ping of {}", self.to);
        Probing::start(&name, PingTrace::default(), move |shared| pinging.run(shared))
    }
}

/// One echo request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// When it was sent.
    pub sent: Instant,
    /// When the first answer came.
    pub answered: Option<Instant>,
}

/// All echo requests of a probe.
#[derive(Clone, Debug, Default)]
pub struct PingTrace {
    pings: Vec<Ping>,
    /// Those that the probe has missed because it did not get a processor in time.
    pub missed: u64,
    /// Answers to what was answered already.
    pub repeated: u64,
}

impl PingTrace {
    /// All of them, in order.
    #[must_use]
    pub fn pings(&self) -> &[Ping] {
        &self.pings
    }

    /// How many were not answered.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.pings.iter().filter(|ping| ping.answered.is_none()).count()
    }

    /// The longest time between two that were answered; the first and the last of all count as bounds.
    #[must_use]
    pub fn longest_pause(&self) -> Option<Span> {
        longest_pause(self.pings.iter().map(|ping| (ping.sent, ping.answered.is_some())))
    }

    /// An answer to the last one sent with this number.
    fn answered(&mut self, number: u16, at: Instant) {
        let last = self.pings.len();
        let back = last.wrapping_sub(1).wrapping_sub(number.into()) & 0xffff;
        let Some(ping) = last.checked_sub(back + 1).and_then(|at| self.pings.get_mut(at)) else {
            return;
        };
        match ping.answered {
            None if back < MOST_BACK => ping.answered = Some(at),
            _ => self.repeated += 1,
        }
    }
}

/// The thread's own.
struct Pinging {
    socket: Socket,
    v4: bool,
    mark: u16,
    pace: Pace,
}

impl Pinging {
    fn run(mut self, shared: &Shared<PingTrace>) {
        let mut sent = 0;
        while !shared.is_to_stop() && sent < MAX_TRIES {
            let now = Instant::now();
            if self.pace.take(now) {
                let missed = self.pace.missed();
                shared.with(|trace| {
                    trace.pings.push(Ping { sent: now, answered: None });
                    trace.missed = missed;
                });
                // What cannot be sent is not answered.
                let _ = self.socket.send(&request(self.v4, self.mark, sent as u16));
                sent += 1;
            }
            self.listen(self.pace.due(), shared);
        }
        if shared.with(|trace| trace.lost() > 0) {
            self.listen(Instant::now() + LAST_WORDS, shared);
        }
    }

    fn listen(&self, until: Instant, shared: &Shared<PingTrace>) {
        let mut packet = [0; 2048];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !readable(self.socket.as_fd(), left) {
                return;
            }
            // An error is what routers say of earlier ones: those stay without an answer.
            let Ok(length) = rustix::io::read(&self.socket, &mut packet) else { continue };
            let at = Instant::now();
            if let Some(number) = answer(self.v4, self.mark, &packet[..length]) {
                shared.with(|trace| trace.answered(number, at));
            }
        }
    }
}

/// An echo request; for IPv6 the kernel fills in the checksum.
fn request(v4: bool, mark: u16, number: u16) -> [u8; HEADER] {
    let ([a, b], [c, d]) = (mark.to_be_bytes(), number.to_be_bytes());
    let mut message = [if v4 { 8 } else { 128 }, 0, 0, 0, a, b, c, d];
    if v4 {
        let sum = internet_checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
    message
}

/// The number of the request that a packet answers. For IPv4 the packet comes with its own header.
fn answer(v4: bool, mark: u16, packet: &[u8]) -> Option<u16> {
    let message = if v4 { packet.get(usize::from(packet.first()? & 0xf) * 4..)? } else { packet };
    let [kind, 0, _, _, a, b, c, d, ..] = *message else { return None };
    let fits = kind == if v4 { 0 } else { 129 } && u16::from_be_bytes([a, b]) == mark;
    fits.then_some(u16::from_be_bytes([c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_finds_its_request_also_when_numbers_have_wrapped() {
        let zero = Instant::now();
        let mut trace = PingTrace::default();
        let pings = 0..65_540;
        trace.pings = pings.map(|_| Ping { sent: zero, answered: None }).collect();
        trace.answered(1, zero);
        trace.answered(65_535, zero);
        trace.answered(1, zero);
        let found: Vec<_> = (0..65_540).filter(|i| trace.pings[*i].answered.is_some()).collect();
        assert_eq!((found, trace.repeated), (vec![65_535, 65_537], 1));
        PingTrace::default().answered(3, zero);
    }

    #[test]
    fn only_answers_to_our_own_count() {
        let mut reply = [0x45; 20].to_vec();
        reply.extend([0, 0, 0, 0, 0x12, 0x34, 0, 7]);
        assert_eq!(answer(true, 0x1234, &reply), Some(7));
        assert_eq!(answer(true, 0x1235, &reply), None);
        assert_eq!(answer(false, 0x1234, &[129, 0, 0, 0, 0x12, 0x34, 0, 7]), Some(7));
        assert_eq!(answer(true, 0x1234, &request(true, 0x1234, 7)), None);
        assert_eq!(internet_checksum(&request(true, 0x1234, 7)), 0);
        assert_eq!(answer(true, 1, &[]), None);
    }
}

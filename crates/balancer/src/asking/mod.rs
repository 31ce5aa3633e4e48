//! Questions before a decision and probes after it, over UDP sockets of the worker's own.
//!
//! What is asked is remembered in a ring of fixed size: an answer that comes after its place was taken again
//! is as good as lost. A round of questions ends when all have answered or its deadline has come, which a
//! timerfd tells: the runtime's own clock rounds to milliseconds, and a deadline is a fraction of one.
//!
//! Not here: whether to ask, whom, and what the answers mean (`candidacy::asking`), and the answering
//! (`resources`).

mod round;
mod timer;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::task::Poll;

use announce::exchange::{Asker, Probe, Question, tag};
use announce::reception::Refused;
use base::Instant;
use candidacy::Slot;
use crypto::{Ring, random};
use seal::Speaker;
use seal::challenge::Nonce;
use tokio::net::UdpSocket;

use crate::worker::Worker;
use round::Asked;
use timer::Timer;

/// Questions that may be open at one time. A power of two.
const OPEN: usize = 4096;
/// The longest datagram that could be an answer.
const DATAGRAM: usize = 512;

/// What one worker needs for asking.
pub(crate) struct Desk {
    four: Option<UdpSocket>,
    six: Option<UdpSocket>,
    timer: Option<Timer>,
    state: RefCell<State>,
}

struct State {
    asker: Asker<Ring>,
    /// Random for each start, so that nobody outside can name a question of ours.
    prefix: [u8; 8],
    next: u64,
    open: Vec<Option<Open>>,
    datagram: Vec<u8>,
}

/// A question whose answer has not come.
struct Open {
    number: u64,
    slot: Slot,
    epoch: u32,
    whom: Speaker,
    at: Instant,
    /// The round it belongs to; none for a probe that nobody waits for.
    round: Option<Rc<Asked>>,
}

impl Desk {
    /// Opens the sockets; `None` if there is nobody or no way to ask. Has to be called inside of the runtime.
    pub(crate) fn open(resources: &resources::Handle) -> Option<Self> {
        let mut prefix = [0; 8];
        random(&mut prefix);
        let state = State {
            asker: resources.asker()?,
            prefix,
            next: 0,
            open: (0..OPEN).map(|_| None).collect(),
            datagram: Vec::new(),
        };
        let [four, six] = places(resources.config());
        let desk = Self {
            four: four.and_then(|ip| socket((ip, 0).into()).ok()),
            six: six.and_then(|ip| socket((ip, 0).into()).ok()),
            timer: Timer::new().ok(),
            state: RefCell::new(state),
        };
        (desk.four.is_some() || desk.six.is_some()).then_some(desk)
    }

    fn send(&self, to: SocketAddr, datagram: &[u8]) -> bool {
        let socket = if to.is_ipv4() { &self.four } else { &self.six };
        // A full socket buffer or an unreachable machine: the question is lost, as on the wire.
        socket.as_ref().is_some_and(|s| s.try_send_to(datagram, to).is_ok())
    }
}

/// The addresses to ask from, IPv4 and IPv6: those that this machine announces from.
fn places(config: &resources::Config) -> [Option<IpAddr>; 2] {
    match config.address {
        _ if config.protection.is_alone() => [None, None],
        Some(ip) if ip.is_ipv4() => [Some(ip), None],
        Some(ip) => [None, Some(ip)],
        None if config.protection.is_loopback() => {
            [Some(Ipv4Addr::LOCALHOST.into()), Some(Ipv6Addr::LOCALHOST.into())]
        }
        None => [Some(Ipv4Addr::UNSPECIFIED.into()), Some(Ipv6Addr::UNSPECIFIED.into())],
    }
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

impl Worker {
    /// Whether questions can be asked, and their deadlines be kept.
    pub(crate) fn can_ask(&self) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.timer.is_some())
    }

    /// Sends one probe whose answer nobody waits for.
    pub(crate) fn probe(&self, slot: Slot, now: Instant) {
        if self.question(slot, None, None, now) {
            self.stats.counters.probes.bump();
        }
    }

    /// Sends a question, or a mere probe, to the machine in this row.
    fn question(
        &self,
        slot: Slot,
        question: Option<Question>,
        round: Option<Rc<Asked>>,
        now: Instant,
    ) -> bool {
        let Some(desk) = &self.desk else { return false };
        let snapshot = self.snapshot();
        let Some(machine) = snapshot.machine(slot) else { return false };
        let Some(to) = machine.exchange else { return false };
        let mut state = desk.state.borrow_mut();
        let state = &mut *state;
        let number = state.next;
        state.next = number.wrapping_add(1);
        let nonce = nonce(state.prefix, number);
        let whom = Speaker { machine: machine.id, boot: machine.boot };
        state.asker.seal(&Probe { nonce, whom: tag(&whom), question }, &mut state.datagram);
        let place = number as usize & (OPEN - 1);
        let open = Open { number, slot, epoch: machine.epoch, whom, at: now, round };
        state.open[place] = Some(open);
        desk.send(to, &state.datagram)
    }

    /// Takes one datagram that arrived.
    fn answered(&self, desk: &Desk, datagram: &mut [u8]) {
        let now = self.now();
        let taken = {
            let mut state = desk.state.borrow_mut();
            let state = &mut *state;
            let (speaker, answer) = match state.asker.open(now, datagram) {
                Ok(opened) => opened,
                Err(why) => return self.shared.resources.count_refused(why.into()),
            };
            let (prefix, number) = answer.nonce.split_at(8);
            let number = number.first_chunk().map_or(0, |n| u64::from_be_bytes(*n));
            let place = &mut state.open[number as usize & (OPEN - 1)];
            let fits = |open: &mut Open| {
                prefix == state.prefix && open.number == number && open.whom == speaker
            };
            place.take_if(fits).map(|open| (open, answer))
        };
        let Some((open, answer)) = taken else {
            return self.shared.resources.count_refused(Refused::Unasked);
        };
        self.stats.counters.answers.bump();
        let took = now.since(open.at);
        let hot = &self.shared.resources.matrix().hot;
        hot.hear(open.slot, open.epoch, answer.report, now);
        hot.observe_hop(open.slot, took);
        self.deciding.borrow_mut().answer_times.observe(took);
        if let Some(asked) = open.round {
            asked.answer(open.slot, answer.reservation);
        }
    }
}

fn nonce(prefix: [u8; 8], number: u64) -> Nonce {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&prefix);
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// Takes answers for as long as the worker lives.
pub(crate) async fn listen(w: Rc<Worker>) {
    let Some(desk) = &w.desk else { return };
    let mut datagram = [0; DATAGRAM];
    loop {
        poll_fn(|cx| {
            let sockets = [&desk.four, &desk.six];
            let ready =
                |s: &UdpSocket, cx: &mut std::task::Context<'_>| s.poll_recv_ready(cx).is_ready();
            // Both are polled, so that both know whom to wake.
            let any = sockets.into_iter().flatten().fold(false, |any, s| ready(s, cx) | any);
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        for socket in [&desk.four, &desk.six].into_iter().flatten() {
            // An error is a message about an earlier datagram; the next one is worth looking at.
            while let Ok(n) = socket.try_recv(&mut datagram) {
                w.answered(desk, &mut datagram[..n]);
            }
        }
    }
}

/// Wakes the rounds whose deadline has come, for as long as the worker lives.
pub(crate) async fn keep_time(w: Rc<Worker>) {
    if let Some(timer) = w.desk.as_ref().and_then(|desk| desk.timer.as_ref()) {
        timer.run(|| w.now()).await;
    }
}

#[cfg(test)]
mod tests {
    use resources::config::{Config, Measure, Protection};

    use super::*;

    #[test]
    fn questions_leave_from_the_address_of_the_announcements_and_from_nowhere_when_alone() {
        let mut config =
            Config::check(&Default::default(), &Default::default(), &Measure::default()).unwrap();
        assert_eq!(places(&config), [None, None]);
        config.protection = Protection::Insecure;
        assert!(places(&config).iter().flatten().all(IpAddr::is_unspecified));
        config.address = Some(Ipv4Addr::new(10, 0, 0, 7).into());
        assert_eq!(places(&config), [config.address, None]);
        config.address = Some(Ipv6Addr::LOCALHOST.into());
        assert_eq!(places(&config), [None, config.address]);
    }
}

//! The thread that answers probes and questions, and does nothing else.
//!
//! Others wait for its answers to decide, so it never measures, resolves or logs more than a line a
//! minute. It reads what it says from atomics.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use announce::answerer::{Answerer, State, Unanswered};
use announce::reception::Refused;
use announce::reservations::Granter;
use base::Seldom;
use candidacy::Report;
use seal::Speaker;
use tracing::warn;

use super::wait::wait;
use crate::handle::Shared;
use crate::net::pair::Pair;
use crate::net::socket::Udp;
use crate::stats::count;
use crypto::Ring;

/// The channel of the exchange on which this thread seals.
const CHANNEL: u16 = 2;
/// Askers remembered: threads of machines, and each may have many.
const ASKERS: usize = 16 * 1024;
/// Datagrams taken from one socket before the other has its turn.
const TURN: usize = 64;

/// Answers until told to stop.
pub(crate) fn run(shared: &Arc<Shared>, sockets: &Pair, granter: Granter) {
    let accept = shared.config.accept.clone();
    let mut answerer =
        Answerer::new(&Ring, &shared.key, shared.me, CHANNEL, accept, ASKERS, granter);
    let (mut buffer, mut out) = (vec![0; seal::MAX_DATAGRAM + 1], Vec::new());
    let mut sending = Seldom::default();
    while !shared.stopping.load(SeqCst) {
        let mut fds = vec![shared.end.as_fd()];
        fds.extend(sockets.each().map(AsFd::as_fd));
        wait(&fds, None);
        for udp in sockets.each() {
            for _ in 0..TURN {
                // An error here is the echo of an earlier answer that found its asker gone.
                let Ok(Some((length, from))) = udp.receive(&mut buffer) else { break };
                let Some(datagram) = buffer.get_mut(..length) else { break };
                let now = shared.setup.clock.now();
                match answerer.handle_datagram(now, from, datagram, &**shared, &mut out) {
                    Ok(promised) => {
                        if promised {
                            count(&shared.counters.reservations_granted);
                        }
                        answer(shared, udp, &out, from, &mut sending);
                    }
                    Err(why) => refuse(shared, &why),
                }
            }
        }
    }
}

fn answer(shared: &Shared, udp: &Udp, out: &[u8], to: std::net::SocketAddr, sending: &mut Seldom) {
    match udp.send(out, to) {
        Ok(()) => count(&shared.counters.answered),
        Err(error) => {
            if let Some(held) = sending.pass(shared.setup.clock.now()) {
                warn!(%to, %error, held, "an answer cannot be sent; the asker will decide without it");
            }
        }
    }
}

fn refuse(shared: &Shared, why: &Unanswered) {
    shared.counters.refuse(match why {
        Unanswered::Blocked { .. } => Refused::Blocked,
        Unanswered::Unreadable(_) => Refused::Malformed,
        Unanswered::OtherBoot => Refused::Replayed,
        Unanswered::Refused(refusal) => (*refusal).into(),
    });
}

impl State for Shared {
    fn report(&self, promised: u32) -> Report {
        self.matrix.hot.report_here(promised)
    }

    fn service_micros(&self, route: u32) -> u32 {
        self.served.load().service_micros(route)
    }

    fn is_admitted(&self, speaker: &Speaker) -> bool {
        let snapshot = self.matrix.slow.load();
        let row = snapshot.find(speaker.machine).and_then(|slot| snapshot.machine(slot));
        row.is_some_and(|machine| machine.boot == speaker.boot)
    }
}

//! The thread that answers probes, without its socket.
//!
//! One datagram in, at most one out, of the same length. Whoever holds the key gets an answer, since
//! that is how an unknown machine proves us alive; a place is promised only to machines that the caller
//! knows. Probes cost a decryption and a sealing, forged ones what [`seal::Opener`] lets them cost.
//!
//! Not here: what the machine is doing (comes in by [`State`]), waiting for answers (see
//! [`crate::exchange::Asker`]).

use alloc::vec::Vec;
use core::net::SocketAddr;

use base::{AddrBlocks, Instant};
use candidacy::Report;
use seal::{ClusterKey, Opener, Purpose, Refusal, Sealer, Speaker, Suite};

use crate::exchange::{Answer, Probe, Question, Unreadable, promise, tag};
use crate::reservations::Granter;

/// What the answerer must know of this machine at each probe.
pub trait State {
    /// A new report, with `promised` added to the requests in flight (see `Hot::report_here`).
    fn report(&self, promised: u32) -> Report;
    /// Typical service time of the route with this key, in microseconds; 0 = not known.
    fn service_micros(&self, route: u32) -> u32;
    /// Whether this boot of this machine is admitted here.
    fn is_admitted(&self, speaker: &Speaker) -> bool;
}

/// Why a datagram got no answer. It changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// From an address outside the accepted blocks.
    #[error("a probe from {from}, which is in no accepted block")]
    Blocked {
        /// Where it came from.
        from: SocketAddr,
    },
    /// It was not opened.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was opened and is no probe.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It was for another boot of this machine: a recording, or overtaken by a restart.
    #[error("a probe for another boot of this machine")]
    OtherBoot,
}

/// Answers probes. See the module's text.
pub struct Answerer<S: Suite> {
    accept: AddrBlocks,
    /// What probes call this boot.
    me: u64,
    opener: Opener<S>,
    sealer: Sealer<S>,
    granter: Granter,
}

impl<S: Suite> Answerer<S> {
    /// The answerer of this machine. `channel` is its thread's own; `capacity` bounds the remembered
    /// askers (one per asking thread of every machine).
    pub fn new(
        suite: &S,
        key: &ClusterKey,
        me: Speaker,
        channel: u16,
        accept: AddrBlocks,
        capacity: usize,
        granter: Granter,
    ) -> Self {
        Self {
            accept,
            me: tag(&me),
            opener: Opener::new(suite, key, Purpose::Exchange, capacity),
            sealer: Sealer::new(suite, key, Purpose::Exchange, me, channel),
            granter,
        }
    }

    /// Answers one datagram: the answer's datagram replaces what was in `out`, to be sent to `from`. Returns whether
    /// it promises a place.
    ///
    /// # Errors
    /// [`Unanswered`], to be counted.
    pub fn handle_datagram<T: State + ?Sized>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &mut [u8],
        state: &T,
        out: &mut Vec<u8>,
    ) -> Result<bool, Unanswered> {
        if !self.accept.contains(from.ip()) {
            return Err(Unanswered::Blocked { from });
        }
        let opened = self.opener.open_from(now, from.ip(), datagram)?;
        let (speaker, probe) = (opened.header.speaker, Probe::decode(opened.text)?);
        if probe.whom != self.me {
            return Err(Unanswered::OtherBoot);
        }
        let answer = self.answer(now, &speaker, &probe, state);
        self.sealer.seal(&answer.encode(), out);
        Ok(answer.reservation != 0)
    }

    fn answer<T: State + ?Sized>(
        &mut self,
        now: Instant,
        speaker: &Speaker,
        probe: &Probe,
        state: &T,
    ) -> Answer {
        self.granter.expire(now);
        // The report comes first: a promise made in this answer is not load the asker should fear.
        let report = state.report(self.granter.expected());
        let route = probe.question.map_or(0, |question| question.route);
        Answer {
            nonce: probe.nonce,
            report,
            reservation: self.reserve(now, speaker, probe.question, report, state),
            route_service_micros: if probe.question.is_some() {
                state.service_micros(route)
            } else {
                0
            },
        }
    }

    /// A machine that takes nothing new promises nothing.
    fn reserve<T: State + ?Sized>(
        &mut self,
        now: Instant,
        speaker: &Speaker,
        question: Option<Question>,
        report: Report,
        state: &T,
    ) -> u32 {
        question
            .filter(|q| q.reserve && report.flags.is_none() && state.is_admitted(speaker))
            .and_then(|q| self.granter.grant(now, *speaker, promise(q.deadline_micros)))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Asker;
    use crate::reservations::{PER_ASKER, Reservations};
    use crate::test_suite::{Ring, key, speaker};
    use alloc::sync::Arc;
    use candidacy::Flags;
    use core::cell::Cell;
    use core::time::Duration;

    const NOW: Instant = Instant::from_millis(10);

    struct Machine {
        sequence: Cell<u32>,
        flags: Flags,
    }

    impl State for Machine {
        fn report(&self, promised: u32) -> Report {
            self.sequence.set(self.sequence.get() + 1);
            let in_flight = 3 + promised as u16;
            Report { sequence: self.sequence.get(), in_flight, flags: self.flags, pressure: 9 }
        }
        fn service_micros(&self, route: u32) -> u32 {
            if route == 77 { 1500 } else { 0 }
        }
        fn is_admitted(&self, who: &Speaker) -> bool {
            *who == speaker(1, 1)
        }
    }

    fn machine(flags: Flags) -> Machine {
        Machine { sequence: Cell::new(0), flags }
    }

    fn answerer() -> (Answerer<Ring>, Arc<Reservations>) {
        let (hooks, granter) = Reservations::new();
        let accept = AddrBlocks([("10.0.0.0/8").parse().unwrap()].into());
        (Answerer::new(&Ring, &key(), speaker(9, 9), 1, accept, 64, granter), hooks)
    }

    fn asker(machine: u8) -> Asker<Ring> {
        Asker::new(&Ring, &key(), speaker(machine, 1), 2, 64)
    }

    fn question(reserve: bool) -> Probe {
        let question = Question { route: 77, reserve, deadline_micros: 1000 };
        Probe { nonce: [5; 16], whom: tag(&speaker(9, 9)), question: Some(question) }
    }

    fn ask(
        answerer: &mut Answerer<Ring>,
        asker: &mut Asker<Ring>,
        now: Instant,
        probe: &Probe,
        state: &Machine,
    ) -> Answer {
        let (mut datagram, mut out) = (Vec::new(), Vec::new());
        asker.seal(probe, &mut datagram);
        let from = "10.0.0.1:5000".parse().unwrap();
        answerer.handle_datagram(now, from, &mut datagram, state, &mut out).unwrap();
        assert!(out.len() <= datagram.len(), "an answer longer than its probe");
        let (who, answer) = asker.open(now, &mut out).unwrap();
        assert_eq!((who, answer.nonce), (speaker(9, 9), probe.nonce));
        answer
    }

    #[test]
    fn a_question_gets_state_service_time_and_a_promise() {
        let ((mut answerer, hooks), mut asker) = (answerer(), asker(1));
        let state = machine(Flags::NONE);
        let first = ask(&mut answerer, &mut asker, NOW, &question(true), &state);
        assert_eq!((first.report.in_flight, first.route_service_micros), (3, 1500));
        let second = ask(&mut answerer, &mut asker, NOW, &question(true), &state);
        assert_eq!(second.report.in_flight, 4, "the first promise counts in the second answer");
        assert!(second.report.is_newer_than(&first.report));
        assert!(hooks.consume(first.reservation) && hooks.consume(second.reservation));
        ask(&mut answerer, &mut asker, NOW, &question(true), &state);
        let later = NOW + Duration::from_millis(2);
        let third = ask(&mut answerer, &mut asker, later, &question(false), &state);
        assert_eq!((third.report.in_flight, third.reservation), (3, 0), "two deadlines later");
    }

    #[test]
    fn a_question_to_another_boot_is_not_answered() {
        let ((mut answerer, hooks), mut asker) = (answerer(), asker(1));
        let recorded = Probe { whom: tag(&speaker(9, 8)), ..question(true) };
        let (mut datagram, mut out) = (Vec::new(), Vec::new());
        asker.seal(&recorded, &mut datagram);
        let from = "10.0.0.1:5000".parse().unwrap();
        let state = machine(Flags::NONE);
        let answered = answerer.handle_datagram(NOW, from, &mut datagram, &state, &mut out);
        assert_eq!((answered, hooks.held()), (Err(Unanswered::OtherBoot), 0));
    }

    #[test]
    fn a_machine_not_admitted_is_answered_and_promised_nothing() {
        let ((mut answerer, hooks), mut stranger) = (answerer(), asker(2));
        let answer = ask(&mut answerer, &mut stranger, NOW, &question(true), &machine(Flags::NONE));
        assert_eq!((answer.reservation, hooks.held()), (0, 0));
    }

    #[test]
    fn a_machine_that_takes_nothing_new_promises_nothing() {
        for flags in [Flags::DRAINING, Flags::UNHEALTHY, Flags::OVER_LIMIT] {
            let ((mut answerer, hooks), mut asker) = (answerer(), asker(1));
            let answer = ask(&mut answerer, &mut asker, NOW, &question(true), &machine(flags));
            assert_eq!((answer.reservation, hooks.held()), (0, 0));
        }
    }

    #[test]
    fn promises_to_one_asker_are_bounded() {
        let ((mut answerer, hooks), mut asker) = (answerer(), asker(1));
        let state = machine(Flags::NONE);
        for _ in 0..3 * PER_ASKER {
            ask(&mut answerer, &mut asker, NOW, &question(true), &state);
        }
        assert_eq!(hooks.held(), PER_ASKER);
    }

    #[test]
    fn what_is_no_probe_of_ours_gets_no_answer() {
        let ((mut answerer, hooks), mut asker) = (answerer(), asker(1));
        let state = machine(Flags::NONE);
        let (mut datagram, mut out) = (Vec::new(), Vec::new());
        asker.seal(&question(true), &mut datagram);
        let mut handle = |from: &str, mut bytes: Vec<u8>| {
            answerer.handle_datagram(NOW, from.parse().unwrap(), &mut bytes, &state, &mut out)
        };
        let from = "192.0.2.1:5000";
        let blocked = Unanswered::Blocked { from: from.parse().unwrap() };
        assert_eq!(handle(from, datagram.clone()), Err(blocked));
        let from = "10.0.0.1:5000";
        let mut forged = datagram.clone();
        forged[60] ^= 1;
        assert_eq!(handle(from, forged), Err(Refusal::Forged.into()));
        assert_eq!(handle(from, datagram.clone()), Ok(true), "a place was asked for and promised");
        assert_eq!(handle(from, datagram), Err(Refusal::Replayed.into()));
        let mut sealer = Sealer::new(&Ring, &key(), Purpose::Exchange, speaker(1, 1), 8);
        let mut short = Vec::new();
        sealer.seal(b"?", &mut short);
        assert_eq!(handle(from, short), Err(Unreadable::Length { length: 1 }.into()));
        assert_eq!((hooks.held(), state.sequence.get()), (1, 1));
    }
}

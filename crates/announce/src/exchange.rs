//! Probe and answer: one pair of messages for everything that is asked by UDP.
//!
//! ```text
//! probe   0 version  1 kind = 1  2 bits (1 question, 2 reserve)  3 zero    4 nonce [16]
//!        20 route u32   24 deadline in µs u32   28 first half of the boot asked [8]   36 bytes
//! answer  0 version  1 kind = 2  2 zero [2]                                4 nonce [16]
//!        20 report [8]  28 reservation u32 (0 = none)  32 route service time in µs u32   36 bytes
//! ```
//!
//! Sealed with purpose *exchange*. An answer is as long as its probe, so nobody can use us to multiply
//! traffic. Longer messages come from later versions; what follows the known bytes is not read.
//!
//! The nonce comes from the operating system. Returned under the answerer's own key it proves that this
//! boot lives now; that is all admission and liveness need.
//!
//! A probe names the boot that it is for: a recording is worth nothing to the next boot of the same machine, whose
//! replay windows know nothing of it.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use base::Instant;
use candidacy::Report;
use seal::challenge::Nonce;
use seal::{ClusterKey, Opener, Purpose, Refusal, Sealer, Speaker, Suite};

use crate::wire::array;

/// The version written here.
pub const VERSION: u8 = 1;
/// Bytes of a probe and of an answer before sealing.
pub const TEXT_LEN: usize = 36;

const PROBE: u8 = 1;
const ANSWER: u8 = 2;
const QUESTION: u8 = 1;
const RESERVE: u8 = 2;

/// Asks a machine for its present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Comes back in the answer.
    pub nonce: Nonce,
    /// The boot that is asked, as [`tag`] says it.
    pub whom: u64,
    /// What is asked about a route, if more than a sign of life.
    pub question: Option<Question>,
}

/// Asks how a machine would do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Key of the route, as in [`candidacy::RouteFigures`].
    pub route: u32,
    /// Whether the answer shall promise a place.
    pub reserve: bool,
    /// How long the asker waits for answers, in microseconds. A promise lasts twice as long.
    pub deadline_micros: u32,
}

/// A machine's present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The probe's.
    pub nonce: Nonce,
    /// The newest report; what was promised to others counts as in flight.
    pub report: Report,
    /// The promise's id, to be sent with the request; 0 = none.
    pub reservation: u32,
    /// Typical service time of the route asked about, in microseconds; 0 = not known.
    pub route_service_micros: u32,
}

/// The text of a genuine datagram is no probe or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Shorter than any.
    #[error("a message of {length} bytes, where {TEXT_LEN} were expected")]
    Length {
        /// Its bytes.
        length: usize,
    },
    /// Version 0, which nobody writes, or a kind that was not expected here.
    #[error("message kind {kind} of version {version} where it has no meaning")]
    Kind {
        /// Its version.
        version: u8,
        /// Its kind.
        kind: u8,
    },
}

/// What a probe calls a boot: the first half of its name.
pub fn tag(whom: &Speaker) -> u64 {
    (u128::from_be_bytes(whom.boot.0) >> 64) as u64
}

fn head(text: &[u8], kind: u8) -> Result<&[u8; TEXT_LEN], Unreadable> {
    let length = text.len();
    let head = text.first_chunk().ok_or(Unreadable::Length { length })?;
    let (version, found): (u8, u8) = (head[0], head[1]);
    // A later version keeps these bytes' meaning or takes another kind.
    if version == 0 || found != kind {
        return Err(Unreadable::Kind { version, kind: found });
    }
    Ok(head)
}

fn at<const N: usize>(head: &[u8; TEXT_LEN], at: usize) -> [u8; N] {
    array(head, at).unwrap_or([0; N])
}

impl Probe {
    /// The text to be sealed.
    pub fn encode(&self) -> [u8; TEXT_LEN] {
        let mut text = [0; TEXT_LEN];
        (text[0], text[1]) = (VERSION, PROBE);
        text[4..20].copy_from_slice(&self.nonce);
        text[28..36].copy_from_slice(&self.whom.to_be_bytes());
        if let Some(question) = self.question {
            text[2] = QUESTION | if question.reserve { RESERVE } else { 0 };
            text[20..24].copy_from_slice(&question.route.to_be_bytes());
            text[24..28].copy_from_slice(&question.deadline_micros.to_be_bytes());
        }
        text
    }

    /// Reads the text of a sealed probe.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn decode(text: &[u8]) -> Result<Self, Unreadable> {
        let head = head(text, PROBE)?;
        let question = (head[2] & QUESTION != 0).then(|| Question {
            route: u32::from_be_bytes(at(head, 20)),
            reserve: head[2] & RESERVE != 0,
            deadline_micros: u32::from_be_bytes(at(head, 24)),
        });
        Ok(Self { nonce: at(head, 4), whom: u64::from_be_bytes(at(head, 28)), question })
    }
}

impl Answer {
    /// The text to be sealed.
    pub fn encode(&self) -> [u8; TEXT_LEN] {
        let mut text = [0; TEXT_LEN];
        (text[0], text[1]) = (VERSION, ANSWER);
        text[4..20].copy_from_slice(&self.nonce);
        text[20..28].copy_from_slice(&self.report.to_bits().to_be_bytes());
        text[28..32].copy_from_slice(&self.reservation.to_be_bytes());
        text[32..36].copy_from_slice(&self.route_service_micros.to_be_bytes());
        text
    }

    /// Reads the text of a sealed answer.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn decode(text: &[u8]) -> Result<Self, Unreadable> {
        let head = head(text, ANSWER)?;
        Ok(Self {
            nonce: at(head, 4),
            report: Report::from_bits(u64::from_be_bytes(at(head, 20))),
            reservation: u32::from_be_bytes(at(head, 28)),
            route_service_micros: u32::from_be_bytes(at(head, 32)),
        })
    }
}

/// Why a datagram at an asker's socket was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It was not opened.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was opened and cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// One thread that asks: its channel, and what its socket receives.
///
/// It matches no answers to probes; the caller compares speaker and nonce with what it asked.
pub struct Asker<S: Suite> {
    sealer: Sealer<S>,
    opener: Opener<S>,
}

impl<S: Suite> Asker<S> {
    /// The asker of `channel` of this machine, remembering up to `capacity` answerers.
    pub fn new(suite: &S, key: &ClusterKey, me: Speaker, channel: u16, capacity: usize) -> Self {
        Self {
            sealer: Sealer::new(suite, key, Purpose::Exchange, me, channel),
            opener: Opener::new(suite, key, Purpose::Exchange, capacity),
        }
    }

    /// Writes the datagram of a probe into `out`, replacing what was there.
    pub fn seal(&mut self, probe: &Probe, out: &mut Vec<u8>) {
        self.sealer.seal(&probe.encode(), out);
    }

    /// Opens a datagram in place: who answered what.
    ///
    /// # Errors
    /// [`NoAnswer`]; nothing was changed.
    pub fn open(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
    ) -> Result<(Speaker, Answer), NoAnswer> {
        let opened = self.opener.open(now, datagram)?;
        Ok((opened.header.speaker, Answer::decode(opened.text)?))
    }

    /// The same for an answer that came from this address to a socket that strangers know.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_from(
        &mut self,
        now: Instant,
        from: IpAddr,
        datagram: &mut [u8],
    ) -> Result<(Speaker, Answer), NoAnswer> {
        let opened = self.opener.open_from(now, from, datagram)?;
        Ok((opened.header.speaker, Answer::decode(opened.text)?))
    }
}

/// How long a promise to an asker with this deadline lasts: twice the deadline, at least
/// [`PROMISE_MIN`], at most [`PROMISE_MAX`].
pub fn promise(deadline_micros: u32) -> Duration {
    (Duration::from_micros(deadline_micros.into()) * 2).clamp(PROMISE_MIN, PROMISE_MAX)
}

/// The shortest promise: the request itself needs a moment to travel.
pub const PROMISE_MIN: Duration = Duration::from_micros(200);
/// The longest promise: an asker cannot hold places for long.
pub const PROMISE_MAX: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_probe()(nonce: Nonce, whom: u64, question: Option<(u32, bool, u32)>) -> Probe {
            let question = question.map(|(route, reserve, deadline_micros)| Question { route, reserve, deadline_micros });
            Probe { nonce, whom, question }
        }
    }

    proptest! {
        #[test]
        fn a_probe_survives_its_bytes(probe in any_probe(), more: Vec<u8>) {
            let mut text = probe.encode().to_vec();
            text.extend(more);
            prop_assert_eq!(Probe::decode(&text), Ok(probe));
            prop_assert!(Answer::decode(&text).is_err());
        }

        #[test]
        fn an_answer_survives_its_bytes(
            nonce: Nonce, report: u64, reservation: u32, route_service_micros: u32, more: Vec<u8>,
        ) {
            let report = Report::from_bits(report);
            let answer = Answer { nonce, report, reservation, route_service_micros };
            let mut text = answer.encode().to_vec();
            text.extend(more);
            prop_assert_eq!(Answer::decode(&text), Ok(answer));
            prop_assert!(Probe::decode(&text).is_err());
        }

        #[test]
        fn what_is_cut_is_refused(probe in any_probe(), length in 0..TEXT_LEN) {
            let text = &probe.encode()[..length];
            prop_assert_eq!(Probe::decode(text), Err(Unreadable::Length { length }));
            prop_assert_eq!(Answer::decode(text), Err(Unreadable::Length { length }));
        }

        #[test]
        fn noise_never_panics(noise: Vec<u8>) {
            let _ = (Probe::decode(&noise), Answer::decode(&noise));
        }
    }

    #[test]
    fn version_zero_and_other_kinds_mean_nothing() {
        let mut text = Probe { nonce: [1; 16], whom: 0, question: None }.encode();
        text[1] = 3;
        assert_eq!(Probe::decode(&text), Err(Unreadable::Kind { version: 1, kind: 3 }));
        (text[0], text[1]) = (0, PROBE);
        assert_eq!(Probe::decode(&text), Err(Unreadable::Kind { version: 0, kind: PROBE }));
    }

    #[test]
    fn a_promise_lasts_two_deadlines_within_bounds() {
        assert_eq!(promise(1000), Duration::from_millis(2));
        assert_eq!(promise(0), PROMISE_MIN);
        assert_eq!(promise(u32::MAX), PROMISE_MAX);
    }
}

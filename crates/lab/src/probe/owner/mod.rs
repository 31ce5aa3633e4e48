//! Who on the wire says to have an address: ARP for IPv4, neighbour solicitation for IPv6.

mod frames;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::pace::Pace;
use super::running::{MAX_TRIES, Probing, Shared, Span, longest_pause};
use crate::chore::Mac;
use crate::error::LabError;
use crate::running::{Lab, readable};
use crate::sockets::Place;
use frames::Asker;
pub(super) use frames::internet_checksum;

/// How long the last question waits for answers.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Most answers kept of one question.
const MAX_ANSWERS: usize = 16;

/// Longest frame looked at, in bytes; what is longer is no answer.
const MAX_FRAME: usize = 2048;

/// What to ask for, and from where.
#[derive(Clone, Debug)]
pub struct OwnerProbe {
    /// Where the question is asked. Its kernel hears the answers, too.
    pub from: Place,
    /// On which interface.
    pub interface: String,
    /// Whose hardware address is asked for.
    pub address: IpAddr,
    /// How often, 1 ms to 1 s. Default 5 ms.
    pub every: Duration,
}

impl OwnerProbe {
    /// A probe with all defaults, on the first interface of a host.
    #[must_use]
    pub fn new(from: Place, address: IpAddr) -> Self {
        Self { from, interface: "eth0".to_owned(), address, every: Duration::from_millis(5) }
    }

    /// Starts it.
    ///
    /// # Errors
    /// When `every` is out of bounds, when the place has no such interface or no address there of the same family, on a
    /// lab without cables, or when the lab has ended.
    pub fn start(self, lab: &Lab) -> Result<Probing<OwnerTrace>, LabError> {
        let pace = Pace::new(Instant::now(), self.every)?;
        let bad = |what, remedy| {
            let value = self.interface.clone();
            LabError::Config { what, value, remedy }
        };
        let links = lab.links(self.from)?;
        let link = links.iter().find(|link| link.name == self.interface);
        let link =
            link.ok_or_else(|| bad("the interface of a probe", "the place has none called so"))?;
        let mac = link.mac.ok_or_else(|| bad("the interface of a probe", "choose an Ethernet"))?;
        let held = lab.addresses(self.from)?;
        let mut held = held.iter().filter(|held| {
            held.interface == self.interface && held.address.is_ipv4() == self.address.is_ipv4()
        });
        let own =
            held.next().ok_or_else(|| bad("the interface of a probe", "give it an address"))?;
        let asker = Asker { mac, address: own.address, target: self.address };
        let (Some(question), kind) = (asker.question(), asker.ether_type()) else {
            return Err(bad("the interface of a probe", "its address is of another family"));
        };
        let socket = lab.wire(self.from, &self.interface, kind)?;
        let name = format!("owner of {}", self.address);
        let asking = Asking { socket, question, asker, pace };
        let trace = OwnerTrace { questions: Vec::new(), missed: 0, strays: 0 };
        Probing::start(&name, trace, move |shared| asking.run(shared))
    }
}

/// One question and who has answered until the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// When it was asked.
    pub asked: Instant,
    /// When who answered. One may answer twice.
    pub answers: Vec<(Instant, Mac)>,
}

impl Question {
    /// Who has answered.
    #[must_use]
    pub fn owners(&self) -> BTreeSet<Mac> {
        self.answers.iter().map(|(_, mac)| *mac).collect()
    }
}

/// All questions of a probe.
///
/// An answer belongs to the last question before it: one that is slower than the time between two counts for the next.
#[derive(Clone, Debug)]
pub struct OwnerTrace {
    questions: Vec<Question>,
    /// Questions that the probe has missed because it did not get a processor in time.
    pub missed: u64,
    /// Answers beyond what is kept of one question, and those before the first.
    pub strays: u64,
}

impl OwnerTrace {
    /// All questions, in order.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Who owns the address from when on: one entry for each change, and an empty set for nobody.
    #[must_use]
    pub fn owners(&self) -> Vec<(Instant, BTreeSet<Mac>)> {
        let mut changes: Vec<(Instant, BTreeSet<Mac>)> = Vec::new();
        for question in &self.questions {
            let owners = question.owners();
            if changes.last().is_none_or(|(_, last)| *last != owners) {
                changes.push((question.asked, owners));
            }
        }
        changes
    }

    /// Everybody who has answered in this time.
    #[must_use]
    pub fn owners_between(&self, from: Instant, until: Instant) -> BTreeSet<Mac> {
        let all = self.questions.iter().flat_map(|question| &question.answers);
        all.filter(|(at, _)| (from..=until).contains(at)).map(|(_, mac)| *mac).collect()
    }

    /// From the first to the last question to which more than one has answered, however many were between: how long
    /// there were two. `None` when there never were.
    #[must_use]
    pub fn doubled(&self) -> Option<Span> {
        let mut doubled = self.questions.iter().filter(|question| question.owners().len() > 1);
        let from = doubled.next()?.asked;
        Some(Span { from, until: doubled.next_back().map_or(from, |last| last.asked) })
    }

    /// The longest time between two questions that were answered; the first and the last question count as bounds.
    #[must_use]
    pub fn longest_silence(&self) -> Option<Span> {
        longest_pause(self.questions.iter().map(|q| (q.asked, !q.answers.is_empty())))
    }

    /// The first time this one has answered, at this instant or later.
    #[must_use]
    pub fn first_answer_of(&self, owner: Mac, from: Instant) -> Option<Instant> {
        let mut all = self.questions.iter().flat_map(|question| &question.answers);
        all.find(|(at, mac)| *mac == owner && *at >= from).map(|(at, _)| *at)
    }

    /// The last time this one has answered.
    #[must_use]
    pub fn last_answer_of(&self, owner: Mac) -> Option<Instant> {
        let all = self.questions.iter().rev().flat_map(|question| question.answers.iter().rev());
        all.filter(|(_, mac)| *mac == owner).map(|(at, _)| *at).next()
    }

    fn answered(&mut self, at: Instant, mac: Mac) {
        match self.questions.last_mut() {
            Some(last) if last.answers.len() < MAX_ANSWERS => last.answers.push((at, mac)),
            _ => self.strays += 1,
        }
    }
}

/// The thread's own.
struct Asking {
    socket: Socket,
    question: Vec<u8>,
    asker: Asker,
    pace: Pace,
}

impl Asking {
    fn run(mut self, shared: &Shared<OwnerTrace>) {
        let mut asked = 0;
        while !shared.is_to_stop() && asked < MAX_TRIES {
            let now = Instant::now();
            if self.pace.take(now) {
                asked += 1;
                let missed = self.pace.missed();
                shared.with(|trace| {
                    trace.questions.push(Question { asked: now, answers: Vec::new() });
                    trace.missed = missed;
                });
                // One that cannot be sent, the cable being cut, is a question without answers.
                let _ = self.socket.send(&self.question);
            }
            self.listen(self.pace.due(), shared);
        }
        self.listen(Instant::now() + LAST_WORDS, shared);
    }

    /// Takes note of all answers until then.
    fn listen(&self, until: Instant, shared: &Shared<OwnerTrace>) {
        let mut frame = [0; MAX_FRAME];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !readable(self.socket.as_fd(), left) {
                return;
            }
            let Ok(length) = rustix::io::read(&self.socket, &mut frame) else { continue };
            let at = Instant::now();
            if let Some(mac) = self.asker.answer(&frame[..length]) {
                shared.with(|trace| trace.answered(at, mac));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_tells_who_had_the_address_and_for_how_long_two_had_it() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let (a, b) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        let mut trace = OwnerTrace { questions: Vec::new(), missed: 0, strays: 0 };
        trace.answered(zero, a);
        for (ms, macs) in
            [(0, vec![a]), (5, vec![a, b, b]), (10, vec![b, a]), (15, vec![]), (20, vec![b])]
        {
            trace.questions.push(Question { asked: at(ms), answers: Vec::new() });
            macs.into_iter().for_each(|mac| trace.answered(at(ms + 1), mac));
        }
        let owners: Vec<_> = trace.owners().into_iter().map(|(_, owners)| owners.len()).collect();
        assert_eq!((owners, trace.strays), (vec![1, 2, 0, 1], 1));
        assert_eq!(trace.doubled(), Some(Span { from: at(5), until: at(10) }));
        assert_eq!(trace.longest_silence(), Some(Span { from: at(10), until: at(20) }));
        assert_eq!(trace.first_answer_of(b, at(7)), Some(at(11)));
        assert_eq!(trace.last_answer_of(a), Some(at(11)));
        assert_eq!(trace.owners_between(at(12), at(30)).into_iter().collect::<Vec<_>>(), [b]);
    }
}

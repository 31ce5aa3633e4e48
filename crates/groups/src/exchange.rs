//! The exchange of states: who has told what, and what waits for its end.
//!
//! When a view brings together daemons that do not have the same table, the first daemon of each synced set sends its table
//! in parts. The exchange is over when the sets that were told make up the view. Since all see the same parts in the same
//! order, it is over at the same message for all of them, and whether that message still belonged to the view is also seen
//! alike by all that go on together.
//!
//! Part: the byte of the kind, the format, the view it is for (16 bytes), the number of the part (4 bytes), 1 if it is the
//! last; the first part then has the places of the set in the view (number and each, 2 bytes); then bytes of the state.
//!
//! A part that breaks a rule is ignored. A state that is whole but not well formed counts as empty, so that one wrong
//! daemon does not keep the others' clients waiting.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use ring::{Daemon, RingId, View};

use crate::group::{Group, Place};
use crate::limits::{PART_BYTES_MAX, STATE_BYTES_PER_DAEMON, WAITING_BYTES_MAX};
use crate::payload::{self, Malformed};
use crate::state;

/// The only format of states so far.
const FORMAT: u8 = 1;
/// Bytes of a part before the set.
const PART_HEAD: usize = 2 + 16 + 4 + 1;

/// What came in the new view and cannot be handled before its tables are one.
#[derive(Clone, Debug)]
pub(crate) enum Waiting {
    /// A message and its sender.
    Message(Daemon, Bytes),
    /// The new view is over already; these go on together.
    Transitional(Arc<[Daemon]>),
}

/// One exchange, for one view.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    view: View,
    mine: Place,
    /// For each place of the view, whether a set has claimed it.
    claimed: Vec<bool>,
    /// For each place of the view, whether its set has told everything.
    told: Vec<bool>,
    /// By the place of the sender.
    telling: Vec<Option<Telling>>,
    pub(crate) waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
}

/// What one set has told so far.
#[derive(Clone, Debug)]
struct Telling {
    set: Vec<Place>,
    next: u32,
    last: bool,
    /// Empty for the set of this daemon, which knows it already, and for one that tells too much.
    bytes: Vec<u8>,
    length: usize,
}

/// Cuts the state of `set` into parts for the view `id`.
pub(crate) fn parts(id: RingId, set: &[Place], state: &[u8]) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut rest = state;
    for number in 0.. {
        let mut part =
            Vec::with_capacity(PART_BYTES_MAX.min(rest.len() + PART_HEAD + 2 * set.len() + 2));
        payload::begin_state(&mut part);
        part.push(FORMAT);
        part.extend_from_slice(&id.counter.to_le_bytes());
        part.extend_from_slice(&id.founder.to_le_bytes());
        part.extend_from_slice(&u32::to_le_bytes(number));
        let last = part.len();
        part.push(0);
        if number == 0 {
            part.extend_from_slice(&(set.len() as u16).to_le_bytes());
            set.iter().for_each(|place| part.extend_from_slice(&place.to_le_bytes()));
        }
        let (now, later) = rest.split_at(rest.len().min(PART_BYTES_MAX - part.len()));
        part.extend_from_slice(now);
        part[last] = u8::from(later.is_empty());
        rest = later;
        parts.push(part.into());
        if rest.is_empty() {
            break;
        }
    }
    parts
}

impl Exchange {
    /// An exchange for `view`, in which this daemon has the place `mine`.
    pub(crate) fn new(view: View, mine: Place) -> Self {
        let count = view.members.len();
        Self {
            view,
            mine,
            claimed: vec![false; count],
            told: vec![false; count],
            telling: vec![None; count],
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Puts a message off until the tables are one. False if there is no room: for a client's message, `regular`, in
    /// half of it.
    pub(crate) fn wait(&mut self, sender: Daemon, message: Bytes, regular: bool) -> bool {
        let bytes = self.waiting_bytes + message.len() + size_of::<Waiting>();
        if bytes > WAITING_BYTES_MAX / if regular { 2 } else { 1 } {
            return false;
        }
        self.waiting_bytes = bytes;
        self.waiting.push_back(Waiting::Message(sender, message));
        true
    }

    /// Takes one part. `Ok(None)` if it was for another view.
    ///
    /// # Errors
    /// It breaks a rule and is ignored.
    pub(crate) fn part(&mut self, sender: Place, message: &[u8]) -> Result<Option<()>, Malformed> {
        let (head, rest) = message.split_at_checked(PART_HEAD).ok_or(Malformed)?;
        let number = |at: usize, length: usize| {
            let bytes = head.iter().skip(at).take(length).rev();
            bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let id = RingId { counter: number(2, 8), founder: number(10, 8) };
        if id != self.view.id {
            return Ok(None);
        }
        let (number, last) = (number(18, 4), head[PART_HEAD - 1] & 1 == 1);
        if head[1] != FORMAT {
            return Err(Malformed);
        }
        let mut rest = rest;
        if number == 0 {
            let set = self.claim(sender, &mut rest)?;
            let telling = Telling { set, next: 0, last: false, bytes: Vec::new(), length: 0 };
            if let Some(slot) = self.telling.get_mut(usize::from(sender)) {
                *slot = Some(telling);
            }
        }
        let mine = self.mine;
        let telling = self.telling.get_mut(usize::from(sender)).and_then(Option::as_mut);
        let telling = telling.filter(|telling| !telling.last).ok_or(Malformed)?;
        if u64::from(telling.next) != number {
            return Err(Malformed);
        }
        telling.next += 1;
        telling.last = last;
        telling.length += rest.len();
        if telling.length > telling.set.len() * STATE_BYTES_PER_DAEMON {
            telling.bytes = Vec::new();
        } else if !telling.set.contains(&mine) {
            telling.bytes.extend_from_slice(rest);
        }
        if last {
            for place in &telling.set {
                self.told[usize::from(*place)] = true;
            }
        }
        Ok(Some(()))
    }

    /// The set for which `sender` speaks: it is its first daemon, all came from the same view, and nobody else has
    /// claimed any of them.
    fn claim(&mut self, sender: Place, rest: &mut &[u8]) -> Result<Vec<Place>, Malformed> {
        let (count, after) = rest.split_first_chunk().ok_or(Malformed)?;
        let length = usize::from(u16::from_le_bytes(*count)) * 2;
        let (set, after) = after.split_at_checked(length).ok_or(Malformed)?;
        *rest = after;
        let set: Vec<Place> =
            set.chunks_exact(2).map(|two| Place::from_le_bytes([two[0], two[1]])).collect();
        let from = self.view.previous.get(usize::from(sender));
        let fits = |place: &Place| {
            let at = usize::from(*place);
            self.claimed.get(at) == Some(&false) && self.view.previous.get(at) == from
        };
        let ordered = set.first() == Some(&sender) && set.is_sorted_by(|a, b| a < b);
        if !ordered || !set.iter().all(fits) {
            return Err(Malformed);
        }
        set.iter().for_each(|place| self.claimed[usize::from(*place)] = true);
        Ok(set)
    }

    /// Whether every daemon of the view has been spoken for.
    pub(crate) fn is_complete(&self) -> bool {
        self.told.iter().all(|told| *told)
    }

    /// The tables of the other sets, and how many of them were not well formed.
    pub(crate) fn states(&mut self) -> (Vec<Vec<Group>>, u64) {
        let mut wrong = 0;
        let mut states = Vec::new();
        for telling in self.telling.iter_mut().filter_map(Option::take) {
            if telling.set.contains(&self.mine) {
                continue;
            }
            match state::decode(&telling.bytes, &telling.set) {
                Ok(groups) => states.push(groups),
                Err(Malformed) => wrong += 1,
            }
        }
        (states, wrong)
    }

    /// The view that the exchange is for.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// This daemon's place in that view.
    pub(crate) fn mine(&self) -> Place {
        self.mine
    }

    /// The first daemons of sets that have not told everything, or daemons of which nobody has spoken.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Daemon> {
        let missing = self.told.iter().zip(self.view.members.iter());
        missing.filter(|(told, _)| !**told).map(|(_, daemon)| daemon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Boot;
    use ring::DaemonName;

    /// Four daemons: the first two and the last two came together.
    fn view() -> View {
        let daemon =
            |name: &[u8]| Daemon { name: DaemonName::new(name).unwrap(), boot: Boot([1; 16]) };
        let ring = |counter| RingId { counter, founder: 7 };
        View {
            id: ring(3),
            members: [b"a", b"b", b"c", b"d"].map(|name| daemon(name)).into(),
            previous: [1, 1, 2, 2].map(ring).into(),
            time: 1,
        }
    }

    fn part(set: &[Place], state: &[u8]) -> Bytes {
        parts(view().id, set, state).remove(0)
    }

    const EMPTY: [u8; 4] = [0; 4];

    #[test]
    fn an_exchange_is_over_when_everybody_was_spoken_for() {
        let mut exchange = Exchange::new(view(), 0);
        assert_eq!(exchange.part(2, &part(&[2, 3], &EMPTY)), Ok(Some(())));
        assert!(!exchange.is_complete());
        let missing: Vec<&str> = exchange.missing().map(|daemon| daemon.name.as_str()).collect();
        assert_eq!(missing, ["a", "b"]);
        assert_eq!(exchange.part(0, &part(&[0, 1], &EMPTY)), Ok(Some(())));
        assert!(exchange.is_complete());
        let (states, wrong) = exchange.states();
        assert_eq!((states.len(), wrong), (1, 0), "our own we know");
    }

    #[test]
    fn nobody_speaks_for_daemons_that_are_not_its_own() {
        let mut exchange = Exchange::new(view(), 0);
        let wrong: [(Place, &[Place]); 6] =
            [(0, &[0, 2]), (1, &[0, 1]), (1, &[1, 0]), (2, &[]), (2, &[2, 2]), (2, &[2, 9])];
        for (sender, set) in wrong {
            assert_eq!(exchange.part(sender, &part(set, &EMPTY)), Err(Malformed), "{set:?}");
        }
        assert_eq!(exchange.part(9, &part(&[9], &EMPTY)), Err(Malformed));
        assert_eq!(exchange.part(0, &part(&[0, 1], &EMPTY)), Ok(Some(())));
        assert_eq!(exchange.part(1, &part(&[1], &EMPTY)), Err(Malformed), "the first has");
    }

    #[test]
    fn parts_come_in_order_and_end_with_the_last() {
        let state = vec![9; 3 * PART_BYTES_MAX];
        let all = parts(view().id, &[2, 3], &state);
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|part| part.len() <= PART_BYTES_MAX));
        let mut exchange = Exchange::new(view(), 0);
        assert_eq!(exchange.part(2, &all[1]), Err(Malformed), "the first is missing");
        assert_eq!(exchange.part(2, &all[0]), Ok(Some(())));
        assert_eq!(exchange.part(2, &all[2]), Err(Malformed), "one is missing");
        assert_eq!(exchange.part(2, &all[0]), Err(Malformed), "twice");
        for part in &all[1..] {
            assert_eq!(exchange.part(2, part), Ok(Some(())));
        }
        let mut more = all[3].to_vec();
        more[PART_HEAD - 5] += 1;
        assert_eq!(exchange.part(2, &more), Err(Malformed), "it was the last");
        assert_eq!(
            exchange.telling[2].as_ref().map(|telling| telling.bytes.len()),
            Some(state.len())
        );
    }

    #[test]
    fn who_tells_too_much_told_nothing() {
        let mut exchange = Exchange::new(view(), 0);
        let all = parts(view().id, &[2], &vec![0; STATE_BYTES_PER_DAEMON + 1]);
        for part in &all {
            assert_eq!(exchange.part(2, part), Ok(Some(())));
            let held = exchange.telling[2].as_ref().map_or(0, |telling| telling.bytes.len());
            assert!(held <= STATE_BYTES_PER_DAEMON);
        }
        assert_eq!(exchange.states().1, 1);
    }

    #[test]
    fn too_much_that_waits_is_dropped_clients_messages_first() {
        let mut exchange = Exchange::new(view(), 0);
        let sender = view().members[1];
        let large = Bytes::from(vec![0; WAITING_BYTES_MAX / 2 - 100]);
        assert!(exchange.wait(sender, large.clone(), true));
        assert!(!exchange.wait(sender, large.clone(), true));
        assert!(exchange.wait(sender, large.clone(), false));
        assert!(!exchange.wait(sender, large, false));
        assert_eq!(exchange.waiting.len(), 2);
    }
}

//! The packets of one ring that may still be needed: by us for delivery, by others for recovery.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::settings::UNSTABLE_MAX;

/// A numbered packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The place of the member that sent it first.
    pub(crate) sender: u8,
    /// Its chunks.
    pub(crate) body: Bytes,
    /// It was sent again from here.
    pub(crate) resent: bool,
}

impl Packet {
    pub(crate) fn new(sender: u8, body: Bytes) -> Self {
        Self { sender, body, resent: false }
    }
}

/// A window over the sequence. Packets are numbered from 1.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Everything up to here was dropped.
    base: u64,
    slots: VecDeque<Option<Packet>>,
    /// Everything up to here is or was here.
    aru: u64,
    /// The highest number known to be used.
    high: u64,
}

impl Store {
    pub(crate) fn aru(&self) -> u64 {
        self.aru
    }

    pub(crate) fn high(&self) -> u64 {
        self.high
    }

    /// Packets held now.
    pub(crate) fn held(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// A packet with this number exists somewhere.
    pub(crate) fn learn(&mut self, seq: u64) {
        self.high = self.high.max(seq);
    }

    /// Takes a packet. `false` if it was here, was dropped, or is further ahead than any honest sender goes.
    pub(crate) fn insert(&mut self, seq: u64, packet: Packet) -> bool {
        // Who numbers a packet knows that all have what is `UNSTABLE_MAX` below it, and no member is told later than one
        // rotation after that, so honest numbers keep both bounds; together they bound what is held.
        let (near, held) = (self.aru + UNSTABLE_MAX, self.base + 2 * UNSTABLE_MAX);
        if seq <= self.aru || seq > near.min(held) {
            return false;
        }
        let at = (seq - self.base - 1) as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        if self.slots[at].is_some() {
            return false;
        }
        self.slots[at] = Some(packet);
        self.learn(seq);
        while self.get(self.aru + 1).is_some() {
            self.aru += 1;
        }
        true
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Packet> {
        let at = seq.checked_sub(self.base + 1)?;
        self.slots.get(usize::try_from(at).ok()?)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut Packet> {
        let at = seq.checked_sub(self.base + 1)?;
        self.slots.get_mut(usize::try_from(at).ok()?)?.as_mut()
    }

    /// Whether the packet is or was here.
    pub(crate) fn has(&self, seq: u64) -> bool {
        seq <= self.aru || self.get(seq).is_some()
    }

    /// Drops everything up to `seq`.
    pub(crate) fn drop_to(&mut self, seq: u64) {
        while self.base < seq.min(self.aru) {
            self.slots.pop_front();
            self.base += 1;
        }
    }

    /// What is here above [`aru`](Self::aru), as (first, count).
    pub(crate) fn above(&self) -> Vec<(u64, u64)> {
        ranges((self.aru + 1..=self.base + self.slots.len() as u64).filter(|&seq| self.has(seq)))
    }

    /// What is not here up to `limit`, as (first, count).
    pub(crate) fn missing(&self, limit: u64) -> Vec<(u64, u64)> {
        let limit = limit.min(self.high).min(self.aru + UNSTABLE_MAX);
        ranges((self.aru + 1..=limit).filter(|&seq| !self.has(seq)))
    }
}

/// Joins ascending numbers to (first, count).
pub(crate) fn ranges(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match out.last_mut() {
            Some((first, count)) if *first + *count == number => *count += 1,
            _ => out.push((number, 1)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        Packet::new(0, Bytes::new())
    }

    #[test]
    fn holes_are_listed_until_they_are_filled() {
        let mut store = Store::default();
        for seq in [1, 2, 5, 6, 9] {
            assert!(store.insert(seq, packet()));
        }
        assert_eq!(store.aru(), 2);
        assert_eq!(store.missing(8), [(3, 2), (7, 2)]);
        assert_eq!(store.above(), [(5, 2), (9, 1)]);
        assert!(store.insert(3, packet()) && store.insert(4, packet()));
        assert_eq!(store.aru(), 6);
        assert!(!store.insert(5, packet()));
    }

    #[test]
    fn what_was_dropped_is_neither_here_nor_missing() {
        let mut store = Store::default();
        (1..=3).for_each(|seq| assert!(store.insert(seq, packet())));
        store.drop_to(2);
        assert_eq!((store.get(2), store.has(2), store.held()), (None, true, 1));
        assert!(store.missing(3).is_empty());
    }

    #[test]
    fn a_number_far_ahead_is_refused() {
        assert!(!Store::default().insert(UNSTABLE_MAX + 1, packet()));
    }
}

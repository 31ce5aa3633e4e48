//! The admitted machines and their rows.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use base::{Instant, MachineId};
use candidacy::Slot;
use seal::Speaker;

use super::event::{Event, Whereabouts};
use super::{OWN_EPOCH, OWN_SLOT};
use crate::packet::Announcement;

/// Announcements that must be missing from where a machine was before it may have moved, in intervals.
const MOVED_AFTER: u32 = 3;

/// An admitted boot.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) speaker: Speaker,
    pub(super) slot: Slot,
    pub(super) epoch: u32,
    pub(super) whereabouts: Whereabouts,
    /// The newest announcement's number.
    pub(super) sequence: u64,
    interval: Duration,
    heard: Instant,
}

impl Member {
    /// Whether an announcement from `from` may mean that the machine is somewhere else now.
    ///
    /// A machine with several interfaces announces from several addresses; while it is still heard from
    /// where it was admitted, that is where it stays.
    pub(super) fn has_moved(&self, now: Instant, from: SocketAddr) -> bool {
        from.ip() != self.whereabouts.from.ip()
            && now.since(self.heard) > self.interval * MOVED_AFTER
    }

    /// Takes note of an announcement that came by another way before.
    pub(super) fn hear_again(&mut self, now: Instant, from: SocketAddr, sequence: u64) {
        if sequence == self.sequence && from.ip() == self.whereabouts.from.ip() {
            self.heard = now;
        }
    }

    /// Takes a newer announcement.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        from: SocketAddr,
        announcement: Announcement,
    ) -> Event {
        self.sequence = announcement.sequence;
        self.interval = announcement.interval();
        if from.ip() == self.whereabouts.from.ip() {
            self.heard = now;
            // Ports may change within a boot; the address was proven.
            if let Some(whereabouts) = Whereabouts::of(&announcement, from) {
                self.whereabouts = whereabouts;
            }
        }
        Event::Heard {
            slot: self.slot,
            epoch: self.epoch,
            announcement: Box::new(self.whereabouts.resolve(announcement)),
            whereabouts: self.whereabouts,
        }
    }
}

/// All members, by machine and by row.
#[derive(Clone, Debug)]
pub(super) struct Members {
    by_machine: BTreeMap<MachineId, Member>,
    rows: Vec<Option<MachineId>>,
    epoch: u32,
}

impl Members {
    /// Room for `capacity` rows, the first of which is this machine's.
    pub(super) fn new(capacity: usize) -> Self {
        Self { by_machine: BTreeMap::new(), rows: alloc::vec![None; capacity], epoch: OWN_EPOCH }
    }

    pub(super) fn len(&self) -> usize {
        self.by_machine.len()
    }

    pub(super) fn of(&self, machine: &MachineId) -> Option<&Member> {
        self.by_machine.get(machine)
    }

    pub(super) fn boot(&self, speaker: &Speaker) -> Option<&Member> {
        self.of(&speaker.machine).filter(|member| member.speaker == *speaker)
    }

    pub(super) fn boot_mut(&mut self, speaker: &Speaker) -> Option<&mut Member> {
        self.by_machine.get_mut(&speaker.machine).filter(|member| member.speaker == *speaker)
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&Member> {
        self.of(self.rows.get(slot.index())?.as_ref()?)
    }

    /// Gives a boot its machine's row, or a free one, under a new epoch; also says which boot had the
    /// row. `None` if all rows are taken.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        speaker: Speaker,
        whereabouts: Whereabouts,
        announcement: &Announcement,
    ) -> Option<(Slot, u32, Option<Speaker>)> {
        let old = self.of(&speaker.machine).map(|member| (member.slot, member.speaker));
        let slot = match old {
            Some((slot, _)) => slot,
            None => self.free_row()?,
        };
        self.epoch += 1;
        let member = Member {
            speaker,
            slot,
            epoch: self.epoch,
            whereabouts,
            sequence: announcement.sequence,
            interval: announcement.interval(),
            heard: now,
        };
        self.by_machine.insert(speaker.machine, member);
        self.rows[slot.index()] = Some(speaker.machine);
        Some((slot, self.epoch, old.map(|(_, speaker)| speaker)))
    }

    /// Frees a row; who had it.
    pub(super) fn release(&mut self, slot: Slot) -> Option<Speaker> {
        let machine = self.rows.get_mut(slot.index())?.take()?;
        self.by_machine.remove(&machine).map(|member| member.speaker)
    }

    fn free_row(&self) -> Option<Slot> {
        let mut free = self.rows.iter().enumerate().skip(OWN_SLOT.index() + 1);
        free.find(|(_, row)| row.is_none()).map(|(row, _)| Slot(row as u16))
    }
}

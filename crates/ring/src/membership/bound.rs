//! A change of view under way, as one of its members knows it.

use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::bits::Bits;
use crate::view::{Daemon, RingId};
use crate::wire::{Info, Install, Ready, Tag};

/// A change of view that this daemon takes part in. Its old ring is stopped.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) leader: Tag,
    pub(crate) number: u64,
    pub(super) minor: u8,
    /// In member order.
    pub(crate) members: Vec<Daemon>,
    pub(super) tags: Vec<Tag>,
    pub(super) me: usize,
    pub(super) places: Bits,
    pub(super) ready: Ready,
    /// What the leader said of the new view.
    pub(crate) target: Option<Target>,
    /// Everything of our old ring is here.
    pub(crate) recovered: bool,
    /// The last progress.
    pub(super) progress: Instant,
    /// When to repeat our word.
    pub(super) again: Instant,
    pub(super) limit: Duration,
    /// The leader's side.
    pub(super) lead: Option<Lead>,
}

/// The new view, as far as it was told.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) ring: RingId,
    pub(crate) time: u32,
    pub(crate) timeout: u16,
    pub(crate) infos: Vec<Option<Info>>,
}

/// What a leader collects.
#[derive(Debug, Default)]
pub(super) struct Lead {
    pub(super) infos: Vec<Option<Info>>,
    pub(super) recovered: Bits,
    pub(super) installs: Vec<Install>,
}

impl Bound {
    pub(crate) fn deadline(&self) -> Instant {
        self.again.min(self.progress + self.limit)
    }

    pub(crate) fn my_rank(&self) -> usize {
        self.me
    }

    pub(crate) fn places(&self) -> Bits {
        self.places
    }

    pub(crate) fn minor(&self) -> u8 {
        self.minor
    }

    pub(crate) fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The members that come from our old ring, by rank in the new view. Complete once all infos are here.
    pub(crate) fn together(&self) -> Vec<usize> {
        let Some(target) = &self.target else { return Vec::new() };
        let old = self.ready.info.ring;
        if old == RingId::default() {
            return Vec::from([self.me]);
        }
        let infos = target.infos.iter().enumerate();
        infos.filter(|(_, i)| i.as_ref().is_some_and(|i| i.ring == old)).map(|(at, _)| at).collect()
    }

    /// For each packet that a companion has and we may not: who gives it to us.
    pub(super) fn holders(&self, seq: u64) -> Option<Tag> {
        let target = self.target.as_ref()?;
        let companions = self.together();
        let holders: Vec<usize> = companions
            .into_iter()
            .filter(|&at| at != self.me)
            .filter(|&at| target.infos[at].as_ref().is_some_and(|info| info.has(seq)))
            .collect();
        // In turns, so that the work is shared.
        let at = holders.get((seq % holders.len().max(1) as u64) as usize)?;
        Some(self.tags[*at])
    }

    /// The highest packet that any companion has.
    pub(crate) fn high(&self) -> u64 {
        let Some(target) = &self.target else { return 0 };
        let companions = self.together().into_iter().filter_map(|at| target.infos[at].as_ref());
        companions.map(Info::high).max().unwrap_or(0)
    }

    /// Whether any companion has the packet.
    pub(super) fn exists(&self, seq: u64) -> bool {
        let Some(target) = &self.target else { return false };
        let companions = self.together().into_iter().filter_map(|at| target.infos[at].as_ref());
        companions.into_iter().any(|info| info.has(seq))
    }
}

//! What one worker knows of files it served before.
//!
//! Bounded three ways: in memory, in descriptors, and in entries. When it is full, a hand goes round as on a
//! clock: who was used since its last visit stays, who was not goes. Only the plainest spelling of a path is
//! kept, so that nobody can fill it with a thousand names of one file.
//!
//! An entry is believed for [`FRESH`]; then the file is looked at again, and what has not changed is kept.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use base::Instant;

use super::resource::Resource;

/// How long an entry is believed without looking.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// Most entries.
const ENTRIES_MAX: usize = 8192;
/// Most descriptors that one worker holds.
pub(crate) const OPEN_MAX: usize = 256;

/// The cache of one worker.
#[derive(Debug)]
pub(super) struct Cache {
    index: HashMap<Rc<[u8]>, usize>,
    slots: Vec<Slot>,
    hand: usize,
    memory: usize,
    memory_max: usize,
    open: usize,
    open_max: usize,
}

#[derive(Debug)]
struct Slot {
    path: Rc<[u8]>,
    resource: Rc<Resource>,
    checked: Instant,
    used: bool,
}

/// What the cache says of a path.
#[derive(Debug)]
pub(super) enum Lookup {
    /// It was looked at a moment ago.
    Fresh(Rc<Resource>),
    /// It was looked at too long ago.
    Stale(Rc<Resource>),
    /// Nothing.
    Unknown,
}

impl Cache {
    /// A cache of at most so many bytes (zero keeps nothing) and descriptors.
    pub(super) fn new(memory_max: usize, open_max: usize) -> Self {
        Self {
            index: HashMap::new(),
            slots: Vec::new(),
            hand: 0,
            memory: 0,
            memory_max,
            open: 0,
            open_max,
        }
    }

    /// Whether it keeps anything at all.
    pub(super) fn is_on(&self) -> bool {
        self.memory_max > 0
    }

    /// Looks a path up, as it was sent, without its query.
    pub(super) fn get(&mut self, path: &[u8], now: Instant) -> Lookup {
        let Some(slot) = self.index.get(path).and_then(|&at| self.slots.get_mut(at)) else {
            return Lookup::Unknown;
        };
        slot.used = true;
        if now.since(slot.checked) < FRESH {
            Lookup::Fresh(slot.resource.clone())
        } else {
            Lookup::Stale(slot.resource.clone())
        }
    }

    /// Puts what was found now in the place of whatever was known of the path.
    pub(super) fn put(&mut self, path: &[u8], resource: &Rc<Resource>, now: Instant) {
        self.remove(path);
        let (weight, open) = (resource.weight(), resource.open());
        // One giant among siblings must not drive out everybody else.
        if weight > self.memory_max / 4 || open > self.open_max / 4 {
            return;
        }
        while self.memory + weight > self.memory_max
            || self.open + open > self.open_max
            || self.slots.len() >= ENTRIES_MAX
        {
            self.evict();
        }
        let path: Rc<[u8]> = path.into();
        self.index.insert(path.clone(), self.slots.len());
        self.slots.push(Slot { path, resource: resource.clone(), checked: now, used: false });
        self.memory += weight;
        self.open += open;
    }

    /// Forgets a path.
    pub(super) fn remove(&mut self, path: &[u8]) {
        if let Some(&at) = self.index.get(path) {
            self.take(at);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.memory_max, self.open_max);
    }

    /// Forgets whatever holds a descriptor; `false` if nothing does.
    pub(super) fn close(&mut self) -> bool {
        let closed = self.open > 0;
        for at in (0..self.slots.len()).rev() {
            if self.slots[at].resource.open() > 0 {
                self.take(at);
            }
        }
        closed
    }

    fn evict(&mut self) {
        while !self.slots.is_empty() {
            self.hand %= self.slots.len();
            if !std::mem::take(&mut self.slots[self.hand].used) {
                return self.take(self.hand);
            }
            self.hand += 1;
        }
    }

    fn take(&mut self, at: usize) {
        let slot = self.slots.swap_remove(at);
        self.index.remove(&slot.path);
        self.memory -= slot.resource.weight();
        self.open -= slot.resource.open();
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(moved.path.clone(), at);
        }
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.slots.len(), self.memory, self.open)
    }
}

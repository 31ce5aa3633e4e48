//! Members of one view that have heard the same words have the same table.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use vip::ViewId;
use vip::status::{Candidate, Stage, Status};

/// The table of each view after each of its words, as the first member had it.
#[derive(Debug, Default)]
pub(in crate::vip) struct Tables {
    known: BTreeMap<Place, (usize, u64)>,
}

/// A moment in a view that is the same for all who heard the same.
///
/// The next life of a daemon may say the id of a view again, with members of the same names. What the members have said of
/// themselves in it has their boots in it, and tells the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::vip) struct Place {
    pub(in crate::vip) view: ViewId,
    /// Words heard in it.
    pub(in crate::vip) words: u32,
    /// A digest of what members have said of themselves, in whatever order.
    said: u64,
}

impl Place {
    /// The beginning of a view.
    pub(in crate::vip) fn new(view: ViewId) -> Self {
        Self { view, words: 0, said: 0 }
    }

    /// One more word, by whom.
    pub(in crate::vip) fn hear(&mut self, sender: &str, body: &[u8]) {
        self.words += 1;
        // Byte 4 is the kind of word; kind 1 is what a member says of itself once in a view.
        if body.get(4) == Some(&1) {
            let mut hash = DefaultHasher::new();
            (sender, body).hash(&mut hash);
            self.said = self.said.wrapping_add(hash.finish());
        }
    }
}

impl Tables {
    /// A group is made anew: its views count from 1 again.
    pub(in crate::vip) fn begin(&mut self, view: ViewId) {
        self.known.retain(|known, _| known.view.0[..8] != view.0[..8]);
    }

    /// Compares a member's table at that moment with that of the first who was there.
    pub(in crate::vip) fn compare(
        &mut self,
        i: usize,
        at: Place,
        status: &Status,
    ) -> Result<(), String> {
        // A daemon that starts again alone within the second says the same id again.
        if status.members.len() < 2 {
            return Ok(());
        }
        let digest = digest(status);
        let (first, known) = *self.known.entry(at).or_insert((i, digest));
        if known == digest {
            return Ok(());
        }
        Err(format!(
            "m{} and m{} differ after word {} of a view: {status:?}",
            first + 1,
            i + 1,
            at.words
        ))
    }
}

fn digest(status: &Status) -> u64 {
    let mut hash = DefaultHasher::new();
    if status.stage == Stage::Gathering {
        // What is left of the view before means nothing.
        return 0;
    }
    status.majority.hash(&mut hash);
    for member in &status.members {
        (&member.machine, member.mature, member.healthy, member.drained, member.leaving)
            .hash(&mut hash);
        (member.silent, member.weight, member.sets).hash(&mut hash);
    }
    for set in &status.sets {
        (set.key, set.owner, set.moving_to, set.reason as u8).hash(&mut hash);
        (set.quorum, set.pinned, set.blocked_by).hash(&mut hash);
        for candidate in &set.candidates {
            match candidate {
                Candidate::Good { preferred } => (0, *preferred, 0).hash(&mut hash),
                Candidate::Reluctant(why) => (1, false, *why as u8).hash(&mut hash),
                Candidate::No(why) => (2, false, *why as u8).hash(&mut hash),
            }
        }
    }
    hash.finish()
}

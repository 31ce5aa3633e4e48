//! Runs of the program that have certainly let go of everything: what they had under quorum is not waited for.

use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::message::Message;
use crate::set::SetKey;
use crate::vip::{Phase, Service, ViewId, Vip};

/// How long a word of a guardian is remembered: longer than the bus needs to notice a death, and than any lease.
const FENCED_FOR: Duration = Duration::from_secs(120);
/// The most of them: more machines do not die in that time.
const FENCED_MAX: usize = 1_024;

impl Vip {
    /// A run of the program, by its boot, is over and has certainly let go of everything: its guardian said so, or whoever started
    /// the next run there.
    ///
    /// That usually comes before the bus has noticed anything. It is remembered, and said to the group in each view whose table
    /// waits for that run: only then do all members hear it at the same place.
    pub fn handle_fenced(&mut self, now: Instant, boot: u64) {
        self.fenced.retain(|_, (until, _)| *until > now);
        if self.fenced.len() < FENCED_MAX || self.fenced.contains_key(&boot) {
            self.fenced.entry(boot).or_insert((now + FENCED_FOR, None));
        }
        self.finish(now);
    }

    /// Says of runs that have let go what a table waits for, once in each view.
    pub(crate) fn say_fenced(&mut self, view: ViewId) {
        if self.phase != Phase::Run || self.fenced.is_empty() {
            return;
        }
        let rows = &self.table.rows;
        let waits = |boot: &u64| rows.iter().any(|row| row.waits && row.lost.contains(boot));
        let unsaid: Vec<u64> = self
            .fenced
            .iter()
            .filter(|(boot, (_, said))| *said != Some(view) && waits(boot))
            .map(|(boot, _)| *boot)
            .collect();
        for boot in unsaid {
            if let Some((_, said)) = self.fenced.get_mut(&boot) {
                *said = Some(view);
            }
            self.send(Service::Agreed, &Message::Fenced(boot));
        }
    }

    /// A run of the program has let go of everything, as its guardian says.
    pub(crate) fn fenced(&mut self, _now: Instant, boot: u64) {
        self.memory.lost.retain(|_, lost| {
            lost.runs.remove(&boot);
            !lost.runs.is_empty()
        });
        // A wait that is for nobody in particular goes on.
        let certain = self.uncertain.is_none();
        let mut keys: Vec<SetKey> = Vec::new();
        for row in &mut self.table.rows {
            if row.lost.remove(&boot) && row.lost.is_empty() && row.waits && certain {
                keys.push(row.set.key());
            }
        }
        if let (Some(view), false, true) = (self.view, keys.is_empty(), self.leads()) {
            self.send(Service::Agreed, &Message::Claim(view, keys));
        }
    }
}

//! Random numbers that were sent out and not yet sent back: the proof of a live boot.
//!
//! A recording can be replayed, but it cannot contain a number drawn a millisecond ago. So a boot is
//! believed alive once it returned, under its own key, a number of ours; no clock is compared.
//! The table is bounded and each number is good for one answer.

use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::suite::{Entropy, Speaker};

/// 128 bits that nobody can guess, drawn for one question.
pub type Nonce = [u8; 16];

#[derive(Clone, Debug)]
struct Owed {
    speaker: Speaker,
    nonce: Nonce,
    asked: Instant,
}

/// The numbers we still wait for. `take` what was answered, `expire` what was not.
#[derive(Clone, Debug)]
pub struct Challenges {
    owed: Vec<Owed>,
    capacity: usize,
}

impl Challenges {
    /// Waits for at most `capacity` answers at a time.
    pub fn new(capacity: usize) -> Self {
        Self { owed: Vec::new(), capacity }
    }

    /// A number to put to `speaker`; `None` while the table is full.
    pub fn issue<E: Entropy>(
        &mut self,
        now: Instant,
        speaker: Speaker,
        entropy: &mut E,
    ) -> Option<Nonce> {
        if self.owed.len() >= self.capacity {
            return None;
        }
        let mut nonce = Nonce::default();
        entropy.fill(&mut nonce);
        self.owed.push(Owed { speaker, nonce, asked: now });
        Some(nonce)
    }

    /// Takes an answer of `speaker`: how long it took, or `None` if we never put this number to
    /// this boot, or it was answered or expired already.
    ///
    /// The caller has opened the answer under the speaker's key, or the proof proves nothing.
    pub fn take(&mut self, now: Instant, speaker: &Speaker, nonce: &Nonce) -> Option<Duration> {
        let at = self.owed.iter().position(|o| o.nonce == *nonce && o.speaker == *speaker)?;
        Some(now.since(self.owed.swap_remove(at).asked))
    }

    /// Gives up what was asked `patience` or longer ago, and says to whom.
    pub fn expire(&mut self, now: Instant, patience: Duration) -> Vec<Speaker> {
        let mut silent = Vec::new();
        self.owed.retain(|o| {
            let waiting = now.since(o.asked) < patience;
            if !waiting {
                silent.push(o.speaker);
            }
            waiting
        });
        silent
    }

    /// Forgets what `speaker` was asked.
    pub fn forget(&mut self, speaker: &Speaker) {
        self.owed.retain(|o| o.speaker != *speaker);
    }

    /// When the oldest open question was asked.
    pub fn oldest(&self) -> Option<Instant> {
        self.owed.iter().map(|o| o.asked).min()
    }

    /// Whether `speaker` still owes an answer.
    pub fn is_owed_by(&self, speaker: &Speaker) -> bool {
        self.owed.iter().any(|o| o.speaker == *speaker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_suite::speaker;

    const NOW: Instant = Instant::from_millis(500);

    fn counting() -> impl Entropy {
        let mut n = 0u8;
        move |out: &mut [u8]| {
            n += 1;
            out.fill(n);
        }
    }

    #[test]
    fn a_number_is_good_for_one_answer_of_the_one_asked() {
        let (mut table, mut entropy) = (Challenges::new(4), counting());
        let nonce = table.issue(NOW, speaker(1, 1), &mut entropy).unwrap();
        let later = NOW + Duration::from_millis(3);
        assert_eq!(table.take(later, &speaker(1, 2), &nonce), None, "another boot");
        assert_eq!(table.take(later, &speaker(1, 1), &[9; 16]), None, "another number");
        assert_eq!(table.take(later, &speaker(1, 1), &nonce), Some(Duration::from_millis(3)));
        assert_eq!(table.take(later, &speaker(1, 1), &nonce), None, "twice");
    }

    #[test]
    fn the_table_is_bounded_and_gives_up_in_time() {
        let (mut table, mut entropy) = (Challenges::new(2), counting());
        let first = table.issue(NOW, speaker(1, 1), &mut entropy).unwrap();
        let later = NOW + Duration::from_millis(50);
        assert!(table.issue(later, speaker(2, 1), &mut entropy).is_some());
        assert!(table.issue(later, speaker(3, 1), &mut entropy).is_none());
        assert_eq!(table.oldest(), Some(NOW));
        let silent = table.expire(NOW + Duration::from_millis(80), Duration::from_millis(80));
        assert_eq!(silent, [speaker(1, 1)]);
        assert_eq!(table.take(later, &speaker(1, 1), &first), None, "expired");
        assert!(table.is_owed_by(&speaker(2, 1)));
        table.forget(&speaker(2, 1));
        assert_eq!(table.oldest(), None);
    }
}

//! A sliding window over counters: what was seen, and what is too old to tell.
//!
//! One per sending channel. The newest 1,024 counters are remembered as bits; anything older is
//! refused unseen, which costs at most a datagram that was overtaken by a thousand others.
//! The scheme is that of IPsec (RFC 4303, section 3.4.3), stored as RFC 6479 proposes.

/// How many counters below the newest can still be told apart.
pub const WIDTH: u64 = 1024;
/// One word more than the width: the word being filled must not share bits with the oldest (RFC 6479).
const WORDS: usize = (WIDTH / 64) as usize + 1;

/// Which counters of one channel were accepted.
#[derive(Clone, Debug)]
pub struct Window {
    newest: u64,
    seen: [u64; WORDS],
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    /// A window that has seen nothing. Counters start at 1.
    pub const fn new() -> Self {
        Self { newest: 0, seen: [0; WORDS] }
    }

    /// The largest counter accepted so far; 0 before the first.
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether `counter` could still be accepted. Changes nothing, so it may come before the proof
    /// that the datagram is genuine.
    pub fn is_fresh(&self, counter: u64) -> bool {
        if counter > self.newest {
            return true;
        }
        counter != 0
            && self.newest - counter < WIDTH
            && self.seen[word(counter)] & bit(counter) == 0
    }

    /// Accepts `counter` unless it was seen or is too old; says whether it was accepted.
    ///
    /// Call it only for genuine datagrams: a forged counter would push the window beyond all real ones.
    pub fn accept(&mut self, counter: u64) -> bool {
        if !self.is_fresh(counter) {
            return false;
        }
        if counter > self.newest {
            self.slide_to(counter);
        }
        self.seen[word(counter)] |= bit(counter);
        true
    }

    fn slide_to(&mut self, counter: u64) {
        // Each word holds 64 consecutive counters; words that come into the window are wiped whole.
        let (old, new) = (self.newest / 64, counter / 64);
        for n in 1..=(new - old).min(WORDS as u64) {
            self.seen[((old + n) % WORDS as u64) as usize] = 0;
        }
        self.newest = counter;
    }
}

fn word(counter: u64) -> usize {
    (counter / 64 % WORDS as u64) as usize
}

fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Random;
    use std::collections::BTreeSet;

    #[test]
    fn a_counter_is_accepted_once() {
        let mut window = Window::new();
        for counter in [1, 2, 5, 3, 1000, 4, 1024, 1025] {
            assert!(window.accept(counter), "{counter}");
            assert!(!window.accept(counter), "{counter} twice");
        }
    }

    #[test]
    fn what_is_too_old_to_tell_is_refused() {
        let mut window = Window::new();
        assert!(window.accept(5000));
        assert!(!window.accept(5000 - WIDTH));
        assert!(window.accept(5000 - WIDTH + 1));
        assert!(window.accept(u64::MAX) && !window.accept(4999));
        assert!(!window.accept(0));
    }

    #[test]
    fn the_window_agrees_with_a_set_that_forgets_nothing() {
        let mut random = Random::new(11);
        let (mut window, mut seen, mut newest) = (Window::new(), BTreeSet::new(), 0u64);
        for _ in 0..50_000 {
            let counter = 1 + (newest + 40).saturating_sub(u64::from(random.below(1200)));
            let expected = newest.saturating_sub(counter) < WIDTH && !seen.contains(&counter);
            assert_eq!(window.accept(counter), expected, "{counter} with newest {newest}");
            if expected {
                seen.insert(counter);
                newest = newest.max(counter);
            }
        }
        assert_eq!(window.newest(), newest);
    }
}

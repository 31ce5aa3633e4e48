//! Saying the same thing at most once a minute.

use core::time::Duration;

use crate::Instant;

/// Time between two messages of one kind.
const PAUSE: Duration = Duration::from_secs(60);

/// Lets one message through per minute and counts the others.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<Instant>,
    held: u64,
}

impl Seldom {
    /// Whether to say it now; then with how many were held back since it was last said.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < PAUSE) {
            self.held += 1;
            return None;
        }
        self.last = Some(now);
        Some(core::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_a_minute_passes_and_tells_of_the_others() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.pass(Instant::from_millis(1)), Some(0));
        assert_eq!(seldom.pass(Instant::from_millis(2)), None);
        assert_eq!(seldom.pass(Instant::from_millis(60_000)), None);
        assert_eq!(seldom.pass(Instant::from_millis(60_001)), Some(2));
        assert_eq!(seldom.pass(Instant::from_millis(60_002)), None);
    }
}

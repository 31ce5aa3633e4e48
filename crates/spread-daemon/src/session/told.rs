//! Lines of the log that clients cause: everybody can do wrong as often as he likes, and the log is not his.

use std::time::Duration;

use base::Instant;

/// Between two lines of one kind.
const EACH: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug, Default)]
pub(super) struct Told {
    last: Option<Instant>,
    untold: u64,
}

impl Told {
    /// Whether to say it now; then with how often it was not said since the last time.
    pub(super) fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < EACH) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

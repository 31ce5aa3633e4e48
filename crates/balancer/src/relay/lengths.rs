//! How long a route's bodies usually are, so that the read that waits for a head takes as much of the body as pays.
//!
//! A short body is best read with its head: one read, one write. Of a long one every byte read so is copied twice, while
//! the rest goes through a pipe ([`super::splice`]). What will come is not known before it is read; a route's last
//! responses tell it well enough. Two bits a route, as processors predict their branches: one odd response
//! between others changes nothing.

use std::cell::Cell;

use http1::response::Framing;

/// Read with a head where bodies are short: room for both. Measured from 8 to 64 KiB; 8 KiB cost 8 % more at bodies of 8 to
/// 16 KiB.
const SHORT: usize = 18 * 1024;
/// The same where bodies are long: a head, and little more.
const LONG: usize = 4 * 1024;
/// Bodies from here on are long.
const BOUND: u64 = 32 * 1024;
/// A counter's values: from here on long bodies are expected, and up to there it counts.
const EXPECTED: u8 = 2;
const MOST: u8 = 3;

/// What one worker expects of each route.
#[derive(Debug)]
pub(crate) struct Lengths(Box<[Cell<u8>]>);

impl Lengths {
    /// Expects short bodies of so many routes.
    pub(crate) fn new(routes: usize) -> Self {
        Self((0..routes).map(|_| Cell::new(0)).collect())
    }

    /// How much to read while a response of this route is awaited.
    pub(crate) fn first_read(&self, route: usize) -> usize {
        let is_long = self.0.get(route).is_some_and(|count| count.get() >= EXPECTED);
        if is_long { LONG } else { SHORT }
    }

    /// Learns from a response of this route.
    pub(crate) fn learn(&self, route: usize, framing: Framing) {
        let (Some(count), Framing::Length(length)) = (self.0.get(route), framing) else { return };
        let now = count.get();
        count.set(if length >= BOUND { (now + 1).min(MOST) } else { now.saturating_sub(1) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_response_changes_nothing() {
        let lengths = Lengths::new(1);
        let (short, long) = (Framing::Length(100), Framing::Length(BOUND));
        lengths.learn(0, long);
        assert_eq!(lengths.first_read(0), SHORT);
        (0..5).for_each(|_| lengths.learn(0, long));
        assert_eq!(lengths.first_read(0), LONG);
        lengths.learn(0, short);
        assert_eq!(lengths.first_read(0), LONG);
        lengths.learn(0, short);
        assert_eq!(lengths.first_read(0), SHORT);
        assert_eq!(lengths.first_read(7), SHORT, "a route that is not there");
    }
}

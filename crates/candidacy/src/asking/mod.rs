//! Asking first: a few machines are asked how they are, and the request goes where the answers point.
//!
//! Think of a traveller at a station with a row of counters. For a stamp he takes the nearest; for a
//! journey round the world he asks down the row how long it will take, and does not wait for the
//! clerk who is at lunch.
//!
//! Sans-io: a worker calls [`Switch::worth`] with the route's typical service time, then
//! [`Round::plan`], sends one question to each of [`Round::asked`], reports answers with
//! [`Round::answer`], and at the [`Round::deadline`], or when all have answered, calls
//! [`Round::decide`]. Reports inside the answers go to [`Hot::hear`](crate::Hot::hear) like any other
//! report, late ones too, and the time each answer took goes to [`AnswerTimes::observe`], late ones
//! too, or the deadline could never grow.
//!
//! The price and the gain were simulated with loss, waiting and CPU charged: `docs/simulation.md`.
//!
//! Not here: sockets, nonces and timers (`balancer`), and what the asked machine promises
//! (`announce::reservations`).

mod round;
mod times;

pub use round::{MAX_ASKED, Round};
pub use times::AnswerTimes;

use core::time::Duration;

/// What an administrator may say about asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskingRules {
    /// Longest wait for answers, whatever was learned. Default 1 ms.
    pub longest_wait: Duration,
    /// Service times from this multiple of the answer time on are worth a question. Default 20.
    pub worth_from: u32,
    /// Service times below this multiple are not worth one any more. Default 10.
    pub worth_until: u32,
}

impl Default for AskingRules {
    fn default() -> Self {
        Self { longest_wait: Duration::from_millis(1), worth_from: 20, worth_until: 10 }
    }
}

/// Whether a route asks, with hysteresis: between the two multiples it goes on as before. One per
/// route and worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    on: bool,
}

impl Switch {
    /// Whether a request of a route whose service typically takes `service` (zero = unknown, then not)
    /// is worth a question.
    pub fn worth(&mut self, service: Duration, times: &AnswerTimes, rules: &AskingRules) -> bool {
        // Before the first answer a middling LAN is assumed; the first answers correct it.
        let answer = times.typical().unwrap_or(rules.longest_wait / 2);
        let multiple = if self.on { rules.worth_until } else { rules.worth_from };
        let worth = !service.is_zero() && service >= answer.saturating_mul(multiple);
        // Answers that take longer than anyone may wait for them are not worth a question either.
        let longest = if self.on { rules.longest_wait } else { rules.longest_wait * 3 / 4 };
        self.on = worth && answer <= longest;
        self.on
    }

    /// The standing answer.
    pub fn is_on(&self) -> bool {
        self.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_asks_from_twenty_answer_times_and_stops_below_ten() {
        let (mut times, rules, mut switch) =
            (AnswerTimes::default(), AskingRules::default(), Switch::default());
        (0..100).for_each(|_| times.observe(Duration::from_micros(200)));
        let mut worth = |ms: f64| switch.worth(Duration::from_secs_f64(ms / 1e3), &times, &rules);
        let story =
            [(3.9, false), (4.1, true), (2.1, true), (1.9, false), (3.9, false), (0.0, false)];
        for (ms, expected) in story {
            assert_eq!(worth(ms), expected, "{ms}");
        }
    }

    #[test]
    fn nobody_asks_where_answers_come_too_late() {
        let (mut times, rules, mut switch) =
            (AnswerTimes::default(), AskingRules::default(), Switch::default());
        let mut worth = |micros| {
            (0..500).for_each(|_| times.observe(Duration::from_micros(micros)));
            switch.worth(Duration::from_secs(10), &times, &rules)
        };
        let story = [(1100, false), (900, false), (700, true), (900, true), (1100, false)];
        for (micros, expected) in story {
            assert_eq!(worth(micros), expected, "{micros}");
        }
    }

    #[test]
    fn an_unknown_lan_is_assumed_to_be_middling() {
        let mut switch = Switch::default();
        let mut worth = |ms| {
            let (times, rules) = (AnswerTimes::default(), AskingRules::default());
            switch.worth(Duration::from_millis(ms), &times, &rules)
        };
        assert!(!worth(9) && worth(10));
    }
}

//! At which moments one address is announced again.
//!
//! After a release, or whenever we are certainly the only one ([`Schedule::Calm`]): at once, then after 200 ms, 1 s and 2 s. The first
//! may be lost, or reach a switch that is still learning where we are; 200 ms mends that before most clients send their second
//! packet. Linux takes no ordinary answer for an entry that changed less than a second ago, and bridges and bonds settle within
//! one or two. (keepalived sends five at once and five after 5 s; five at once are lost together.)
//!
//! After a take-over without release ([`Schedule::Contested`]) the old holder's kernel may still answer requests: at 0, 20, 50, 100,
//! 200, 500 ms, then every 500 ms until it certainly does not, and once after that. Who asked it in between is won back by the next of these.
//!
//! Then [`Schedule::Holding`]: once per period, for equipment that forgot or missed it.

use core::time::Duration;

use base::Instant;

/// After a release: times since the first announcement.
const CALM: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(2)];
/// After a take-over without release: times since the first announcement.
const CONTESTED: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    CONTESTED_EVERY,
];
/// After the last of these.
const CONTESTED_EVERY: Duration = Duration::from_millis(500);
/// How long after the old holder's last possible answer the last of the repeats goes out.
const AFTER: Duration = Duration::from_millis(20);

/// Where an address stands in its repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Announced at `start`, and nobody else answers.
    Calm {
        /// The first announcement.
        start: Instant,
    },
    /// Announced at `start`, and another kernel may answer until `until`.
    Contested {
        /// The first announcement.
        start: Instant,
        /// When the other has certainly stopped.
        until: Instant,
    },
    /// All repeats are said.
    Holding,
}

impl Schedule {
    /// When the next repeat is due if one went out at `now`. Those that were missed meanwhile are not made up for. `None`: only the
    /// regular refresh is left.
    pub(crate) fn after(&self, now: Instant) -> Option<Instant> {
        match *self {
            Self::Calm { start } => {
                CALM.into_iter().map(|offset| start + offset).find(|due| *due > now)
            }
            Self::Contested { start, until } => {
                let last = until + AFTER;
                let due = CONTESTED.into_iter().map(|offset| start + offset);
                let due = due.into_iter().find(|due| *due > now).unwrap_or_else(|| {
                    let rounds = now.since(start).as_millis() / CONTESTED_EVERY.as_millis() + 1;
                    start + CONTESTED_EVERY * u32::try_from(rounds).unwrap_or(u32::MAX)
                });
                if now >= last { None } else { Some(if due >= until { last } else { due }) }
            }
            Self::Holding => None,
        }
    }

    /// Until when another kernel may answer for the address.
    pub(crate) fn contested_until(&self) -> Option<Instant> {
        match *self {
            Self::Contested { until, .. } => Some(until),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn offsets(schedule: Schedule, start: Instant) -> Vec<u128> {
        core::iter::successors(schedule.after(start), |due| schedule.after(*due))
            .map(|due| due.since(start).as_millis())
            .collect()
    }

    #[test]
    fn a_released_address_is_announced_three_times_more() {
        let start = Instant::from_millis(5000);
        assert_eq!(offsets(Schedule::Calm { start }, start), [200, 1000, 2000]);
        assert_eq!(offsets(Schedule::Holding, start), [0u128; 0]);
    }

    #[test]
    fn a_contested_address_is_announced_until_nobody_else_can_answer_and_once_more() {
        let start = Instant::from_millis(5000);
        let until = start + Duration::from_millis(2100);
        let times = offsets(Schedule::Contested { start, until }, start);
        assert_eq!(times, [20, 50, 100, 200, 500, 1000, 1500, 2000, 2120]);
        let until = start + Duration::from_millis(70);
        assert_eq!(offsets(Schedule::Contested { start, until }, start), [20, 50, 90]);
        let past = Schedule::Contested { start, until: Instant::from_millis(4000) };
        assert_eq!(offsets(past, start), [0u128; 0], "it had stopped before we began");
    }

    #[test]
    fn repeats_that_were_missed_are_skipped() {
        let start = Instant::from_millis(5000);
        let late = start + Duration::from_millis(720);
        let until = start + Duration::from_secs(4);
        let after = Schedule::Contested { start, until }.after(late);
        assert_eq!(after, Some(start + Duration::from_secs(1)));
        assert_eq!(Schedule::Calm { start }.after(start + Duration::from_secs(3)), None);
    }
}

//! Judging single values of `[addresses]`: bounds and remedies, with every mistake collected.

use std::ops::RangeInclusive;
use std::time::Duration;

use base::Problem;
use base::units::Span;

/// What checking has found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn ms(ms: u64) -> Span {
    Span(Duration::from_millis(ms))
}

pub(super) fn secs(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

impl Found {
    /// A mistake of a key below `addresses`.
    pub(super) fn wrong(
        &mut self,
        key: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(Problem::new(format!("addresses.{key}"), message, remedy));
    }

    /// The same, of an error whose remedy stands behind a semicolon.
    pub(super) fn said(&mut self, key: &str, error: impl ToString, otherwise: &str) {
        let said = error.to_string();
        let (message, remedy) = said.split_once("; ").unwrap_or((&said, otherwise));
        self.wrong(key, message, remedy);
    }

    /// The value if it is written and within the bounds, else the default. Outside of them is a mistake.
    pub(super) fn span(
        &mut self,
        key: &str,
        written: Option<Span>,
        default: Span,
        bounds: RangeInclusive<Span>,
    ) -> Duration {
        self.within(key, written, default, bounds).0
    }

    /// The same for a number.
    pub(super) fn number(
        &mut self,
        key: &str,
        written: Option<i64>,
        default: u32,
        bounds: RangeInclusive<u32>,
    ) -> u32 {
        let bounds = i64::from(*bounds.start())..=i64::from(*bounds.end());
        let number = self.within(key, written, i64::from(default), bounds);
        u32::try_from(number).unwrap_or(default)
    }

    fn within<T: PartialOrd + Copy + std::fmt::Display>(
        &mut self,
        key: &str,
        written: Option<T>,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T {
        let Some(value) = written else { return default };
        if bounds.contains(&value) {
            return value;
        }
        let (min, max) = (bounds.start(), bounds.end());
        let message = format!("{value} is not between {min} and {max}");
        self.wrong(key, message, format!("write {min} to {max}"));
        default
    }
}

//! Judging single values of `[bus]`: bounds, places and remedies, with every mistake collected.

use std::ops::RangeInclusive;
use std::time::Duration;

use base::Problem;
use base::units::Span;
use toml::Spanned;

/// What checking has found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    pub(super) assumed: Vec<String>,
}

impl Found {
    pub(super) fn wrong<T>(
        &mut self,
        value: &Spanned<T>,
        key: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let problem = Problem::new(format!("bus.{key}"), message, remedy);
        self.problems.push(problem.at(value.span()));
    }

    /// The value if it is written and within the bounds, else the default. Outside of them is a mistake.
    pub(super) fn within<T: PartialOrd + Copy, U: Copy>(
        &mut self,
        key: &str,
        value: &Option<Spanned<U>>,
        default: T,
        bounds: RangeInclusive<T>,
        read: impl Fn(U) -> T,
        show: impl Fn(T) -> String,
    ) -> T {
        let Some(written) = value else { return default };
        let value = read(*written.get_ref());
        if bounds.contains(&value) {
            return value;
        }
        let (min, max) = (show(*bounds.start()), show(*bounds.end()));
        let message = format!("{} is not between {min} and {max}", show(value));
        self.wrong(written, key, message, format!("write {min} to {max}"));
        default
    }

    pub(super) fn span(
        &mut self,
        key: &str,
        value: &Option<Spanned<Span>>,
        default: Duration,
        bounds: RangeInclusive<Span>,
    ) -> Duration {
        self.within(key, value, Span(default), bounds, |span| span, |span| span.to_string()).0
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        value: &Option<Spanned<i64>>,
        default: i64,
        max: i64,
    ) -> usize {
        let number = self.within(key, value, default, 1..=max, |n| n, |n| n.to_string());
        usize::try_from(number).unwrap_or_default()
    }
}

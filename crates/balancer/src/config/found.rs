//! Judging single values: bounds, places and remedies, with every mistake collected.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use base::Problem;
use base::units::{Size, Span};
use toml::Spanned;

/// What checking has found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    /// What was not said in the file and is therefore assumed, one sentence each.
    pub(super) assumed: Vec<String>,
}

impl Found {
    /// Notes a mistake whose place the binary looks up by its key.
    pub(super) fn wrong(
        &mut self,
        key: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(Problem::new(key, message, remedy));
    }

    /// Notes a mistake in a value whose place is known.
    pub(super) fn wrong_at<T>(
        &mut self,
        value: &Spanned<T>,
        key: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(Problem::new(key, message, remedy).at(value.span()));
    }

    /// The value if it is written and within the bounds, else the default. Outside of them is a mistake.
    fn within<T: PartialOrd + Copy>(
        &mut self,
        key: &str,
        value: &Option<Spanned<T>>,
        default: T,
        bounds: RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> T {
        let Some(written) = value else { return default };
        let value = *written.get_ref();
        if bounds.contains(&value) {
            return value;
        }
        let (min, max) = (show(*bounds.start()), show(*bounds.end()));
        let message = format!("{} is not between {min} and {max}", show(value));
        let remedy = format!("write {min} to {max}, or leave it out for {}", show(default));
        self.wrong_at(written, key, message, remedy);
        default
    }

    /// A duration within bounds.
    pub(super) fn span(
        &mut self,
        key: &str,
        value: &Option<Spanned<Span>>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let bounds = Span(*bounds.start())..=Span(*bounds.end());
        self.within(key, value, Span(default), bounds, |v| v.to_string()).0
    }

    /// A size in bytes within bounds.
    pub(super) fn size(
        &mut self,
        key: &str,
        value: &Option<Spanned<Size>>,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> u64 {
        let bounds = Size(*bounds.start())..=Size(*bounds.end());
        let show = |v: Size| if v.0 == u64::MAX { "no limit".into() } else { v.to_string() };
        self.within(key, value, Size(default), bounds, show).0
    }

    /// A whole number within bounds.
    pub(super) fn count(
        &mut self,
        key: &str,
        value: &Option<Spanned<i64>>,
        default: u32,
        bounds: RangeInclusive<u32>,
    ) -> u32 {
        let range = i64::from(*bounds.start())..=i64::from(*bounds.end());
        let n = self.within(key, value, i64::from(default), range, |v| v.to_string());
        u32::try_from(n).unwrap_or(default)
    }

    /// One of a few words. The first one is the default.
    pub(super) fn word<T: Copy, const N: usize>(
        &mut self,
        key: &str,
        value: &Option<Spanned<String>>,
        words: [(&str, T); N],
    ) -> T {
        const { assert!(N > 0, "a choice needs something to choose from") };
        let Some(written) = value else { return words[0].1 };
        if let Some((_, meant)) = words.iter().find(|(word, _)| word == written.get_ref()) {
            return *meant;
        }
        let names: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let message = format!("{:?} is none of the words known here", written.get_ref());
        self.wrong_at(written, key, message, format!("write {}", list(&names)));
        words[0].1
    }
}

/// `a, b or c`.
pub(super) fn list<T: Display>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(T::to_string).collect();
            format!("{} or {last}", first.join(", "))
        }
    }
}

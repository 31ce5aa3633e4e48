//! Which bytes were asked for (RFC 9110 section 14).
//!
//! A range is a wish: what is not understood, too many, or overlapping is answered with the whole file, which
//! is always allowed and costs an attacker's victim no more than a plain request.

use std::ops::Range;

/// Most ranges answered one by one.
pub(super) const RANGES_MAX: usize = 16;

/// What a `Range` field asks for of a file of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: there is no field, or it is not understood, or not reasonable.
    Whole,
    /// One range: not empty, within the file.
    One(Range<u64>),
    /// Several: not empty, within the file, no two overlapping, in the order asked for.
    Many(Vec<Range<u64>>),
    /// Only ranges that begin after the end.
    Nothing,
}

/// Reads a field. Total: whatever the bytes, there is an answer.
pub(super) fn parse(field: &[u8], len: u64) -> Asked {
    let Some(set) = field.split_at_checked(6).filter(|(u, _)| u.eq_ignore_ascii_case(b"bytes="))
    else {
        return Asked::Whole;
    };
    if len == 0 {
        return Asked::Whole;
    }
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut specs = 0;
    for spec in set.1.split(|&b| b == b',') {
        let spec = spec.trim_ascii();
        // Empty elements of a list count for nothing (RFC 9110 section 5.6.1.2).
        if spec.is_empty() {
            continue;
        }
        specs += 1;
        let Some(range) = one(spec, len) else { return Asked::Whole };
        if specs > RANGES_MAX {
            return Asked::Whole;
        }
        if !range.is_empty() {
            if ranges.iter().any(|other| range.start < other.end && other.start < range.end) {
                return Asked::Whole;
            }
            ranges.push(range);
        }
    }
    match (specs, ranges.len()) {
        (0, _) => Asked::Whole,
        (_, 0) => Asked::Nothing,
        (_, 1) => Asked::One(ranges.swap_remove(0)),
        _ => Asked::Many(ranges),
    }
}

/// `first-last`, `first-` or `-suffix`; empty if it begins after the end. `None` if it is none of these.
fn one(spec: &[u8], len: u64) -> Option<Range<u64>> {
    let dash = spec.iter().position(|&b| b == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(len - number(last)?.min(len)..len),
        (false, true) => Some(number(first)?.min(len)..len),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first.min(len)..last.saturating_add(1).min(len))
        }
    }
}

/// Digits only; what is too large to be held is as good as the largest.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        Some(n.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_standard_mean_what_it_says() {
        for (field, asked) in [
            ("bytes=0-499", Asked::One(0..500)),
            ("bytes=500-999", Asked::One(500..1000)),
            ("bytes=-500", Asked::One(9500..10_000)),
            ("bytes=9500-", Asked::One(9500..10_000)),
            ("bytes=0-0,-1", Asked::Many(vec![0..1, 9999..10_000])),
            ("bytes=500-600,601-999", Asked::Many(vec![500..601, 601..1000])),
            ("BYTES= 0-1 , ,2-3 ", Asked::Many(vec![0..2, 2..4])),
            ("bytes=9999-99999999999999999999999", Asked::One(9999..10_000)),
            ("bytes=-99999999", Asked::One(0..10_000)),
        ] {
            assert_eq!(parse(field.as_bytes(), 10_000), asked, "{field}");
        }
    }

    #[test]
    fn what_is_no_range_is_the_whole_file() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=1-2-3",
            "lines=1-2",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=0-1,x",
        ] {
            assert_eq!(parse(field.as_bytes(), 10), Asked::Whole, "{field}");
        }
        assert_eq!(parse(b"bytes=0-", 0), Asked::Whole);
    }

    #[test]
    fn overlapping_and_too_many_ranges_are_the_whole_file() {
        assert_eq!(parse(b"bytes=0-5,3-8", 10), Asked::Whole);
        assert_eq!(parse(b"bytes=0-,0-,0-", 10), Asked::Whole);
        let many = |n: u64| {
            let specs: Vec<_> = (0..n).map(|i| format!("{}-{}", i * 2, i * 2)).collect();
            parse(format!("bytes={}", specs.join(",")).as_bytes(), 1000)
        };
        assert!(matches!(many(16), Asked::Many(ranges) if ranges.len() == 16));
        assert_eq!(many(17), Asked::Whole);
    }

    #[test]
    fn only_what_begins_after_the_end_is_nothing() {
        assert_eq!(parse(b"bytes=10-", 10), Asked::Nothing);
        assert_eq!(parse(b"bytes=10-20,99-", 10), Asked::Nothing);
        assert_eq!(parse(b"bytes=-0", 10), Asked::Nothing);
        assert_eq!(parse(b"bytes=10-20,0-0", 10), Asked::One(0..1));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_lies_within_the_file(field in "(bytes=)?[-0-9, a]{0,60}", len in 0..50u64) {
            let ranges = match parse(field.as_bytes(), len) {
                Asked::One(range) => vec![range],
                Asked::Many(ranges) => ranges,
                Asked::Whole | Asked::Nothing => vec![],
            };
            let total: u64 = ranges.iter().map(|r| r.end - r.start).sum();
            prop_assert!(total <= len && ranges.len() <= RANGES_MAX);
            for range in ranges {
                prop_assert!(range.start < range.end && range.end <= len);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(field in proptest::collection::vec(any::<u8>(), 0..64), len: u64) {
            let _ = parse(&field, len);
        }
    }
}

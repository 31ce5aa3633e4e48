//! Conditional requests, in the order of RFC 9110 section 13.2.2.

use super::request::Request;
use crate::date;

/// What a representation can be recognised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validators {
    /// The tag without quotes.
    pub(super) tag: String,
    /// Whether the file was too young when it was read for its tag to vouch for every byte.
    pub(super) weak: bool,
    /// Last modification, in seconds since 1970.
    pub(super) modified: i64,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answer as if there were none; a range counts only if the flag says so.
    Proceed { range: bool },
    /// 304: the client has it already.
    NotModified,
    /// 412: it is not what the client believes.
    Failed,
}

/// Judges the conditions of a GET or HEAD.
pub(super) fn judge(request: &Request<'_>, own: &Validators) -> Outcome {
    if !request.if_match.is_empty() {
        if !request.if_match.iter().any(|line| names(line, own, Comparison::Strong)) {
            return Outcome::Failed;
        }
    } else if let Some(limit) = request.if_unmodified_since.and_then(date::parse)
        && own.modified > limit
    {
        return Outcome::Failed;
    }
    if !request.if_none_match.is_empty() {
        if request.if_none_match.iter().any(|line| names(line, own, Comparison::Weak)) {
            return Outcome::NotModified;
        }
    } else if let Some(since) = request.if_modified_since.and_then(date::parse)
        && own.modified <= since
    {
        return Outcome::NotModified;
    }
    let range = request.range.is_some() && request.method == b"GET";
    Outcome::Proceed { range: range && request.if_range.is_none_or(|field| is_same(field, own)) }
}

/// `If-Range`: a tag or a date that must be exactly ours, and strong.
fn is_same(field: &[u8], own: &Validators) -> bool {
    let field = field.trim_ascii();
    if field.starts_with(b"\"") || field.starts_with(b"W/") {
        return names(field, own, Comparison::Strong);
    }
    !own.weak && date::parse(field) == Some(own.modified)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of tags, or `*`, names ours. Reading ends at the first thing that is no tag.
fn names(list: &[u8], own: &Validators, comparison: Comparison) -> bool {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (weak, quoted) = match rest {
            [b'W', b'/', after @ ..] => (true, after),
            _ => (false, rest),
        };
        let [b'"', after @ ..] = quoted else { return false };
        let Some(end) = memchr::memchr(b'"', after) else { return false };
        let strong_enough = comparison == Comparison::Weak || (!weak && !own.weak);
        if strong_enough && after[..end] == *own.tag.as_bytes() {
            return true;
        }
        rest = &after[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Outcome::{Failed, NotModified, Proceed};
    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn own(weak: bool) -> Validators {
        Validators { tag: "abc".into(), weak, modified: 784_111_777 }
    }

    fn outcome_of(weak: bool, fields: &[(&str, &str)]) -> Outcome {
        let mut request = Request::new(b"GET", b"/");
        fields.iter().for_each(|(name, value)| request.header(name.as_bytes(), value.as_bytes()));
        judge(&request, &own(weak))
    }

    fn outcome(fields: &[(&str, &str)]) -> Outcome {
        outcome_of(false, fields)
    }

    #[test]
    fn a_tag_the_client_has_is_not_sent_again() {
        for list in [
            "\"abc\"",
            "W/\"abc\"",
            "\"x\", \"abc\"",
            "*",
            "\"x\",,W/\"abc\"",
            " \"a,b\" , \"abc\"",
        ] {
            assert_eq!(outcome(&[("If-None-Match", list)]), NotModified, "{list}");
        }
        for list in ["\"ab\"", "abc", "\"abc", "", "x \"abc\"", "w/\"abc\""] {
            assert_eq!(outcome(&[("If-None-Match", list)]), Proceed { range: false }, "{list}");
        }
        assert_eq!(
            outcome(&[("If-None-Match", "\"x\""), ("If-None-Match", "\"abc\"")]),
            NotModified
        );
    }

    #[test]
    fn a_date_counts_only_without_a_tag() {
        for (since, expected) in
            [(BEFORE, Proceed { range: false }), (EXACT, NotModified), (AFTER, NotModified)]
        {
            assert_eq!(outcome(&[("If-Modified-Since", since)]), expected, "{since}");
            let both = [("If-Modified-Since", since), ("If-None-Match", "\"x\"")];
            assert_eq!(outcome(&both), Proceed { range: false });
        }
        assert_eq!(outcome(&[("If-Modified-Since", "soon")]), Proceed { range: false });
    }

    #[test]
    fn a_precondition_that_does_not_hold_fails() {
        assert_eq!(outcome(&[("If-Match", "\"abc\"")]), Proceed { range: false });
        assert_eq!(outcome(&[("If-Match", "*")]), Proceed { range: false });
        for list in ["\"x\"", "W/\"abc\"", "abc"] {
            assert_eq!(outcome(&[("If-Match", list)]), Failed, "{list}");
        }
        assert_eq!(outcome(&[("If-Unmodified-Since", BEFORE)]), Failed);
        assert_eq!(outcome(&[("If-Unmodified-Since", EXACT)]), Proceed { range: false });
        let both = [("If-Unmodified-Since", BEFORE), ("If-Match", "\"abc\"")];
        assert_eq!(outcome(&both), Proceed { range: false }, "If-Match goes first");
        let both = [("If-Match", "\"x\""), ("If-None-Match", "\"abc\"")];
        assert_eq!(outcome(&both), Failed, "412 goes before 304");
    }

    #[test]
    fn a_range_counts_only_of_the_very_same_bytes() {
        let range = ("Range", "bytes=0-1");
        for (condition, counts) in [
            ("\"abc\"", true),
            ("W/\"abc\"", false),
            ("\"x\"", false),
            (EXACT, true),
            (BEFORE, false),
            (AFTER, false),
            ("nonsense", false),
        ] {
            let expected = Proceed { range: counts };
            assert_eq!(outcome(&[range, ("If-Range", condition)]), expected, "{condition}");
        }
        assert_eq!(outcome(&[range]), Proceed { range: true });
        for condition in ["\"abc\"", EXACT] {
            let young = outcome_of(true, &[range, ("If-Range", condition)]);
            assert_eq!(young, Proceed { range: false }, "{condition}");
        }
    }

    #[test]
    fn a_range_means_nothing_to_head() {
        let mut request = Request::new(b"HEAD", b"/");
        request.header(b"Range", b"bytes=0-1");
        assert_eq!(judge(&request, &own(false)), Proceed { range: false });
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for name in ["If-Match", "If-None-Match", "If-Range", "If-Modified-Since", "If-Unmodified-Since"] {
                let mut request = Request::new(b"GET", b"/");
                request.header(name.as_bytes(), &bytes);
                let _ = judge(&request, &own(false));
            }
        }
    }
}

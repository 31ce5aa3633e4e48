//! A strict parser of the OpenMetrics text format 1.0.
#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

use std::collections::{BTreeMap, BTreeSet};

/// A family as read.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads an exposition; panics where the specification says MUST and the text does not.
pub(crate) fn parse(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF and a line feed");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    for line in body.lines() {
        assert!(!line.is_empty() && !line.contains('\r'), "{line:?}");
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            let value = words.next().unwrap_or_default();
            if what == "TYPE" {
                assert!(!families.contains_key(name), "{name} begins twice");
                current = name.into();
            }
            assert_eq!(name, current, "metadata of another family");
            let family = families.entry(name.into()).or_default();
            assert!(family.samples.is_empty(), "metadata after samples");
            match what {
                "TYPE" => {
                    let kinds = ["counter", "gauge", "histogram", "info", "stateset"];
                    assert!(kinds.contains(&value), "{line}");
                    family.kind = value.into();
                }
                "UNIT" => {
                    assert!(name.ends_with(&format!("_{value}")), "{line}");
                    family.unit = value.into();
                }
                "HELP" => assert!(!value.is_empty() && !value.contains('"'), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, labels, value) = sample(line);
        let family = families.get_mut(&current).expect("a sample belongs to a family");
        let suffix = name.strip_prefix(&current).expect("a sample has its family's name");
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            _ => &[""],
        };
        assert!(allowed.contains(&suffix), "{line}");
        assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
        family.samples.push((suffix.into(), labels, value));
    }
    families.values().for_each(check);
    families
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(name.chars().all(good) && !name.starts_with(|c: char| c.is_ascii_digit()), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(label.chars().all(good) && !label.is_empty(), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').expect("labels end");
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    let number = match value {
        "+Inf" => f64::INFINITY,
        "NaN" => f64::NAN,
        value => value.parse().unwrap_or_else(|_| panic!("{line}")),
    };
    (name.into(), labels, number)
}

fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (value, &text[i + 1..]),
            '\\' => match chars.next().unwrap().1 {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                c => panic!("an unknown escape {c}"),
            },
            c => value.push(c),
        }
    }
    panic!("no closing quote in {text}")
}

/// What the specification demands of a whole family.
fn check(family: &Family) {
    match family.kind.as_str() {
        "counter" => assert!(family.samples.iter().all(|(_, _, v)| *v >= 0.0)),
        "info" => assert!(family.samples.iter().all(|(_, _, v)| *v == 1.0)),
        "stateset" => assert!(family.samples.iter().all(|(_, _, v)| *v == 0.0 || *v == 1.0)),
        "histogram" => {
            let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
            for (suffix, labels, value) in &family.samples {
                if suffix == "_bucket" {
                    let mut labels = labels.clone();
                    let le = labels.remove("le").expect("a bucket has a bound");
                    assert!(le == "+Inf" || le.contains('.'), "{le} is not canonical");
                    let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
                    series.entry(labels).or_default().push((le, *value));
                }
            }
            for (labels, buckets) in series {
                assert!(
                    buckets.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1),
                    "{labels:?}"
                );
                let last = buckets.last().unwrap();
                assert_eq!(last.0, f64::INFINITY);
                let of = |suffix: &str| {
                    let mut all = family.samples.iter();
                    all.find(|(s, l, _)| s == suffix && *l == labels).map(|(_, _, v)| *v)
                };
                assert_eq!(of("_count"), Some(last.1));
                assert!(of("_sum").is_some_and(|sum| sum >= 0.0));
            }
        }
        _ => {}
    }
}

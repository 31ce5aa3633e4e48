//! Writing the OpenMetrics text format.
//!
//! A family is announced once (type, unit, help) and followed by all of its samples; [`Text`] makes it
//! impossible to write a sample elsewhere. Label values are escaped here and nowhere else.

use std::fmt::Write;
use std::time::Duration;

use base::histogram::{BUCKETS, Counts, upper};

/// The types of families that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
    StateSet,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// Names and values of a sample's labels.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// An exposition in the making.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family. If it has a unit, its name ends with it.
    pub(super) fn family(&mut self, name: &str, kind: Kind, unit: &str, help: &str) -> Family<'_> {
        debug_assert!(unit.is_empty() || name.ends_with(&format!("_{unit}")), "{name}");
        let _ = writeln!(self.0, "# TYPE {name} {}", kind.word());
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
        Family { text: &mut self.0, name: name.into(), kind }
    }

    /// Ends the exposition.
    pub(super) fn finish(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

/// The family that is being written.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: String,
    kind: Kind,
}

impl Family<'_> {
    /// One sample with a whole number.
    pub(super) fn count(&mut self, labels: Labels<'_>, value: u64) -> &mut Self {
        self.sample(self.suffix(), labels, &value.to_string());
        self
    }

    /// One sample with a fraction.
    pub(super) fn number(&mut self, labels: Labels<'_>, value: f64) -> &mut Self {
        self.sample(self.suffix(), labels, &float(value));
        self
    }

    fn suffix(&self) -> &'static str {
        if self.kind == Kind::Counter { "_total" } else { "" }
    }

    /// The one sample of an info.
    pub(super) fn info(&mut self, labels: Labels<'_>) {
        self.sample("_info", labels, "1");
    }

    /// All buckets, count and sum of a histogram, one bucket to each doubling from 64 µs to 134 s.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, counts: &Counts) -> &mut Self {
        let (mut seen, mut next) = (0, 0);
        for i in 0..BUCKETS {
            seen += counts.buckets[i];
            let edge = edge(i);
            if EDGES.get(next).is_some_and(|e| *e == edge) {
                next += 1;
                self.bucket(labels, &float(edge.as_secs_f64()), seen);
            }
        }
        self.bucket(labels, "+Inf", seen);
        self.sample("_count", labels, &seen.to_string());
        self.sample("_sum", labels, &float(counts.sum_micros as f64 / 1e6));
        self
    }

    fn bucket(&mut self, labels: Labels<'_>, le: &str, seen: u64) {
        let mut labels = labels.to_vec();
        labels.push(("le", le));
        self.sample("_bucket", &labels, &seen.to_string());
    }

    fn sample(&mut self, suffix: &str, labels: Labels<'_>, value: &str) {
        self.text.push_str(&self.name);
        self.text.push_str(suffix);
        for (i, (name, value)) in labels.iter().enumerate() {
            self.text.push(if i == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            escape(value, self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// The bounds of the buckets that are shown.
const EDGES: [Duration; 22] = {
    let mut edges = [Duration::ZERO; 22];
    let mut i = 0;
    while i < edges.len() {
        edges[i] = Duration::from_micros(64 << i);
        i += 1;
    }
    edges
};

/// The bound below which bucket `i` holds durations. Those are whole microseconds, rounded down, so the
/// largest one of the bucket and everything that was rounded to it are less than one more.
fn edge(i: usize) -> Duration {
    upper(i) + Duration::from_micros(1)
}

/// A number in the canonical form of the specification: always with a point or an exponent.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

fn escape(value: &str, to: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            // Other control characters are allowed by the format but confuse everything behind it.
            c if c.is_control() => to.push('\u{FFFD}'),
            c => to.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Histogram;

    #[test]
    fn every_shown_bound_is_the_bound_of_a_bucket() {
        for bound in EDGES {
            assert!((0..BUCKETS).any(|i| edge(i) == bound), "{bound:?}");
        }
    }

    #[test]
    fn buckets_add_up() {
        let h = Histogram::new();
        for micros in [10, 100, 127, 128, 5_000, 400_000_000] {
            h.record(Duration::from_micros(micros));
        }
        let mut text = Text::default();
        text.family("t_seconds", Kind::Histogram, "seconds", "T.").histogram(&[], &h.snapshot());
        let text = text.finish();
        for line in [
            "t_seconds_bucket{le=\"0.000064\"} 1",
            "t_seconds_bucket{le=\"0.000128\"} 3",
            "t_seconds_bucket{le=\"0.000256\"} 4",
            "t_seconds_bucket{le=\"134.217728\"} 5",
            "t_seconds_bucket{le=\"+Inf\"} 6",
            "t_seconds_count 6",
            "t_seconds_sum 400.005365",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn hostile_label_values_stay_inside_their_quotes() {
        let mut text = Text::default();
        let evil = "a\"} 1\nb\\\r\0";
        text.family("g", Kind::Gauge, "", "G.").count(&[("machine", evil)], 1);
        let text = text.finish();
        assert_eq!(text.lines().nth(2), Some("g{machine=\"a\\\"} 1\\nb\\\\\u{FFFD}\u{FFFD}\"} 1"));
    }

    #[test]
    fn numbers_have_a_point() {
        assert_eq!(float(1.0), "1.0");
        assert_eq!(float(0.000_064), "0.000064");
        assert_eq!(float(f64::NAN), "NaN");
        assert_eq!(float(1e21), "1000000000000000000000.0");
    }
}

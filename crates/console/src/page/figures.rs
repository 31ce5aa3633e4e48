//! Numbers as people read them: few digits, a unit, thousands apart; a dash for what is not known.

use std::fmt::Write;

/// What stands for a figure that is not known.
pub(super) const UNKNOWN: &str = "–";

/// A duration given in milliseconds: `0.42 ms`, `18 ms`, `1.2 s`.
pub(super) fn millis(ms: Option<f64>) -> String {
    match ms {
        Some(ms) if ms >= 9_950.0 => format!("{:.0} s", ms / 1e3),
        Some(ms) if ms >= 995.0 => format!("{:.1} s", ms / 1e3),
        Some(ms) if ms >= 9.95 => format!("{ms:.0} ms"),
        Some(ms) if ms >= 0.995 => format!("{ms:.1} ms"),
        Some(ms) if ms.is_finite() => format!("{ms:.2} ms"),
        _ => UNKNOWN.into(),
    }
}

/// An age given in milliseconds: `12 ms`, `0.4 s`, `3 min`, `2 h`, `5 d`.
pub(super) fn age(ms: Option<u64>) -> String {
    let Some(ms) = ms else { return UNKNOWN.into() };
    match ms {
        0..100 => format!("{ms} ms"),
        100..9_950 => format!("{:.1} s", ms as f64 / 1e3),
        9_950..90_000 => format!("{} s", (ms + 500) / 1_000),
        90_000..5_400_000 => format!("{} min", (ms + 30_000) / 60_000),
        5_400_000..172_800_000 => format!("{} h", (ms + 1_800_000) / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// A long time in seconds, in its two largest units: `3 d 4 h`, `12 min 5 s`.
pub(super) fn uptime(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    let pair = [("d", s / 86_400), ("h", s / 3_600 % 24), ("min", s / 60 % 60), ("s", s % 60)];
    let first = pair.iter().position(|(_, n)| *n > 0).unwrap_or(3);
    let mut text = String::new();
    for (unit, n) in pair.iter().skip(first).take(2) {
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}{n} {unit}");
    }
    text
}

/// A whole number with thousands apart: `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate per second: `0.4`, `12`, `3,400`.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        r if r <= 0.0 => "0".into(),
        r if r < 9.95 => format!("{r:.1}"),
        r => count(r.round() as u64),
    }
}

/// A number with up to two decimals and no zeros at the end: `4`, `0.5`, `2.25`.
pub(super) fn decimal(x: f64) -> String {
    if !x.is_finite() {
        return UNKNOWN.into();
    }
    let text = format!("{x:.2}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// A size given in bytes: `512 B`, `7.8 GiB`.
pub(super) fn bytes(n: u64) -> String {
    if n < 1024 {
        return format!("{n} B");
    }
    let mut size = n as f64;
    let mut unit = 0;
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    while size >= 1023.95 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    if size < 99.95 {
        format!("{size:.1} {}", units[unit])
    } else {
        format!("{size:.0} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(millis(Some(0.417)), "0.42 ms");
        assert_eq!(millis(Some(18.3)), "18 ms");
        assert_eq!(millis(Some(1_240.0)), "1.2 s");
        assert_eq!(millis(None), UNKNOWN);
        assert_eq!(millis(Some(f64::NAN)), UNKNOWN);
        assert_eq!(age(Some(12)), "12 ms");
        assert_eq!(age(Some(430)), "0.4 s");
        assert_eq!(age(Some(200_000)), "3 min");
        assert_eq!(age(Some(u64::MAX)), "213503982334 d");
        assert_eq!(uptime(0.4), "0 s");
        assert_eq!(uptime(3.0 * 86_400.0 + 4.5 * 3_600.0), "3 d 4 h");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(rate(0.44), "0.4");
        assert_eq!(rate(3_400.2), "3,400");
        assert_eq!(decimal(2.50), "2.5");
        assert_eq!(decimal(4.0), "4");
        assert_eq!(bytes(8 << 30), "8.0 GiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }
}

//! Numbers as short as they can be said.

/// Parts of a whole with three digits at most before it takes the next unit.
fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let (mut value, mut unit) = (value, 0);
    while value >= 0.9995 * step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{}", units[unit])
}

/// A count: `812`, `12.3k`, `4.56M`.
pub(super) fn count(value: f64) -> String {
    // Thousands are short enough to be said whole.
    if value < 9_999.5 {
        format!("{value:.0}")
    } else {
        scaled(value, 1e3, &["", "k", "M", "G", "T"])
    }
}

/// A count of what is there.
pub(super) fn whole(value: u64) -> String {
    count(value as f64)
}

/// Bytes: `812 B`, `12.3 kB`, `4.56 MB`.
pub(super) fn bytes(value: f64) -> String {
    scaled(value, 1e3, &[" B", " kB", " MB", " GB", " TB"])
}

/// A time: `412 µs`, `1.23 ms`, `12.3 s`, `3m 12s`, `4h 05m`, `3d 4h`.
pub(super) fn time(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        0..60 => scaled(micros as f64, 1e3, &[" µs", " ms", " s"]),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_few_columns_whatever_they_are() {
        for (value, text) in [
            (0.0, "0"),
            (0.4, "0"),
            (9_999.0, "9999"),
            (12_345.0, "12.3k"),
            (999_999.0, "1.00M"),
            (4_560_000.0, "4.56M"),
        ] {
            assert_eq!(count(value), text);
        }
        for (value, text) in
            [(0.0, "0 B"), (999.0, "999 B"), (1_000.0, "1.00 kB"), (14_200_000.0, "14.2 MB")]
        {
            assert_eq!(bytes(value), text);
        }
        assert!(whole(u64::MAX).len() < 12 && bytes(u64::MAX as f64).len() < 15);
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        for (micros, text) in [
            (0, "0 µs"),
            (412, "412 µs"),
            (1_234, "1.23 ms"),
            (999_999, "1.00 s"),
            (12_340_000, "12.3 s"),
            (192_000_000, "3m 12s"),
            (14_700_000_000, "4h 05m"),
            (273_600_000_000, "3d 4h"),
        ] {
            assert_eq!(time(micros), text);
        }
        assert!(time(u64::MAX).len() < 16);
    }
}

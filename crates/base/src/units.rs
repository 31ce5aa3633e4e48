//! Durations and sizes as people write them: `250ms`, `1.5s`, `64KiB`.
//!
//! A bare number is refused: seconds and milliseconds were confused too often in files that allowed it.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::de::{Deserializer, Error as _};

/// The text is not a duration or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No number at the start, or one that cannot be held.
    #[error("this is no number with a unit; write a number with a unit, such as {example}")]
    Number {
        /// A valid text of the same kind.
        example: &'static str,
    },
    /// The number's unit is missing or unknown.
    #[error("there is no unit that is known after the number; write one of {units}")]
    Unit {
        /// The units that are known.
        units: &'static str,
    },
}

/// A duration in a configuration: `us`, `ms`, `s`, `m`, `h`, `d`; fractions allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A size in bytes in a configuration: `B`, `KiB`, `MiB`, `GiB` (1024), `kB`, `MB`, `GB` (1000).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

fn split<'a>(text: &'a str, example: &'static str) -> Result<(f64, &'a str), UnitError> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().map_err(|_| UnitError::Number { example })?;
    Ok((number, text[end..].trim_start()))
}

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, "250ms")?;
        let seconds = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(UnitError::Unit { units: "us, ms, s, m, h or d" }),
        };
        let nanos = libm::round(number * seconds * 1e9);
        if nanos >= u64::MAX as f64 {
            return Err(UnitError::Number { example: "250ms" });
        }
        Ok(Self(Duration::from_nanos(nanos as u64)))
    }
}

impl FromStr for Size {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, "64KiB")?;
        let bytes = match unit {
            "B" => 1.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(UnitError::Unit { units: "B, KiB, MiB, GiB, kB, MB or GB" }),
        };
        let size = number * bytes;
        if size >= u64::MAX as f64 {
            return Err(UnitError::Number { example: "64KiB" });
        }
        Ok(Self(size as u64))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
        ] {
            if nanos >= size && nanos.is_multiple_of(size) {
                return write!(f, "{}{unit}", nanos / size);
            }
        }
        if nanos.is_multiple_of(1000) {
            write!(f, "{}us", nanos / 1000)
        } else {
            write!(f, "{}us", nanos as f64 / 1e3)
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 >> shift > 0 && self.0 & ((1 << shift) - 1) == 0 {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// Deserializes anything that parses from text, with its own error as the message.
pub fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    parsed_as(deserializer, "text in quotes")
}

/// The same, where it can be said what the text has to be.
fn parsed_as<'de, D, T>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Text<T>(&'static str, core::marker::PhantomData<T>);
    impl<T: FromStr<Err: fmt::Display>> serde::de::Visitor<'_> for Text<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text(expected, core::marker::PhantomData))
}

macro_rules! textual {
    ($name:ident, $expected:literal) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed_as(deserializer, $expected).map_err(D::Error::custom)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
textual!(Span, "text in quotes with a unit: \"250ms\"");
textual!(Size, "text in quotes with a unit: \"64KiB\"");

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn durations_read_as_written() {
        for (text, millis) in [
            ("250ms", 250),
            ("1s", 1000),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0s", 0),
        ] {
            assert_eq!(text.parse::<Span>(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
    }

    #[test]
    fn sizes_read_as_written() {
        for (text, bytes) in
            [("64KiB", 65_536), ("1MB", 1_000_000), ("10 B", 10), ("1GiB", 1 << 30)]
        {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn a_number_without_unit_is_refused() {
        assert!(matches!("5".parse::<Span>(), Err(UnitError::Unit { .. })));
        assert!(matches!("5".parse::<Size>(), Err(UnitError::Unit { .. })));
        for text in ["", "s", "-1s", "1.2.3s", "999999999999999999999d"] {
            assert!(matches!(text.parse::<Span>(), Err(UnitError::Number { .. })), "{text}");
        }
    }

    #[test]
    fn units_survive_their_text() {
        for text in ["250ms", "90s", "2m", "1h", "300us"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["64KiB", "1000B", "1GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}

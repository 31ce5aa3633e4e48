//! Whether this machine is short of processors: how long something that could run had to wait, as the kernel counts it (PSI,
//! Documentation/accounting/psi.rst).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use base::Instant;

/// Where the kernel tells it, where it does.
const FILE: &str = "/proc/pressure/cpu";
/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at it now and then.
#[derive(Debug)]
pub(crate) struct Pressure {
    /// Open from the beginning: later it may not be permitted any more.
    file: Option<File>,
    /// When was looked last, and how long something had waited until then, in microseconds since the start of the machine.
    last: Option<(Instant, u64)>,
}

impl Pressure {
    pub(crate) fn open() -> Self {
        Self { file: File::open(FILE).ok(), last: None }
    }

    /// In which part of the time since the last look something waited, 0 to 1, if it is time for another and the kernel tells.
    pub(crate) fn look(&mut self, now: Instant) -> Option<f64> {
        if self.last.is_some_and(|(at, _)| now.since(at) < EVERY) {
            return None;
        }
        let mut text = [0; 256];
        let length = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        let waited = waited(text.get(..length)?)?;
        let (at, before) = self.last.replace((now, waited))?;
        let waited = Duration::from_micros(waited.saturating_sub(before));
        Some((waited.as_secs_f64() / now.since(at).as_secs_f64()).min(1.0))
    }
}

/// The total of the line "some": microseconds in which at least one task waited.
fn waited(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|word| word.strip_prefix("total="))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_some_is_read_and_nothing_else() {
        let text = b"some avg10=76.33 avg60=83.11 avg300=63.77 total=2340292284\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(waited(text), Some(2_340_292_284));
        for text in [&b""[..], b"some", b"some total=", b"some total=x", b"full total=7", b"\xff"] {
            assert_eq!(waited(text), None);
        }
    }

    #[test]
    fn it_is_looked_each_second_where_the_kernel_tells() {
        let mut pressure = Pressure::open();
        let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
        assert_eq!(pressure.look(at(5_000)), None, "nothing is known before");
        assert_eq!(pressure.look(at(5_999)), None);
        let share = pressure.look(at(6_000));
        assert_eq!(share.is_some(), pressure.file.is_some());
        assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)), "{share:?}");
    }
}

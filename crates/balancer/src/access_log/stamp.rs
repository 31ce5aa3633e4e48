//! The time of a record as text, made once a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Instant;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::LogFormat;

/// The text of the current second.
#[derive(Debug)]
pub(super) struct Stamp {
    format: LogFormat,
    /// When the second began, and when it ends.
    begin: Instant,
    end: Instant,
    /// Up to where the milliseconds stand, and from there on; the second is empty in the combined format.
    text: String,
    zone: String,
}

impl Stamp {
    pub(super) fn new(format: LogFormat) -> Self {
        let (begin, end) = (Instant::ORIGIN, Instant::ORIGIN);
        Self { format, begin, end, text: String::new(), zone: String::new() }
    }

    /// Appends the time: `10/Oct/2000:13:55:36 -0700`, or `2000-10-10T13:55:36.123-07:00`.
    pub(super) fn push(&mut self, now: Instant, out: &mut Vec<u8>) {
        if now >= self.end || now < self.begin {
            self.renew(now, SystemTime::now());
        }
        out.extend_from_slice(self.text.as_bytes());
        if self.format == LogFormat::Json {
            let millis = now.since(self.begin).as_millis().min(999) as u16;
            let digit = |n: u16| b'0' + (n % 10) as u8;
            out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis)]);
            out.extend_from_slice(self.zone.as_bytes());
        }
    }

    /// Reads the wall clock for the second that `now` is in. So a step of that clock shows after at most a
    /// second, and a record costs no call for it.
    fn renew(&mut self, now: Instant, wall: SystemTime) {
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let into = Duration::from_nanos(wall.subsec_nanos().into());
        self.begin = Instant::from_nanos(now.as_nanos().saturating_sub(into.as_nanos() as u64));
        self.end = now + (Duration::from_secs(1) - into);
        let seconds = i64::try_from(wall.as_secs()).unwrap_or(0);
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        self.write(&time.to_zoned(zone));
    }

    fn write(&mut self, time: &jiff::Zoned) {
        match self.format {
            LogFormat::Combined => self.text = time.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
            LogFormat::Json => {
                self.text = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
                self.zone = time.strftime("%:z").to_string();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: LogFormat) -> (String, String) {
        let mut stamp = Stamp::new(format);
        let time = Timestamp::from_second(971_211_336).unwrap();
        stamp.write(&time.to_zoned(TimeZone::fixed(jiff::tz::offset(-7))));
        (stamp.text, stamp.zone)
    }

    #[test]
    fn the_example_of_the_apache_manual_reads_as_there() {
        assert_eq!(written(LogFormat::Combined).0, "10/Oct/2000:13:55:36 -0700");
        let (text, zone) = written(LogFormat::Json);
        assert_eq!((text.as_str(), zone.as_str()), ("2000-10-10T13:55:36", "-07:00"));
    }

    #[test]
    fn the_clock_is_read_once_a_second() {
        let mut stamp = Stamp::new(LogFormat::Json);
        let now = Instant::from_millis(50_000);
        stamp.renew(now, UNIX_EPOCH + Duration::from_millis(7_250));
        assert_eq!(stamp.begin, Instant::from_millis(49_750));
        assert_eq!(stamp.end, Instant::from_millis(50_750));
        let mut out = Vec::new();
        stamp.push(Instant::from_millis(50_740), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(":07.990"), "{text}");
        let before = stamp.text.clone();
        stamp.push(Instant::from_millis(50_750), &mut Vec::new());
        assert_ne!(stamp.text, before, "a new second is read from the clock, which is not at 1970");
    }
}

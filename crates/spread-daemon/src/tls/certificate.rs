//! What a certificate says of whom it is for, for the log and for warnings. Whether it is to be believed is not judged here.
//!
//! X.509 (RFC 5280) in DER (X.690), read only as far as the subject, the time and the other names. What cannot be read has no
//! answer; nothing depends on it but words.

/// Characters of a subject that are told.
const SUBJECT_MAX: usize = 200;
/// Names read from the extension of other names.
const NAMES_MAX: usize = 8;
/// The extension of other names: 2.5.29.17.
const OTHER_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// Seconds of a day.
const DAY: i64 = 86_400;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// For whom it is, as `O=Example, CN=alice`; if its subject is empty, its other names.
    pub(crate) subject: String,
    /// From when and until when it is valid, in unix seconds.
    pub(crate) valid: (i64, i64),
    /// Whether it has other names: without them no host of today is proven by it.
    pub(crate) has_names: bool,
}

impl Certificate {
    /// Reads one.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let mut certificate = Der(Der(der).expect(0x30)?);
        let mut signed = Der(certificate.expect(0x30)?);
        let mut first = signed.next()?;
        if first.0 == 0xa0 {
            // The version.
            first = signed.next()?;
        }
        if first.0 != 0x02 {
            return None;
        }
        // The algorithm of the signature and the issuer.
        signed.expect(0x30)?;
        signed.expect(0x30)?;
        let mut validity = Der(signed.expect(0x30)?);
        let valid = (time(validity.next()?)?, time(validity.next()?)?);
        let mut subject = subject(signed.expect(0x30)?);
        let mut names = None;
        while let Some((tag, value)) = signed.next() {
            if tag == 0xa3 {
                names = other_names(value);
            }
        }
        if subject.is_empty() {
            subject = names.clone().unwrap_or_default().join(", ");
        }
        if subject.is_empty() {
            subject = "nobody".into();
        }
        Some(Self { subject: printable(&subject), valid, has_names: names.is_some() })
    }

    /// In how many whole days it ends, counted from `now` in unix seconds; negative if it has ended.
    pub(crate) fn days_left(&self, now: i64) -> i64 {
        (self.valid.1 - now).div_euclid(DAY)
    }
}

/// A sequence of values, each with its tag and its length.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|next| next.0 == tag).map(|next| next.1)
    }
}

/// `CN=alice` and so on, in the order of the certificate.
fn subject(value: &[u8]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut sets = Der(value);
    while let Some(set) = sets.expect(0x31) {
        let mut set = Der(set);
        while let Some(pair) = set.expect(0x30) {
            let mut pair = Der(pair);
            let (Some(kind), Some(value)) = (pair.expect(0x06), pair.next()) else { break };
            parts.push(format!("{}={}", kind_name(kind), text(value)));
        }
    }
    parts.join(", ")
}

fn kind_name(kind: &[u8]) -> &'static str {
    match kind {
        [0x55, 0x04, 3] => "CN",
        [0x55, 0x04, 4] => "SN",
        [0x55, 0x04, 5] => "serialNumber",
        [0x55, 0x04, 6] => "C",
        [0x55, 0x04, 7] => "L",
        [0x55, 0x04, 8] => "ST",
        [0x55, 0x04, 10] => "O",
        [0x55, 0x04, 11] => "OU",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        _ => "?",
    }
}

/// A string of any of the kinds there are.
fn text((tag, value): (u8, &[u8])) -> String {
    const BMP: u8 = 0x1e;
    if tag == BMP {
        let units = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        return char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
    }
    String::from_utf8_lossy(value).into_owned()
}

/// Mail addresses, hosts and URIs among the other names; `None` if there are no other names at all.
fn other_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Der(Der(extensions).expect(0x30)?);
    while let Some(extension) = extensions.expect(0x30) {
        let mut extension = Der(extension);
        if extension.expect(0x06) != Some(OTHER_NAMES) {
            continue;
        }
        let mut value = extension.next()?;
        if value.0 == 0x01 {
            // Whether it is critical.
            value = extension.next()?;
        }
        let mut names = Der(Der(value.1).expect(0x30)?);
        let all = std::iter::from_fn(|| names.next());
        let readable = all.filter(|(tag, _)| matches!(tag, 0x81 | 0x82 | 0x86));
        return Some(readable.map(text).take(NAMES_MAX).collect());
    }
    None
}

/// The text as one line of bounded length, without what could steer a terminal.
fn printable(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out: String =
        text.chars().take(SUBJECT_MAX).map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect();
    if text.chars().nth(SUBJECT_MAX).is_some() {
        out.push('…');
    }
    out
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` as unix seconds.
fn time((tag, value): (u8, &[u8])) -> Option<i64> {
    let (year, rest) = match tag {
        0x17 => {
            let (year, rest) = number(value, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        0x18 => number(value, 4)?,
        _ => return None,
    };
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    let possible = (1..=12).contains(&month) && (1..=31).contains(&day) && rest == b"Z";
    possible.then(|| days(year, month, day) * DAY + hour * 3_600 + minute * 60 + second)
}

fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (digits, rest) = text.split_at_checked(digits)?;
    let mut sum = 0;
    for digit in digits {
        sum = sum * 10 + i64::from(char::from(*digit).to_digit(10)?);
    }
    Some((sum, rest))
}

/// Days from 1970-01-01, in the calendar of today. The year begins in March, so that the day that is not always there is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use testkit::certificates;

    use super::*;

    fn der(name: &str) -> Vec<u8> {
        CertificateDer::from_pem_slice(certificates::text(name).as_bytes()).unwrap().to_vec()
    }

    /// Another subject of five bytes for alice.
    fn called(name: &[u8; 5]) -> Certificate {
        let mut der = der("client.pem");
        let at = der.windows(5).position(|bytes| bytes == b"alice").unwrap();
        der[at..at + 5].copy_from_slice(name);
        Certificate::read(&der).unwrap()
    }

    #[test]
    fn subject_and_time_are_read() {
        let read = Certificate::read(&der("client.pem")).unwrap();
        assert_eq!(read.subject, "CN=alice, O=Example");
        // One time in each of the two forms.
        assert_eq!(read.valid, (1_577_836_800, 4_733_510_400));
        assert!(!read.has_names);
        assert_eq!(read.days_left(read.valid.1 - 1), 0);
        assert_eq!(read.days_left(read.valid.1 + 1), -1);
        assert_eq!(read.days_left(read.valid.1 - 14 * DAY), 14);
        let read = Certificate::read(&der("server.pem")).unwrap();
        assert_eq!((read.subject.as_str(), read.has_names), ("CN=bus", true));
    }

    #[test]
    fn without_a_subject_the_other_names_are_told() {
        let read = Certificate::read(&der("nameless.pem")).unwrap();
        assert_eq!(read.subject, "bus.example.net, spiffe://example/alice");
        assert!(read.has_names);
    }

    #[test]
    fn a_subject_cannot_break_a_line_or_fill_the_log() {
        assert_eq!(called(b"a\nb\x1bc").subject, "CN=a\u{fffd}b\u{fffd}c, O=Example");
        assert_eq!(
            called("a\u{202e}b".as_bytes().try_into().unwrap()).subject,
            "CN=a\u{fffd}b, O=Example"
        );
        assert_eq!(
            called(b"\xff\xfe\xfd\xfc\xfb").subject.chars().filter(|c| *c == '\u{fffd}').count(),
            5
        );
        let long = printable(&"x".repeat(SUBJECT_MAX + 1));
        assert!(long.chars().count() == SUBJECT_MAX + 1 && long.ends_with('…'));
    }

    #[test]
    fn a_certificate_that_is_cut_off_has_no_answer() {
        let der = der("client.pem");
        for end in 0..der.len() {
            assert_eq!(Certificate::read(&der[..end]), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_wrong(at in 0_usize..500, byte: u8, noise: Vec<u8>) {
            let mut der = der("nameless.pem");
            if let Some(place) = der.get_mut(at) {
                *place = byte;
            }
            let _ = Certificate::read(&der);
            let _ = Certificate::read(&noise);
        }
    }
}

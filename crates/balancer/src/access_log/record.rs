//! What is known of one request when its last byte was sent, and the line it becomes.

use std::net::IpAddr;
use std::time::Duration;

use base::Instant;

use super::stamp::Stamp;
use super::text::{cut, push_address, push_escaped, push_json, push_number};
use crate::config::LogFormat;

/// Bytes of a target that are written; what is longer ends in `...`.
const TARGET_MAX: usize = 4096;
/// Bytes of any other text that are written.
const FIELD_MAX: usize = 1024;

/// One request, told at its end. All bytes may be hostile.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The client's true address.
    pub client: IpAddr,
    /// The method as sent; empty if the head was not understood.
    pub method: &'a [u8],
    /// The target as sent; empty if the head was not understood.
    pub target: &'a [u8],
    /// The minor version: 0 or 1.
    pub version: u8,
    /// The `Host`.
    pub host: Option<&'a [u8]>,
    /// Status sent; 499 if the client left before there was one.
    pub status: u16,
    /// Bytes of body sent to the client.
    pub bytes: u64,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
    /// `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// From the head's first byte to the last byte sent.
    pub duration: Duration,
    /// The machine that served; empty if none did.
    pub machine: &'a str,
    /// Why it was chosen: `fresh`, `asked`, `off`, ... Empty if nothing was decided.
    pub decision: &'a str,
    /// How old the information was on which the decision rested.
    pub information_age: Option<Duration>,
    /// Machines tried.
    pub attempts: u32,
    /// The route's name.
    pub route: &'a str,
    /// Whether this is the record of a machine that served it for a peer.
    pub peer: bool,
}

impl Record<'_> {
    /// Appends the record as one line.
    pub(super) fn push(
        &self,
        format: LogFormat,
        stamp: &mut Stamp,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        match format {
            LogFormat::Combined => self.push_combined(stamp, now, out),
            LogFormat::Json => self.push_json(stamp, now, out),
        }
        out.push(b'\n');
    }

    /// `client - - [time] "request line" status bytes "referrer" "user agent"`. The second field, meant for a
    /// protocol that nobody speaks any more, says `peer` for requests served for a peer.
    fn push_combined(&self, stamp: &mut Stamp, now: Instant, out: &mut Vec<u8>) {
        push_address(self.client, out);
        out.extend_from_slice(if self.peer { b" peer - [" } else { b" - - [" });
        stamp.push(now, out);
        out.extend_from_slice(b"] \"");
        if self.method.is_empty() {
            out.push(b'-');
        } else {
            push_cut(self.method, FIELD_MAX, out);
            out.push(b' ');
            push_cut(self.target, TARGET_MAX, out);
            out.extend_from_slice(if self.version == 0 { b" HTTP/1.0" } else { b" HTTP/1.1" });
        }
        out.extend_from_slice(b"\" ");
        push_number(self.status.into(), out);
        out.push(b' ');
        push_number(self.bytes, out);
        for field in [self.referer, self.user_agent] {
            out.extend_from_slice(b" \"");
            push_cut(field.unwrap_or(b"-"), FIELD_MAX, out);
            out.push(b'"');
        }
    }

    /// One object, always with the same keys in the same order; `null` where there is nothing.
    fn push_json(&self, stamp: &mut Stamp, now: Instant, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        stamp.push(now, out);
        out.extend_from_slice(b"\",\"client\":\"");
        push_address(self.client, out);
        out.push(b'"');
        let some = |bytes: &'_ [u8]| !bytes.is_empty();
        push_text(b",\"method\":", Some(self.method).filter(|b| some(b)), FIELD_MAX, out);
        push_text(b",\"target\":", Some(self.target).filter(|b| some(b)), TARGET_MAX, out);
        out.extend_from_slice(b",\"version\":\"1.");
        out.push(b'0' + self.version.min(9));
        out.push(b'"');
        push_text(b",\"host\":", self.host, FIELD_MAX, out);
        push_field(b",\"status\":", Some(self.status.into()), out);
        push_field(b",\"bytes\":", Some(self.bytes), out);
        push_text(b",\"referer\":", self.referer, FIELD_MAX, out);
        push_text(b",\"user_agent\":", self.user_agent, FIELD_MAX, out);
        push_field(b",\"duration_us\":", Some(micros(self.duration)), out);
        let (machine, decision, route) =
            (self.machine.as_bytes(), self.decision.as_bytes(), self.route.as_bytes());
        push_text(b",\"machine\":", Some(machine).filter(|b| some(b)), FIELD_MAX, out);
        push_text(b",\"decision\":", Some(decision).filter(|b| some(b)), FIELD_MAX, out);
        push_field(b",\"information_age_us\":", self.information_age.map(micros), out);
        push_field(b",\"attempts\":", Some(self.attempts.into()), out);
        push_text(b",\"route\":", Some(route).filter(|b| some(b)), FIELD_MAX, out);
        let peer: &[u8] = if self.peer { b",\"peer\":true}" } else { b",\"peer\":false}" };
        out.extend_from_slice(peer);
    }
}

fn push_cut(bytes: &[u8], max: usize, out: &mut Vec<u8>) {
    let (kept, is_cut) = cut(bytes, max);
    push_escaped(kept, out);
    if is_cut {
        out.extend_from_slice(b"...");
    }
}

fn push_text(key: &[u8], text: Option<&[u8]>, max: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    let Some(text) = text else { return out.extend_from_slice(b"null") };
    let (kept, is_cut) = cut(text, max);
    push_json(kept, out);
    if is_cut {
        out.pop();
        out.extend_from_slice(b"...\"");
    }
}

fn push_field(key: &[u8], number: Option<u64>, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    match number {
        Some(n) => push_number(n, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn example() -> Record<'static> {
        Record {
            client: "10.0.5.7".parse().unwrap(),
            method: b"GET",
            target: b"/a?b=c",
            version: 1,
            host: Some(b"www.example.com"),
            status: 200,
            bytes: 2326,
            referer: None,
            user_agent: Some(b"curl/8"),
            duration: Duration::from_micros(1500),
            machine: "web2",
            decision: "fresh",
            information_age: Some(Duration::from_micros(420)),
            attempts: 1,
            route: "default",
            peer: false,
        }
    }

    fn line(record: &Record<'_>, format: LogFormat) -> String {
        let mut out = Vec::new();
        record.push(format, &mut Stamp::new(format), Instant::from_millis(5), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Without the time, which stands between brackets.
    fn combined(record: &Record<'_>) -> String {
        let line = line(record, LogFormat::Combined);
        let (before, after) = (line.find('[').unwrap(), line.find(']').unwrap());
        assert_eq!(after - before, "[10/Oct/2000:13:55:36 -0700".len(), "{line}");
        line[..before].to_owned() + &line[after..]
    }

    #[test]
    fn the_combined_format_is_what_log_analysers_read() {
        let line = combined(&example());
        assert_eq!(line, "10.0.5.7 - - ] \"GET /a?b=c HTTP/1.1\" 200 2326 \"-\" \"curl/8\"\n");
        let line = combined(&Record { peer: true, method: b"", status: 400, ..example() });
        assert_eq!(line, "10.0.5.7 peer - ] \"-\" 400 2326 \"-\" \"curl/8\"\n");
    }

    #[test]
    fn json_tells_where_and_why_it_was_served() {
        let line = line(&example(), LogFormat::Json);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        for (key, value) in [
            ("client", "10.0.5.7".into()),
            ("method", "GET".into()),
            ("target", "/a?b=c".into()),
            ("version", "1.1".into()),
            ("host", "www.example.com".into()),
            ("status", 200.into()),
            ("bytes", 2326.into()),
            ("referer", serde_json::Value::Null),
            ("user_agent", "curl/8".into()),
            ("duration_us", 1500.into()),
            ("machine", "web2".into()),
            ("decision", "fresh".into()),
            ("information_age_us", 420.into()),
            ("attempts", 1.into()),
            ("route", "default".into()),
            ("peer", false.into()),
        ] {
            assert_eq!(read[key], value, "{key}");
        }
        let time: jiff::Timestamp = read["time"].as_str().unwrap().parse().unwrap();
        assert!(time > jiff::Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn absurdly_long_texts_are_cut() {
        let long = vec![b'"'; 100_000];
        let record = Record { target: &long, user_agent: Some(&long), ..example() };
        assert!(combined(&record).len() < 12_000);
        let line = line(&record, LogFormat::Json);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(read["target"].as_str().unwrap().ends_with("\"\"..."));
    }

    proptest! {
        #[test]
        fn no_client_can_forge_or_break_a_line(
            method in proptest::collection::vec(any::<u8>(), 0..20),
            target in proptest::collection::vec(any::<u8>(), 0..60),
            referer in proptest::collection::vec(any::<u8>(), 0..60),
            host in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        ) {
            let record = Record {
                method: &method,
                target: &target,
                referer: Some(&referer),
                host: host.as_deref(),
                ..example()
            };
            let text = line(&record, LogFormat::Json);
            prop_assert_eq!(text.matches('\n').count(), 1);
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.as_object().unwrap().len(), 17);
            let lossy = String::from_utf8_lossy(&referer);
            prop_assert_eq!(read["referer"].as_str().unwrap(), lossy);

            let text = line(&record, LogFormat::Combined);
            prop_assert_eq!(text.matches('\n').count(), 1);
            // Three quoted texts: unescaped quotes come in three pairs.
            let bytes = text.as_bytes();
            let (mut quotes, mut i) = (0, 0);
            while i < bytes.len() {
                match bytes[i] {
                    b'\\' => i += 1,
                    b'"' => quotes += 1,
                    _ => {}
                }
                i += 1;
            }
            prop_assert_eq!(quotes, 6, "{}", text);
        }
    }
}

//! What holds for every input: nothing panics, pieces make no difference, and what is sent on means the same.
#![allow(clippy::unwrap_used, clippy::disallowed_types, clippy::disallowed_methods)]

use http1::forward::{self, Back, Forwarding, Onward};
use http1::request::Framing;
use http1::{
    Asked, CHUNK_END, Decoder, Fields, LAST_CHUNK, Limits, Name, Reject, RequestHead, ResponseHead,
    Scan, chunk_line, persistence, request, response,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const LIMITS: Limits = Limits { max_head: 700, max_fields: 12 };
const ASKED: Asked = Asked { head: false, upgrade: true };

const LINES: &[&str] = &[
    "Host: a",
    "Host: www.example.org:8080",
    "Host: b b",
    "Content-Length: 5",
    "Content-Length: 05",
    "Content-Length: x",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Connection: close",
    "Connection: keep-alive, X-One",
    "Connection: upgrade, TE",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "TE: trailers, deflate",
    "Expect: 100-continue",
    "Expect: 5",
    "Max-Forwards: 3",
    "X-One: 1",
    "X-Two:",
    "X-Three:  spaced \t",
    "X-Forwarded-For: 203.0.113.9",
    "Forwarded: for=203.0.113.9",
    "X_Forwarded_For: 1",
    "backhand-proxied: 10.0.0.1",
    "Proxy: p",
    "Date: now",
    "Keep-Alive: 5",
    "Cookie: a=b",
    " folded",
    "no colon",
    "X: \u{e9}",
    "Bad : 1",
];
const STARTS: &[&str] = &[
    "GET / HTTP/1.1",
    "GET /a?b HTTP/1.0",
    "POST /p HTTP/1.1",
    "HEAD http://a/x HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "OPTIONS http://a HTTP/1.1",
    "TRACE / HTTP/1.1",
    "CONNECT a:1 HTTP/1.1",
    "GET  / HTTP/1.1",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 101 Go",
    "HTTP/1.0 204 ",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 999 x",
];
const BODIES: &[&str] =
    &["", "hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\nX: 1\r\n\r\n", "5;x\r\n", "GET / HTTP/1.1\r\n"];

/// Something like a message: often a valid one, often with a byte or two spoiled.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let lines = vec(select(LINES), 0..8);
    let spoil = vec((any::<Index>(), prop_oneof![any::<u8>(), select(&b"\r\n \t:\0,;"[..])]), 0..3);
    (select(STARTS), lines, select(BODIES), any::<bool>(), spoil).prop_map(
        |(start, lines, body, host, spoil)| {
            let host = if host { "Host: a\r\n" } else { "" };
            let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let mut bytes = format!("{start}\r\n{host}{lines}\r\n{body}").into_bytes();
            for (at, byte) in spoil {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => message(), 1 => vec(any::<u8>(), 0..900), 1 => vec(select(&b"\r\n :GHT/1. ab"[..]), 0..200)]
}

fn read_request(bytes: &[u8]) -> Result<Option<(RequestHead, Fields)>, Reject> {
    let mut fields = Fields::default();
    let head = request::parse(bytes, &LIMITS, &mut Scan::default(), &mut fields)?;
    Ok(head.map(|head| (head, fields)))
}

fn read_response(bytes: &[u8]) -> Result<Option<(ResponseHead, Fields)>, Reject> {
    let mut fields = Fields::default();
    let head = response::parse(bytes, ASKED, &LIMITS, &mut Scan::default(), &mut fields)?;
    Ok(head.map(|head| (head, fields)))
}

/// The ends of the pieces that `cuts` make of so many bytes.
fn ends(length: usize, cuts: &[Index]) -> Vec<usize> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
    ends.push(length);
    ends.sort_unstable();
    ends
}

fn onward(forwarding: Forwarding, bytes: &[u8], head: &RequestHead, fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    let onward = Onward {
        from: [192, 0, 2, 77].into(),
        client: [192, 0, 2, 1].into(),
        proto: "http",
        forwarding,
        authority: "here",
        lines: b"",
    };
    forward::request(&mut out, bytes, head, fields, &onward);
    out
}

/// The fields that are nobody's business on the way.
fn strangers(bytes: &[u8], fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    let other = |kind| matches!(kind, Name::Other | Name::Date);
    let text = |span: http1::Span| span.of(bytes).to_vec();
    fields.iter().filter(|f| other(f.kind)).map(|f| (text(f.name), text(f.value))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_head_gets_the_same_verdict_in_any_pieces(bytes in anything(), cuts in vec(any::<Index>(), 0..6)) {
        let whole = read_request(&bytes).map(|read| read.map(|(head, _)| head));
        let (mut scan, mut fields) = (Scan::default(), Fields::default());
        let mut verdict = Ok(None);
        for end in ends(bytes.len(), &cuts) {
            verdict = request::parse(&bytes[..end], &LIMITS, &mut scan, &mut fields);
            if !matches!(verdict, Ok(None)) {
                break;
            }
        }
        prop_assert_eq!(verdict, whole);
    }

    #[test]
    fn a_response_head_gets_the_same_verdict_in_any_pieces(bytes in anything(), cuts in vec(any::<Index>(), 0..6)) {
        let whole = read_response(&bytes).map(|read| read.map(|(head, _)| head));
        let (mut scan, mut fields) = (Scan::default(), Fields::default());
        let mut verdict = Ok(None);
        for end in ends(bytes.len(), &cuts) {
            verdict = response::parse(&bytes[..end], ASKED, &LIMITS, &mut scan, &mut fields);
            if !matches!(verdict, Ok(None)) {
                break;
            }
        }
        prop_assert_eq!(verdict, whole);
    }

    #[test]
    fn what_is_sent_on_reads_as_the_same_request(bytes in message()) {
        let Ok(Some((head, fields))) = read_request(&bytes) else { return Ok(()) };
        let sent = onward(Forwarding::Replace, &bytes, &head, &fields);
        let limits = Limits { max_head: 4096, max_fields: 32 };
        let mut again = Fields::default();
        let read = request::parse(&sent, &limits, &mut Scan::default(), &mut again);
        let Ok(Some(second)) = read else { panic!("{read:?}: {}", sent.escape_ascii()) };
        prop_assert_eq!(second.len, sent.len());
        prop_assert_eq!(head.method.of(&bytes), second.method.of(&sent));
        let target = head.target.of(&bytes);
        let expected = if second.target.of(&sent) == b"*" && target == b"/" { b"*" } else { target };
        prop_assert_eq!(expected, second.target.of(&sent));
        let host = head.host.map_or(&b"here"[..], |host| host.of(&bytes));
        prop_assert_eq!(host, second.host.unwrap().of(&sent));
        prop_assert_eq!(head.framing, second.framing);
        prop_assert_eq!(head.expects_continue, second.expects_continue);
        prop_assert_eq!((head.upgrade, head.wants_trailers), (second.upgrade, second.wants_trailers));
        prop_assert!(!second.version_10 && second.keep_alive);
        prop_assert_eq!(strangers(&bytes, &fields), strangers(&sent, &again));
        prop_assert_eq!(again.first(Name::XForwardedFor, &sent), Some(&b"192.0.2.77"[..]));
        prop_assert!(again.iter().all(|f| !matches!(f.kind, Name::Backhand | Name::OneHop | Name::Named)));
    }

    #[test]
    fn a_second_hop_changes_nothing(bytes in message()) {
        let Ok(Some((head, fields))) = read_request(&bytes) else { return Ok(()) };
        let first = onward(Forwarding::Replace, &bytes, &head, &fields);
        let Ok(Some((head, fields))) = read_request(&first) else { return Ok(()) };
        let second = onward(Forwarding::Keep, &first, &head, &fields);
        let lines = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let mut lines: Vec<String> = text.lines().map(Into::into).collect();
            lines.retain(|line| !line.starts_with("Max-Forwards"));
            lines.sort_unstable();
            lines
        };
        prop_assert_eq!(lines(&first), lines(&second));
    }

    #[test]
    fn what_goes_back_reads_as_the_same_response(bytes in message(), client_10 in any::<bool>(), stay in any::<bool>()) {
        let Ok(Some((head, fields))) = read_response(&bytes) else { return Ok(()) };
        let ask = if client_10 { &b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"[..] } else { b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" };
        let (asked, _) = read_request(ask).unwrap().unwrap();
        let plan = persistence::plan(&asked, &head, stay, true);
        let mut sent = Vec::new();
        let back = Back { client_10, plan, date: b"today", lines: b"" };
        forward::response(&mut sent, &bytes, &head, &fields, &back);
        let limits = Limits { max_head: 4096, max_fields: 32 };
        let mut again = Fields::default();
        let read = response::parse(&sent, ASKED, &limits, &mut Scan::default(), &mut again);
        let Ok(Some(second)) = read else { panic!("{read:?}: {}", sent.escape_ascii()) };
        let expected = match plan.delivery {
            http1::Delivery::AsItCame => head.framing,
            http1::Delivery::Chunk => response::Framing::Chunked,
            http1::Delivery::Unchunk => response::Framing::UntilClose,
        };
        prop_assert_eq!((head.status, expected), (second.status, second.framing));
        if head.status >= 200 {
            prop_assert_eq!(second.keep_alive, plan.keep_alive);
        }
        let date = |pair: &(Vec<u8>, Vec<u8>)| pair.0.eq_ignore_ascii_case(b"date");
        let (mut one, mut two) = (strangers(&bytes, &fields), strangers(&sent, &again));
        one.retain(|pair| !date(pair));
        two.retain(|pair| !date(pair));
        prop_assert_eq!(one, two);
        prop_assert!(again.field(Name::Backhand).is_none());
    }

    #[test]
    fn a_body_gets_the_same_verdict_in_any_pieces(bytes in chunks_or_not(), cuts in vec(any::<Index>(), 0..8)) {
        let mut whole = Decoder::from(Framing::Chunked);
        let mut data = Vec::new();
        let verdict = whole.data(&bytes, |d| data.extend_from_slice(d));
        let (mut passing, mut decoding) = (Decoder::from(Framing::Chunked), Decoder::from(Framing::Chunked));
        let (mut used, mut pieces, mut at) = (0, Vec::new(), 0);
        let mut last = Ok(http1::Progress { used: 0, done: false });
        for end in ends(bytes.len(), &cuts) {
            last = passing.pass(&bytes[at..end]);
            prop_assert_eq!(last, decoding.data(&bytes[at..end], |d| pieces.extend_from_slice(d)));
            let Ok(progress) = last else { break };
            used += progress.used;
            if progress.done {
                break;
            }
            prop_assert_eq!(progress.used, end - at, "a body that goes on takes everything");
            at = end;
        }
        prop_assert_eq!(last.map(|p| p.done), verdict.map(|p| p.done));
        if let Ok(progress) = verdict {
            prop_assert_eq!((used, pieces), (progress.used, data));
        }
    }

    #[test]
    fn a_body_is_read_as_by_a_plain_reading_of_the_standard(bytes in chunks_or_not()) {
        let mut data = Vec::new();
        let verdict = Decoder::from(Framing::Chunked).data(&bytes, |d| data.extend_from_slice(d));
        match plainly(&bytes) {
            Plain::Whole(length, content) => {
                prop_assert_eq!(verdict, Ok(http1::Progress { used: length, done: true }));
                prop_assert_eq!(content, data);
            }
            Plain::Short => prop_assert_eq!(verdict.map(|p| p.done), Ok(false)),
            Plain::Bad => prop_assert!(verdict.is_err(), "{verdict:?}"),
        }
    }

    #[test]
    fn what_we_put_in_chunks_comes_out_again(pieces in vec(vec(any::<u8>(), 1..300), 0..6)) {
        let mut coded = Vec::new();
        for piece in &pieces {
            coded.extend_from_slice(chunk_line(piece.len(), &mut [0; 18]));
            coded.extend_from_slice(piece);
            coded.extend_from_slice(CHUNK_END);
        }
        coded.extend_from_slice(LAST_CHUNK);
        let mut data = Vec::new();
        let progress = Decoder::from(Framing::Chunked).data(&coded, |d| data.extend_from_slice(d)).unwrap();
        prop_assert_eq!((progress.used, progress.done), (coded.len(), true));
        prop_assert_eq!(data, pieces.concat());
    }

    #[test]
    fn a_length_takes_its_bytes_and_no_more(length in 0u64..40, bytes in vec(any::<u8>(), 0..80)) {
        let mut decoder = Decoder::from(Framing::Length(length));
        let progress = decoder.pass(&bytes).unwrap();
        prop_assert_eq!(progress.used as u64, length.min(bytes.len() as u64));
        prop_assert_eq!(progress.done, length <= bytes.len() as u64);
    }
}

/// A chunked body, perhaps spoiled, perhaps followed by something.
fn chunks_or_not() -> impl Strategy<Value = Vec<u8>> {
    let sizes = select(
        &["0", "1", "5", "00a", "A", "10", "000000000000003", "1;x", "", "0x1", "g", " 1"][..],
    );
    let ends = select(&["\r\n", "\n", "\r", "X"][..]);
    let trailers = select(
        &[
            "",
            "X: 1\r\n",
            "X: 1\r\nLong-Name-Of-A-Trailer:2\r\n",
            "Host: a\r\n",
            "X : 1\r\n",
            " a\r\n",
        ][..],
    );
    let spoil = vec((any::<Index>(), any::<u8>()), 0..2);
    let chunk = (
        prop_oneof![6 => select(&["1", "5", "00a", "A", "10"][..]), 1 => sizes],
        prop_oneof![12 => Just("\r\n"), 1 => ends],
    );
    (vec(chunk, 0..5), trailers, any::<bool>(), spoil).prop_map(
        |(chunks, trailers, more, spoil)| {
            let mut bytes = Vec::new();
            for (size, end) in chunks {
                let n = usize::from_str_radix(size, 16).unwrap_or(1);
                bytes.extend_from_slice(format!("{size}{end}").as_bytes());
                bytes.extend((0..n).map(|i| b'a' + (i % 26) as u8));
                bytes.extend_from_slice(end.as_bytes());
            }
            bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
            if more {
                bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
            }
            for (at, byte) in spoil {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

enum Plain {
    Whole(usize, Vec<u8>),
    Short,
    Bad,
}

/// Chunks read in the plainest way, from the whole text at once.
fn plainly(bytes: &[u8]) -> Plain {
    let (mut at, mut data) = (0, Vec::new());
    loop {
        let size_end = bytes[at..].iter().position(|b| !b.is_ascii_hexdigit()).map(|n| at + n);
        let digits = &bytes[at..size_end.unwrap_or(bytes.len())];
        if digits.len() > 15 || (digits.is_empty() && size_end.is_some()) {
            return Plain::Bad;
        }
        let Some(end) = size_end else { return Plain::Short };
        match &bytes[end..] {
            [b'\r', b'\n', ..] => {}
            [b'\r'] => return Plain::Short,
            _ => return Plain::Bad,
        }
        let size = usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        at = end + 2;
        if size == 0 {
            break;
        }
        if bytes.len() - at < size {
            return Plain::Short;
        }
        data.extend_from_slice(&bytes[at..at + size]);
        at += size;
        match &bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [] | [b'\r'] => return Plain::Short,
            _ => return Plain::Bad,
        }
    }
    loop {
        let line_end = bytes[at..].iter().position(|&b| b == b'\r' || b == b'\n').map(|n| at + n);
        let line = &bytes[at..line_end.unwrap_or(bytes.len())];
        let colon = line.iter().position(|&b| b == b':');
        let name = &line[..colon.unwrap_or(line.len())];
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        let value = &line[colon.map_or(line.len(), |c| c + 1)..];
        let text = |&b: &u8| b == b'\t' || (b >= b' ' && b != 0x7f);
        let forbidden = colon.is_some() && name.eq_ignore_ascii_case(b"host");
        if !name.iter().all(token) || !value.iter().all(text) || forbidden || (colon == Some(0)) {
            return Plain::Bad;
        }
        let Some(end) = line_end else { return Plain::Short };
        if !line.is_empty() && colon.is_none() {
            return Plain::Bad;
        }
        match &bytes[end..] {
            [b'\r', b'\n', ..] => at = end + 2,
            [b'\r'] => return Plain::Short,
            _ => return Plain::Bad,
        }
        if line.is_empty() {
            return Plain::Whole(at, data);
        }
    }
}

#[test]
fn no_control_byte_passes_anywhere_in_a_head() {
    let text = b"GET /path?query HTTP/1.1\r\nHost: www.example.org\r\nX-Name: a value that is long enough for vectors\r\n\r\n";
    for at in 0..text.len() - 4 {
        for byte in (0..=31).chain([127]).filter(|&b| b != b'\t') {
            let mut spoiled = text.to_vec();
            spoiled[at] = byte;
            let verdict = read_request(&spoiled).map(|read| read.is_some());
            assert!(verdict.is_err() || text[at] == byte, "{at}: {}", spoiled.escape_ascii());
            let mut longer = text.to_vec();
            longer.insert(at, byte);
            let verdict = read_request(&longer).map(|read| read.is_some());
            assert!(verdict.is_err(), "{at}: {}", longer.escape_ascii());
        }
    }
}

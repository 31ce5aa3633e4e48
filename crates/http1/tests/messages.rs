//! Whole messages: what is refused, what is understood, what is sent on.
#![allow(clippy::unwrap_used)]

use http1::forward::{self, Back, Forwarding, Onward};
use http1::{
    Asked, Decoder, Delivery, Fields, Limits, Plan, Reject, RequestHead, ResponseHead, Scan,
    request, response,
};

fn ask(text: &str) -> Result<Option<(RequestHead, Fields)>, Reject> {
    let mut fields = Fields::default();
    let head =
        request::parse(text.as_bytes(), &Limits::default(), &mut Scan::default(), &mut fields)?;
    Ok(head.map(|head| (head, fields)))
}

fn answer(text: &str, to_head: bool) -> Result<Option<(ResponseHead, Fields)>, Reject> {
    let mut fields = Fields::default();
    let head = response::parse(
        text.as_bytes(),
        Asked { head: to_head, upgrade: true },
        &Limits::default(),
        &mut Scan::default(),
        &mut fields,
    )?;
    Ok(head.map(|head| (head, fields)))
}

/// Requests that two readers could understand differently.
const REFUSED: &[(&str, Reject)] = &[
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        Reject::BothFramings,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        Reject::BothFramings,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        Reject::ContentLength,
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", Reject::ContentLength),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", Reject::ContentLength),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n", Reject::ContentLength),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", Reject::ContentLength),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Reject::ContentLength),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        Reject::ContentLength,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        Reject::TransferEncoding,
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", Reject::TransferEncoding),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", Reject::TransferEncoding),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        Reject::TransferEncoding,
    ),
    ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Reject::TransferEncoding),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", Reject::Field),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", Reject::Field),
    ("GET / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n", Reject::Field),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", Reject::Field),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Reject::Field),
    ("GET / HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n", Reject::Field),
    ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", Reject::Field),
    ("GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", Reject::BareLf),
    ("GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", Reject::BareCr),
    ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::LeadingBlank),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Reject::Host),
    ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", Reject::Host),
    ("GET / HTTP/1.1\r\n\r\n", Reject::Host),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Reject::Host),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Reject::Host),
    ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Reject::Host),
    ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Host),
    ("GET /\" HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target),
    ("GET /<x> HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target),
    ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target),
    ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target),
    ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Reject::Method),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::StartLine),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Reject::StartLine),
    ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::StartLine),
    ("GET /\r\nHost: a\r\n\r\n", Reject::StartLine),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Reject::Version),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Reject::Version),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reject::Version),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", Reject::Expectation),
];

#[test]
fn a_request_with_two_readings_is_refused() {
    for (text, why) in REFUSED {
        assert_eq!(ask(text).map(|head| head.is_some()), Err(*why), "{text:?}");
    }
}

#[test]
fn too_much_is_refused_with_the_status_for_it() {
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(120));
    assert_eq!(ask(&many).map(|h| h.is_some()), Err(Reject::TooManyFields));
    let more = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(400));
    assert_eq!(ask(&more).map(|h| h.is_some()), Err(Reject::TooManyFields));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(40_000));
    assert_eq!(ask(&long).map(|h| h.is_some()), Err(Reject::TargetTooLong));
    assert_eq!(ask(&long[..33_000]).map(|h| h.is_some()), Err(Reject::TargetTooLong));
    assert_eq!(
        (Reject::HeadTooLarge.status(), Reject::Version.status(), Reject::BareLf.status()),
        (431, 505, 400)
    );
}

#[test]
fn a_head_means_the_same_in_any_pieces() {
    let text = "POST /x?y HTTP/1.1\r\nHost: a:80\r\nContent-Length: 12\r\nConnection: close, X-One\r\nX-One: 1\r\n\r\nhello world!";
    let (mut scan, mut fields) = (Scan::default(), Fields::default());
    let limits = Limits::default();
    for n in 0..text.len() {
        let head = request::parse(&text.as_bytes()[..n], &limits, &mut scan, &mut fields).unwrap();
        assert_eq!(head.is_some(), n >= text.len() - 12, "{n}");
        if let Some(head) = head {
            assert_eq!((head.framing, head.keep_alive), (request::Framing::Length(12), false));
            scan = Scan::default();
        }
    }
}

#[test]
fn connections_persist_as_versions_and_options_say() {
    for (line, version, keep) in [
        ("", "1.1", true),
        ("Connection: close\r\n", "1.1", false),
        ("Connection: foo, CLOSE\r\n", "1.1", false),
        ("", "1.0", false),
        ("Connection: keep-alive\r\n", "1.0", true),
        ("Connection: keep-alive\r\nConnection: close\r\n", "1.1", false),
    ] {
        let (head, _) =
            ask(&format!("GET / HTTP/{version}\r\nHost: a\r\n{line}\r\n")).unwrap().unwrap();
        assert_eq!(head.keep_alive, keep, "{version} {line:?}");
    }
}

fn onward(text: &str, trusted: bool) -> String {
    let (head, fields) = ask(text).unwrap().unwrap();
    let mut out = Vec::new();
    let how = Onward {
        from: [192, 0, 2, 7].into(),
        client: [192, 0, 2, 1].into(),
        proto: "http",
        forwarding: if trusted { Forwarding::Append } else { Forwarding::Replace },
        authority: "here:8080",
        lines: b"backhand-proxied: 192.0.2.7\r\n",
    };
    forward::request(&mut out, text.as_bytes(), &head, &fields, &how);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_for_one_hop_stays_on_it() {
    let sent = onward(
        "GET /p HTTP/1.1\r\nHost: www\r\nConnection: close, X-Hop, Host, Content-Length\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: x\r\n\
         Upgrade: h2c\r\nbackhand-proxied: 10.0.0.1\r\nBackhand-Report: x\r\nX-Forwarded-For: 10.9.9.9\r\nForwarded: for=1.1.1.1\r\nCookie: a=b\r\n\r\n",
        false,
    );
    assert_eq!(
        sent,
        "GET /p HTTP/1.1\r\nHost: www\r\nCookie: a=b\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: www\r\n\
         Forwarded: for=192.0.2.7;proto=http;host=\"www\"\r\nbackhand-proxied: 192.0.2.7\r\n\r\n"
    );
}

#[test]
fn a_trusted_sender_is_believed_and_appended_to() {
    let sent = onward(
        "GET / HTTP/1.1\r\nHost: www\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=203.0.113.9\r\n\r\n",
        true,
    );
    assert!(sent.contains("X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n"), "{sent}");
    assert!(
        sent.contains("X-Forwarded-Proto: https\r\n")
            && sent.contains("Forwarded: for=203.0.113.9, for=192.0.2.7;"),
        "{sent}"
    );
}

#[test]
fn a_trusted_sender_that_wrote_one_family_of_fields_is_not_contradicted_by_the_other() {
    let old = onward(
        "GET / HTTP/1.1\r\nHost: www\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n",
        true,
    );
    assert!(
        old.contains("Forwarded: for=192.0.2.1;proto=https, for=192.0.2.7;proto=http;"),
        "{old}"
    );
    let new =
        onward("GET / HTTP/1.1\r\nHost: www\r\nForwarded: for=192.0.2.1;proto=https\r\n\r\n", true);
    assert!(new.contains("X-Forwarded-For: 192.0.2.1, 192.0.2.7\r\n"), "{new}");
    assert!(!new.contains("X-Forwarded-Proto") && !new.contains("X-Forwarded-Host"), "{new}");
    let none = onward("GET / HTTP/1.1\r\nHost: www\r\n\r\n", true);
    assert!(none.contains("X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"), "{none}");
}

#[test]
fn upgrades_and_absolute_targets_are_passed_on_as_an_origin_expects() {
    let sent = onward(
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        false,
    );
    assert!(
        sent.contains("Upgrade: websocket\r\n") && sent.contains("Connection: upgrade\r\n"),
        "{sent}"
    );
    assert!(
        onward("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", false)
            .starts_with("GET / HTTP/1.1\r\nHost: a\r\n")
    );
    assert!(
        onward("GET HTTP://A/x?y HTTP/1.1\r\nHost: a\r\n\r\n", false)
            .starts_with("GET /x?y HTTP/1.1\r\nHost: a\r\n")
    );
    assert!(
        onward("GET / HTTP/1.0\r\n\r\n", false)
            .starts_with("GET / HTTP/1.1\r\nHost: here:8080\r\n")
    );
    assert!(
        onward("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", false)
            .contains("\r\nTransfer-Encoding: chunked\r\n")
    );
}

#[test]
fn a_forwarded_head_reads_as_the_same_request() {
    let text = "PUT /a%20b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nEmpty:\r\nSpaces:   x   \r\nExpect: 100-continue\r\n\r\n";
    let sent = onward(text, false);
    let (head, fields) = ask(&sent).unwrap().unwrap();
    assert_eq!(
        (head.framing, head.expects_continue, head.keep_alive),
        (request::Framing::Length(3), true, true)
    );
    assert_eq!(head.target.of(sent.as_bytes()), b"/a%20b?c");
    assert_eq!(
        (fields.get(b"empty", sent.as_bytes()), fields.get(b"spaces", sent.as_bytes())),
        (Some(&b""[..]), Some(&b"x"[..]))
    );
}

#[test]
fn responses_are_framed_by_status_method_and_fields() {
    use response::Framing::{Chunked, Length, None, UntilClose};
    for (text, to_head, framing) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Length(5)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, Chunked),
        ("HTTP/1.1 200 OK\r\n\r\n", false, UntilClose),
        ("HTTP/1.1 204 \r\n\r\n", false, None),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, None),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            false,
            None,
        ),
    ] {
        let (head, _) = answer(text, to_head).unwrap().unwrap();
        assert_eq!(head.framing, framing, "{text:?}");
        assert_eq!(head.keep_alive, framing != UntilClose, "{text:?}");
    }
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nX: 1\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    ] {
        assert!(answer(text, false).is_err(), "{text:?}");
    }
}

#[test]
fn a_response_goes_back_without_marks_and_with_the_clients_persistence() {
    let text = "HTTP/1.1 200 OK\r\nbackhand-report: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nServer: s\r\n\r\n";
    let (head, fields) = answer(text, false).unwrap().unwrap();
    let back = |client_10, keep_alive| {
        let mut out = Vec::new();
        let delivery = if client_10 { Delivery::Unchunk } else { Delivery::AsItCame };
        let plan = Plan { delivery, keep_alive };
        let back = Back { client_10, plan, date: b"now", lines: b"X: 1\r\n" };
        forward::response(&mut out, text.as_bytes(), &head, &fields, &back);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        back(false, true),
        "HTTP/1.1 200 OK\r\nServer: s\r\nDate: now\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n"
    );
    assert_eq!(
        back(true, false),
        "HTTP/1.1 200 OK\r\nServer: s\r\nDate: now\r\nConnection: close\r\nX: 1\r\n\r\n"
    );
}

#[test]
fn chunks_are_checked_and_decoded_in_any_pieces() {
    let text = b"5\r\nhello\r\n00A\r\n, world 12\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nNEXT";
    for piece in 1..text.len() {
        let (mut raw, mut decoded) =
            (Decoder::from(request::Framing::Chunked), Decoder::from(request::Framing::Chunked));
        let (mut passed, mut data) = (0, Vec::new());
        for part in text.chunks(piece) {
            let one = raw.pass(part).unwrap();
            let two = decoded.data(part, |d| data.extend_from_slice(d)).unwrap();
            assert_eq!(one, two);
            passed += one.used;
            if one.done {
                break;
            }
        }
        assert_eq!(
            (passed, &data[..]),
            (text.len() - 4, &b"hello, world 12"[..]),
            "pieces of {piece}"
        );
        assert!(raw.is_done() && decoded.is_done());
    }
}

#[test]
fn odd_chunks_are_refused() {
    for text in [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n",
        " 5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "-1\r\n",
        "\r\n",
        "g\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\nhelloX",
        "5\r\nhello\n0\r\n\r\n",
        "1000000000000000\r\n",
        "0000000000000005\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nbackhand-report: x\r\n\r\n",
        "0\r\nX : 1\r\n\r\n",
        "0\r\n X: 1\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX: a\0\r\n\r\n",
        "0\r\nX: a\n\r\n",
        "0\r\n\n",
    ] {
        assert!(
            Decoder::from(request::Framing::Chunked).pass(text.as_bytes()).is_err(),
            "{text:?}"
        );
    }
    let endless = format!("0\r\nX: {}", "a".repeat(9000));
    assert_eq!(
        Decoder::from(request::Framing::Chunked).pass(endless.as_bytes()),
        Err(Reject::Trailer)
    );
}

#[test]
fn a_body_in_error_stays_in_error() {
    let mut decoder = Decoder::from(request::Framing::Chunked);
    assert!(
        decoder.pass(b"x").is_err() && decoder.pass(b"0\r\n\r\n").is_err() && !decoder.is_done()
    );
}

#[test]
fn lengths_end_where_they_say() {
    let mut decoder = Decoder::from(request::Framing::Length(5));
    assert_eq!(decoder.unread(), Some(5));
    assert_eq!(decoder.pass(b"he").unwrap().used, 2);
    decoder.skip(1);
    let end = decoder.pass(b"loNEXT").unwrap();
    assert_eq!((end.used, end.done), (2, true));
    assert_eq!(decoder.pass(b"NEXT").unwrap().used, 0);
    assert!(
        Decoder::from(request::Framing::Length(0)).is_done()
            && Decoder::from(request::Framing::None).is_done()
    );
    let mut open = Decoder::from(response::Framing::UntilClose);
    assert_eq!((open.pass(b"any").unwrap().done, open.ends_with_connection()), (false, true));
}

#[test]
fn a_chunk_line_is_its_length_in_hexadecimal() {
    let mut room = [0; 18];
    assert_eq!(http1::chunk_line(0xabc, &mut room), b"abc\r\n");
    assert_eq!(http1::chunk_line(usize::MAX, &mut [0; 18]), b"ffffffffffffffff\r\n");
}

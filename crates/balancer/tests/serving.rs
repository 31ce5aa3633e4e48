//! One machine in front of one server: the protocol towards both.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::*;

#[test]
fn a_request_is_served_by_the_local_server() {
    let origin = Origin::named("hello");
    let mut machine = in_front_of(&origin).start();
    let got = get(machine.address, "/a?b");
    assert_eq!((got.status(), got.text()), (200, "hello"));
    assert_eq!(origin.last().line, "GET /a?b HTTP/1.1");
    assert_eq!(origin.last().header("x-forwarded-for"), Some("127.0.0.1"));
    machine.drain();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::answering(|seen| plain(seen.target()));
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    let all: String = (0..20).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
    wire.send(all);
    for i in 0..20 {
        assert_eq!(wire.response().text(), format!("/{i}"));
    }
}

#[test]
fn the_connection_to_the_server_is_kept_whatever_the_client_asked() {
    let origin = Origin::named("kept");
    let machine = in_front_of(&origin).start();
    for _ in 0..5 {
        let mut wire = client(machine.address);
        wire.send("GET / HTTP/1.0\r\n\r\n");
        let got = wire.response();
        assert_eq!(got.header("connection"), Some("close"));
        assert!(wire.is_at_end());
    }
    assert_eq!(origin.requests(), 5);
    assert_eq!(origin.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn a_client_of_http_1_0_may_keep_its_connection() {
    let origin = Origin::named("old");
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    for _ in 0..2 {
        wire.send("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
        let got = wire.response();
        assert_eq!((got.text(), got.header("connection")), ("old", Some("keep-alive")));
    }
}

#[test]
fn chunks_and_trailers_pass_in_both_directions() {
    let origin = Origin::wires(|mut wire| {
        while let Some(head) = wire.head() {
            assert_eq!(head.header("transfer-encoding"), Some("chunked"));
            let (body, trailers) = wire.chunks();
            let text = format!("{}|{}", String::from_utf8(body).unwrap(), trailers.join(","));
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for byte in text.chars() {
                wire.send(format!("1\r\n{byte}\r\n"));
            }
            wire.send("0\r\nX-Sum: 7\r\n\r\n");
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    for _ in 0..2 {
        wire.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        wire.send("4\r\nabcd\r\n3\r\nefg\r\n0\r\nX-Trail: t\r\n\r\n");
        let head = wire.head().unwrap();
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        let (body, trailers) = wire.chunks();
        assert_eq!(body, b"abcdefg|X-Trail: t");
        assert_eq!(trailers, ["X-Sum: 7"]);
    }
}

#[test]
fn chunks_are_taken_off_for_a_client_that_does_not_know_them() {
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let origin = Origin::answering(|_| chunked.to_vec());
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.0\r\n\r\n");
    let got = wire.response();
    assert_eq!((got.text(), got.header("transfer-encoding")), ("abcde", None));
}

#[test]
fn a_body_that_ends_with_the_connection_reaches_the_client_whole() {
    let origin = Origin::wires(|mut wire| {
        if wire.head().is_some() {
            wire.send("HTTP/1.1 200 OK\r\n\r\n");
            (0..100).for_each(|_| wire.send([b'x'; 1000]));
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    for _ in 0..2 {
        // The client's connection goes on, since the body travels in chunks.
        assert_eq!(wire.get("/").body, [b'x'; 100_000]);
    }
    let mut old = client(machine.address);
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().body.len(), 100_000);
}

#[test]
fn a_response_to_head_has_a_length_and_no_body() {
    let origin = Origin::answering(|seen| match seen.method() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec(),
        _ => plain("hello"),
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.head().unwrap().header("content-length"), Some("5"));
    assert_eq!(wire.get("/").text(), "hello");
}

#[test]
fn large_bodies_pass_in_both_directions() {
    const N: usize = 20_000_000;
    let origin = Origin::answering(|seen| {
        let sum = seen.body.iter().fold(0u32, |a, &b| a.wrapping_mul(31).wrapping_add(b.into()));
        let mut response = plain(vec![b'z'; N]);
        let head = format!("HTTP/1.1 200 OK\r\nX-Sum: {sum}\r\n");
        response.splice(0..17, head.into_bytes());
        response
    });
    let machine = in_front_of(&origin).start();
    let body: Vec<u8> = (0..N).map(|i| (i * 7 % 251) as u8).collect();
    let sum = body.iter().fold(0u32, |a, &b| a.wrapping_mul(31).wrapping_add(b.into()));
    let mut wire = client(machine.address);
    for _ in 0..2 {
        wire.send(format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {N}\r\n\r\n"));
        wire.send(&body);
        let got = wire.response();
        assert_eq!(got.header("x-sum"), Some(&*sum.to_string()));
        assert!(got.body.len() == N && got.body.iter().all(|&b| b == b'z'));
    }
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it_from_the_server() {
    let (asked, was_asked) = mpsc::channel();
    let asked = std::sync::Mutex::new(asked);
    let origin = Origin::wires(move |mut wire| {
        while let Some(head) = wire.head() {
            asked.lock().unwrap().send(head.header("expect").map(str::to_string)).unwrap();
            wire.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = wire.body_of(&head);
            wire.send(plain(body));
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(wire.head().unwrap().line, "HTTP/1.1 100 Continue");
    assert_eq!(was_asked.recv().unwrap().as_deref(), Some("100-continue"));
    wire.send("body");
    assert_eq!(wire.response().text(), "body");
}

#[test]
fn a_final_response_instead_of_100_continue_spares_the_body() {
    let origin = Origin::wires(|mut wire| {
        if wire.head().is_some() {
            wire.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
            wire.is_at_end();
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\nExpect: 100-continue\r\n\r\n",
    );
    let got = wire.response();
    assert_eq!((got.status(), got.text()), (401, "no"));
    assert!(wire.is_at_end(), "the body that never came leaves no other way");
}

/// Answers every head, and has no eye for bodies.
fn hasty() -> Origin {
    Origin::wires(|mut wire| {
        while wire.head().is_some() {
            wire.send("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 2\r\n\r\nno");
            if wire.exactly(1) != b"x" {
                return;
            }
        }
    })
}

#[test]
fn an_early_answer_to_a_small_body_spares_the_connection() {
    let machine = in_front_of(&hasty()).start();
    let mut wire = client(machine.address);
    for _ in 0..3 {
        wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
        let got = wire.response();
        assert_eq!((got.status(), got.header("connection")), (405, None));
        wire.send("x");
    }
}

#[test]
fn who_is_refused_before_100_continue_is_told_that_the_connection_ends() {
    let machine = in_front_of(&hasty()).start();
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    let got = wire.response();
    assert_eq!((got.status(), got.header("connection")), (405, Some("close")));
    assert!(wire.is_at_end());
}

#[test]
fn an_own_answer_before_100_continue_ends_the_connection_too() {
    let dir = tempfile::tempdir().unwrap();
    let machine = configured(&format!("[local]\ndirectory = {:?}\n", dir.path())).start();
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    let got = wire.response();
    assert_eq!((got.status(), got.header("connection")), (405, Some("close")));
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx");
    let got = wire.response();
    assert_eq!((got.status(), got.header("connection")), (405, None), "its body is there");
}

#[test]
fn a_response_that_comes_byte_by_byte_behind_hints_is_the_same_response() {
    let origin = Origin::wires(|mut wire| {
        while wire.head().is_some() {
            let text = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
            text.bytes().for_each(|byte| wire.send([byte]));
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    for _ in 0..3 {
        wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(wire.head().unwrap().line, "HTTP/1.1 103 Early Hints");
        let head = wire.head().unwrap();
        assert_eq!((&*head.line, head.header("link")), ("HTTP/1.1 200 OK", None));
        assert_eq!(wire.exactly(3), b"ok\n");
    }
}

#[test]
fn an_upgraded_connection_carries_bytes_both_ways() {
    let origin = Origin::wires(|mut wire| {
        let head = wire.head().unwrap();
        assert_eq!(head.header("upgrade"), Some("echo"));
        assert_eq!(head.header("connection"), Some("upgrade"));
        wire.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhi",
        );
        loop {
            let bytes = wire.exactly(1);
            if bytes == b"q" {
                return;
            }
            wire.send(bytes);
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nab");
    let head = wire.head().unwrap();
    assert!(head.line.starts_with("HTTP/1.1 101"), "{}", head.line);
    assert_eq!(wire.exactly(4), b"hiab");
    machine.until("it is a tunnel", |s| s.totals.tunnels == 1);
    machine.until_nothing_is_in_flight();
    wire.send("cd");
    assert_eq!(wire.exactly(2), b"cd");
    wire.send("q");
    assert!(wire.is_at_end());
}

#[test]
fn what_is_not_http_is_refused_and_never_reaches_the_server() {
    let origin = Origin::named("never");
    let machine = in_front_of(&origin).start();
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
        "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    ] {
        let mut wire = client(machine.address);
        wire.send(bad);
        let got = wire.response();
        assert_eq!(got.status(), 400, "{bad:?}");
        assert!(wire.is_at_end(), "{bad:?}");
    }
    assert_eq!(origin.requests(), 0);
    assert_eq!(machine.totals().rejected, 8);
}

#[test]
fn a_chunk_that_is_malformed_ends_the_request() {
    let origin = Origin::wires(|mut wire| {
        wire.head();
        wire.rest();
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0\r\n\r\n");
    assert_eq!(wire.response().status(), 400);
    assert!(wire.is_at_end());
}

#[test]
fn a_response_with_two_readings_becomes_502() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_vec()
    });
    let machine = in_front_of(&origin).start();
    assert_eq!(get(machine.address, "/").status(), 502);
}

#[test]
fn marks_from_a_client_are_never_passed_on_or_believed() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\nBackhand-Proxied: 8.8.8.8\r\nbackhand-report: x\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\n\r\n");
    assert_eq!(wire.response().status(), 200);
    let seen = origin.last();
    assert!(seen.headers.iter().all(|(name, _)| !name.to_lowercase().starts_with("backhand-")));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(seen.header("forwarded").unwrap().starts_with("for=127.0.0.1;"));
    assert_eq!(machine.totals().peer_requests, 0);
}

#[test]
fn a_trusted_sender_tells_whose_request_it_is() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).with("[http]\ntrusted = [\"127.0.0.1\"]").start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n");
    assert_eq!(wire.response().status(), 200);
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("6.6.6.6, 192.0.2.7, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn a_response_before_the_end_of_the_request_is_what_counts() {
    let origin = Origin::wires(|mut wire| {
        wire.head();
        wire.send(
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig",
        );
        // Reads a little, so that nothing is reset under the response.
        wire.rest();
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nstart");
    let got = wire.response();
    assert_eq!((got.status(), got.text()), (413, "big"));
    assert_eq!(got.header("connection"), Some("close"), "the rest of the body is in the way");
}

#[test]
fn a_large_body_that_trickles_is_passed_on_as_it_comes() {
    const PIECES: usize = 50;
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::wires(move |mut wire| {
        wire.head();
        let length = 40_000 + PIECES * 10;
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        wire.send([b'x'; 20_000]);
        let gone = gone.lock().unwrap();
        for _ in 0..PIECES {
            // The next piece is sent when the one before has arrived: nothing else could push it on.
            gone.recv_timeout(PATIENCE).unwrap();
            wire.send([b'x'; 10]);
        }
        wire.send([b'x'; 20_000]);
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.head().unwrap();
    wire.exactly(20_000);
    let begun = std::time::Instant::now();
    for _ in 0..PIECES {
        go.send(()).unwrap();
        wire.exactly(10);
    }
    // A kernel told that more follows waits 200 ms for it.
    assert!(
        begun.elapsed() < Duration::from_millis(200) * PIECES as u32 / 2,
        "{:?}",
        begun.elapsed()
    );
    wire.exactly(20_000);
}

#[test]
fn a_client_that_has_said_all_it_has_to_say_is_answered() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::answering(move |seen| {
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        plain(seen.target())
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    // Two at once, and the second has a body.
    wire.send("GET /one HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.send("POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    wire.writer.shutdown(std::net::Shutdown::Write).unwrap();
    machine.until("the first is in flight", |s| s.totals.decided_here == 1);
    go.send(()).unwrap();
    assert_eq!(wire.response().text(), "/one");
    go.send(()).unwrap();
    assert_eq!(wire.response().text(), "/two");
    assert!(wire.is_at_end(), "nothing more can come, so the connection ends");
    machine.until_nothing_is_in_flight();
    assert_eq!(machine.totals().client_gone, 0);
}

#[test]
fn a_client_that_left_unnoticed_is_counted_when_it_cannot_be_answered() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::answering(move |_| {
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        plain(vec![b'x'; 8 << 20])
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    machine.until("it is in flight", |s| s.totals.decided_here == 1);
    drop(wire);
    go.send(()).unwrap();
    machine.until("it is counted", |s| s.totals.client_gone == 1);
    machine.until_nothing_is_in_flight();
}

#[test]
fn a_client_that_goes_away_takes_its_request_along_where_the_file_says_so() {
    let (gone, was_gone) = mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::wires(move |mut wire| {
        if wire.head().is_some() {
            gone.lock().unwrap().send(wire.is_at_end()).unwrap();
        }
    });
    let machine = in_front_of(&origin).with("[http]\nabort_on_close = true").start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    machine.until("it is in flight", |s| s.totals.decided_here == 1);
    drop(wire);
    assert!(was_gone.recv_timeout(PATIENCE).unwrap());
    machine.until("it is counted", |s| s.totals.client_gone == 1);
    machine.until_nothing_is_in_flight();
}

#[test]
fn a_response_that_breaks_off_looks_like_that_to_the_client() {
    let origin = Origin::wires(|mut wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.head().unwrap().header("content-length"), Some("100"));
    assert!(wire.rest().len() <= 4);
}

#[test]
fn where_only_the_connections_end_ends_a_body_one_that_breaks_off_is_reset() {
    let origin = Origin::wires(|mut wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.0\r\n\r\n");
    assert!(wire.head().is_some_and(|head| head.line.contains(" 200 ")));
    let error = std::io::Read::read_to_end(&mut wire.reader, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).with("[http]\nmax_body = \"10B\"").start();
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(wire.response().status(), 413);
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.send("8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n");
    assert_eq!(wire.response().status(), 413);
    // What it is wrapped in does not count.
    let mut wire = client(machine.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.send(format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(10)));
    assert_eq!(wire.response().status(), 200);
}

#[test]
fn a_head_beyond_the_limits_is_refused() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).with("[http]\nmax_head = \"2KiB\"\nmax_headers = 8").start();
    let mut wire = client(machine.address);
    wire.send(format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(3000)));
    assert_eq!(wire.response().status(), 431);
    let mut wire = client(machine.address);
    wire.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(9)));
    assert_eq!(wire.response().status(), 431);
}

#[test]
fn a_head_that_comes_too_slowly_is_refused_with_408() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).with("[http]\nhead_timeout = \"1s\"").start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHo");
    let begun = std::time::Instant::now();
    assert_eq!(wire.response().status(), 408);
    assert!(begun.elapsed().as_millis() >= 900);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).with("[http]\nidle_timeout = \"1s\"").start();
    let mut wire = client(machine.address);
    wire.get("/");
    assert!(wire.is_at_end());
}

#[test]
fn files_are_served_with_ranges_and_conditions() {
    let dir = tempfile::tempdir().unwrap();
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(dir.path().join("index.html"), "<p>hello").unwrap();
    std::fs::write(dir.path().join("big.bin"), &big).unwrap();
    let machine = configured(&format!("[local]\ndirectory = {:?}\n", dir.path())).start();
    let mut wire = client(machine.address);
    let got = wire.get("/");
    assert_eq!((got.status(), got.text()), (200, "<p>hello"));
    let tag = got.header("etag").unwrap().to_string();
    assert!(wire.get("/big.bin").body == big);
    wire.send("GET /big.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=100-199\r\n\r\n");
    let got = wire.response();
    assert_eq!((got.status(), &got.body[..]), (206, &big[100..200]));
    wire.send(format!("GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n"));
    assert_eq!(wire.response().status(), 304);
    wire.send("HEAD /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.head().unwrap().header("content-length"), Some("3000000"));
    assert_eq!(wire.get("/no").status(), 404);
    assert_eq!(wire.get("/%2e%2e/etc/passwd").status() / 100, 4);
}

#[test]
fn a_unix_socket_serves_as_well() {
    use std::io::{Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut piece = [0; 4096];
            while stream.read(&mut piece).is_ok_and(|n| n > 0) {
                stream.write_all(&plain("by unix")).unwrap();
            }
        }
    });
    let machine = configured(&format!("[local]\nunix = {path:?}\nhealth = \"off\"\n")).start();
    let mut wire = client(machine.address);
    assert_eq!(wire.get("/").text(), "by unix");
    assert_eq!(wire.get("/").text(), "by unix");
}

#[test]
fn a_connection_with_bytes_behind_its_response_is_never_used_again() {
    let origin = Origin::answering(|_| {
        let mut bytes = plain("once");
        bytes.extend_from_slice(&plain("smuggled"));
        bytes
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    for _ in 0..3 {
        assert_eq!(wire.get("/").text(), "once");
    }
    assert_eq!(origin.connections.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[test]
fn oneself_may_be_a_second_server_on_the_same_host() {
    let second = Origin::named("heavy");
    let first = Origin::named("light");
    let machine = configured(&format!(
        "[local]\nserver = \"{}\"\nself = \"proxy\"\nproxy_to = \"{}\"\nhealth = \"off\"\n",
        first.address, second.address
    ))
    .start();
    assert_eq!(get(machine.address, "/").text(), "heavy");
    assert_eq!(second.last().header("backhand-proxied"), Some("127.0.0.1"));
}

#[test]
fn an_event_stream_of_the_application_is_not_in_flight() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::wires(move |mut wire| {
        if wire.head().is_some() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:a\n\r\n");
            let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            wire.send("0\r\n\r\n");
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(wire.head().is_some());
    assert_eq!(wire.exactly(8), b"3\r\n:a\n\r\n");
    machine.until_nothing_is_in_flight();
    go.send(()).unwrap();
    assert_eq!(wire.exactly(5), b"0\r\n\r\n");
}

#[test]
fn an_event_stream_may_be_silent_for_longer_than_a_body() {
    // The origin's silence is what is tried: longer than the least limit of a body.
    const SILENCE: std::time::Duration = std::time::Duration::from_millis(1500);
    let origin = Origin::wires(move |mut wire| {
        if wire.head().is_some() {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream";
            wire.send(format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n"));
            std::thread::sleep(SILENCE);
            wire.send("3\r\n:a\n\r\n0\r\n\r\n");
        }
    });
    let machine = in_front_of(&origin).with("[http]\nbody_timeout = \"1s\"").start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(wire.head().is_some());
    assert_eq!(wire.chunks().0, b":a\n");
    assert_eq!(machine.totals().timed_out, 0);
}

#[test]
fn a_request_and_a_response_may_come_byte_by_byte() {
    let origin = Origin::wires(|mut wire| {
        while let Some(head) = wire.head() {
            let body = wire.body_of(&head);
            for byte in plain(body) {
                wire.send([byte]);
            }
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    for byte in b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n" {
        wire.send([*byte]);
    }
    assert_eq!(wire.response().text(), "abc");
}

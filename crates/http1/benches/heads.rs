//! What reading a head and writing it on costs, in nanoseconds: `cargo bench -p http1`.
//!
//! Each figure is the best of many rounds: the machine's other work can only add. It is printed and judges
//! nothing: the ratio to other servers is `bench/http`'s business. hyper, which stands beside us in the tests, turns on
//! httparse's search for vector instructions at run time, which costs more here than it brings; without it, as in the
//! program, heads are read about a fifth faster than printed.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::disallowed_types
)]

use std::hint::black_box;
use std::time::Instant;

use http1::forward::{self, Back, Forwarding, Onward};
use http1::{Asked, Decoder, Fields, Limits, Scan, persistence, request, response};

const BROWSER: &[u8] = b"GET /articles/2026/11/a-cluster-with-one-command?utm_source=feed&page=2 HTTP/1.1\r\n\
Host: www.example.org\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
Cache-Control: max-age=0\r\n\
Connection: keep-alive\r\n\
Cookie: session=4f9d0a6f2b7c4d5e8a1b3c5d7e9f0a2b; theme=dark; consent=yes\r\n\
Referer: https://www.example.org/articles/\r\n\
Sec-Fetch-Dest: document\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-Site: same-origin\r\n\
Upgrade-Insecure-Requests: 1\r\n\r\n";

const SHORT: &[u8] =
    b"GET /1k HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: load/1.0\r\nAccept: */*\r\n\r\n";

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 03:00:00 GMT\r\n\
Content-Type: text/html\r\nContent-Length: 1024\r\nLast-Modified: Fri, 20 Nov 2026 10:00:00 GMT\r\n\
Connection: keep-alive\r\nETag: \"6553f100-400\"\r\nAccept-Ranges: bytes\r\n\
backhand-report: 0000002a-0003-00-11\r\n\r\n";

fn best(name: &str, mut work: impl FnMut()) {
    const ROUNDS: u32 = 300;
    const TIMES: u32 = 2_000;
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..TIMES {
            work();
        }
        least = least.min(begun.elapsed().as_nanos() as f64 / f64::from(TIMES));
    }
    println!("{name:<44} {least:>8.1} ns");
}

fn main() {
    let limits = Limits::default();
    let mut fields = Fields::default();
    let mut out = Vec::with_capacity(4096);
    let onward = Onward {
        from: [192, 0, 2, 77].into(),
        client: [192, 0, 2, 77].into(),
        proto: "http",
        forwarding: Forwarding::Replace,
        authority: "localhost",
        lines: b"backhand-proxied: 192.0.2.77\r\n",
    };
    for (name, text) in [("browser", BROWSER), ("short", SHORT)] {
        let length = text.len();
        best(&format!("scan, {name} ({length} bytes)"), || {
            black_box(Scan::default().advance(black_box(text)).is_ok());
        });
        best(&format!("httparse alone, {name}"), || {
            let mut room = [const { std::mem::MaybeUninit::uninit() }; 256];
            let mut parsed = httparse::Request::new(&mut []);
            black_box(parsed.parse_with_uninit_headers(black_box(text), &mut room).is_ok());
        });
        best(&format!("parse, {name}"), || {
            let head = request::parse(black_box(text), &limits, &mut Scan::default(), &mut fields);
            black_box(head.is_ok());
        });
        let head =
            request::parse(text, &limits, &mut Scan::default(), &mut fields).unwrap().unwrap();
        best(&format!("forward, {name}"), || {
            out.clear();
            forward::request(&mut out, black_box(text), &head, &fields, &onward);
            black_box(out.len());
        });
    }
    let asked = request::parse(SHORT, &limits, &mut Scan::default(), &mut fields).unwrap().unwrap();
    best(&format!("parse, response ({} bytes)", ANSWER.len()), || {
        let (text, scan) = (black_box(ANSWER), &mut Scan::default());
        black_box(response::parse(text, Asked::default(), &limits, scan, &mut fields).is_ok());
    });
    let head =
        response::parse(ANSWER, Asked::default(), &limits, &mut Scan::default(), &mut fields);
    let head = head.unwrap().unwrap();
    let plan = persistence::plan(&asked, &head, true, false);
    let back = Back { client_10: false, plan, date: b"Sat, 21 Nov 2026 03:00:00 GMT", lines: b"" };
    best("forward, response", || {
        out.clear();
        forward::response(&mut out, black_box(ANSWER), &head, &fields, &back);
        black_box(out.len());
    });
    let mut body = b"4000\r\n".to_vec();
    body.extend_from_slice(&[b'x'; 0x4000]);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    best("pass, one chunk of 16 KiB and the last", || {
        let mut decoder = Decoder::from(request::Framing::Chunked);
        black_box(decoder.pass(black_box(&body)).is_ok());
    });
}

//! An origin that answers badly, or well and then no more: the client gets 502, never another's bytes, and a connection whose
//! framing is in doubt is never used again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use testkit::trial::Failed;

use crate::client::{Until, converse};
use crate::servers::{self, Server};

/// What an origin says to a GET, and what becomes of it.
struct Answer {
    name: &'static str,
    text: &'static str,
    /// What the client is answered.
    statuses: &'static [u16],
    /// Whether the origin's connection is used again.
    reused: bool,
}

const fn good(name: &'static str, text: &'static str, status: &'static [u16]) -> Answer {
    Answer { name, text, statuses: status, reused: true }
}

/// The response itself is right, but its connection is not used again.
const fn last(name: &'static str, text: &'static str, status: &'static [u16]) -> Answer {
    Answer { name, text, statuses: status, reused: false }
}

const fn bad(name: &'static str, text: &'static str) -> Answer {
    Answer { name, text, statuses: &[502], reused: false }
}

const ANSWERS: &[Answer] = &[
    good("a plain response", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", &[200]),
    good(
        "a chunked response",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n",
        &[200],
    ),
    good("a response without content", "HTTP/1.1 204 No Content\r\n\r\n", &[204]),
    good(
        "hints before the response",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        &[200],
    ),
    last(
        "a response that says close",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n",
        &[200],
    ),
    last("a response of HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n", &[200]),
    last(
        "a second response that nobody asked for",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
        &[200],
    ),
    last(
        "a body where there is none",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        &[204],
    ),
    bad(
        "a length beside chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    bad("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nok\n"),
    bad(
        "the same length twice",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nok\n",
    ),
    bad("a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nok\n"),
    bad(
        "an unknown coding",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    bad("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    bad("line feeds alone", "HTTP/1.1 200 OK\nContent-Length: 3\n\nok\n"),
    bad("a folded line", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 3\r\n\r\nok\n"),
    bad("a space before a colon", "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nok\n"),
    bad(
        "another protocol unasked",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ),
    bad("a status that is none", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
    bad("something else altogether", "220 mail.example.org ESMTP\r\n"),
    bad(
        "a chunk extension",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n3;x\r\nok\n\r\n0\r\n\r\n",
    ),
    bad(
        "a chunk of the wrong size",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n2\r\nok\n\r\n0\r\n\r\n",
    ),
    bad(
        "a length among the trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\nContent-Length: 3\r\n\r\n",
    ),
];

/// Goes through all answers, one after the other, with a server of its own in front of the origin: at the same time, a connection could be
/// taken by another's request.
pub(crate) fn all(folder: &Path) -> Result<(), Failed> {
    let arrivals = Arrivals::default();
    let server = start(folder, &arrivals).map_err(|why| why.to_string())?;
    let wrong: Vec<String> = (0..)
        .zip(ANSWERS)
        .filter_map(|(i, answer)| {
            let why = check(server.address, &arrivals, i, answer).err()?;
            Some(format!("answered with {}: {why}", answer.name))
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Which connection each target came by.
type Arrivals = Arc<Mutex<Vec<(String, usize)>>>;

fn start(folder: &Path, arrivals: &Arrivals) -> Result<Server, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let origin = listener.local_addr()?;
    let arrivals = arrivals.clone();
    std::thread::spawn(move || {
        for (connection, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let arrivals = arrivals.clone();
            std::thread::spawn(move || answer(stream, connection, &arrivals));
        }
    });
    servers::ours_before(folder, "answers", 4, origin)
}

fn answer(mut stream: TcpStream, connection: usize, arrivals: &Arrivals) {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        text.extend_from_slice(&piece[..n]);
        // Only GET comes here, so a head is a request.
        while let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text[..end]).into_owned();
            text.drain(..end + 4);
            let target = head.split(' ').nth(1).unwrap_or_default();
            let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            arrivals.push((target.to_owned(), connection));
            drop(arrivals);
            let which = target.strip_prefix("/answer/").and_then(|n| n.parse::<usize>().ok());
            let text = which.and_then(|n| ANSWERS.get(n)).unwrap_or(&ANSWERS[0]).text;
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn check(
    server: SocketAddr,
    arrivals: &Arrivals,
    i: usize,
    answer: &Answer,
) -> Result<(), Box<dyn std::error::Error>> {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let until = Until::Answered(1, false);
    let heard = converse(server, get(&format!("/answer/{i}")).as_bytes(), until)?;
    if heard.statuses != answer.statuses {
        return Err(format!("the client heard {heard:?}").into());
    }
    let after =
        converse(server, get(&format!("/after/{i}")).as_bytes(), Until::Answered(1, false))?;
    if after.statuses != [200] {
        return Err(format!("the next client heard {after:?}").into());
    }
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    let by = |target: String| arrivals.iter().rfind(|(t, _)| *t == target).map(|(_, by)| *by);
    let (first, next) = (by(format!("/answer/{i}")), by(format!("/after/{i}")));
    if first.is_none() || next.is_none() || (first == next) != answer.reused {
        return Err(format!("it came by connection {first:?}, the next by {next:?}").into());
    }
    Ok(())
}

//! Shows the pages with the figures of a cluster that does not exist: `cargo run -p console --example
//! preview -- 127.0.0.1:8099`, then open `http://127.0.0.1:8099/backhand/`. `--past N` lets N samples
//! pass first, so that the sparklines have a past. A third argument such as `2x3` asks for so many machines with so many addresses each.

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use balancer::pages::PageBody;
use balancer::{PageReply, PageRequest, Pages};
use console::{Config, Console};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8099".into());
    let interval = match args.next().as_deref() {
        Some("--fast") => Duration::from_millis(200),
        _ => Duration::from_secs(1),
    };
    let console = Console::start(Config { interval, ..Config::default() })?;
    let mut sample = sample::Sample::new(7);
    let wish = args.next().unwrap_or_default();
    if let Some((Ok(machines @ 2..=6), Ok(each @ 2..))) =
        wish.split_once('x').map(|(machines, each)| (machines.parse(), each.parse()))
    {
        sample.addresses = (machines, each);
    }
    console.watch(sample);
    println!("http://{address}/backhand/");
    for stream in TcpListener::bind(address)?.incoming() {
        let (stream, console) = (stream?, Arc::clone(&console));
        std::thread::spawn(move || answer(stream, &*console));
    }
    Ok(())
}

/// One request to a connection is enough for a preview.
fn answer(stream: TcpStream, pages: &dyn Pages) -> std::io::Result<()> {
    let client = stream.peer_addr()?.ip();
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    while let Some(line) = lines.next().transpose()? {
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let (reply, head) = PageReply::new();
    let (path, query) = (path.to_owned(), query.to_owned());
    pages.handle(PageRequest { method, path, query, headers, client }, reply);
    let Ok(head) = head.blocking_recv() else { return Ok(()) };
    let mut out = &stream;
    write!(out, "HTTP/1.1 {} -\r\nconnection: close\r\n", head.status)?;
    for (name, value) in &head.headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    out.write_all(b"\r\n")?;
    match head.body {
        PageBody::Whole(bytes) => out.write_all(&bytes),
        PageBody::Stream(mut chunks) => {
            while let Some(chunk) = chunks.blocking_recv() {
                out.write_all(&chunk)?;
            }
            Ok(())
        }
    }
}

//! The application behind every balancer: a request costs the processor time that it asks for.
//!
//! `GET /work?us=N` burns N microseconds of the thread's own processor time, so a machine with a small quota, or one that
//! shares it with an antagonist, takes longer, as a real application would. One thread a connection; the kernel shares the processor.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// Most processor time one request may ask for, in microseconds.
const MAX_MICROS: u64 = 1_000_000;

/// Serves until killed.
pub(crate) fn serve(at: SocketAddr) -> Result<()> {
    let listener =
        TcpListener::bind(at).with_context(|| format!("the application cannot listen on {at}"))?;
    loop {
        let (stream, _) = listener.accept()?;
        std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
            // A connection that breaks concerns only its client, who will say so.
            let _ = connection(stream);
        })?;
    }
}

fn connection(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let micros = line
            .split("us=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .unwrap_or(0);
        let mut close = line.contains("HTTP/1.0");
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line)?;
            close |= line.to_ascii_lowercase().starts_with("connection: close");
        }
        burn(micros.min(MAX_MICROS));
        let connection = if close { "Connection: close\r\n" } else { "" };
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{connection}\r\nok")?;
        if close {
            return Ok(());
        }
    }
}

fn burn(micros: u64) {
    let now = || {
        let t = clock_gettime(ClockId::ThreadCPUTime);
        t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1000
    };
    let end = now() + micros;
    let mut x = 1u64;
    while now() < end {
        for _ in 0..200 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

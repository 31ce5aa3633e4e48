//! The load: `wrk` on the load's core, and what it reports.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cases::Case;
use crate::process::LOAD_CORE;

/// What one run of the load saw.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
}

/// Waits until the file is answered with success: a cluster first has to meet, a balancer to check its origin.
pub(crate) fn wait_until_served(port: u16, file: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let status = status(port, file).unwrap_or_default();
        if status.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("port {port} does not serve {file} after 10 s; it says {status:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn status(port: u16, file: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(stream, "GET /{file} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(String::from_utf8_lossy(&start).into_owned())
}

/// Keeps `connections` connections busy for some seconds. Any error of the load or answer other than 2xx spoils the run.
pub(crate) fn run(url: &str, case: &Case, connections: u32, seconds: u32) -> Result<Outcome> {
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "wrk", "-t1", "--latency", "--timeout", "10s"]);
    command.args([format!("-c{connections}"), format!("-d{seconds}s")]);
    if !case.keep_alive {
        command.args(["-H", "Connection: close"]);
    }
    let output = command.arg(url).output().context("wrk cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text)
        .with_context(|| format!("{url}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn parse(text: &str) -> Result<Outcome> {
    if let Some(line) = text.lines().find(|l| l.contains("Non-2xx") || spoiled(l)) {
        bail!("the run is void: {}", line.trim());
    }
    let word = |start: &str, n: usize| {
        let line = text.lines().find(|l| l.trim().starts_with(start));
        line.and_then(|l| l.split_whitespace().nth(n))
            .with_context(|| format!("wrk did not say {start:?}"))
    };
    let requests =
        text.lines().find(|l| l.contains("requests in")).and_then(|l| l.split_whitespace().next());
    Ok(Outcome {
        requests: requests.context("wrk did not count")?.parse()?,
        per_second: word("Requests/sec:", 1)?.parse()?,
        p50_micros: micros(word("50%", 1)?)?,
        p99_micros: micros(word("99%", 1)?)?,
    })
}

/// `Socket errors: connect 0, read 0, write 0, timeout 0`. Read errors are how wrk counts a close it asked for, so those do not spoil.
fn spoiled(line: &str) -> bool {
    let Some((_, counts)) = line.split_once("Socket errors:") else { return false };
    counts.split(',').any(|c| !c.trim().ends_with(" 0") && !c.contains("read"))
}

fn micros(text: &str) -> Result<f64> {
    let unit = text.find(|c: char| c.is_alphabetic()).context("no unit")?;
    let number: f64 = text[..unit].parse()?;
    Ok(number
        * match &text[unit..] {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            other => bail!("unknown unit {other}"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "  Latency Distribution\n     50%    1.23ms\n     75%    2.0ms\n     99%    4.50ms\n  120 requests in 1.00s, 3MB read\nRequests/sec:    119.5\n";

    #[test]
    fn the_report_of_the_load_is_read() {
        let got = parse(TEXT).expect("a full report");
        assert_eq!((got.requests, got.per_second), (120, 119.5));
        assert_eq!((got.p50_micros, got.p99_micros), (1230.0, 4500.0));
    }

    #[test]
    fn an_answer_other_than_success_voids_the_run() {
        assert!(parse(&format!("{TEXT}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(
            parse(&format!("{TEXT}  Socket errors: connect 0, read 0, write 0, timeout 2\n"))
                .is_err()
        );
    }
}

//! Whether a request is answered well.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use http1::response::{self, ResponseHead};
use http1::{Decoder, Fields, Limits, Scan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::tcp;

/// What must be in a body is looked for in so much of it.
const MAX_BODY: usize = 64 * 1024;
/// Longest head, and longest run of interim responses.
const MAX_HEAD: usize = 32 * 1024;
/// Read at a time.
const PIECE: usize = 8 * 1024;

/// One request and what makes its answer good.
pub(super) struct Asked<'c> {
    pub(super) address: SocketAddr,
    pub(super) path: &'c str,
    pub(super) host: &'c str,
    pub(super) status: &'c [RangeInclusive<u16>],
    pub(super) contains: &'c Option<String>,
}

/// Asks once, on a connection of its own.
pub(super) async fn check(asked: &Asked<'_>) -> Result<(), String> {
    let Asked { address, path, host, .. } = asked;
    let mut stream = tcp::connect(*address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: backhand-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let lost = |error| format!("connection to {address} lost: {error}");
    stream.write_all(request.as_bytes()).await.map_err(lost)?;
    let mut answer = Answer { stream, buffer: Vec::new(), address: *address };
    let head = answer.head().await?;
    if !asked.status.iter().any(|range| range.contains(&head.status)) {
        return Err(format!("status {} from {address}{path}", head.status));
    }
    match asked.contains {
        Some(wanted) => answer.find(&head, wanted.as_bytes()).await,
        None => Ok(()),
    }
}

struct Answer {
    stream: TcpStream,
    buffer: Vec<u8>,
    address: SocketAddr,
}

impl Answer {
    /// Reads more; false at the end of the connection.
    async fn more(&mut self) -> Result<bool, String> {
        self.buffer.reserve(PIECE);
        let mut limited = (&mut self.stream).take(PIECE as u64);
        match limited.read_buf(&mut self.buffer).await {
            Ok(n) => Ok(n > 0),
            Err(error) => Err(format!("connection to {} lost: {error}", self.address)),
        }
    }

    /// The head that is not an interim one; the buffer then begins with the body.
    async fn head(&mut self) -> Result<ResponseHead, String> {
        let limits = Limits { max_head: MAX_HEAD, ..Limits::default() };
        let (mut scan, mut fields) = (Scan::default(), Fields::default());
        let mut dropped = 0;
        loop {
            let asked = response::Asked::default();
            let parsed = response::parse(&self.buffer, asked, &limits, &mut scan, &mut fields);
            let wrong =
                |why| format!("{} answers no HTTP that can be understood: {why}", self.address);
            if let Some(head) = parsed.map_err(wrong)? {
                self.buffer.drain(..head.len);
                if !head.is_interim() {
                    return Ok(head);
                }
                scan = Scan::default();
                dropped += head.len;
                if dropped > MAX_HEAD {
                    return Err(format!("{} sends interim responses without end", self.address));
                }
            } else if !self.more().await? {
                return Err(format!("{} closed the connection without an answer", self.address));
            }
        }
    }

    /// Looks for bytes in the body, and stops where they are found.
    async fn find(&mut self, head: &ResponseHead, wanted: &[u8]) -> Result<(), String> {
        let mut decoder = Decoder::from(head.framing);
        let mut body = Vec::new();
        // Up to here nothing was found.
        let mut looked = 0;
        loop {
            let input = std::mem::take(&mut self.buffer);
            let progress = decoder
                .data(&input, |data| body.extend_from_slice(data))
                .map_err(|why| format!("{} sends a body that is wrong: {why}", self.address))?;
            body.truncate(MAX_BODY);
            if contains(&body[looked..], wanted) {
                return Ok(());
            }
            looked = (body.len() + 1).saturating_sub(wanted.len()).max(looked);
            let shown = String::from_utf8_lossy(wanted);
            if body.len() >= MAX_BODY {
                return Err(format!("{shown:?} is not in the first {} KiB", MAX_BODY / 1024));
            }
            if progress.done || decoder.is_done() || !self.more().await? {
                return Err(format!("{shown:?} is not in the body of {} bytes", body.len()));
            }
        }
    }
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|window| window == wanted)
}

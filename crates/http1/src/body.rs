//! Bodies: how much of what has come belongs to this message, and whether it is well-formed (RFC 9112 sections 6 and 7).
//!
//! A body is either *passed on* as it is, chunk framing included, once it was checked ([`Decoder::pass`]), or *decoded*
//! to its data ([`Decoder::data`]), without trailers, which RFC 9112 section 7.1.2 allows. Both read the same state
//! machine; bytes after the body's end are not touched. Passing on needs no copy, and the next hop sees chunks exactly
//! as they were checked here.
//!
//! Not here: how long a body may be in all, and how long it may take. The caller counts and waits.

use crate::reject::Reject;
use crate::trailer::Trailer;
use crate::{request, response};

/// Digits of a chunk size: 15 hold more than any disk, and never overflow 64 bits.
const MAX_SIZE_DIGITS: u8 = 15;
/// What a piece of input came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that belong to the body.
    pub used: usize,
    /// Whether the body has ended. What follows in the input is the next message.
    pub done: bool,
}

/// Where one body is. After an error it stays in error.
#[derive(Clone, Debug)]
pub struct Decoder(State);

#[derive(Clone, Debug)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    Chunked(Chunk),
    Broken(Reject),
}

/// Where a chunked body is (RFC 9112 section 7.1).
#[derive(Clone, Debug)]
enum Chunk {
    Size { digits: u8, size: u64 },
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailer(Trailer),
}

impl From<request::Framing> for Decoder {
    fn from(framing: request::Framing) -> Self {
        Self(match framing {
            request::Framing::None | request::Framing::Length(0) => State::Done,
            request::Framing::Length(n) => State::Length(n),
            request::Framing::Chunked => State::chunked(),
        })
    }
}

impl From<response::Framing> for Decoder {
    fn from(framing: response::Framing) -> Self {
        Self(match framing {
            response::Framing::None | response::Framing::Length(0) => State::Done,
            response::Framing::Length(n) => State::Length(n),
            response::Framing::Chunked => State::chunked(),
            response::Framing::UntilClose => State::UntilClose,
        })
    }
}

impl Decoder {
    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// Whether the connection's end is this body's proper end.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.0, State::UntilClose | State::Done)
    }

    /// Bytes left that need no looking at: of a body with a length all, of one until close as many as come, of chunks
    /// none.
    pub fn unread(&self) -> Option<u64> {
        match self.0 {
            State::Length(n) => Some(n),
            State::UntilClose => Some(u64::MAX),
            _ => None,
        }
    }

    /// Notes that `n` of the [`Decoder::unread`] bytes were moved without being shown here (spliced).
    pub fn skip(&mut self, n: u64) {
        if let State::Length(left) = &mut self.0 {
            *left = left.saturating_sub(n);
            if *left == 0 {
                self.0 = State::Done;
            }
        }
    }

    /// Checks a piece of the body. The `used` bytes may be passed on as they are.
    ///
    /// # Errors
    /// Chunks or trailers that are not exactly as they should be. Nothing of `input` may be passed on; what was passed
    /// on before cannot be taken back, so both connections are closed without an orderly end of the body.
    pub fn pass(&mut self, input: &[u8]) -> Result<Progress, Reject> {
        self.run(input, |_| {})
    }

    /// Checks a piece of the body and gives the data in it, without chunk framing or trailers, to `sink`.
    ///
    /// # Errors
    /// As [`Decoder::pass`]; `sink` may have been given what stood before the fault.
    pub fn data(&mut self, input: &[u8], sink: impl FnMut(&[u8])) -> Result<Progress, Reject> {
        self.run(input, sink)
    }

    fn run(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> Result<Progress, Reject> {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            match &mut self.0 {
                State::Done => break,
                State::Broken(why) => return Err(*why),
                State::UntilClose => {
                    sink(rest);
                    used += rest.len();
                }
                State::Length(left) => {
                    let n = take(left, rest);
                    sink(&rest[..n]);
                    used += n;
                    if *left == 0 {
                        self.0 = State::Done;
                    }
                }
                State::Chunked(chunk) => match chunk.step(rest, &mut sink) {
                    Ok(Step { used: n, next }) => {
                        used += n;
                        match next {
                            Some(Next::Done) => self.0 = State::Done,
                            Some(Next::Chunk(next)) => *chunk = next,
                            None => {}
                        }
                    }
                    Err(why) => {
                        self.0 = State::Broken(why);
                        return Err(why);
                    }
                },
            }
        }
        Ok(Progress { used, done: self.is_done() })
    }
}

impl State {
    const fn chunked() -> Self {
        Self::Chunked(Chunk::SIZE)
    }
}

fn take(left: &mut u64, rest: &[u8]) -> usize {
    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
    *left -= n as u64;
    n
}

struct Step {
    used: usize,
    next: Option<Next>,
}

enum Next {
    Done,
    Chunk(Chunk),
}

impl Chunk {
    const SIZE: Self = Self::Size { digits: 0, size: 0 };

    /// Reads at least one byte of `rest`, which is not empty.
    fn step(&mut self, rest: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<Step, Reject> {
        let byte = rest[0];
        let next = match self {
            Self::Size { digits, size } => return read_size(digits, size, rest),
            Self::SizeLf(size) => match (byte, *size) {
                (b'\n', 0) => Self::Trailer(Trailer::new()),
                (b'\n', size) => Self::Data(size),
                _ => return Err(Reject::Chunk),
            },
            Self::Data(left) => {
                let used = take(left, rest);
                sink(&rest[..used]);
                return Ok(Step { used, next: (*left == 0).then_some(Next::Chunk(Self::DataCr)) });
            }
            Self::DataCr if byte == b'\r' => Self::DataLf,
            Self::DataLf if byte == b'\n' => Self::SIZE,
            Self::DataCr | Self::DataLf => return Err(Reject::Chunk),
            Self::Trailer(trailer) => {
                let next = trailer.byte(byte)?.then_some(Next::Done);
                return Ok(Step { used: 1, next });
            }
        };
        Ok(Step { used: 1, next: Some(Next::Chunk(next)) })
    }
}

/// The line of a chunk's size: digits and CR (RFC 9112 section 7.1). An extension is refused, though section 7.1.1 would
/// have it ignored: nobody needs one, and readers differ on where it ends.
fn read_size(digits: &mut u8, size: &mut u64, rest: &[u8]) -> Result<Step, Reject> {
    for (i, &byte) in rest.iter().enumerate() {
        match (byte as char).to_digit(16) {
            Some(digit) if *digits < MAX_SIZE_DIGITS => {
                *size = *size << 4 | u64::from(digit);
                *digits += 1;
            }
            None if byte == b'\r' && *digits > 0 => {
                return Ok(Step { used: i + 1, next: Some(Next::Chunk(Chunk::SizeLf(*size))) });
            }
            _ => return Err(Reject::Chunk),
        }
    }
    Ok(Step { used: rest.len(), next: None })
}

/// What follows the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// What ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The line before a chunk of `len` bytes, in `room`; followed by the data and [`CHUNK_END`]. A chunk of no bytes would
/// end the body: for that there is [`LAST_CHUNK`].
pub fn chunk_line(len: usize, room: &mut [u8; 18]) -> &[u8] {
    debug_assert!(len > 0);
    let mut at = 16;
    room[16..].copy_from_slice(b"\r\n");
    let mut rest = len;
    loop {
        at -= 1;
        room[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            return &room[at..];
        }
    }
}

//! What both decoders share: a header is taken from the buffer as soon as it is there, what it announces once all of it
//! has come.

use bytes::{Buf, Bytes, BytesMut};

use crate::header::{Header, Order};
use crate::limits::HEADER_BYTES;

/// The longest message that is copied out of the receive buffer, in bytes. Longer ones are split off without a copy; a
/// short one would keep a whole buffer alive for as long as somebody holds it.
const COPY_MAX: usize = 4_096;

/// The most bytes worth reading at once.
pub const READ_MAX: usize = 65_536;
/// The fewest bytes worth reading at once: many messages are smaller and come together.
const READ_MIN: usize = 8_192;

/// Takes a header off the front, if all of it is there.
pub(crate) fn header(buffer: &mut BytesMut) -> Option<(Header, Order)> {
    let read = Header::decode(buffer.first_chunk::<HEADER_BYTES>()?);
    buffer.advance(HEADER_BYTES);
    Some(read)
}

/// Takes `length` bytes off the front, if all of them are there.
pub(crate) fn take(buffer: &mut BytesMut, length: usize) -> Option<Bytes> {
    if buffer.len() < length {
        return None;
    }
    if length > COPY_MAX {
        return Some(buffer.split_to(length).freeze());
    }
    let bytes = Bytes::copy_from_slice(&buffer[..length]);
    buffer.advance(length);
    Some(bytes)
}

/// How many bytes to make room for before the next read, if `needed` must be there and `buffered` are.
pub(crate) fn room(needed: usize, buffered: usize) -> usize {
    needed.saturating_sub(buffered).clamp(READ_MIN, READ_MAX)
}

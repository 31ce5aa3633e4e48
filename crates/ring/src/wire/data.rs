//! A numbered packet: chunks of messages of one sender.

use alloc::vec::Vec;

use super::bytes::{Put, Reader};
use crate::event::Service;

/// Bytes of a data message before its chunks, with kind and version.
pub(crate) const DATA_HEAD: usize = 2 + 8 + 8 + 8 + 1 + 1;
/// Bytes before each chunk.
pub(crate) const CHUNK_HEAD: usize = 3;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data<'a> {
    /// The ring, in short.
    pub(crate) ring: u64,
    /// Its place in the one order.
    pub(crate) seq: u64,
    /// The token under which it was numbered or sent again.
    pub(crate) token: u64,
    /// The place of the member that sent it first.
    pub(crate) sender: u8,
    /// Its sender keeps the token for now.
    pub(crate) keeps: bool,
    /// Of a ring that is over, sent again while the next is formed.
    pub(crate) recovery: bool,
    /// The receiver is to pass it on to the others at its site.
    pub(crate) relay: bool,
    /// The chunks.
    pub(crate) body: &'a [u8],
}

impl<'a> Data<'a> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(DATA_HEAD + self.body.len());
        out.put_u64(self.ring);
        out.put_u64(self.seq);
        out.put_u64(self.token);
        out.push(self.sender);
        out.push(u8::from(self.keeps) | u8::from(self.recovery) << 1 | u8::from(self.relay) << 2);
        out.extend_from_slice(self.body);
    }

    pub(super) fn decode(r: &mut Reader<'a>) -> Option<Self> {
        let (ring, seq, token) = (r.u64()?, r.number()?, r.number()?);
        let (sender, bits) = (r.u8()?, r.u8()?);
        Some(Self {
            ring,
            seq,
            token,
            sender,
            keeps: bits & 1 != 0,
            recovery: bits & 2 != 0,
            relay: bits & 4 != 0,
            body: r.0,
        })
    }
}

/// A piece of a message, or a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) service: Service,
    pub(crate) first: bool,
    pub(crate) last: bool,
    /// Where its bytes begin in the body, and how many they are.
    pub(crate) at: usize,
    pub(crate) length: usize,
}

impl Chunk {
    /// Reads the chunk at `at`; `None` at the end, or where the rest makes no sense.
    pub(crate) fn read(body: &[u8], at: usize) -> Option<Self> {
        let mut r = Reader(body.get(at..)?);
        let (bits, length) = (r.u8()?, usize::from(r.u16()?));
        r.take(length)?;
        Some(Self {
            service: if bits & 1 == 0 { Service::Agreed } else { Service::Safe },
            first: bits & 2 != 0,
            last: bits & 4 != 0,
            at: at + CHUNK_HEAD,
            length,
        })
    }

    /// Where the next begins.
    pub(crate) fn end(&self) -> usize {
        self.at + self.length
    }

    /// Appends a chunk with these bytes, at most 65,535.
    pub(crate) fn write(
        out: &mut Vec<u8>,
        service: Service,
        first: bool,
        last: bool,
        bytes: &[u8],
    ) {
        let safe = u8::from(service == Service::Safe);
        out.push(safe | u8::from(first) << 1 | u8::from(last) << 2);
        out.put_u16(bytes.len() as u16);
        out.extend_from_slice(bytes);
    }
}

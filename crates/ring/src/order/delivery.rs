//! From packets in order to messages: when each may be delivered, and putting large ones together.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::store::Store;
use crate::bits::Bits;
use crate::event::{Event, Service};
use crate::settings::{CHUNKS_MAX, MESSAGE_MAX};
use crate::wire::Chunk;

/// The pieces of one sender's message that came so far.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    /// A first piece came, and nothing was wrong since.
    sound: bool,
}

/// How far messages of one ring were delivered.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The packet to go on with.
    seq: u64,
    /// The chunk of it to go on with.
    at: usize,
    /// How many chunks of it were read.
    chunks: usize,
    partial: Vec<Partial>,
}

impl Delivery {
    pub(crate) fn new(members: usize) -> Self {
        let partial = (0..members).map(|_| Partial::default()).collect();
        Self { seq: 1, at: 0, chunks: 0, partial }
    }

    /// Everything up to here was delivered.
    pub(crate) fn done(&self) -> u64 {
        self.seq - 1
    }

    /// Delivers what is here, in order, up to the first hole or the first safe message that is not known to be
    /// everywhere: nothing may overtake it.
    pub(crate) fn advance(&mut self, store: &Store, stable: u64, events: &mut VecDeque<Event>) {
        while let Some(packet) = store.get(self.seq) {
            if !self.packet(packet.sender, &packet.body, self.seq <= stable, events) {
                return;
            }
            (self.seq, self.at, self.chunks) = (self.seq + 1, 0, 0);
        }
    }

    /// The ring is over and everything recoverable was recovered: delivers the rest up to `high`. Behind the
    /// first hole only what `trusted` members sent, for what others sent may be the answer to what is missing.
    pub(crate) fn finish(
        &mut self,
        store: &Store,
        high: u64,
        trusted: Bits,
        events: &mut VecDeque<Event>,
    ) {
        let mut hole = false;
        while self.seq <= high {
            match store.get(self.seq) {
                Some(packet) if !hole || trusted.has(packet.sender.into()) => {
                    self.packet(packet.sender, &packet.body, true, events);
                }
                Some(_) => {}
                None => hole = true,
            }
            (self.seq, self.at, self.chunks) = (self.seq + 1, 0, 0);
        }
    }

    /// `false` if it stopped in front of a safe message.
    fn packet(
        &mut self,
        sender: u8,
        body: &Bytes,
        stable: bool,
        events: &mut VecDeque<Event>,
    ) -> bool {
        let Some(partial) = self.partial.get_mut(usize::from(sender)) else { return true };
        while let Some(chunk) = Chunk::read(body, self.at) {
            if chunk.last && chunk.service == Service::Safe && !stable {
                return false;
            }
            self.chunks += 1;
            if self.chunks > CHUNKS_MAX {
                return true; // No honest sender packs so many.
            }
            self.at = chunk.end();
            let bytes = body.slice(chunk.at..chunk.end());
            let message = match (chunk.first, chunk.last) {
                (true, true) => Some(bytes),
                (true, false) => {
                    partial.bytes.clear();
                    partial.bytes.extend_from_slice(&bytes);
                    partial.sound = true;
                    None
                }
                (false, last) => {
                    partial.sound &= partial.bytes.len() + bytes.len() <= MESSAGE_MAX;
                    if partial.sound {
                        partial.bytes.extend_from_slice(&bytes);
                    }
                    let whole = last && partial.sound;
                    partial.sound &= !last;
                    whole.then(|| Bytes::from(core::mem::take(&mut partial.bytes)))
                }
            };
            if let Some(message) = message {
                let service = chunk.service;
                events.push_back(Event::Delivered { sender: sender.into(), service, message });
            }
        }
        true
    }
}

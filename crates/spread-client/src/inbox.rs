//! What was received and not taken yet.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use spread_wire::client::{Decoder, Event};

use crate::error::Error;
use crate::flow::Flow;

/// Bytes that may be put aside beyond the limit so that a message that has begun can be written to its end: the daemon may wait
/// with reading it until this program has taken most of what waits for it there, a mebibyte and what was on its way.
const BEGUN: usize = 4 << 20;
/// Bytes that an event takes beside what it carries.
const EVENT_BYTES: usize = 256;

#[derive(Debug)]
pub(crate) struct Inbox {
    decoder: Decoder,
    /// Bytes that are no whole message yet, or several.
    pub(crate) buffer: BytesMut,
    /// Events that came while this program was sending.
    waiting: VecDeque<Event>,
    waiting_bytes: usize,
    waiting_max: usize,
    flow: Arc<Flow>,
}

impl Inbox {
    pub(crate) fn new(decoder: Decoder, first: &[u8], waiting_max: usize, flow: Arc<Flow>) -> Self {
        let buffer = BytesMut::from(first);
        Self { decoder, buffer, waiting: VecDeque::new(), waiting_bytes: 0, waiting_max, flow }
    }

    /// The next event, if it has come.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Error> {
        if let Some(event) = self.waiting.pop_front() {
            self.waiting_bytes -= size(&event);
            return Ok(Some(event));
        }
        self.decode()
    }

    /// Puts aside what has come, so that more can be received.
    ///
    /// # Errors
    /// Too much waits already.
    pub(crate) fn put_aside(&mut self) -> Result<(), Error> {
        self.put_aside_up_to(self.waiting_max)
    }

    /// The same while a message is being written.
    ///
    /// # Errors
    /// Far too much waits already.
    pub(crate) fn put_aside_for_begun(&mut self) -> Result<(), Error> {
        self.put_aside_up_to(self.waiting_max.saturating_add(BEGUN))
    }

    fn put_aside_up_to(&mut self, most: usize) -> Result<(), Error> {
        while self.waiting_bytes < most {
            let Some(event) = self.decode()? else { return Ok(()) };
            self.waiting_bytes += size(&event);
            self.waiting.push_back(event);
        }
        Err(Error::Unread { bytes: self.waiting_bytes })
    }

    /// Whether another message may begin.
    ///
    /// # Errors
    /// Too much waits for this program.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.waiting_bytes < self.waiting_max {
            return Ok(());
        }
        Err(Error::Unread { bytes: self.waiting_bytes })
    }

    /// How many bytes to make room for before the next read.
    pub(crate) fn room(&self) -> usize {
        self.decoder.room(self.buffer.len())
    }

    fn decode(&mut self) -> Result<Option<Event>, Error> {
        let event = self.decoder.decode(&mut self.buffer)?;
        if let Some(event) = &event {
            self.flow.received(event);
        }
        Ok(event)
    }
}

fn size(event: &Event) -> usize {
    EVENT_BYTES
        + match event {
            Event::Regular(message) => message.encoded_len(),
            // The sets repeat members.
            Event::Membership(view) => 2 * view.members.as_bytes().len(),
            Event::Reject(reject) => reject.body.len() + reject.groups.as_bytes().len(),
            Event::Transitional(_) | Event::SelfLeave(_) => 0,
        }
}

//! Messages that wait to be sent, and how they become packets: small ones share one, large ones are cut.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::event::Service;
use crate::settings::{CHUNKS_MAX, MESSAGE_MAX, QUEUE_BYTES_MAX};
use crate::wire::{CHUNK_HEAD, Chunk};

/// A smaller rest of a packet is not worth a fragment.
const FRAGMENT_LEAST: usize = 64;

/// Bytes that a waiting message counts for besides its own, so that many empty ones are bounded too.
const COST: usize = 64;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Longer than any message may be.
    #[error("a message of {length} bytes; at most {MESSAGE_MAX} are possible")]
    Long {
        /// Its bytes.
        length: usize,
    },
    /// Too much waits already; try again when there is [`room`](crate::Ring::room).
    #[error("{QUEUE_BYTES_MAX} bytes wait to be sent already")]
    Full,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<(Bytes, Service)>,
    /// How much of the first message was put into packets already.
    sent: usize,
    /// Whether any of it was, which an empty message's `sent` does not tell.
    begun: bool,
    bytes: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, message: Bytes, service: Service) -> Result<(), SubmitError> {
        let length = message.len();
        if length > MESSAGE_MAX {
            return Err(SubmitError::Long { length });
        }
        if self.bytes + length + COST > QUEUE_BYTES_MAX {
            return Err(SubmitError::Full);
        }
        self.bytes += length + COST;
        self.waiting.push_back((message, service));
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn messages(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The view changed in the middle of a message: its pieces in the old view are worth nothing, it is sent whole in the new one.
    pub(crate) fn restart(&mut self) {
        (self.sent, self.begun) = (0, false);
    }

    /// Fills one packet of at most `room` bytes. The second value: it ends a message that must be safe.
    pub(crate) fn fill(&mut self, room: usize) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let mut safe = false;
        for _ in 0..CHUNKS_MAX {
            let Some((message, service)) = self.waiting.front() else { break };
            let left = room.saturating_sub(out.len() + CHUNK_HEAD).min(usize::from(u16::MAX));
            let rest = message.len() - self.sent;
            if rest > left && (left < FRAGMENT_LEAST && !out.is_empty() || left == 0) {
                break;
            }
            if out.is_empty() {
                out.reserve_exact(room.min(rest + CHUNK_HEAD + FRAGMENT_LEAST));
            }
            let piece = &message[self.sent..self.sent + rest.min(left)];
            let last = piece.len() == rest;
            Chunk::write(&mut out, *service, !self.begun, last, piece);
            if last {
                safe |= *service == Service::Safe;
                self.bytes -= message.len() + COST;
                self.waiting.pop_front();
                self.restart();
            } else {
                self.sent += piece.len();
                self.begun = true;
                break;
            }
        }
        (out, safe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(body: &[u8]) -> Vec<(usize, bool, bool)> {
        let mut at = 0;
        core::iter::from_fn(|| {
            let chunk = Chunk::read(body, at)?;
            at = chunk.end();
            Some((chunk.length, chunk.first, chunk.last))
        })
        .collect()
    }

    fn queue(lengths: &[usize]) -> Queue {
        let mut queue = Queue::default();
        for &length in lengths {
            queue.push(alloc::vec![7; length].into(), Service::Agreed).unwrap();
        }
        queue
    }

    #[test]
    fn small_messages_share_a_packet() {
        let (body, _) = queue(&[100, 0, 200]).fill(1000);
        assert_eq!(chunks(&body), [(100, true, true), (0, true, true), (200, true, true)]);
    }

    #[test]
    fn a_large_message_is_cut_and_the_next_fills_its_last_packet() {
        let mut queue = queue(&[1500, 100]);
        assert_eq!(chunks(&queue.fill(1000).0), [(997, true, false)]);
        assert_eq!(chunks(&queue.fill(1000).0), [(503, false, true), (100, true, true)]);
        assert!(queue.is_empty());
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn after_a_change_of_view_a_message_starts_again() {
        let mut queue = queue(&[1500]);
        queue.fill(1000);
        queue.restart();
        assert_eq!(chunks(&queue.fill(1000).0), [(997, true, false)]);
    }

    #[test]
    fn too_long_and_too_much_are_refused() {
        let mut queue = Queue::default();
        let long = Bytes::from(alloc::vec![0; MESSAGE_MAX + 1]);
        assert!(matches!(queue.push(long, Service::Safe), Err(SubmitError::Long { .. })));
        let message = Bytes::from(alloc::vec![0; MESSAGE_MAX]);
        let pushed = (0..1000).take_while(|_| queue.push(message.clone(), Service::Safe).is_ok());
        assert_eq!(pushed.count(), QUEUE_BYTES_MAX / MESSAGE_MAX);
    }
}

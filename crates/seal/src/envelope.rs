//! One sealed datagram, and the channel that seals them.
//!
//! ```text
//!  0  'B' 'H'        2  version = 1       3  purpose (1 announce, 2 exchange, 4 bus, 5 farewell)
//!  4  channel u16    6  zero u16          8  machine [16]         24  boot [16]
//! 40  counter u64   48  ciphertext, then the tag [16]             (numbers big-endian)
//! ```
//!
//! The 48 bytes of the header are readable and authenticated. The key belongs to (purpose, machine,
//! boot, channel), the nonce is four zero bytes and the counter. Every sending thread has a channel
//! of its own and every start a boot of its own, so no nonce is ever used twice under one key.
//!
//! Not here: opening, which needs a memory of what was seen. See [`crate::opener`].

use alloc::vec::Vec;

use base::{Boot, MachineId};

use crate::key::ClusterKey;
use crate::suite::{Cipher, NONCE_LEN, Purpose, Speaker, Suite, TAG_LEN};

/// Bytes before the ciphertext.
pub const HEADER_LEN: usize = 48;
/// Bytes a sealed datagram is longer than its text.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// The longest datagram sent or accepted: what IPv6 passes on any link (1,280) less its headers. The bus knows its links
/// and may send longer ones, up to [`MAX_BUS_DATAGRAM`].
pub const MAX_DATAGRAM: usize = 1232;
/// The longest datagram of the bus: what UDP over IPv4 can carry.
pub const MAX_BUS_DATAGRAM: usize = 65_507;
/// The version of the envelope that is spoken here.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 2] = *b"BH";

/// The readable part of a datagram. Nothing in it is true until the datagram was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the datagram is for.
    pub purpose: Purpose,
    /// Which of the speaker's sending threads sealed it.
    pub channel: u16,
    /// Who claims to speak.
    pub speaker: Speaker,
    /// The number of the datagram within its channel, from 1.
    pub counter: u64,
}

/// Why a datagram was not opened. It changed nothing but this count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// Shorter or longer than any sealed datagram.
    #[error(
        "a datagram of {length} bytes; those of its kind have {OVERHEAD} to {MAX_DATAGRAM}, of the bus to {MAX_BUS_DATAGRAM}"
    )]
    Length {
        /// Bytes received.
        length: usize,
    },
    /// Not one of ours: another program on this port, or noise.
    #[error("a datagram that does not begin as ours do")]
    Foreign,
    /// An envelope this program does not know; not authenticated, so it may be a lie.
    #[error("a datagram in envelope version {version}, where {VERSION} is spoken here")]
    Version {
        /// The version found.
        version: u8,
    },
    /// For another purpose than this socket serves.
    #[error("a datagram for another purpose than this socket serves")]
    Purpose,
    /// The key did not fit: damaged on the way, made without the key, or with another cluster's.
    #[error(
        "a datagram that the cluster key does not open: damaged, forged, or from a cluster with another key"
    )]
    Forged,
    /// Its counter was seen, or is too old to tell.
    #[error("a datagram seen before")]
    Replayed,
    /// Too many unknown senders at once; keys are derived for a bounded number each second.
    #[error("more unknown senders than keys are derived for in a second")]
    Busy,
    /// Every remembered channel is in use.
    #[error("a new sender while every remembered channel is in use")]
    Full,
}

impl Header {
    /// Reads and checks the header: length, magic, version, purpose. Costs a few comparisons.
    ///
    /// # Errors
    /// [`Refusal`], the cheapest reason that applies.
    pub fn read(datagram: &[u8]) -> Result<Self, Refusal> {
        let length = datagram.len();
        if !(OVERHEAD..=MAX_BUS_DATAGRAM).contains(&length) {
            return Err(Refusal::Length { length });
        }
        let Some(header) = datagram.first_chunk::<HEADER_LEN>() else {
            return Err(Refusal::Length { length });
        };
        if header[..2] != MAGIC {
            return Err(Refusal::Foreign);
        }
        if header[2] != VERSION {
            return Err(Refusal::Version { version: header[2] });
        }
        let purpose = Purpose::of_datagram(header[3]).ok_or(Refusal::Purpose)?;
        if length > longest(purpose) {
            return Err(Refusal::Length { length });
        }
        if header[6..8] != [0, 0] {
            return Err(Refusal::Foreign);
        }
        Ok(Self {
            purpose,
            channel: u16::from_be_bytes(array(header, 4)),
            speaker: Speaker {
                machine: MachineId(array(header, 8)),
                boot: Boot(array(header, 24)),
            },
            counter: u64::from_be_bytes(array(header, 40)),
        })
    }

    fn write(&self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[..2].copy_from_slice(&MAGIC);
        header[2] = VERSION;
        header[3] = self.purpose as u8;
        header[4..6].copy_from_slice(&self.channel.to_be_bytes());
        header[8..24].copy_from_slice(&self.speaker.machine.0);
        header[24..40].copy_from_slice(&self.speaker.boot.0);
        header[40..].copy_from_slice(&self.counter.to_be_bytes());
        header
    }
}

const fn longest(purpose: Purpose) -> usize {
    match purpose {
        Purpose::Bus => MAX_BUS_DATAGRAM,
        Purpose::Announce | Purpose::Exchange | Purpose::Peer | Purpose::Farewell => MAX_DATAGRAM,
    }
}

/// `N` bytes of a header from `at`; the callers' constants lie within it.
fn array<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    core::array::from_fn(|i| header[at + i])
}

pub(crate) fn nonce(counter: u64) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// Seals the datagrams of one channel. One per sending thread and purpose; never two for the same
/// (purpose, speaker, channel), or nonces would meet.
pub struct Sealer<S: Suite> {
    cipher: S::Cipher,
    header: Header,
}

impl<S: Suite> Sealer<S> {
    /// The sealer of `channel` of `speaker`. Its first datagram has counter 1.
    pub fn new(
        suite: &S,
        key: &ClusterKey,
        purpose: Purpose,
        speaker: Speaker,
        channel: u16,
    ) -> Self {
        let cipher = suite.cipher(&key.channel(suite, purpose, &speaker, channel));
        Self { cipher, header: Header { purpose, channel, speaker, counter: 0 } }
    }

    /// Who speaks.
    pub fn speaker(&self) -> Speaker {
        self.header.speaker
    }

    /// Writes the sealed form of `text` into `out`, replacing what was there.
    ///
    /// The caller keeps `text` within [`MAX_DATAGRAM`] (the bus: [`MAX_BUS_DATAGRAM`]) − [`OVERHEAD`] bytes; receivers refuse more.
    pub fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) {
        debug_assert!(text.len() + OVERHEAD <= longest(self.header.purpose));
        // 2⁶⁴ datagrams at a million a second take half a million years.
        self.header.counter += 1;
        let header = self.header.write();
        out.clear();
        out.extend_from_slice(&header);
        out.extend_from_slice(text);
        let tag = self.cipher.seal(nonce(self.header.counter), &header, &mut out[HEADER_LEN..]);
        out.extend_from_slice(&tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_suite::{Ring, speaker};

    #[test]
    fn a_header_reads_as_it_was_written() {
        let key = ClusterKey::published();
        let mut sealer = Sealer::new(&Ring, &key, Purpose::Exchange, speaker(3, 4), 0x0506);
        let mut out = Vec::new();
        sealer.seal(b"one", &mut out);
        sealer.seal(b"two", &mut out);
        assert_eq!(out.len(), OVERHEAD + 3);
        let expected = Header {
            purpose: Purpose::Exchange,
            channel: 0x0506,
            speaker: speaker(3, 4),
            counter: 2,
        };
        assert_eq!(Header::read(&out), Ok(expected));
        assert!(!out.windows(3).any(|w| w == b"two"), "the text can be read");
    }

    #[test]
    fn a_header_is_refused_for_its_cheapest_reason() {
        let mut datagram = [0u8; OVERHEAD];
        assert_eq!(Header::read(&datagram[1..]), Err(Refusal::Length { length: OVERHEAD - 1 }));
        let mut long = [0; 1233];
        long[..4].copy_from_slice(b"BH\x01\x01");
        assert_eq!(Header::read(&long), Err(Refusal::Length { length: 1233 }));
        long[3] = Purpose::Bus as u8;
        assert!(Header::read(&long).is_ok());
        assert_eq!(Header::read(&datagram), Err(Refusal::Foreign));
        datagram[..3].copy_from_slice(b"BH\x02");
        assert_eq!(Header::read(&datagram), Err(Refusal::Version { version: 2 }));
        datagram[2] = 1;
        for purpose in [0, 3, 6, 255] {
            datagram[3] = purpose;
            assert_eq!(Header::read(&datagram), Err(Refusal::Purpose));
        }
        datagram[3] = 1;
        assert!(Header::read(&datagram).is_ok());
        datagram[7] = 1;
        assert_eq!(Header::read(&datagram), Err(Refusal::Foreign));
    }
}

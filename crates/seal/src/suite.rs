//! What a driver supplies: the three primitives everything here is made of.
//!
//! The core holds no cipher of its own, so that the choice of library can change in one file of a
//! driver and a test can count calls. All machines of a cluster must use the same three algorithms:
//! HKDF-SHA256, HMAC-SHA256 and AES-256-GCM. They are part of the packet's definition.

use base::{Boot, MachineId};

/// Bytes of a derived key and of a message authentication code.
pub const KEY_LEN: usize = 32;
/// Bytes of an AEAD nonce.
pub const NONCE_LEN: usize = 12;
/// Bytes of an AEAD tag.
pub const TAG_LEN: usize = 16;

/// HKDF-SHA256, HMAC-SHA256 and AES-256-GCM, from a library of the driver's choice.
pub trait Suite: Clone {
    /// An AEAD with its key schedule done.
    type Cipher: Cipher;

    /// HKDF-SHA256 (RFC 5869): extract from `secret` with `salt`, expand with the concatenation of
    /// `info`, to 32 bytes.
    fn derive(
        &self,
        salt: &[u8],
        secret: &[u8; KEY_LEN],
        info: &[&[u8]],
    ) -> zeroize::Zeroizing<[u8; KEY_LEN]>;

    /// HMAC-SHA256 under `key` of the concatenation of `parts`.
    fn mac(&self, key: &[u8; KEY_LEN], parts: &[&[u8]]) -> [u8; KEY_LEN];

    /// Whether `tag` is the [`mac`](Self::mac) of `parts`, compared in constant time.
    ///
    /// A tag of another length is not.
    fn verify(&self, key: &[u8; KEY_LEN], parts: &[&[u8]], tag: &[u8]) -> bool;

    /// AES-256-GCM under `key`.
    fn cipher(&self, key: &[u8; KEY_LEN]) -> Self::Cipher;
}

/// AES-256-GCM under one key.
pub trait Cipher {
    /// Encrypts `text` in place and returns the tag over it and `associated`.
    ///
    /// The caller never passes one nonce twice under one key.
    fn seal(&self, nonce: [u8; NONCE_LEN], associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN];

    /// Decrypts `text` (ciphertext, then tag) in place; the plaintext is its front, without the
    /// last [`TAG_LEN`] bytes. `false` if it was not sealed with this key, nonce and `associated`,
    /// or is shorter than a tag; `text` is then worthless.
    fn open(&self, nonce: [u8; NONCE_LEN], associated: &[u8], text: &mut [u8]) -> bool;
}

/// Random bytes of the operating system, passed in by the driver.
///
/// Not the seeded [`base::Random`]: whoever can guess these can answer for a machine that is dead.
pub trait Entropy {
    /// Fills `out` with bytes nobody can predict.
    fn fill(&mut self, out: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Entropy for F {
    fn fill(&mut self, out: &mut [u8]) {
        self(out);
    }
}

/// What a derived key is for. A message of one purpose never opens under the key of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// Announcements.
    Announce = 1,
    /// Probes, questions and their answers.
    Exchange = 2,
    /// The handshake of a connection between machines.
    Peer = 3,
    /// Reserved for the bus.
    Bus = 4,
    /// The last word of a run of the program, said by its guardian.
    Farewell = 5,
}

impl Purpose {
    /// The purpose a datagram's header names; `None` for those that no datagram has.
    pub fn of_datagram(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Announce),
            2 => Some(Self::Exchange),
            4 => Some(Self::Bus),
            5 => Some(Self::Farewell),
            _ => None,
        }
    }
}

/// One life of one machine: who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speaker {
    /// The machine.
    pub machine: MachineId,
    /// Which run of the program on it.
    pub boot: Boot,
}

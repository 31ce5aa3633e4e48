//! The cluster key: 32 secret bytes that every machine of a cluster holds.
//!
//! A key file holds one line: 64 hexadecimal digits, or the base64 of 32 bytes (standard or URL
//! alphabet, padded or not). White space around it does not matter. A pass phrase is refused: keys
//! are derived without deliberate slowness, since each packet of an unknown sender costs one, so
//! whoever recorded a single packet could try a dictionary against it at leisure.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::suite::{KEY_LEN, Purpose, Speaker, Suite};

/// Separates our derivations from any other use of the same 32 bytes.
const SALT: &[u8] = b"backhand cluster key 1";

/// The secret all machines of a cluster share. Wiped from memory when dropped, never printed.
#[derive(Clone)]
pub struct ClusterKey(Zeroizing<[u8; KEY_LEN]>);

/// The text of a key file is not a key. It names no part of the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing but white space.
    #[error("the key file is empty; `backhand key` makes one")]
    Empty,
    /// Neither 64 hexadecimal digits nor the base64 of 32 bytes.
    #[error(
        "{length} characters that are neither 64 hexadecimal digits nor the base64 of 32 bytes; a pass phrase is not \
         accepted because one recorded packet would let anyone try a dictionary; `backhand key` makes one"
    )]
    Form {
        /// Characters found, white space at the ends not counted.
        length: usize,
    },
    /// Well-formed, but one byte repeated: a placeholder that somebody forgot to replace.
    #[error("the key is one byte repeated, a placeholder; `backhand key` makes one")]
    Placeholder,
}

impl ClusterKey {
    /// The key of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Whether both are the same key. For who holds both; takes the same time whatever they are.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0.iter()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }

    /// The key a key file's text holds.
    ///
    /// # Errors
    /// [`KeyError`] if the text is empty, not a key, or an obvious placeholder.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        let bytes = hex(text.as_bytes())
            .or_else(|| base64(text.as_bytes()))
            .ok_or(KeyError::Form { length: text.chars().count() })?;
        if bytes.iter().all(|&b| b == bytes[0]) {
            return Err(KeyError::Placeholder);
        }
        Ok(Self(bytes))
    }

    /// The published key of a cluster that was given none: anyone can compute it.
    ///
    /// It gives all packets one form. The driver allows it only on loopback, or where the user wrote
    /// `insecure = true`.
    pub fn published() -> Self {
        Self::from_bytes(*b"backhand: a cluster without key.")
    }

    /// Whether this is the [`published`](Self::published) key, which protects nothing.
    pub fn is_published(&self) -> bool {
        *self.0 == *Self::published().0
    }

    /// The key for one channel of one speaker, for one purpose.
    pub fn channel<S: Suite>(
        &self,
        suite: &S,
        purpose: Purpose,
        speaker: &Speaker,
        channel: u16,
    ) -> Zeroizing<[u8; KEY_LEN]> {
        let (purpose, channel) = ([purpose as u8], channel.to_be_bytes());
        let info: [&[u8]; 4] = [&purpose, &speaker.machine.0, &speaker.boot.0, &channel];
        suite.derive(SALT, &self.0, &info)
    }

    /// The key of one purpose that all machines share.
    pub fn shared<S: Suite>(&self, suite: &S, purpose: Purpose) -> Zeroizing<[u8; KEY_LEN]> {
        suite.derive(SALT, &self.0, &[&[purpose as u8]])
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

fn exactly(bytes: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    bytes.try_into().ok().map(Zeroizing::new)
}

fn hex(text: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    if text.len() != 2 * KEY_LEN {
        return None;
    }
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LEN));
    for pair in text.chunks_exact(2) {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    exactly(&bytes)
}

fn base64(text: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let digits = text.strip_suffix(b"=").unwrap_or(text);
    // 32 bytes are 42 digits of six bits and one that carries four; its last two bits must be zero.
    if digits.len() != 43 {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LEN));
    let (mut held, mut bits) = (0u32, 0);
    for &c in digits {
        held = held << 6 | u32::from(sextet(c)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    if held != 0 {
        return None;
    }
    exactly(&bytes)
}

fn sextet(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_suite::{Ring, speaker};
    use std::format;
    use std::string::ToString;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1B1C1D1E1F";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn hexadecimal_and_base64_are_the_same_key() {
        let bytes: [u8; 32] = core::array::from_fn(|i| i as u8);
        for text in [HEX, BASE64, BASE64.trim_end_matches('='), &format!("  {HEX}\r\n")] {
            assert_eq!(ClusterKey::from_text(text).unwrap().0[..], bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_quoting_it() {
        assert_eq!(ClusterKey::from_text(" \n").err(), Some(KeyError::Empty));
        for text in ["correct horse battery staple", &HEX[1..], &BASE64[2..], &format!("{HEX}0")] {
            let error = ClusterKey::from_text(text).err().unwrap();
            assert_eq!(error, KeyError::Form { length: text.len() });
            assert!(!error.to_string().contains(text), "the message quotes a secret");
        }
        // Bits beyond the 32nd byte.
        let crooked = format!("{}/", "A".repeat(42));
        assert!(ClusterKey::from_text(&crooked).is_err());
    }

    #[test]
    fn a_placeholder_is_refused() {
        assert_eq!(ClusterKey::from_text(&"0".repeat(64)).err(), Some(KeyError::Placeholder));
        assert_eq!(ClusterKey::from_text(&"ab".repeat(32)).err(), Some(KeyError::Placeholder));
    }

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", ClusterKey::from_text(HEX).unwrap()), "ClusterKey(..)");
    }

    #[test]
    fn every_purpose_speaker_and_channel_has_a_key_of_its_own() {
        let key = ClusterKey::from_text(HEX).unwrap();
        let base = key.channel(&Ring, Purpose::Announce, &speaker(1, 1), 0);
        for other in [
            key.channel(&Ring, Purpose::Exchange, &speaker(1, 1), 0),
            key.channel(&Ring, Purpose::Announce, &speaker(2, 1), 0),
            key.channel(&Ring, Purpose::Announce, &speaker(1, 2), 0),
            key.channel(&Ring, Purpose::Announce, &speaker(1, 1), 1),
            key.shared(&Ring, Purpose::Announce),
            ClusterKey::published().channel(&Ring, Purpose::Announce, &speaker(1, 1), 0),
        ] {
            assert_ne!(*base, *other);
        }
        assert!(ClusterKey::published().is_published() && !key.is_published());
    }
}

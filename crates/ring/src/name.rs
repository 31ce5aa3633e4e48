//! The name of a daemon, and the number that clients see for it.

use core::borrow::Borrow;
use core::fmt;

/// The longest name, in bytes (`MAX_PROC_NAME` of the original is 20 with its NUL).
pub const NAME_MAX: usize = 19;
/// How much of a name that cannot be used as it is stays readable.
const KEPT: usize = 10;

/// 1 to 19 bytes between `$` and `~`: the part after the second `#` of a private group.
///
/// Names are ordered bytewise. That order is the order of members in a view unless a fixed list gives another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DaemonName {
    /// Padded with zeros, so that the derived order is the order of the bytes.
    bytes: [u8; NAME_MAX],
    length: u8,
}

/// Why some bytes are no name of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No bytes.
    #[error("the name of a daemon is empty; it has 1 to {NAME_MAX} bytes")]
    Empty,
    /// More than 19 bytes.
    #[error("the name of a daemon has {length} bytes; at most {NAME_MAX} are possible")]
    Long {
        /// How many it has.
        length: usize,
    },
    /// A byte outside of `$` to `~`.
    #[error(
        "the name of a daemon has byte {byte:#04x} at position {at}; possible are the characters from '$' to '~', which leaves out space, '!', '\"' and '#'"
    )]
    Byte {
        /// The byte.
        byte: u8,
        /// Where, from 0.
        at: usize,
    },
}

impl DaemonName {
    /// Takes `bytes` as they are.
    ///
    /// # Errors
    /// [`NameError`] if they are no name.
    pub fn new(bytes: &[u8]) -> Result<Self, NameError> {
        if bytes.is_empty() {
            return Err(NameError::Empty);
        }
        if bytes.len() > NAME_MAX {
            return Err(NameError::Long { length: bytes.len() });
        }
        if let Some((at, &byte)) = bytes.iter().enumerate().find(|(_, byte)| !is_legal(**byte)) {
            return Err(NameError::Byte { byte, at });
        }
        let mut name = Self { bytes: [0; NAME_MAX], length: bytes.len() as u8 };
        name.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(name)
    }

    /// The name of the machine `host`: its first label; if that is no name, its first 10 bytes (`-` for each
    /// that is not possible), `-`, and 8 characters of a hash of all of it, so that two long names stay two.
    pub fn of_host(host: &str) -> Self {
        let label = host.split('.').next().unwrap_or_default().as_bytes();
        if let Ok(name) = Self::new(label) {
            return name;
        }
        let mut bytes = [0; NAME_MAX];
        let mut length = 0;
        for &byte in label.iter().take(KEPT) {
            bytes[length] = if is_legal(byte) { byte } else { b'-' };
            length += 1;
        }
        bytes[length] = b'-';
        length += 1;
        // A host whose name begins with a dot has no first label; two of them are two.
        let mut rest = fnv1a(if label.is_empty() { host.as_bytes() } else { label });
        for _ in 0..8 {
            bytes[length] = b"abcdefghijklmnopqrstuvwxyz234567"[(rest >> 59) as usize];
            rest <<= 5;
            length += 1;
        }
        Self { bytes, length: length as u8 }
    }

    /// The bytes, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The name as text; every name is ASCII.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The *virtual id*: Jenkins' one-at-a-time hash of the name with its NUL, started with that length, bytes
    /// signed. Clients see it as the first word of membership ids (`spread-semantics.md`, 8). 0 and
    /// 0xffffffff are not given; their neighbours are.
    pub fn virtual_id(&self) -> u32 {
        let start = u32::from(self.length) + 1;
        let bytes = self.as_bytes().iter().copied().chain([0]);
        let mut hash = bytes.fold(start, |hash, byte| {
            let hash = hash.wrapping_add(byte as i8 as u32);
            let hash = hash.wrapping_add(hash << 10);
            hash ^ hash >> 6
        });
        hash = hash.wrapping_add(hash << 3);
        hash ^= hash >> 11;
        hash.wrapping_add(hash << 15).clamp(1, u32::MAX - 1)
    }
}

fn is_legal(byte: u8) -> bool {
    (b'$'..=b'~').contains(&byte)
}

/// The hash of Fowler, Noll and Vo, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Borrow<[u8]> for DaemonName {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for DaemonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DaemonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DaemonName {
        DaemonName::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn virtual_ids_are_those_of_the_original() {
        let ids = ["alpha", "beta", "gamma", "localhost"].map(|text| name(text).virtual_id());
        assert_eq!(ids, [2_936_723_249, 1_210_674_471, 2_743_746_477, 482_711_334]);
    }

    #[test]
    fn the_order_is_bytewise_and_a_beginning_comes_first() {
        assert!(name("a") < name("ab"));
        assert!(name("ab") < name("b"));
        assert!(name("B") < name("a"));
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_reason() {
        assert_eq!(DaemonName::new(b""), Err(NameError::Empty));
        assert_eq!(DaemonName::new(&[b'a'; 20]), Err(NameError::Long { length: 20 }));
        assert_eq!(DaemonName::new(b"a#b"), Err(NameError::Byte { byte: b'#', at: 1 }));
        assert!(DaemonName::new(&[b'~'; 19]).is_ok());
    }

    #[test]
    fn a_host_gives_its_first_label() {
        assert_eq!(DaemonName::of_host("web1.example.com"), name("web1"));
    }

    #[test]
    fn a_long_or_impossible_label_keeps_ten_bytes_and_a_hash() {
        let long = DaemonName::of_host("a-very-long-machine-name-1");
        let other = DaemonName::of_host("a-very-long-machine-name-2");
        assert_eq!(long.as_bytes().len(), 19);
        assert!(long.as_str().starts_with("a-very-lon-"));
        assert_ne!(long, other);
        assert!(DaemonName::of_host("bücher").as_str().starts_with("b--cher-"));
        assert!(DaemonName::of_host("").as_str().starts_with('-'));
        assert_ne!(DaemonName::of_host(".one.example"), DaemonName::of_host(".two.example"));
    }
}

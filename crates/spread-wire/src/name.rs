//! Names: of a session at its daemon, of a group, and the private group that addresses one session.
//!
//! All are values of fixed size, ordered bytewise as the original's `strcmp` orders them. Legal bytes are those from `$`
//! to `~` (protocol reference, 2.5); `#` only builds private groups: `#session#daemon`.

use core::fmt;

use crate::limits::{GROUP_NAME_MAX, NAME_FIELD_BYTES, PRIVATE_NAME_MAX, PROC_NAME_MAX};

/// Whether a byte may stand in a private name, a daemon's name and a group that can be joined.
pub const fn is_legal(byte: u8) -> bool {
    matches!(byte, b'$'..=b'~')
}

/// Why some bytes are no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No bytes.
    #[error("the {kind} is empty; it has 1 to {max} bytes")]
    Empty {
        /// What was to be named.
        kind: Kind,
        /// The most bytes it may have.
        max: usize,
    },
    /// Too many bytes.
    #[error("the {kind} has {length} bytes; at most {max} are possible")]
    Long {
        /// What was to be named.
        kind: Kind,
        /// How many it has.
        length: usize,
        /// The most bytes it may have.
        max: usize,
    },
    /// A byte that may not stand there.
    #[error(
        "the {kind} has byte {byte:#04x} at position {at}; possible are the characters from '$' to '~', which leaves out space, '!', '\"' and '#'"
    )]
    Byte {
        /// What was to be named.
        kind: Kind,
        /// The byte.
        byte: u8,
        /// Where, from 0.
        at: usize,
    },
    /// A private group that is not `#session#daemon`.
    #[error("a private group has the form #session#daemon, and this has not")]
    NotPrivate,
}

/// What is named, for [`NameError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session at its daemon.
    Private,
    /// A daemon.
    Daemon,
    /// A group.
    Group,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private name",
            Self::Daemon => "name of the daemon",
            Self::Group => "group name",
        })
    }
}

fn check(kind: Kind, bytes: &[u8], max: usize, legal: fn(u8) -> bool) -> Result<(), NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty { kind, max });
    }
    if bytes.len() > max {
        return Err(NameError::Long { kind, length: bytes.len(), max });
    }
    match bytes.iter().enumerate().find(|(_, byte)| !legal(**byte)) {
        Some((at, &byte)) => Err(NameError::Byte { kind, byte, at }),
        None => Ok(()),
    }
}

/// The name of a session at its daemon: 1 to 10 bytes from `$` to `~`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrivateName {
    /// Padded with zeros, so that the derived order is the order of the bytes.
    bytes: [u8; PRIVATE_NAME_MAX],
    length: u8,
}

impl PrivateName {
    /// Takes `bytes` as they are.
    ///
    /// # Errors
    /// They are no private name.
    pub fn new(bytes: &[u8]) -> Result<Self, NameError> {
        check(Kind::Private, bytes, PRIVATE_NAME_MAX, is_legal)?;
        let mut name = Self { bytes: [0; PRIVATE_NAME_MAX], length: bytes.len() as u8 };
        name.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(name)
    }

    /// The bytes, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The name as text; every private name is ASCII.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// A group name as it stands in a message: 1 to 31 bytes other than NUL.
///
/// As a destination any such name is possible: one that nobody can be a member of reaches nobody. What a session may
/// join is narrower: see [`GroupName::new`] and [`GroupName::is_joinable`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName([u8; NAME_FIELD_BYTES]);

impl GroupName {
    /// A group that sessions may join: bytes from `$` to `~`.
    ///
    /// # Errors
    /// Nobody may join such a group.
    pub fn new(bytes: &[u8]) -> Result<Self, NameError> {
        check(Kind::Group, bytes, GROUP_NAME_MAX, is_legal)?;
        Ok(Self::padded(bytes))
    }

    /// Any name that can stand in a message, so private groups too.
    ///
    /// # Errors
    /// It is empty, too long, or has a NUL.
    pub fn destination(bytes: &[u8]) -> Result<Self, NameError> {
        check(Kind::Group, bytes, GROUP_NAME_MAX, |byte| byte != 0)?;
        Ok(Self::padded(bytes))
    }

    /// Reads the field of a message: up to its first NUL, and at most 31 bytes, whatever the last one is. An empty
    /// field is no name.
    pub fn from_field(field: &[u8; NAME_FIELD_BYTES]) -> Option<Self> {
        let usable = &field[..GROUP_NAME_MAX];
        let length = usable.iter().position(|&byte| byte == 0).unwrap_or(GROUP_NAME_MAX);
        (length > 0).then(|| Self::padded(&usable[..length]))
    }

    fn padded(bytes: &[u8]) -> Self {
        let mut field = [0; NAME_FIELD_BYTES];
        field[..bytes.len()].copy_from_slice(bytes);
        Self(field)
    }

    /// The field of a message: the name, padded with NUL.
    pub fn field(&self) -> &[u8; NAME_FIELD_BYTES] {
        &self.0
    }

    /// The bytes, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(GROUP_NAME_MAX);
        &self.0[..length]
    }

    /// Whether a session may join it (or leave it): every byte from `$` to `~`.
    pub fn is_joinable(&self) -> bool {
        self.as_bytes().iter().all(|&byte| is_legal(byte))
    }

    /// The session that it addresses, if it is a private group.
    pub fn private(&self) -> Option<PrivateGroup> {
        PrivateGroup::parse(self).ok()
    }
}

/// The private group of one session: `#session#daemon`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrivateGroup {
    group: GroupName,
    private: PrivateName,
}

impl PrivateGroup {
    /// The group of the session `private` at the daemon named `daemon`.
    ///
    /// # Errors
    /// `daemon` is not 1 to 19 legal bytes.
    pub fn new(private: &PrivateName, daemon: &[u8]) -> Result<Self, NameError> {
        check(Kind::Daemon, daemon, PROC_NAME_MAX, is_legal)?;
        let mut field = [0; NAME_FIELD_BYTES];
        let name = private.as_bytes();
        let second = 1 + name.len();
        field[0] = b'#';
        field[1..second].copy_from_slice(name);
        field[second] = b'#';
        field[second + 1..second + 1 + daemon.len()].copy_from_slice(daemon);
        Ok(Self { group: GroupName(field), private: *private })
    }

    /// Takes a group apart.
    ///
    /// # Errors
    /// It has not the form `#session#daemon` with two legal names.
    pub fn parse(group: &GroupName) -> Result<Self, NameError> {
        let rest = group.as_bytes().strip_prefix(b"#").ok_or(NameError::NotPrivate)?;
        let at = rest.iter().position(|&byte| byte == b'#').ok_or(NameError::NotPrivate)?;
        Self::new(&PrivateName::new(&rest[..at])?, &rest[at + 1..])
    }

    /// The name as it stands in messages.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// The session's name at its daemon.
    pub fn private(&self) -> &PrivateName {
        &self.private
    }

    /// The daemon's name.
    pub fn daemon(&self) -> &[u8] {
        &self.group.as_bytes()[2 + self.private.as_bytes().len()..]
    }

    /// The bytes, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        self.group.as_bytes()
    }
}

impl From<PrivateGroup> for GroupName {
    fn from(group: PrivateGroup) -> Self {
        group.group
    }
}

macro_rules! shown {
    ($($name:ident),+) => {$(
        // For people: bytes that are no printable ASCII are escaped, so a name cannot forge a line of a log.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.as_bytes().escape_ascii(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{self}\"")
            }
        }
    )+};
}
shown!(PrivateName, GroupName, PrivateGroup);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn private(text: &str) -> PrivateName {
        PrivateName::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_private_name_has_one_to_ten_legal_bytes() {
        assert_eq!(private("$2345678~0").as_str(), "$2345678~0");
        let kind = Kind::Private;
        assert_eq!(PrivateName::new(b""), Err(NameError::Empty { kind, max: 10 }));
        let long = NameError::Long { kind, length: 11, max: 10 };
        assert_eq!(PrivateName::new(&[b'a'; 11]), Err(long));
        for byte in [b'#', b' ', 0x7f, 0xc3, 0, b'"', b'!'] {
            let wrong = NameError::Byte { kind, byte, at: 1 };
            assert_eq!(PrivateName::new(&[b'a', byte, b'b']), Err(wrong));
        }
    }

    #[test]
    fn a_private_group_is_built_and_taken_apart() {
        let group = PrivateGroup::new(&private("alice"), b"localhost").unwrap();
        assert_eq!(group.to_string(), "#alice#localhost");
        assert_eq!(group.daemon(), b"localhost");
        assert_eq!(group.group().private(), Some(group));
        let longest = PrivateGroup::new(&private("0123456789"), &[b'd'; 19]).unwrap();
        assert_eq!(longest.as_bytes().len(), 31);
        assert_eq!(longest.group().private(), Some(longest));
    }

    #[test]
    fn what_is_no_private_group_is_not_taken_for_one() {
        let wrong = [
            "alice",
            "#alice",
            "##daemon",
            "#alice#",
            "#alice#a#b",
            "#a b#daemon",
            "#01234567890#d",
        ];
        for text in wrong {
            let group = GroupName::destination(text.as_bytes()).unwrap();
            assert_eq!(group.private(), None, "{text}");
        }
    }

    #[test]
    fn a_field_is_read_up_to_its_first_nul_and_never_to_its_last_byte() {
        let mut field = [b'x'; 32];
        assert_eq!(GroupName::from_field(&field).unwrap().as_bytes(), &[b'x'; 31]);
        assert_eq!(GroupName::from_field(&field).unwrap().field()[31], 0);
        field[3] = 0;
        let name = GroupName::from_field(&field).unwrap();
        assert_eq!(name, GroupName::new(b"xxx").unwrap());
        assert_eq!(GroupName::from_field(&[0; 32]), None);
    }

    #[test]
    fn groups_that_cannot_be_joined_can_be_named_as_destinations() {
        for text in ["#foo", "a b", "\u{e4}", "a\x7f"] {
            assert!(GroupName::new(text.as_bytes()).is_err(), "{text}");
            let group = GroupName::destination(text.as_bytes()).unwrap();
            assert!(!group.is_joinable(), "{text}");
        }
        assert!(GroupName::destination(b"").is_err());
        assert!(GroupName::destination(b"a\0b").is_err());
        assert!(GroupName::destination(&[b'a'; 32]).is_err());
        assert!(GroupName::new(&[b'a'; 31]).unwrap().is_joinable());
    }

    #[test]
    fn names_are_ordered_bytewise_and_a_beginning_comes_first() {
        let group = |text: &str| GroupName::destination(text.as_bytes()).unwrap();
        assert!(group("a") < group("ab"));
        assert!(group("B") < group("a"));
        assert!(group("~") < group("\u{e4}"));
        assert!(private("a") < private("aa"));
        assert!(private("aa") < private("b"));
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_a_log() {
        let group = GroupName::destination(b"a\nb\xff").unwrap();
        assert_eq!(group.to_string(), "a\\nb\\xff");
    }
}

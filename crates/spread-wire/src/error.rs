//! The codes by which a daemon refuses a session, and which the original's library returns (protocol reference, 2.5).

use core::fmt;

/// A result code of the original's library. Those that a daemon sends stand on the wire as one signed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ErrorCode {
    /// The connection string is none.
    IllegalSpread = -1,
    /// No connection to the daemon.
    CouldNotConnect = -2,
    /// The daemon has as many sessions as it takes.
    RejectQuota = -3,
    /// No private name; not sent any more.
    RejectNoName = -4,
    /// The private name is not one.
    RejectIllegalName = -5,
    /// The private name is in use at this daemon.
    RejectNotUnique = -6,
    /// The versions do not fit.
    RejectVersion = -7,
    /// The connection ended.
    ConnectionClosed = -8,
    /// Not authenticated or not authorized.
    RejectAuth = -9,
    /// There is no such session.
    IllegalSession = -11,
    /// A multicast without one of the six services.
    IllegalService = -12,
    /// A message that cannot be meant.
    IllegalMessage = -13,
    /// A group that nobody may join.
    IllegalGroup = -14,
    /// The caller's buffer is too small.
    BufferTooShort = -15,
    /// The caller's list of groups is too short.
    GroupsTooShort = -16,
    /// Body and names are too long.
    MessageTooLong = -17,
    /// The session had a network error before.
    NetErrorOnSession = -18,
    /// A fault of the library.
    SpBug = -19,
    /// A timeout that is none.
    IllegalTime = -20,
}

impl ErrorCode {
    /// All codes, from -1 downwards.
    pub const ALL: [Self; 19] = [
        Self::IllegalSpread,
        Self::CouldNotConnect,
        Self::RejectQuota,
        Self::RejectNoName,
        Self::RejectIllegalName,
        Self::RejectNotUnique,
        Self::RejectVersion,
        Self::ConnectionClosed,
        Self::RejectAuth,
        Self::IllegalSession,
        Self::IllegalService,
        Self::IllegalMessage,
        Self::IllegalGroup,
        Self::BufferTooShort,
        Self::GroupsTooShort,
        Self::MessageTooLong,
        Self::NetErrorOnSession,
        Self::SpBug,
        Self::IllegalTime,
    ];

    /// The number, as the library returns it and the wire carries it.
    pub const fn code(self) -> i8 {
        self as i8
    }

    /// The byte that a daemon sends.
    pub const fn byte(self) -> u8 {
        self.code() as u8
    }

    /// The code with this number.
    pub fn from_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.code() == code)
    }

    /// The text that the original's library prints behind `SP_error: (<code>) `.
    pub const fn text(self) -> &'static str {
        match self {
            Self::IllegalSpread => "Illegal spread name provided.",
            Self::CouldNotConnect => "Could not connect.",
            Self::RejectQuota => "Connection rejected, too many users.",
            Self::RejectNoName => "Connection rejected, no name was supplied.",
            Self::RejectIllegalName => "Connection rejected, illegal name.",
            Self::RejectNotUnique => "Connection rejected, name not unique.",
            Self::RejectVersion => "Connection rejected, client library incompatible with daemon.",
            Self::ConnectionClosed => "Connection closed by Spread.",
            Self::RejectAuth => "Connection rejected, authentication failed.",
            Self::IllegalSession => "Illegal session was supplied.",
            Self::IllegalService => "Illegal service request.",
            Self::IllegalMessage => "Illegal message.",
            Self::IllegalGroup => "Illegal group.",
            Self::BufferTooShort => "Buffer too short.",
            Self::GroupsTooShort => "Groups list too short.",
            Self::MessageTooLong => "Message (body + group names) too large.",
            Self::NetErrorOnSession => "Network socket error. SP_kill() the mailbox.",
            Self::SpBug => "Internal Spread bug detected.",
            Self::IllegalTime => "Illegal time.",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.code(), self.text())
    }
}

impl core::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn codes_are_those_of_the_library() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(code));
        }
        assert_eq!(ErrorCode::from_code(-10), None);
        assert_eq!(ErrorCode::from_code(1), None);
        assert_eq!(ErrorCode::RejectNotUnique.byte(), 0xfa);
        let text = "(-9) Connection rejected, authentication failed.";
        assert_eq!(ErrorCode::RejectAuth.to_string(), text);
    }
}

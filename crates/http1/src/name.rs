//! Names of fields that mean something to a relay.
//!
//! Names are compared once, when a head is read; afterwards a field's kind is a number. Length first, then
//! letters: nearly every field of a browser is told apart by its length alone.
//!
//! A hyphen and an underscore count as different, as RFC 9110 section 5.1 says, but a name that would be one of
//! the fields we act on if they were the same is not passed on as a stranger: applications that know fields as
//! environment variables (RFC 3875 section 4.1.18) cannot tell `X_Forwarded_For` from ours.

/// What is known of a field's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Name {
    /// Anything else: passed on unread.
    #[default]
    Other,
    /// `Host`
    Host,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Connection`
    Connection,
    /// For this hop only, without further meaning here: `Keep-Alive`, `Proxy-Connection`, `Proxy-Authenticate`,
    /// `Proxy-Authorization`; `Proxy`, which no standard knows and CGI takes for a setting; and what imitates
    /// the forwarding fields or our marks with underscores.
    OneHop,
    /// `TE`
    Te,
    /// `Upgrade`
    Upgrade,
    /// `Expect`
    Expect,
    /// `Max-Forwards`
    MaxForwards,
    /// `Date`
    Date,
    /// `Content-Type`
    ContentType,
    /// `User-Agent`
    UserAgent,
    /// `Referer`
    Referer,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `Forwarded` (RFC 7239)
    Forwarded,
    /// Any name that begins with `backhand-`: believed and written only between peers.
    Backhand,
    /// A field that the message's `Connection` names, and which is therefore for this hop only.
    Named,
    /// `Content_Length`, `Transfer_Encoding`: what frames a message for one reader and not for another.
    Lookalike,
}

/// How many kinds there are.
pub(crate) const KINDS: usize = Name::Lookalike as usize + 1;

type Known = (&'static [u8], Name);

impl Name {
    /// The kind of a name in any case.
    pub fn of(name: &[u8]) -> Self {
        if matches!(name.first(), Some(b'b' | b'B')) {
            return Self::mark(name);
        }
        let known: &[Known] = match name.len() {
            2 => &[(b"te", Self::Te)],
            4 => &[(b"host", Self::Host), (b"date", Self::Date)],
            5 => &[(b"proxy", Self::OneHop)],
            6 => &[(b"expect", Self::Expect)],
            7 => &[(b"upgrade", Self::Upgrade), (b"referer", Self::Referer)],
            9 => &[(b"forwarded", Self::Forwarded)],
            10 => &[
                (b"user-agent", Self::UserAgent),
                (b"connection", Self::Connection),
                (b"keep-alive", Self::OneHop),
            ],
            12 => &[(b"content-type", Self::ContentType), (b"max-forwards", Self::MaxForwards)],
            14 => &[(b"content-length", Self::ContentLength)],
            15 => &[(b"x-forwarded-for", Self::XForwardedFor)],
            16 => {
                &[(b"x-forwarded-host", Self::XForwardedHost), (b"proxy-connection", Self::OneHop)]
            }
            17 => &[
                (b"transfer-encoding", Self::TransferEncoding),
                (b"x-forwarded-proto", Self::XForwardedProto),
            ],
            18 => &[(b"proxy-authenticate", Self::OneHop)],
            19 => &[(b"proxy-authorization", Self::OneHop)],
            _ => return Self::Other,
        };
        for &(text, kind) in known {
            match alike(name, text) {
                Alike::No => {}
                Alike::Same => return kind,
                Alike::Imitation => return kind.imitated(),
            }
        }
        Self::Other
    }

    fn mark(name: &[u8]) -> Self {
        const PREFIX: &[u8] = b"backhand-";
        match name.get(..PREFIX.len()).map(|start| alike(start, PREFIX)) {
            Some(Alike::Same) => Self::Backhand,
            Some(Alike::Imitation) => Self::OneHop,
            _ => Self::Other,
        }
    }

    /// What a name is taken for that would be this one if underscores were hyphens.
    const fn imitated(self) -> Self {
        match self {
            Self::ContentLength | Self::TransferEncoding => Self::Lookalike,
            Self::XForwardedFor | Self::XForwardedHost | Self::XForwardedProto => Self::OneHop,
            _ => Self::Other,
        }
    }

    /// Whether a `Connection` field may declare it to be for one hop (RFC 9110 section 7.6.1 forbids to name
    /// fields meant for all recipients). Names that frame or route a message, or say who sent it, stay.
    pub(crate) const fn may_be_named(self) -> bool {
        matches!(
            self,
            Self::Other
                | Self::MaxForwards
                | Self::Date
                | Self::ContentType
                | Self::UserAgent
                | Self::Referer
        )
    }

    /// This kind as one bit.
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u8
    }
}

enum Alike {
    No,
    Same,
    Imitation,
}

/// Compares a name with a known one of the same length in small letters.
fn alike(name: &[u8], known: &[u8]) -> Alike {
    let mut same = Alike::Same;
    for (&byte, &expected) in name.iter().zip(known) {
        if byte.to_ascii_lowercase() == expected {
            continue;
        }
        if byte != b'_' || expected != b'-' {
            return Alike::No;
        }
        same = Alike::Imitation;
    }
    same
}

/// Whether a byte may stand in a method or a field name (RFC 9110 section 5.6.2, `tchar`).
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        for (name, kind) in [
            (&b"HOST"[..], Name::Host),
            (b"content-LENGTH", Name::ContentLength),
            (b"Transfer-Encoding", Name::TransferEncoding),
            (b"x-forwarded-proto", Name::XForwardedProto),
            (b"Backhand-Anything", Name::Backhand),
            (b"backhand-", Name::Backhand),
            (b"Proxy", Name::OneHop),
            (b"Cookie", Name::Other),
            (b"Boat", Name::Other),
            (b"b", Name::Other),
            (b"", Name::Other),
        ] {
            assert_eq!(Name::of(name), kind, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn underscores_do_not_disguise_a_name() {
        assert_eq!(Name::of(b"Content_Length"), Name::Lookalike);
        assert_eq!(Name::of(b"transfer_encoding"), Name::Lookalike);
        assert_eq!(Name::of(b"X_Forwarded-For"), Name::OneHop);
        assert_eq!(Name::of(b"backhand_proxied"), Name::OneHop);
        assert_eq!(Name::of(b"user_agent"), Name::Other);
    }

    #[test]
    fn tokens_are_exactly_those_of_the_standard() {
        let tokens = (0..=255u8).filter(|&b| is_token(b)).count();
        assert_eq!(tokens, 10 + 52 + 15);
        assert!(b"!#$%&'*+-.^_`|~".iter().all(|&b| is_token(b)));
        assert!(!b"\"(),/:;<=>?@[\\]{} \t\0\x7f\x80".iter().any(|&b| is_token(b)));
    }
}

//! Which content codings a client takes (RFC 9110 section 12.5.3), and which siblings there may be.

/// The precompressed siblings, in the order of preference when everything else is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    pub(super) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the sibling's name has behind the file's.
    pub(super) fn suffix(self) -> &'static [u8] {
        match self {
            Self::Brotli => b".br",
            Self::Zstd => b".zst",
            Self::Gzip => b".gz",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        let name = name.strip_prefix(b"x-").unwrap_or(name);
        Self::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
    }
}

/// How much a client wants each coding, in thousandths; 0 means that it must not be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted([u16; 3]);

impl Accepted {
    /// Reads all lines of `Accept-Encoding`. Without any, nothing but the plain file is sent.
    pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut named = [None; 3];
        let mut others = 0;
        for item in lines.flat_map(|line| line.split(|&b| b == b',')) {
            let mut parts = item.split(|&b| b == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let Some(weight) = weight(parts) else { continue };
            if name == b"*" {
                others = weight;
            } else if let Some(coding) = Coding::of(name) {
                named[coding as usize] = Some(weight);
            }
        }
        Self(named.map(|weight| weight.unwrap_or(others)))
    }

    /// How much this coding is wanted.
    pub(super) fn weight(self, coding: Coding) -> u16 {
        self.0[coding as usize]
    }
}

/// The `q` among the parameters, in thousandths; 1000 if there is none, `None` if it is malformed.
fn weight<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    for parameter in parameters {
        let parameter = parameter.trim_ascii();
        if let Some(value) = parameter.strip_prefix(b"q=").or(parameter.strip_prefix(b"Q=")) {
            return thousandths(value);
        }
    }
    Some(1000)
}

/// `0`, `1`, `0.5`, `1.000`: at most three digits behind the point.
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, rest) = text.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut n = match whole {
        b'0' => 0,
        b'1' => 1,
        _ => return None,
    };
    for i in 0..3 {
        let digit = digits.get(i).copied().unwrap_or(b'0');
        n = n * 10 + u16::from(digit.is_ascii_digit().then_some(digit)? - b'0');
    }
    (n <= 1000).then_some(n)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(line: &str) -> [u16; 3] {
        Accepted::parse([line.as_bytes()].into_iter()).0
    }

    #[test]
    fn a_client_gets_what_it_names() {
        assert_eq!(weights("gzip, deflate, br, zstd"), [1000, 1000, 1000]);
        assert_eq!(weights("gzip"), [0, 0, 1000]);
        assert_eq!(weights("x-gzip"), [0, 0, 1000]);
        assert_eq!(weights("GZIP;q=0.5 , br ; q=0.25"), [250, 0, 500]);
        assert_eq!(weights("*"), [1000, 1000, 1000]);
        assert_eq!(weights("*;q=0.1, br;q=0"), [0, 100, 100]);
        assert_eq!(weights("identity"), [0, 0, 0]);
        assert_eq!(Accepted::parse(std::iter::empty()), Accepted([0; 3]));
    }

    #[test]
    fn a_malformed_weight_leaves_its_coding_out() {
        assert_eq!(weights("gzip;q=2, br;q=x, zstd;q=1.001"), [0, 0, 0]);
        assert_eq!(weights("gzip;q=0.1234, br;q=, zstd;q=.5"), [0, 0, 0]);
        assert_eq!(weights("gzip;q=1.000;x=y"), [0, 0, 1000]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            let accepted = Accepted::parse([&line[..]].into_iter());
            prop_assert!(Coding::ALL.iter().all(|c| accepted.weight(*c) <= 1000));
        }
    }
}

//! Reading: every length is bounded before anything is made of it.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use super::{NAME_MAX, SETS_MAX};
use crate::set::SetKey;
use crate::vip::ViewId;

/// Why bytes are no word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it is not a message of this program")]
    Foreign,
    #[error("it is of version {0}, this program speaks version {version}", version = super::VERSION)]
    Version(u8),
    #[error("it is of the unknown kind {0}")]
    Kind(u8),
    #[error("it ends too early")]
    Short,
    #[error("it contains what cannot be {0}")]
    Wrong(&'static str),
}

/// What is still to be read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed::Short)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed::Wrong("a number"))
    }

    /// A number of things, or the place of one, below or at `most`.
    pub(crate) fn count(&mut self, most: usize) -> Result<usize, Malformed> {
        let number = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if number <= most { Ok(number) } else { Err(Malformed::Wrong("a count")) }
    }

    pub(crate) fn time(&mut self) -> Result<Duration, Malformed> {
        // A month is longer than anything here lasts.
        Ok(Duration::from_millis(self.number()?.min(31 * 24 * 3_600_000)))
    }

    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        let length = self.count(NAME_MAX)?;
        let bytes = self.take(length)?;
        core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed::Wrong("a name"))
    }

    pub(crate) fn ip(&mut self) -> Result<IpAddr, Malformed> {
        Ok(match self.byte()? {
            4 => IpAddr::from(self.array::<4>()?),
            6 => IpAddr::from(self.array::<16>()?),
            _ => return Err(Malformed::Wrong("an address")),
        })
    }

    pub(crate) fn view(&mut self) -> Result<ViewId, Malformed> {
        Ok(ViewId(self.array()?))
    }

    pub(crate) fn key(&mut self) -> Result<SetKey, Malformed> {
        Ok(SetKey(u64::from_le_bytes(self.array()?)))
    }

    pub(crate) fn keys(&mut self) -> Result<Vec<SetKey>, Malformed> {
        let count = self.count(SETS_MAX)?;
        (0..count).map(|_| self.key()).collect()
    }
}

//! Reading and writing numbers: fixed ones big-endian, small ones in groups of seven bits.

use alloc::vec::Vec;

/// Packets and tokens are numbered from 1 and never get this far: whatever is added to a number that was read is still one.
pub(crate) const NUMBERS: u64 = 1 << 62;

/// What is left to read. Every reading is `None` when too little is left; nothing is ever assumed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The number of a packet or a token.
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.u64().filter(|number| *number < NUMBERS)
    }

    pub(crate) fn array16(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    /// A number in groups of seven bits, least first; at most ten groups.
    pub(crate) fn var(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A count that announces items of at least `least` bytes each, so that it cannot promise more than is there.
    pub(crate) fn count(&mut self, least: usize, max: usize) -> Option<usize> {
        let count = usize::try_from(self.var()?).ok()?;
        (count <= max && count.saturating_mul(least) <= self.0.len()).then_some(count)
    }
}

/// Appends numbers.
pub(crate) trait Put {
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_var(&mut self, value: u64);
}

impl Put for Vec<u8> {
    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_var(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }
}

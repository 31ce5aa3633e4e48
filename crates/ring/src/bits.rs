//! A set of up to 256 small numbers: places in the table of peers, or in a view.

use core::fmt;
use core::ops::{BitAnd, BitOr, BitOrAssign};

/// The set.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bits([u64; 4]);

/// What a set can hold: `0..CAPACITY`.
pub(crate) const CAPACITY: usize = 256;

impl Bits {
    pub(crate) fn one(i: usize) -> Self {
        let mut bits = Self::default();
        bits.insert(i);
        bits
    }

    pub(crate) fn insert(&mut self, i: usize) {
        self.0[i / 64 % 4] |= 1 << (i % 64);
    }

    pub(crate) fn has(&self, i: usize) -> bool {
        i < CAPACITY && self.0[i / 64] >> (i % 64) & 1 == 1
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn is_subset(&self, of: &Self) -> bool {
        self.0.iter().zip(of.0).all(|(mine, theirs)| mine & !theirs == 0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(i, mut word)| {
            core::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                (word != 0).then(|| {
                    word &= word - 1;
                    i * 64 + bit
                })
            })
        })
    }

    pub(crate) fn words(&self) -> [u64; 4] {
        self.0
    }

    pub(crate) fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }
}

impl FromIterator<usize> for Bits {
    fn from_iter<I: IntoIterator<Item = usize>>(items: I) -> Self {
        let mut bits = Self::default();
        items.into_iter().for_each(|i| bits.insert(i));
        bits
    }
}

impl FromIterator<Bits> for Bits {
    fn from_iter<I: IntoIterator<Item = Bits>>(sets: I) -> Self {
        sets.into_iter().fold(Self::default(), |all, set| all | set)
    }
}

impl BitAnd for Bits {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] & other.0[i]))
    }
}

impl BitOr for Bits {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] | other.0[i]))
    }
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

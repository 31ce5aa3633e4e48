//! The chain of candidacy functions, read from its configured texts.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::hot::Slot;
use crate::outside::Outside;
use crate::request::RequestView;
use crate::route::Empty;
use crate::snapshot::Snapshot;

/// A function of a chain is not understood. Says which, what was wrong, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("function {} of the chain, {text:?}: {problem}", .index + 1)]
pub struct ChainError {
    /// Which text of the chain, from 0.
    pub index: usize,
    /// The text.
    pub text: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

/// An ordered list of candidacy functions.
#[derive(Clone, Debug)]
pub struct Chain {
    /// What an empty list means.
    empty: Empty,
}

/// Finds a function that is not built in by its name and argument.
pub type Resolve<'a> = &'a dyn Fn(&str, &str) -> Option<Arc<dyn Outside>>;

impl Chain {
    /// Reads a chain from texts such as `byAge 5`, one function each, built-in functions only.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, ChainError> {
        Self::parse_with(texts, &|_, _| None)
    }

    /// The same; names that are not built in are looked up by `resolve`.
    pub fn parse_with<T: AsRef<str>>(
        texts: &[T],
        resolve: Resolve<'_>,
    ) -> Result<Self, ChainError> {
        let _ = (texts, resolve);
        Ok(Self { empty: Empty::Here })
    }

    /// The default: `byFresh`.
    pub fn standard() -> Self {
        Self { empty: Empty::Here }
    }

    /// Says what an empty list means. [`Empty::Here`] if not called.
    #[must_use]
    pub fn when_empty(mut self, empty: Empty) -> Self {
        self.empty = empty;
        self
    }

    /// Whether the chain is `off`.
    pub fn is_off(&self) -> bool {
        false
    }

    /// Whether the chain's choice is made by `byFresh`, so that asking first makes sense.
    pub fn asks(&self) -> bool {
        true
    }

    /// The functions as texts, normalised.
    pub fn texts(&self) -> Vec<String> {
        Vec::new()
    }

    /// Writes the `Location` of a redirect decided by this chain: scheme, machine, and the request's
    /// own target. `false` (and nothing written) if no address can be made of it.
    pub fn location<R: RequestView + ?Sized>(
        &self,
        by: u8,
        snapshot: &Snapshot,
        slot: Slot,
        request: &R,
        out: &mut Vec<u8>,
    ) -> bool {
        let _ = (by, snapshot, slot, request, out);
        false
    }
}

//! The chain of candidacy functions.
//!
//! A chain maps an ordered list of machines to an ordered list; it starts with every machine that may
//! be named, in order of rows, and the first of what is left is chosen. Names and meanings are those
//! of mod_backhand:
//!
//! | function | does |
//! |---|---|
//! | `byAge [5]` | removes machines not heard from, by any way, for that many seconds |
//! | `byRandom` | shuffles |
//! | `byLogWindow` | keeps the first ⌊log₂ n⌋, at least one |
//! | `byCPU` | most idle CPUs first |
//! | `byLoad [0]` | least one-minute load first; the argument is added to the load of the others, so it favours this machine |
//! | `byBusyChildren` | fewest requests in service first, as last reported |
//! | `byCost` | least `n^(memory used/total) + n^(load/high-water mark)` first |
//! | `addPrediction` | adds one running request to what is known of the first machine, until its next announcement |
//! | `byHostname REGEX` | keeps machines in whose host name (or announced name) the expression is found |
//! | `removeSelf`, `addSelf` | removes this machine; appends it if it may serve and is not there |
//! | `HTTPRedirectToIP` | the client is redirected to the machine's address |
//! | `HTTPRedirectToName [%S]` | the client is redirected to a name, see [`redirect`] |
//! | `off` | no balancing: serve here |
//! | `byFresh` | keeps and ranks a few machines by the least marginal cost; the default, see [`crate::decide`] |

mod parse;
pub(crate) use parse::{fnv, regex_problem};
pub mod redirect;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use regex::Regex;

use crate::hot::Slot;
use crate::outside::Outside;
use crate::request::RequestView;
use crate::route::Empty;
use crate::snapshot::{Machine, Snapshot};
use redirect::Piece;

/// Functions in the longest chain.
pub const MAX_FUNCTIONS: usize = 32;

/// A function of a chain is not understood. Says which, what was wrong, and what to write. Nothing was
/// built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("function {} of the chain, \"{text}\": {problem}", .index + 1)]
pub struct ChainError {
    /// Which text of the chain, from 0.
    pub index: usize,
    /// The text.
    pub text: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

/// An ordered list of candidacy functions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chain {
    pub(crate) steps: Arc<[Entry]>,
    pub(crate) empty: Empty,
    off: bool,
    asks: bool,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) function: Function,
    /// Nothing that follows cares for the order beyond the first: finding the winner is enough.
    pub(crate) last_order: bool,
    pub(crate) text: String,
}

pub(crate) enum Function {
    Age { nanos: u64 },
    Random { window: bool },
    LogWindow,
    Cpu,
    Load { bias: f32 },
    BusyChildren,
    Cost,
    AddPrediction,
    Hostname { regex: Regex, key: u64 },
    RemoveSelf,
    AddSelf,
    RedirectToIp,
    RedirectToName { pieces: Vec<Piece> },
    Off,
    Fresh,
    Outside { function: Arc<dyn Outside>, argument: String },
}

impl Function {
    /// Whether the order in which it finds the list beyond the first does not matter to it.
    fn is_indifferent(&self) -> bool {
        matches!(self, Self::AddPrediction | Self::RedirectToIp | Self::RedirectToName { .. })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Age { .. } => "byAge",
            Self::Random { .. } => "byRandom",
            Self::LogWindow => "byLogWindow",
            Self::Cpu => "byCPU",
            Self::Load { .. } => "byLoad",
            Self::BusyChildren => "byBusyChildren",
            Self::Cost => "byCost",
            Self::AddPrediction => "addPrediction",
            Self::Hostname { .. } => "byHostname",
            Self::RemoveSelf => "removeSelf",
            Self::AddSelf => "addSelf",
            Self::RedirectToIp => "HTTPRedirectToIP",
            Self::RedirectToName { .. } => "HTTPRedirectToName",
            Self::Off => "off",
            Self::Fresh => "byFresh",
            Self::Outside { .. } => "outside",
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Finds a function that is not built in, by its name (as written) and argument.
pub type Resolve<'a> = &'a dyn Fn(&str, &str) -> Option<Arc<dyn Outside>>;

impl Chain {
    /// Reads a chain from texts such as `byAge 5`, one function each, built-in functions only.
    /// An empty list of texts is the default policy.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, ChainError> {
        Self::parse_with(texts, &|_, _| None)
    }

    /// The same; names that are not built in are looked up by `resolve`.
    pub fn parse_with<T: AsRef<str>>(
        texts: &[T],
        resolve: Resolve<'_>,
    ) -> Result<Self, ChainError> {
        if texts.is_empty() {
            return Ok(Self::standard());
        }
        let entries = parse::entries(texts, resolve)?;
        Ok(Self::of(entries))
    }

    /// The default policy: `byFresh` alone.
    pub fn standard() -> Self {
        let text = String::from("byFresh");
        Self::of(alloc::vec![Entry { function: Function::Fresh, last_order: true, text }])
    }

    fn of(mut entries: Vec<Entry>) -> Self {
        let mut indifferent = true;
        let mut before_window = false;
        for entry in entries.iter_mut().rev() {
            entry.last_order = indifferent;
            indifferent &= entry.function.is_indifferent();
            if let Function::Random { window } = &mut entry.function {
                *window = before_window;
            }
            before_window = matches!(entry.function, Function::LogWindow);
        }
        let off = entries.iter().any(|e| matches!(e.function, Function::Off));
        let redirects = entries.iter().any(|e| {
            matches!(e.function, Function::RedirectToIp | Function::RedirectToName { .. })
        });
        let fresh_last =
            entries.iter().any(|e| matches!(e.function, Function::Fresh) && e.last_order);
        Self {
            steps: entries.into(),
            empty: Empty::Here,
            off,
            asks: fresh_last && !off && !redirects,
        }
    }

    /// Says what an empty list means. [`Empty::Here`] if not called.
    #[must_use]
    pub fn when_empty(mut self, empty: Empty) -> Self {
        self.empty = empty;
        self
    }

    /// What an empty list means.
    pub fn empty(&self) -> Empty {
        self.empty
    }

    /// Whether the chain is `off`.
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Whether the chain's choice is made by `byFresh` and proxied, so that asking first makes sense.
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// The functions with their arguments, as configured but with canonical names.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|entry| entry.text.as_str())
    }

    fn redirect_format(&self, by: u8) -> Option<&[Piece]> {
        match self.steps.get(usize::from(by)).map(|entry| &entry.function) {
            Some(Function::RedirectToIp) => Some(&[Piece::Address]),
            Some(Function::RedirectToName { pieces }) => Some(pieces),
            _ => None,
        }
    }

    /// Whether the client addressed `machine` itself, by a name of its own or by the one that the redirect `by`
    /// makes of it.
    pub(crate) fn is_addressed<R: RequestView + ?Sized>(
        &self,
        by: u8,
        machine: &Machine,
        request: &R,
    ) -> bool {
        redirect::is_own_name(machine, request.host())
            || self
                .redirect_format(by)
                .is_some_and(|pieces| redirect::is_made_name(pieces, machine, request))
    }

    /// Writes the `Location` of a redirect that this chain decided (`by` is from the verdict): scheme,
    /// machine and the request's own target.
    ///
    /// `false` if no clean address can be made of it, for instance because the client's `Host` is
    /// part of the format and holds odd bytes; then `out` is as it was, and serving here is right.
    pub fn location<R: RequestView + ?Sized>(
        &self,
        by: u8,
        snapshot: &Snapshot,
        slot: Slot,
        request: &R,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(pieces) = self.redirect_format(by) else { return false };
        let length = out.len();
        let written = snapshot
            .machine(slot)
            .is_some_and(|machine| redirect::write(pieces, machine, request, out));
        if !written {
            out.truncate(length);
        }
        written
    }
}

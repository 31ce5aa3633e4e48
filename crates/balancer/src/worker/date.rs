//! The `Date` of responses this machine makes itself, written once a second.

use std::cell::{Cell, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::date;

/// The text for the current second.
#[derive(Debug, Default)]
pub(crate) struct Date {
    second: Cell<u64>,
    text: RefCell<String>,
}

impl Date {
    /// Appends the current date as RFC 9110 section 5.6.7 wants it: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        self.with(|text| out.extend_from_slice(text));
    }

    /// Shows the current date.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if now != self.second.replace(now) || self.text.borrow().is_empty() {
            *self.text.borrow_mut() = date::format(i64::try_from(now).unwrap_or(i64::MAX));
        }
        f(self.text.borrow().as_bytes())
    }
}

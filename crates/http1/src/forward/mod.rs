//! Heads to send on: what a relay must remove, may not touch, and has to add (RFC 9110 section 7.6, RFC 7239).
//!
//! The lines that stay are copied as they came, in runs: they have been read strictly, so that the next reader cannot
//! take them for anything else. What frames the message is written anew.
//!
//! No `Via` is added, though RFC 9110 section 7.6.3 asks for it: `docs/decisions/0004-no-via-and-trace-goes-on.md`.

mod address;
mod request;
mod response;

pub use request::{Forwarding, Onward, request};
pub use response::{Back, response};

use alloc::vec::Vec;

use crate::field::Fields;

/// Copies the lines whose kind is in the set; neighbours together, since mostly everything stays.
fn copy(out: &mut Vec<u8>, head: &[u8], fields: &Fields, kept: u32) {
    let mut run = None;
    for field in fields.iter() {
        let line = field.name.start as usize;
        match (run, kept & field.kind.bit() != 0) {
            (None, true) => run = Some(line),
            (Some(from), false) => {
                out.extend_from_slice(head.get(from..line).unwrap_or_default());
                run = None;
            }
            _ => {}
        }
    }
    if let Some(from) = run {
        // All but the empty line.
        out.extend_from_slice(head.get(from..head.len().saturating_sub(2)).unwrap_or_default());
    }
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

//! What this crate's own tests use: the suite that runs in production, and names.

use base::{Boot, MachineId};

use crate::suite::Speaker;

#[path = "../../crypto/src/suite.rs"]
#[allow(unreachable_pub)] // It is public where it lives.
mod suite;

pub(crate) use suite::Ring;

pub(crate) fn speaker(machine: u8, boot: u8) -> Speaker {
    Speaker { machine: MachineId([machine; 16]), boot: Boot([boot; 16]) }
}

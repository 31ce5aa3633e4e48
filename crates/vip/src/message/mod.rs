//! What members say to each other: bytes in a message of the group.
//!
//! ```text
//! "BHV", version 1, kind, then by kind; numbers have 7 bits in each byte, lowest first, the highest bit in all but the last
//! ```
//!
//! Bytes behind what is known are for newer minor versions and are not looked at. Words of another version are told of and
//! otherwise ignored: their sender is then a member that says nothing, and the others go on without it.

mod read;
mod state;
#[cfg(test)]
mod tests;
mod write;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

pub(crate) use self::read::{Malformed, Reader};
pub(crate) use self::state::{LOST_MAX, MACS_MAX, Said, State};
pub(crate) use self::write::Writer;
use crate::reason::Reason;
use crate::set::SetKey;
use crate::vip::ViewId;

/// What begins every message.
const MAGIC: &[u8; 3] = b"BHV";
/// The version of all that follows.
const VERSION: u8 = 1;
/// The most sets one message speaks of.
pub(crate) const SETS_MAX: usize = 4_096;
/// The most members of a view.
pub(crate) const MEMBERS_MAX: usize = 1_024;
/// The longest name of a machine or a member, in bytes.
pub(crate) const NAME_MAX: usize = 255;

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// What a member is and holds, once in each view.
    State(State),
    /// The same when something of it has changed within the view; what it holds is not read out of it.
    Update(State),
    /// A member has waited long enough: all take part from now on.
    Mature(ViewId),
    /// Planned moves: what, to which member, why.
    Move(ViewId, Vec<(SetKey, usize, Reason)>),
    /// The sender has added and announced what was to move to it.
    Acquired(ViewId, Vec<SetKey>),
    /// The sender has taken off what has moved away.
    Released(ViewId, Vec<SetKey>),
    /// The sender cannot hold these.
    Failed(ViewId, Vec<SetKey>),
    /// Moves that took too long.
    Cancel(ViewId, Vec<SetKey>),
    /// The leases of lost holders have run out.
    Claim(ViewId, Vec<SetKey>),
    /// Members that say nothing.
    Exclude(ViewId, Vec<usize>),
    /// The sender is there.
    Alive(ViewId, u64),
    /// To the machine of this name.
    Request(String, Ask),
    /// A run of the program has certainly let go of everything.
    Fenced(u64),
}

/// What one machine may ask of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Give away what it holds and take nothing.
    Drain,
    /// Take part again.
    Undrain,
    /// Take the set with this head from whoever has it.
    Take(IpAddr),
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.bytes(MAGIC);
        out.byte(VERSION);
        match self {
            Self::State(state) => {
                out.byte(1);
                state.write(&mut out);
            }
            Self::Update(state) => {
                out.byte(2);
                state.write(&mut out);
            }
            Self::Mature(view) => {
                out.byte(3);
                out.view(view);
            }
            Self::Move(view, moves) => {
                out.byte(4);
                out.view(view);
                out.number(moves.len() as u64);
                for (key, to, reason) in moves {
                    out.key(*key);
                    out.number(*to as u64);
                    out.byte(*reason as u8);
                }
            }
            Self::Acquired(view, keys) => out.keys(5, view, keys),
            Self::Released(view, keys) => out.keys(6, view, keys),
            Self::Failed(view, keys) => out.keys(7, view, keys),
            Self::Cancel(view, keys) => out.keys(8, view, keys),
            Self::Claim(view, keys) => out.keys(9, view, keys),
            Self::Exclude(view, members) => {
                out.byte(10);
                out.view(view);
                out.number(members.len() as u64);
                members.iter().for_each(|at| out.number(*at as u64));
            }
            Self::Alive(view, sequence) => {
                out.byte(11);
                out.view(view);
                out.number(*sequence);
            }
            Self::Request(machine, ask) => {
                out.byte(12);
                out.text(machine);
                match ask {
                    Ask::Drain => out.byte(1),
                    Ask::Undrain => out.byte(2),
                    Ask::Take(head) => {
                        out.byte(3);
                        out.ip(*head);
                    }
                }
            }
            Self::Fenced(boot) => {
                out.byte(13);
                out.bytes(&boot.to_le_bytes());
            }
        }
        out.into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        if from.array()? != *MAGIC {
            return Err(Malformed::Foreign);
        }
        match from.byte()? {
            VERSION => {}
            other => return Err(Malformed::Version(other)),
        }
        Ok(match from.byte()? {
            1 => Self::State(State::read(&mut from)?),
            2 => Self::Update(State::read(&mut from)?),
            3 => Self::Mature(from.view()?),
            4 => {
                let view = from.view()?;
                let count = from.count(SETS_MAX)?;
                let mut moves = Vec::with_capacity(count);
                for _ in 0..count {
                    let (key, to) = (from.key()?, from.count(MEMBERS_MAX)?);
                    let reason = Reason::read(from.byte()?).ok_or(Malformed::Wrong("a reason"))?;
                    moves.push((key, to, reason));
                }
                Self::Move(view, moves)
            }
            5 => Self::Acquired(from.view()?, from.keys()?),
            6 => Self::Released(from.view()?, from.keys()?),
            7 => Self::Failed(from.view()?, from.keys()?),
            8 => Self::Cancel(from.view()?, from.keys()?),
            9 => Self::Claim(from.view()?, from.keys()?),
            10 => {
                let view = from.view()?;
                let count = from.count(MEMBERS_MAX)?;
                let members: Result<_, _> = (0..count).map(|_| from.count(MEMBERS_MAX)).collect();
                Self::Exclude(view, members?)
            }
            11 => Self::Alive(from.view()?, from.number()?),
            12 => {
                let machine = from.text()?;
                let ask = match from.byte()? {
                    1 => Ask::Drain,
                    2 => Ask::Undrain,
                    3 => Ask::Take(from.ip()?),
                    _ => return Err(Malformed::Wrong("a request")),
                };
                Self::Request(machine, ask)
            }
            13 => Self::Fenced(u64::from_le_bytes(from.array()?)),
            kind => return Err(Malformed::Kind(kind)),
        })
    }
}

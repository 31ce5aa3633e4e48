//! The datagrams between daemons, before they are sealed.
//!
//! ```text
//! 0  kind    1  major version    2  body; numbers big-endian, small ones in groups of seven bits
//! ```
//!
//! Bytes after a body that is understood belong to a later minor version and are skipped. A daemon is named by
//! its [`Tag`], a ring by its 16 bytes, or by 8 where the receiver must know it anyway.
//!
//! Nothing here decides anything: a message that decodes is well-formed and bounded, not true.

mod acquaintance;
pub(crate) mod bytes;
mod data;
mod forming;
#[cfg(test)]
mod golden;
mod statement;
#[cfg(test)]
mod tests;
mod token;

use alloc::vec::Vec;

pub(crate) use acquaintance::{Card, Heartbeat, Nonce};
pub(crate) use data::{CHUNK_HEAD, Chunk, DATA_HEAD, Data};
pub(crate) use forming::{Commit, Info, Install, Missing, Ready};
pub(crate) use statement::{Heard, Statement};
pub(crate) use token::{Rest, Token};

use self::bytes::{Put, Reader};
use crate::settings::MAJOR;
use crate::view::{Daemon, RingId};

/// A daemon on the wire: the first eight bytes of its boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

impl From<&Daemon> for Tag {
    fn from(daemon: &Daemon) -> Self {
        Self::from(&daemon.boot)
    }
}

impl From<&base::Boot> for Tag {
    fn from(boot: &base::Boot) -> Self {
        let mut front = [0; 8];
        front.copy_from_slice(&boot.0[..8]);
        Self(u64::from_be_bytes(front))
    }
}

/// One message between daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// I am here; whoever does not know me may ask for a proof. To strangers, by multicast or to seeds.
    Hello { card: Card, to_group: bool },
    /// Prove that you are alive by returning this.
    Challenge { nonce: Nonce },
    /// What you asked for, and who I am.
    Proof { nonce: Nonce, card: Card },
    /// I am alive.
    Heartbeat(Heartbeat),
    /// What I hear, where I am, and whom I follow.
    Statement(Statement),
    /// Stop your ring and tell me what you have of it.
    Commit(Commit),
    /// I stopped; this is what I have.
    Ready(Ready),
    /// This is what everybody has.
    Install(Install),
    /// I have all of my old ring that anybody coming with me has.
    Recovered { proposal: u64 },
    /// Everybody has: the new ring is installed.
    Go { ring: RingId },
    /// Give me these packets of our old ring.
    Missing(Missing),
    /// The token.
    Token(Token),
    /// A numbered packet.
    Data(Data<'a>),
    /// The token rests with me.
    Rest(Rest),
    /// I have something to send: give me the token.
    Want { ring: u64 },
    /// I am going away now.
    Leave,
    /// You hear this daemon and I do not know it: where is it?
    Where { tag: Tag },
    /// It is there, in words of the drivers.
    Introduce { tag: Tag, address: &'a [u8] },
}

mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const CHALLENGE: u8 = 2;
    pub(super) const PROOF: u8 = 3;
    pub(super) const HEARTBEAT: u8 = 4;
    pub(super) const STATEMENT: u8 = 5;
    pub(super) const COMMIT: u8 = 6;
    pub(super) const READY: u8 = 7;
    pub(super) const INSTALL: u8 = 8;
    pub(super) const RECOVERED: u8 = 9;
    pub(super) const GO: u8 = 10;
    pub(super) const MISSING: u8 = 11;
    pub(super) const TOKEN: u8 = 12;
    pub(super) const DATA: u8 = 13;
    pub(super) const REST: u8 = 14;
    pub(super) const WANT: u8 = 15;
    pub(super) const LEAVE: u8 = 16;
    pub(super) const WHERE: u8 = 17;
    pub(super) const INTRODUCE: u8 = 18;
}

/// What the kinds of words are called, by the first byte of a datagram; nothing is of the first kind. For those who tell of
/// datagrams or keep them.
pub const KINDS: [&str; 19] = [
    "nothing",
    "hello",
    "challenge",
    "proof",
    "heartbeat",
    "statement",
    "commit",
    "ready",
    "install",
    "recovered",
    "go",
    "missing",
    "token",
    "data",
    "rest",
    "want",
    "leave",
    "where",
    "introduce",
];

/// Why a datagram is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Another major version.
    Version(u8),
    /// A kind this version does not know.
    Unknown,
    /// Cut, or with a value that is out of range.
    Bad,
}

impl<'a> Message<'a> {
    pub(crate) fn decode(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader(datagram);
        let kind = r.u8().ok_or(Malformed::Bad)?;
        let major = r.u8().ok_or(Malformed::Bad)?;
        if major != MAJOR {
            return Err(Malformed::Version(major));
        }
        let message = match kind {
            kind::HELLO => acquaintance::hello(&mut r),
            kind::CHALLENGE => r.array16().map(|nonce| Self::Challenge { nonce }),
            kind::PROOF => acquaintance::proof(&mut r),
            kind::HEARTBEAT => Heartbeat::decode(&mut r).map(Self::Heartbeat),
            kind::STATEMENT => Statement::decode(&mut r).map(Self::Statement),
            kind::COMMIT => Commit::decode(&mut r).map(Self::Commit),
            kind::READY => Ready::decode(&mut r).map(Self::Ready),
            kind::INSTALL => Install::decode(&mut r).map(Self::Install),
            kind::RECOVERED => r.u64().map(|proposal| Self::Recovered { proposal }),
            kind::GO => ring_id(&mut r).map(|ring| Self::Go { ring }),
            kind::MISSING => Missing::decode(&mut r).map(Self::Missing),
            kind::TOKEN => Token::decode(&mut r).map(Self::Token),
            kind::DATA => Data::decode(&mut r).map(Self::Data),
            kind::REST => Rest::decode(&mut r).map(Self::Rest),
            kind::WANT => r.u64().map(|ring| Self::Want { ring }),
            kind::LEAVE => Some(Self::Leave),
            kind::WHERE => r.u64().map(|tag| Self::Where { tag: Tag(tag) }),
            kind::INTRODUCE => acquaintance::introduce(&mut r),
            _ => return Err(Malformed::Unknown),
        };
        message.ok_or(Malformed::Bad)
    }

    /// The same, for a daemon at another site to pass on there.
    pub(crate) fn to_be_relayed(&self) -> Self {
        match self {
            Self::Data(data) => Self::Data(Data { relay: true, ..data.clone() }),
            Self::Rest(rest) => Self::Rest(Rest { relay: true, ..*rest }),
            other => other.clone(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let mut head = |kind| out.extend_from_slice(&[kind, MAJOR]);
        match self {
            Self::Hello { card, to_group } => {
                head(kind::HELLO);
                out.push(u8::from(*to_group));
                card.encode(&mut out);
            }
            Self::Challenge { nonce } => {
                head(kind::CHALLENGE);
                out.extend_from_slice(nonce);
            }
            Self::Proof { nonce, card } => {
                head(kind::PROOF);
                out.extend_from_slice(nonce);
                card.encode(&mut out);
            }
            Self::Heartbeat(heartbeat) => {
                head(kind::HEARTBEAT);
                heartbeat.encode(&mut out);
            }
            Self::Statement(statement) => {
                head(kind::STATEMENT);
                statement.encode(&mut out);
            }
            Self::Commit(commit) => {
                head(kind::COMMIT);
                commit.encode(&mut out);
            }
            Self::Ready(ready) => {
                head(kind::READY);
                ready.encode(&mut out);
            }
            Self::Install(install) => {
                head(kind::INSTALL);
                install.encode(&mut out);
            }
            Self::Recovered { proposal } => {
                head(kind::RECOVERED);
                out.put_u64(*proposal);
            }
            Self::Go { ring } => {
                head(kind::GO);
                put_ring_id(&mut out, *ring);
            }
            Self::Missing(missing) => {
                head(kind::MISSING);
                missing.encode(&mut out);
            }
            Self::Token(token) => {
                head(kind::TOKEN);
                token.encode(&mut out);
            }
            Self::Data(data) => {
                head(kind::DATA);
                data.encode(&mut out);
            }
            Self::Rest(rest) => {
                head(kind::REST);
                rest.encode(&mut out);
            }
            Self::Want { ring } => {
                head(kind::WANT);
                out.put_u64(*ring);
            }
            Self::Leave => head(kind::LEAVE),
            Self::Where { tag } => {
                head(kind::WHERE);
                out.put_u64(tag.0);
            }
            Self::Introduce { tag, address } => {
                head(kind::INTRODUCE);
                out.put_u64(tag.0);
                out.put_var(address.len() as u64);
                out.extend_from_slice(address);
            }
        }
        out
    }
}

fn ring_id(r: &mut Reader<'_>) -> Option<RingId> {
    Some(RingId { counter: r.u64()?, founder: r.u64()? })
}

fn put_ring_id(out: &mut Vec<u8>, ring: RingId) {
    out.put_u64(ring.counter);
    out.put_u64(ring.founder);
}

/// A ring in eight bytes, for messages whose receiver knows it. Two rings of one daemon differ in their counters.
pub(crate) fn short(ring: RingId) -> u64 {
    ring.founder.rotate_left(17) ^ ring.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

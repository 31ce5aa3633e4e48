//! What is around a datagram of the ring on the wire: a seal, or, without a key, the name of its sender.
//!
//! ```text
//! sealed    as `seal::envelope` says, with the purpose of the bus
//! plain      0  'B' 'h'   2  version = 1   3  zero   4  boot [16]   20  text
//! ```

use std::net::IpAddr;

use base::{Boot, Instant, MachineId};
use crypto::Ring as Suite;
use ring::Daemon;
use seal::suite::{Purpose, Speaker};
use seal::{ClusterKey, OVERHEAD, Opener, Refusal, Sealer};

use crate::config::Protection;

/// Bytes in front of a plain text.
const PLAIN: usize = 20;
const PLAIN_HEAD: [u8; 4] = [b'B', b'h', 1, 0];
/// Daemons whose keys are remembered at a time: all that a ring may have, twice, for new boots.
const REMEMBERED: usize = 256;

/// Puts datagrams into envelopes and takes them out.
pub(crate) enum Envelope {
    /// With the cluster's key, or one it had before.
    Sealed {
        /// For what is sent.
        sealer: Box<Sealer<Suite>>,
        /// For what comes; the key of today first.
        openers: Vec<Opener<Suite>>,
    },
    /// Without.
    Plain {
        /// This daemon's boot.
        boot: Boot,
    },
}

/// Why a datagram is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// No key fits it, or there is none here and it is sealed, or the other way round.
    Forged,
    /// It came before.
    Replayed,
    /// Anything else: noise, another version, too many strangers.
    Other,
}

/// A daemon as the envelope names it. The machine is the beginning of its name, for what is read off the wire.
pub(crate) fn speaker(me: &Daemon) -> Speaker {
    let mut machine = [0; 16];
    let name = &me.name.as_bytes()[..me.name.as_bytes().len().min(16)];
    machine[..name.len()].copy_from_slice(name);
    Speaker { machine: MachineId(machine), boot: me.boot }
}

impl Envelope {
    pub(crate) fn new(protection: &Protection, me: &Daemon) -> Self {
        match protection {
            Protection::Key { current, previous } => {
                let sealer = Sealer::new(&Suite, current, Purpose::Bus, speaker(me), 0);
                let opener = |key: &ClusterKey| Opener::new(&Suite, key, Purpose::Bus, REMEMBERED);
                let openers = [current].into_iter().chain(previous).map(opener).collect();
                Self::Sealed { sealer: Box::new(sealer), openers }
            }
            Protection::Loopback | Protection::Insecure => Self::Plain { boot: me.boot },
        }
    }

    /// Bytes that an envelope adds.
    pub(crate) fn overhead(&self) -> usize {
        match self {
            Self::Sealed { .. } => OVERHEAD,
            Self::Plain { .. } => PLAIN,
        }
    }

    /// Writes the enveloped form of `text` into `out`, replacing what was there.
    pub(crate) fn put(&mut self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Sealed { sealer, .. } => sealer.seal(text, out),
            Self::Plain { boot } => {
                out.clear();
                out.extend_from_slice(&PLAIN_HEAD);
                out.extend_from_slice(&boot.0);
                out.extend_from_slice(text);
            }
        }
    }

    /// Takes the text out, in place, and says whose it is.
    pub(crate) fn take<'a>(
        &mut self,
        now: Instant,
        from: IpAddr,
        datagram: &'a mut [u8],
    ) -> Result<(Boot, &'a [u8]), Unopened> {
        match self {
            Self::Plain { .. } => {
                let (head, text) = datagram.split_at_checked(PLAIN).ok_or(Unopened::Other)?;
                if head[..4] != PLAIN_HEAD {
                    let sealed = head[..2] == *b"BH";
                    return Err(if sealed { Unopened::Forged } else { Unopened::Other });
                }
                let mut boot = [0; 16];
                boot.copy_from_slice(&head[4..]);
                Ok((Boot(boot), text))
            }
            Self::Sealed { openers, .. } => {
                if datagram.starts_with(&PLAIN_HEAD) {
                    return Err(Unopened::Forged);
                }
                // Opening destroys what it fails on, so while keys change each key gets a copy.
                let mut spare = Vec::new();
                let last = openers.len() - 1;
                for (at, opener) in openers.iter_mut().enumerate() {
                    if at < last {
                        spare.clear();
                        spare.extend_from_slice(datagram);
                        match opener.open_from(now, from, &mut spare) {
                            Ok(opened) => {
                                let (boot, length) =
                                    (opened.header.speaker.boot, opened.text.len());
                                datagram[..length].copy_from_slice(opened.text);
                                return Ok((boot, &datagram[..length]));
                            }
                            Err(Refusal::Forged) => continue,
                            Err(refusal) => return Err(refusal.into()),
                        }
                    }
                }
                let opened = openers[last].open_from(now, from, datagram)?;
                Ok((opened.header.speaker.boot, opened.text))
            }
        }
    }
}

impl From<Refusal> for Unopened {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forged => Self::Forged,
            Refusal::Replayed => Self::Replayed,
            _ => Self::Other,
        }
    }
}

//! What is around a datagram of the ring on the wire: a seal, or, without a key, the name of its sender.
//!
//! ```text
//! sealed    as `seal::envelope` says, with the purpose of the bus
//! plain      0  'B' 'h'   2  version = 1   3  zero   4  boot [16]   20  text
//! text       0  the daemon it is for, as its tag, or zero: for everybody [8]   8  a word of the ring
//! ```
//!
//! For whom it is stands under the seal: whoever can only record and send could else give a token, or an answer, to
//! another than it was meant for, who has not seen its number yet. (Found by the simulator, seed 36245: two tokens.)

use std::collections::BTreeMap;
use std::net::IpAddr;

use base::{Boot, Instant, MachineId};
use crypto::Ring as Suite;
use ring::{Daemon, Tag};
use seal::envelope::HEADER_LEN;
use seal::suite::{Purpose, Speaker};
use seal::{ClusterKey, Header, OVERHEAD, Opener, Refusal, Sealer};

use crate::config::Protection;

/// Bytes that say for whom it is.
const FOR: usize = 8;
/// For everybody.
const ALL: [u8; FOR] = [0; FOR];
/// Bytes in front of a plain text.
const PLAIN: usize = 20;
const PLAIN_HEAD: [u8; 4] = [b'B', b'h', 1, 0];
/// Daemons whose keys are remembered at a time: all that a ring may have, twice, for new boots.
const REMEMBERED: usize = 256;

/// Which key opened the last datagram of a boot: so many boots are remembered.
const KNOWN_MAX: usize = 1024;

/// One key, with everything that must not be begun again within a boot: the numbers of what was sealed with it, without
/// which a nonce would be used twice, and of what was opened, without which a recording would be new.
struct Keyed {
    key: ClusterKey,
    sealer: Sealer<Suite>,
    opener: Opener<Suite>,
    /// What is sealed with it is opened; not so with a key that was taken back.
    believed: bool,
}

/// All keys of this boot.
pub(crate) struct Keys {
    speaker: Speaker,
    all: Vec<Keyed>,
    /// The one to seal with.
    current: usize,
    /// How many are believed.
    believed: usize,
    known: BTreeMap<Boot, usize>,
    spare: Vec<u8>,
}

/// Puts datagrams into envelopes and takes them out.
pub(crate) struct Envelope {
    /// For whom datagrams to this daemon are.
    me: [u8; FOR],
    text: Vec<u8>,
    cover: Cover,
}

/// What is around the text.
enum Cover {
    /// With the cluster's key, or one it had before.
    Sealed(Box<Keys>),
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

impl Keys {
    /// The place of a key, new or of before.
    fn place(&mut self, key: &ClusterKey) -> usize {
        if let Some(at) = self.all.iter().position(|keyed| keyed.key.is_same(key)) {
            return at;
        }
        self.all.push(Keyed {
            key: key.clone(),
            sealer: Sealer::new(&Suite, key, Purpose::Bus, self.speaker, 0),
            opener: Opener::new(&Suite, key, Purpose::Bus, REMEMBERED),
            believed: false,
        });
        self.all.len() - 1
    }

    fn set(&mut self, current: &ClusterKey, previous: &[ClusterKey]) {
        self.all.iter_mut().for_each(|keyed| keyed.believed = false);
        self.current = self.place(current);
        self.all[self.current].believed = true;
        for key in previous {
            let at = self.place(key);
            self.all[at].believed = true;
        }
        self.believed = self.all.iter().filter(|keyed| keyed.believed).count();
        self.known.clear();
    }

    fn take<'a>(
        &mut self,
        now: Instant,
        from: IpAddr,
        datagram: &'a mut [u8],
    ) -> Result<(Boot, &'a [u8]), Unopened> {
        if self.believed == 1 {
            // As it nearly always is: opened where it lies.
            let opened = self.all[self.current].opener.open_from(now, from, datagram)?;
            return Ok((opened.header.speaker.boot, opened.text));
        }
        // Opening destroys what it fails on, so each key gets a copy.
        let boot = Header::read(datagram)?.speaker.boot;
        let likely = self.known.get(&boot).copied().unwrap_or(self.current);
        let others = (0..self.all.len()).filter(|at| *at != likely);
        let order = [likely].into_iter().chain(others);
        let order: Vec<usize> = order.filter(|at| self.all[*at].believed).collect();
        // A number is new to a key that did not see it, so "seen before" is the answer only when no key opens it.
        let mut why = Unopened::Forged;
        for at in order {
            self.spare.clear();
            self.spare.extend_from_slice(datagram);
            match self.all[at].opener.open_from(now, from, &mut self.spare) {
                Ok(opened) => {
                    let length = opened.text.len();
                    if at != likely {
                        if self.known.len() >= KNOWN_MAX {
                            self.known.clear();
                        }
                        self.known.insert(boot, at);
                    }
                    datagram[..length].copy_from_slice(&self.spare[HEADER_LEN..][..length]);
                    return Ok((boot, &datagram[..length]));
                }
                Err(Refusal::Replayed) => why = Unopened::Replayed,
                Err(_) if why == Unopened::Replayed => {}
                Err(refusal) => why = refusal.into(),
            }
        }
        Err(why)
    }
}

impl Envelope {
    pub(crate) fn new(protection: &Protection, me: &Daemon) -> Self {
        let cover = match protection {
            Protection::Key { current, previous } => {
                let mut keys = Keys {
                    speaker: speaker(me),
                    all: Vec::new(),
                    current: 0,
                    believed: 0,
                    known: BTreeMap::new(),
                    spare: Vec::new(),
                };
                keys.set(current, previous);
                Cover::Sealed(Box::new(keys))
            }
            Protection::Loopback | Protection::Insecure => Cover::Plain { boot: me.boot },
        };
        Self { me: Tag::from(me).0.to_be_bytes(), text: Vec::new(), cover }
    }

    /// Other keys from now on. Whether there are keys at all cannot change while the daemon runs: `false` if that was asked.
    pub(crate) fn rekey(&mut self, protection: &Protection) -> bool {
        match (&mut self.cover, protection) {
            (Cover::Sealed(keys), Protection::Key { current, previous }) => {
                keys.set(current, previous);
                true
            }
            (Cover::Plain { .. }, Protection::Loopback | Protection::Insecure) => true,
            _ => false,
        }
    }

    /// Bytes that an envelope adds.
    pub(crate) fn overhead(&self) -> usize {
        let cover = match self.cover {
            Cover::Sealed(_) => OVERHEAD,
            Cover::Plain { .. } => PLAIN,
        };
        cover + FOR
    }

    /// Writes the enveloped form of `word` into `out`, replacing what was there; for one daemon, or for everybody.
    pub(crate) fn put(&mut self, to: Option<Tag>, word: &[u8], out: &mut Vec<u8>) {
        self.text.clear();
        self.text.extend_from_slice(&to.map_or(ALL, |tag| tag.0.to_be_bytes()));
        self.text.extend_from_slice(word);
        match &mut self.cover {
            Cover::Sealed(keys) => {
                let current = keys.current;
                keys.all[current].sealer.seal(&self.text, out);
            }
            Cover::Plain { boot } => {
                out.clear();
                out.extend_from_slice(&PLAIN_HEAD);
                out.extend_from_slice(&boot.0);
                out.extend_from_slice(&self.text);
            }
        }
    }

    /// Takes the word out, in place, and says whose it is.
    pub(crate) fn take<'a>(
        &mut self,
        now: Instant,
        from: IpAddr,
        datagram: &'a mut [u8],
    ) -> Result<(Boot, &'a [u8]), Unopened> {
        let (boot, text) = match &mut self.cover {
            Cover::Plain { .. } => {
                let (head, text) = datagram.split_at_checked(PLAIN).ok_or(Unopened::Other)?;
                if head[..4] != PLAIN_HEAD {
                    let sealed = head[..2] == *b"BH";
                    return Err(if sealed { Unopened::Forged } else { Unopened::Other });
                }
                let mut boot = [0; 16];
                boot.copy_from_slice(&head[4..]);
                (Boot(boot), text)
            }
            Cover::Sealed(keys) => {
                if datagram.starts_with(&PLAIN_HEAD) {
                    return Err(Unopened::Forged);
                }
                keys.take(now, from, datagram)?
            }
        };
        let (whom, word) = text.split_first_chunk::<FOR>().ok_or(Unopened::Other)?;
        if *whom == ALL || *whom == self.me { Ok((boot, word)) } else { Err(Unopened::Other) }
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

#[cfg(test)]
mod tests {
    use ring::DaemonName;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn key(byte: u8) -> ClusterKey {
        let mut bytes = [byte; 32];
        bytes[0] = !byte;
        ClusterKey::from_bytes(bytes)
    }

    fn envelope(boot: u8, current: u8, previous: &[u8]) -> Envelope {
        let me = Daemon { name: DaemonName::of_host("ann"), boot: Boot([boot; 16]) };
        let previous = previous.iter().map(|byte| key(*byte)).collect();
        Envelope::new(&Protection::Key { current: key(current), previous }, &me)
    }

    fn rekey(envelope: &mut Envelope, current: u8, previous: &[u8]) {
        let previous = previous.iter().map(|byte| key(*byte)).collect();
        assert!(envelope.rekey(&Protection::Key { current: key(current), previous }));
    }

    fn pass(from: &mut Envelope, to: &mut Envelope) -> Result<Vec<u8>, Unopened> {
        let mut datagram = Vec::new();
        from.put(None, b"word", &mut datagram);
        to.take(Instant::from_millis(1), HERE, &mut datagram).map(|(_, text)| text.to_vec())
    }

    #[test]
    fn keys_change_in_three_steps_and_every_word_is_understood() {
        let (mut ann, mut bob) = (envelope(1, 1, &[]), envelope(2, 1, &[]));
        // First everybody learns the new key, then everybody seals with it, then the old one is taken back; in any order.
        for (key, previous) in [(1, [2]), (2, [1])] {
            rekey(&mut ann, key, &previous);
            assert_eq!(pass(&mut ann, &mut bob).as_deref(), Ok(&b"word"[..]));
            assert_eq!(pass(&mut bob, &mut ann).as_deref(), Ok(&b"word"[..]));
            rekey(&mut bob, key, &previous);
            assert_eq!(pass(&mut ann, &mut bob).as_deref(), Ok(&b"word"[..]));
        }
        rekey(&mut ann, 2, &[]);
        assert!(pass(&mut bob, &mut ann).is_ok());
        assert_eq!(pass(&mut envelope(3, 1, &[]), &mut ann), Err(Unopened::Forged));
    }

    #[test]
    fn a_recording_is_old_also_after_keys_went_and_came_back() {
        let (mut ann, mut bob) = (envelope(1, 1, &[]), envelope(2, 1, &[]));
        let mut recorded = Vec::new();
        ann.put(None, b"word", &mut recorded);
        let take = |bob: &mut Envelope| {
            let mut copy = recorded.clone();
            bob.take(Instant::from_millis(1), HERE, &mut copy).map(|_| ())
        };
        assert_eq!(take(&mut bob), Ok(()));
        rekey(&mut bob, 2, &[]);
        assert_eq!(take(&mut bob), Err(Unopened::Forged));
        rekey(&mut bob, 1, &[2]);
        assert_eq!(take(&mut bob), Err(Unopened::Replayed));
    }

    #[test]
    fn a_number_is_never_used_twice_with_a_key_that_comes_back() {
        let mut ann = envelope(1, 1, &[]);
        let (mut first, mut later) = (Vec::new(), Vec::new());
        ann.put(None, b"one", &mut first);
        rekey(&mut ann, 2, &[1]);
        rekey(&mut ann, 1, &[2]);
        ann.put(None, b"two", &mut later);
        let counter = |datagram: &[u8]| Header::read(datagram).map(|header| header.counter);
        assert_eq!((counter(&first), counter(&later)), (Ok(1), Ok(2)));
    }

    #[test]
    fn with_a_key_nothing_plain_is_taken_and_without_one_nothing_sealed() {
        let me = Daemon { name: DaemonName::of_host("bob"), boot: Boot([2; 16]) };
        let mut plain = Envelope::new(&Protection::Insecure, &me);
        let mut sealed = envelope(1, 1, &[]);
        assert_eq!(pass(&mut plain, &mut sealed), Err(Unopened::Forged));
        assert_eq!(pass(&mut sealed, &mut plain), Err(Unopened::Forged));
        assert!(!plain.rekey(&Protection::Key { current: key(1), previous: Vec::new() }));
    }

    #[test]
    fn what_is_for_one_daemon_is_worth_nothing_to_another() {
        let boot = |byte| Boot([byte; 16]);
        let bob = Tag::from(&boot(2));
        let me = |byte| Daemon { name: DaemonName::of_host("ann"), boot: boot(byte) };
        let plain = |byte| Envelope::new(&Protection::Insecure, &me(byte));
        for make in [&plain as &dyn Fn(u8) -> Envelope, &|byte| envelope(byte, 1, &[])] {
            let mut sent = Vec::new();
            make(1).put(Some(bob), b"token", &mut sent);
            for (reader, good) in [(2, true), (3, false)] {
                let mut copy = sent.clone();
                let taken = make(reader).take(Instant::from_millis(1), HERE, &mut copy);
                let text = taken.map(|(from, text)| (from, text.to_vec()));
                let wanted = Ok((boot(1), b"token".to_vec()));
                assert_eq!(text, if good { wanted } else { Err(Unopened::Other) });
            }
        }
    }

    #[test]
    fn noise_is_refused_at_every_length() {
        let mut sealed = envelope(1, 1, &[2]);
        let mut plain = Envelope::new(
            &Protection::Loopback,
            &Daemon { name: DaemonName::of_host("bob"), boot: Boot([2; 16]) },
        );
        for length in 0..200 {
            let mut noise = vec![0xA5; length];
            assert!(sealed.take(Instant::from_millis(1), HERE, &mut noise).is_err());
            assert!(plain.take(Instant::from_millis(1), HERE, &mut noise).is_err());
        }
    }
}

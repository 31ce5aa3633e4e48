//! Opening datagrams: cheap checks first, then the key, then the window.
//!
//! A forged packet costs a header check, at most one key derivation and one failed decryption, and
//! leaves no trace: a channel is remembered only after it proved itself. Derivations for senders not
//! yet remembered are limited to [`DERIVATIONS_PER_SECOND`], so a flood under ever new names costs a
//! few milliseconds a second and cannot touch machines already known. Of them, those that come from one
//! address get at most [`DERIVATIONS_PER_SOURCE`], so that such a flood does not keep out machines that
//! start meanwhile elsewhere. A machine of which another boot is remembered has [`DERIVATIONS_FOR_RETURNING`] besides: it
//! comes back also while somebody floods us in its own name.
//!
//! One opener per receiving thread. It remembers up to a given number of channels, each with its key
//! schedule and replay window (about 0.8 KB); when full, the longest silent one makes room if it was
//! silent for [`IDLE`], else the newcomer is refused.

use alloc::collections::BTreeMap;
use core::net::IpAddr;
use core::time::Duration;

use base::{Boot, Instant};

use crate::envelope::{HEADER_LEN, Header, Refusal, nonce};
use crate::key::ClusterKey;
use crate::suite::{Cipher, Purpose, Speaker, Suite, TAG_LEN};
use crate::window::Window;

/// Keys derived per second for senders that are not remembered.
pub const DERIVATIONS_PER_SECOND: u32 = 4096;
/// Of these, for senders at one address. Addresses are told apart by a few bits of theirs, so that a flood from many costs
/// no more memory than one from one.
pub const DERIVATIONS_PER_SOURCE: u32 = 1024;
/// Keys derived per second beyond these, for new boots and channels of machines that are remembered.
pub const DERIVATIONS_FOR_RETURNING: u32 = 256;
/// How many groups addresses fall into.
const SOURCES: usize = 64;
/// Silence after which a channel's memory may be given to a newcomer.
pub const IDLE: Duration = Duration::from_secs(10);

struct Channel<C> {
    cipher: C,
    window: Window,
    last: Instant,
}

/// A datagram that the key opened and the window had not seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Its header, now known to be true.
    pub header: Header,
    /// What was sealed.
    pub text: &'a [u8],
}

/// Opens datagrams of the purposes one socket serves. See the module's text.
pub struct Opener<S: Suite> {
    suite: S,
    key: ClusterKey,
    purpose: Purpose,
    capacity: usize,
    channels: BTreeMap<(Speaker, u16), Channel<S::Cipher>>,
    derivations: u32,
    by_source: [u32; SOURCES],
    returning: u32,
    second: Instant,
}

impl<S: Suite> Opener<S> {
    /// An opener for datagrams of `purpose` that remembers up to `capacity` channels.
    pub fn new(suite: &S, key: &ClusterKey, purpose: Purpose, capacity: usize) -> Self {
        Self {
            suite: suite.clone(),
            key: key.clone(),
            purpose,
            capacity,
            channels: BTreeMap::new(),
            derivations: 0,
            by_source: [0; SOURCES],
            returning: 0,
            second: Instant::ORIGIN,
        }
    }

    /// Opens `datagram` in place, on a socket where only those answer who were asked.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was remembered of the datagram, and its bytes are worthless.
    pub fn open<'a>(
        &mut self,
        now: Instant,
        datagram: &'a mut [u8],
    ) -> Result<Opened<'a>, Refusal> {
        self.open_as(now, None, datagram)
    }

    /// Opens `datagram`, which came from this address, in place.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_from<'a>(
        &mut self,
        now: Instant,
        from: IpAddr,
        datagram: &'a mut [u8],
    ) -> Result<Opened<'a>, Refusal> {
        self.open_as(now, Some(from), datagram)
    }

    fn open_as<'a>(
        &mut self,
        now: Instant,
        from: Option<IpAddr>,
        datagram: &'a mut [u8],
    ) -> Result<Opened<'a>, Refusal> {
        let header = Header::read(datagram)?;
        if header.purpose != self.purpose {
            return Err(Refusal::Purpose);
        }
        let name = (header.speaker, header.channel);
        match self.channels.get_mut(&name) {
            Some(channel) => {
                if !channel.window.is_fresh(header.counter) {
                    return Err(Refusal::Replayed);
                }
                decrypt(&channel.cipher, &header, datagram)?;
                channel.window.accept(header.counter);
                channel.last = now;
            }
            None => {
                let cipher = self.derive(now, from, &header)?;
                decrypt(&cipher, &header, datagram)?;
                let mut window = Window::new();
                if !window.accept(header.counter) {
                    return Err(Refusal::Replayed);
                }
                self.make_room(now)?;
                self.channels.insert(name, Channel { cipher, window, last: now });
            }
        }
        let end = datagram.len() - TAG_LEN;
        Ok(Opened { header, text: &datagram[HEADER_LEN..end] })
    }

    /// Channels remembered now.
    pub fn remembered(&self) -> usize {
        self.channels.len()
    }

    fn derive(
        &mut self,
        now: Instant,
        from: Option<IpAddr>,
        header: &Header,
    ) -> Result<S::Cipher, Refusal> {
        if now.since(self.second) >= Duration::from_secs(1) {
            (self.second, self.derivations, self.by_source) = (now, 0, [0; SOURCES]);
            self.returning = 0;
        }
        let returns = self.is_remembered(header);
        let source = from.and_then(|from| self.by_source.get_mut(source(from)));
        if self.derivations < DERIVATIONS_PER_SECOND
            && source.as_deref().is_none_or(|&n| n < DERIVATIONS_PER_SOURCE)
        {
            self.derivations += 1;
            if let Some(n) = source {
                *n += 1;
            }
        } else if returns && self.returning < DERIVATIONS_FOR_RETURNING {
            self.returning += 1;
        } else {
            return Err(Refusal::Busy);
        }
        let key = self.key.channel(&self.suite, self.purpose, &header.speaker, header.channel);
        Ok(self.suite.cipher(&key))
    }

    /// Whether any boot of this machine is.
    fn is_remembered(&self, header: &Header) -> bool {
        let machine = header.speaker.machine;
        let first = (Speaker { machine, boot: Boot([0; 16]) }, 0);
        self.channels.range(first..).next().is_some_and(|((found, _), _)| found.machine == machine)
    }

    fn make_room(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.channels.len() < self.capacity {
            return Ok(());
        }
        let oldest = self.channels.iter().min_by_key(|(_, channel)| channel.last);
        match oldest.map(|(name, channel)| (*name, channel.last)) {
            Some((name, last)) if now.since(last) >= IDLE => {
                self.channels.remove(&name);
                Ok(())
            }
            _ => Err(Refusal::Full),
        }
    }
}

/// The group of an address: the hash of Fowler, Noll and Vo over its bytes, spread once more, since the last byte, in which
/// neighbours differ, has moved its low bits only.
fn source(from: IpAddr) -> usize {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let hash = match from {
        IpAddr::V4(v4) => v4.octets().iter().fold(0x811c_9dc5, mix),
        IpAddr::V6(v6) => v6.octets().iter().fold(0x811c_9dc5, mix),
    };
    (hash.wrapping_mul(0x9e37_79b1) >> 16) as usize % SOURCES
}

fn decrypt<C: Cipher>(cipher: &C, header: &Header, datagram: &mut [u8]) -> Result<(), Refusal> {
    let (associated, text) = datagram.split_at_mut(HEADER_LEN);
    let genuine = cipher.open(nonce(header.counter), associated, text);
    if genuine { Ok(()) } else { Err(Refusal::Forged) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{MAX_DATAGRAM, OVERHEAD, Sealer};
    use crate::test_suite::{Ring, speaker};
    use proptest::prelude::*;
    use std::vec::Vec;

    const NOW: Instant = Instant::from_millis(1000);

    fn key() -> ClusterKey {
        ClusterKey::from_bytes([7; 32])
    }

    fn opener(capacity: usize) -> Opener<Ring> {
        Opener::new(&Ring, &key(), Purpose::Announce, capacity)
    }

    fn sealed(sealer: &mut Sealer<Ring>, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealer.seal(text, &mut out);
        out
    }

    fn sealer(machine: u8, channel: u16) -> Sealer<Ring> {
        Sealer::new(&Ring, &key(), Purpose::Announce, speaker(machine, 1), channel)
    }

    #[test]
    fn what_was_sealed_opens_once() {
        let (mut opener, mut sealer) = (opener(8), sealer(1, 0));
        let datagram = sealed(&mut sealer, b"hello");
        let mut copy = datagram.clone();
        let opened = opener.open(NOW, &mut copy).unwrap();
        assert_eq!((opened.text, opened.header.counter), (&b"hello"[..], 1));
        assert_eq!(opener.open(NOW, &mut datagram.clone()), Err(Refusal::Replayed));
        assert!(opener.open(NOW, &mut sealed(&mut sealer, b"")).is_ok());
    }

    #[test]
    fn another_key_purpose_or_name_does_not_open() {
        let mut opener = opener(8);
        let other = ClusterKey::from_bytes([8; 32]);
        let mut wrong = Sealer::new(&Ring, &other, Purpose::Announce, speaker(1, 1), 0);
        assert_eq!(opener.open(NOW, &mut sealed(&mut wrong, b"x")), Err(Refusal::Forged));
        let mut question = Sealer::new(&Ring, &key(), Purpose::Exchange, speaker(1, 1), 0);
        let mut datagram = sealed(&mut question, b"x");
        assert_eq!(opener.open(NOW, &mut datagram.clone()), Err(Refusal::Purpose));
        datagram[3] = Purpose::Announce as u8;
        assert_eq!(opener.open(NOW, &mut datagram), Err(Refusal::Forged));
        assert_eq!(opener.remembered(), 0);
    }

    #[test]
    fn forgeries_leave_no_trace_and_push_nobody_out() {
        let mut opener = opener(1);
        let mut friend = sealer(1, 0);
        assert!(opener.open(NOW, &mut sealed(&mut friend, b"a")).is_ok());
        for n in 0..10_000u32 {
            let mut forged = sealed(&mut friend, b"b");
            forged[8..12].copy_from_slice(&n.to_be_bytes());
            assert!(opener.open(NOW, &mut forged).is_err());
            // A huge counter under a known name must not move the window either.
            let mut ahead = sealed(&mut friend, b"c");
            ahead[40] = 0xff;
            assert_eq!(opener.open(NOW, &mut ahead), Err(Refusal::Forged));
        }
        assert_eq!(opener.remembered(), 1);
        assert!(opener.open(NOW, &mut sealed(&mut friend, b"d")).is_ok());
    }

    #[test]
    fn a_flood_of_new_names_derives_a_bounded_number_of_keys() {
        let mut opener = opener(8);
        let mut datagram = [0u8; OVERHEAD];
        datagram[..4].copy_from_slice(b"BH\x01\x01");
        let mut refusals = [0u32; 2];
        for n in 0..2 * DERIVATIONS_PER_SECOND {
            datagram[8..12].copy_from_slice(&n.to_be_bytes());
            match opener.open(NOW, &mut datagram.clone()) {
                Err(Refusal::Forged) => refusals[0] += 1,
                Err(Refusal::Busy) => refusals[1] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(refusals, [DERIVATIONS_PER_SECOND; 2]);
        let later = NOW + Duration::from_secs(1);
        assert!(opener.open(later, &mut sealed(&mut sealer(1, 0), b"x")).is_ok());
    }

    #[test]
    fn a_flood_from_one_address_does_not_keep_out_who_starts_at_another() {
        let mut opener = opener(8);
        let (flood, web2) = ("10.0.0.66".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut datagram = [0u8; OVERHEAD];
        datagram[..4].copy_from_slice(b"BH\x01\x01");
        let mut derived = 0;
        for n in 0..2 * DERIVATIONS_PER_SECOND {
            datagram[8..12].copy_from_slice(&n.to_be_bytes());
            let refusal = opener.open_from(NOW, flood, &mut datagram.clone()).unwrap_err();
            derived += u32::from(refusal == Refusal::Forged);
        }
        assert_eq!(derived, DERIVATIONS_PER_SOURCE);
        assert!(opener.open_from(NOW, web2, &mut sealed(&mut sealer(2, 0), b"x")).is_ok());
        let groups: std::collections::BTreeSet<_> =
            (0..=255).map(|n| source(IpAddr::from([10, 0, 0, n]))).collect();
        assert!(groups.len() > SOURCES / 2, "neighbours are told apart: {}", groups.len());
    }

    #[test]
    fn a_machine_comes_back_also_under_a_flood_in_its_own_name() {
        let mut opener = opener(8);
        let web2 = "10.0.0.2".parse().unwrap();
        assert!(opener.open_from(NOW, web2, &mut sealed(&mut sealer(2, 0), b"x")).is_ok());
        let mut datagram = [0u8; OVERHEAD];
        datagram[..4].copy_from_slice(b"BH\x01\x01");
        for n in 0..2 * DERIVATIONS_PER_SOURCE {
            datagram[8..12].copy_from_slice(&n.to_be_bytes());
            assert!(opener.open_from(NOW, web2, &mut datagram.clone()).is_err());
        }
        let next = |machine| Sealer::new(&Ring, &key(), Purpose::Announce, speaker(machine, 2), 0);
        assert!(opener.open_from(NOW, web2, &mut sealed(&mut next(2), b"x")).is_ok());
        let stranger = opener.open_from(NOW, web2, &mut sealed(&mut next(3), b"x")).map(drop);
        assert_eq!(stranger, Err(Refusal::Busy));
    }

    #[test]
    fn a_full_memory_gives_way_only_to_silence() {
        let mut opener = opener(2);
        let (mut one, mut two, mut three) = (sealer(1, 0), sealer(1, 1), sealer(2, 0));
        assert!(opener.open(NOW, &mut sealed(&mut one, b"")).is_ok());
        let later = NOW + IDLE;
        assert!(opener.open(later, &mut sealed(&mut two, b"")).is_ok());
        assert!(opener.open(NOW, &mut sealed(&mut three, b"")).is_err());
        assert!(opener.open(later, &mut sealed(&mut three, b"")).is_ok());
        assert_eq!(opener.open(later, &mut sealed(&mut one, b"")), Err(Refusal::Full));
        assert_eq!(opener.remembered(), 2);
    }

    #[test]
    fn every_truncation_is_refused() {
        let datagram = sealed(&mut sealer(1, 0), &[42; 100]);
        let mut opener = opener(8);
        for length in 0..datagram.len() {
            assert!(opener.open(NOW, &mut datagram[..length].to_vec()).is_err(), "{length}");
        }
        assert_eq!(opener.remembered(), 0);
    }

    proptest! {
        #[test]
        fn any_text_survives_and_any_flipped_bit_is_noticed(
            text in proptest::collection::vec(any::<u8>(), 0..=MAX_DATAGRAM - OVERHEAD),
            flip in any::<prop::sample::Index>(),
        ) {
            let datagram = sealed(&mut sealer(1, 9), &text);
            let mut opener = opener(8);
            let mut bent = datagram.clone();
            let bit = flip.index(bent.len() * 8);
            bent[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(opener.open(NOW, &mut bent).is_err());
            let mut copy = datagram.clone();
            prop_assert_eq!(opener.open(NOW, &mut copy).unwrap().text, &text[..]);
        }

        #[test]
        fn noise_is_refused(mut noise in proptest::collection::vec(any::<u8>(), 0..1400)) {
            prop_assert!(opener(8).open(NOW, &mut noise).is_err());
        }
    }
}

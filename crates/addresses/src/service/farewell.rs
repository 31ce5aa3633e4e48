//! The last word of a run of this program, said by its guardian: everything it had is off and stopped.
//!
//! Sets under quorum wait for the lease of a lost holder unless it is known to have let go, and after the death of the program only
//! its guardian knows. The bus has died with the program, so the guardian says it by UDP to the other machines, which say it to
//! the group in order ([`vip::Vip::handle_fenced`]).
//!
//! - The word is sealed by this program with the cluster key, when it starts, and left with the guardian, which has no key.
//! - It names the run, by the number drawn at its start, and nothing else: not single sets, but that nothing is left of any. A run
//!   that is over never has anything again, so the word stays true for ever, and whoever sends a copy of it says nothing new.
//! - The guardian says it only when the process is dead (one that hangs may go on), the kernel's list has no address of ours, and
//!   all its programs have ended well. It is not left with it while a hook runs here, whose end it would not see.
//!
//! What is heard is opened by a thread of its own; only what the key opens comes to the service.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base::{Boot, MachineId};
use crypto::Ring;
use seal::{ClusterKey, Opener, Purpose, Refusal, Sealer, Speaker};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::air::id_of;
use super::clock;
use super::run::Service;
use crate::config::{self, Config, HookEvent, HookRun};

/// What the sealed text begins with, and its version.
const MAGIC: &[u8; 4] = b"BHF\x01";
/// Machines of which words are remembered at a time.
const REMEMBERED: usize = 256;
/// So often the thread that hears looks whether anybody still listens.
const LOOK: Duration = Duration::from_secs(1);
/// Machines that are told at most.
const TOLD_MAX: usize = 128;

/// A word that was opened: whose guardian, and about which run.
pub(super) type Heard = (MachineId, u64);

/// The own word, and those of others.
pub(super) struct Farewell {
    sealed: Vec<u8>,
    port: u16,
    /// To whom the guardian would say it now; `None` while it may not.
    left: Option<Vec<SocketAddr>>,
    heard: UnboundedReceiver<Heard>,
    /// Datagrams that were refused.
    refused: Arc<AtomicU64>,
    /// Until the port is taken.
    ear: Option<Ear>,
}

/// What is needed to hear.
struct Ear {
    opener: Opener<Ring>,
    to: UnboundedSender<Heard>,
}

impl Farewell {
    /// For a run of the program, if there is a key. Nothing is heard or said before [`listen`](Self::listen).
    pub(super) fn new(config: &Config, key: Option<&ClusterKey>, boot: u64) -> Option<Self> {
        let key = key.filter(|key| !key.is_published())?;
        let (to, heard) = unbounded_channel();
        let opener = Opener::new(&Ring, key, Purpose::Farewell, REMEMBERED);
        Some(Self {
            sealed: seal(key, &config.machine, boot),
            port: config.guardian.port,
            left: None,
            heard,
            refused: Arc::default(),
            ear: Some(Ear { opener, to }),
        })
    }

    /// Takes the port, which only those have that hold something under quorum.
    ///
    /// # Errors
    /// The port cannot be had; it may be tried again.
    fn listen(&mut self) -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, self.port))
            .or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, self.port)))?;
        socket.set_read_timeout(Some(LOOK))?;
        let Some(Ear { opener, to }) = self.ear.take() else { return Ok(()) };
        let count = self.refused.clone();
        std::thread::Builder::new()
            .name("addresses-word".into())
            .spawn(move || hear(&socket, opener, &to, &count))?;
        Ok(())
    }

    fn listens(&self) -> bool {
        self.ear.is_none()
    }

    /// The next word of another machine's guardian.
    pub(super) async fn next(farewell: &mut Option<Self>) -> Heard {
        match farewell {
            Some(farewell) => match farewell.heard.recv().await {
                Some(heard) => heard,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// The word of this run. Each run has a key of its own for it and seals once.
fn seal(key: &ClusterKey, machine: &str, boot: u64) -> Vec<u8> {
    let mut life = [0; 16];
    crypto::random(&mut life);
    let speaker = Speaker { machine: id_of(machine), boot: Boot(life) };
    let mut text = MAGIC.to_vec();
    text.extend(boot.to_le_bytes());
    let mut sealed = Vec::new();
    Sealer::new(&Ring, key, Purpose::Farewell, speaker, 0).seal(&text, &mut sealed);
    sealed
}

/// What a datagram says, if the key opens it.
fn open(opener: &mut Opener<Ring>, from: IpAddr, datagram: &mut [u8]) -> Result<Heard, Refusal> {
    let opened = opener.open_from(clock::now(), from, datagram)?;
    let boot = opened.text.strip_prefix(MAGIC).and_then(|boot| boot.try_into().ok());
    let boot = boot.map(u64::from_le_bytes).ok_or(Refusal::Foreign)?;
    Ok((opened.header.speaker.machine, boot))
}

fn hear(
    socket: &UdpSocket,
    mut opener: Opener<Ring>,
    to: &UnboundedSender<Heard>,
    refused: &AtomicU64,
) {
    let mut datagram = [0; 256];
    while !to.is_closed() {
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) => match open(&mut opener, from.ip(), &mut datagram[..length]) {
                Ok(heard) => drop(to.send(heard)),
                // It is sent several times over.
                Err(Refusal::Replayed) => {}
                Err(why) => {
                    refused.fetch_add(1, Relaxed);
                    tracing::debug!(%from, %why, "no word of a guardian");
                }
            },
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // An answer of the network to nothing that was sent from here; it is not waited for in a circle.
            Err(_) => std::thread::sleep(LOOK / 10),
        }
    }
}

impl Service {
    /// Last words are heard and said from the first moment on that something here is under quorum.
    pub(super) fn hear_farewells(&mut self) {
        let Some(farewell) = self.farewell.as_mut().filter(|one| !one.listens()) else { return };
        if !self.config.sets.iter().any(|set| set.quorum) {
            return;
        }
        if let Err(error) = farewell.listen() {
            let port = farewell.port;
            self.alarm(None, format!("last words of guardians cannot be heard or said, for UDP port {port} cannot be had ({error}): sets under quorum wait for leases"));
        }
    }

    /// A guardian of another machine says that a run there is over and has let go.
    pub(super) fn farewell_heard(&mut self, (machine, boot): Heard) {
        self.counters.farewells += 1;
        let machine = self.machine_of(machine);
        self.note(None, format!("the guardian of {machine} says that everything is off there: its lease is not waited for"));
        self.vip.handle_fenced(clock::now(), boot);
    }

    /// The guardian may not say the word from now on: something begins whose end it would not see.
    pub(super) fn withhold(&mut self) {
        let Some(farewell) = self.farewell.as_mut().filter(|one| one.left.is_some()) else {
            return;
        };
        farewell.left = None;
        let Some(mut guardian) = self.guardian.take() else { return };
        if guardian.get_mut().farewell(&[], &[]).is_ok() {
            self.guardian = Some(guardian);
            return;
        }
        // Better none for a moment than one that says what is not so.
        guardian.into_inner().kill();
        self.replace_guardian(clock::now());
    }

    /// A guardian that was just started has no word.
    pub(super) fn forget_farewell(&mut self) {
        if let Some(farewell) = &mut self.farewell {
            farewell.left = None;
        }
    }

    /// Leaves the word with the guardian while nothing happens here that it does not see.
    pub(super) fn leave_farewell(&mut self) {
        let Some(farewell) = self.farewell.as_mut().filter(|one| one.listens()) else { return };
        let Some(guardian) = &mut self.guardian else { return };
        let quiet = self.hooks.pending() == 0 && self.hooks.stuck() == 0 && self.untold.is_empty();
        // Nor while something may run that could not be stopped.
        let quiet = quiet && self.stopping.withheld().next().is_none();
        if !quiet || has_modules(&self.config) {
            return;
        }
        let port = farewell.port;
        let to = self.others.iter().take(TOLD_MAX).map(|ip| SocketAddr::new(*ip, port));
        if farewell.left.as_ref().is_some_and(|left| left.iter().copied().eq(to.clone())) {
            return;
        }
        let to: Vec<SocketAddr> = to.collect();
        if guardian.get_mut().farewell(&farewell.sealed, &to).is_ok() {
            farewell.left = Some(to);
        }
    }
}

/// Whether something is to be stopped of which the guardian does not hear whether it was: what a function of a module returns is ignored.
fn has_modules(config: &config::Config) -> bool {
    let module = |run: &HookRun| matches!(run, HookRun::Module { .. });
    config.hooks.iter().any(|hook| hook.event == HookEvent::OnDown && module(&hook.run))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn key(byte: u8) -> ClusterKey {
        ClusterKey::from_bytes(std::array::from_fn(|at| byte ^ at as u8))
    }

    fn opener(byte: u8) -> Opener<Ring> {
        Opener::new(&Ring, &key(byte), Purpose::Farewell, REMEMBERED)
    }

    #[test]
    fn a_word_names_its_machine_and_its_run() {
        let word = seal(&key(1), "m1", 0x1234_5678_9abc_def0);
        let heard = open(&mut opener(1), FROM, &mut word.clone());
        assert_eq!(heard, Ok((id_of("m1"), 0x1234_5678_9abc_def0)));
    }

    #[test]
    fn the_port_is_taken_when_it_is_needed_and_once() {
        let section: config::AddressesSection = toml::from_str("list = [\"10.0.0.1\"]").unwrap();
        let config = section.check(&config::Around { machine: "m1", bus: true }).unwrap();
        let bind = |port| {
            let six = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
            six.or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap()
        };
        // One that is free but for this.
        let taken = bind(0);
        let port = taken.local_addr().unwrap().port();
        let config = Config { guardian: config::Guardian { port, ..config.guardian }, ..config };
        assert!(Farewell::new(&config, None, 7).is_none());
        assert!(Farewell::new(&config, Some(&ClusterKey::published()), 7).is_none());
        let mut farewell = Farewell::new(&config, Some(&key(1)), 7).unwrap();
        assert!(farewell.listen().is_err() && !farewell.listens(), "somebody else has the port");
        drop(taken);
        farewell.listen().unwrap();
        assert!(farewell.listens());
        let mouth = UdpSocket::bind((FROM, 0)).unwrap();
        mouth.send_to(&seal(&key(1), "m2", 8), (FROM, port)).unwrap();
        assert_eq!(farewell.heard.blocking_recv(), Some((id_of("m2"), 8)));
    }

    #[test]
    fn what_is_forged_changed_or_of_another_purpose_is_refused() {
        let word = seal(&key(1), "m1", 7);
        assert_eq!(open(&mut opener(2), FROM, &mut word.clone()), Err(Refusal::Forged));
        for at in 0..word.len() {
            let mut changed = word.clone();
            changed[at] ^= 1;
            assert!(open(&mut opener(1), FROM, &mut changed).is_err(), "byte {at}");
        }
        for length in 0..word.len() {
            assert!(open(&mut opener(1), FROM, &mut word[..length].to_vec()).is_err());
        }
        let mut exchange = Opener::new(&Ring, &key(1), Purpose::Exchange, 4);
        assert_eq!(open(&mut exchange, FROM, &mut word.clone()), Err(Refusal::Purpose));
        // A text that is sealed well and is no word.
        let speaker = Speaker { machine: id_of("m1"), boot: Boot([1; 16]) };
        let mut sealed = Vec::new();
        Sealer::new(&Ring, &key(1), Purpose::Farewell, speaker, 0)
            .seal(b"BHF\x02........", &mut sealed);
        assert_eq!(open(&mut opener(1), FROM, &mut sealed), Err(Refusal::Foreign));
    }

    #[test]
    fn the_same_word_once_more_is_refused_and_that_of_another_run_is_not() {
        let mut opener = opener(1);
        let word = seal(&key(1), "m1", 7);
        assert!(open(&mut opener, FROM, &mut word.clone()).is_ok());
        assert_eq!(open(&mut opener, FROM, &mut word.clone()), Err(Refusal::Replayed));
        assert_eq!(open(&mut opener, FROM, &mut seal(&key(1), "m1", 8)), Ok((id_of("m1"), 8)));
    }

    #[test]
    fn words_come_through_the_network_and_the_rest_is_counted() {
        let socket = UdpSocket::bind((FROM, 0)).unwrap();
        socket.set_read_timeout(Some(LOOK / 100)).unwrap();
        let at = socket.local_addr().unwrap();
        let (to, mut heard) = unbounded_channel();
        let refused = Arc::new(AtomicU64::new(0));
        let count = refused.clone();
        let thread = std::thread::spawn(move || hear(&socket, opener(1), &to, &count));
        let mouth = UdpSocket::bind((FROM, 0)).unwrap();
        for word in
            [b"noise".to_vec(), seal(&key(2), "m1", 6), vec![0; 300], seal(&key(1), "m1", 7)]
        {
            mouth.send_to(&word, at).unwrap();
        }
        // In this order by the same way: what was sent before has been judged.
        assert_eq!(heard.blocking_recv(), Some((id_of("m1"), 7)));
        assert_eq!(refused.load(Relaxed), 3);
        drop(heard);
        thread.join().unwrap();
    }
}

//! Resolving the names that machines announce as their contact, on a thread that may wait.
//!
//! A name is asked for again every minute while somebody announces it. Until the first answer, and when
//! there is none, the address that the machine's packets come from stands in.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use base::Instant;

use crate::wake::Bell;

/// How long an answer is believed.
const FRESH: Duration = Duration::from_secs(60);
/// Names remembered, and names waiting to be resolved.
const NAMES_MAX: usize = 1024;
const WAITING_MAX: usize = 64;

type Answer = (String, Vec<IpAddr>);

#[derive(Debug)]
struct Known {
    addresses: Vec<IpAddr>,
    asked: Instant,
}

/// Control's side: answers from memory, asks in the background.
#[derive(Debug)]
pub(super) struct Resolver {
    known: BTreeMap<String, Known>,
    thread: Option<(SyncSender<String>, Receiver<Answer>)>,
    bell: Arc<Bell>,
}

impl Resolver {
    /// Nothing is known and no thread runs until the first name.
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { known: BTreeMap::new(), thread: None, bell }
    }

    /// An address of `name`, of the family of `like` if there is one; `None` while there is no answer.
    pub(super) fn resolve(&mut self, name: &str, like: IpAddr, now: Instant) -> Option<IpAddr> {
        if let Ok(ip) = name.parse() {
            return Some(ip);
        }
        if self.known.get(name).is_none_or(|known| now.since(known.asked) >= FRESH) {
            self.ask(name, now);
        }
        let addresses = &self.known.get(name)?.addresses;
        addresses.iter().find(|ip| ip.is_ipv4() == like.is_ipv4()).or(addresses.first()).copied()
    }

    fn ask(&mut self, name: &str, now: Instant) {
        if self.known.len() >= NAMES_MAX && !self.known.contains_key(name) {
            self.known.retain(|_, known| now.since(known.asked) < FRESH);
            if self.known.len() >= NAMES_MAX {
                return;
            }
        }
        let (ask, _) = match &mut self.thread {
            Some(thread) => thread,
            none => match start(Arc::clone(&self.bell)) {
                Ok(thread) => none.insert(thread),
                // Without a thread names stay unresolved; the next announcement tries again.
                Err(_) => return,
            },
        };
        match ask.try_send(name.into()) {
            Ok(()) => {
                let known = self
                    .known
                    .entry(name.into())
                    .or_insert(Known { addresses: Vec::new(), asked: now });
                known.asked = now;
            }
            Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => self.thread = None,
        }
    }

    /// Takes the answers that have come; the names they are for.
    pub(super) fn take(&mut self) -> Vec<String> {
        let Some((_, answers)) = &self.thread else { return Vec::new() };
        let mut names = Vec::new();
        for (name, addresses) in answers.try_iter() {
            if let Some(known) = self.known.get_mut(&name)
                && !addresses.is_empty()
            {
                known.addresses = addresses;
                names.push(name);
            }
        }
        names
    }
}

fn start(bell: Arc<Bell>) -> std::io::Result<(SyncSender<String>, Receiver<Answer>)> {
    let (ask, asked) = sync_channel::<String>(WAITING_MAX);
    let (answer, answers) = sync_channel(WAITING_MAX);
    std::thread::Builder::new().name("resolver".into()).spawn(move || {
        for name in asked {
            // The port does not matter; a name that has no address is asked for again later.
            let found = (name.as_str(), 0).to_socket_addrs();
            let addresses =
                found.map(|found| found.map(|address: SocketAddr| address.ip()).collect());
            if answer.send((name, addresses.unwrap_or_default())).is_err() {
                return;
            }
            bell.ring();
        }
    })?;
    Ok((ask, answers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    #[test]
    fn a_name_is_resolved_in_the_background() {
        let bell = Arc::new(Bell::new().unwrap());
        let mut resolver = Resolver::new(Arc::clone(&bell));
        let (v4, now) = (IpAddr::from([127, 0, 0, 1]), Instant::from_millis(1));
        assert_eq!(resolver.resolve("10.1.2.3", v4, now), Some(IpAddr::from([10, 1, 2, 3])));
        assert_eq!(resolver.resolve("localhost", v4, now), None, "nobody waits");
        poll(&mut [PollFd::new(&*bell, PollFlags::IN)], Some(&Timespec { tv_sec: 10, tv_nsec: 0 }))
            .unwrap();
        assert_eq!(resolver.take(), ["localhost"]);
        assert!(resolver.resolve("localhost", v4, now).unwrap().is_loopback());
    }
}

//! What the kernel says by itself, and listening anew when that has ended.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use base::Instant;
use vip::neighbours::Mac;

use super::clock;
use super::holding::Holding;
use super::run::Service;
use super::worker::Job;
use crate::kernel::{self, Awaited, Event, Interests, Link, Watch};

/// So long after a failure the kernel is listened to anew.
const PAUSE: Duration = Duration::from_secs(1);

/// The kernel's events, or when they are to be had again.
pub(super) struct Watching {
    watch: Option<Awaited<Watch>>,
    again: Option<Instant>,
}

/// Begins to listen.
pub(super) fn listen() -> Result<Watch, kernel::Error> {
    Watch::open(Interests { links: true, addresses: true })
}

impl Watching {
    /// Needs a runtime of tokio around it.
    pub(super) fn new(watch: Watch) -> io::Result<Self> {
        Ok(Self { watch: Some(Awaited::new(watch)?), again: None })
    }

    /// The next change; none for as long as nobody listens.
    pub(super) async fn next(&mut self) -> io::Result<Result<Event, kernel::Error>> {
        match &mut self.watch {
            Some(watch) => watch.next(|watch| watch.next_event().transpose()).await,
            None => std::future::pending().await,
        }
    }

    /// Takes these as the interfaces there are.
    pub(super) fn know(&mut self, links: &[Link]) {
        if let Some(watch) = &mut self.watch {
            watch.get_mut().know(links);
        }
    }

    /// When to listen anew.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.again
    }

    /// It does not work any more. Asked again it would fail again, for ever and at once.
    fn broke(&mut self, now: Instant) {
        self.watch = None;
        self.again = Some(now + PAUSE);
    }

    /// Listens anew if it is time for that; how that went.
    fn again(
        &mut self,
        now: Instant,
        listen: impl FnOnce() -> Result<Watch, kernel::Error>,
    ) -> Option<Result<(), String>> {
        if self.again.is_none_or(|at| at > now) {
            return None;
        }
        let opened = listen().map_err(|error| error.to_string());
        match opened.and_then(|watch| Self::new(watch).map_err(|error| error.to_string())) {
            Ok(new) => {
                *self = new;
                Some(Ok(()))
            }
            Err(why) => {
                self.again = Some(now + PAUSE);
                Some(Err(why))
            }
        }
    }
}

impl Service {
    pub(super) fn kernel_said(&mut self, event: io::Result<Result<Event, kernel::Error>>) {
        let now = clock::now();
        let why = match event {
            Ok(Ok(Event::AddressAdded(held))) => return self.address_came(now, &held),
            Ok(Ok(Event::AddressRemoved(held))) => return self.address_went(now, &held),
            Ok(Ok(_)) => return self.ask_kernel(Job::Links),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.watch.broke(now);
        self.deaf(&why);
    }

    fn deaf(&mut self, why: &str) {
        if self.seldom("kernel".to_owned()) {
            self.alarm(None, format!("the kernel's events cannot be read: {why}; until they can be again, the interfaces are looked at each second"));
        }
    }

    /// Listens to the kernel again after a failure. The interfaces are listed after that, so that nothing falls between; and they are listed
    /// all the same if nobody listens.
    pub(super) fn listen_again(&mut self, now: Instant) {
        match self.watch.again(now, listen) {
            None => return,
            Some(Ok(())) => self.note(None, "the kernel's events can be read again".into()),
            Some(Err(why)) => self.deaf(&why),
        }
        self.ask_kernel(Job::Links);
    }

    /// The interfaces that have another hardware address than when they were listed last.
    pub(super) fn with_another_mac(&self, links: &[Link]) -> BTreeSet<u32> {
        let other = |link: &&Link| {
            let before = self.places.link(link.index).and_then(|before| before.mac);
            before.is_some() && link.mac.is_some() && before != link.mac
        };
        links.iter().filter(other).map(|link| link.index).collect()
    }

    /// Neighbours send to the old one, for which nobody listens any more, until they are told.
    pub(super) fn announce_another_mac(&mut self, now: Instant, interfaces: &BTreeSet<u32>) {
        for index in interfaces {
            let on = |holding: &Holding| {
                holding.placed.iter().any(|placed| placed.address.interface == *index)
            };
            let held = self.holdings.sets.values().any(on);
            let link = self.places.link(*index).filter(|_| held);
            let Some((name, mac)) = link.and_then(|link| Some((&link.name, link.mac?))) else {
                continue;
            };
            let mac = Mac(mac);
            let what = format!(
                "{name} has another hardware address, {mac}: what is held there is announced again"
            );
            self.air.link_up(now, *index);
            self.note(None, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn what_has_failed_is_not_asked_again_but_opened_anew_after_a_pause() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut watching = Watching::new(listen().unwrap()).unwrap();
            assert_eq!(watching.next_timeout(), None);
            watching.broke(at(5_000));
            // Who awaited it would come round at once otherwise, without end.
            assert!(watching.next().now_or_never().is_none());
            assert_eq!(watching.next_timeout(), Some(at(6_000)));
            assert_eq!(watching.again(at(5_999), listen), None);
            let fails =
                || Err(kernel::Error::Io { what: "x".into(), source: io::ErrorKind::Other.into() });
            assert!(matches!(watching.again(at(6_000), fails), Some(Err(_))));
            assert_eq!(watching.next_timeout(), Some(at(7_000)));
            assert_eq!(watching.again(at(7_000), listen), Some(Ok(())));
            assert_eq!(watching.next_timeout(), None);
            assert!(watching.watch.is_some());
        });
    }
}

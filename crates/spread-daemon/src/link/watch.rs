//! Looks where this machine's addresses are, on a thread of its own: the kernel lets nobody look while it puts on many, and those of the
//! cluster come by the thousand just when the bus must not wait.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv, sockopt};

use super::interfaces::{InterfaceAddress, addresses, concerns, netlink};

/// `RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// How long nobody looks when nothing was told.
const AGAIN: Duration = Duration::from_secs(5);
/// Changes come several at a time.
const SETTLED: Duration = Duration::from_millis(100);

/// What was found, if nobody has taken it yet.
type Found = Mutex<Option<Vec<InterfaceAddress>>>;

/// What the thread has to tell; it ends with this.
pub(super) struct Watch(Arc<Found>);

impl Watch {
    /// Begins to look, with what is known already.
    pub(super) fn start(known: Vec<InterfaceAddress>) -> Self {
        let found = Arc::new(Mutex::new(None));
        let weak = Arc::downgrade(&found);
        let thread = std::thread::Builder::new().name("bus-interfaces".into());
        if let Err(error) = thread.spawn(move || look(known, &weak)) {
            tracing::error!(%error, "addresses of this machine that change are not followed: no thread");
        }
        Self(found)
    }

    /// The addresses of this machine, if they are others than before. Never waits, and asks the system nothing.
    pub(super) fn news(&self) -> Option<Vec<InterfaceAddress>> {
        self.0.try_lock().ok()?.take()
    }
}

/// Looks until nobody wants to know any more.
fn look(mut known: Vec<InterfaceAddress>, into: &Weak<Found>) {
    // Without word of changes the regular look remains.
    let changes = Changes::subscribe().ok();
    loop {
        let Some(found) = into.upgrade() else { return };
        if let Ok(here) = addresses()
            && here != known
        {
            known.clone_from(&here);
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(here);
        }
        drop(found);
        match &changes {
            Some(changes) => changes.wait(),
            None => std::thread::sleep(AGAIN),
        }
    }
}

/// Hears of interfaces and addresses that come and go.
struct Changes(OwnedFd);

impl Changes {
    fn subscribe() -> std::io::Result<Self> {
        let socket = netlink(GROUPS)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(AGAIN))?;
        Ok(Self(socket))
    }

    /// Returns soon after something has changed, or when it is time to look all the same.
    fn wait(&self) {
        let (begun, mut buffer) = (Instant::now(), vec![0_u8; 32 * 1024]);
        while begun.elapsed() < AGAIN {
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) if !concerns(&buffer[..length]) => {}
                // More changes than could be held, too; and when it was time.
                _ => break,
            }
        }
        std::thread::sleep(SETTLED);
        while recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT).is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_known_is_told_once() {
        let watch = Watch::start(Vec::new());
        let begun = Instant::now();
        let here = loop {
            if let Some(here) = watch.news() {
                break here;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing is told");
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(here, addresses().unwrap());
        assert_eq!(watch.news(), None);
    }
}

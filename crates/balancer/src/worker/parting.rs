//! Parting from clients whose address goes to another machine in a moment.
//!
//! An address that moves away takes its established connections with it: what clients send arrives at a machine that knows
//! nothing of them, which resets them. Who is told before that a response was the last of its connection, or finds a resting
//! one closed, asks anew and is served by the new owner without noticing anything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::Worker;

/// An address that has not gone by then stays; connections begun later are the new owner's anyway.
pub(crate) const LASTS: Duration = Duration::from_secs(1);

/// The addresses that are about to go, and when that was said.
pub(crate) type Going = Arc<BTreeMap<IpAddr, Instant>>;

/// A worker's knowledge of them.
#[derive(Debug, Default)]
pub(crate) struct Parting(RefCell<Going>);

impl Parting {
    /// Whether the client who came to `local` is to be parted from. The address is asked for only if any goes at all.
    pub(crate) fn is_from(&self, local: impl FnOnce() -> Option<IpAddr>) -> bool {
        let going = self.0.borrow();
        !going.is_empty() && local().is_some_and(|local| going.contains_key(&local.to_canonical()))
    }
}

/// Keeps a worker's knowledge.
pub(crate) async fn watch(w: Rc<Worker>, mut going: watch::Receiver<Going>) {
    while going.changed().await.is_ok() {
        loop {
            let now = going.borrow_and_update().clone();
            w.parting.0.replace(now);
            w.controls.wake_idle();
            // Others may go before these are forgotten.
            match timeout(LASTS, going.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => break,
            }
        }
        w.parting.0.replace(Going::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_for_his_address_while_none_goes() {
        let parting = Parting::default();
        assert!(!parting.is_from(|| panic!("asked")));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        parting.0.replace(Arc::new([(ip("10.0.0.9"), Instant::now())].into()));
        assert!(parting.is_from(|| Some(ip("10.0.0.9"))));
        // As a socket for both families shows it.
        assert!(parting.is_from(|| Some(ip("::ffff:10.0.0.9"))));
        assert!(!parting.is_from(|| Some(ip("10.0.0.1"))) && !parting.is_from(|| None));
    }
}

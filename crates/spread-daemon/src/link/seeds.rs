//! Where daemons may be: addresses as configured, and names that are resolved again and again by a thread of their own.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::config::{DaemonConfig, Membership, SeedHost};

/// How often names are resolved.
const AGAIN: Duration = Duration::from_secs(30);
/// Addresses taken from one name.
const EACH_MAX: usize = 64;

/// All of them.
pub(crate) struct Seeds {
    fixed: Vec<SocketAddr>,
    named: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Seeds {
    pub(crate) fn new(config: &DaemonConfig) -> Self {
        let mut fixed = Vec::new();
        let mut names = Vec::new();
        match &config.membership {
            Membership::Fixed(list) => {
                let others = list.members.iter().enumerate().filter(|(at, _)| *at != list.me);
                fixed.extend(others.map(|(_, member)| member.address));
            }
            Membership::Found { seeds, .. } => {
                for seed in seeds {
                    let port = seed.port.unwrap_or(config.data.port);
                    match &seed.host {
                        SeedHost::Address(ip) => fixed.push(SocketAddr::new(*ip, port)),
                        SeedHost::Name(name) => names.push((name.clone(), port)),
                    }
                }
            }
        }
        let named = Arc::new(Mutex::new(Vec::new()));
        if !names.is_empty() {
            let weak = Arc::downgrade(&named);
            let thread = std::thread::Builder::new().name("bus-seeds".into());
            if let Err(error) = thread.spawn(move || resolve(&names, &weak)) {
                tracing::error!(%error, "the names among the seeds are not resolved: no thread");
            }
        }
        Self { fixed, named }
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let named = self.named.lock().map(|named| named.clone()).unwrap_or_default();
        self.fixed.iter().copied().chain(named).collect()
    }
}

/// Resolves until nobody wants to know any more.
fn resolve(names: &[(String, u16)], into: &Weak<Mutex<Vec<SocketAddr>>>) {
    let mut failing = vec![false; names.len()];
    loop {
        let mut found = Vec::new();
        for ((name, port), failing) in names.iter().zip(&mut failing) {
            match (name.as_str(), *port).to_socket_addrs() {
                Ok(addresses) => {
                    found.extend(addresses.take(EACH_MAX));
                    *failing = false;
                }
                Err(error) if !*failing => {
                    *failing = true;
                    tracing::warn!(%name, %error, "a seed has no address; it is tried again");
                }
                Err(_) => {}
            }
        }
        let Some(into) = into.upgrade() else { return };
        if let Ok(mut into) = into.lock() {
            *into = found;
        }
        drop(into);
        std::thread::sleep(AGAIN);
    }
}

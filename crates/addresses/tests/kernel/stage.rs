//! What the cases share: the machine they run in, and waiting for what happens.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use addresses::kernel::{Address, Event, Held, Interests, Kernel, Lease, Link, Watch};
use lab::{Lab, LabConfig, Output, Spawn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Names the case to be run, inside a machine.
pub(crate) const CASE: &str = "ADDRESSES_TEST_CASE";

/// Far longer than anything takes that is going to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a case in a machine to its end.
pub(crate) fn play(name: &str) {
    let lab = Lab::start(LabConfig { machines: 1, ..LabConfig::default() }).unwrap();
    let actor = Spawn::myself().env(CASE, name).stderr(Output::Pipe);
    let actor = lab.machine(0).spawn(actor).unwrap();
    let mut said = String::new();
    actor.take_stderr().unwrap().read_to_string(&mut said).unwrap();
    // Measured figures, for whoever asks to see them.
    eprint!("{said}");
    assert!(actor.wait().success(), "{said}");
}

/// Runs `ip` with these words.
pub(crate) fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The machine's interface with a cable.
pub(crate) fn cable(kernel: &mut Kernel) -> Link {
    kernel.links().unwrap().into_iter().find(|link| !link.loopback && link.passes()).unwrap()
}

/// A lease that is no source.
pub(crate) fn lease(seconds: u32) -> Lease {
    Lease { seconds: NonZeroU32::new(seconds).unwrap(), source: false }
}

/// `count` single addresses.
pub(crate) fn many(interface: u32, v6: bool, count: usize) -> Vec<Address> {
    let address = |i: usize| {
        let (high, low) = (i / 250, i % 250 + 1);
        let ip: IpAddr = if v6 {
            format!("2001:db8:7::{high:x}:{low:x}").parse().unwrap()
        } else {
            format!("198.18.{high}.{low}").parse().unwrap()
        };
        Address { ip, prefix: if v6 { 128 } else { 32 }, interface }
    };
    (0..count).map(address).collect()
}

/// Adds all of them or fails, and returns when all work: IPv6 a moment after it was taken.
pub(crate) fn add(kernel: &mut Kernel, addresses: &[Address], lease: Lease) {
    let mut watch = watch();
    for outcome in kernel.add(addresses, lease).unwrap() {
        outcome.unwrap();
    }
    let mut waiting: BTreeSet<Address> =
        addresses.iter().filter(|address| address.ip.is_ipv6()).copied().collect();
    if waiting.is_empty() {
        return;
    }
    until(&mut watch, "an end of being tentative", |event| {
        if let Event::AddressAdded(held) = event
            && held.works()
        {
            waiting.remove(&held.address);
        }
        waiting.is_empty()
    });
}

/// Those of `addresses` that are there.
pub(crate) fn there(kernel: &mut Kernel, addresses: &[Address]) -> Vec<Held> {
    let mut list = kernel.list().unwrap();
    list.retain(|held| addresses.contains(&held.address));
    list
}

/// Listens to everything.
pub(crate) fn watch() -> Watch {
    Watch::open(Interests { links: true, addresses: true }).unwrap()
}

/// Waits until a descriptor has something to read; whether it has.
pub(crate) fn readable(fd: impl AsFd, most: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap(),
        tv_nsec: most.subsec_nanos().into(),
    };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

/// Waits for an event.
pub(crate) fn until(watch: &mut Watch, what: &str, mut is_it: impl FnMut(&Event) -> bool) -> Event {
    let deadline = Instant::now() + PATIENCE;
    loop {
        while let Some(event) = watch.next_event().unwrap() {
            if is_it(&event) {
                return event;
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(readable(&watch, left), "{what} did not happen within {PATIENCE:?}");
    }
}

/// Waits until all of these were removed; when the last one was.
pub(crate) fn until_removed(watch: &mut Watch, addresses: &[Address]) -> Instant {
    let mut left: BTreeSet<Address> = addresses.iter().copied().collect();
    until(watch, "the removal of all addresses", |event| {
        if let Event::AddressRemoved(held) = event {
            left.remove(&held.address);
        }
        left.is_empty()
    });
    Instant::now()
}

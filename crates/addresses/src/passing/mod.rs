//! Passing on what reaches the wrong one of two machines while an address moves from one to the other.
//!
//! When the new owner has announced itself, clients send to it what belongs to connections of the old one: the end of a handshake, a
//! request. Its kernel would reset them. So for a short while packets of connections that this machine does not know are passed on to the
//! other, in both directions: what was begun with the old owner goes on there, what is begun now is begun with the new one, whoever of
//! the two a client believes in. Answers go to the client directly. After it the old owner resets what is left, and lets go.
//!
//! That is done by a program in the kernel ([`program`]; eBPF, at `tcx` of Linux 6.6), because only there a packet can be held before
//! anything answers it. It is put at an interface for the life of this process and vanishes with it, however it ends; programs
//! of others at the same interface go on as before. Most of the time it only sees that nothing moves.
//!
//! Making the table and loading the program needs CAP_BPF and CAP_NET_ADMIN of the first user namespace; filling the table and
//! putting the program at an interface does not need the former.

mod assembler;
mod calls;
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use base::Instant;

/// Addresses that may be moving at a time, and connections begun meanwhile that are remembered.
const MOST: u32 = 8_192;
/// However a move ends, or does not: nothing is passed on for longer than this.
const LASTS: Duration = Duration::from_secs(15);

/// Whose new connections are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The address has gone away: new connections belong to the other machine, and so does answering for the address (ARP, neighbour discovery).
    Old = 0,
    /// It comes here, or is still here beside the other machine: new connections may be begun here.
    New = 1,
}

/// Where packets go that belong to the other machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its hardware address on the network of the interface.
    pub mac: [u8; 6],
    /// Who has what is begun now.
    pub side: Side,
}

/// What moves: by interface and address.
pub type Moving = BTreeMap<(u32, IpAddr), Other>;

/// The addresses that move.
#[derive(Debug)]
pub struct Table {
    entries: OwnedFd,
    switch: OwnedFd,
    known: Moving,
    on: bool,
}

/// The program.
#[derive(Debug)]
pub struct Program {
    descriptor: OwnedFd,
    at: BTreeMap<u32, OwnedFd>,
}

/// Makes both. Do it before powers are dropped.
///
/// # Errors
/// Why it cannot be done here, for people.
pub fn open() -> Result<(Table, Program), String> {
    let opened = || -> io::Result<(Table, Program)> {
        let entries = calls::map(calls::Kind::Table, program::KEY, program::VALUE, MOST)?;
        let switch = calls::map(calls::Kind::Array, 4, program::SWITCH, 1)?;
        let (key, value) = program::BEGUN;
        // The program keeps it; nobody else looks at it.
        let begun = calls::map(calls::Kind::Forgetful, key, value, MOST)?;
        let all = [&entries, &begun, &switch].map(AsRawFd::as_raw_fd);
        let text = program::program(all[0], all[1], all[2]);
        let text = text.ok_or_else(|| io::Error::other("the program is not well made"))?;
        let descriptor = calls::load(&text)?;
        let known = Moving::new();
        Ok((
            Table { entries, switch, known, on: false },
            Program { descriptor, at: BTreeMap::new() },
        ))
    };
    opened().map_err(|error| {
        let remedy = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                ": CAP_BPF is missing, or this is not the first user namespace"
            }
            Some(libc::ENOSYS) => ": this kernel has no eBPF",
            Some(libc::EINVAL) => ": this kernel is older than Linux 6.6",
            _ => "",
        };
        format!("the kernel takes no program ({error}){remedy}")
    })
}

impl Table {
    /// Makes the table say this, and nothing else. `now` is of CLOCK_BOOTTIME. What stays as it was keeps its time, 15 s from when it
    /// came.
    ///
    /// # Errors
    /// What the kernel says; then nothing is passed on.
    pub fn set(&mut self, now: Instant, moving: &Moving) -> io::Result<()> {
        if *moving == self.known {
            return Ok(());
        }
        let outcome = self.change(now, moving);
        if outcome.is_err() {
            // Off is safe.
            let _ = self.switch(false);
        }
        outcome
    }

    fn change(&mut self, now: Instant, moving: &Moving) -> io::Result<()> {
        let over: Vec<(u32, IpAddr)> =
            self.known.keys().filter(|key| !moving.contains_key(*key)).copied().collect();
        for key in over {
            self.known.remove(&key);
            match calls::delete(self.entries.as_fd(), &bytes_of(key)) {
                Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
                _ => {}
            }
        }
        for (key, other) in moving {
            if self.known.get(key) == Some(other) {
                continue;
            }
            let mut value = [0; program::VALUE];
            value[..8].copy_from_slice(&(now + LASTS).as_nanos().to_ne_bytes());
            value[8..14].copy_from_slice(&other.mac);
            value[14] = other.side as u8;
            calls::write(self.entries.as_fd(), &bytes_of(*key), &value)?;
            self.known.insert(*key, *other);
        }
        self.switch(!self.known.is_empty())
    }

    fn switch(&mut self, on: bool) -> io::Result<()> {
        if on == self.on {
            return Ok(());
        }
        let mut value = [0; program::SWITCH];
        // The count stays. What is passed on between reading and writing it is not counted.
        value[8..].copy_from_slice(&self.passed().to_ne_bytes());
        value[0] = on.into();
        calls::write(self.switch.as_fd(), &[0; 4], &value)?;
        self.on = on;
        Ok(())
    }

    /// Whether packets to this address are passed on, so far as they belong to the other machine.
    #[must_use]
    pub fn has(&self, interface: u32, ip: IpAddr) -> bool {
        self.known.contains_key(&(interface, ip))
    }

    /// Packets passed on so far.
    #[must_use]
    pub fn passed(&self) -> u64 {
        let value: io::Result<[u8; program::SWITCH]> = calls::read(self.switch.as_fd(), &[0; 4]);
        let count = value.ok().and_then(|value| value.get(8..)?.try_into().ok());
        count.map_or(0, u64::from_ne_bytes)
    }
}

impl Program {
    /// Puts the program at these interfaces, and takes it from all others. Returns where it is, and why it is not at the others.
    pub fn put(&mut self, interfaces: &BTreeSet<u32>) -> (BTreeSet<u32>, Vec<(u32, io::Error)>) {
        self.at.retain(|interface, _| interfaces.contains(interface));
        let mut refused = Vec::new();
        for interface in interfaces {
            if self.at.contains_key(interface) {
                continue;
            }
            match calls::put(self.descriptor.as_fd(), *interface) {
                Ok(link) => drop(self.at.insert(*interface, link)),
                Err(error) => refused.push((*interface, error)),
            }
        }
        (self.at.keys().copied().collect(), refused)
    }
}

fn bytes_of((interface, ip): (u32, IpAddr)) -> [u8; program::KEY] {
    let ip = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut key = [0; program::KEY];
    key[..16].copy_from_slice(&ip.octets());
    key[16..].copy_from_slice(&interface.to_ne_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_address_as_version_6_and_the_interface() {
        let key = bytes_of((7, "10.0.0.9".parse().unwrap()));
        assert_eq!(key[..16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 9]);
        assert_eq!(key[16..], 7_u32.to_ne_bytes());
        let key = bytes_of((7, "fd00::9".parse().unwrap()));
        assert_eq!((key[0], key[15]), (0xfd, 9));
    }
}

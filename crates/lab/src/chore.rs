//! What can be asked and changed about the interfaces, addresses and neighbours of a place.
//!
//! The hub does it by netlink from inside the place, as another program there would. Lists come back as a file in memory, for
//! a thousand addresses are more than one message of the control socket holds.

use std::fmt;
use std::fs::File;
use std::net::IpAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::running::Lab;
use crate::sockets::Place;
use crate::wire::{Reply, Request};

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One line of a neighbour table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// On which interface.
    pub interface: String,
    /// Who.
    pub address: IpAddr,
    /// Where it is, when that is known.
    pub mac: Option<Mac>,
    /// How sure the kernel is.
    pub state: NeighbourState,
}

/// What the kernel thinks of a neighbour (RFC 4861, section 7.3.2, for both families).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NeighbourState {
    /// Asked for, not answered yet.
    Incomplete,
    /// Confirmed lately.
    Reachable,
    /// Used without asking, confirmed a while ago.
    Stale,
    /// In use, and soon to be asked again.
    Delay,
    /// Being asked again.
    Probe,
    /// Did not answer.
    Failed,
    /// Needs no asking.
    Fixed,
}

/// An address on an interface of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAddress {
    /// On which interface.
    pub interface: String,
    /// Which.
    pub address: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// What is left of its life, in whole seconds as the kernel counts; `None` is for ever.
    pub valid: Option<Duration>,
    /// What is left of the time in which it is taken as a source; `None` is for ever.
    pub preferred: Option<Duration>,
    /// Whether the kernel still looks for others that have it, or has found one: then it is not used.
    pub tentative: bool,
}

/// An interface of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address, where it has one.
    pub mac: Option<Mac>,
    /// Whether it is up and has a carrier.
    pub passing: bool,
}

/// An order about a place.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Chore {
    Neighbours,
    FlushNeighbours,
    Addresses,
    Links,
    AddAddress { interface: String, address: IpAddr, prefix: u8, valid: Option<u32> },
    DeleteAddress { interface: String, address: IpAddr },
    Rename { from: String, to: String },
    SetUp { interface: String, up: bool },
    RemoveCable { network: usize },
    AddCable { network: usize },
    Sysctl { name: String, value: String },
}

impl Lab {
    /// The neighbour table of a place, both families, without loopback and multicast.
    ///
    /// # Errors
    /// On a lab without cables, without such a place, or when the lab has ended.
    pub fn neighbours(&self, place: Place) -> Result<Vec<Neighbour>, LabError> {
        self.list("listing neighbours", place, Chore::Neighbours)
    }

    /// Empties it, so that the next packet to anybody is a cold one.
    ///
    /// # Errors
    /// As [`Lab::neighbours`].
    pub fn flush_neighbours(&self, place: Place) -> Result<(), LabError> {
        self.chore("flushing neighbours", place, Chore::FlushNeighbours)
    }

    /// All addresses of a place, both families, those of loopback included.
    ///
    /// # Errors
    /// As [`Lab::neighbours`].
    pub fn addresses(&self, place: Place) -> Result<Vec<HeldAddress>, LabError> {
        self.list("listing addresses", place, Chore::Addresses)
    }

    /// The interfaces of a place, loopback included.
    ///
    /// # Errors
    /// As [`Lab::neighbours`].
    pub fn links(&self, place: Place) -> Result<Vec<Link>, LabError> {
        self.list("listing interfaces", place, Chore::Links)
    }

    /// Gives an interface an address, for ever or for so long (whole seconds), as a program in that place would; without duplicate
    /// address detection. One that is there already has its life renewed.
    ///
    /// # Errors
    /// As [`Lab::neighbours`], and when the kernel refuses.
    pub fn add_address(
        &self,
        place: Place,
        interface: &str,
        address: IpAddr,
        prefix: u8,
        valid: Option<Duration>,
    ) -> Result<(), LabError> {
        let valid = valid.map(|valid| u32::try_from(valid.as_secs()).unwrap_or(u32::MAX - 1));
        let interface = interface.to_owned();
        let chore = Chore::AddAddress { interface, address, prefix, valid };
        self.chore(&format!("adding {address}"), place, chore)
    }

    /// Takes an address from an interface, behind the back of whoever put it there.
    ///
    /// # Errors
    /// As [`Lab::neighbours`], and when it is not there.
    pub fn delete_address(
        &self,
        place: Place,
        interface: &str,
        address: IpAddr,
    ) -> Result<(), LabError> {
        let interface = interface.to_owned();
        self.chore(
            &format!("deleting {address}"),
            place,
            Chore::DeleteAddress { interface, address },
        )
    }

    /// Gives an interface another name. Kernels before 6.2 refuse that to one that is up.
    ///
    /// # Errors
    /// As [`Lab::neighbours`], and when the kernel refuses.
    pub fn rename_link(&self, place: Place, from: &str, to: &str) -> Result<(), LabError> {
        let chore = Chore::Rename { from: from.to_owned(), to: to.to_owned() };
        self.chore(&format!("renaming {from} to {to}"), place, chore)
    }

    /// Sets an interface up or down from inside the place, as its administrator would: not a cut.
    ///
    /// # Errors
    /// As [`Lab::neighbours`], and when the kernel refuses.
    pub fn set_link(&self, place: Place, interface: &str, up: bool) -> Result<(), LabError> {
        let chore = Chore::SetUp { interface: interface.to_owned(), up };
        self.chore(&format!("setting {interface} up or down"), place, chore)
    }

    /// Removes the interface of a place on a network, with its cable and all its addresses, as a card that is pulled out.
    ///
    /// # Errors
    /// As [`Lab::neighbours`], and when there is none.
    pub fn remove_link(&self, place: Place, network: usize) -> Result<(), LabError> {
        let what = format!("removing the interface on network {network}");
        self.chore(&what, place, Chore::RemoveCable { network })
    }

    /// Puts it back: under its first name and with the lab's own addresses, another number and another hardware address.
    ///
    /// Nothing else returns: no routes through it but that to its network.
    ///
    /// # Errors
    /// As [`Lab::neighbours`], and when it is there.
    pub fn add_link(&self, place: Place, network: usize) -> Result<(), LabError> {
        let what = format!("adding the interface on network {network}");
        self.chore(&what, place, Chore::AddCable { network })
    }

    /// Sets a sysctl of a place's network, named with dots or slashes (`net.ipv4.ip_forward`).
    ///
    /// # Errors
    /// As [`Lab::neighbours`], when the name is none of `net`, and when the kernel refuses.
    pub fn set_sysctl(&self, place: Place, name: &str, value: &str) -> Result<(), LabError> {
        // Only what is a network's own may be set: all else would be the whole machine's.
        let slashed = name.contains('/');
        let path = if slashed { name.to_owned() } else { name.replace('.', "/") };
        if !path.starts_with("net/") || path.split('/').any(|part| ["", ".."].contains(&part)) {
            return Err(LabError::Config {
                what: "the name of a sysctl",
                value: format!("{name:?}"),
                remedy: "name one below net, as net.ipv4.ip_forward",
            });
        }
        let chore = Chore::Sysctl { name: path, value: value.to_owned() };
        self.chore(&format!("setting {name} to {value}"), place, chore)
    }

    fn chore(&self, what: &str, place: Place, chore: Chore) -> Result<(), LabError> {
        self.bench().check(place)?;
        self.bench().needs_cables("asking about interfaces")?;
        self.bench().order(what, &Request::Chore { place, chore })
    }

    fn list<T: DeserializeOwned>(
        &self,
        what: &str,
        place: Place,
        chore: Chore,
    ) -> Result<Vec<T>, LabError> {
        self.bench().check(place)?;
        self.bench().needs_cables("asking about interfaces")?;
        let (reply, fds) = self.bench().ask(what, &Request::Chore { place, chore }, &[])?;
        let (Reply::Listed, Some(file)) = (&reply, fds.into_iter().next()) else {
            return Err(LabError::Refused { what: what.into(), why: format!("{reply:?}") });
        };
        let told = serde_json::from_reader(std::io::BufReader::new(File::from(file)));
        told.map_err(|e| LabError::io(what)(e.into()))
    }
}

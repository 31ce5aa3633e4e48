//! What is asked of a lab, and what kind it became.

use std::fmt;
use std::path::PathBuf;

/// How many machines, and under which circumstances.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// How many machines stand on the bench.
    ///
    /// Each costs a network namespace and a cable, about 10 ms and 200 KB. Default 3, at most 64.
    pub machines: usize,
    /// Host names of the machines, in order; those left out are called `m1`, `m2`, ...
    ///
    /// At most 64 bytes each, letters, digits and hyphens.
    pub names: Vec<String>,
    /// The site of each machine, in order, 0 to 7; those left out are at site 0, which is the default for all.
    ///
    /// Each site has a switch and a network of its own. Between sites the bench is the router: of IPv4 only, and multicast stays
    /// where it is. Without effect on [`Kind::Loopback`].
    pub sites: Vec<u8>,
    /// Largest packet of every cable, in bytes. Default 1500, between 1280 and 65535.
    pub mtu: u32,
    /// Folders of which every machine has its own, empty at the start and gone with the lab, such as `/tmp` for Unix sockets.
    ///
    /// Absolute. Default none. Without effect on [`Kind::Loopback`].
    pub private: Vec<PathBuf>,
    /// Folders inside the private ones that machines share with the caller all the same. Absolute. Default none.
    pub shared: Vec<PathBuf>,
    /// Which kind of lab will do. Default [`Wish::Namespaces`].
    pub wish: Wish,
    /// Whether every machine gets a control group of its own. Default [`CgroupWish::IfPossible`].
    pub cgroups: CgroupWish,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            machines: 3,
            names: Vec::new(),
            sites: Vec::new(),
            mtu: 1500,
            private: Vec::new(),
            shared: Vec::new(),
            wish: Wish::Namespaces,
            cgroups: CgroupWish::IfPossible,
        }
    }
}

/// Which kinds of lab the caller accepts, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Real namespaces: inside a user namespace where that is allowed, else as root directly.
    Namespaces,
    /// Only inside a user namespace, as an ordinary user would have it.
    UserNamespaces,
    /// Only as root, without a user namespace.
    RootNamespaces,
    /// Namespaces where possible, else [`Kind::Loopback`].
    Anything,
    /// Only [`Kind::Loopback`]: for seeing what happens where nothing else is allowed.
    Loopback,
}

/// Whether machines get control groups (processor quota, memory limit, own pressure figures).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupWish {
    /// No control groups are made.
    No,
    /// Made where the caller may; otherwise [`crate::Machine::throttle`] says why not.
    IfPossible,
    /// The lab does not start without them.
    Required,
}

/// What a lab is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Namespaces inside a user namespace; no privilege needed.
    UserNamespaces,
    /// Namespaces made directly by root.
    RootNamespaces,
    /// No namespaces: addresses of the loopback network tell the machines apart.
    ///
    /// Processes and sockets work as ever, cables do not exist: [`crate::Machine::cut`] is refused.
    Loopback,
}

impl Kind {
    /// Whether machines have cables that can be cut.
    #[must_use]
    pub fn has_cables(self) -> bool {
        self != Kind::Loopback
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::UserNamespaces => "network namespaces inside a user namespace",
            Kind::RootNamespaces => "network namespaces made by root",
            Kind::Loopback => "loopback addresses only",
        })
    }
}

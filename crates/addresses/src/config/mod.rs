//! The configuration of the addresses: from the section `[addresses]` or from a `wackamole.conf`, the same checked value.
//!
//! [`AddressesSection`] is what the file says, and its fields' documentation is the reference of each key;
//! [`AddressesSection::check`] judges it. A `wackamole.conf` is read by [`crate::conf::parse`]. Both end in one immutable
//! [`Config`], which needs no further question.
//!
//! Not here: whether an interface exists and which one an address belongs to, since both may change at any time.

mod block;
mod check;
mod found;
pub(crate) mod judge;
pub(crate) mod program;
mod section;
mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod values;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use spread_client::Endpoint;
use spread_wire::{GroupName, PrivateName};

pub use block::Block;
pub(crate) use check::bad_socket;
pub use check::{Around, bad_daemon};
pub use section::{
    AddressesSection, BalanceSection, GuardianSection, HealthSection, HookSection, QuorumSection,
    SetSection,
};
pub use values::{AddressItem, ListItem, NotifyItem, PreferItem, StatusItem, ValueError};
pub(crate) use values::{AddressText, PER_ROUND_MAX};

/// The group that the machines meet in when nothing else is said.
pub const DEFAULT_GROUP: &str = "addresses";
/// Most addresses in all sets together.
pub const ADDRESSES_MAX: usize = 4096;
/// Most entries of `notify`.
pub const NOTIFY_MAX: usize = 1024;
/// Most hosts that one entry of `notify` may stand for.
pub const HOSTS_MAX: u32 = 65_536;
/// Most hooks, and most health checks.
pub const HOOKS_MAX: usize = 1024;
/// The weight of a machine that names none.
pub const WEIGHT: u32 = 100;
/// The most that a capacity can be: as many sets as there may be addresses.
pub const CAPACITY_MAX: u32 = ADDRESSES_MAX as u32;
/// Most frames of announcements in a second, if nothing else is said.
pub const FRAMES_PER_SECOND: u32 = 20_000;
/// Where `backhand vip` finds the service if nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/backhand/addresses.sock";
/// The UDP port of guardians' last words, if nothing else is said.
pub const GUARDIAN_PORT: u16 = 4447;

/// The group of [`DEFAULT_GROUP`].
pub(crate) fn default_group() -> GroupName {
    // The name is one, which a test of this file shows.
    GroupName::new(DEFAULT_GROUP.as_bytes()).unwrap_or_else(|_| unreachable!("a legal name"))
}

/// Everything the driver is told at its start.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What this machine is called: by this name it stands in [`Quorum::members`].
    pub machine: String,
    /// The group on the bus in which the machines meet. Only they may be in it.
    pub group: GroupName,
    /// The daemon of the bus; `None` is the one that this program runs itself.
    pub daemon: Option<Endpoint>,
    /// The name at the daemon of the bus; `None` lets the driver choose.
    pub private_name: Option<PrivateName>,
    /// Time between attempts to reach the daemon.
    pub retry_interval: Duration,
    /// How long a machine without mature neighbours waits before it takes addresses.
    pub mature: Duration,
    /// How long the kernel keeps an address that is not renewed (`valid_lft`): whole seconds, 1 to 60.
    pub lease: Duration,
    /// How addresses are spread evenly.
    pub balance: Balance,
    /// What there is to hold, in the order of the file. Empty only if a `wackamole.conf` has none.
    pub sets: Vec<Set>,
    /// The heads of the sets that this machine wants, each once, in order of preference.
    pub prefer: Vec<IpAddr>,
    /// How long this machine must have been there before it gets what it prefers.
    pub prefer_after: Duration,
    /// How much this machine takes beside the others, 1 to 1000.
    pub weight: u32,
    /// The most sets this machine takes while another can take them, at most [`CAPACITY_MAX`]; 0 is any number.
    pub capacity: u32,
    /// How often this machine tells the others whom it knows by hardware address; `None` is never.
    pub share_neighbours_every: Option<Duration>,
    /// Who is told of a new holder, besides everybody on the network.
    pub notify: Vec<Notify>,
    /// Whether packets of connections of the other machine are passed on while an address moves.
    pub pass_on: bool,
    /// How long connections are served on when their address has moved away and packets are passed on, 20 ms to 5 s.
    pub grace: Duration,
    /// How often an address is announced again while it is held.
    pub announce_every: Duration,
    /// Most frames of announcements in a second, of all addresses and interfaces together.
    pub frames_per_second: u32,
    /// Who decides about sets that must never be held twice; `Some` if any set has [`Set::quorum`].
    pub quorum: Option<Quorum>,
    /// What to do when no machine is healthy.
    pub when_all_unhealthy: WhenAllUnhealthy,
    /// What decides whether this machine may hold anything: all of them must be well. Names are unique.
    pub health: Vec<Check>,
    /// What is run when addresses come and go, in this order.
    pub hooks: Vec<Hook>,
    /// Where modules without a whole path are looked for.
    pub module_dir: PathBuf,
    /// The historical control socket: a whole path.
    pub control: Option<PathBuf>,
    /// The socket for `backhand vip`: a whole path. Not with a `wackamole.conf`, whose control socket speaks both languages.
    pub socket: Option<PathBuf>,
    /// The process that takes the addresses away when this one dies or hangs.
    pub guardian: Guardian,
    /// How long an orderly stop waits for others to take over.
    pub stop_within: Duration,
    /// Whether this comes from a `wackamole.conf`.
    pub historical: bool,
    /// What was not said and is therefore assumed, one sentence each, for the log.
    pub assumed: Vec<String>,
    /// What is strange but allowed, one sentence each, for the log.
    pub warnings: Vec<String>,
}

/// Addresses that are always held by the same machine. The first, its head, is what the set is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// What people call it; unique.
    pub name: Option<String>,
    /// Its addresses, at least one and at most [`vip::ADDRESSES_PER_SET_MAX`]; none is in two sets.
    pub addresses: Vec<Address>,
    /// Whether the addresses are put on interfaces; if not, only hooks are run.
    pub kernel: bool,
    /// Whether it is held only with the majority of [`Config::quorum`].
    pub quorum: bool,
}

impl Set {
    /// The first address, which is what the set is known by. Unspecified if there is none, which a checked set never is.
    pub fn head(&self) -> IpAddr {
        self.addresses.first().map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |first| first.ip)
    }
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface it is put on; `None` is the one whose network has it.
    pub interface: Option<String>,
    /// The address: neither loopback nor multicast nor of a whole network.
    pub ip: IpAddr,
    /// The prefix it is put on the interface with: 1 to 32, or 1 to 128.
    pub prefix: u8,
    /// The prefix of the network around it, for who is told of a new holder.
    pub net: u8,
    /// Whether it may be the source of connections that this machine opens.
    pub source: bool,
}

/// How addresses are spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Time between two rounds.
    pub interval: Duration,
    /// How many sets move in a round.
    pub per_round: PerRound,
}

/// How many sets move in a round of balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerRound {
    /// As many as it takes.
    All,
    /// At most so many, at least 1.
    Number(u32),
}

/// Who is told of a new holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Hosts by their addresses.
    Hosts {
        /// Only of addresses on this interface; `None` is each one's own.
        interface: Option<String>,
        /// The hosts; those of them that lie in the network of the address ([`Address::net`]) are told.
        block: Block,
        /// Most hosts a second when announcements are repeated; `None` is no limit.
        throttle: Option<u32>,
        /// Whether they are pinged besides.
        ping: bool,
    },
    /// Everybody that any of the machines knows by hardware address.
    Neighbours {
        /// Whether they are pinged besides.
        ping: bool,
    },
}

/// Who decides about sets that must never be held twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Machines by name, each once, and how much each counts: 0 to 1000. The sum is not 0.
    pub members: Vec<(String, u32)>,
}

impl Quorum {
    /// The least sum that is a majority: more than half of all.
    pub fn majority(&self) -> u32 {
        self.members.iter().map(|(_, weight)| weight).sum::<u32>() / 2 + 1
    }

    /// How much a machine counts; 0 if it is not listed.
    pub fn weight(&self, machine: &str) -> u32 {
        self.members.iter().find(|(name, _)| name == machine).map_or(0, |(_, weight)| *weight)
    }
}

/// What to do when no machine is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenAllUnhealthy {
    /// Everybody keeps what it has: an answer with an error is better than none.
    #[default]
    Keep,
    /// Nobody holds anything.
    Release,
}

/// Something that decides whether this machine may hold anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What people call it; unique.
    pub name: String,
    /// What is looked at.
    pub kind: CheckKind,
    /// From the end of one look to the next.
    pub interval: Duration,
    /// When a look without an answer has failed.
    pub timeout: Duration,
    /// So many good looks in a row make it well, at least 1.
    pub rise: u32,
    /// So many bad looks in a row make it ill, at least 1.
    pub fall: u32,
}

/// What a [`Check`] looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Whether a connection can be opened.
    Tcp {
        /// Where.
        address: SocketAddr,
    },
    /// Whether a request is answered well.
    Http {
        /// Where to connect.
        address: SocketAddr,
        /// What to ask for: the path with the query, beginning with a slash.
        path: String,
        /// The header Host.
        host: String,
        /// Status codes that are good; at least one range.
        status: Vec<RangeInclusive<u16>>,
        /// What must stand in the body.
        contains: Option<String>,
    },
    /// Whether a program ends well.
    Command {
        /// The program, a whole path, and its arguments.
        argv: Vec<String>,
        /// The exit status that is good.
        exit: u8,
    },
    /// Whether this program's own balancer finds its local server well.
    Balancer,
}

/// Something that is run when addresses come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When.
    pub event: HookEvent,
    /// What.
    pub run: HookRun,
    /// After this time it is killed.
    pub timeout: Duration,
    /// For which sets.
    pub sets: HookSets,
}

/// When a [`Hook`] is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookEvent {
    /// A set's addresses are on this machine.
    OnUp,
    /// A set's addresses are no longer on this machine.
    OnDown,
    /// All that a decision has given to this machine is there.
    PostUp,
    /// All that a decision has taken from this machine is gone.
    PostDown,
}

impl HookEvent {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OnUp, Self::OnDown, Self::PostUp, Self::PostDown];

    /// As it stands in both notations: `on up`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnUp => "on up",
            Self::OnDown => "on down",
            Self::PostUp => "post up",
            Self::PostDown => "post down",
        }
    }
}

/// What a [`Hook`] runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookRun {
    /// A program, a whole path, and its arguments.
    Command(Vec<String>),
    /// A function of a shared object.
    Module {
        /// The file as it was found: in [`Config::module_dir`] if it was no whole path, with `.so` if it had to be.
        file: PathBuf,
        /// The function.
        symbol: String,
    },
}

/// For which sets a [`Hook`] is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookSets {
    /// For all.
    All,
    /// For those with these heads.
    Heads(Vec<IpAddr>),
}

/// The process that takes the addresses away when this one dies or hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guardian {
    /// Whether there is one.
    pub enabled: bool,
    /// After this silence the daemon counts as hung; shorter than [`Config::lease`].
    pub suspicion: Duration,
    /// The UDP port on which the last words of other machines' guardians are heard.
    pub port: u16,
}

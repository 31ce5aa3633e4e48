//! The configuration of the daemon: from the section `[bus]` or from a `spread.conf`, the same checked value.
//!
//! [`BusSection`] is what the file says, and its fields' documentation is the reference of each key;
//! [`BusSection::check`] judges it. [`DaemonConfig::from_conf`] takes a [`SpreadConf`](crate::conf::SpreadConf).
//! Both end in one immutable [`DaemonConfig`], which needs no further question.
//!
//! Not here: reading key files and asking for this machine's addresses; both come in with [`Around`].

mod accounts;
mod check;
mod fixed;
mod found;
mod meeting;
mod section;
#[cfg(test)]
mod tests;
mod tls;
mod values;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{AddrBlock, AddrBlocks};
use ring::DaemonName;
use seal::ClusterKey;

use crate::conf::{AccessList, AuthMethod, LocalAddress, Reach};
use crate::tls::Identity;

pub use accounts::{group_id, user_id};
pub use fixed::{NoKey, Secrets};
pub use section::BusSection;
pub use values::{
    Interface, Mode, Owner, Port, SOCKET_PATH_MAX, Seed, SeedHost, SegmentKey, Site, SocketKey,
    ValueError,
};

/// The multicast group used when nothing else is said: of the organisation's own range (RFC 2365), sent with a
/// time to live that no router passes on.
pub const DEFAULT_GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 48, 3);
/// Where the key is looked for when neither the command line nor the file says.
pub const DEFAULT_KEY_FILE: &str = "/etc/backhand/cluster.key";
/// Most addresses to listen on for clients.
pub const LISTEN_MAX: usize = 16;
/// Most seeds.
pub const SEEDS_MAX: usize = 64;
/// Most earlier keys that are still believed.
pub const PREVIOUS_KEYS_MAX: usize = 4;
/// The permission bits of the Unix socket, if nothing else is said.
pub const SOCKET_MODE: u32 = 0o666;
/// Most clients, if nothing else is said.
pub const SESSIONS: usize = 10_000;
/// Bytes that may wait for a client, if nothing else is said.
pub const BACKLOG: u64 = 16 * 1024 * 1024;
/// How long something may wait for a client that takes nothing, if nothing else is said.
pub const BACKLOG_TIME: Duration = Duration::from_secs(300);

/// Everything the daemon is told at its start.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    /// What this daemon is called.
    pub name: DaemonName,
    /// Who the others are.
    pub membership: Membership,
    /// The site it is at: daemons with the same number are near each other. 0 if none is named.
    pub site: u32,
    /// How it speaks to the other daemons.
    pub data: Data,
    /// How clients come, and what they may.
    pub clients: Clients,
    /// How datagrams between daemons are protected.
    pub protection: Protection,
    /// When somebody counts as gone.
    pub timing: Timing,
    /// What was said about the ring's flow.
    pub flow: Flow,
    /// How the thread of the token stands among other work.
    pub priority: Priority,
    /// Whether monitors may partition, throttle and end the daemon.
    pub dangerous_monitor: bool,
    /// What to become once all sockets are open, if this is to be done at all when started as root.
    pub privileges: Option<Privileges>,
    /// What was not said and is therefore assumed, one sentence each, for the log.
    pub assumed: Vec<String>,
    /// What is strange but allowed, one sentence each, for the log.
    pub warnings: Vec<String>,
}

/// Who belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Everybody who has the key and is found, in the order of their names.
    Found {
        /// Where daemons of one network find each other.
        segment: Option<SegmentTarget>,
        /// Whom to look for besides; each has its port.
        seeds: Vec<Seed>,
    },
    /// Exactly these, in this order.
    Fixed(FixedList),
}

/// A list of daemons as `spread.conf` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedList {
    /// All daemons in member order, at most 128.
    pub members: Vec<FixedMember>,
    /// The place of this daemon among them.
    pub me: usize,
    /// Where what is for all of a segment is sent, for each segment; everything goes to each of its targets. A segment
    /// of one daemon has none, and neither have addresses of single machines.
    pub segments: Vec<Vec<SegmentTarget>>,
    /// The configuration hash: daemons of another list are named once and ignored.
    pub hash: u32,
    /// Whether segments are far from each other.
    pub wide_area: bool,
}

/// One daemon of a [`FixedList`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedMember {
    /// Its name.
    pub name: DaemonName,
    /// What clients see as its id: the hash of its name unless the file says another.
    pub id: u32,
    /// Where it hears other daemons, by UDP; what claims to be from it comes from this address.
    pub address: SocketAddr,
    /// The segment it belongs to.
    pub segment: usize,
}

/// Where what is for all daemons of a network is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentTarget {
    /// A multicast or broadcast address, and the port.
    pub to: SocketAddr,
    /// What it is, as far as it shows.
    pub reach: Reach,
    /// The one interface to use; `None` means that of the daemon's own address, else each that does multicast.
    pub interface: Option<Interface>,
}

/// Sockets towards the other daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The addresses to listen and send on; empty means every one.
    pub addresses: Vec<IpAddr>,
    /// The UDP port.
    pub port: u16,
    /// From where datagrams are looked at at all. With a fixed list: the addresses of its members.
    pub accept: AddrBlocks,
}

/// How clients come.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Where they connect by TCP.
    pub listen: Vec<SocketAddr>,
    /// Whether `listen` is assumed: an address that this machine does not have is then no mistake.
    pub listen_is_assumed: bool,
    /// Where they connect on this machine, if anywhere.
    pub socket: Option<UnixSocket>,
    /// From which addresses they may connect by TCP; elsewhere they are refused before a byte is read.
    pub accept: AddrBlocks,
    /// How they prove who they are.
    pub auth: Auth,
    /// Most at a time.
    pub sessions: usize,
    /// What may wait for one of them.
    pub backlog: Backlog,
    /// How they come by TLS, if they may.
    pub tls: Option<TlsClients>,
}

/// How clients come by TLS: each has a certificate.
#[derive(Clone, Debug)]
pub struct TlsClients {
    /// Where they connect.
    pub listen: Vec<SocketAddr>,
    /// From which addresses.
    pub accept: AddrBlocks,
    /// The daemon's certificate and key, and who vouches for clients.
    pub(crate) identity: Arc<Identity>,
}

/// A Unix socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// The number of its user, if it is not the daemon's own.
    pub user: Option<u32>,
    /// The number of its group, if it is not the daemon's own.
    pub group: Option<u32>,
}

/// How clients prove who they are, by the toolkit's own methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Methods they may choose, at least one.
    pub allowed: Vec<AuthMethod>,
    /// Methods they must pass besides.
    pub required: Vec<AuthMethod>,
    /// Who passes the method IP.
    pub list: AccessList,
}

impl Default for Auth {
    fn default() -> Self {
        let allowed = vec![AuthMethod::Null];
        Self { allowed, required: Vec::new(), list: AccessList::default() }
    }
}

/// What may wait for a client; whoever exceeds one of these is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Bytes.
    pub bytes: u64,
    /// Messages, if they are counted.
    pub messages: Option<usize>,
    /// How long something may wait while the client takes nothing.
    pub time: Duration,
}

/// How datagrams between daemons are protected.
#[derive(Clone, Debug)]
pub enum Protection {
    /// By a key.
    Key {
        /// What is sent is sealed with this one.
        current: ClusterKey,
        /// What comes may also be sealed with one of these.
        previous: Vec<ClusterKey>,
    },
    /// Not at all, and only loopback addresses are spoken to and believed.
    Loopback,
    /// Not at all, on the network, because somebody said so.
    Insecure,
}

/// When somebody counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time between two signs of life, at most 25 ms.
    pub heartbeat: Duration,
    /// The shortest silence after which a daemon counts as gone, at least three times `heartbeat`.
    pub floor: Duration,
    /// The longest silence that is allowed, not less than `floor`.
    pub ceiling: Duration,
}

impl Timing {
    /// Most time between two signs of life.
    pub const HEARTBEAT_MAX: Duration = Duration::from_millis(25);
    /// What is assumed between far networks, where words take longer and are lost more often.
    pub const WIDE_AREA: Self = Self {
        heartbeat: Self::HEARTBEAT_MAX,
        floor: Duration::from_millis(500),
        ceiling: Duration::from_secs(5),
    };
    /// The longest silence that can be allowed.
    pub const CEILING_MAX: Duration = Duration::from_secs(60);
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Self::HEARTBEAT_MAX,
            floor: Duration::from_millis(100),
            ceiling: Duration::from_secs(1),
        }
    }
}

/// What was said about the ring's flow; `None` leaves it to the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Most packets of all members in one rotation of the token.
    pub window: Option<u32>,
    /// Packets of a visit that are sent after the token was passed on; 0 is the regular ring.
    pub accelerated: Option<u32>,
}

/// How the thread of the token and of the signs of life stands among other work on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// As everything else.
    None,
    /// Before everything of normal priority, and before everything for a while after that did not suffice.
    #[default]
    Adaptive,
    /// Before everything of normal priority.
    Nice,
    /// Before everything.
    Realtime,
}

/// What a daemon that was started as root becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// The user, by name or number.
    pub user: String,
    /// The group, by name or number.
    pub group: String,
    /// The directory to be confined to.
    pub directory: PathBuf,
}

/// What has to be known besides the section itself: other sections, and this machine.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// `cluster.name` or the host's name.
    pub name: &'a str,
    /// The addresses of this machine; only looked at with a fixed list.
    pub here: &'a [LocalAddress],
    /// The cluster's key.
    pub key: Option<&'a ClusterKey>,
    /// `cluster.insecure`.
    pub insecure: bool,
    /// `cluster.accept`, or what it is with a key: without one the daemon believes loopback only, whatever stands here.
    pub accept: &'a AddrBlocks,
    /// Reads a key file.
    pub read_key: &'a dyn Fn(&Path) -> Result<ClusterKey, KeyFault>,
}

/// Why a key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl DaemonConfig {
    /// What differs in `new` and cannot change while the daemon runs, in words.
    pub(crate) fn differs_for_good(&self, new: &Self) -> Vec<&'static str> {
        let listed = |config: &Self| matches!(config.membership, Membership::Fixed(_));
        let (mine, theirs) = (&self.clients, &new.clients);
        let by_tls = |clients: &Clients| clients.tls.as_ref().map(|tls| tls.listen.clone());
        let differs = [
            ("the name of the daemon", self.name != new.name),
            ("whether there is a fixed list of daemons", listed(self) != listed(new)),
            (
                "the address or the VirtualID of this daemon",
                listed(new) && self.entry() != new.entry(),
            ),
            (
                "where daemons are heard",
                self.data.addresses != new.data.addresses || self.data.port != new.data.port,
            ),
            (
                "where clients connect",
                mine.listen != theirs.listen
                    || mine.socket != theirs.socket
                    || by_tls(mine) != by_tls(theirs),
            ),
            ("the priority", self.priority != new.priority),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
    }

    /// Where the list, if there is one, has this daemon, and under which id.
    fn entry(&self) -> Option<(SocketAddr, u32)> {
        match &self.membership {
            Membership::Found { .. } => None,
            Membership::Fixed(list) => list.members.get(list.me).map(|me| (me.address, me.id)),
        }
    }

    /// Whether `new` is of a daemon that is another one towards the others, so that its list does not fit this one.
    pub(crate) fn is_another_daemon(&self, new: &Self) -> bool {
        let at = |config: &Self| (config.name, config.data.addresses.clone(), config.data.port);
        self.entry() != new.entry() || at(self) != at(new)
    }

    /// Whether datagrams from `ip` may be believed, the key apart.
    pub fn accepts(&self, ip: IpAddr) -> bool {
        let possible = match self.protection {
            Protection::Loopback => ip.to_canonical().is_loopback(),
            Protection::Key { .. } | Protection::Insecure => true,
        };
        possible && self.data.accept.contains(ip)
    }
}

/// Every address of the families that sockets report.
fn everybody() -> AddrBlocks {
    AddrBlocks(["0.0.0.0/0", "::/0"].iter().filter_map(|text| text.parse().ok()).collect())
}

/// Loopback, link-local and private addresses.
fn nearby() -> Vec<AddrBlock> {
    let blocks = [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1",
        "fc00::/7",
        "fe80::/10",
    ];
    blocks.iter().filter_map(|text| text.parse().ok()).collect()
}

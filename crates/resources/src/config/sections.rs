//! The sections `[cluster]`, `[announce]` and `[measure]` as they stand in the file.
//!
//! The documentation of each field is the reference page of that key. Values that can be judged on
//! their own are judged while reading, so that the reader's error carries line and caret; what
//! depends on several keys is judged in [`super::Config::check`].

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base::AddrBlock;
use base::units::{Span, UnitError};
use serde::Deserialize;
use toml::Spanned;

use super::advertised::{Advertised, NAME_MAX, is_host_name};
use super::target::Target;

/// Who belongs together, and how that is known. Machines form one cluster when their key is the same
/// and their packets come from accepted blocks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// What people call this machine: in logs, on the status page, and for `byHostname`.
    ///
    /// Identity does not depend on it: that is a random number in the state directory, so a name may
    /// change at any time. Two machines of one name work, but nobody can tell them apart on a page.
    /// Where there is a `[bus]`, it is the name of the daemon too, of which a second one is refused; and
    /// `[addresses.quorum]` counts by it, so there each machine needs its own.
    ///
    /// Letters, digits, dots, hyphens and underscores, at most 64. Default: the host name.
    pub name: Option<Name>,

    /// The file with the secret that all machines of the cluster share.
    ///
    /// Everything machines say to each other is sealed with keys derived from it: who does not have it
    /// can neither be believed nor listen in. The file holds 64 hexadecimal digits or the base64 of
    /// 32 bytes, and only its owner may be able to read it (mode 600). A pass phrase is refused, since one
    /// recorded packet would let anybody try a dictionary. Make it once with
    /// `(umask 077; backhand key > cluster.key)` and copy it to each machine. An absolute path.
    ///
    /// Default: none. Without a key this machine is alone: it opens no port for other machines and believes
    /// nobody. Unless `announce.targets` lists loopback addresses: then Backhands on this one machine form a
    /// cluster that any of its users can join, for trying things out. For the network see `insecure`.
    pub key_file: Option<Spanned<PathBuf>>,

    /// Announce and believe announcements on the network without a key.
    ///
    /// Anyone who can send a packet from an accepted block can then claim to be a machine and be sent
    /// your clients' requests. For laboratories and for finding a fault; every start says in the log
    /// that it is on. It has no effect when there is a key.
    ///
    /// Default: false.
    pub insecure: bool,

    /// From which addresses announcements, probes and peer connections are accepted.
    ///
    /// Each entry is one address (`10.0.5.7`), a block (`10.0.5.0/24`, `fd00::/8`) or a dotted prefix
    /// (`10.0.`). What comes from elsewhere is counted and dropped before any cryptography, so a narrow
    /// list is also what makes a flood cheap. The key is needed in any case.
    ///
    /// At least one. Default: loopback, link-local and private addresses (127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12,
    /// 192.168.0.0/16, 169.254.0.0/16, ::1, fc00::/7, fe80::/10). Machines with public addresses must
    /// be listed.
    pub accept: Option<Vec<AddrBlock>>,

    /// Where this machine keeps its identity and its measured speed.
    ///
    /// Losing the directory makes the machine a new one to the others, which costs nothing but a row in
    /// their matrix for a while. Two machines must never share one, nor be cloned with it: both would
    /// say so in their logs until one is given a directory of its own. A second program on the same host that is
    /// given a directory in use does not start. Created if missing, for its owner only.
    ///
    /// Default: `$STATE_DIRECTORY` as systemd sets it; else `/var/lib/backhand` for root; else
    /// `$XDG_STATE_HOME/backhand` or `~/.local/state/backhand`.
    pub state_dir: Option<Spanned<PathBuf>>,
}

/// How this machine tells the others what it is and how it is doing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Announce {
    /// Time between two announcements, each moved at random by up to a tenth so that machines started
    /// together do not speak together.
    ///
    /// A shorter one finds new machines and misses dead ones sooner (three missed announcements are a
    /// death, if probes did not notice first); each costs every machine one small packet per machine
    /// and interval. Fresher figures are no reason: those travel with every proxied response.
    ///
    /// 50ms to 1m. Default 1s. Need not be equal: each packet says its sender's interval.
    pub interval: Interval,

    /// Where announcements are sent: any number of broadcast, multicast and unicast addresses.
    ///
    /// `"10.0.5.255:4445"` is a broadcast or one machine; `"239.255.44.45:4445"` a multicast group,
    /// `"239.255.44.45:4445,2"` the same with a TTL of 2 (default 1: stays on the segment). The table
    /// `{ to = "239.255.44.45:4445", ttl = 2, interface = "eth1" }` names an interface, by name or
    /// by its address; without one a group is joined and spoken to on every multicast interface, also on
    /// those that appear later. IPv6 addresses stand in brackets: `"[ff05::4445]:4445"`.
    ///
    /// 1 to 64. Default with a key, or with `insecure`: `"239.255.44.45:4445"`; without: none, this machine is
    /// alone. Without a key only loopback addresses can be listed.
    pub targets: Option<Vec<Spanned<Target>>>,

    /// As whom to announce: the `name:port` or `ip:port` to which others send requests and redirects.
    ///
    /// For a second server on the same host, or a machine behind address translation. A name is resolved
    /// by those who hear it; it has at most 253 letters, digits, dots, hyphens and underscores. Peer connections
    /// and probes still go to the address that packets come from.
    ///
    /// Default: the address that this machine's packets come from and the port of its first HTTP listener.
    #[serde(rename = "as")]
    pub advertised: Option<Advertised>,

    /// The address of this machine to listen and send on.
    ///
    /// Probes, questions and peer connections are then heard on it alone, and announcements and questions leave
    /// with it as their sender. Needed only when several machines live on one host, each with an address of its own,
    /// or to keep what is not for everyone off the machine's other networks. Broadcasts and multicasts are still
    /// heard on the port, and a group is still spoken to on every multicast interface unless its target in
    /// `targets` names one.
    ///
    /// Default: every address, IPv4 and IPv6.
    pub address: Option<Spanned<IpAddr>>,

    /// The UDP port on which announcements are heard. It must be the port of the others' targets.
    ///
    /// 1 to 65535. Default 4445.
    pub port: Port<4445>,

    /// The port of the exchange: probes and questions by UDP, and the connections of peers by TCP.
    ///
    /// Each packet says its sender's, so it need not be equal everywhere. It must not be `port`.
    ///
    /// 1 to 65535. Default 4446.
    pub exchange_port: Port<4446>,
}

/// What is measured as *this machine*.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Measure {
    /// Whether the whole machine is measured or the control group this program runs in.
    ///
    /// `"machine"` reads the machine's load, idle time, memory and pressure. `"cgroup"` reads the same of the
    /// control group: CPUs = quota / period, idle from what it used of them, its pressure, its memory limit,
    /// and as load the damped count of its runnable threads. That is right for containers, where the
    /// machine's figures belong to everybody. A group of version 1 has no pressure of its own: there the share of
    /// the quota's periods in which the quota ran out stands for that on the CPU, and that on memory and I/O is
    /// not known. `"auto"` takes the control group if it has a CPU or memory
    /// limit, else the machine.
    ///
    /// Default "auto".
    pub scope: Scope,

    /// A control group to measure instead of the one this program runs in, as `/proc/PID/cgroup` tells it of a
    /// process in that group: `"/system.slice/shop.service"`.
    ///
    /// For a local service that has a limit of its own while this program runs outside of it: the figures that
    /// count are those of whoever serves the requests. The group must exist when this program starts, and
    /// `scope` must not be `"machine"`.
    ///
    /// Default: the group this program runs in.
    pub cgroup: Option<Spanned<String>>,
}

/// Whose figures are announced. See [`Measure::scope`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The control group if it is limited, else the machine.
    #[default]
    Auto,
    /// The machine.
    Machine,
    /// The control group.
    Cgroup,
}

/// A machine's name, checked: 1 to 64 letters, digits, dots, hyphens and underscores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// The text cannot be a machine's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a machine name; write 1 to {NAME_MAX} letters, digits, dots, hyphens and underscores"
)]
pub struct NameError(String);

impl Name {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_host_name(text) { Ok(Self(text.into())) } else { Err(NameError(text.into())) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Time between announcements, checked: 50 ms to 1 minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(Duration);

/// The text is not an interval between announcements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Not a duration at all.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// Outside of the bounds.
    #[error("{0} is not between 50ms and 1m; write one that is: the usual 1s suits most clusters")]
    Bounds(Span),
}

impl Interval {
    /// The shortest interval: below it announcing is the load.
    pub const MIN: Duration = Duration::from_millis(50);
    /// The longest interval: three of them pass until a silent machine is dead.
    pub const MAX: Duration = Duration::from_secs(60);

    /// The interval.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self(Duration::from_secs(1))
    }
}

impl TryFrom<Duration> for Interval {
    type Error = IntervalError;
    fn try_from(d: Duration) -> Result<Self, IntervalError> {
        if (Self::MIN..=Self::MAX).contains(&d) {
            Ok(Self(d))
        } else {
            Err(IntervalError::Bounds(Span(d)))
        }
    }
}

impl FromStr for Interval {
    type Err = IntervalError;
    fn from_str(text: &str) -> Result<Self, IntervalError> {
        text.parse::<Span>()?.0.try_into()
    }
}

/// A port that is not zero, `DEFAULT` if not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<const DEFAULT: u16>(u16);

impl<const DEFAULT: u16> Port<DEFAULT> {
    /// The port.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl<const DEFAULT: u16> Default for Port<DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de, const DEFAULT: u16> Deserialize<'de> for Port<DEFAULT> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let port = u16::try_from(number).ok().filter(|&port| port != 0);
        port.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{number} is not a port; write one from 1 to 65535"
            ))
        })
    }
}

macro_rules! from_text {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                base::units::parsed(deserializer)
            }
        }
    )*};
}
from_text!(Name Interval);

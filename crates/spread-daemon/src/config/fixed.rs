//! A `spread.conf` as the daemon's configuration: a fixed list in the order of the file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base::{AddrBlock, AddrBlocks};
use seal::ClusterKey;

use super::{
    Auth, BACKLOG, BACKLOG_TIME, Backlog, Clients, DEFAULT_KEY_FILE, DaemonConfig, Data, FixedList,
    FixedMember, Flow, Interface, Membership, Priority, Privileges, Protection, SESSIONS,
    SOCKET_MODE, SegmentTarget, Timing, UnixSocket, everybody,
};
use crate::conf::{self, AccessList, Family, Reach, SpreadConf};

/// Bytes of the longest message of a client; the original counted messages only.
const MESSAGE_BYTES: u64 = 144_000;
/// Most bytes that may wait for a client, however many messages are allowed.
const BACKLOG_MAX: u64 = 256 * 1024 * 1024;

/// What a `spread.conf` does not say.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The key of the cluster.
    pub key: Option<ClusterKey>,
    /// Earlier keys that are still believed.
    pub previous: Vec<ClusterKey>,
    /// Whether to speak on the network without a key.
    pub insecure: bool,
    /// Who passes the authentication method IP (`spread.access_ip`).
    pub access: AccessList,
}

/// Daemons would speak over the network, and there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is on the network and there is no cluster key: anybody there could be a daemon; make a key with (umask 077; backhand key > {DEFAULT_KEY_FILE}) and copy it to every machine, or name one with --key-file, or start with --insecure if anybody may, or use loopback addresses only"
)]
pub struct NoKey(pub IpAddr);

impl DaemonConfig {
    /// The configuration of the daemon at place `me` of the file (see [`SpreadConf::whoami`]).
    ///
    /// # Errors
    /// [`NoKey`] if a daemon is on the network, and neither a key nor permission to go without is given.
    ///
    /// # Panics
    /// If the file has no daemon at that place.
    pub fn from_conf(conf: &SpreadConf, me: usize, secrets: Secrets) -> Result<Self, NoKey> {
        let daemon = &conf.daemons[me];
        let port = conf.port_of(daemon);
        let protection = protection(conf, &secrets)?;
        let options = &conf.options;
        let listed = AddrBlocks(conf.daemons.iter().map(|d| AddrBlock::one(d.ip)).collect());
        let mut warnings: Vec<String> =
            conf.warnings.iter().map(|w| format!("line {}: {}", w.line, w.text)).collect();
        warnings.extend(
            conf.meaningless()
                .iter()
                .map(|m| format!("line {}: {} changes nothing here: {}", m.line, m.name, m.reason)),
        );
        if conf.uses(conf::AuthMethod::Ip) && secrets.access == AccessList::default() {
            warnings.push(
                "the method IP is allowed or required, and spread.access_ip lets nobody in".into(),
            );
        }
        warnings.extend(bounded(options));
        Ok(Self {
            name: daemon.name,
            membership: Membership::Fixed(list(conf, me)),
            // Sites are numbered from 1; with one segment there is one.
            site: if conf.segments.len() > 1 { daemon.segment as u32 + 1 } else { 0 },
            data: Data { addresses: data_addresses(daemon), port, accept: listed },
            clients: Clients {
                listen: client_addresses(daemon, conf.family(), port),
                listen_is_assumed: false,
                socket: Some(UnixSocket {
                    path: format!("/tmp/{port}").into(),
                    mode: SOCKET_MODE,
                    user: None,
                    group: None,
                }),
                accept: everybody(),
                auth: Auth {
                    allowed: options.allowed_auth_methods.clone(),
                    required: options.required_auth_methods.clone(),
                    list: secrets.access,
                },
                sessions: SESSIONS,
                backlog: backlog(options.max_session_messages),
                tls: None,
            },
            protection,
            timing: timing(options.timeouts, conf.is_wide_area()),
            flow: flow(options),
            priority: Priority::default(),
            dangerous_monitor: options.dangerous_monitor,
            privileges: Some(privileges(options)),
            assumed: Vec::new(),
            warnings,
        })
    }
}

fn protection(conf: &SpreadConf, secrets: &Secrets) -> Result<Protection, NoKey> {
    if let Some(current) = secrets.key.clone() {
        return Ok(Protection::Key { current, previous: secrets.previous.clone() });
    }
    let far = conf.daemons.iter().map(|d| d.ip).find(|ip| !ip.to_canonical().is_loopback());
    match far {
        Some(_) if secrets.insecure => Ok(Protection::Insecure),
        Some(ip) => Err(NoKey(ip)),
        None => Ok(Protection::Loopback),
    }
}

fn list(conf: &SpreadConf, me: usize) -> FixedList {
    let member = |daemon: &conf::Daemon| FixedMember {
        name: daemon.name,
        id: daemon.id,
        address: SocketAddr::new(daemon.ip, conf.port_of(daemon)),
        segment: daemon.segment,
    };
    let targets = |(i, segment): (usize, &conf::Segment)| {
        let daemons = conf.daemons.iter().filter(|daemon| daemon.segment == i).count();
        let of_many = segment.addresses.iter().filter(|address| address.reach() != Reach::One);
        let targets = of_many.map(|address| SegmentTarget {
            to: SocketAddr::new(address.ip, segment.port),
            reach: address.reach(),
            interface: address.interface.clone().map(Interface::Name),
        });
        // A segment of one has nobody to tell.
        if daemons > 1 { targets.collect() } else { Vec::new() }
    };
    FixedList {
        members: conf.daemons.iter().map(member).collect(),
        me,
        segments: conf.segments.iter().enumerate().map(targets).collect(),
        hash: conf.hash(),
        wide_area: conf.is_wide_area(),
    }
}

fn data_addresses(daemon: &conf::Daemon) -> Vec<IpAddr> {
    let data = daemon.interfaces.iter().filter(|interface| interface.data);
    let addresses: Vec<IpAddr> = data.map(|interface| interface.ip).collect();
    if addresses.iter().any(IpAddr::is_unspecified) { Vec::new() } else { addresses }
}

fn client_addresses(daemon: &conf::Daemon, family: Family, port: u16) -> Vec<SocketAddr> {
    let every: IpAddr = match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    if daemon.interfaces.is_empty() {
        return vec![SocketAddr::new(every, port)];
    }
    let clients = daemon.interfaces.iter().filter(|interface| interface.clients);
    let mut ips: Vec<IpAddr> = clients.map(|interface| interface.ip).collect();
    if ips.iter().any(IpAddr::is_unspecified) {
        ips = vec![every];
    }
    ips.sort();
    ips.dedup();
    ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
}

/// The original counts messages, 1000 of them if nothing is said. Counting cuts off whoever is a moment late for small
/// messages, so unless the file says a number, bytes are counted.
fn backlog(messages: Option<u32>) -> Backlog {
    let Some(messages) = messages else {
        return Backlog { bytes: BACKLOG, messages: None, time: BACKLOG_TIME };
    };
    let bytes = (u64::from(messages) * MESSAGE_BYTES).min(BACKLOG_MAX);
    Backlog { bytes, messages: Some(messages as usize), time: BACKLOG_TIME }
}

/// The time of the token is the longest silence that is allowed; how much shorter it can be follows from what is seen.
fn timing(timeouts: Option<conf::Timeouts>, wide_area: bool) -> Timing {
    let mut timing = if wide_area { Timing::WIDE_AREA } else { Timing::default() };
    if let Some(timeouts) = timeouts {
        timing.ceiling = timeouts.token.clamp(3 * timing.heartbeat, Timing::CEILING_MAX);
        timing.floor = timing.floor.min(timing.ceiling);
    }
    timing
}

/// What is asked for beyond what there is here.
fn bounded(options: &conf::Options) -> Vec<String> {
    let mut said = Vec::new();
    let most = ring::settings::UNSTABLE_MAX;
    if let Some(window) = options.window.filter(|window| u64::from(*window) > most) {
        said.push(format!("Window = {window} counts as {most}, the most there is here"));
    }
    if let Some(timeouts) = options.timeouts {
        let least = 3 * Timing::default().heartbeat;
        let (asked, taken) = (timeouts.token, timeouts.token.clamp(least, Timing::CEILING_MAX));
        if asked != taken {
            said.push(format!(
                "a TokenTimeout of {asked:?} counts as {taken:?}; from {least:?} to {:?} are possible here",
                Timing::CEILING_MAX
            ));
        }
    }
    said
}

fn flow(options: &conf::Options) -> Flow {
    let accelerated = match options.accelerated_ring {
        Some(false) => Some(0),
        Some(true) => Some(options.accelerated_window.unwrap_or(conf::ACCELERATED_WINDOW)),
        None => options.accelerated_window,
    };
    Flow { window: options.window, accelerated }
}

fn privileges(options: &conf::Options) -> Privileges {
    let or = |written: &Option<String>, usual: &str| written.clone().unwrap_or(usual.into());
    Privileges {
        user: or(&options.daemon_user, "spread"),
        group: or(&options.daemon_group, "spread"),
        directory: or(&options.runtime_dir, "/var/run/spread").into(),
    }
}

//! Starting a lab: trying the kinds of lab, and seeing the helpers through their start.
//!
//! One thread of the caller belongs to each lab. It starts the starter and waits for its end, because the kernel's
//! "die with your parent" is tied to the parent's *thread*: tied to a test's own thread, a lab shared between tests
//! would die with the first of them.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::address::{MAX_HOSTS, MAX_MACHINES, MAX_NETWORKS, MAX_SITES, Plan};
use crate::config::{Kind, LabConfig, Leg, Wish};
use crate::error::LabError;
use crate::role;
use crate::running::{Bench, readable};
use crate::starter;
use crate::wire::{self, Reply, Setup};

/// How long the helpers may take for one step of the start, in seconds; generous for a loaded machine.
const START_SECONDS: u64 = 20;

/// Why a boot did not succeed.
pub(crate) enum Failed {
    /// This kind cannot be had here; another may.
    Here(String),
    /// No kind will fare better.
    Anywhere(LabError),
}

pub(crate) fn accepted(wish: Wish) -> &'static [Kind] {
    match wish {
        Wish::Namespaces => &[Kind::UserNamespaces, Kind::RootNamespaces],
        Wish::UserNamespaces => &[Kind::UserNamespaces],
        Wish::RootNamespaces => &[Kind::RootNamespaces],
        Wish::Anything => &[Kind::UserNamespaces, Kind::RootNamespaces, Kind::Loopback],
        Wish::Loopback => &[Kind::Loopback],
    }
}

pub(crate) fn checked_names(config: &LabConfig) -> Result<Vec<String>, LabError> {
    let bad = |what, value: String, remedy| Err(LabError::Config { what, value, remedy });
    if config.machines > MAX_MACHINES {
        return bad("the number of machines", config.machines.to_string(), "at most 64 fit");
    }
    if !(1280..=65535).contains(&config.mtu) {
        return bad("the MTU", config.mtu.to_string(), "choose 1280 to 65535 bytes");
    }
    if let Some(site) = config.sites.iter().find(|site| usize::from(**site) >= MAX_SITES) {
        return bad("a site", site.to_string(), "choose 0 to 7");
    }
    checked_networks(config)?;
    if let Some(path) = config.private.iter().chain(&config.shared).find(|path| !path.is_absolute())
    {
        let value = path.display().to_string();
        return bad("a private or shared folder", value, "write it from the root, as in /tmp");
    }
    let names: Vec<String> = (0..config.machines)
        .map(|i| config.names.get(i).cloned().unwrap_or_else(|| format!("m{}", i + 1)))
        .collect();
    for (i, name) in names.iter().enumerate() {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            return bad("a machine's name", format!("{name:?}"), "use letters, digits and hyphens");
        }
        if names[..i].contains(name) {
            return bad("a machine's name", format!("{name:?} twice"), "give each its own");
        }
    }
    Ok(names)
}

/// Refuses networks and hosts that cannot be built.
fn checked_networks(config: &LabConfig) -> Result<(), LabError> {
    let bad = |what, value: String, remedy| Err(LabError::Config { what, value, remedy });
    if config.networks.len() > MAX_NETWORKS {
        let count = config.networks.len().to_string();
        return bad("the number of networks beside the first", count, "at most 8 fit");
    }
    if config.hosts.len() > MAX_HOSTS {
        return bad("the number of hosts", config.hosts.len().to_string(), "at most 32 fit");
    }
    let mut names = vec!["lo"];
    for name in
        std::iter::once(&config.interface).chain(config.networks.iter().map(|n| &n.interface))
    {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        let fits =
            (1..=15).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.');
        if !fits || names.contains(&name.as_str()) {
            let remedy = "give each its own, of 1 to 15 letters, digits, '.', '-' or '_'";
            return bad("the name of an interface", format!("{name:?}"), remedy);
        }
        names.push(name);
    }
    let listed = config.networks.iter().filter_map(|network| network.machines.as_ref());
    if let Some(machine) = listed.flatten().find(|machine| **machine >= config.machines) {
        return bad("a machine of a network", machine.to_string(), "machines are counted from 0");
    }
    for host in &config.hosts {
        match host.leg {
            Leg::Network(network) if network > config.networks.len() => {
                return bad("the network of a host", network.to_string(), "the first network is 0");
            }
            Leg::Behind(router)
                if !matches!(config.hosts.get(router).map(|h| h.leg), Some(Leg::Network(_))) =>
            {
                let remedy = "choose the index of a host that is on a network";
                return bad("the router of a host", router.to_string(), remedy);
            }
            Leg::Network(_) | Leg::Behind(_) => {}
        }
    }
    Ok(())
}

/// Starts the helpers for one kind of lab; without a process namespace where `/proc` cannot be mounted.
pub(crate) fn boot(
    kind: Kind,
    config: &LabConfig,
    names: &[String],
    count: u32,
) -> Result<Bench, Failed> {
    let simple = config.networks.is_empty() && config.hosts.is_empty();
    if !simple && !kind.has_cables() {
        let why = "networks beside the first and hosts need cables";
        return Err(Failed::Here(why.to_owned()));
    }
    let plan = match kind {
        Kind::Loopback => Plan::loopback(std::process::id(), count),
        Kind::UserNamespaces | Kind::RootNamespaces => {
            Plan::bridged(&config.sites, &config.networks, &config.hosts)
        }
    };
    let mut setup = Setup {
        names: names.to_vec(),
        plan,
        mtu: config.mtu,
        interface: config.interface.clone(),
        user_namespace: kind == Kind::UserNamespaces,
        network_namespaces: kind.has_cables(),
        process_namespace: kind.has_cables(),
        private: config.private.clone(),
        shared: config.shared.clone(),
    };
    match attempt(kind, &setup) {
        Err(Attempt::NoProcessNamespace(_)) => {
            setup.process_namespace = false;
            attempt(kind, &setup).map_err(Attempt::into_failed)
        }
        other => other.map_err(Attempt::into_failed),
    }
}

enum Attempt {
    NoProcessNamespace(String),
    Failed(Failed),
}

impl Attempt {
    fn into_failed(self) -> Failed {
        match self {
            Attempt::NoProcessNamespace(why) => Failed::Here(why),
            Attempt::Failed(failed) => failed,
        }
    }

    fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Attempt {
        move |error| Attempt::Failed(Failed::Anywhere(LabError::io(what)(error)))
    }
}

fn attempt(kind: Kind, setup: &Setup) -> Result<Bench, Attempt> {
    let (control, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| Attempt::io("a control socket")(e.into()))?;
    let (keeper, starter) = start_starter(setup, theirs)?;
    let outcome = converse(&control, starter);
    let mut bench = Bench::new(kind, setup, control, keeper);
    match outcome {
        Ok(ipv6) => {
            bench.ipv6 = ipv6;
            Ok(bench)
        }
        Err(failed) => {
            bench.end();
            Err(failed)
        }
    }
}

/// Starts the starter on a thread of its own and returns its process id.
fn start_starter(setup: &Setup, theirs: OwnedFd) -> Result<(JoinHandle<()>, u32), Attempt> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("backhand-lab").stdin(Stdio::from(theirs)).process_group(0);
    role::mark(&mut command, role::Role::Starter, setup).map_err(Attempt::io("the lab's setup"))?;
    let (started, wait_started) = mpsc::channel();
    let keeper = std::thread::Builder::new()
        .name("lab-keeper".to_owned())
        .spawn(move || {
            let child = command.spawn();
            // The command holds the helpers' end of the control socket; kept open here, their death would go unseen.
            drop(command);
            match child {
                Ok(mut child) => {
                    drop(started.send(Ok(child.id())));
                    drop(child.wait());
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })
        .map_err(Attempt::io("a thread for the lab"))?;
    match wait_started.recv() {
        Ok(Ok(pid)) => Ok((keeper, pid)),
        Ok(Err(error)) => Err(Attempt::io("the lab's helper")(error)),
        Err(_) => Err(Attempt::Failed(Failed::Anywhere(LabError::Ended))),
    }
}

/// Sees the helpers through their start. Returns whether the lab has IPv6.
fn converse(control: &OwnedFd, starter: u32) -> Result<bool, Attempt> {
    loop {
        if !readable(control.as_fd(), Duration::from_secs(START_SECONDS)) {
            // It does not know it is a helper: whatever it is doing instead, end it.
            if let Some(pid) = rustix::process::Pid::from_raw(starter as i32) {
                let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            }
            return Err(Attempt::Failed(Failed::Anywhere(LabError::NoInit)));
        }
        let here = |why: String| Attempt::Failed(Failed::Here(why));
        match wire::receive::<Reply>(control).map_err(Attempt::io("the lab's helper"))? {
            Some((Reply::WantsMaps, _)) => {
                starter::write_maps(starter).map_err(|e| here(format!("identity maps: {e}")))?;
                wire::send(control, &Reply::Done, &[]).map_err(|e| here(e.to_string()))?;
            }
            Some((Reply::Ready { ipv6 }, _)) => return Ok(ipv6),
            Some((Reply::NoProcessNamespace(why), _)) => {
                return Err(Attempt::NoProcessNamespace(why));
            }
            Some((Reply::Refused(why), _)) => return Err(here(why)),
            Some((other, _)) => return Err(here(format!("unexpected answer {other:?}"))),
            None => {
                return Err(Attempt::Failed(Failed::Anywhere(LabError::NoInit)));
            }
        }
    }
}

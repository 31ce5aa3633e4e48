//! Many addresses that go from one machine to another at once.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::{NeighbourRoom, Output, Spawn};

use crate::cluster::{Cluster, WARM};
use crate::scan::{Found, Order};
use crate::system::{self, Programs, System, Wanted};

/// More addresses than this need more room in the kernel's one neighbour table than there is.
const WITHOUT_ROOM: u16 = 300;
/// How long after both machines run the first one is killed.
const SETTLE: Duration = Duration::from_secs(4);

/// When addresses were served again.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Milliseconds from the fault until the first was.
    pub(crate) first: f64,
    /// Until the last was.
    pub(crate) last: f64,
    /// How many were not while anybody looked.
    pub(crate) missing: usize,
}

/// One machine has everything, another comes to it, and all programs of the first are killed.
pub(crate) fn run(system: System, programs: &Programs, count: u16, v4: bool) -> Result<Seen> {
    let _room =
        if count > WITHOUT_ROOM { Some(NeighbourRoom::make(u32::from(count) * 8)?) } else { None };
    let addresses = system::many(count, v4);
    let wanted = Wanted { addresses: addresses.clone(), spread: false };
    let mut cluster = Cluster::build(system, programs, 2, wanted)?;
    if v4 {
        // They are in a network of their own; the client's way there is its cable.
        let beside = IpAddr::from([10, 77, 127, 254]);
        cluster.lab.add_address(WARM, "eth0", beside, 17, None)?;
    }
    cluster.launch(programs, 0)?;
    cluster.wait_until_all_at(0).with_context(|| cluster.last_words())?;
    cluster.launch(programs, 1)?;
    std::thread::sleep(SETTLE);
    cluster.wait_until_all_at(0).with_context(|| cluster.last_words())?;
    let own = cluster.lab.addresses_on(WARM, 0);
    let from = own.into_iter().find(|ip| ip.is_ipv4() == v4).context("a client without address")?;
    let order = serde_json::to_string(&Order { from, addresses })?;
    let client = Spawn::myself().args(["--scan", &order]).stdout(Output::Pipe);
    let client = cluster.lab.spawn_in(WARM, client)?;
    let mut said = BufReader::new(client.take_stdout().context("no standard output")?);
    // It has seen all of them once: it is warm. If it does not in time, it says why and ends.
    line(&mut said).context("the client ended before all addresses were served")?;
    let at = boottime_nanos();
    cluster.lab.machine(0).freeze()?;
    cluster.lab.machine(0).kill()?;
    let found: Found = serde_json::from_str(&line(&mut said)?)?;
    // A connection that was answered by the dead one's kernel is none that was served again.
    let since = |at_nanos: &u64| at_nanos.saturating_sub(at) as f64 / 1e6;
    let served: Vec<f64> = found.served.iter().flatten().map(since).collect();
    let first = served.iter().copied().fold(f64::INFINITY, f64::min);
    let last = served.iter().copied().fold(0.0, f64::max);
    if served.is_empty() {
        bail!("no address was served again; {}", cluster.last_words());
    }
    Ok(Seen { first, last, missing: found.served.len() - served.len() })
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        bail!("the client in the lab has ended");
    }
    Ok(line)
}

/// The clock that this process and the client in the lab both have.
pub(crate) fn boottime_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

//! What it costs while nothing happens.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cluster::Cluster;

/// How long is looked on.
const LENGTH: Duration = Duration::from_secs(3);

/// Processor time of each machine's programs in percent of one processor, the mean of all machines.
pub(crate) fn percent(cluster: &Cluster) -> Result<f64> {
    let machines = cluster.lab.machines();
    let used = || (0..machines).map(|i| cluster.cpu_nanos(i)).sum::<Result<u64>>();
    let (before, begun) = (used()?, Instant::now());
    std::thread::sleep(LENGTH);
    let spent = used()?.saturating_sub(before);
    Ok(spent as f64 / begun.elapsed().as_nanos() as f64 / machines as f64 * 100.0)
}

/// Nanoseconds on a processor so far, of a process and everything it has started.
pub(crate) fn nanos_of_tree(root: u32) -> Result<u64> {
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that has ended meanwhile has no parent.
        if let Some(parent) = parent_of(pid) {
            parents.insert(pid, parent);
        }
    }
    let mut nanos = 0;
    for pid in parents.keys().copied() {
        let mut at = pid;
        while at != root && at > 1 {
            at = parents.get(&at).copied().unwrap_or(0);
        }
        if at == root {
            nanos += nanos_of(pid);
        }
    }
    Ok(nanos)
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may have anything in it; behind its last parenthesis come state and parent.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

fn nanos_of(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let spent = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    tasks.flatten().filter_map(spent).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_grows_while_it_works() {
        let me = std::process::id();
        let before = nanos_of_tree(me).unwrap();
        let end = Instant::now() + Duration::from_millis(50);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        let spent = nanos_of_tree(me).unwrap() - before;
        assert!((10_000_000..5_000_000_000).contains(&spent), "{spent}");
    }
}

//! How long the others take until they know: a daemon was killed, left, started again, was cut off, was reached again.
//!
//! A client of the first machine watches a group in which every machine has a client. What counts is when it is told of the
//! view, not what daemons write into their logs.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::Cut;

use crate::clock;
use crate::cluster::{Cluster, Watch};

/// Something happens to the last machine. Named as in the table.
pub(crate) const CRASH: &str = "crash of a daemon (kill -9) → view";
pub(crate) const MACHINE: &str = "crash of a machine (all silent) → view";
pub(crate) const LEAVE: &str = "orderly leave (SIGTERM) → view";
pub(crate) const RESTART: &str = "start of a daemon → view with a client of it";
pub(crate) const CUT: &str = "cable cut → view";
pub(crate) const HEAL: &str = "cable mended, all idle → view";

/// How long everything is quiet before something happens, in milliseconds; more by turns, so that no timer is always met
/// in the same phase.
const QUIET: u64 = 700;
/// How long a daemon has lived before it is killed, in milliseconds. What tells the others at once is its kernel's "port unreachable", of
/// which Linux sends each neighbour one a second; a daemon that dies every second would be noticed by its silence only.
const RESTED: u64 = 3_000;
/// How long a machine stays cut off, in milliseconds. As long again for whatever still settles.
const APART: u64 = 2_000;

/// Milliseconds that each reaction took, by name.
pub(crate) fn run(
    cluster: &mut Cluster,
    turns: usize,
    told: &mut dyn FnMut(&'static str, f64),
) -> Result<()> {
    let last = cluster.machines() - 1;
    let all = cluster.machines();
    let group = cluster.group();
    let mut watches = Vec::new();
    for i in 0..all {
        watches.push(cluster.watch(i, &group)?);
    }
    let watch = &watches[0];
    until(cluster, watch, all, 0)?;
    for turn in 0..turns {
        let quiet = |more: u64| {
            std::thread::sleep(Duration::from_millis(QUIET + more + turn as u64 * 37 % 90));
        };
        quiet(RESTED);
        let begin = clock::now();
        cluster.daemon(last)?.kill9()?;
        told(CRASH, until(cluster, watch, all - 1, begin)?);

        quiet(11);
        told(RESTART, restart(cluster, watch)?);

        quiet(23);
        let begin = clock::now();
        cluster.daemon(last)?.term()?;
        told(LEAVE, until(cluster, watch, all - 1, begin)?);
        let _ = cluster.daemon(last)?.wait_timeout(Duration::from_secs(10));
        restart(cluster, watch)?;

        quiet(31);
        let begin = clock::now();
        cluster.lab.machine(last).cut(Cut::PortMute)?;
        told(CUT, until(cluster, watch, all - 1, begin)?);
        std::thread::sleep(Duration::from_millis(APART + turn as u64 * 137 % 1000));
        let begin = clock::now();
        cluster.lab.machine(last).heal()?;
        told(HEAL, until(cluster, watch, all, begin)?);

        quiet(47);
        let begin = clock::now();
        // Silent first: otherwise its kernel would tell the others that nobody listens there.
        cluster.lab.machine(last).cut(Cut::PortMute)?;
        cluster.daemon(last)?.kill9()?;
        told(MACHINE, until(cluster, watch, all - 1, begin)?);
        cluster.lab.machine(last).heal()?;
        restart(cluster, watch)?;
    }
    for watch in watches {
        watch.process.kill9()?;
    }
    Ok(())
}

/// Only the first of them, `turns` times: what grows with the number of daemons.
pub(crate) fn crashes(cluster: &mut Cluster, turns: usize) -> Result<Vec<f64>> {
    let last = cluster.machines() - 1;
    let all = cluster.machines();
    let group = cluster.group();
    let here = cluster.watch(0, &group)?;
    let there = cluster.watch(last, &group)?;
    until(cluster, &here, 2, 0)?;
    let mut millis = Vec::new();
    for turn in 0..turns {
        std::thread::sleep(Duration::from_millis(RESTED + turn as u64 * 37 % 90));
        let begin = clock::now();
        cluster.daemon(last)?.kill9()?;
        millis.push(until(cluster, &here, 1, begin)?);
        std::thread::sleep(Duration::from_millis(QUIET));
        cluster.launch(last)?;
        until(cluster, &here, 2, begin).with_context(|| format!("{all} daemons"))?;
    }
    here.process.kill9()?;
    there.process.kill9()?;
    Ok(millis)
}

/// Starts the last daemon again; its client has been waiting for it.
fn restart(cluster: &mut Cluster, watch: &Watch) -> Result<f64> {
    let all = cluster.machines();
    let begin = clock::now();
    cluster.launch(all - 1)?;
    until(cluster, watch, all, begin)
}

/// Milliseconds from `begin` until a view of so many members was seen.
fn until(cluster: &Cluster, watch: &Watch, members: usize, begin: u64) -> Result<f64> {
    let seen = watch.wait(|seen| seen.at >= begin && seen.members == members);
    let seen = seen.with_context(|| cluster.last_words())?;
    Ok((seen.at - begin) as f64 / 1e6)
}

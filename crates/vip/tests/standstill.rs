//! A program that stood still and was left behind.

mod support;

use core::time::Duration;

use support::{Cluster, singles};
use vip::settings::{LEFT_BEHIND_AFTER, MEET_WITHIN};
use vip::{After, SetKey};

/// Half of a lease.
const RUN_OUT: Duration = Duration::from_millis(1_500);
const MATURE: Duration = Duration::from_secs(5);

fn cluster(count: usize) -> Cluster {
    let mut cluster = Cluster::new(count, &singles(4));
    cluster.together();
    cluster.pass(MATURE);
    cluster.sound();
    cluster
}

/// The first machine stood still until everything that it had was off.
fn run_out(cluster: &mut Cluster) {
    let now = cluster.now;
    let all = keys(cluster);
    let node = &mut cluster.nodes[0];
    assert!(node.vip.handle_stood_still(now, RUN_OUT));
    node.up.clear();
    node.afters.clear();
    node.vip.handle_all_removed(now, all);
}

fn keys(cluster: &Cluster) -> Vec<SetKey> {
    cluster.nodes[0].settings.sets.iter().map(|one| one.set.key()).collect()
}

#[test]
fn whoever_stood_still_takes_nothing_from_those_who_went_on_until_it_meets_them() {
    let mut cluster = cluster(2);
    assert_eq!(cluster.counts(), [2, 2]);
    assert!(!cluster.nodes[0].vip.handle_stood_still(cluster.now, LEFT_BEHIND_AFTER));
    // What it had is still there, and that is all it has while it is alone.
    cluster.split(&[vec![0], vec![1]]);
    assert_eq!(cluster.counts(), [2, 4]);
    cluster.together();
    assert_eq!(cluster.counts(), [2, 2]);
    cluster.sound();
}

#[test]
fn whoever_stood_still_and_really_is_alone_takes_everything_a_moment_later() {
    let mut cluster = cluster(2);
    assert!(!cluster.nodes[0].vip.handle_stood_still(cluster.now, LEFT_BEHIND_AFTER));
    cluster.split(&[vec![0], vec![1]]);
    cluster.kill(1);
    cluster.pass(MEET_WITHIN + Duration::from_millis(1));
    assert_eq!(cluster.counts()[0], 4);
}

#[test]
fn whoever_stood_still_for_a_lease_holds_nothing_and_asks_nobody_when_it_gets_its_share_again() {
    let mut cluster = cluster(2);
    run_out(&mut cluster);
    cluster.split(&[vec![0], vec![1]]);
    assert_eq!(cluster.counts(), [0, 4]);
    cluster.together();
    cluster.pass(Duration::from_secs(10));
    assert_eq!(cluster.counts(), [2, 2]);
    assert!(cluster.nodes[0].afters.iter().all(|(_, after)| *after != After::Nobody));
    cluster.sound();
}

#[test]
fn one_that_was_alone_before_it_stood_still_loses_no_time() {
    let mut cluster = cluster(1);
    run_out(&mut cluster);
    cluster.run();
    assert_eq!(cluster.counts(), [4]);
    assert!(cluster.nodes[0].afters.iter().all(|(_, after)| *after == After::Released));
}

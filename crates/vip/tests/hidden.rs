//! Sets that nobody would find at a machine, though it can have them on its interfaces.

mod support;

use std::time::Duration;

use support::{Cluster, ip, singles};
use vip::SetKey;
use vip::status::Candidate;
use vip::{Reason, Settings};

const MATURE: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(4);

/// All machines together and mature; those of `hidden` were so from the start.
fn cluster(count: usize, settings: &Settings, hidden: &[usize]) -> Cluster {
    let mut cluster = Cluster::new(count, settings);
    for at in hidden {
        hide(&mut cluster, *at, true);
    }
    cluster.together();
    cluster.pass(MATURE);
    cluster.sound();
    cluster
}

/// Nobody finds anything at this machine any more, or everything again.
fn hide(cluster: &mut Cluster, at: usize, hidden: bool) {
    let sets = cluster.nodes[at].settings.sets.clone();
    let keys: Vec<SetKey> = sets.iter().filter(|_| hidden).map(|listed| listed.set.key()).collect();
    let now = cluster.now;
    cluster.nodes[at].vip.handle_hidden(now, keys);
    cluster.run();
}

#[test]
fn what_nobody_would_find_moves_to_another_machine_before_it_goes_and_its_share_comes_back() {
    let mut cluster = cluster(2, &singles(4), &[]);
    assert_eq!(cluster.counts(), [2, 2]);
    cluster.never_away = (1..=4).map(ip).collect();
    hide(&mut cluster, 0, true);
    assert_eq!(cluster.counts(), [0, 4]);
    for set in cluster.status(1).sets {
        assert_eq!(set.candidates[0], Candidate::No(Reason::Unable));
    }
    // Nothing is balanced away to it.
    cluster.pass(ROUND * 2);
    assert_eq!(cluster.counts(), [0, 4]);
    cluster.sound();
    hide(&mut cluster, 0, false);
    cluster.pass(ROUND);
    assert_eq!(cluster.counts(), [2, 2]);
    cluster.sound();
}

#[test]
fn a_machine_that_starts_so_takes_nothing_that_another_can_have() {
    let mut cluster = Cluster::new(2, &singles(4));
    hide(&mut cluster, 0, true);
    cluster.together();
    cluster.pass(MATURE);
    assert_eq!(cluster.counts(), [0, 4]);
    assert!(cluster.nodes[0].done.is_empty(), "{:?}", cluster.nodes[0].done);
    cluster.sound();
}

#[test]
fn what_would_be_found_nowhere_is_held_all_the_same_and_comes_to_rest() {
    for count in 1..=3 {
        let all: Vec<usize> = (0..count).collect();
        let mut cluster = cluster(count, &singles(4), &all);
        assert_eq!(cluster.counts().iter().sum::<usize>(), 4);
        let before: Vec<usize> = cluster.nodes.iter().map(|node| node.done.len()).collect();
        cluster.pass(ROUND * 3);
        let after: Vec<usize> = cluster.nodes.iter().map(|node| node.done.len()).collect();
        assert_eq!(before, after);
        cluster.sound();
    }
}

#[test]
fn what_is_hidden_stays_when_all_others_are_so_too_and_is_taken_over_when_its_holder_dies() {
    let mut cluster = cluster(2, &singles(4), &[]);
    hide(&mut cluster, 0, true);
    hide(&mut cluster, 1, true);
    assert_eq!(cluster.counts(), [0, 4]);
    cluster.kill(1);
    assert_eq!(cluster.counts(), [4, 0]);
    cluster.sound();
}

//! Machines whose files differ in what is under quorum, or in who counts for it.

mod support;

use std::time::Duration;

use support::{Cluster, ip, listed, singles};
use vip::{Event, Order, Settings};

const MATURE: Duration = Duration::from_secs(5);

fn lease() -> Duration {
    Settings::default().lease()
}

/// Two sets that are not under quorum, on a machine that says who counts for it.
fn counting(machines: &[&str]) -> Settings {
    Settings { quorum: machines.iter().map(|one| ((*one).to_owned(), 1)).collect(), ..singles(2) }
}

/// The same sets under quorum.
fn under_quorum(machines: &[&str]) -> Settings {
    let mut settings = counting(machines);
    settings.sets.iter_mut().for_each(|one| one.quorum = true);
    settings
}

const ALL: [&str; 3] = ["m1", "m2", "m3"];

/// Two machines that have the sets under quorum, and one with other settings that holds the first of them.
fn cluster_with(third: &Settings) -> Cluster {
    let mut cluster = Cluster::new(2, &under_quorum(&ALL));
    cluster.add(third.clone());
    cluster.together();
    cluster.pass(MATURE + lease());
    assert!(cluster.nodes[0].vip.order("m3", Order::Take(ip(1))).is_ok());
    cluster.run();
    assert_eq!(cluster.holders(ip(1)), [2]);
    cluster.sound();
    cluster
}

/// Three machines that have all under quorum.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(3, &under_quorum(&ALL));
    cluster.together();
    cluster.pass(MATURE + lease());
    assert_eq!(cluster.counts(), [1, 1, 0]);
    cluster
}

fn reload(cluster: &mut Cluster, at: usize, settings: &Settings) {
    let now = cluster.now;
    cluster.nodes[at].vip.reload(now, settings.clone());
    cluster.nodes[at].settings = settings.clone();
    cluster.run();
}

/// What was told of the first set: who has it under quorum, who has not, and whether the former are gone.
fn told(cluster: &Cluster, at: usize) -> Vec<(String, String, bool)> {
    let of_the_first = |event: &Event| match event {
        Event::QuorumDiffers { head, under, not, gone } if *head == ip(1) => {
            Some((under.join(" "), not.join(" "), *gone))
        }
        _ => None,
    };
    cluster.nodes[at].events.iter().filter_map(of_the_first).collect()
}

fn story(under: &str, not: &str, gone: bool) -> (String, String, bool) {
    (under.to_owned(), not.to_owned(), gone)
}

#[test]
fn a_machine_whose_file_lacks_the_quorum_holds_nothing_alone_that_others_have_under_it() {
    for third in [counting(&ALL), singles(2)] {
        let mut cluster = cluster_with(&third);
        for at in 0..3 {
            assert_eq!(told(&cluster, at), [story("m1 m2", "m3", false)], "m{}", at + 1);
        }
        cluster.split(&[vec![0, 1], vec![2]]);
        assert_eq!(cluster.counts()[2], 0);
        assert!(cluster.nodes[2].vip.is_under_quorum(listed(&[1]).set.key()));
        assert_eq!(told(&cluster, 2).last(), Some(&story("m1 m2", "m3", true)));
        cluster.pass(lease() + Duration::from_millis(1));
        assert_eq!((cluster.holders(ip(1)).len(), cluster.counts()[2]), (1, 0));
        cluster.together();
        cluster.pass(Duration::from_secs(10));
        cluster.sound();
    }
}

#[test]
fn a_set_is_out_of_quorum_only_when_all_say_so() {
    let mut cluster = cluster();
    let apart = [vec![0], vec![1], vec![2]];
    for at in [0, 1] {
        reload(&mut cluster, at, &counting(&ALL));
        cluster.pass(Duration::from_secs(1));
    }
    cluster.split(&apart);
    cluster.pass(Duration::from_secs(20));
    assert_eq!(cluster.counts(), [0, 0, 0]);
    cluster.together();
    cluster.pass(lease() + Duration::from_secs(1));
    assert_eq!(cluster.counts().iter().sum::<usize>(), 2);
    reload(&mut cluster, 2, &counting(&ALL));
    cluster.sound();
    assert!(cluster.status(0).sets.iter().all(|set| !set.quorum));
    cluster.split(&apart);
    assert_eq!(cluster.counts(), [2, 2, 2]);
}

#[test]
fn a_machine_that_is_gone_for_good_holds_nobody_under_quorum_when_the_others_have_left_it() {
    let mut cluster = cluster();
    cluster.kill(0);
    cluster.pass(lease() + Duration::from_secs(1));
    assert_eq!(cluster.counts(), [0, 1, 1]);
    cluster.never_away = [ip(1), ip(2)].into();
    for at in [1, 2] {
        reload(&mut cluster, at, &singles(2));
        cluster.pass(Duration::from_secs(1));
    }
    cluster.sound();
    cluster.never_away.clear();
    cluster.split(&[vec![1], vec![2]]);
    assert_eq!(cluster.counts()[1..], [2, 2]);
}

#[test]
fn machines_that_are_started_anew_in_turn_without_quorum_leave_nothing_without_a_holder() {
    let mut cluster = cluster();
    for at in 0..3 {
        let now = cluster.now;
        cluster.nodes[at].vip.leave(now, None);
        cluster.run();
        cluster.kill(at);
        assert_eq!(cluster.counts().iter().sum::<usize>(), 2, "without m{}", at + 1);
        cluster.nodes[at].settings = singles(2);
        cluster.revive(at);
        cluster.together();
        cluster.pass(Duration::from_secs(10));
        cluster.sound();
    }
    assert!(cluster.status(0).sets.iter().all(|set| !set.quorum));
}

#[test]
fn what_lost_machines_said_counts_until_the_program_is_started_anew() {
    let mut cluster = cluster_with(&counting(&ALL));
    cluster.kill(0);
    cluster.kill(1);
    cluster.pass(Duration::from_secs(60));
    assert_eq!(cluster.counts()[2], 0);
    let stories = [story("m1 m2", "m3", false), story("m1 m2", "m3", true)];
    assert_eq!(told(&cluster, 2), stories);
    cluster.revive(2);
    cluster.parts.clear();
    cluster.together();
    cluster.pass(MATURE + Duration::from_secs(1));
    assert_eq!(cluster.counts()[2], 2);
}

#[test]
fn lists_that_differ_are_told_of_once_until_they_are_alike() {
    let other = under_quorum(&["m3"]);
    let mut cluster = cluster_with(&other);
    let told = |cluster: &Cluster, at: usize| -> Vec<Vec<Vec<String>>> {
        let lists = |event: &Event| match event {
            Event::ListsDiffer { machines } => Some(machines.clone()),
            _ => None,
        };
        cluster.nodes[at].events.iter().filter_map(lists).collect()
    };
    for at in 0..3 {
        assert_eq!(told(&cluster, at), [[vec!["m1", "m2"], vec!["m3"]]]);
    }
    reload(&mut cluster, 2, &under_quorum(&ALL));
    assert_eq!(told(&cluster, 0).len(), 1);
    reload(&mut cluster, 2, &other);
    assert_eq!(told(&cluster, 0).len(), 2);
    cluster.sound();
}

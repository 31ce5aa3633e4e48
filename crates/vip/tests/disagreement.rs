//! Machines whose files differ in what is under quorum, or in who counts for it, are told of.

mod support;

use std::time::Duration;

use support::{Cluster, ip, singles};
use vip::{Event, Settings};

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

/// Two machines that have the sets under quorum, and one with other settings.
fn cluster_with(third: &Settings) -> Cluster {
    let mut cluster = Cluster::new(2, &under_quorum(&ALL));
    cluster.add(third.clone());
    cluster.together();
    cluster.pass(Duration::from_secs(5) + Settings::default().lease());
    cluster.sound();
    cluster
}

fn reload(cluster: &mut Cluster, at: usize, settings: &Settings) {
    let now = cluster.now;
    cluster.nodes[at].vip.reload(now, settings.clone());
    cluster.nodes[at].settings = settings.clone();
    cluster.run();
}

#[test]
fn a_set_that_some_have_under_quorum_and_others_not_is_told_of_until_they_agree() {
    let other = counting(&ALL);
    let mut cluster = cluster_with(&other);
    // Of the first set: who has it under quorum, and who has not.
    let told = |cluster: &Cluster, at: usize| -> Vec<(String, String)> {
        let story = |event: &Event| match event {
            Event::QuorumDiffers { head, under, not } if *head == ip(1) => {
                Some((under.join(" "), not.join(" ")))
            }
            _ => None,
        };
        cluster.nodes[at].events.iter().filter_map(story).collect()
    };
    let both = ("m1 m2".to_owned(), "m3".to_owned());
    for at in 0..3 {
        assert_eq!(told(&cluster, at).last(), Some(&both), "m{}", at + 1);
    }
    assert!(cluster.status(2).sets.iter().all(|set| set.quorum));
    // That they were apart changes nothing about it.
    let before = told(&cluster, 0).len();
    cluster.split(&[vec![0, 1], vec![2]]);
    cluster.pass(Duration::from_secs(10));
    cluster.together();
    cluster.pass(Duration::from_secs(10));
    assert_eq!(told(&cluster, 0).len(), before);
    reload(&mut cluster, 2, &under_quorum(&ALL));
    assert_eq!(told(&cluster, 0).len(), before);
    reload(&mut cluster, 2, &other);
    assert_eq!(told(&cluster, 0).len(), before + 1);
    cluster.sound();
}

#[test]
fn lists_that_differ_are_told_of_until_they_are_alike() {
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

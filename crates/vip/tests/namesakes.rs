//! Machines with one name: what they count for where a majority is asked for.

mod support;

use std::time::Duration;

use support::{Cluster, singles};
use vip::{Event, Settings};

fn settings() -> Settings {
    let mut settings = singles(2);
    settings.quorum = ["a", "b", "c"].into_iter().map(|name| (name.to_owned(), 1)).collect();
    settings.sets.iter_mut().for_each(|one| one.quorum = true);
    settings
}

/// Two machines called a, one b and one c; none has met another yet.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(0, &settings());
    for name in ["a", "a", "b", "c"] {
        cluster.add_called(name, settings());
    }
    cluster
}

/// Long enough to become mature and to wait for all leases.
fn rest(cluster: &mut Cluster) {
    let settings = Settings::default();
    cluster.pass(settings.mature + settings.lease() + Duration::from_secs(1));
}

fn majorities(cluster: &Cluster) -> Vec<bool> {
    (0..4).map(|at| cluster.status(at).majority == Some(true)).collect()
}

/// How often it was told that the name of two counts for nobody.
fn told(cluster: &Cluster, at: usize) -> usize {
    let doubled =
        |event: &&Event| matches!(event, Event::Doubled { machine } if machine.as_str() == "a");
    cluster.nodes[at].events.iter().filter(doubled).count()
}

#[test]
fn a_name_at_which_two_were_seen_counts_for_nobody_when_they_are_apart() {
    let mut cluster = cluster();
    cluster.together();
    rest(&mut cluster);
    // The other two are a majority without it.
    assert_eq!(majorities(&cluster), [true; 4]);
    assert_eq!(cluster.counts().iter().sum::<usize>(), 2);
    cluster.sound();
    for _ in 0..2 {
        cluster.split(&[vec![0, 2], vec![1, 3]]);
        rest(&mut cluster);
        assert_eq!(majorities(&cluster), [false; 4]);
        assert_eq!(cluster.counts(), [0; 4]);
        cluster.agree();
        cluster.together();
        rest(&mut cluster);
        assert_eq!(majorities(&cluster), [true; 4]);
        assert_eq!(cluster.counts().iter().sum::<usize>(), 2);
        cluster.sound();
    }
    // Also without the other one for good.
    cluster.kill(1);
    rest(&mut cluster);
    cluster.split(&[vec![0, 2], vec![3]]);
    rest(&mut cluster);
    assert_eq!(cluster.status(0).majority, Some(false));
    for at in 0..4 {
        assert_eq!(told(&cluster, at), 1, "m{}", at + 1);
        assert_eq!(cluster.status(at).doubled, ["a"]);
        // Nobody's file is another for that.
        let differs = |event: &Event| matches!(event, Event::ListsDiffer { .. });
        assert!(!cluster.nodes[at].events.iter().any(differs));
    }
}

#[test]
fn who_has_seen_no_two_of_a_name_goes_by_those_who_have() {
    let mut cluster = cluster();
    cluster.split(&[vec![0, 1, 2], vec![3]]);
    rest(&mut cluster);
    assert!(cluster.status(3).doubled.is_empty());
    cluster.split(&[vec![1, 2], vec![0, 3]]);
    rest(&mut cluster);
    assert_eq!(majorities(&cluster), [false; 4]);
    assert_eq!(cluster.status(3).doubled, ["a"]);
    cluster.agree();
    // With the other that counts it needs none of them.
    cluster.split(&[vec![2, 3], vec![0, 1]]);
    rest(&mut cluster);
    assert_eq!(majorities(&cluster), [false, false, true, true]);
    assert_eq!(cluster.counts(), [0, 0, 1, 1]);
    cluster.agree();
}

#[test]
fn a_machine_of_whose_name_the_bus_knows_another_counts_for_nobody_at_once() {
    let mut cluster = cluster();
    cluster.split(&[vec![0, 2], vec![1, 3]]);
    rest(&mut cluster);
    // Nobody can know yet.
    assert_eq!(majorities(&cluster), [true; 4]);
    let now = cluster.now;
    cluster.nodes[1].vip.handle_namesake(now);
    cluster.run();
    assert_eq!(majorities(&cluster), [true, false, true, false]);
    assert_eq!(cluster.counts(), [1, 0, 1, 0]);
    cluster.agree();
    assert_eq!((told(&cluster, 1), told(&cluster, 3), told(&cluster, 0)), (1, 1, 0));
    // Its program knows it also after it was without the bus.
    let now = cluster.now;
    cluster.nodes[1].vip.handle_lost(now);
    cluster.nodes[1].vip.handle_connected(now);
    cluster.split(&[vec![0, 2], vec![3], vec![1]]);
    cluster.split(&[vec![0, 2], vec![1, 3]]);
    rest(&mut cluster);
    assert_eq!(majorities(&cluster), [true, false, true, false]);
    assert_eq!(told(&cluster, 1), 1);
}

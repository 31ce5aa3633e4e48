//! What the others know of a machine besides what it holds.

mod support;

use std::time::Duration;

use support::{Cluster, singles};

#[test]
fn a_card_that_comes_later_is_told_to_the_others_once() {
    let mut cluster = Cluster::new(2, &singles(2));
    cluster.together();
    cluster.pass(Duration::from_secs(5));
    let macs = vec![[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
    let now = cluster.now;
    cluster.nodes[0].vip.handle_macs(now, macs.clone());
    cluster.run();
    let of = |cluster: &Cluster, machine: &str| {
        let members = cluster.status(1).members;
        members.into_iter().find(|one| one.machine == machine).unwrap().macs
    };
    assert_eq!(of(&cluster, "m1"), macs);
    assert_ne!(of(&cluster, "m2"), macs);
    let told: Vec<(&str, &[[u8; 6]])> = cluster.nodes[1].vip.hardware().unwrap().collect();
    assert!(told == [("m1", macs.as_slice())], "{told:?}");
    // Before all have spoken nothing is known of some.
    assert!(Cluster::new(1, &singles(1)).nodes[0].vip.hardware().is_none());
    // Interfaces are listed often, and most of the time nothing about them has changed.
    cluster.nodes[0].vip.handle_macs(now, macs);
    assert!(cluster.nodes[0].vip.poll_transmit().is_none());
    cluster.sound();
}

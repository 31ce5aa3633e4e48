//! Interfaces that lose their carrier at all machines, and get it back while the machines see each other over another network.

mod support;

use std::time::Duration;

use support::{Cluster, ip, singles};
use vip::settings::RECLAIM_AFTER;
use vip::status::{Candidate, SetStatus};
use vip::{After, Event, Order, Reason, Settings};

const MATURE: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(4);
/// Long enough for a word of each machine to go round.
const A_WORD: Duration = Duration::from_secs(1);

fn cluster(count: usize, settings: &Settings) -> Cluster {
    let mut cluster = Cluster::new(count, settings);
    cluster.together();
    cluster.pass(MATURE + settings.lease());
    cluster.sound();
    cluster
}

/// The interfaces of these machines have a carrier from now on, or none.
fn carriers(cluster: &mut Cluster, machines: &[usize], there: bool) {
    let now = cluster.now;
    for at in machines.iter().copied() {
        let node = &mut cluster.nodes[at];
        let all = node.settings.sets.iter().map(|one| (one.set.key(), there, there));
        node.vip.handle_all_able(now, all);
    }
    cluster.run();
}

fn is_nowhere(set: &SetStatus) -> bool {
    (set.owner, set.moving_to, set.reason, set.here) == (None, None, Reason::Unable, false)
}

#[test]
fn what_no_machine_can_hold_is_nowhere_at_all_of_them_and_told() {
    let mut cluster = cluster(3, &singles(3));
    assert_eq!(cluster.counts(), [1, 1, 1]);
    carriers(&mut cluster, &[0, 1, 2], false);
    assert_eq!(cluster.counts(), [0, 0, 0]);
    cluster.agree();
    for at in 0..3 {
        assert!(cluster.status(at).sets.iter().all(is_nowhere), "m{}", at + 1);
        assert!(cluster.status(at).members.iter().all(|member| member.sets == 0));
        for last in 1..=3 {
            let told = |event: &Event| match event {
                Event::Owner { head, to: None, reason, .. } if *head == ip(last) => Some(*reason),
                _ => None,
            };
            let reasons: Vec<Reason> = cluster.nodes[at].events.iter().filter_map(told).collect();
            assert_eq!(reasons, [Reason::Unable], "m{} of 10.0.0.{last}", at + 1);
        }
    }
    // It is so for the same reason in another view.
    cluster.kill(2);
    assert!(cluster.status(0).sets.iter().all(is_nowhere), "{:?}", cluster.status(0).sets);
}

#[test]
fn a_carrier_that_is_lost_by_a_machine_alone_leaves_its_sets_nowhere() {
    let mut cluster = cluster(1, &singles(2));
    carriers(&mut cluster, &[0], false);
    assert!(cluster.status(0).sets.iter().all(is_nowhere));
    // The others may be behind that carrier: it waits for them, however long it was away.
    cluster.pass(A_WORD);
    carriers(&mut cluster, &[0], true);
    cluster.pass(RECLAIM_AFTER - Duration::from_millis(1));
    assert_eq!(cluster.counts(), [0]);
    cluster.pass(Duration::from_millis(2));
    assert_eq!(cluster.counts(), [2]);
    cluster.sound();
}

#[test]
fn a_carrier_that_is_back_while_all_were_there_all_the_time_is_used_at_once() {
    let mut cluster = cluster(3, &singles(3));
    carriers(&mut cluster, &[0, 1, 2], false);
    cluster.pass(A_WORD);
    carriers(&mut cluster, &[1], true);
    assert_eq!(cluster.counts(), [0, 3, 0]);
    let mut afters = cluster.nodes[1].afters.iter().rev().take(3);
    assert!(afters.all(|(_, after)| *after == After::Released), "nobody is asked");
    // What another has by now is waited for as ever, so that a carrier that comes and goes moves nothing.
    carriers(&mut cluster, &[0, 2], true);
    for at in [0, 2] {
        let sets = cluster.status(1).sets;
        assert!(sets.iter().all(|set| set.candidates[at] == Candidate::No(Reason::Unable)));
    }
    cluster.pass(RECLAIM_AFTER + ROUND * 2);
    assert_eq!(cluster.counts(), [1, 1, 1]);
    cluster.sound();
}

#[test]
fn a_carrier_that_is_back_before_a_word_has_gone_round_is_waited_with_until_one_has() {
    let mut cluster = cluster(2, &singles(2));
    carriers(&mut cluster, &[0, 1], false);
    carriers(&mut cluster, &[0, 1], true);
    assert_eq!(cluster.counts(), [0, 0]);
    cluster.pass(A_WORD);
    assert_eq!(cluster.counts().iter().sum::<usize>(), 2);
    cluster.pass(ROUND * 2);
    cluster.sound();
}

#[test]
fn a_carrier_that_is_lost_while_another_is_just_back_costs_no_wait_for_who_was_there_all_the_time()
{
    let mut cluster = cluster(2, &singles(4));
    carriers(&mut cluster, &[0], false);
    assert_eq!(cluster.counts(), [0, 4]);
    cluster.pass(A_WORD);
    carriers(&mut cluster, &[0], true);
    cluster.pass(Duration::from_millis(300));
    assert_eq!(cluster.counts(), [0, 4], "what another has is waited for");
    carriers(&mut cluster, &[1], false);
    assert_eq!(cluster.counts(), [4, 0]);
    // Not so when the other has left: it may be there, and have everything.
    carriers(&mut cluster, &[1], true);
    cluster.pass(RECLAIM_AFTER * 2);
    carriers(&mut cluster, &[0], false);
    cluster.pass(A_WORD);
    carriers(&mut cluster, &[0], true);
    cluster.split(&[vec![0], vec![1]]);
    assert_eq!(cluster.counts(), [0, 4]);
}

#[test]
fn a_carrier_that_is_back_when_a_member_has_left_is_waited_with() {
    let mut cluster = cluster(3, &singles(3));
    carriers(&mut cluster, &[0, 1, 2], false);
    // It may be on that network and on no other.
    cluster.split(&[vec![0, 1], vec![2]]);
    cluster.pass(A_WORD);
    carriers(&mut cluster, &[0], true);
    cluster.pass(RECLAIM_AFTER - Duration::from_millis(1));
    assert_eq!(cluster.counts(), [0, 0, 0]);
    cluster.pass(Duration::from_millis(2));
    assert_eq!(cluster.counts(), [3, 0, 0]);
}

#[test]
fn what_an_operator_moved_and_no_machine_could_hold_is_his_no_more() {
    let mut cluster = cluster(2, &singles(2));
    cluster.nodes[0].vip.order("m1", Order::Take(ip(2))).unwrap();
    cluster.run();
    assert!(cluster.status(1).sets.iter().any(|set| set.pinned));
    carriers(&mut cluster, &[0, 1], false);
    cluster.pass(A_WORD);
    carriers(&mut cluster, &[0], true);
    assert_eq!(cluster.counts(), [2, 0]);
    let pinned = |cluster: &Cluster| cluster.status(0).sets.iter().any(|set| set.pinned);
    assert!(!pinned(&cluster));
    cluster.split(&[vec![0], vec![1]]);
    cluster.together();
    assert!(!pinned(&cluster));
}

#[test]
fn under_quorum_one_machine_has_it_when_a_carrier_is_back() {
    let mut settings = singles(2);
    settings.quorum = (1..=3).map(|at| (format!("m{at}"), 1)).collect();
    settings.sets.iter_mut().for_each(|one| one.quorum = true);
    let mut cluster = cluster(3, &settings);
    cluster.most = 0;
    carriers(&mut cluster, &[0, 1, 2], false);
    assert!(cluster.status(0).sets.iter().all(is_nowhere), "{:?}", cluster.status(0).sets);
    cluster.pass(A_WORD);
    carriers(&mut cluster, &[2], true);
    assert_eq!(cluster.counts(), [0, 0, 2]);
    carriers(&mut cluster, &[0, 1], true);
    cluster.pass(RECLAIM_AFTER + ROUND * 2);
    assert_eq!(cluster.most, 1);
    cluster.sound();
}

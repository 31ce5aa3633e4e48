//! Sets that may never be held twice.

mod support;

use std::time::Duration;

use support::{Cluster, ip, listed, singles};
use vip::{Reason, SetKey, Settings};

const MATURE: Duration = Duration::from_secs(5);

fn settings(machines: usize) -> Settings {
    let mut settings = singles(2);
    settings.quorum = (1..=machines).map(|at| (format!("m{at}"), 1)).collect();
    settings.sets.iter_mut().for_each(|one| one.quorum = true);
    settings
}

fn lease() -> Duration {
    Settings::default().lease()
}

/// Three machines that have come up and hold the two sets.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(3, &settings(3));
    cluster.together();
    cluster.pass(MATURE + lease());
    cluster.sound();
    assert_eq!(cluster.counts(), [1, 1, 0]);
    cluster
}

/// The third is away while the first two go on, and does not know it; then the second is started again, alone.
fn restart_the_second_after_a_majority(cluster: &mut Cluster) {
    cluster.split(&[vec![0, 1], vec![2]]);
    cluster.pass(Duration::from_secs(60));
    cluster.announce_views(&[vec![0], vec![1], vec![2]]);
    cluster.revive(1);
    cluster.nodes[1].up.clear();
    cluster.parts.clear();
}

/// The usual settings, with one more address in the first set.
fn in_another_form() -> Settings {
    let mut new = settings(3);
    new.sets[0] = vip::settings::Listed { quorum: true, ..listed(&[1, 60]) };
    new
}

/// A machine gets other settings, and can have the set that is new in them.
fn reload(cluster: &mut Cluster, at: usize, new_set: SetKey, settings: &Settings) {
    let now = cluster.now;
    cluster.nodes[at].vip.handle_able(now, new_set, true, false);
    cluster.nodes[at].vip.reload(now, settings.clone());
}

/// What the first has been taking off all the time is off.
fn the_first_lets_go(cluster: &mut Cluster) {
    cluster.nodes[0].stuck = false;
    cluster.nodes[0].vip.handle_removed(cluster.now, listed(&[1]).set.key());
    cluster.run();
}

#[test]
fn a_majority_that_nobody_remembers_waits_out_the_longest_lease() {
    let mut cluster =
        Cluster::new(3, &Settings { mature: Duration::from_millis(1), ..settings(3) });
    cluster.together();
    cluster.pass(lease() - Duration::from_millis(1));
    assert_eq!(cluster.counts(), [0, 0, 0]);
    cluster.pass(Duration::from_millis(2));
    assert_eq!(cluster.counts(), [1, 1, 0]);
}

#[test]
fn a_minority_holds_nothing() {
    let mut cluster = cluster();
    cluster.split(&[vec![0], vec![1, 2]]);
    assert_eq!(cluster.nodes[0].up.len(), 0);
    assert_eq!(cluster.status(0).majority, Some(false));
    // The majority waits until the lease of the lost holder has certainly run out.
    cluster.pass(lease() - Duration::from_millis(1));
    assert_eq!(cluster.counts(), [0, 1, 0]);
    cluster.pass(Duration::from_millis(2));
    assert_eq!(cluster.counts(), [0, 1, 1]);
}

#[test]
fn what_was_released_in_order_is_not_waited_for() {
    let mut cluster = cluster();
    cluster.most = 0;
    cluster.nodes.iter_mut().for_each(|node| node.done.clear());
    cluster.nodes[0].vip.leave(cluster.now, None);
    cluster.run();
    assert_eq!(cluster.counts(), [0, 1, 1]);
    // Released first, added then: it is never there twice.
    assert_eq!(cluster.most, 1);
    assert_eq!(cluster.nodes[0].done, ["remove 10.0.0.1 leaving"]);
    assert_eq!(cluster.nodes[2].done, ["add 10.0.0.1 leaving"]);
    cluster.sound();
}

#[test]
fn a_holder_whose_interface_goes_makes_way_at_once() {
    let mut cluster = cluster();
    let key = cluster.nodes[0].settings.sets[0].set.key();
    cluster.nodes[0].vip.handle_able(cluster.now, key, false, false);
    cluster.run();
    assert_eq!(cluster.counts(), [0, 1, 1]);
}

#[test]
fn what_a_guardian_has_let_go_is_not_waited_for() {
    let mut cluster = cluster();
    let boot = 1;
    cluster.kill(0);
    assert_eq!(cluster.counts(), [0, 1, 0]);
    cluster.nodes[1].vip.handle_fenced(cluster.now, boot);
    cluster.run();
    assert_eq!(cluster.counts(), [0, 1, 1]);
}

#[test]
fn what_a_guardian_says_before_the_loss_is_known_counts_when_it_is() {
    // At any moment, and to whichever of the others: when they do not know of it, while they hear each other, and afterwards.
    for steps in 0..12 {
        for hears in [vec![1], vec![2], vec![1, 2]] {
            let mut cluster = cluster();
            let boot = 1;
            cluster.most = 0;
            cluster.nodes[0].dead = true;
            cluster.nodes[0].up.clear();
            if steps == 0 {
                hears.iter().for_each(|at| cluster.nodes[*at].vip.handle_fenced(cluster.now, boot));
                cluster.run();
            }
            cluster.announce_views(&[vec![1, 2]]);
            for step in 1..12 {
                if step == steps {
                    let now = cluster.now;
                    hears.iter().for_each(|at| cluster.nodes[*at].vip.handle_fenced(now, boot));
                }
                cluster.step();
            }
            cluster.run();
            assert_eq!(cluster.counts(), [0, 1, 1], "after {steps} steps to {hears:?}");
            assert_eq!(cluster.most, 1);
            cluster.sound();
        }
    }
}

#[test]
fn what_a_guardian_says_is_said_again_where_it_was_not_heard() {
    let mut cluster = cluster();
    cluster.nodes[1].vip.handle_fenced(cluster.now, 1);
    cluster.kill(0);
    assert_eq!(cluster.counts(), [0, 1, 1]);
    // All know it now: nobody waits for that run in any other view.
    cluster.split(&[vec![1], vec![2]]);
    assert_eq!(cluster.counts(), [0, 0, 0]);
    let mut late = self::cluster();
    late.kill(0);
    late.split(&[vec![1], vec![2]]);
    late.nodes[2].vip.handle_fenced(late.now, 1);
    late.run();
    assert_eq!(late.counts(), [0, 0, 0], "alone it is no majority");
    late.together();
    // The second was lost with what it had meanwhile, and is back itself; the first is not waited for.
    assert_eq!(late.counts()[0], 0);
    assert_eq!(late.counts().iter().sum::<usize>(), 2);
    late.sound();
}

#[test]
fn a_word_about_a_run_that_lives_or_that_nobody_knows_changes_nothing() {
    let mut cluster = cluster();
    let before: Vec<_> = cluster.nodes.iter().map(|node| node.done.len()).collect();
    for boot in [1, 2, 3, 99] {
        cluster.nodes[1].vip.handle_fenced(cluster.now, boot);
        cluster.run();
    }
    assert_eq!(before, cluster.nodes.iter().map(|node| node.done.len()).collect::<Vec<_>>());
    cluster.kill(2);
    assert_eq!(cluster.counts(), [1, 1, 0]);
    cluster.sound();
}

#[test]
fn a_majority_whose_knowledge_may_be_old_waits_again() {
    let mut cluster = cluster();
    restart_the_second_after_a_majority(&mut cluster);
    cluster.split(&[vec![0], vec![1, 2]]);
    assert_eq!(cluster.counts()[1..].iter().sum::<usize>(), 0);
    cluster.pass(lease() - Duration::from_millis(10));
    assert_eq!(cluster.counts()[1..].iter().sum::<usize>(), 0);
    cluster.pass(MATURE);
    assert_eq!(cluster.counts()[1..].iter().sum::<usize>(), 2);
}

#[test]
fn who_was_out_of_the_group_counts_as_one_that_remembers_nothing() {
    let mut settings = settings(2);
    settings.quorum.insert("m2".into(), 2);
    settings.valid = Duration::from_secs(10);
    let lease = settings.lease();
    let mut cluster = Cluster::new(2, &settings);
    cluster.together();
    cluster.pass(MATURE + lease);
    assert_eq!(cluster.counts(), [1, 1]);
    // The second, a majority alone, loses its session while the first hangs, whose kernel answers for a lease.
    cluster.nodes[0].dead = true;
    let now = cluster.now;
    cluster.nodes[1].vip.handle_lost(now);
    cluster.run();
    cluster.nodes[1].vip.handle_connected(now);
    cluster.split(&[vec![1]]);
    cluster.pass(lease - Duration::from_millis(10));
    assert_eq!(cluster.counts(), [1, 0]);
    cluster.nodes[0].up.clear();
    cluster.pass(MATURE);
    assert_eq!(cluster.counts(), [0, 2]);
}

#[test]
fn a_bus_daemon_that_is_started_again_beside_one_of_three_costs_no_lease() {
    let mut cluster = cluster();
    let now = cluster.now;
    cluster.nodes[1].vip.handle_lost(now);
    cluster.run();
    cluster.split(&[vec![0, 2]]);
    cluster.nodes[1].vip.handle_connected(now);
    cluster.together();
    assert_eq!(cluster.counts().iter().sum::<usize>(), 2);
    cluster.sound();
}

#[test]
fn what_is_taken_over_from_a_lost_holder_is_told_as_that() {
    for guarded in [false, true] {
        let mut cluster = cluster();
        assert_eq!(cluster.nodes[0].done, ["add 10.0.0.1 unowned"]);
        cluster.kill(0);
        let first = cluster.status(1).sets.into_iter().find(|set| set.head == ip(1)).unwrap();
        assert_eq!((first.owner, first.reason), (None, Reason::Lost));
        if guarded {
            cluster.nodes[1].vip.handle_fenced(cluster.now, 1);
            cluster.run();
        } else {
            cluster.pass(lease() + Duration::from_millis(1));
        }
        assert_eq!(cluster.nodes[2].done, ["add 10.0.0.1 lost"]);
        cluster.sound();
    }
}

#[test]
fn weights_decide_what_a_majority_is() {
    let mut settings = settings(3);
    settings.quorum.insert("m1".into(), 3);
    let mut cluster = Cluster::new(3, &settings);
    cluster.together();
    cluster.pass(MATURE + lease());
    cluster.split(&[vec![0], vec![1, 2]]);
    assert_eq!(cluster.status(0).majority, Some(true));
    assert_eq!(cluster.counts()[1..], [0, 0]);
    cluster.pass(lease() + Duration::from_millis(1));
    assert_eq!(cluster.counts(), [2, 0, 0]);
}

#[test]
fn what_is_still_being_taken_off_is_not_claimed_by_others() {
    let mut cluster = cluster();
    cluster.nodes[0].stuck = true;
    // All alone for a moment: nobody has a majority, and nobody goes on without the first.
    cluster.split(&[vec![0], vec![1], vec![2]]);
    assert_eq!(cluster.counts(), [1, 0, 0], "the first has not managed yet");
    cluster.most = 0;
    cluster.together();
    cluster.pass(lease() - Duration::from_millis(1));
    assert_eq!(cluster.most, 1);
    // By then the kernel has taken it off.
    let now = cluster.now;
    cluster.nodes[0].up.remove(&ip(1));
    cluster.nodes[0].vip.handle_removed(now, listed(&[1]).set.key());
    cluster.pass(Duration::from_millis(2));
    assert_eq!(cluster.wrong(), []);
}

#[test]
fn a_lease_that_has_run_out_wakes_nobody_twice() {
    let mut cluster = cluster();
    // The second waits for the lease of the first, and loses its majority meanwhile.
    cluster.kill(0);
    cluster.pass(lease() - Duration::from_millis(100));
    cluster.split(&[vec![1], vec![2]]);
    cluster.pass(Duration::from_secs(1));
    cluster.split(&[vec![1, 2]]);
    for _ in 0..20 {
        cluster.pass(Duration::from_millis(500));
        for node in &mut cluster.nodes[1..] {
            node.vip.handle_timeout(cluster.now);
            assert!(node.vip.next_timeout() > Some(cluster.now));
        }
    }
    cluster.run();
    cluster.sound();
}

#[test]
fn who_waits_for_a_majority_is_not_woken_without_end() {
    let mut cluster = cluster();
    cluster.split(&[vec![0], vec![1, 2]]);
    cluster.nodes[0].vip.handle_timeout(cluster.now);
    for _ in 0..20 {
        cluster.pass(Duration::from_millis(500));
        for node in &mut cluster.nodes {
            node.vip.handle_timeout(cluster.now);
            assert!(node.vip.next_timeout() > Some(cluster.now), "{}", node.name);
        }
    }
}

#[test]
fn what_a_lost_machine_held_in_another_form_is_waited_for() {
    for reloaded in [vec![2], vec![1, 2]] {
        let mut cluster = cluster();
        // The list is being changed while the first, which has the old form of it, is lost.
        let new = in_another_form();
        let key = new.sets[0].set.key();
        reloaded.into_iter().for_each(|at| reload(&mut cluster, at, key, &new));
        cluster.run();
        assert_eq!(cluster.holders(ip(1)), [0]);
        cluster.split(&[vec![0], vec![1, 2]]);
        cluster.pass(lease() - Duration::from_millis(1));
        assert!(!cluster.nodes[1].up.contains(&ip(1)) && !cluster.nodes[2].up.contains(&ip(1)));
        cluster.pass(Duration::from_secs(1));
        assert_eq!(cluster.holders(ip(1)).len(), 1);
    }
}

#[test]
fn what_is_still_being_taken_off_is_claimed_as_soon_as_it_is_off() {
    let mut cluster = cluster();
    cluster.nodes[0].stuck = true;
    cluster.split(&[vec![0], vec![1], vec![2]]);
    cluster.together();
    cluster.pass(Duration::from_millis(100));
    assert_eq!(cluster.holders(ip(1)), [0]);
    cluster.nodes[0].up.remove(&ip(1));
    the_first_lets_go(&mut cluster);
    assert_eq!(cluster.holders(ip(1)).len(), 1);
    cluster.sound();
}

#[test]
fn who_is_lost_while_it_takes_something_off_is_waited_for() {
    let mut cluster = cluster();
    cluster.nodes[0].stuck = true;
    cluster.split(&[vec![0], vec![1], vec![2]]);
    cluster.together();
    cluster.split(&[vec![0], vec![1, 2]]);
    cluster.pass(lease() - Duration::from_millis(1));
    assert_eq!(cluster.holders(ip(1)), [0]);
    cluster.nodes[0].up.clear();
    cluster.pass(Duration::from_millis(2));
    assert_eq!(cluster.holders(ip(1)).len(), 1);
}

#[test]
fn another_form_of_a_set_is_held_only_when_the_old_form_is_off() {
    let mut cluster = cluster();
    let new = in_another_form();
    let key = new.sets[0].set.key();
    // What is listed otherwise at its holder goes to another, and that takes time; meanwhile the others learn of the new list.
    cluster.nodes[0].stuck = true;
    for at in 0..3 {
        reload(&mut cluster, at, key, &new);
        cluster.run();
        cluster.pass(Duration::from_millis(10));
        assert_eq!(cluster.holders(ip(1)), [0], "after {} machines", at + 1);
    }
    the_first_lets_go(&mut cluster);
    assert_eq!((cluster.holders(ip(1)).len(), cluster.holders(ip(60)).len()), (1, 1));
}

#[test]
fn what_is_listed_only_after_its_holder_was_lost_is_waited_for() {
    let mut cluster = cluster();
    let mut new = settings(3);
    new.sets.push(vip::settings::Listed { quorum: true, ..listed(&[50]) });
    let key = listed(&[50]).set.key();
    let learn = |cluster: &mut Cluster, at: usize| {
        reload(cluster, at, key, &new);
        cluster.run();
        cluster.pass(Duration::from_millis(10));
    };
    learn(&mut cluster, 2);
    assert_eq!(cluster.holders(ip(50)), [2]);
    cluster.split(&[vec![0, 1], vec![2]]);
    cluster.nodes[2].up.insert(ip(50)); // Its kernel still has it.
    learn(&mut cluster, 0);
    cluster.pass(lease() - Duration::from_millis(20));
    assert_eq!(cluster.holders(ip(50)), [2]);
    cluster.pass(Duration::from_millis(20));
    assert_eq!(cluster.holders(ip(50)), [0, 2]);
}

#[test]
fn a_lost_holder_that_is_back_and_has_nothing_is_not_waited_for() {
    let mut cluster = cluster();
    // All fall apart for a moment: each remembers what the others had, and takes off what it had itself.
    cluster.split(&[vec![0], vec![1], vec![2]]);
    assert_eq!(cluster.counts(), [0, 0, 0]);
    cluster.pass(Duration::from_millis(100));
    cluster.together();
    assert_eq!(cluster.counts(), [1, 1, 0]);
    cluster.sound();
    // Of two that are gone, one that comes back says nothing of the other.
    cluster.split(&[vec![0], vec![1, 2]]);
    cluster.split(&[vec![0], vec![1], vec![2]]);
    cluster.split(&[vec![0], vec![1, 2]]);
    cluster.pass(lease() - Duration::from_millis(10));
    assert_eq!(cluster.holders(ip(1)), []);
}

#[test]
fn the_new_form_of_a_set_does_not_move_on_before_the_old_one_is_off() {
    let mut cluster = cluster();
    let new = in_another_form();
    let key = new.sets[0].set.key();
    for at in [1, 2, 0] {
        cluster.nodes[0].stuck = at == 0;
        reload(&mut cluster, at, key, &new);
        cluster.run();
        cluster.pass(Duration::from_millis(10));
        assert_eq!(cluster.holders(ip(1)), [0]);
    }
    cluster.nodes[0].vip.order("m1", vip::Order::Drain).unwrap();
    cluster.pass(Duration::from_millis(10));
    assert_eq!(cluster.holders(ip(1)), [0]);
    // The old form is off, and then the new one, which goes on to a machine that is not drained.
    the_first_lets_go(&mut cluster);
    assert_eq!(cluster.holders(ip(60)).len(), 1);
    assert_ne!(cluster.holders(ip(60)), [0]);
}

#[test]
fn who_is_drained_gives_the_form_that_nobody_else_lists_to_another_form_and_two_never_have_it() {
    let mut cluster = cluster();
    let new = in_another_form();
    let key = new.sets[0].set.key();
    for at in [1, 2] {
        reload(&mut cluster, at, key, &new);
        cluster.run();
    }
    assert_eq!(cluster.holders(ip(1)), [0]);
    cluster.nodes[0].stuck = true;
    cluster.nodes[0].vip.order("m1", vip::Order::Drain).unwrap();
    cluster.pass(Duration::from_millis(10));
    assert_eq!((cluster.holders(ip(1)), cluster.holders(ip(60))), (vec![0], vec![]));
    the_first_lets_go(&mut cluster);
    assert_eq!(cluster.holders(ip(60)).len(), 1);
    assert_ne!(cluster.holders(ip(60)), [0]);
}

#[test]
fn a_wait_for_majorities_that_nobody_knows_of_goes_on_in_the_next_view() {
    let mut cluster = cluster();
    restart_the_second_after_a_majority(&mut cluster);
    let begin = cluster.now;
    cluster.split(&[vec![0], vec![1, 2]]);
    cluster.pass(MATURE.min(lease()) / 2);
    // They meet once more, and both know of their last majority.
    cluster.split(&[vec![1], vec![2]]);
    cluster.split(&[vec![1, 2]]);
    cluster.pass(lease() - Duration::from_millis(10) - cluster.now.since(begin));
    assert_eq!(cluster.counts()[1..].iter().sum::<usize>(), 0);
    cluster.pass(MATURE);
    assert_eq!(cluster.counts()[1..].iter().sum::<usize>(), 2);
}

#[test]
fn who_only_heard_of_a_lost_holder_remembers_it_too() {
    let mut cluster = Cluster::new(4, &settings(4));
    cluster.together();
    cluster.pass(MATURE + lease());
    assert_eq!(cluster.counts(), [1, 1, 0, 0]);
    // The fourth is away when the first is lost, and hears of it from the second, which goes then.
    cluster.split(&[vec![0, 1, 2], vec![3]]);
    cluster.pass(Duration::from_secs(20));
    cluster.split(&[vec![0], vec![1, 2], vec![3]]);
    cluster.nodes[0].up.insert(ip(1)); // Its kernel still has it.
    cluster.split(&[vec![0], vec![1, 2, 3]]);
    cluster.split(&[vec![0], vec![1], vec![2], vec![3]]);
    cluster.revive(1);
    cluster.split(&[vec![0], vec![1, 2, 3]]);
    cluster.pass(lease() - Duration::from_millis(10));
    assert_eq!(cluster.holders(ip(1)), [0]);
    cluster.pass(MATURE);
    assert_eq!(cluster.holders(ip(1)).len(), 2);
}

#[test]
fn a_set_that_comes_under_quorum_within_a_view_stays_where_it_is() {
    let mut cluster = Cluster::new(3, &singles(2));
    cluster.together();
    cluster.pass(MATURE);
    assert_eq!(cluster.counts(), [1, 1, 0]);
    cluster.never_away = [ip(1), ip(2)].into();
    for at in 0..3 {
        let now = cluster.now;
        cluster.nodes[at].vip.reload(now, settings(3));
        cluster.pass(Duration::from_secs(5));
        assert_eq!(cluster.status(0).majority, Some(true));
    }
    cluster.agree();
    // And as it is now, it is held by a majority only.
    cluster.never_away.clear();
    cluster.split(&[vec![0], vec![1, 2]]);
    assert_eq!(cluster.counts(), [0, 1, 0]);
}

#[test]
fn a_set_that_comes_from_under_quorum_within_a_view_stays_where_it_is() {
    let mut cluster = cluster();
    cluster.never_away = [ip(1), ip(2)].into();
    for at in 0..3 {
        let now = cluster.now;
        cluster.nodes[at].vip.reload(now, singles(2));
        cluster.pass(Duration::from_secs(5));
    }
    cluster.agree();
    cluster.never_away.clear();
    cluster.split(&[vec![0], vec![1, 2]]);
    assert_eq!(cluster.counts()[0], 2);
}

#[test]
fn a_list_that_grows_while_the_machines_are_apart_takes_the_majority_from_the_smaller_part() {
    let mut cluster = Cluster::new(5, &settings(3));
    cluster.split(&[vec![0, 1], vec![2, 3, 4]]);
    cluster.pass(MATURE + lease());
    assert_eq!(cluster.counts(), [1, 1, 0, 0, 0]);
    cluster.most = 0;
    for at in 0..5 {
        let now = cluster.now;
        cluster.nodes[at].vip.reload(now, settings(5));
    }
    cluster.run();
    assert_eq!(cluster.counts(), [0, 0, 0, 0, 0], "the others wait for the longest lease");
    cluster.pass(lease() + Duration::from_millis(1));
    assert_eq!(cluster.counts(), [0, 0, 1, 1, 0]);
    assert_eq!(cluster.most, 1);
}

#[test]
fn what_a_silent_machine_may_have_is_waited_for_by_those_that_never_heard_it() {
    let mut cluster = Cluster::new(4, &settings(4));
    cluster.together();
    cluster.pass(MATURE + lease());
    assert_eq!(cluster.counts(), [1, 1, 0, 0]);
    // One hangs, and another is started again: that one has never heard it.
    cluster.nodes[1].dead = true;
    cluster.split(&[vec![1, 2, 3]]);
    cluster.revive(0);
    cluster.nodes[0].up.clear();
    cluster.announce_views(&[vec![0, 1, 2, 3]]);
    let began = cluster.now;
    while !cluster.status(2).members.iter().any(|member| member.silent) {
        cluster.pass(Duration::from_millis(10));
        assert!(cluster.now.since(began) < Duration::from_secs(10), "it is left out");
    }
    cluster.pass(lease() - Duration::from_millis(20));
    assert_eq!(cluster.holders(ip(2)), [], "its lease may not have run out");
    cluster.nodes[1].up.clear();
    cluster.pass(Duration::from_millis(40));
    assert_eq!(cluster.holders(ip(2)).len(), 1);
}

#[test]
fn who_can_have_what_was_taken_away_waits_until_it_is_off() {
    let mut cluster = cluster();
    cluster.nodes[1].stuck = true;
    let (now, key) = (cluster.now, listed(&[2]).set.key());
    for at in [0, 2] {
        cluster.nodes[at].vip.handle_able(now, key, false, false);
    }
    cluster.run();
    let strict = Settings { keep_unhealthy: false, ..settings(3) };
    cluster.nodes[1].vip.reload(now, strict);
    cluster.nodes[1].vip.handle_health(now, false);
    cluster.run();
    assert_eq!(cluster.nodes[1].done.last().unwrap(), "would remove 10.0.0.2 unhealthy");
    cluster.most = 0;
    cluster.nodes[2].vip.handle_able(now, key, true, false);
    cluster.pass(Duration::from_secs(8));
    assert_eq!((cluster.holders(ip(2)), cluster.most), (vec![1], 1));
    cluster.nodes[1].stuck = false;
    cluster.nodes[1].up.clear();
    cluster.nodes[1].vip.handle_removed(cluster.now, key);
    cluster.run();
    assert_eq!((cluster.holders(ip(2)), cluster.most), (vec![2], 1));
}

#[test]
fn a_release_may_take_as_long_as_a_hook_does() {
    let mut cluster = cluster();
    cluster.nodes[0].stuck = true;
    cluster.nodes[0].vip.order("m1", vip::Order::Drain).unwrap();
    cluster.pass(Duration::from_secs(30));
    let given_up = |event: &vip::Event| matches!(event, vip::Event::GivenUp { .. });
    assert!(!cluster.nodes.iter().any(|node| node.events.iter().any(given_up)));
    cluster.nodes[0].up.clear();
    the_first_lets_go(&mut cluster);
    assert_eq!(cluster.counts(), [0, 1, 1]);
}

#[test]
fn every_word_is_safe_where_sets_are_under_quorum() {
    for (settings, service) in
        [(settings(1), vip::Service::Safe), (singles(2), vip::Service::Agreed)]
    {
        let mut cluster = Cluster::new(1, &settings);
        cluster.announce_views(&[vec![0]]);
        let state = cluster.nodes[0].vip.poll_transmit().unwrap();
        assert_eq!(state.service, service);
    }
}

#[test]
fn what_is_not_listed_any_more_stays_under_quorum_until_it_is_off() {
    let mut cluster = cluster();
    let key = listed(&[1]).set.key();
    cluster.nodes[0].stuck = true;
    let mut new = settings(3);
    new.sets.remove(0);
    cluster.nodes[0].vip.reload(cluster.now, new);
    cluster.run();
    cluster.split(&[vec![0], vec![1, 2]]);
    assert!(cluster.nodes[0].vip.is_under_quorum(key), "it is not renewed without a majority");
    let now = cluster.now;
    cluster.nodes[0].vip.handle_removed(now, key);
    cluster.run();
    assert_eq!(cluster.status(0).sets.iter().filter(|set| set.key == key && set.here).count(), 0);
}

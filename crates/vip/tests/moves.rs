//! Moves: make before break, drain, health, leaving, merges, machines that say nothing.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{Cluster, ip, listed, singles};
use vip::{After, Order, Settings};

const MATURE: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(4);

fn cluster(count: usize, settings: &Settings) -> Cluster {
    let mut cluster = Cluster::new(count, settings);
    cluster.together();
    cluster.pass(MATURE);
    cluster.sound();
    cluster.nodes.iter_mut().for_each(|node| node.done.clear());
    cluster
}

fn all(count: u8) -> BTreeSet<std::net::IpAddr> {
    (1..=count).map(ip).collect()
}

#[test]
fn a_planned_move_is_add_then_remove_then_announce_again() {
    let mut cluster = cluster(2, &singles(1));
    cluster.never_away = all(1);
    cluster.nodes[0].vip.order("m1", Order::Drain).unwrap();
    cluster.run();
    assert_eq!(cluster.nodes[0].done, ["remove 10.0.0.1 drain"]);
    assert_eq!(cluster.nodes[1].done, ["add 10.0.0.1 drain", "announce 10.0.0.1"]);
    assert_eq!(cluster.nodes[1].afters, [(ip(1), After::Asked)]);
    assert_eq!(cluster.most, 2);
    cluster.sound();
}

#[test]
fn a_drained_machine_holds_nothing_until_it_is_undrained() {
    let mut cluster = cluster(3, &singles(6));
    cluster.never_away = all(6);
    cluster.nodes[2].vip.order("m1", Order::Drain).unwrap();
    cluster.run();
    assert_eq!(cluster.counts(), [0, 3, 3]);
    cluster.pass(ROUND * 3);
    assert_eq!(cluster.counts(), [0, 3, 3]);
    cluster.nodes[2].vip.order("m1", Order::Undrain).unwrap();
    cluster.pass(ROUND * 2);
    assert_eq!(cluster.counts(), [2, 2, 2]);
}

#[test]
fn a_machine_that_was_drained_before_its_program_began_takes_nothing() {
    let mut cluster = cluster(2, &singles(6));
    let at = cluster.add(singles(6));
    cluster.nodes[at].vip.begin_drained();
    let now = cluster.now;
    cluster.nodes[at].vip.handle_keeps(now, true);
    cluster.together();
    cluster.pass(ROUND * 3);
    assert_eq!(cluster.counts(), [3, 3, 0]);
    assert!(cluster.nodes[at].done.is_empty(), "{:?}", cluster.nodes[at].done);
    let seen = cluster.status(0).members.into_iter().map(|one| (one.drained, one.keeps));
    assert_eq!(seen.collect::<Vec<_>>(), [(false, false), (false, false), (true, true)]);
    cluster.nodes[0].vip.order("m3", Order::Undrain).unwrap();
    cluster.pass(ROUND * 2);
    assert_eq!(cluster.counts(), [2, 2, 2]);
    assert!(!cluster.nodes[at].vip.is_drained());
    cluster.sound();
}

#[test]
fn drained_machines_hold_what_nobody_else_can() {
    let mut cluster = cluster(2, &singles(2));
    cluster.never_away = all(2);
    for machine in ["m1", "m2"] {
        cluster.nodes[0].vip.order(machine, Order::Drain).unwrap();
        cluster.run();
    }
    assert_eq!(cluster.counts(), [0, 2]);
    cluster.never_away.clear();
    cluster.kill(1);
    assert_eq!(cluster.counts(), [2, 0]);
}

#[test]
fn an_unhealthy_machine_gives_its_sets_away_unless_all_are() {
    let mut cluster = cluster(3, &singles(6));
    cluster.never_away = all(6);
    for (at, counts) in [(0, [0, 3, 3]), (1, [0, 0, 6]), (2, [0, 0, 6])] {
        cluster.nodes[at].vip.handle_health(cluster.now, false);
        cluster.run();
        assert_eq!(cluster.counts(), counts);
    }
    cluster.nodes[0].vip.handle_health(cluster.now, true);
    cluster.run();
    assert_eq!(cluster.counts(), [6, 0, 0]);
}

#[test]
fn unhealthy_machines_hold_nothing_where_that_is_wanted() {
    let mut cluster = cluster(2, &Settings { keep_unhealthy: false, ..singles(2) });
    for at in 0..2 {
        cluster.nodes[at].vip.handle_health(cluster.now, false);
    }
    cluster.run();
    assert_eq!(cluster.counts(), [0, 0]);
    cluster.nodes[1].vip.handle_health(cluster.now, true);
    cluster.run();
    assert_eq!(cluster.counts(), [0, 2]);
}

#[test]
fn a_machine_that_leaves_gives_everything_away_first() {
    let mut cluster = cluster(3, &singles(6));
    cluster.never_away = all(6);
    cluster.nodes[1].vip.leave(cluster.now, None);
    assert!(cluster.nodes[1].vip.is_leaving_in_order());
    cluster.run();
    assert_eq!(cluster.counts(), [3, 0, 3]);
    assert!(!cluster.nodes[1].vip.is_leaving_in_order());
    cluster.kill(1);
    cluster.sound();
}

#[test]
fn the_last_machine_has_nobody_to_wait_for_when_it_leaves() {
    let mut cluster = cluster(1, &singles(2));
    cluster.nodes[0].vip.leave(cluster.now, None);
    cluster.run();
    assert!(!cluster.nodes[0].vip.is_leaving_in_order());
    assert_eq!(cluster.counts(), [2]);
    cluster.nodes[0].vip.abandon(cluster.now);
    cluster.run();
    assert_eq!(cluster.counts(), [0]);
}

#[test]
fn a_machine_that_will_be_back_is_waited_for_with_balancing() {
    let mut cluster = cluster(3, &singles(6));
    cluster.nodes[0].vip.leave(cluster.now, Some(Duration::from_secs(60)));
    cluster.run();
    cluster.kill(0);
    let extra = cluster.add(singles(6));
    cluster.together();
    cluster.pass(Duration::from_secs(30));
    assert_eq!(cluster.nodes[extra].up.len(), 0);
    cluster.revive(0);
    cluster.together();
    cluster.pass(Duration::from_secs(20));
    let mut counts = cluster.counts();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 2, 2]);
}

#[test]
fn parts_hold_everything_each_and_settle_at_once_when_they_meet() {
    for halves in [[vec![0, 1], vec![2, 3]], [vec![0], vec![1, 2, 3]], [vec![0, 2], vec![1, 3]]] {
        let mut cluster = cluster(4, &singles(8));
        cluster.split(&halves);
        cluster.sound();
        cluster.never_away = all(8);
        cluster.together();
        cluster.sound();
        assert_eq!(cluster.counts(), [2, 2, 2, 2], "after {halves:?}");
        // Who stays announces, then the other lets go, then it is announced again.
        let done: Vec<&String> = cluster.nodes.iter().flat_map(|node| &node.done).collect();
        let count = |what: &str| done.iter().filter(|one| one.ends_with(what)).count();
        assert!(count("conflict") >= 16, "{done:?}");
    }
}

#[test]
fn views_may_change_at_every_moment_of_a_merge_and_of_a_move() {
    for after in 0..40 {
        let mut cluster = cluster(4, &singles(8));
        cluster.split(&[vec![0, 1], vec![2, 3]]);
        cluster.announce_views(&[vec![0, 1, 2, 3]]);
        for _ in 0..after {
            cluster.step();
        }
        cluster.split(&[vec![0, 2, 3], vec![1]]);
        cluster.sound();
        cluster.announce_views(&[vec![0, 1, 2, 3]]);
        for _ in 0..after {
            cluster.step();
        }
        cluster.kill(2);
        cluster.pass(ROUND * 3);
        cluster.sound();
    }
}

#[test]
fn a_machine_may_die_at_every_moment_of_a_drain() {
    for after in 0..12 {
        for dies in 0..3 {
            let mut cluster = cluster(3, &singles(3));
            cluster.nodes[0].vip.order("m1", Order::Drain).unwrap();
            for _ in 0..after {
                cluster.step();
            }
            cluster.kill(dies);
            cluster.pass(ROUND * 2);
            cluster.sound();
        }
    }
}

#[test]
fn a_carrier_that_is_lost_lets_go_at_once_and_others_take_over() {
    let mut cluster = cluster(2, &singles(2));
    let keys: Vec<_> = cluster.nodes[0].settings.sets.iter().map(|one| one.set.key()).collect();
    for key in &keys {
        cluster.nodes[0].vip.handle_able(cluster.now, *key, false, false);
    }
    cluster.run();
    assert_eq!(cluster.counts(), [0, 2]);
    cluster.agree();
    // Alone on its side, and the carrier is back: it waits a little, in case the others are still there.
    cluster.split(&[vec![0], vec![1]]);
    for key in &keys {
        cluster.nodes[0].vip.handle_able(cluster.now, *key, true, true);
    }
    // The interfaces are looked at once more, for whatever reason.
    let again = keys.iter().map(|key| (*key, true, false));
    let now = cluster.now;
    cluster.nodes[0].vip.handle_all_able(now, again);
    cluster.run();
    assert_eq!(cluster.counts(), [0, 2]);
    cluster.together();
    cluster.run();
    assert_eq!(cluster.counts(), [0, 2]);
    cluster.split(&[vec![0], vec![1]]);
    assert_eq!(cluster.counts(), [2, 2]);
}

#[test]
fn a_member_that_says_nothing_holds_nobody_up_for_long() {
    let mut cluster = cluster(3, &singles(3));
    // A client that only looks on, and a machine that hangs.
    let silent = cluster.add(Settings::default());
    cluster.nodes[silent].dead = true;
    cluster.announce_views(&[vec![0, 1, 2, 3]]);
    cluster.run();
    cluster.pass(Duration::from_secs(2));
    assert!(cluster.status(0).members[3].silent);
    // The next change is not held up any more.
    cluster.nodes[1].dead = true;
    cluster.nodes[1].up.clear();
    cluster.announce_views(&[vec![0, 2, 3]]);
    cluster.run();
    assert_eq!(cluster.counts(), [2, 0, 1, 0]);
}

#[test]
fn a_machine_that_hangs_is_left_out_after_its_lease_and_let_in_when_it_speaks() {
    let mut cluster = cluster(3, &singles(3));
    cluster.nodes[2].dead = true;
    cluster.pass(Duration::from_secs(3));
    assert_eq!(cluster.counts(), [1, 1, 1]);
    cluster.nodes[2].up.clear(); // Its leases have run out.
    cluster.pass(Duration::from_secs(4));
    assert_eq!(cluster.counts()[..2], [2, 1]);
    assert!(cluster.status(0).members[2].silent);
    // It goes on, and reads all that was said meanwhile, its exclusion with it.
    cluster.wake(2);
    assert!(cluster.nodes[2].done.contains(&"rejoin".to_owned()));
    assert_eq!(cluster.counts(), [2, 1, 0], "what others have by now is let go at once");
    cluster.rejoin();
    cluster.pass(ROUND * 2);
    assert!(cluster.status(0).members.iter().all(|member| !member.silent));
    assert_eq!(cluster.counts(), [1, 1, 1]);
    cluster.sound();
}

#[test]
fn without_the_bus_everything_is_let_go_and_maturity_begins_anew() {
    let mut cluster = cluster(1, &singles(2));
    cluster.nodes[0].vip.handle_lost(cluster.now);
    cluster.parts.clear();
    cluster.run();
    assert_eq!(cluster.counts(), [0]);
    assert_eq!(cluster.nodes[0].done, ["remove 10.0.0.1 bus-lost", "remove 10.0.0.2 bus-lost"]);
    cluster.nodes[0].vip.handle_connected(cluster.now);
    cluster.together();
    assert_eq!(cluster.counts(), [0]);
    cluster.pass(MATURE);
    assert_eq!(cluster.counts(), [2]);
}

#[test]
fn beside_the_original_a_machine_stays_immature() {
    let mut cluster = Cluster::new(1, &singles(2));
    let original = cluster.add(Settings::default());
    cluster.nodes[original].dead = true;
    let name = cluster.nodes[original].name.clone();
    cluster.announce_views(&[vec![0, 1]]);
    let state = [0_u8; 32];
    cluster.nodes[0].vip.handle_message(cluster.now, &name, 1, &state);
    cluster.pass(MATURE * 3);
    assert_eq!(cluster.counts(), [0, 0]);
    // When it goes, the time begins.
    cluster.split(&[vec![0]]);
    cluster.pass(MATURE - Duration::from_millis(1));
    assert_eq!(cluster.counts(), [0, 0]);
    cluster.pass(Duration::from_millis(2));
    assert_eq!(cluster.counts(), [2, 0]);
}

#[test]
fn a_loser_that_could_not_add_what_it_is_to_release_has_released_it() {
    let mut cluster = Cluster::new(2, &singles(1));
    cluster.split(&[vec![0], vec![1]]);
    cluster.pass(Duration::from_secs(5));
    // Both have it; the loser is told to let go, and learns then that an addition before that came to nothing.
    cluster.nodes[1].stuck = true;
    cluster.together();
    let (now, key) = (cluster.now, listed(&[1]).set.key());
    cluster.nodes[1].up.clear();
    cluster.nodes[1].vip.handle_failed(now, key);
    cluster.nodes[1].vip.handle_removed(now, key);
    cluster.run();
    assert_eq!(cluster.status(0).sets[0].moving_to, None);
    cluster.sound();
}

/// Seed 568189 of the simulated histories: two others had it all the time.
#[test]
fn a_winner_that_learns_before_the_table_that_it_has_nothing_says_so_after() {
    let mut cluster = Cluster::new(3, &singles(1));
    cluster.split(&[vec![0], vec![1], vec![2]]);
    cluster.pass(Duration::from_secs(5));
    cluster.announce_views(&[vec![0, 1, 2]]);
    // What it has said of itself in this view is under way, and says that it has it.
    let (now, key) = (cluster.now, listed(&[1]).set.key());
    cluster.nodes[0].refuses.insert(ip(1));
    cluster.nodes[0].up.clear();
    cluster.nodes[0].vip.handle_failed(now, key);
    cluster.run();
    assert_eq!(cluster.holders(ip(1)).len(), 1);
    cluster.sound();
}

#[test]
fn a_winner_whose_interface_goes_at_any_moment_of_a_merge_leaves_the_set_to_one_other() {
    for after in 0..14 {
        for loses in 0..3 {
            let mut cluster = Cluster::new(4, &singles(1));
            cluster.split(&[vec![0], vec![1], vec![2], vec![3]]);
            cluster.pass(MATURE);
            cluster.nodes[loses].hangs = true;
            cluster.announce_views(&[vec![0, 1, 2, 3]]);
            for _ in 0..after {
                cluster.step();
            }
            let (now, key) = (cluster.now, listed(&[1]).set.key());
            cluster.nodes[loses].refuses.insert(ip(1));
            cluster.nodes[loses].vip.handle_able(now, key, false, false);
            cluster.pass(Duration::from_secs(1));
            assert_eq!(cluster.holders(ip(1)).len(), 1, "m{} after {after}", loses + 1);
            cluster.sound();
        }
    }
}

#[test]
fn a_move_that_is_given_up_takes_the_next_attempt_not_with_it() {
    let mut cluster = cluster(3, &singles(1));
    cluster.nodes[1].hangs = true;
    cluster.nodes[0].vip.order("m1", Order::Drain).unwrap();
    cluster.run();
    assert_eq!(cluster.nodes[1].done, ["would add 10.0.0.1 drain"]);
    // The first says that it takes too long, and is called again before it has heard that itself.
    cluster.pass(Duration::from_millis(4_900));
    cluster.now += Duration::from_millis(900);
    let now = cluster.now;
    cluster.nodes[0].vip.handle_timeout(now);
    cluster.nodes[0].vip.handle_timeout(now + Duration::from_millis(1));
    cluster.run();
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.holders(ip(1)), [2]);
    let given_up = |at: usize| {
        let events = cluster.nodes[at].events.iter();
        events.filter(|event| matches!(event, vip::Event::GivenUp { .. })).count()
    };
    assert_eq!([given_up(0), given_up(1), given_up(2)], [1, 1, 1]);
    // It is tried again after a while.
    cluster.nodes[1].hangs = false;
    cluster.pass(Duration::from_secs(11));
    cluster.kill(2);
    cluster.run();
    assert_eq!(cluster.holders(ip(1)), [1]);
}

#[test]
fn what_an_operator_moved_and_another_took_is_his_no_more() {
    let mut cluster = cluster(2, &singles(2));
    cluster.nodes[0].vip.order("m1", Order::Take(ip(2))).unwrap();
    cluster.run();
    assert!(cluster.status(0).sets.iter().any(|set| set.pinned));
    cluster.nodes[0].vip.order("m1", Order::Drain).unwrap();
    cluster.run();
    cluster.nodes[0].vip.order("m1", Order::Undrain).unwrap();
    cluster.pass(ROUND * 4);
    cluster.split(&[vec![0], vec![1]]);
    cluster.together();
    assert!(cluster.status(0).sets.iter().all(|set| !set.pinned));
    cluster.sound();
}

#[test]
fn any_number_of_strangers_that_come_and_go_leaves_a_machine_able_to_speak() {
    let mut cluster = cluster(1, &singles(1));
    for stranger in 0..1_100_u32 {
        let mut id = [1; 12];
        id[4..8].copy_from_slice(&stranger.to_le_bytes());
        let members = vec![cluster.nodes[0].name.clone(), format!("#look#{stranger}")];
        let (now, view) = (cluster.now, vip::View { id: vip::ViewId(id), members, me: 0 });
        cluster.nodes[0].vip.handle_view(now, view);
        cluster.run();
        cluster.pass(Duration::from_millis(1_100));
        assert_eq!(cluster.status(0).stage, vip::status::Stage::Running, "after {stranger}");
    }
    assert_eq!(cluster.counts(), [1]);
}

#[test]
fn when_all_stand_still_together_the_first_that_goes_on_leaves_nobody_out() {
    let mut cluster = cluster(3, &singles(3));
    // The host of all of them pauses.
    cluster.now += Duration::from_secs(20);
    for at in 0..3 {
        let now = cluster.now;
        cluster.nodes[at].vip.handle_timeout(now);
        cluster.run();
    }
    cluster.pass(Duration::from_secs(10));
    assert_eq!(cluster.counts(), [1, 1, 1]);
    assert!(cluster.status(0).members.iter().all(|member| !member.silent));
    // One that says nothing after it as well is left out as ever.
    cluster.nodes[2].dead = true;
    cluster.nodes[2].up.clear();
    cluster.pass(Duration::from_secs(7));
    assert!(cluster.status(0).members[2].silent);
    assert_eq!(cluster.counts()[..2], [2, 1]);
}

#[test]
fn both_sides_of_a_move_know_each_other_until_the_release() {
    let mut cluster = cluster(2, &singles(1));
    assert_eq!(cluster.counts(), [1, 0]);
    let mut seen = [Vec::new(), Vec::new()];
    cluster.nodes[0].vip.order("m1", Order::Drain).unwrap();
    while cluster.step() {
        for (at, seen) in seen.iter_mut().enumerate() {
            let moves: Vec<_> = cluster.nodes[at].vip.moves_here().collect();
            assert!(moves.iter().all(|one| one.other == 1 - at), "{moves:?}");
            let gone: Vec<bool> = moves.iter().map(|one| one.gone).collect();
            if seen.last() != Some(&gone) {
                seen.push(gone);
            }
        }
    }
    // Nothing moves, it moves, and at the old owner's it has gone before it is released.
    let [of_old, of_new] = seen;
    assert_eq!(of_old, [vec![], vec![false], vec![true], vec![]]);
    assert_eq!(of_new, [vec![], vec![false], vec![]]);
}

/// The moves that a machine has to do with: the other's place, whether it has gone away, and whether that was planned in this view.
fn moves(cluster: &Cluster, at: usize) -> Vec<(usize, bool, bool)> {
    let all = cluster.nodes[at].vip.moves_here();
    all.map(|one| (one.other, one.gone, one.planned)).collect()
}

#[test]
fn what_is_still_to_be_released_when_the_view_changes_moves_on_in_the_next() {
    let mut cluster = cluster(3, &singles(1));
    cluster.nodes[0].stuck = true;
    cluster.nodes[0].vip.order("m1", Order::Drain).unwrap();
    cluster.run();
    assert_eq!(cluster.holders(ip(1)), [0, 1]);
    let seen = |cluster: &Cluster| [moves(cluster, 0), moves(cluster, 1)];
    assert_eq!(seen(&cluster), [vec![(1, true, true)], vec![(0, false, true)]]);
    cluster.nodes[2].dead = true;
    cluster.announce_views(&[vec![0, 1]]);
    assert!(cluster.nodes[0].vip.is_gathering());
    assert_eq!(seen(&cluster), [vec![], vec![]]);
    cluster.run();
    assert!(!cluster.nodes[0].vip.is_gathering());
    assert_eq!(seen(&cluster), [vec![(1, true, false)], vec![(0, false, false)]]);
    assert_eq!(cluster.nodes[0].vip.returning().count(), 0);
    // Until the word that it is off.
    cluster.nodes[0].up.clear();
    let now = cluster.now;
    cluster.nodes[0].vip.handle_removed(now, listed(&[1]).set.key());
    cluster.run();
    assert_eq!(seen(&cluster), [vec![], vec![]]);
    assert_eq!(cluster.holders(ip(1)), [1]);
}

#[test]
fn what_is_still_to_be_released_is_had_again_when_the_new_owner_dies() {
    let mut cluster = cluster(2, &singles(1));
    let key = listed(&[1]).set.key();
    cluster.nodes[0].stuck = true;
    cluster.nodes[0].vip.order("m1", Order::Drain).unwrap();
    cluster.run();
    assert_eq!(cluster.nodes[0].vip.returning().count(), 0);
    cluster.kill(1);
    assert_eq!(cluster.nodes[0].vip.returning().collect::<Vec<_>>(), [key]);
    assert!(moves(&cluster, 0).is_empty());
    // All that it waits for is the word that it is off.
    cluster.nodes[0].done.clear();
    let now = cluster.now;
    cluster.nodes[0].vip.handle_removed(now, key);
    cluster.run();
    assert_eq!(cluster.nodes[0].vip.returning().count(), 0);
    assert!(cluster.nodes[0].done[0].starts_with("add 10.0.0.1 "), "{:?}", cluster.nodes[0].done);
    cluster.sound();
}

#[test]
fn whoever_is_upgraded_has_everything_when_the_last_other_dies_meanwhile() {
    let mut cluster = Cluster::new(2, &singles(4));
    cluster.together();
    cluster.pass(Duration::from_secs(5));
    let now = cluster.now;
    cluster.nodes[0].vip.leave(now, Some(Duration::from_secs(60)));
    cluster.run();
    assert_eq!(cluster.counts(), [0, 4]);
    cluster.kill(1);
    cluster.run();
    assert_eq!(cluster.counts()[0], 4);
    assert!(!cluster.nodes[0].vip.is_leaving_in_order(), "what is here stays for the next image");
    // One that only stops takes nothing any more.
    let mut cluster = Cluster::new(2, &singles(4));
    cluster.together();
    cluster.pass(Duration::from_secs(5));
    let now = cluster.now;
    cluster.nodes[0].vip.leave(now, None);
    cluster.run();
    cluster.kill(1);
    cluster.run();
    assert_eq!(cluster.counts()[0], 0);
}

#[test]
fn of_two_that_are_upgraded_at_once_none_takes_what_the_other_keeps_for_its_next_image() {
    let mut cluster = Cluster::new(2, &singles(4));
    cluster.together();
    cluster.pass(Duration::from_secs(5));
    let now = cluster.now;
    for node in &mut cluster.nodes {
        node.vip.leave(now, Some(Duration::from_secs(60)));
    }
    cluster.run();
    let before = cluster.counts();
    assert_eq!(before.iter().sum::<usize>(), 4);
    cluster.split(&[vec![0], vec![1]]);
    assert_eq!(cluster.counts(), before);
}

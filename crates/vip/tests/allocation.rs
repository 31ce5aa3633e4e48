//! Who gets what: maturity, take-over, an even share, preferences, capacity, contradictions.

mod support;

use std::time::Duration;

use support::{Cluster, ip, listed, singles};
use vip::settings::PerRound;
use vip::status::Stage;
use vip::{After, Event, Order, Reason, Settings};

const MATURE: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(4);

/// All machines together and mature.
fn cluster(count: usize, settings: &Settings) -> Cluster {
    let mut cluster = Cluster::new(count, settings);
    cluster.together();
    cluster.pass(MATURE);
    cluster.sound();
    cluster
}

#[test]
fn a_cluster_that_starts_takes_nothing_before_it_is_mature() {
    let mut cluster = Cluster::new(3, &singles(6));
    cluster.together();
    cluster.pass(MATURE - Duration::from_millis(1));
    assert_eq!(cluster.counts(), [0, 0, 0]);
    assert_eq!(cluster.status(0).stage, Stage::Immature);
    cluster.pass(Duration::from_millis(1));
    assert_eq!(cluster.counts(), [2, 2, 2]);
    cluster.sound();
}

#[test]
fn a_machine_that_joins_a_running_cluster_is_mature_at_once_and_gets_its_share_in_a_round() {
    let mut cluster = cluster(2, &singles(6));
    assert_eq!(cluster.counts(), [3, 3]);
    cluster.never_away = (1..=6).map(ip).collect();
    let new = cluster.add(singles(6));
    cluster.together();
    assert_eq!(cluster.status(new).stage, Stage::Running);
    assert_eq!(cluster.counts(), [3, 3, 0]);
    cluster.pass(ROUND);
    assert_eq!(cluster.counts(), [2, 2, 2]);
    cluster.sound();
}

#[test]
fn a_lost_machine_s_sets_are_taken_at_once_and_the_others_stay_where_they_are() {
    let mut cluster = cluster(3, &singles(6));
    let kept: Vec<_> = cluster.nodes[1].up.iter().copied().collect();
    cluster.kill(0);
    assert_eq!(cluster.counts(), [0, 3, 3]);
    assert!(kept.iter().all(|one| cluster.nodes[1].up.contains(one)));
    cluster.sound();
    let lease = Settings::default().lease();
    let lost = cluster.nodes[1].afters.last().copied().unwrap();
    assert_eq!(lost, (ip(1), After::Lost { until: cluster.now + lease }));
}

#[test]
fn n_minus_one_machines_may_die() {
    for (machines, addresses) in [(2, 1), (3, 10), (6, 6), (10, 3)] {
        let mut cluster = cluster(machines, &singles(addresses));
        for at in 0..machines - 1 {
            cluster.kill(at);
            cluster.sound();
        }
        assert_eq!(cluster.counts().iter().sum::<usize>(), usize::from(addresses));
    }
}

#[test]
fn fifty_addresses_of_ten_machines_are_evenly_shared_when_an_eleventh_joins() {
    // The sixth row of the book's promise (WK7): six with five, five with four.
    let mut cluster = cluster(10, &singles(50));
    assert_eq!(cluster.counts(), [5; 10]);
    cluster.never_away = (1..=50).map(ip).collect();
    cluster.add(singles(50));
    cluster.together();
    cluster.pass(ROUND);
    let mut counts = cluster.counts();
    counts.sort_unstable();
    assert_eq!(counts, [4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5]);
    cluster.sound();
    // And nothing moves any more.
    let before: Vec<_> = cluster.nodes.iter().map(|node| node.done.len()).collect();
    cluster.pass(ROUND * 5);
    assert_eq!(before, cluster.nodes.iter().map(|node| node.done.len()).collect::<Vec<_>>());
}

#[test]
fn rounds_move_as_many_as_they_are_told_to() {
    let settings = Settings { per_round: PerRound::Number(1), ..singles(6) };
    let mut cluster = cluster(1, &settings);
    cluster.add(settings);
    cluster.together();
    for moved in 1..=3 {
        cluster.pass(ROUND);
        assert_eq!(cluster.counts(), [6 - moved, moved]);
    }
    cluster.pass(ROUND * 3);
    assert_eq!(cluster.counts(), [3, 3]);
}

#[test]
fn a_machine_with_twice_the_weight_gets_twice_the_share() {
    let mut cluster = Cluster::new(2, &singles(9));
    let heavy = cluster.add(Settings { weight: 200, ..singles(9) });
    cluster.together();
    cluster.pass(MATURE + ROUND);
    assert_eq!(cluster.nodes[heavy].up.len(), 5);
    cluster.sound();
}

#[test]
fn a_machine_at_its_capacity_takes_more_only_when_nobody_else_can() {
    let mut cluster = Cluster::new(1, &singles(6));
    cluster.add(Settings { capacity: 1, ..singles(6) });
    cluster.together();
    cluster.pass(MATURE + ROUND * 3);
    assert_eq!(cluster.counts(), [5, 1]);
    cluster.kill(0);
    assert_eq!(cluster.counts(), [0, 6]);
    // And gives away what is too much as soon as somebody has room, though an even share would be three.
    cluster.revive(0);
    cluster.together();
    cluster.never_away = (1..=6).map(ip).collect();
    cluster.pass(ROUND * 4);
    assert_eq!(cluster.counts(), [5, 1]);
    cluster.sound();
}

#[test]
fn with_all_at_their_capacity_each_address_is_served_all_the_same() {
    let mut cluster = cluster(3, &Settings { capacity: 2, ..singles(9) });
    assert_eq!(cluster.counts(), [3, 3, 3]);
    let full = vip::status::Candidate::Reluctant(vip::Reason::Full);
    let seen = cluster.status(1);
    assert!(seen.sets.iter().all(|set| set.candidates == [full; 3]), "{seen:?}");
    assert!(seen.members.iter().all(|member| member.capacity == 2));
    // Nothing goes to and fro.
    let before: Vec<_> = cluster.nodes.iter().map(|node| node.done.len()).collect();
    cluster.pass(ROUND * 5);
    assert_eq!(before, cluster.nodes.iter().map(|node| node.done.len()).collect::<Vec<_>>());
    cluster.sound();
}

#[test]
fn what_is_beyond_all_capacities_is_evenly_shared_also_after_machines_have_come() {
    let small = Settings { capacity: 1, ..singles(6) };
    let mut cluster = cluster(1, &small);
    for count in [2, 3] {
        cluster.add(small.clone());
        cluster.together();
        cluster.pass(Duration::from_secs(60));
        assert_eq!(cluster.counts(), vec![6 / count; count]);
    }
    cluster.kill(2);
    cluster.pass(Duration::from_secs(60));
    assert_eq!(cluster.counts()[..2], [3, 3]);
    cluster.add(small);
    cluster.together();
    cluster.pass(Duration::from_secs(120));
    assert_eq!((cluster.counts()[0], cluster.counts()[1], cluster.counts()[3]), (2, 2, 2));
    cluster.sound();
}

#[test]
fn another_capacity_holds_as_soon_as_it_is_read() {
    let mut cluster = cluster(2, &singles(6));
    assert_eq!(cluster.counts(), [3, 3]);
    cluster.never_away = (1..=6).map(ip).collect();
    let now = cluster.now;
    cluster.nodes[1].vip.reload(now, Settings { capacity: 1, ..singles(6) });
    cluster.pass(ROUND * 2);
    assert_eq!(cluster.counts(), [5, 1]);
    let now = cluster.now;
    cluster.nodes[1].vip.reload(now, singles(6));
    cluster.pass(ROUND * 2);
    assert_eq!(cluster.counts(), [3, 3]);
    cluster.sound();
}

#[test]
fn what_is_preferred_comes_within_the_capacity_and_other_things_make_way() {
    let mut wants = Settings { capacity: 2, ..singles(6) };
    wants.prefer_after = Duration::from_secs(10);
    wants.sets.iter_mut().skip(3).for_each(|one| one.preferred = true);
    let mut cluster = cluster(2, &singles(6));
    let now = cluster.now;
    cluster.never_away = (1..=6).map(ip).collect();
    cluster.nodes[0].vip.reload(now, wants);
    cluster.pass(Duration::from_secs(30));
    assert_eq!(cluster.counts(), [2, 4]);
    let has: Vec<_> = cluster.nodes[0].up.iter().copied().collect();
    assert!(has.iter().all(|one| *one >= ip(4)), "{has:?}");
    let before: Vec<_> = cluster.nodes.iter().map(|node| node.done.len()).collect();
    cluster.pass(ROUND * 5);
    assert_eq!(before, cluster.nodes.iter().map(|node| node.done.len()).collect::<Vec<_>>());
    cluster.sound();
}

proptest::proptest! {
    /// Whatever the capacities are, and whoever goes and comes back: each address is served, and nobody has more than its capacity
    /// while another has room.
    #[test]
    fn nobody_has_more_than_its_capacity_while_another_has_room(
        capacities in proptest::collection::vec(0u16..5, 2..5),
        sets in 1u8..10,
        gone in 0usize..5,
    ) {
        let mut cluster = Cluster::new(0, &singles(sets));
        for capacity in &capacities {
            cluster.add(Settings { capacity: *capacity, ..singles(sets) });
        }
        cluster.together();
        cluster.pass(MATURE + ROUND * 4);
        let judge = |cluster: &Cluster| {
            cluster.sound();
            let counts = cluster.counts();
            let over = |at: &usize| capacities[*at] != 0 && counts[*at] > usize::from(capacities[*at]);
            let room = |at: &usize| capacities[*at] == 0 || counts[*at] < usize::from(capacities[*at]);
            let all = || 0..capacities.len();
            assert!(!(all().any(|at| over(&at)) && all().any(|at| room(&at))), "{capacities:?} {counts:?}");
        };
        judge(&cluster);
        let gone = gone % capacities.len();
        cluster.kill(gone);
        cluster.pass(ROUND);
        cluster.revive(gone);
        cluster.together();
        cluster.pass(MATURE + ROUND * 8);
        judge(&cluster);
    }
}

#[test]
fn addresses_of_a_set_move_as_one() {
    let settings =
        Settings { sets: vec![listed(&[1, 2, 3]), listed(&[4, 5])], ..Settings::default() };
    let mut cluster = cluster(2, &settings);
    assert_eq!(cluster.counts(), [3, 2]);
    cluster.kill(0);
    assert_eq!(cluster.counts(), [0, 5]);
}

#[test]
fn a_preferred_set_goes_to_who_wants_it_but_not_before_it_has_stayed() {
    let mut wants = singles(4);
    wants.prefer_after = Duration::from_secs(30);
    wants.sets[3].preferred = true;
    let mut cluster = Cluster::new(2, &singles(4));
    let wanting = cluster.add(wants);
    cluster.split(&[vec![0, 1], vec![]]);
    cluster.parts.pop();
    cluster.pass(MATURE);
    cluster.never_away = (1..=4).map(ip).collect();
    cluster.together();
    cluster.pass(Duration::from_secs(29));
    let before = cluster.holders(ip(4));
    assert_ne!(before, [wanting]);
    cluster.pass(Duration::from_secs(6));
    assert_eq!(cluster.holders(ip(4)), [wanting]);
    cluster.sound();
    // A preferred set is not moved for balance.
    cluster.pass(ROUND * 4);
    assert_eq!(cluster.holders(ip(4)), [wanting]);
}

#[test]
fn a_preferred_set_that_nobody_has_goes_to_who_wants_it_first() {
    let mut wants = singles(4);
    wants.sets.iter_mut().for_each(|one| one.preferred = true);
    let mut cluster = Cluster::new(1, &singles(4));
    cluster.add(wants);
    cluster.together();
    cluster.pass(MATURE);
    assert_eq!(cluster.counts(), [0, 4]);
}

#[test]
fn a_machine_that_comes_and_goes_waits_longer_each_time() {
    let mut cluster = cluster(2, &singles(4));
    for wait in [4, 8, 16] {
        cluster.kill(1);
        cluster.revive(1);
        cluster.split(&[vec![0], vec![1]]);
        cluster.together();
        let damped = wait * 2;
        cluster.pass(Duration::from_secs(damped - 1));
        assert_eq!(cluster.counts(), [4, 0], "after {damped}");
        cluster.pass(Duration::from_secs(6));
        assert_eq!(cluster.counts(), [2, 2], "after {damped}");
    }
}

#[test]
fn a_set_that_a_machine_cannot_add_goes_to_another() {
    let mut cluster = Cluster::new(2, &singles(2));
    cluster.nodes[0].refuses.insert(ip(1));
    cluster.together();
    cluster.pass(MATURE);
    assert_eq!(cluster.holders(ip(1)), [1]);
    assert!(cluster.nodes[1].events.contains(&Event::Failed { head: ip(1), machine: "m1".into() }));
    cluster.sound();
    // It is tried again only when it has a reason to be given something.
    cluster.nodes[0].refuses.clear();
    cluster.pass(Duration::from_secs(20));
    assert_eq!(cluster.counts(), [1, 1]);
}

#[test]
fn lists_that_differ_are_allocated_among_those_that_agree() {
    let mut cluster = Cluster::new(2, &singles(2));
    let third = cluster.add(Settings {
        sets: vec![listed(&[1]), listed(&[2]), listed(&[3])],
        ..Settings::default()
    });
    cluster.together();
    cluster.pass(MATURE);
    assert_eq!(cluster.holders(ip(3)), [third]);
    cluster.agree();
    cluster.kill(third);
    assert_eq!(cluster.holders(ip(3)), []);
    assert_eq!(cluster.counts()[..2], [1, 1]);
}

#[test]
fn what_makes_way_itself_keeps_nobody_out() {
    let lists = |sets: &[&[u8]]| Settings {
        sets: sets.iter().map(|set| listed(set)).collect(),
        ..Settings::default()
    };
    let mut cluster = Cluster::new(0, &lists(&[]));
    for sets in [&[&[1, 2][..]][..], &[&[1, 2]], &[&[1, 2]], &[&[2, 3]], &[&[2, 3]], &[&[3, 4]]] {
        cluster.add(lists(sets));
    }
    cluster.together();
    cluster.pass(MATURE);
    assert_eq!(cluster.holders(ip(1)).len(), 1);
    assert_eq!(cluster.holders(ip(4)), [5], "nothing that could be held contradicts it");
    cluster.agree();
}

#[test]
fn what_contradicts_stays_with_its_holder_and_is_reported_everywhere() {
    let mut cluster = cluster(1, &Settings { sets: vec![listed(&[1, 2])], ..Settings::default() });
    let other =
        cluster.add(Settings { sets: vec![listed(&[1]), listed(&[3])], ..Settings::default() });
    cluster.together();
    cluster.pass(ROUND * 2);
    assert_eq!(cluster.nodes[0].up, [ip(1), ip(2)].into());
    assert_eq!(cluster.nodes[other].up, [ip(3)].into());
    for at in 0..2 {
        let status = cluster.status(at);
        let blocked = status.sets.iter().find(|set| set.blocked_by.is_some()).unwrap();
        assert_eq!((blocked.addresses.as_slice(), blocked.blocked_by), (&[ip(1)][..], Some(ip(1))));
        assert_eq!(blocked.reason, Reason::Contradiction);
        let told = |event: &&Event| matches!(event, Event::Contradiction { .. });
        assert_eq!(cluster.nodes[at].events.iter().filter(told).count(), 1, "it is told once");
    }
    // The machine with the old list takes the new one: it goes on with what it has.
    cluster.never_away = [ip(1)].into();
    let new = cluster.nodes[other].settings.clone();
    cluster.nodes[0].vip.handle_able(cluster.now, new.sets[0].set.key(), true, false);
    cluster.nodes[0].vip.handle_able(cluster.now, new.sets[1].set.key(), true, false);
    cluster.nodes[0].vip.reload(cluster.now, new.clone());
    cluster.nodes[0].settings = new;
    cluster.run();
    assert_eq!(cluster.holders(ip(1)), [0]);
    assert_eq!(cluster.holders(ip(2)), []);
    cluster.sound();
}

#[test]
fn a_set_taken_out_of_one_list_moves_to_a_machine_that_lists_it() {
    let mut cluster = cluster(2, &singles(2));
    let held = *cluster.nodes[0].up.first().unwrap();
    cluster.never_away = [ip(1), ip(2)].into();
    let mut less = singles(2);
    less.sets.retain(|one| one.set.head() != held);
    cluster.nodes[0].vip.reload(cluster.now, less.clone());
    cluster.nodes[0].settings = less;
    cluster.run();
    assert_eq!(cluster.holders(held), [1]);
    cluster.sound();
    // And out of the last list: it is let go.
    cluster.never_away.clear();
    let none = Settings { sets: vec![], ..Settings::default() };
    for at in 0..2 {
        cluster.nodes[at].vip.reload(cluster.now, none.clone());
        cluster.nodes[at].settings = none.clone();
    }
    cluster.run();
    assert_eq!(cluster.counts(), [0, 0]);
}

#[test]
fn an_operator_moves_a_set_and_balancing_leaves_it_there() {
    let mut cluster = cluster(2, &singles(4));
    cluster.never_away = (1..=4).map(ip).collect();
    let held: Vec<_> = cluster.nodes[0].up.iter().copied().collect();
    for head in &held {
        cluster.nodes[1].vip.order("m2", Order::Take(*head)).unwrap();
        cluster.run();
        assert_eq!(cluster.holders(*head), [1]);
    }
    cluster.pass(ROUND);
    // What was not moved by hand goes back for balance; what was stays.
    assert_eq!(cluster.counts(), [2, 2]);
    assert!(held.iter().all(|head| cluster.holders(*head) == [1]));
    assert!(cluster.nodes[0].vip.order("m9", Order::Drain).is_err());
}

#[test]
fn a_set_that_is_moved_to_where_it_is_stays_there() {
    let mut cluster = cluster(2, &singles(4));
    cluster.never_away = (1..=4).map(ip).collect();
    let held: Vec<_> = cluster.nodes[0].up.iter().copied().collect();
    for head in &held {
        cluster.nodes[1].vip.order("m1", Order::Take(*head)).unwrap();
        cluster.run();
    }
    let pinned = |cluster: &Cluster, at: usize| -> Vec<_> {
        let sets = cluster.status(at).sets.into_iter();
        sets.filter(|set| set.pinned).map(|set| set.head).collect()
    };
    assert_eq!((pinned(&cluster, 0), pinned(&cluster, 1)), (held.clone(), held.clone()));
    // Balance leaves it there, also in another view.
    let third = cluster.add(singles(4));
    cluster.together();
    cluster.pass(ROUND * 5);
    assert!(held.iter().all(|head| cluster.holders(*head) == [0]));
    assert_eq!(cluster.nodes[third].up.len(), 1);
    assert_eq!(pinned(&cluster, third), held);
    cluster.sound();
}

#[test]
fn a_cluster_whose_view_ends_just_when_it_becomes_mature_becomes_mature_all_the_same() {
    let mut cluster = Cluster::new(2, &singles(2));
    cluster.together();
    cluster.pass(MATURE - Duration::from_millis(1));
    // The time has come and the word is said, but nobody hears it: the view is over.
    cluster.now += Duration::from_millis(1);
    let now = cluster.now;
    cluster.nodes.iter_mut().for_each(|node| node.vip.handle_timeout(now));
    cluster.split(&[vec![0], vec![1]]);
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.counts(), [2, 2]);
}

#[test]
fn a_set_whose_interfaces_are_missing_everywhere_is_nowhere_because_of_that() {
    let mut cluster = Cluster::new(2, &singles(2));
    let key = singles(2).sets[0].set.key();
    for node in &mut cluster.nodes {
        node.vip.handle_able(cluster.now, key, false, false);
    }
    cluster.together();
    let why = |cluster: &Cluster, at: usize| {
        let set = cluster.status(0).sets.swap_remove(at);
        (set.owner.is_some(), set.why)
    };
    assert_eq!(why(&cluster, 0), (false, Reason::Unable));
    // This one waits for the machines alone.
    assert_eq!(why(&cluster, 1), (false, Reason::Unowned));
    cluster.pass(MATURE);
    assert_eq!(why(&cluster, 0), (false, Reason::Unable));
    assert_eq!(why(&cluster, 1), (true, Reason::Unowned));
}

#[test]
fn who_took_a_machine_of_the_cluster_for_a_stranger_has_what_that_leaves_at_once_after_they_have_met()
 {
    let mut cluster = cluster(1, &singles(1));
    let late = cluster.add(singles(1));
    cluster.nodes[late].refuses.insert(ip(1));
    cluster.split(&[vec![0], vec![late]]);
    cluster.pass(Duration::from_secs(6));
    assert_eq!(cluster.counts(), [1, 0]);
    cluster.nodes[late].refuses.clear();
    cluster.together();
    cluster.pass(Duration::from_millis(100));
    assert_eq!(cluster.counts(), [1, 0]);
    cluster.kill(0);
    cluster.pass(Duration::from_millis(100));
    assert_eq!(cluster.holders(ip(1)), [late]);
}

//! Lists that change machine by machine: what an address is grouped with says nothing about where it is.

mod support;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use support::{Cluster, ip, listed};
use vip::{After, Event, Reason, Settings};

const ROUND: Duration = Duration::from_secs(4);

fn grouped(groups: &[&[u8]]) -> Settings {
    Settings { sets: groups.iter().map(|group| listed(group)).collect(), ..Settings::default() }
}

fn cluster(count: usize, settings: &Settings) -> Cluster {
    let mut cluster = Cluster::new(count, settings);
    cluster.together();
    cluster.pass(Duration::from_secs(5));
    cluster.sound();
    forget(&mut cluster);
    cluster
}

fn forget(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.done.clear();
        node.events.clear();
        node.afters.clear();
    }
}

/// The machine reads its file again, and nothing else happens for a moment.
fn reload(cluster: &mut Cluster, at: usize, settings: &Settings) {
    let now = cluster.now;
    let node = &mut cluster.nodes[at];
    for one in &settings.sets {
        node.vip.handle_able(now, one.set.key(), true, false);
    }
    node.vip.reload(now, settings.clone());
    node.settings = settings.clone();
    cluster.run();
}

/// Where each address is.
fn map(cluster: &Cluster, count: u8) -> Vec<Vec<usize>> {
    (1..=count).map(|i| cluster.holders(ip(i))).collect()
}

fn addresses(count: u8) -> BTreeSet<IpAddr> {
    (1..=count).map(ip).collect()
}

#[test]
fn a_list_that_is_regrouped_machine_by_machine_moves_nothing_whose_holder_stays() {
    let singles = grouped(&[&[1], &[2], &[3], &[4], &[5], &[6], &[7], &[8]]);
    // Pairs of those that are together by chance, and back again.
    let pairs = grouped(&[&[1, 3], &[2, 4], &[5, 7], &[6, 8]]);
    let mut cluster = cluster(2, &singles);
    let before = map(&cluster, 8);
    assert_eq!((&before[0], &before[1]), (&before[2], &before[3]), "{before:?}");
    cluster.never_away = addresses(8);
    for settings in [&pairs, &singles, &pairs] {
        for at in [0, 1] {
            reload(&mut cluster, at, settings);
            cluster.pass(ROUND * 3);
            assert_eq!(map(&cluster, 8), before, "after machine {at}");
        }
        cluster.sound();
        let moved = |event: &&Event| matches!(event, Event::Moving { .. });
        let moves: Vec<&Event> =
            cluster.nodes.iter().flat_map(|node| &node.events).filter(moved).collect();
        assert!(moves.is_empty(), "{moves:?}");
    }
    // What differs is told of once for each, and that an address is nowhere of none.
    let nowhere = |event: &&Event| matches!(event, Event::Owner { to: None, .. });
    assert_eq!(cluster.nodes.iter().flat_map(|node| &node.events).filter(nowhere).count(), 0);
}

#[test]
fn all_parts_of_a_group_that_is_split_stay_and_are_asked_for_by_nobody() {
    let group = grouped(&[&[1, 2, 3, 4, 5, 6]]);
    let parts = grouped(&[&[1, 2], &[3, 4], &[5, 6]]);
    let mut cluster = cluster(4, &group);
    cluster.never_away = addresses(6);
    let before = map(&cluster, 6);
    for at in 0..4 {
        reload(&mut cluster, at, &parts);
        if at < 3 {
            assert_eq!(map(&cluster, 6), before);
        }
    }
    assert_eq!(map(&cluster, 6), before);
    cluster.pass(ROUND * 2);
    cluster.sound();
    assert_eq!(cluster.counts().iter().filter(|count| **count == 2).count(), 3);
    let asked = |node: &support::Node| node.afters.iter().any(|(_, one)| *one == After::Nobody);
    assert!(!cluster.nodes.iter().any(asked));
}

#[test]
fn a_form_that_nobody_lists_any_more_is_forgotten() {
    let mut cluster = cluster(3, &grouped(&[&[1], &[2], &[3]]));
    let new = grouped(&[&[1, 2], &[4]]);
    for at in 0..3 {
        reload(&mut cluster, at, &new);
    }
    cluster.pass(ROUND * 2);
    for at in 0..3 {
        let heads: Vec<IpAddr> =
            cluster.status(at).sets.iter().map(|set| set.addresses[0]).collect();
        assert_eq!(heads, [ip(1), ip(4)]);
    }
    cluster.sound();
}

#[test]
fn what_its_holder_lists_otherwise_goes_to_another_when_the_holder_goes() {
    let singles = grouped(&[&[1], &[2]]);
    let mut cluster = cluster(2, &singles);
    let at = cluster.holders(ip(1))[0];
    reload(&mut cluster, at, &grouped(&[&[1, 2]]));
    let now = cluster.now;
    cluster.never_away = addresses(2);
    cluster.nodes[at].vip.leave(now, None);
    cluster.run();
    assert_eq!(map(&cluster, 2), [[1 - at], [1 - at]]);
    cluster.sound();
}

#[test]
fn what_its_holder_does_not_list_in_any_form_goes_to_those_that_do() {
    let mut cluster = cluster(2, &grouped(&[&[1], &[2]]));
    let at = cluster.holders(ip(1))[0];
    cluster.never_away = addresses(2);
    reload(&mut cluster, at, &grouped(&[&[2]]));
    assert_eq!(cluster.holders(ip(1)), [1 - at]);
}

#[test]
fn an_address_that_a_stranger_has_is_asked_for_by_each_machine_and_each_time() {
    let mut cluster = Cluster::new(3, &grouped(&[&[1]]));
    for node in &mut cluster.nodes {
        node.refuses.insert(ip(1));
    }
    cluster.together();
    cluster.pass(Duration::from_secs(40));
    let later = cluster.add(grouped(&[&[1]]));
    cluster.together();
    cluster.nodes.iter_mut().for_each(|node| node.refuses.clear());
    cluster.pass(Duration::from_secs(40));
    let afters: Vec<After> =
        cluster.nodes.iter().flat_map(|node| &node.afters).map(|(_, after)| *after).collect();
    assert_eq!(afters, [After::Nobody], "who could add it in the end had asked for it");
    // Now it is known to all that somebody had it, also to one that came later.
    let at = cluster.holders(ip(1))[0];
    forget(&mut cluster);
    cluster.kill(at);
    cluster.pass(Duration::from_secs(1));
    let afters: Vec<After> =
        cluster.nodes.iter().flat_map(|node| &node.afters).map(|(_, after)| *after).collect();
    assert!(matches!(afters[..], [After::Lost { .. }]), "{afters:?}");
    assert!(later < cluster.nodes.len());
}

#[test]
fn reason_and_time_of_what_stays_outlast_a_view() {
    let mut cluster = cluster(3, &grouped(&[&[1], &[2], &[3]]));
    let from = cluster.holders(ip(1))[0];
    let to = (from + 1) % 3;
    let name = format!("m{}", to + 1);
    cluster.nodes[from].vip.order(&name, vip::Order::Take(ip(1))).unwrap();
    cluster.run();
    assert_eq!(cluster.holders(ip(1)), [to]);
    cluster.pass(Duration::from_millis(1_500));
    let other = (from + 2) % 3;
    let apart = [vec![from, to], vec![other]];
    cluster.split(&apart);
    let why = |cluster: &Cluster| {
        let sets = cluster.status(from).sets;
        let set = sets.iter().find(|set| set.addresses[0] == ip(1)).unwrap();
        (set.why, set.since >= Duration::from_millis(1_500))
    };
    assert_eq!(why(&cluster), (Reason::Operator, true));
    cluster.kill(to);
    assert_eq!(why(&cluster), (Reason::Lost, false));
}

#[test]
fn what_comes_together_from_two_machines_is_added_before_the_other_lets_go() {
    let singles = grouped(&[&[1], &[2], &[3], &[4]]);
    let pairs = grouped(&[&[1, 2], &[3, 4]]);
    for machines in [2, 3] {
        let mut cluster = cluster(machines, &singles);
        assert_ne!(cluster.holders(ip(1)), cluster.holders(ip(2)));
        cluster.never_away = addresses(4);
        for at in 0..machines {
            reload(&mut cluster, at, &pairs);
        }
        assert_eq!(cluster.holders(ip(1)), cluster.holders(ip(2)));
        assert_eq!(cluster.holders(ip(3)), cluster.holders(ip(4)));
        cluster.sound();
        cluster.pass(ROUND * 2);
        for at in 0..machines {
            reload(&mut cluster, at, &singles);
        }
        cluster.pass(ROUND * 2);
        cluster.sound();
    }
}

#[test]
fn a_machine_may_die_at_every_moment_of_a_regrouping() {
    let (singles, pairs) = (grouped(&[&[1], &[2], &[3], &[4]]), grouped(&[&[1, 2], &[3, 4]]));
    for victim in 0..3 {
        for steps in 0..24 {
            let mut cluster = cluster(3, &singles);
            let now = cluster.now;
            for node in &mut cluster.nodes {
                for one in &pairs.sets {
                    node.vip.handle_able(now, one.set.key(), true, false);
                }
                node.vip.reload(now, pairs.clone());
                node.settings = pairs.clone();
            }
            for _ in 0..steps {
                cluster.step();
            }
            cluster.kill(victim);
            cluster.run();
            cluster.pass(Duration::from_secs(30));
            cluster.sound();
        }
    }
}

#[test]
fn under_quorum_what_comes_together_from_two_machines_is_held_by_nobody_in_between() {
    let under = |groups: &[&[u8]]| {
        let mut settings = grouped(groups);
        settings.sets.iter_mut().for_each(|one| one.quorum = true);
        settings.quorum = (1..=3).map(|i| (format!("m{i}"), 1)).collect();
        settings
    };
    let (singles, pairs) = (under(&[&[1], &[2], &[3]]), under(&[&[1, 3], &[2]]));
    let mut cluster = Cluster::new(3, &singles);
    cluster.together();
    cluster.pass(Duration::from_secs(5) + singles.lease());
    cluster.sound();
    let (one, three) = (cluster.holders(ip(1))[0], cluster.holders(ip(3))[0]);
    assert_ne!(one, three);
    // What is to be taken off takes its time.
    cluster.nodes[three].stuck = true;
    cluster.most = 0;
    for at in 0..3 {
        reload(&mut cluster, at, &pairs);
    }
    cluster.pass(Duration::from_millis(100));
    assert_eq!(cluster.holders(ip(3)), [three]);
    cluster.nodes[three].stuck = false;
    let old = singles.sets[2].set.key();
    cluster.nodes[three].vip.handle_removed(cluster.now, old);
    cluster.run();
    cluster.pass(ROUND);
    assert_eq!(cluster.most, 1, "two had an address");
    assert_eq!(cluster.holders(ip(3)).len(), 1);
    assert_eq!(cluster.holders(ip(1)), cluster.holders(ip(3)));
}

/// Two parts that list differently and have everything, each in its own form, meet.
fn met(one: &Settings, other: &Settings) -> Cluster {
    let mut cluster = Cluster::new(1, one);
    cluster.add(other.clone());
    cluster.split(&[vec![0], vec![1]]);
    cluster.pass(Duration::from_secs(5));
    forget(&mut cluster);
    cluster.together();
    cluster
}

#[test]
fn who_keeps_an_address_that_another_had_in_another_form_announces_it_again_when_that_one_has_let_go()
 {
    let singles = grouped(&[&[1], &[2], &[3], &[4], &[5], &[6]]);
    let cluster = met(&singles, &grouped(&[&[1, 2], &[3, 4], &[5, 6]]));
    for i in 1..=6 {
        let at = cluster.holders(ip(i));
        assert_eq!(at.len(), 1, "{i}: {at:?}");
        let node = &cluster.nodes[at[0]];
        let won = |(head, after): &&(IpAddr, After)| {
            *after == After::Won
                && node
                    .settings
                    .sets
                    .iter()
                    .any(|one| one.set.head() == *head && one.set.addresses().contains(&ip(i)))
        };
        assert!(
            node.afters.iter().any(|one| won(&one)),
            "{i} was not announced again: {:?}",
            node.afters
        );
        assert!(node.done.iter().any(|done| done.starts_with("announce")), "{:?}", node.done);
    }
}

#[test]
fn no_address_is_in_a_form_that_makes_way_for_one_that_makes_way() {
    // A 1, B 2, S 3, T 4: whoever takes the strongest forms one by one leaves some to nobody.
    for i in 0..8 {
        let of = |at: u8| 4 * i + at;
        let one = grouped(&[&[of(1), of(2)], &[of(3)], &[of(4)]]);
        let other = grouped(&[&[of(1), of(3)], &[of(2), of(4)]]);
        for (one, other) in [(&one, &other), (&other, &one)] {
            let mut cluster = met(one, other);
            let whole = |cluster: &Cluster| {
                for at in 1..=4 {
                    assert_eq!(cluster.holders(ip(of(at))).len(), 1, "{at} of {i}");
                }
            };
            whole(&cluster);
            cluster.pass(ROUND * 4);
            whole(&cluster);
            // As when both start at the same time.
            let mut cluster = Cluster::new(1, one);
            cluster.add(other.clone());
            cluster.together();
            cluster.pass(Duration::from_secs(5));
            whole(&cluster);
        }
    }
}

#[test]
fn whoever_goes_with_a_form_that_nobody_else_lists_waits_until_the_others_have_it_in_theirs() {
    let (whole, singles) =
        (grouped(&[&[1, 2, 3, 4, 5], &[6]]), grouped(&[&[1], &[2], &[3], &[4], &[5], &[6]]));
    for drained in [false, true] {
        let mut cluster = cluster(3, &whole);
        let at = cluster.holders(ip(1))[0];
        cluster.never_away = addresses(6);
        for other in (0..3).filter(|other| *other != at) {
            reload(&mut cluster, other, &singles);
        }
        assert_eq!(cluster.holders(ip(1)), [at]);
        let now = cluster.now;
        if drained {
            let name = format!("m{}", at + 1);
            cluster.nodes[at].vip.order(&name, vip::Order::Drain).unwrap();
        } else {
            cluster.nodes[at].vip.leave(now, None);
            assert!(cluster.nodes[at].vip.is_leaving_in_order());
        }
        cluster.run();
        for i in 1..=5 {
            assert!(!cluster.holders(ip(i)).contains(&at), "{i}");
        }
        if drained {
            reload(&mut cluster, at, &singles);
            cluster.pass(ROUND);
            cluster.sound();
            let sets = cluster.status(0).sets.len();
            assert_eq!(sets, 6, "what nobody lists is forgotten");
        } else {
            assert!(!cluster.nodes[at].vip.is_leaving_in_order());
        }
    }
}

#[test]
fn who_is_drained_with_forms_that_cross_those_of_all_others_gives_them_away() {
    // A 1, B 2, S 3, T 4.
    let lists = [
        grouped(&[&[1, 2], &[3], &[4]]),
        grouped(&[&[1, 3], &[2, 4]]),
        grouped(&[&[1], &[2, 3, 4]]),
    ];
    for first in 0..3 {
        let mut cluster = Cluster::new(1, &lists[first]);
        cluster.together();
        cluster.pass(Duration::from_secs(5));
        for list in (0..3).filter(|at| *at != first) {
            cluster.add(lists[list].clone());
        }
        cluster.together();
        cluster.pass(ROUND * 2);
        assert_eq!(map(&cluster, 4), [[0], [0], [0], [0]]);
        cluster.never_away = addresses(4);
        cluster.nodes[0].vip.order("m1", vip::Order::Drain).unwrap();
        cluster.run();
        cluster.pass(ROUND);
        assert!(!map(&cluster, 4).contains(&vec![0]), "list {first}: {:?}", map(&cluster, 4));
        assert!(map(&cluster, 4).iter().all(|holders| holders.len() == 1));
    }
}

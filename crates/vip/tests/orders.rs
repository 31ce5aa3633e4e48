//! What operators ask for: each order reaches the machine that was meant, and none is lost.

mod support;

use std::time::Duration;

use support::{Cluster, ip, singles};
use vip::{Event, NoSuch, Order, Reason};

fn cluster(count: usize) -> Cluster {
    let mut cluster = Cluster::new(count, &singles(3));
    cluster.together();
    cluster.pass(Duration::from_secs(5));
    cluster.sound();
    cluster.nodes.iter_mut().for_each(|node| node.events.clear());
    cluster
}

#[test]
fn orders_that_come_while_a_set_moves_are_done_one_after_the_other() {
    let mut cluster = cluster(3);
    for machine in ["m1", "m2", "m3"] {
        cluster.nodes[0].vip.order(machine, Order::Take(ip(1))).unwrap();
    }
    cluster.run();
    cluster.sound();
    // Each has had it or has it.
    let moved = |event: &Event| match event {
        Event::Moving { to, reason: Reason::Operator, .. } => Some(to.clone()),
        _ => None,
    };
    let moves: Vec<String> = cluster.nodes[0].events.iter().filter_map(moved).collect();
    assert!(moves.len() >= 2, "{moves:?}");
    assert_eq!(cluster.holders(ip(1)), [2], "the last order is done in the end");
}

#[test]
fn an_order_that_the_end_of_a_view_overtakes_is_given_again() {
    for steps in 0..12 {
        let mut cluster = cluster(3);
        let from = cluster.holders(ip(1))[0];
        let (to, other) = ((from + 1) % 3, (from + 2) % 3);
        let name = cluster.nodes[to].name.clone();
        cluster.nodes[from].vip.order(&name, Order::Take(ip(1))).unwrap();
        for _ in 0..steps {
            cluster.step();
        }
        // It was heard, or the operator's own machine has not sent it yet.
        let heard = steps > 0;
        cluster.split(&[vec![from, to], vec![other]]);
        cluster.run();
        let expected = if heard { to } else { from };
        assert!(cluster.holders(ip(1)).contains(&expected), "after {steps} steps");
    }
}

#[test]
fn nothing_is_moved_to_a_drained_machine_that_would_give_it_back() {
    let mut cluster = cluster(2);
    let at = cluster.holders(ip(1))[0];
    let to = 1 - at;
    cluster.nodes[0].vip.order(&format!("m{}", to + 1), Order::Drain).unwrap();
    cluster.run();
    cluster.nodes.iter_mut().for_each(|node| node.done.clear());
    cluster.nodes[0].vip.order(&format!("m{}", to + 1), Order::Take(ip(1))).unwrap();
    cluster.run();
    cluster.pass(Duration::from_secs(10));
    assert_eq!(cluster.holders(ip(1)), [at]);
    assert!(cluster.nodes.iter().all(|node| node.done.is_empty()));
}

#[test]
fn an_order_that_its_machine_refuses_is_over_and_pins_the_set_nowhere() {
    let mut cluster = cluster(3);
    let from = cluster.holders(ip(1))[0];
    let to = (from + 1) % 3;
    cluster.nodes[to].refuses.insert(ip(1));
    let name = cluster.nodes[to].name.clone();
    cluster.nodes[0].vip.order(&name, Order::Take(ip(1))).unwrap();
    cluster.run();
    let pinned =
        |cluster: &Cluster| (0..3).any(|at| cluster.status(at).sets.iter().any(|set| set.pinned));
    assert_eq!(cluster.holders(ip(1)), [from]);
    assert!(!pinned(&cluster));
    let failed = |event: &Event| matches!(event, Event::Failed { head, .. } if *head == ip(1));
    assert!(cluster.nodes.iter().all(|node| node.events.iter().any(failed)));
    // When it could have it, nobody remembers the order.
    cluster.nodes[to].refuses.clear();
    cluster.pass(Duration::from_secs(15));
    assert_eq!(cluster.holders(ip(1)), [from]);
    cluster.split(&[vec![0, 1], vec![2]]);
    cluster.together();
    assert!(!pinned(&cluster));
    cluster.sound();
}

#[test]
fn a_move_that_an_operator_ordered_and_that_takes_too_long_pins_the_set_nowhere() {
    let mut cluster = cluster(2);
    let from = cluster.holders(ip(1))[0];
    let to = 1 - from;
    cluster.nodes[to].hangs = true;
    let name = cluster.nodes[to].name.clone();
    cluster.nodes[0].vip.order(&name, Order::Take(ip(1))).unwrap();
    cluster.run();
    cluster.pass(Duration::from_secs(7));
    assert_eq!(cluster.holders(ip(1)), [from]);
    assert!((0..2).all(|at| cluster.status(at).sets.iter().all(|set| !set.pinned)));
    cluster.agree();
}

#[test]
fn of_machines_with_one_name_each_is_meant_by_its_place_on_the_bus() {
    let mut cluster = Cluster::new(2, &singles(2));
    cluster.add_called("m2", singles(2));
    cluster.together();
    cluster.pass(Duration::from_secs(5));
    let refused = cluster.nodes[0].vip.order("m2", Order::Drain).unwrap_err();
    let names = [cluster.nodes[1].name.clone(), cluster.nodes[2].name.clone()];
    assert_eq!(refused, NoSuch::Several { machine: "m2".into(), members: names.to_vec() });
    cluster.nodes[0].vip.order(&names[1], Order::Drain).unwrap();
    cluster.run();
    let drained: Vec<bool> = cluster.nodes.iter().map(|node| node.vip.is_drained()).collect();
    assert_eq!(drained, [false, false, true]);
}

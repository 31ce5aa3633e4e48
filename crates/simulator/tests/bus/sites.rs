//! Several sites.

use simulator::bus::Plan;
use simulator::bus::plan::Fault;

use super::{at, last_view, ms, through};

#[test]
fn what_is_for_all_goes_to_each_other_site_once() {
    let mut plan = Plan::still(1, 9);
    plan.sites = 3;
    plan.calm = at(3000);
    let world = through(&plan);
    let packets: u64 = world.packets();
    assert!(packets > 100, "{packets} packets are too few to judge by");
    // Two other sites; a packet now and then is sent again.
    let copies = world.crossing as f64 / packets as f64;
    assert!((1.9..2.3).contains(&copies), "{copies:.2} copies of each packet went to other sites");
}

#[test]
fn a_site_that_is_cut_off_goes_on_alone_and_comes_back_whole() {
    let mut plan = Plan::still(1, 6);
    plan.sites = 2;
    let sides: Vec<bool> = (0..6).map(|i| i % 2 == 0).collect();
    plan.faults = vec![(at(1000), Fault::Partition(sides)), (at(2000), Fault::Heal)];
    plan.calm = at(2000);
    let world = through(&plan);
    assert_eq!(last_view(&world, 0).map(|view| view.members.len()), Some(6));
    // The first member of a site passes on what comes from the others; another takes its place.
    let mut plan = Plan::still(2, 6);
    plan.sites = 2;
    plan.faults = vec![(at(1000), Fault::Crash(1, ms(100_000)))];
    plan.calm = at(1500);
    let world = through(&plan);
    assert_eq!(last_view(&world, 0).map(|view| view.members.len()), Some(5));
}

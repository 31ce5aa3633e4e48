//! Few and many machines, few and many addresses.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use lab::{Cut, LabConfig, Place, TcpProbe};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{PORT, Stand, WARM, hosts, v4, v6};
use crate::support::PATIENCE;

pub(crate) const TRIALS: &[Named] = &[
    ("two_machines_share_and_each_alone_has_all", two),
    ("one_of_six_machines_remains_and_has_all", six_machines),
    ("an_eleventh_machine_gets_its_share_of_fifty_addresses", eleventh),
    ("a_hundred_addresses_go_over", hundred),
    ("a_thousand_addresses_go_over", thousand),
    ("two_hundred_addresses_of_version_6_go_over", six_hundreds),
];

fn two() -> Result<(), Failed> {
    let mut stand = Stand::new(2, 2);
    for i in [0, 1] {
        stand.kill(i);
        let whole = stand.wait_until_whole(&[1 - i]);
        println!("two: all at the other after {whole:?}");
        stand.start(i);
        stand.wait_until_even(&[0, 1]);
    }
    // One address and two machines: one has it.
    drop(stand);
    let mut stand = Stand::new(2, 1);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    stand.kill(at);
    stand.wait_until_whole(&[1 - at]);
    let takes_part = ["mature: this machine takes part"];
    let before = stand.count(at, &takes_part);
    stand.start(at);
    stand.wait_until_said_again(at, &takes_part, before);
    // For two rounds of balancing and more, which tell nothing where nothing is to be moved.
    stand.stays(&[(v4(1), vec![1 - at])].into(), Duration::from_millis(1_500));
    Ok(stand.all_live()?)
}

/// Of n machines n - 1 may fail.
fn six_machines() -> Result<(), Failed> {
    let mut stand = Stand::new(6, 6);
    for i in 0..5 {
        let left: Vec<usize> = (i + 1..6).collect();
        if i % 2 == 0 {
            stand.kill(i);
        } else {
            stand.lab.machine(i).cut(Cut::PortMute)?;
        }
        let whole = stand.wait_until_whole(&left);
        println!("{} of six are left: whole after {whole:?}", left.len());
    }
    for i in [1, 3] {
        stand.lab.machine(i).heal()?;
    }
    for i in [0, 2, 4] {
        stand.start(i);
    }
    stand.wait_until_even(&stand.all());
    Ok(stand.all_live()?)
}

fn eleventh() -> Result<(), Failed> {
    let mut stand = Stand::silent(11, (1..=50).map(v4));
    let ten: Vec<usize> = (0..10).collect();
    ten.iter().for_each(|i| stand.start(*i));
    stand.wait_until_even(&ten);
    assert!(ten.iter().all(|i| stand.held(*i).len() == 5));
    let before = stand.map();
    let began = Instant::now();
    stand.start(10);
    stand.wait_until_even(&stand.all());
    let after = stand.map();
    let moved = before.iter().filter(|(ip, at)| after.get(*ip) != Some(at)).count();
    println!("an eleventh of fifty after {:?}: {moved} have moved", began.elapsed());
    assert_eq!(stand.held(10).len(), moved, "others moved among themselves");
    assert!((4..=5).contains(&moved));
    stand.kill(3);
    let left: Vec<usize> = stand.all().into_iter().filter(|i| *i != 3).collect();
    println!("one of eleven killed: whole after {:?}", stand.wait_until_whole(&left));
    Ok(stand.all_live()?)
}

/// Kills one of three machines with many addresses; how long the rest needs for the first and for all.
fn many(stand: &mut Stand) {
    let before = stand.held(0);
    let began = Instant::now();
    stand.kill(0);
    stand.until("its kernel is empty", || stand.held(0).is_empty().then_some(()));
    let empty = began.elapsed();
    let others = [1, 2];
    stand.until_within(PATIENCE, "the first is taken over", || {
        let map = stand.map_of(&others);
        before.iter().any(|ip| map.contains_key(ip)).then_some(())
    });
    let first = began.elapsed();
    stand.wait_until_whole(&others);
    let all = began.elapsed();
    println!(
        "{} of {} addresses lost their holder: its kernel is empty after {empty:?}, the first is elsewhere after {first:?}, all after {all:?}",
        before.len(),
        stand.shared.len()
    );
    // A second is aimed at; the rest is for machines that are busy.
    assert!(all - first < Duration::from_secs(3), "{:?}", all - first);
    let began = Instant::now();
    stand.start(0);
    stand.wait_until_even(&stand.all());
    println!("even again after {:?}", began.elapsed());
}

/// Addresses of a network with room for them; the machines and the warm host are in it.
pub(crate) fn wide(count: u16) -> Result<Stand, Failed> {
    let ip = |i: u16| IpAddr::from(Ipv4Addr::from_bits(0x0a5a_0000 + u32::from(i)));
    let lab = LabConfig { hosts: hosts(), ..LabConfig::default() };
    let mut stand = Stand::silent_in(3, (1..=count).map(ip), lab);
    let here = Ipv4Addr::new(10, 90, 255, 1).into();
    stand.lab.add_address(Place::Host(WARM), "eth0", here, 16, None)?;
    for i in stand.all() {
        let own = Ipv4Addr::new(10, 90, 254, 1 + i as u8).into();
        stand.lab.add_address(Place::Machine(i), "eth0", own, 16, None)?;
    }
    stand.start_all();
    Ok(stand)
}

/// Each of these is served to the warm host.
fn are_served(stand: &Stand, some: impl Iterator<Item = IpAddr>) {
    for ip in some {
        let to = (ip, PORT).into();
        let probe = TcpProbe::new(Place::Host(WARM), to).start(&stand.lab).unwrap();
        let now = Instant::now();
        stand.until(&format!("{ip} is served"), || {
            probe.look(|trace| trace.first_success_after(now).map(drop))
        });
    }
}

fn hundred() -> Result<(), Failed> {
    let mut stand = wide(100)?;
    many(&mut stand);
    are_served(&stand, stand.shared.iter().copied().step_by(10));
    Ok(stand.all_live()?)
}

fn thousand() -> Result<(), Failed> {
    let mut stand = wide(1000)?;
    many(&mut stand);
    are_served(&stand, stand.shared.iter().copied().step_by(50));
    Ok(stand.all_live()?)
}

fn six_hundreds() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, (1..=200).map(v6));
    stand.start_all();
    many(&mut stand);
    are_served(&stand, stand.shared.iter().copied().step_by(20));
    Ok(stand.all_live()?)
}

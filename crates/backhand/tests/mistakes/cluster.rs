//! What goes wrong between machines: one identity twice, an interface that comes and goes, a stranger from the future.

use std::fs;
use std::net::SocketAddr;

use announce::Contact;
use announce::packet::Announcement;
use base::{Boot, MachineId};
use crypto::Ring;
use lab::{CgroupWish, Cut, Lab, LabConfig, Output, Place, Spawn};
use seal::{ClusterKey, Purpose, Sealer, Speaker};
use testkit::trial::Failed;

use crate::support::{Cluster, KEY, until};
use crate::{Named, says};

pub(crate) const TRIALS: &[Named] = &[
    ("two_live_machines_with_one_identity_both_say_so", one_identity),
    ("a_machine_whose_cable_was_out_is_found_again", cable_back),
    ("a_machine_of_a_newer_packet_version_is_told_of_once_and_the_cluster_goes_on", newer_version),
];

/// These need an interface that can be made and deleted inside a machine.
pub(crate) const WITH_INTERFACES: &[Named] =
    &[("a_machine_whose_interface_went_away_and_came_back_is_found_again", interface_back)];

fn one_identity() -> Result<(), Failed> {
    let mut cluster = Cluster::new(3, CgroupWish::No);
    cluster.start(0, "");
    cluster.start(2, "");
    cluster.wait_until_known(&[0, 2], 2);
    // A machine cloned with everything on its disk.
    let state = |name: &str| cluster.folder().join(name);
    fs::create_dir(state("m2"))?;
    fs::copy(state("m1/machine"), state("m2/machine"))?;
    cluster.start(1, "");
    let told = "another live machine has this machine's identity";
    for i in [0, 1] {
        until(&format!("m{} says so", i + 1), || cluster.said(i).contains(told).then_some(()));
        let other = format!("twin={}:4445", cluster.address(1 - i));
        says(
            &cluster.said(i),
            &["ERROR", &other, "remove the file `machine`", "cluster.state_dir"],
        )?;
        until("its page warns", || {
            let status = cluster.status(i)?;
            status["warnings"].to_string().contains("have one identity").then_some(())
        });
    }
    // The witness keeps to the first and goes on.
    until("the witness says so", || {
        cluster.said(2).contains("two live machines have one identity").then_some(())
    });
    assert_eq!(cluster.usable(2), Some(2), "{}", cluster.said(2));
    assert_eq!(cluster.get(2, "/")?.status, 200);
    Ok(())
}

fn cable_back() -> Result<(), Failed> {
    let mut cluster = Cluster::new(2, CgroupWish::No);
    (0..2).for_each(|i| drop(cluster.start(i, "")));
    cluster.wait_until_known(&[0, 1], 2);
    for _ in 0..2 {
        cluster.lab.machine(1).cut(Cut::Carrier)?;
        cluster.wait_until_known(&[0], 1);
        cluster.lab.machine(1).heal()?;
        cluster.wait_until_known(&[0, 1], 2);
    }
    Ok(())
}

/// Whether a machine can be given a second interface and lose it again.
pub(crate) fn second_interfaces() -> Result<(), String> {
    let config = LabConfig { machines: 1, cgroups: CgroupWish::No, ..LabConfig::default() };
    let lab = Lab::start(config).map_err(|error| error.to_string())?;
    plug(&lab, 0)
}

/// Gives machine `i` an interface `wire0` with the address 10.78.0.(i + 1).
fn plug(lab: &Lab, i: usize) -> Result<(), String> {
    let host = i + 1;
    ip(lab, i, "link add link eth0 name wire0 type macvlan mode bridge")?;
    ip(lab, i, &format!("addr add 10.78.0.{host}/24 dev wire0"))?;
    ip(lab, i, "link set wire0 up")
}

fn ip(lab: &Lab, i: usize, arguments: &str) -> Result<(), String> {
    let spawn = Spawn::new("ip").args(arguments.split(' ')).stderr(Output::Null);
    let exit = lab.machine(i).spawn(spawn).map_err(|error| error.to_string())?.wait();
    if exit.success() { Ok(()) } else { Err(format!("ip {arguments}: {exit}")) }
}

fn interface_back() -> Result<(), Failed> {
    let mut cluster = Cluster::new(2, CgroupWish::No);
    for i in 0..2 {
        plug(&cluster.lab, i)?;
        // The machines meet on the second interface alone.
        let text = cluster
            .base_config(i)
            .replace("10.77.0.0/24\"]\nstate", "10.78.0.0/24\"]\nstate")
            + "[announce]\ntargets = [{ to = \"239.255.44.45:4445\", interface = \"wire0\" }]\n";
        cluster.start_as(i, &text, Spawn::new(crate::support::PROGRAM));
    }
    cluster.wait_until_known(&[0, 1], 2);
    for _ in 0..2 {
        ip(&cluster.lab, 1, "link del wire0")?;
        cluster.wait_until_known(&[0, 1], 1);
        plug(&cluster.lab, 1)?;
        cluster.wait_until_known(&[0, 1], 2);
    }
    Ok(())
}

fn newer_version() -> Result<(), Failed> {
    let mut cluster = Cluster::new(2, CgroupWish::No);
    (0..2).for_each(|i| drop(cluster.start(i, "")));
    cluster.wait_until_known(&[0, 1], 2);
    let newer = Speaker { machine: MachineId([0x5e; 16]), boot: Boot([1; 16]) };
    let key = ClusterKey::from_text(KEY)?;
    let mut sealer = Sealer::new(&Ring, &key, Purpose::Announce, newer, 0);
    let socket = cluster.lab.udp(Place::Client, (cluster.lab.client_address(), 4445).into())?;
    let refused = "backhand_announcements_refused_total{reason=\"newer_version\"}";
    let mut sequence = 0;
    until("both have refused some", || {
        sequence += 1;
        let said = Announcement { sequence, ..Announcement::new("future", Contact::here(80)) };
        let (mut text, mut datagram) = (Vec::new(), Vec::new());
        said.encode(&mut text);
        // Its version, and the lowest that can read it.
        (text[0], text[1]) = (9, 9);
        sealer.seal(&text, &mut datagram);
        for i in 0..2 {
            let to = SocketAddr::new(cluster.address(i), 4445);
            socket.send_to(&datagram, to).unwrap();
        }
        (0..2).all(|i| cluster.metric(i, refused).is_some_and(|n| n >= 5.0)).then_some(())
    });
    for i in 0..2 {
        let said = cluster.said(i);
        let lines = said.lines().filter(|l| l.contains("announces in a newer packet version"));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), 1, "{said}");
        says(lines[0], &["WARN", "version=9", "upgrade this machine"])?;
        assert_eq!(cluster.usable(i), Some(2), "{said}");
        assert_eq!(cluster.get(i, "/")?.status, 200);
    }
    Ok(())
}

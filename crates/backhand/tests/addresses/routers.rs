//! Two routers whose addresses in three networks move as one.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use lab::{Cut, HostConfig, LabConfig, NetworkConfig, PingProbe, PingTrace, Place, Probing, Spawn};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::Stand;
use crate::support::PROGRAM;

pub(crate) const TRIALS: &[Named] = &[
    ("a_dead_router_is_replaced_in_all_networks_at_once", killed),
    ("a_router_that_stops_costs_no_packet", stopped),
    ("a_router_that_loses_one_network_gives_all_of_them_away", one_leg),
];

/// The address of the router in each network.
fn gateways() -> [IpAddr; 3] {
    [
        Ipv4Addr::new(10, 77, 0, 150).into(),
        Ipv4Addr::new(10, 78, 1, 150).into(),
        Ipv4Addr::new(10, 78, 2, 150).into(),
    ]
}

/// A pair of routers and a host in each network that knows no way but by them.
fn pair() -> Result<Stand, Failed> {
    let hosts = (0..3).map(|network| HostConfig::on(network).gateway(gateways()[network]));
    let networks = vec![NetworkConfig::new("eth1"), NetworkConfig::new("eth2")];
    let lab = LabConfig { hosts: hosts.collect(), networks, ..LabConfig::default() };
    let mut stand = Stand::silent_in(2, gateways(), lab);
    for i in stand.all() {
        stand.lab.set_sysctl(Place::Machine(i), "net.ipv4.ip_forward", "1")?;

        start(&mut stand, i);
    }
    stand.wait_until_whole(&stand.all());
    Ok(stand)
}

fn start(stand: &mut Stand, i: usize) {
    let quoted = gateways().map(|ip| format!("\"{ip}\"")).join(", ");
    let text = stand.with(i, &format!("list = [[{quoted}]]\n"));
    stand.start_as(i, &text, Spawn::new(PROGRAM));
}

/// Who has all of them.
fn router(stand: &Stand) -> Option<usize> {
    let all: Vec<Option<usize>> =
        gateways().into_iter().map(|ip| stand.holder(&stand.all(), ip)).collect();
    all[0].filter(|_| all.iter().all(|at| *at == all[0]))
}

/// Each host pings the next one, through the router.
fn traffic(stand: &Stand) -> Vec<Probing<PingTrace>> {
    let ping = |from: usize| {
        let to = stand.lab.host_addresses((from + 1) % 3)[0];
        PingProbe::new(Place::Host(from), to).start(&stand.lab).unwrap()
    };
    let pings: Vec<_> = (0..3).map(ping).collect();
    flows(stand, &pings, Instant::now());
    pings
}

/// Waits until every host was answered after this.
fn flows(stand: &Stand, pings: &[Probing<PingTrace>], after: Instant) {
    for ping in pings {
        stand.until("the traffic flows", || {
            let answered = |trace: &PingTrace| {
                trace.pings().iter().any(|one| one.sent > after && one.answered.is_some())
            };
            ping.look(answered).then_some(())
        });
    }
}

fn tell(what: &str, pings: Vec<Probing<PingTrace>>) -> (usize, Duration) {
    let mut worst = (0, Duration::ZERO);
    for (from, ping) in pings.into_iter().enumerate() {
        let trace = ping.finish();
        // The last ones may be on their way.
        let lost = trace.lost();
        let pause = trace.longest_pause().map_or(Duration::ZERO, |span| span.length());
        println!(
            "{what}: from network {from}: {} packets, lost {lost}, pause {pause:?}",
            trace.pings().len()
        );
        worst = (worst.0.max(lost), worst.1.max(pause));
    }
    worst
}

fn killed() -> Result<(), Failed> {
    let mut stand = pair()?;
    let at = router(&stand).expect("one has all");
    let pings = traffic(&stand);
    stand.kill(at);
    stand.wait_until_whole(&[1 - at]);
    assert_eq!(router(&stand), Some(1 - at), "{:?}", stand.map());
    flows(&stand, &pings, Instant::now());
    let (_, pause) = tell("router killed", pings);
    assert!(pause < Duration::from_secs(2), "{pause:?}");
    Ok(stand.all_live()?)
}

fn stopped() -> Result<(), Failed> {
    let mut stand = pair()?;
    let at = router(&stand).expect("one has all");
    let pings = traffic(&stand);
    stand.stop(at);
    assert_eq!(router(&stand), Some(1 - at), "{:?}", stand.map());
    flows(&stand, &pings, Instant::now());
    let met = stand.count(at, &["2 machines:"]);
    start(&mut stand, at);
    // The return is part of it: the two meet, and nothing of it moves anything.
    stand.wait_until_said_again(at, &["2 machines:"], met);
    let all = gateways().map(|ip| (ip, vec![1 - at]));
    stand.stays(&all.into(), Duration::from_millis(2_500));
    flows(&stand, &pings, Instant::now());
    let (lost, _) = tell("router stopped", pings);
    assert_eq!(lost, 0);
    Ok(stand.all_live()?)
}

fn one_leg() -> Result<(), Failed> {
    let stand = pair()?;
    let at = router(&stand).expect("one has all");
    let pings = traffic(&stand);
    let began = Instant::now();
    stand.lab.machine(at).cut_on(1, Cut::Carrier)?;
    stand.until("the other has all networks", || (router(&stand) == Some(1 - at)).then_some(()));
    println!("one leg cut: the other has all after {:?}", began.elapsed());
    flows(&stand, &pings, Instant::now());
    stand.lab.machine(at).heal_on(1)?;
    stand.wait_until_said(at, &["can be held here again"]);
    assert!(router(&stand).is_some(), "{:?}", stand.map());
    flows(&stand, &pings, Instant::now());
    let (_, pause) = tell("one leg cut", pings);
    assert!(pause < Duration::from_secs(2), "{pause:?}");
    Ok(stand.all_live()?)
}

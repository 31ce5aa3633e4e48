//! Addresses of version 6.

use std::io::Read;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lab::{Exit, Output, Place, Signal, Spawn, TcpTrace};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{ROUTER, Stand, WARM, v6};
use crate::support::PATIENCE;

pub(crate) const TRIALS: &[Named] = &[
    ("an_address_of_version_6_is_taken_over_from_the_dead", killed),
    ("an_address_of_version_6_moves_without_a_loss", stopped),
    ("addresses_of_version_6_are_no_source_and_never_tentative", as_asked_for),
    ("an_address_of_a_router_is_announced_as_one", router),
];

fn six() -> Stand {
    let mut stand = Stand::silent_passing(3, (1..=6).map(v6));
    stand.start_all();
    stand
}

fn knows(stand: &Stand, ip: IpAddr) {
    let holder = stand.holder(&stand.all(), ip).expect("one has it");
    let mac = stand.mac(holder);
    for host in [WARM, ROUTER] {
        stand.until("the advertisement is heard", || {
            (stand.believes(host, ip) == Some(mac)).then_some(())
        });
    }
}

fn killed() -> Result<(), Failed> {
    let mut stand = six();
    let at = stand.holder(&stand.all(), v6(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let eyes = Eyes::open(&stand, v6(1));
    let began = Instant::now();
    stand.kill(at);
    stand.wait_until_whole(&others);
    let served = Instant::now();
    eyes.wait_until_served(&stand, served);
    knows(&stand, v6(1));
    assert!(stand.held(at).is_empty());
    let seen = eyes.close();
    println!("version 6, killed: two answered for {:?}", seen.doubled(began, Instant::now()));
    seen.gap("version 6, killed", began, Duration::from_secs(2));
    let later = served + Duration::from_millis(200);
    let lost = seen.tcp.iter().flat_map(TcpTrace::lost).find(|one| one.started > later);
    assert!(lost.is_none(), "{lost:?}");
    stand.start(at);
    stand.wait_until_even(&stand.all());
    Ok(stand.all_live()?)
}

fn stopped() -> Result<(), Failed> {
    let mut stand = six();
    let at = stand.holder(&stand.all(), v6(1)).expect("one has it");
    let eyes = Eyes::open(&stand, v6(1));
    stand.stop(at);
    eyes.wait_until_served(&stand, Instant::now());
    knows(&stand, v6(1));
    stand.start(at);
    stand.wait_until_even(&stand.all());
    eyes.wait_until_served(&stand, Instant::now());
    eyes.close().nothing_lost("version 6, stopped", stand.resets(2));
    Ok(stand.all_live()?)
}

fn as_asked_for() -> Result<(), Failed> {
    let stand = six();
    for i in stand.all() {
        for held in stand.lab.addresses(Place::Machine(i))? {
            if stand.shared.contains(&held.address) {
                assert_eq!(held.preferred, Some(Duration::ZERO), "{held:?}");
                assert!(!held.tentative && held.prefix == 128, "{held:?}");
                assert!(held.valid.is_some_and(|left| left <= Duration::from_secs(3)), "{held:?}");
            }
        }
    }
    Ok(())
}

/// What is announced agrees with what the kernel answers: hosts drop their way through an address that is said to be no router's.
fn router() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v6(1)]);
    stand.more = "announce_every = \"1s\"\n".to_owned();
    let (place, setting) = (Place::Machine(0), "net/ipv6/conf/eth0/forwarding");
    stand.lab.set_sysctl(place, setting, "1")?;
    stand.start_all();
    assert!(is_told_of_a_router(&stand)?);
    stand.lab.set_sysctl(place, setting, "0")?;
    // The interfaces are looked at again at each signal.
    stand.run(0).signal(Signal::HUP)?;
    stand.wait_until_said(0, &["the configuration was read again"]);
    assert!(!is_told_of_a_router(&stand)?);
    Ok(stand.all_live()?)
}

/// Whether a host that believed the address elsewhere takes it for a router's by the next announcement. It sends nothing there, so
/// that it is told by nothing else.
fn is_told_of_a_router(stand: &Stand) -> Result<bool, Failed> {
    let (ip, mac) = (v6(1).to_string(), stand.mac(0));
    let nowhere = "02:00:00:00:00:99";
    at_host(stand, &["neigh", "replace", &ip, "lladdr", nowhere, "dev", "eth0", "nud", "stale"])?;
    stand.until("the announcement is heard", || {
        (stand.believes(WARM, v6(1)) == Some(mac)).then_some(())
    });
    let known = at_host(stand, &["neigh", "show", &ip])?;
    assert!(known.contains("lladdr"), "{known}");
    Ok(known.split_whitespace().any(|word| word == "router"))
}

/// What `ip` prints at a host.
fn at_host(stand: &Stand, words: &[&str]) -> Result<String, Failed> {
    let ip = Spawn::new("ip").args(words).cwd("/").stdout(Output::Pipe);
    let ip = stand.lab.spawn_in(Place::Host(WARM), ip)?;
    let mut said = String::new();
    ip.take_stdout().ok_or("it has no output")?.read_to_string(&mut said)?;
    assert_eq!(ip.wait_timeout(PATIENCE), Some(Exit::Code(0)), "ip {words:?}");
    Ok(said)
}

//! Changes of an interface that has addresses: another hardware address, packets too small for IPv6, a setting of the kernel. And of
//! the list.

use std::io::Read;
use std::time::{Duration, Instant};

use lab::{Exit, Output, Place, Spawn};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::faults::{LATER, second_network, start_second};
use crate::stand::{Stand, WARM, v4, v6};
use crate::support::{PATIENCE, PROGRAM};

pub(crate) const TRIALS: &[Named] = &[
    ("another_hardware_address_is_announced_at_once", readdressed),
    ("packets_too_small_for_version_6_are_no_other_program_s_doing", narrow),
    ("a_setting_that_a_shorter_prefix_needs_is_set_again", promoted),
    ("a_list_that_is_regrouped_on_one_machine_after_the_other_costs_no_connection", regrouped),
];

/// Sets something of an interface of machine `i`.
fn set_link(stand: &Stand, i: usize, interface: &str, words: [&str; 2]) -> Result<(), Failed> {
    let ip = Spawn::new("ip").args(["link", "set", "dev", interface]).args(words).cwd("/");
    let ip = stand.lab.machine(i).spawn(ip)?;
    assert_eq!(ip.wait_timeout(PATIENCE), Some(Exit::Code(0)), "{interface} {words:?}");
    Ok(())
}

/// Alone, so that nobody else could have taken it meanwhile; and the usual announcement of what is held is far off.
fn readdressed() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1), v6(2)]);
    stand.more = "announce_every = \"1h\"\n".to_owned();
    stand.start_all();
    for (at, (mac, held)) in
        [("02:00:00:00:aa:03", v4(1)), ("02:00:00:00:aa:04", v6(2))].into_iter().enumerate()
    {
        let eyes = Eyes::open(&stand, held);
        let began = Instant::now();
        set_link(&stand, 0, "eth0", ["address", mac])?;
        stand.wait_until_said(0, &["eth0 has another hardware address", mac, "announced again"]);
        stand.until("the announcement is heard", || {
            let heard = stand.believes(WARM, held).is_some_and(|told| told.to_string() == mac);
            heard.then_some(())
        });
        eyes.wait_until_served(&stand, Instant::now());
        eyes.close().gap("another hardware address", began, Duration::from_secs(2));
        assert_eq!(stand.count(0, &["eth0 has another hardware address"]), at + 1);
    }
    Ok(stand.all_live()?)
}

fn narrow() -> Result<(), Failed> {
    let mut stand = second_network();
    start_second(&mut stand);
    stand.wait_until_whole(&[0, 1]);
    let at = stand.holder(&[0, 1], LATER.into()).expect("one has it");
    set_link(&stand, at, "eth1", ["mtu", "1000"])?;
    stand.wait_until_said(at, &["cannot be held here", "eth1 has an MTU of 1000", "needs 1280"]);
    stand.wait_until_whole(&[1 - at]);
    assert_eq!(stand.count(at, &["was taken off by another program"]), 0);
    set_link(&stand, at, "eth1", ["mtu", "1500"])?;
    stand.wait_until_said(at, &["can be held here again"]);
    stand.wait_until_whole(&[0, 1]);
    Ok(stand.all_live()?)
}

fn promoted() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let text = stand.with(0, &format!("list = [\"{}/24\"]\n", v4(1)));
    stand.start_as(0, &text, Spawn::new(PROGRAM));
    stand.wait_until_whole(&[0]);
    let (place, setting) = (Place::Machine(0), "net/ipv4/conf/eth0/promote_secondaries");
    stand.lab.set_sysctl(place, setting, "0")?;
    stand.wait_until_said(0, &["somebody has set", "eth0.promote_secondaries to 0", "1 again"]);
    let read = Spawn::new("cat").args([format!("/proc/sys/{setting}")]).cwd("/");
    let read = stand.lab.machine(0).spawn(read.stdout(Output::Pipe))?;
    let mut value = String::new();
    read.take_stdout().ok_or("it has no output")?.read_to_string(&mut value)?;
    assert_eq!(value.trim(), "1");
    assert!(stand.is_whole(&[0]));
    Ok(stand.all_live()?)
}

fn regrouped() -> Result<(), Failed> {
    let stand = Stand::new(2, 8);
    let before = stand.map();
    let at = |machine: usize| {
        let of = before.iter().filter(move |(_, holders)| holders[..] == [machine]);
        of.map(|(ip, _)| *ip).collect::<Vec<_>>()
    };
    let (first, second) = (at(0), at(1));
    assert_eq!((first.len(), second.len()), (4, 4), "{before:?}");
    let quoted = |all: &[std::net::IpAddr]| {
        let quoted: Vec<String> = all.iter().map(|ip| format!("\"{ip}\"")).collect();
        quoted.join(", ")
    };
    let list = [&first[..2], &first[2..], &second[..2], &second[2..]]
        .map(|pair| format!("[{}]", quoted(pair)));
    let pairs = format!("list = [{}]\n", list.join(", "));
    let singles = stand.list();
    let eyes: Vec<Eyes> =
        [first[0], first[1], second[0], second[3]].map(|ip| Eyes::open(&stand, ip)).into();
    for (round, list) in [&pairs, &singles].into_iter().enumerate() {
        for i in [0, 1] {
            std::fs::write(stand.path(&format!("m{}.toml", i + 1)), stand.with(i, list))?;
            stand.run(i).signal_alone(lab::Signal::HUP)?;
            stand.until("it has read it", || {
                let said = stand.count(i, &["the configuration was read again"]);
                (said == round + 1).then_some(())
            });
            assert_eq!(stand.map(), before, "after machine {i}");
        }
        // As many as are listed, and none of the forms before.
        let sets = if round == 0 { 4 } else { 8 };
        stand.until("all know the new list", || {
            let known = |i: &usize| stand.listed(*i)["sets"].as_array().map(Vec::len);
            [0, 1].iter().all(|i| known(i) == Some(sets)).then_some(())
        });
        assert_eq!(stand.map(), before);
    }
    for eye in eyes {
        eye.wait_until_served(&stand, Instant::now());
        eye.close().nothing_lost("regrouped", 0);
    }
    // An order ends although its address was in other forms.
    println!("{}", stand.vip(0, &["drain"]).trim_end());
    assert!(stand.held(0).is_empty());
    Ok(stand.all_live()?)
}

//! What is held and cannot be kept, another configuration while something is held, interfaces that change under it.

use std::net::IpAddr;
use std::time::Instant;

use lab::{Cut, Exit, Place, Signal, Spawn};
use testkit::trial::Failed;

use crate::Named;
use crate::faults::{LATER, second_network};
use crate::stand::{Stand, v4, v6};
use crate::support::{PATIENCE, PROGRAM};

pub(crate) const TRIALS: &[Named] = &[
    ("an_address_that_the_kernel_takes_no_more_goes_to_another_machine_and_may_come_back", refused),
    ("an_interface_that_answers_nobody_is_said_once", unanswered),
    ("a_machine_that_comes_to_answer_nobody_gives_what_it_has_to_one_that_does", hidden),
    ("a_card_that_was_exchanged_is_no_stranger_s", another_card),
    ("a_set_put_under_quorum_by_a_signal_is_held_so_where_it_is", put_under_quorum),
];

/// Starts all machines with this section.
fn start_all(stand: &mut Stand, section: &str) {
    for i in stand.all() {
        let text = stand.with(i, section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
}

/// Version 6 is switched off at the interface of a holder: its addresses are gone, and none is taken back.
fn refused() -> Result<(), Failed> {
    let all: [IpAddr; 2] = [v6(1), v6(2)];
    let mut stand = Stand::silent(2, all);
    // Of an interface by its name: else there would be no network for them any more, which is another reason.
    start_all(&mut stand, &format!("list = [\"eth0:[{}]\", \"eth0:[{}]\"]\n", all[0], all[1]));
    stand.wait_until_even(&[0, 1]);
    let at = stand.holder(&[0, 1], v6(1)).expect("one has it");
    let (place, off) = (Place::Machine(at), "net/ipv6/conf/eth0/disable_ipv6");
    let began = Instant::now();
    stand.lab.set_sysctl(place, off, "1")?;
    stand.until("the other one has both", || {
        all.iter().all(|ip| stand.holder(&[0, 1], *ip) == Some(1 - at)).then_some(())
    });
    println!("held elsewhere {:?} after version 6 was switched off", began.elapsed());
    stand.wait_until_said(at, &["cannot be kept here", "IPv6 is switched off at this interface"]);
    assert!(stand.count(at, &["could not be renewed"]) <= 1, "it is said again and again");
    stand.lab.set_sysctl(place, off, "0")?;
    stand.until_within(2 * PATIENCE, "it takes part again", || {
        (stand.count(at, &["can be held here again"]) > 0).then_some(())
    });
    stand.wait_until_even(&[0, 1]);
    Ok(stand.all_live()?)
}

/// A setting of the kernel under which nobody can find what is held.
fn unanswered() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let (place, setting) = (Place::Machine(0), "net/ipv4/conf/eth0/arp_ignore");
    let said = ["answers at eth0 no question of a neighbour", "arp_ignore"];
    stand.lab.set_sysctl(place, setting, "8")?;
    stand.start(0);
    stand.wait_until_said(0, &said);
    stand.wait_until_whole(&[0]);
    // The interfaces are looked at again when their addresses have changed, and at each signal.
    let look = |n: usize| -> Result<(), Failed> {
        stand.run(0).signal(Signal::HUP)?;
        stand.until("it has looked again", || {
            (stand.count(0, &["the configuration was read again"]) == n).then_some(())
        });
        Ok(())
    };
    look(1)?;
    look(2)?;
    assert_eq!(stand.count(0, &said), 1);
    stand.lab.set_sysctl(place, setting, "1")?;
    look(3)?;
    stand.wait_until_said(0, &["answers neighbours at eth0 again"]);
    // Our addresses have the scope of a host.
    stand.lab.set_sysctl(place, setting, "3")?;
    look(4)?;
    stand.until("it is said", || (stand.count(0, &said) == 2).then_some(()));
    Ok(stand.all_live()?)
}

/// The same while something is held: it is noticed without any word of the kernel.
fn hidden() -> Result<(), Failed> {
    let mut stand = Stand::new(2, 2);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let (place, setting, other) = (Place::Machine(at), "net/ipv4/conf/eth0/arp_ignore", 1 - at);
    let began = Instant::now();
    stand.lab.set_sysctl(place, setting, "8")?;
    stand.wait_until_whole(&[other]);
    stand.until("it is off", || stand.held(at).is_empty().then_some(()));
    println!("held elsewhere {:?} after nobody was answered any more", began.elapsed());
    let said = "the kernel answers at eth0 no question of a neighbour for any address";
    stand.wait_until_said(at, &[said, "set net.ipv4.conf.eth0.arp_ignore"]);
    for words in [vec!["list"], vec!["explain", "10.77.0.101"]] {
        let told = stand.vip(at, &words);
        assert!(told.contains(said), "{told}");
    }
    // Better there than nowhere, as long as that is so.
    stand.kill(other);
    stand.wait_until_whole(&[at]);
    stand.start(other);
    stand.wait_until_whole(&[other]);
    stand.lab.set_sysctl(place, setting, "0")?;
    stand.wait_until_said(at, &["answers neighbours at eth0 again"]);
    stand.wait_until_even(&[0, 1]);
    Ok(stand.all_live()?)
}

/// A machine announces by another card than it was started with.
fn another_card() -> Result<(), Failed> {
    let mut stand = second_network();
    for i in stand.all() {
        let text = stand.with(i, "list = [[\"eth1:10.78.1.150\", \"eth1:[fd78:1::150]\"]]\n");
        // Else the bus finds a way by the second network when the first is cut.
        let text = text.replace("accept = [\"10.0.0.0/8\"", "accept = [\"10.77.0.0/16\"");
        assert!(text.contains("10.77.0.0/16"), "{text}");
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&[0, 1]);
    let at = stand.holder(&[0, 1], LATER.into()).expect("one has it");
    let (other, old) = (1 - at, stand.mac_on(1 - at, "eth1"));
    stand.lab.remove_link(Place::Machine(other), 1)?;
    stand.wait_until_said(other, &["there is no interface eth1"]);
    stand.lab.add_link(Place::Machine(other), 1)?;
    stand.wait_until_said(other, &["can be held here again"]);
    assert_ne!(stand.mac_on(other, "eth1"), old, "it is the same card");
    // The bus is cut and this network is not: both hold it, and each hears the other.
    stand.lab.machine(other).cut_on(0, Cut::PortMute)?;
    let name = format!("is held by m{} too", other + 1);
    stand.until("it knows whose card that is", || {
        let of = |words: &str| stand.count(at, &[words]);
        assert_eq!(of("is used by a stranger"), 0, "{}", stand.said(at));
        (of(&name) > 0).then_some(())
    });
    assert_eq!(stand.count(at, &[&name]), stand.count(at, &[&name, "looking for it"]));
    let conflicts = &stand.listed(at)["counters"]["conflicts"];
    assert!(conflicts["apart"].as_u64() > Some(0) && conflicts["defended"] == 0, "{conflicts}");
    stand.lab.machine(other).heal_on(0)?;
    stand.wait_until_whole(&[0, 1]);
    Ok(stand.all_live()?)
}

/// A set under quorum moves with its end first: the program that is run then has ended before another machine has the set.
fn put_under_quorum() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, [v4(1), v4(2)]);
    let told = stand.path("told");
    let hook = |event: &str, script: &str| {
        format!(
            "[[addresses.hook]]\nevent = \"{event}\"\n\
             command = [\"/bin/sh\", \"-c\", '{script} >> {}']\nsets = [\"db\"]\n",
            told.display()
        )
    };
    let hooks = hook("on down", "sleep 0.5; echo down") + &hook("on up", "echo up");
    let socket = |i: usize| stand.path(&format!("m{}.sock", i + 1));
    // Another is under quorum from the start: who has the majority is worked out in each view.
    let text = |i: usize, more: &str| {
        let section = format!(
            "socket = \"{}\"\n[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\n{more}\
             [[addresses.set]]\naddresses = [\"{}\"]\nquorum = true\n\
             [addresses.quorum]\nmembers = {{ m1 = 1, m2 = 1, m3 = 1 }}\n{hooks}",
            socket(i).display(),
            v4(1),
            v4(2)
        );
        stand.with(i, &section)
    };
    let under = "quorum = true\n";
    let texts: Vec<(String, String)> =
        stand.all().into_iter().map(|i| (text(i, ""), text(i, under))).collect();
    let sockets: Vec<_> = stand.all().into_iter().map(socket).collect();
    for (i, (before, _)) in texts.iter().enumerate() {
        stand.start_as(i, before, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&stand.all());
    let lines = |stand: &Stand| {
        let text = std::fs::read_to_string(stand.path("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let ended_first = |stand: &Stand, before: usize, what: &str| {
        let new = stand.until(what, || {
            let new = lines(stand).split_off(before);
            (new.len() >= 2).then_some(new)
        });
        assert_eq!(new, ["down", "up"], "{what}");
    };
    stand.until("its programs have ended", || {
        let count = |what: &str| lines(&stand).iter().filter(|line| *line == what).count();
        (count("up") == count("down") + 1).then_some(())
    });
    for (i, (_, after)) in texts.iter().enumerate() {
        std::fs::write(stand.path(&format!("m{}.toml", i + 1)), after)?;
        stand.run(i).signal(Signal::HUP)?;
    }
    for i in stand.all() {
        stand.wait_until_said(i, &["the configuration was read again"]);
    }
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it, and nothing has moved");
    let before = lines(&stand).len();
    let drain = Spawn::new(PROGRAM).args(["vip", "drain", "--socket"]).arg(&sockets[at]);
    let drain = stand.lab.machine(at).spawn(drain)?;
    ended_first(&stand, before, "it has moved");
    assert_eq!(drain.wait_timeout(PATIENCE), Some(Exit::Code(0)));
    let new = stand.holder(&stand.all(), v4(1)).expect("another has it");
    assert_ne!(new, at);
    let before = lines(&stand).len();
    stand.kill(new);
    ended_first(&stand, before, "the word of the guardian was followed");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != new).collect();
    assert!(
        others.iter().any(|i| stand.count(*i, &["its lease is not waited for"]) > 0),
        "no word of the guardian was heard"
    );
    Ok(stand.all_live()?)
}

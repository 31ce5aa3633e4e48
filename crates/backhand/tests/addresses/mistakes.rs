//! Mistakes of people and of other programs: each is said, and leaves everything in a safe state.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lab::{Exit, Output, Place, Signal, Spawn};
use testkit::trial::Failed;

use crate::eyes::Eyes;
use crate::stand::{ASKER, Stand, v4, v6};
use crate::support::{PATIENCE, PROGRAM};
use crate::{Named, rights};

pub(crate) const TRIALS: &[Named] = &[
    ("an_address_in_no_interface_s_network_is_said_and_the_others_are_held", nowhere),
    ("an_address_that_a_stranger_has_is_not_taken_until_he_has_gone", taken),
    ("a_stranger_that_comes_later_is_told_so_each_ten_seconds_and_the_address_is_kept", stranger),
    ("machines_that_list_an_address_differently_say_so_and_leave_it_where_it_is", contradiction),
    ("without_a_right_that_it_needs_it_ends_and_says_which", no_right),
    ("an_address_taken_off_by_another_program_is_put_back_and_given_up_in_the_end", taken_off),
    ("an_address_put_on_by_another_program_is_said", put_on),
    ("a_shared_address_that_another_program_has_here_is_left_to_it", not_ours),
    ("an_address_that_a_machine_has_for_itself_is_taken_by_nobody_and_all_say_whose_it_is", own),
];

/// The number of an address that nobody has.
const NOBODY: u8 = 99;

/// Starts all machines with this section.
fn start_all(stand: &mut Stand, section: &str) {
    for i in stand.all() {
        let text = stand.with(i, section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
}

fn nowhere() -> Result<(), Failed> {
    let far: IpAddr = [192, 0, 2, 9].into();
    let mut stand = Stand::silent(2, [v4(1), v4(2)]);
    start_all(&mut stand, &format!("list = [\"{}\", \"{far}\", \"{}\"]\n", v4(1), v4(2)));
    stand.wait_until_even(&[0, 1]);
    for i in [0, 1] {
        stand.wait_until_said(
            i,
            &[
                "192.0.2.9 cannot be held here",
                "in the network of no interface",
                "name one, as in \"eth0:192.0.2.9\"",
            ],
        );
        let all = stand.lab.addresses(Place::Machine(i))?;
        assert!(all.iter().all(|held| held.address != far));
    }
    Ok(stand.all_live()?)
}

fn taken() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, [v4(1), v4(2), v6(3)]);
    let (host, mac) = (Place::Host(ASKER), stand.lab.links(Place::Host(ASKER))?);
    let mac = mac.iter().find(|link| link.name == "eth0").and_then(|link| link.mac).unwrap();
    stand.lab.add_address(host, "eth0", v4(2), 32, None)?;
    stand.lab.add_address(host, "eth0", v6(3), 128, None)?;
    [0, 1].into_iter().for_each(|i| stand.start(i));
    for ip in [v4(2), v6(3)] {
        let words = format!("{ip} is in use by a stranger at {mac}");
        let at = stand.until("whoever was to have it says who has", || {
            (0..2).find(|i| stand.count(*i, &[&words, "give that"]) > 0)
        });
        // Those who ask hear it too, and not only those who read the log.
        let explained = stand.vip(at, &["explain", &ip.to_string()]);
        assert!(explained.contains(&words), "{explained}");
    }
    stand.until("the free one is held", || stand.map().contains_key(&v4(1)).then_some(()));
    // Each of them has asked by itself, and has heard that the other could not.
    for i in [0, 1] {
        stand.wait_until_said(i, &[&format!("{} is in use by a stranger", v4(2))]);
        stand.wait_until_said(i, &["cannot have", &v4(2).to_string()]);
    }
    let of: BTreeSet<IpAddr> = stand.map().into_keys().collect();
    assert!(!of.contains(&v4(2)) && !of.contains(&v6(3)), "{of:?}");
    stand.lab.delete_address(host, "eth0", v4(2))?;
    stand.lab.delete_address(host, "eth0", v6(3))?;
    let free = Instant::now();
    stand.until_within(2 * PATIENCE, "they are taken once they are free", || {
        stand.is_whole(&[0, 1]).then_some(())
    });
    println!("a stranger's addresses are taken {:?} after he has gone", free.elapsed());
    Ok(stand.all_live()?)
}

fn stranger() -> Result<(), Failed> {
    let stand = Stand::new(2, 2);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let host = Place::Host(ASKER);
    stand.lab.add_address(host, "eth0", v4(1), 32, None)?;
    // Whoever looks for a neighbour says who wants to know it.
    let socket = stand.lab.udp(host, SocketAddr::new(v4(1), 0))?;
    let views = |stand: &Stand| -> usize {
        let of = |i| stand.count(i, &["machines:"]) + stand.count(i, &["1 machine:"]);
        of(0) + of(1)
    };
    let (mut told, mut claims, before) = (Vec::new(), 0, views(&stand));
    stand.until_within(Duration::from_secs(40), "he was told twice", || {
        socket.send_to(b"is anybody there?", SocketAddr::new(v4(NOBODY), 9)).unwrap();
        claims += 1;
        // A stranger uses the address when he likes.
        std::thread::sleep(Duration::from_millis(200));
        let said =
            stand.count(at, &[&v4(1).to_string(), "is used by a stranger at", "told so, and kept"]);
        if said > told.len() {
            told.push(Instant::now());
        }
        (told.len() == 2).then_some(())
    });
    let between = told[1] - told[0];
    println!("a stranger used it {claims} times and was told again after {between:?}");
    // A busy machine may have lost the other one for a moment, and with it the address. Nothing else excuses it.
    if views(&stand) == before {
        assert_eq!(stand.count(at, &[&v4(1).to_string(), "is up here"]), 1, "it was away");
        assert!(between > Duration::from_secs(9), "{between:?}");
        assert_eq!(stand.holder(&[0, 1], v4(1)), Some(at), "it was not kept");
    }
    stand.lab.delete_address(host, "eth0", v4(1))?;
    Ok(stand.all_live()?)
}

fn contradiction() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, [v4(1), v4(2), v4(3)]);
    let (together, apart) = (
        format!("list = [[\"{}\", \"{}\"], \"{}\"]\n", v4(1), v4(2), v4(3)),
        format!("list = [\"{}\", \"{}\", \"{}\"]\n", v4(1), v4(2), v4(3)),
    );
    for i in [0, 1] {
        let text = stand.with(i, &together);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&[0, 1]);
    let before = stand.map();
    let text = stand.with(2, &apart);
    stand.start_as(2, &text, Spawn::new(PROGRAM));
    let stays = format!("the form [{}, {}] stays where it is", v4(1), v4(2));
    for i in stand.all() {
        stand.wait_until_said(i, &["machines list", "differently", &stays]);
    }
    stand.wait_until_whole(&stand.all());
    let after = stand.map();
    for ip in [v4(1), v4(2)] {
        assert_eq!(before.get(&ip), after.get(&ip), "it has moved");
    }
    // Once the lists agree, it is an address like any other.
    stand.stop(2);
    let text = stand.with(2, &together);
    stand.start_as(2, &text, Spawn::new(PROGRAM));
    let holder = stand.holder(&[0, 1, 2], v4(1)).expect("one has it");
    stand.stop(holder);
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != holder).collect();
    stand.wait_until_whole(&others);
    Ok(stand.all_live()?)
}

fn no_right() -> Result<(), Failed> {
    for (right, which) in rights::NEEDED {
        let stand = Stand::silent(1, [v4(1)]);
        let file = stand.path("m1.toml");
        std::fs::write(&file, stand.with(0, &stand.list()))?;
        let log = stand.path("m1.log");
        let spawn = rights::without(right).args(["run", "--config"]).arg(&file).cwd("/");
        let spawn = spawn.stdout(Output::File(log.clone())).stderr(Output::File(log));
        let run = stand.lab.machine(0).spawn(spawn)?;
        let exit = run.wait_timeout(PATIENCE);
        let said = stand.said(0);
        let last = said.lines().last().unwrap_or_default();
        println!("without {right}: {exit:?}, {last}");
        assert_eq!(exit, Some(Exit::Code(1)), "{said}");
        let checked = stand.path("checked");
        let check = rights::without(right).args(["check", "--config"]).arg(&file).cwd("/");
        let check = check.stdout(Output::File(checked.clone())).stderr(Output::Null);
        let exit = stand.lab.machine(0).spawn(check)?.wait_timeout(PATIENCE);
        let told = std::fs::read_to_string(&checked)?;
        assert!(
            exit == Some(Exit::Code(0)) && told.contains(&format!("{right} ({which}) missing")),
            "{told}"
        );
        // The remedy names both; what is missing is only the one.
        let missing = format!("the addresses cannot be managed: {right} ({which}) missing");
        assert!(last.contains(&missing), "{said}");
        assert!(stand.map().is_empty(), "{:?}", stand.map());
    }
    Ok(())
}

fn taken_off() -> Result<(), Failed> {
    let stand = Stand::new(2, 2);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let eyes = Eyes::open(&stand, v4(1));
    let put_back = |n: usize| {
        stand.until("it is put back", || {
            let words = ["was taken off by another program and is put back"];
            (stand.count(at, &words) == n && stand.held(at).contains(&v4(1))).then_some(())
        });
    };
    for n in 1..=5 {
        stand.lab.delete_address(Place::Machine(at), "eth0", v4(1))?;
        put_back(n);
    }
    eyes.wait_until_served(&stand, Instant::now());
    stand.lab.delete_address(Place::Machine(at), "eth0", v4(1))?;
    stand.wait_until_said(at, &["another program takes it off again and again"]);
    stand.until("the other one has it", || {
        (stand.holder(&[0, 1], v4(1)) == Some(1 - at)).then_some(())
    });
    eyes.wait_until_served(&stand, Instant::now());
    let seen = eyes.close();
    seen.gap("taken off again and again", seen.owner.questions()[0].asked, Duration::from_secs(2));
    Ok(stand.all_live()?)
}

fn put_on() -> Result<(), Failed> {
    let stand = Stand::new(2, 2);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let other = 1 - at;
    stand.lab.add_address(Place::Machine(other), "eth0", v4(1), 32, None)?;
    stand.wait_until_said(other, &[&v4(1).to_string(), "by another program", "take it off there"]);
    stand.lab.delete_address(Place::Machine(other), "eth0", v4(1))?;
    stand.wait_until_even(&[0, 1]);
    assert_eq!(stand.holder(&[0, 1], v4(1)), Some(at));
    Ok(stand.all_live()?)
}

/// One that is there for ever before the start is somebody else's, not a leftover.
fn not_ours() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, [v4(1), v4(2)]);
    stand.lab.add_address(Place::Machine(0), "eth0", v4(1), 24, None)?;
    [0, 1].into_iter().for_each(|i| stand.start(i));
    stand.wait_until_said(0, &[&v4(1).to_string(), "by another program"]);
    let held = stand.lab.addresses(Place::Machine(0))?;
    let held = held.into_iter().find(|held| held.address == v4(1));
    assert!(held.is_some_and(|held| held.valid.is_none() && held.prefix == 24));
    Ok(stand.all_live()?)
}

/// All machines read their files again, with this section.
fn read_again(stand: &Stand, section: &str) -> Result<(), Failed> {
    let said = ["the configuration was read again"];
    for i in stand.all() {
        let before = stand.count(i, &said);
        std::fs::write(stand.path(&format!("m{}.toml", i + 1)), stand.with(i, section))?;
        stand.run(i).signal(Signal::HUP)?;
        stand.wait_until_said_again(i, &said, before);
    }
    Ok(())
}

/// Who took it would cut that machine off from all others.
fn own() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, (1..=3).map(v4));
    stand.start_all();
    let machine = stand.lab.machine(1);
    let six = machine.address6().map(IpAddr::from);
    let own: Vec<IpAddr> = std::iter::once(machine.address()).chain(six).collect();
    let quoted = stand.shared.iter().chain(&own).map(|ip| format!("\"{ip}\""));
    let section = format!("list = [{}]\n", quoted.collect::<Vec<_>>().join(", "));
    read_again(&stand, &section)?;
    for ip in &own {
        let (here, there) = (
            format!("{ip} is an address of this machine itself"),
            format!("{ip} is an address of m2 itself"),
        );
        stand.wait_until_said(1, &[&here, "take it out of the list"]);
        for i in [0, 2] {
            stand.wait_until_said(i, &[&there, "take it out of the list"]);
            let explained = stand.vip(i, &["explain", &ip.to_string()]);
            assert!(explained.contains(&there), "{explained}");
        }
        assert!(stand.vip(1, &["list"]).contains(&here));
    }
    // The rest of the list works, with that machine.
    stand.wait_until_even(&[0, 1, 2]);
    for i in stand.all() {
        let all = stand.lab.addresses(Place::Machine(i))?;
        for ip in &own {
            let held = all.iter().find(|held| held.address == *ip);
            assert_eq!(held.map(|held| held.valid.is_none()), (i == 1).then_some(true), "{ip}");
        }
        let machines = stand.listed(i)["machines"].as_array().map(Vec::len);
        assert_eq!(machines, Some(3), "{}", stand.said(i));
        assert_eq!(stand.count(i, &["in the network of no interface"]), 0);
    }
    // Nor is it a leftover when its machine starts.
    stand.kill(1);
    let text = stand.with(1, &section);
    stand.start_as(1, &text, Spawn::new(PROGRAM));
    stand.wait_until_even(&[0, 1, 2]);
    let usual = stand.list();
    read_again(&stand, &usual)?;
    stand.wait_until_even(&[0, 1, 2]);
    for ip in &own {
        let all = stand.lab.addresses(Place::Machine(1))?;
        assert!(all.iter().any(|held| held.address == *ip && held.valid.is_none()), "{ip}");
    }
    Ok(stand.all_live()?)
}

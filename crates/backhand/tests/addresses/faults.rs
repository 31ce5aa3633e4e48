//! Faults of what a machine stands on: interfaces, hooks, the bus, switches, logs, processors.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lab::{
    Cut, Exit, HostConfig, Lab, LabConfig, NetworkConfig, Output, Place, Process, Signal, Spawn,
    Which,
};
use testkit::trial::{Failed, Needs};

use crate::eyes::Eyes;
use crate::stand::{LEASE, PORT, Stand, may_pass_on, passing_lab, v4};
use crate::support::{PATIENCE, PROGRAM};
use crate::{Named, stage};

pub(crate) const TRIALS: &[Named] = &[
    ("an_interface_that_comes_later_is_used_then", comes_later),
    ("an_interface_that_goes_takes_its_addresses_elsewhere_and_gets_its_share_back", pulled_out),
    ("an_interface_that_an_administrator_sets_down_is_as_a_pulled_cable", set_down),
    ("what_a_network_that_is_away_everywhere_had_is_nowhere_and_back_with_it", away_everywhere),
    ("hooks_that_hang_are_killed_and_delay_nothing", hooks),
    ("a_hook_that_fails_is_logged_once", failing_hook),
    ("what_stops_something_as_the_program_stands_still_has_ended_before_it_is_run_again", in_turn),
    ("a_guardian_that_somebody_has_stopped_is_replaced", deaf_guardian),
    ("a_bus_that_dies_takes_the_addresses_off_until_it_is_back", bus),
    ("a_switch_that_forgets_multicast_costs_nothing", multicast),
    ("a_log_that_nobody_reads_stops_nothing", speechless),
    ("saturated_processors_cause_no_failover", busy),
];

/// Those that need a kernel that renames an interface that is up: see [`may_rename`].
pub(crate) const RENAMING: &[Named] =
    &[("an_interface_with_another_name_is_another_interface", renamed)];

/// Whether the kernel gives an interface another name while it is up, which those before 6.2 do not.
pub(crate) fn may_rename() -> Needs {
    let small = LabConfig { machines: 1, ..LabConfig::default() };
    let lab = Lab::start(small).map_err(|why| why.to_string())?;
    match lab.rename_link(Place::Machine(0), "eth0", "other") {
        // Any other trouble is the test's to show.
        Err(error) if error.to_string().contains("busy") => {
            Err("this kernel does not rename an interface that is up".into())
        }
        _ => Ok(()),
    }
}

pub(crate) const LATER: [u8; 4] = [10, 78, 1, 150];
const LATER6: [u16; 8] = [0xfd78, 1, 0, 0, 0, 0, 0, 0x150];

/// Two machines with a second network, and a set of addresses in it that name their interface.
pub(crate) fn second_network() -> Stand {
    let lab = LabConfig {
        hosts: vec![HostConfig::on(0), HostConfig::on(1)],
        networks: vec![NetworkConfig::new("eth1")],
        ..LabConfig::default()
    };
    Stand::silent_in(2, [IpAddr::from(LATER), LATER6.into()], lab)
}

pub(crate) fn start_second(stand: &mut Stand) {
    for i in stand.all() {
        let text = stand.with(i, "list = [[\"eth1:10.78.1.150\", \"eth1:[fd78:1::150]\"]]\n");
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
}

fn comes_later() -> Result<(), Failed> {
    let mut stand = second_network();
    for i in stand.all() {
        stand.lab.remove_link(Place::Machine(i), 1)?;
    }
    start_second(&mut stand);
    for i in stand.all() {
        stand.wait_until_said(i, &["cannot be held here", "there is no interface eth1"]);
        stand.wait_until_said(i, &["2 machines:"]);
    }
    assert!(stand.map().is_empty());
    stand.lab.add_link(Place::Machine(1), 1)?;
    stand.wait_until_said(1, &["can be held here again"]);
    println!("held {:?} after the interface has come", stand.wait_until_whole(&[1]));
    stand.lab.add_link(Place::Machine(0), 1)?;
    stand.wait_until_said(0, &["can be held here again"]);
    assert!(stand.is_whole(&[1]), "it moved for nothing: {:?}", stand.map());
    Ok(stand.all_live()?)
}

fn pulled_out() -> Result<(), Failed> {
    let mut stand = second_network();
    start_second(&mut stand);
    stand.wait_until_whole(&[0, 1]);
    for _ in 0..2 {
        let at = stand.holder(&[0, 1], LATER.into()).expect("one has it");
        let before = stand.count(at, &["can be held here again"]);
        stand.lab.remove_link(Place::Machine(at), 1)?;
        println!(
            "held elsewhere {:?} after the card was pulled",
            stand.wait_until_whole(&[1 - at])
        );
        stand.lab.add_link(Place::Machine(at), 1)?;
        stand.wait_until_said_again(at, &["can be held here again"], before);
    }
    stand.wait_until_whole(&[0, 1]);
    Ok(stand.all_live()?)
}

fn renamed() -> Result<(), Failed> {
    let mut stand = second_network();
    start_second(&mut stand);
    stand.wait_until_whole(&[0, 1]);
    let at = stand.holder(&[0, 1], LATER.into()).expect("one has it");
    let place = Place::Machine(at);
    stand.lab.rename_link(place, "eth1", "other")?;
    stand.wait_until_said(at, &["there is no interface eth1"]);
    stand.wait_until_whole(&[1 - at]);
    stand.until("nothing is left on it", || stand.held(at).is_empty().then_some(()));
    stand.lab.rename_link(place, "other", "eth1")?;
    stand.wait_until_said(at, &["can be held here again"]);
    stand.kill(1 - at);
    stand.wait_until_whole(&[at]);
    Ok(stand.all_live()?)
}

fn set_down() -> Result<(), Failed> {
    let mut stand = second_network();
    start_second(&mut stand);
    stand.wait_until_whole(&[0, 1]);
    let at = stand.holder(&[0, 1], LATER.into()).expect("one has it");
    stand.lab.set_link(Place::Machine(at), "eth1", false)?;
    stand.wait_until_said(at, &["interface eth1 is down"]);
    stand.wait_until_whole(&[1 - at]);
    // A link that is down keeps what is on it, and would answer for it again.
    stand.until("it is off", || stand.held(at).is_empty().then_some(()));
    stand.lab.set_link(Place::Machine(at), "eth1", true)?;
    stand.wait_until_said(at, &["can be held here again"]);
    stand.wait_until_whole(&[0, 1]);
    Ok(stand.all_live()?)
}

/// A switch that goes away with all carriers, while the machines meet over another.
fn away_everywhere() -> Result<(), Failed> {
    let mut stand = second_network();
    start_second(&mut stand);
    for i in stand.all() {
        stand.wait_until_said(i, &["2 machines:"]);
    }
    stand.wait_until_whole(&[0, 1]);
    for i in stand.all() {
        stand.lab.machine(i).cut_on(1, Cut::Carrier)?;
    }
    stand.until("it is off", || stand.map().is_empty().then_some(()));
    let head = IpAddr::from(LATER).to_string();
    for i in stand.all() {
        stand.wait_until_said(i, &[&head, "is nowhere", "(unable)"]);
        let listed = stand.listed(i);
        let set = &listed["sets"][0];
        assert_eq!((&set["state"], &set["why"]), (&"nowhere".into(), &"unable".into()), "{set}");
        assert!(set["owner"].is_null() && set["here"] == false, "{set}");
        let explained = stand.vip(i, &["explain", &head]);
        assert!(explained.contains("no machine's interfaces can hold it now"), "{explained}");
        let dark = format!("interface eth1 has no carrier ({head})");
        assert_eq!(stand.vip(i, &["list"]).matches(&dark).count(), 1);
    }
    // Meanwhile a word of each goes round over the network that is left, which shows that nobody was lost.
    stand.stays(&BTreeMap::new(), Duration::from_millis(1_500));
    let began = Instant::now();
    for i in stand.all() {
        stand.lab.machine(i).heal_on(1)?;
    }
    stand.wait_until_whole(&[0, 1]);
    let took = began.elapsed();
    println!("held {took:?} after the network is back");
    assert!(took < Duration::from_secs(2), "it was waited with: {took:?}");
    Ok(stand.all_live()?)
}

/// How long a hook may take that hangs: whatever waits for it takes longer.
const HOOK: Duration = Duration::from_secs(2);

/// How many processes of this machine have this word on their command lines, in whatever namespaces.
fn running_with(word: &str) -> usize {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let line = |path: std::path::PathBuf| std::fs::read(path.join("cmdline")).unwrap_or_default();
    let lines = all.map(|entry| String::from_utf8_lossy(&line(entry.path())).into_owned());
    lines.filter(|line| line.contains(word)).count()
}

fn hooks() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, (1..=2).map(v4));
    // For years, and for as long as nothing else here does.
    let sleep = format!("sleep 60{:08}", std::process::id());
    let word = sleep.replace(' ', "\0");
    let hook = |event: &str| {
        format!(
            "[[addresses.hook]]\nevent = \"{event}\"\ncommand = [\"/bin/sh\", \"-c\", \"{sleep} & {sleep}; true\"]\ntimeout = \"{}s\"\n",
            HOOK.as_secs()
        )
    };
    stand.more = ["on up", "on down", "post up", "post down"].map(hook).concat();
    [0, 1].into_iter().for_each(|i| stand.start(i));
    stand.until("a hook has two children", || (running_with(&word) >= 2).then_some(()));
    stand.wait_until_even(&[0, 1]);
    for i in [0, 1] {
        for event in ["on-up", "post-up"] {
            let hook = format!("{event} /bin/sh");
            stand.wait_until_said(i, &[&hook, "its time limit was over"]);
        }
    }
    let eyes = Eyes::open(&stand, v4(1));
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let began = Instant::now();
    let leaving = stand.leave(at);
    stand.wait_until_whole(&[1 - at]);
    let taken = began.elapsed();
    let exit = leaving.wait_timeout(PATIENCE);
    assert_eq!(exit, Some(Exit::Code(0)), "{}", stand.said(at));
    println!("with hooks that hang: taken after {taken:?}, stopped after {:?}", began.elapsed());
    assert!(taken < HOOK, "it was taken only after {taken:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
    eyes.wait_until_served(&stand, Instant::now());
    stand.wait_until_said(at, &["on-down /bin/sh", "its time limit was over"]);
    // What stops something has its whole time, though the service ends.
    stand.wait_until_said(at, &["post-down /bin/sh", "its time limit was over"]);
    eyes.close().nothing_lost("hooks that hang", 1);
    // The other machine's for what it has taken are ended as well.
    stand.until("no child of a hook is left", || (running_with(&word) == 0).then_some(()));
    Ok(stand.all_live()?)
}

/// Whether it ends while the service goes on or while it stops.
fn failing_hook() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    let runs = stand.path("runs");
    let hook = |event: &str| {
        let command = format!("echo {event} >> {}; exit 3", runs.display());
        format!(
            "[[addresses.hook]]\nevent = \"{event}\"\ncommand = [\"/bin/sh\", \"-c\", \"{command}\"]\n"
        )
    };
    stand.more = ["on up", "on down"].map(hook).concat();
    stand.start_all();
    stand.wait_until_said(0, &["on-up /bin/sh", "ended with status 3"]);
    stand.stop(0);
    let runs = std::fs::read_to_string(runs)?;
    assert!(runs.contains("on up") && runs.contains("on down"), "{runs}");
    assert_eq!(stand.count(0, &["ended with status 3"]), runs.lines().count(), "{runs}");
    Ok(())
}

fn in_turn() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, [v4(1)]);
    for i in stand.all() {
        let ran = stand.path(&format!("ran{i}"));
        let script = format!("echo begins >> {0}; sleep 2; echo ends >> {0}", ran.display());
        let section = format!(
            "{}[[addresses.hook]]\nevent = \"on down\"\ntimeout = \"10s\"\ncommand = [\"/bin/sh\", \"-c\", '{script}']\n",
            stand.list()
        );
        let text = stand.with(i, &section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_whole(&[0, 1]);
    let at = stand.holder(&[0, 1], v4(1)).expect("one has it");
    let ran = stand.path(&format!("ran{at}"));
    // It may have come and gone as the machines met.
    stand.until("nothing of it runs any more", || {
        (stand.count(at, &["is gone from here"]) == stand.count(at, &["on-down", "ended"]))
            .then_some(())
    });
    let _ = std::fs::remove_file(&ran);
    let said = || std::fs::read_to_string(&ran).unwrap_or_default();
    stand.vip(1 - at, &["move", &v4(1).to_string(), &format!("m{}", 2 - at)]);
    stand.until("it is being stopped", || (said() == "begins\n").then_some(()));
    // The guardian has been told of it by the turn after that in which it began.
    std::thread::sleep(Duration::from_millis(200));
    stand.run(at).signal_alone(Signal::STOP)?;
    stand.until("the guardian has stopped it", || {
        (said().matches("ends").count() == 2).then_some(())
    });
    stand.run(at).signal_alone(Signal::CONT)?;
    assert_eq!(said(), "begins\nends\nbegins\nends\n");
    stand.wait_until_whole(&[0, 1]);
    Ok(stand.all_live()?)
}

fn deaf_guardian() -> Result<(), Failed> {
    let mut stand = Stand::silent(1, [v4(1)]);
    // A lease so long that nothing but a guardian takes an address off in time.
    stand.more = "lease = \"20s\"\n".to_owned();
    stand.start_all();
    let guardian = Which::Named("backhand-guard".to_owned());
    let began = Instant::now();
    stand.lab.machine(0).signal_one(&guardian, Signal::STOP)?;
    // Until there is no room for what it is told.
    stand.until_within(Duration::from_secs(60), "it is noticed", || {
        (stand.count(0, &["the guardian does not read what it is told"]) > 0).then_some(())
    });
    println!("a guardian that was stopped is noticed after {:?}", began.elapsed());
    stand.until("there is another", || (stand.listed(0)["guarded"] == true).then_some(()));
    let began = Instant::now();
    stand.kill(0);
    stand.until("it is off", || stand.held(0).is_empty().then_some(()));
    assert!(began.elapsed() < Duration::from_secs(5), "it did not know: {:?}", began.elapsed());
    Ok(())
}

/// Addresses whose bus is a daemon of its own: a Backhand without addresses.
fn bus() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, (1..=2).map(v4));
    let daemon = |stand: &Stand, i: usize| {
        let text = stand.base(i).replace(&format!("[::]:{PORT}"), "[::]:8081");
        let ports = "[announce]\nport = 4455\nexchange_port = 4456\n";
        let text = text.replace("[announce]\n", ports).replace("127.0.0.1:4445", "127.0.0.1:4455");
        // With a state of its own: the line before the one that begins with this.
        let text = text.replace("\"\naccept =", ".bus-state\"\naccept =");
        let (file, log) = (format!("daemon{i}.toml"), stand.path(&format!("daemon{i}.log")));
        std::fs::write(stand.path(&file), text).unwrap();
        let spawn = Spawn::new(PROGRAM).args(["run", "--config"]).arg(stand.path(&file)).cwd("/");
        let spawn = spawn.stdout(Output::File(log.clone())).stderr(Output::File(log));
        stand.lab.machine(i).spawn(spawn).unwrap()
    };
    let mut daemons = Vec::new();
    for i in [0, 1] {
        daemons.push(daemon(&stand, i));
        let socket = stand.path(&format!("m{}.bus", i + 1));
        let section = format!(
            "daemon = \"{}\"\nretry_interval = \"200ms\"\n{}",
            socket.display(),
            stand.list()
        );
        let text = stand.with(i, &section);
        // Nothing of a bus of its own.
        let (from, to) = (text.find("[bus]").unwrap(), text.find("[addresses]").unwrap());
        let text = format!("{}{}", &text[..from], &text[to..]);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
    stand.wait_until_even(&[0, 1]);
    let began = Instant::now();
    daemons[0].kill9()?;
    stand.until("everything is let go", || stand.held(0).is_empty().then_some(()));
    println!("let go {:?} after the daemon's death", began.elapsed());
    stand.wait_until_said(0, &["the bus is away", "every address is let go until it is back"]);
    stand.wait_until_said(0, &["trying again in"]);
    println!("the other has all after {:?}", stand.wait_until_whole(&[1]));
    let met = stand.count(0, &["connected to the bus as"]);
    daemons.push(daemon(&stand, 0));
    stand.wait_until_said_again(0, &["connected to the bus as"], met);
    stand.wait_until_even(&[0, 1]);
    Ok(stand.all_live()?)
}

fn multicast() -> Result<(), Failed> {
    let mut stand = Stand::new(3, 6);
    let eyes = Eyes::open(&stand, v4(1));
    let map = stand.map();
    for i in stand.all() {
        stand.lab.machine(i).cut(Cut::Multicast)?;
    }
    // By itself it moves nothing, and lets no lease run out.
    stand.stays(&map, LEASE + Duration::from_millis(400));
    eyes.wait_until_served(&stand, Instant::now());
    eyes.close().nothing_lost("multicast is forgotten", 0);
    let eyes = Eyes::open(&stand, v4(1));
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let began = Instant::now();
    stand.kill(at);
    println!("without multicast: whole {:?} after a death", stand.wait_until_whole(&others));
    stand.start(at);
    stand.wait_until_even(&stand.all());
    for i in stand.all() {
        stand.lab.machine(i).heal()?;
    }
    stand.wait_until_even(&stand.all());
    eyes.wait_until_served(&stand, Instant::now());
    eyes.close().gap("without multicast", began, Duration::from_secs(3));
    Ok(stand.all_live()?)
}

fn speechless() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, (1..=6).map(v4));
    let text = stand.with(0, &stand.list());
    let file = stand.path("m1.toml");
    std::fs::write(&file, text)?;
    stand.start_with(0, stage::speechless("blocked").args(["run", "--config"]).arg(&file).cwd("/"));
    [1, 2].into_iter().for_each(|i| stand.start(i));
    stand.wait_until_even(&stand.all());
    // It says much in these, and takes part in all.
    for _ in 0..3 {
        stand.kill(2);
        stand.wait_until_whole(&[0, 1]);
        stand.start(2);
        stand.wait_until_even(&stand.all());
    }
    let ip = *stand.held(0).first().expect("it has some");
    let eyes = Eyes::open(&stand, ip);
    stand.stop(0);
    stand.wait_until_whole(&[1, 2]);
    eyes.wait_until_served(&stand, Instant::now());
    eyes.close().nothing_lost("speechless", 1);
    Ok(stand.all_live()?)
}

fn busy() -> Result<(), Failed> {
    let seconds = std::env::var("BACKHAND_ADDRESSES_BUSY").ok().and_then(|s| s.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(60));
    // Only where it may, the bus goes before others.
    let root = may_pass_on().is_ok();
    let mut stand = Stand::silent_in(3, (1..=6).map(v4), passing_lab());
    stand.start_all();
    let gathered = |stand: &Stand| -> usize {
        let of = |i| stand.count(i, &["machines:"]) + stand.count(i, &["1 machine:"]);
        stand.all().into_iter().map(of).sum()
    };
    let (before, map) = (gathered(&stand), stand.map());
    // Not so often that the clients are what uses the processors up.
    let eyes = Eyes::open_every(&stand, v4(1), Duration::from_millis(100));
    let burners: Vec<Process> =
        stand.all().into_iter().map(|i| stand.lab.machine(i).burn(2).unwrap()).collect();
    let looks = stand.stays(&map, time);
    for burner in burners {
        burner.kill9()?;
    }
    println!(
        "busy for {time:?} (root: {root}): {looks} looks, {} views more",
        gathered(&stand) - before
    );
    assert_eq!(stand.map(), map);
    let fenced: usize =
        stand.all().into_iter().map(|i| stand.count(i, &["guardian has taken"])).sum();
    assert_eq!((gathered(&stand) - before, fenced), (0, 0));
    // Each had its answer, if late.
    eyes.close().nothing_lost("busy", 0);
    Ok(stand.all_live()?)
}

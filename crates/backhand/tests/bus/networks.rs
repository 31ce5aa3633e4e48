//! Networks with holes, and mistakes at the start: everybody is told in one sentence, once, with the remedy.

use lab::{Cut, Exit, Place, Spawn};
use testkit::trial::Failed;

use crate::client::Client;
use crate::cluster::{Bus, NAMES, PORT, count, names};
use crate::says;
use crate::support::PROGRAM;

pub(crate) const TRIALS: &[crate::Named] = &[
    ("daemons_find_each_other_where_only_unicast_passes_and_say_so_once", unicast_only),
    ("multicast_that_ends_while_they_run_costs_nobody_a_message", multicast_ends),
    ("a_firewall_in_one_direction_is_named_once", one_way),
    ("a_firewall_in_one_direction_is_named_from_the_first_start", one_way_from_the_start),
    ("a_daemon_with_another_key_is_named_once_and_ignored", another_key),
    ("a_daemon_that_cannot_start_says_why_in_one_sentence", mistakes),
];

/// What a daemon says of another that multicast does not reach.
const UNICAST: &str = "hears this daemon by unicast but not by multicast";
/// What a daemon says of another that does not hear it.
const ONE_WAY: &str = "is heard but does not hear this daemon";
/// What a daemon says of strangers.
const STRANGER: &str = "datagrams come that no key here opens";

/// A quiet client at each daemon; all see each other.
fn quiet(bus: &Bus, these: &[usize]) -> Vec<Client> {
    let clients: Vec<Client> = these.iter().map(|&i| Client::start(bus, i, None)).collect();
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(these))));
    clients
}

fn unicast_only() -> Result<(), Failed> {
    let mut bus = Bus::silent(3);
    for i in 0..3 {
        bus.lab.machine(i).cut(Cut::Multicast)?;
    }
    (0..3).for_each(|i| bus.start(i));
    let clients = quiet(&bus, &[0, 1, 2]);
    for i in 0..3 {
        for other in (0..3).filter(|other| *other != i) {
            bus.wait_until_said(i, &[NAMES[other], UNICAST]);
        }
    }
    // A new view is no reason to say it again.
    bus.kill(2);
    clients[0].wait_for_daemons(&names(&[0, 1]));
    bus.start(2);
    let _third = Client::start(&bus, 2, None);
    clients[0].wait_for_daemons(&names(&[0, 1, 2]));
    for (i, other) in [(0, 1), (1, 0)] {
        let said = bus.said(i);
        assert_eq!(count(&said, &[NAMES[other], UNICAST]), 1, "{said}");
    }
    Ok(bus.all_live()?)
}

fn multicast_ends() -> Result<(), Failed> {
    let bus = Bus::new(3);
    let clients = Client::everywhere(&bus, std::time::Duration::from_millis(4));
    let all = names(&[0, 1, 2]);
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&all)));
    for i in 0..3 {
        bus.lab.machine(i).cut(Cut::Multicast)?;
    }
    for i in 0..3 {
        bus.wait_until_said(i, &[UNICAST]);
    }
    clients.iter().for_each(|client| {
        client.wait_for_daemons(&all);
        client.wait_for_messages(100);
    });
    for i in 0..3 {
        bus.lab.machine(i).heal()?;
    }
    clients.iter().for_each(|client| client.wait_for_messages(100));
    let traces = Client::finish(clients);
    Ok(crate::history::check(&traces)?)
}

fn one_way() -> Result<(), Failed> {
    let bus = Bus::new(3);
    let clients = quiet(&bus, &[0, 1, 2]);
    bus.lab.machine(2).cut(Cut::Dumb)?;
    clients[0].wait_for_daemons(&names(&[0, 1]));
    clients[2].wait_for_daemons(&names(&[2]));
    for other in ["alpha", "beta"] {
        bus.wait_until_said(2, &[other, ONE_WAY, "firewall"]);
        let said = bus.said(2);
        assert_eq!(count(&said, &[other, ONE_WAY]), 1, "{said}");
    }
    bus.lab.machine(2).heal()?;
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1, 2]))));
    Ok(bus.all_live()?)
}

/// From the first word on: whoever is never heard cannot be told from nobody, and says it itself.
fn one_way_from_the_start() -> Result<(), Failed> {
    let mut bus = Bus::silent(4);
    let (dumb, deaf) = (2, 3);
    bus.lab.machine(dumb).cut(Cut::Dumb)?;
    bus.lab.machine(deaf).cut(Cut::Deaf)?;
    (0..4).for_each(|i| bus.start(i));
    let _pair = quiet(&bus, &[0, 1]);
    let _alone = [quiet(&bus, &[dumb]), quiet(&bus, &[deaf])];
    for (who, other) in [(dumb, "alpha"), (dumb, "beta"), (0, "delta"), (1, "delta")] {
        bus.wait_until_said(who, &[other, ONE_WAY, "firewall"]);
    }
    Ok(bus.all_live()?)
}

fn another_key() -> Result<(), Failed> {
    let mut bus = Bus::silent(3);
    bus.write_key("other", &crate::support::KEY.replace('5', "6"));
    bus.start(0);
    bus.start(1);
    bus.start_with(2, Spawn::new(PROGRAM), "spread.conf", "other");
    let clients = quiet(&bus, &[0, 1]);
    let alone = Client::start(&bus, 2, None);
    alone.wait_for_daemons(&names(&[2]));
    let stranger = bus.lab.machine(2).address().to_string();
    for i in 0..2 {
        bus.wait_until_said(i, &[STRANGER, &stranger]);
    }
    bus.wait_until_said(2, &[STRANGER]);
    // It goes on speaking, also with another word after each start.
    bus.kill(2);
    bus.start_with(2, Spawn::new(PROGRAM), "spread.conf", "other");
    Client::start(&bus, 2, None).wait_for_daemons(&names(&[2]));
    for i in 0..2 {
        let said = bus.said(i);
        assert_eq!(count(&said, &[STRANGER]), 1, "{said}");
    }
    assert_eq!(clients[0].last().daemons, names(&[0, 1]));
    Ok(bus.all_live()?)
}

fn mistakes() -> Result<(), Failed> {
    let mut bus = Bus::silent(2);
    let text = |path: std::path::PathBuf| path.to_str().map(str::to_owned).unwrap_or_default();
    let (conf, key) = (text(bus.path("spread.conf")), text(bus.path("key")));
    let one_line = |said: &str| {
        let lines = said.lines().count();
        if lines == 1 { Ok(()) } else { Err(format!("{lines} lines are said:\n{said}")) }
    };
    let mistake = |words: &[&str], exit: i32, sentence: &[&str]| -> Result<(), Failed> {
        let (ended, said) = bus.fails(0, words);
        assert_eq!(ended, Exit::Code(exit), "{said}");
        one_line(&said)?;
        says(&said, sentence)
    };
    // The name of another machine.
    let sentence = [
        "spread: beta has the address 10.77.0.2 (line 3), which is not on this machine: it has ",
        "10.77.0.1 (eth0)",
        "; this machine is alpha: start with -n alpha",
    ];
    mistake(&["-c", &conf, "-n", "beta", "--key-file", &key], 2, &sentence)?;
    // A name that nobody has.
    let sentence = [
        "spread: no daemon is called \"omega\" in the configuration, which has alpha, beta; this machine is alpha: start with -n alpha",
    ];
    mistake(&["-c", &conf, "-n", "omega", "--key-file", &key], 2, &sentence)?;
    // A machine that nobody wrote down.
    let other =
        text(bus.write("other.conf", "Spread_Segment 10.77.0.255:4803 {\n x 10.77.0.77\n}\n"));
    let sentence = [
        "spread: this machine is not in the configuration: it has ",
        "10.77.0.1 (eth0)",
        "and the daemons have x 10.77.0.77; add a line",
    ];
    mistake(&["-c", &other, "--key-file", &key], 2, &sentence)?;
    // An address between the braces that this machine does not have.
    let braces = "Spread_Segment 10.77.0.255:4803 {\n alpha 10.77.0.1 {\n D 10.77.0.1\n C 10.99.0.1\n }\n}\n";
    let other = text(bus.write("braces.conf", braces));
    let sentence =
        ["spread: alpha shall listen on 10.99.0.1 (line 2), which is not on this machine"];
    mistake(&["-c", &other, "--key-file", &key], 2, &sentence)?;
    // Nobody may speak without a key on a network.
    let sentence = ["there is no cluster key", "--insecure", "loopback"];
    mistake(&["-c", &conf, "-n", "alpha"], 2, &sentence)?;
    // Ports that are taken: that of the clients, then that of the daemons by a second daemon.
    let taken = bus.lab.listen(Place::Machine(0), ([0, 0, 0, 0], PORT).into())?;
    let sentence = ["cannot listen for clients at TCP 0.0.0.0:4803: the port is taken"];
    mistake(&["-c", &conf, "--key-file", &key], 1, &sentence)?;
    drop(taken);
    let taken = bus.lab.udp(Place::Machine(0), ([0, 0, 0, 0], PORT).into())?;
    let sentence = [
        "cannot hear other daemons at UDP 0.0.0.0:4803: the port is taken, perhaps by another daemon of this machine; stop it",
    ];
    mistake(&["-c", &conf, "--key-file", &key], 1, &sentence)?;
    drop(taken);
    bus.start(0);
    let client = Client::start(&bus, 0, None);
    client.wait_for_daemons(&names(&[0]));
    let (ended, said) = bus.fails(0, &["-c", &conf, "--key-file", &key]);
    assert_eq!(ended, Exit::Code(1), "{said}");
    says(&said, &["the port is taken"])?;
    one_line(&said)?;
    // The first did not notice.
    Client::start(&bus, 0, None).wait_for("two members", |last| last.members == 2);
    Ok(bus.all_live()?)
}

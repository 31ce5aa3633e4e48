//! The six machines and six addresses of chapter 6: `wackamole` attached to daemons of the bus, and what `wackatrl` prints.

use std::net::IpAddr;

use lab::{Exit, Process, Signal};
use testkit::trial::Failed;

use crate::Named;
use crate::stage::{NOTHING, Stage};
use crate::support::{PATIENCE, until};

pub(crate) const TRIALS: &[Named] = &[
    ("six_machines_share_six_addresses_as_chapter_6_prints_it", six),
    ("wackamole_goes_into_the_background_and_says_whether_it_serves", background),
    ("what_the_historical_programs_do_not_understand_is_a_mistake", mistakes),
];

/// As in the book, but for a quicker balance, so that the test is.
const CONF: &str = concat!(
    include_str!("../../../addresses/src/conf/chapter6.conf"),
    "Balance {\n    AcquisitionsPerRound = all\n    Interval = 1s\n}\n"
);

const NAMES: [&str; 6] =
    ["image-0-1", "image-0-2", "image-0-3", "image-0-4", "image-0-5", "image-0-6"];

fn vip(n: usize) -> IpAddr {
    format!("192.0.2.2{n}").parse().unwrap()
}

fn vips() -> Vec<IpAddr> {
    (1..=6).map(vip).collect()
}

/// As the book prints it, with the tabs that the program writes.
fn printed(owners: [u8; 6]) -> String {
    let one = |(n, owner): (usize, u8)| {
        format!("Owner: 192.0.2.{owner}\n\t*    fxp0:{}/32\n", vip(n + 1))
    };
    owners.into_iter().enumerate().map(one).collect()
}

/// `n` machines with the book's addresses, each with a daemon of the bus.
fn stage(n: usize) -> (Stage, Vec<Process>) {
    let stage = Stage::new(&NAMES[..n], "fxp0");
    let line = |i: usize| format!("  {} 192.0.2.{}\n", NAMES[i], 11 + i);
    let lines: String = (0..n).map(line).collect();
    let conf =
        stage.write("spread.conf", &format!("Spread_Segment 239.192.48.9:3777 {{\n{lines}}}\n"));
    stage.write("wackamole.conf", CONF);
    let (conf, key) =
        (conf.to_str().unwrap().to_owned(), stage.path("key").to_str().unwrap().to_owned());
    for i in 0..n {
        stage.run(i, "ip", &["addr", "flush", "dev", "fxp0", "scope", "global"]).well();
        stage
            .run(i, "ip", &["addr", "add", &format!("192.0.2.{}/24", 11 + i), "dev", "fxp0"])
            .well();
        stage.run(i, "ip", &["route", "add", "239.0.0.0/8", "dev", "fxp0"]).well();
    }
    let daemon = |i: usize| {
        stage.logged(
            i,
            "bus",
            "backhand",
            &["bus", "daemon", "-n", NAMES[i], "-c", &conf, "--key-file", &key],
        )
    };
    let daemons = (0..n).map(daemon).collect();
    (stage, daemons)
}

fn conf(stage: &Stage) -> String {
    stage.path("wackamole.conf").to_str().unwrap().to_owned()
}

fn listing(stage: &Stage, i: usize) -> String {
    let said = stage.run(i, "wackatrl", &["-c", &conf(stage), "-l"]);
    if said.exit == Exit::Code(0) { said.out } else { String::new() }
}

fn six() -> Result<(), Failed> {
    let (stage, _daemons) = stage(6);
    let conf = conf(&stage);
    let refused = stage.run(0, "wackatrl", &["-c", &conf, "-l"]).ill(1);
    assert!(refused.contains("connect to /var/run/wack.it failed: No such file"), "{refused}");
    assert!(refused.contains("Perhaps wackamole is not running?"), "{refused}");

    let start = |i: usize| stage.logged(i, "wackamole", "wackamole", &["-d", "-c", &conf]);
    let mut programs: Vec<Process> = (0..6).map(start).collect();
    let book = printed([11, 12, 13, 14, 15, 16]);
    for (i, name) in NAMES.iter().enumerate() {
        until(&format!("{name} prints what the book does:\n{}", stage.log(i, "wackamole")), || {
            (listing(&stage, i) == book).then_some(())
        });
    }
    for i in 0..6 {
        // Strangers are asked for it first.
        until("its own address is on its interface", || {
            (stage.here(i, &vips()) == [vip(i + 1)]).then_some(())
        });
        let up = format!("  UP: fxp0:{}/255.255.255.255", vip(i + 1));
        until("it says so as the original", || {
            stage.log(i, "wackamole").contains(&up).then_some(())
        });
    }

    // A simulated failure: everything is off when the command ends, and others have it.
    let failed = stage.run(2, "wackatrl", &["-c", &conf, "-f"]).well();
    assert_eq!(failed.matches("Owner: not acquired\n").count(), 6, "{failed}");
    assert_eq!(stage.here(2, &vips()), NOTHING, "{failed}");
    until("the others have all", || {
        let list = listing(&stage, 0);
        (list.matches("Owner: 192.0.2.").count() == 6 && !list.contains("Owner: 192.0.2.13"))
            .then_some(())
    });
    // It stays away until it is told to come back, and then gets its share.
    assert_eq!(stage.here(2, &vips()), NOTHING);
    stage.run(2, "wackatrl", &["-c", &conf, "-s"]).well();
    let back = until("it has its share again", || {
        let list = listing(&stage, 2);
        (list.contains("Owner: 192.0.2.13\n") && list.matches("Owner: 192.0.2.").count() == 6)
            .then_some(list)
    });
    until("all say the same", || {
        (0..6).all(|i| listing(&stage, i) == listing(&stage, 2)).then_some(())
    });
    let settled = listing(&stage, 2);
    // On one that is well, success changes nothing.
    assert_eq!(stage.run(2, "wackatrl", &["-c", &conf, "-s"]).well(), settled, "{back}");
    assert_eq!(listing(&stage, 2), settled);

    // The file is read again; what is wrong in it changes nothing.
    stage.write("wackamole.conf", &CONF.replace("Group = wack1", "Grupp = wack1"));
    programs[0].signal(Signal::HUP)?;
    until("the mistake is said", || {
        stage.log(0, "wackamole").contains("did you mean Group?").then_some(())
    });
    stage.write("wackamole.conf", &CONF.replace("mature = 5s", "mature = 6s"));
    programs[0].signal(Signal::HUP)?;
    until("it is read again", || {
        stage.log(0, "wackamole").contains("the configuration was read again").then_some(())
    });
    // What upgrades the whole program in place does not end this one.
    programs[0].signal_alone(Signal::USR2)?;
    until("it says that it is not upgraded in place", || {
        stage.log(0, "wackamole").contains("is not upgraded in place").then_some(())
    });
    assert!(programs[0].is_running(), "{}", stage.log(0, "wackamole"));
    assert_eq!(listing(&stage, 0), settled);

    // Each word to end lets others take over, and is no failure.
    for signal in [Signal::TERM, Signal::QUIT, Signal::INT] {
        let i = programs.len() - 1;
        let program = programs.pop().unwrap();
        program.signal(signal)?;
        assert_eq!(
            program.wait_timeout(PATIENCE),
            Some(Exit::Code(0)),
            "{}",
            stage.log(i, "wackamole")
        );
        assert_eq!(stage.here(i, &vips()), NOTHING);
        let gone = format!("Owner: 192.0.2.{}\n", 11 + i);
        until("others have what it had", || {
            let list = listing(&stage, 0);
            (!list.contains(&gone) && list.matches("Owner: 192.0.2.").count() == 6).then_some(())
        });
    }
    Ok(())
}

fn background() -> Result<(), Failed> {
    let (stage, daemons) = stage(1);
    let (conf, pid) = (conf(&stage), stage.path("pid"));
    // The file names a daemon that is not there; the command line counts.
    stage.write("wackamole.conf", &CONF.replace("Spread = 3777", "Spread = 4999"));
    let folder = pid.parent().unwrap().to_str().unwrap().to_owned();
    // Whoever counts on the file with its process id could not stop it without that.
    let typed = format!("cd {folder} && exec ./wackamole -s 3777 -p none/pid");
    let told = stage.run(0, "/bin/sh", &["-c", &typed]).ill(1);
    assert!(told.contains("Cannot write PID file"), "{told}");
    // It finds its file where it is started, and has left that folder when it serves.
    let typed = format!("cd {folder} && exec ./wackamole -s 3777 -p pid");
    stage.run(0, "/bin/sh", &["-c", &typed]).well();
    let id = std::fs::read_to_string(&pid)?;
    // It serves already, though it holds nothing yet.
    let list = stage.run(0, "wackatrl", &["-c", &conf, "-l"]).well();
    assert_eq!(list.matches("Owner: ").count(), 6, "{list}");
    // Whoever asks needs the socket; the rest of the file may be of another folder, another network, or the original.
    let rest = "Prefer nobody.invalid\nModuleDir = gone\nRunDynamic gone:up on up\nRunDynamic Pkg::up on up\nPerlUse Pkg\n";
    let asked = stage.write("asked.conf", &CONF.replace("Prefer None\n", rest));
    let list = stage.run(0, "wackatrl", &["-c", asked.to_str().unwrap(), "-l"]).well();
    assert_eq!(list.matches("Owner: ").count(), 6, "{list}");
    // Whoever asks in the usual place is told of the other.
    let told = stage.vip(0, &["list"]).ill(1);
    assert!(told.contains("--socket, which for wackamole is the path of its Control"), "{told}");
    let here = until("it has all", || {
        let here = stage.here(0, &vips());
        (here.len() == 6).then_some(here)
    });
    assert_eq!(here, vips());
    // The control socket speaks our language, too.
    let table = stage.vip(0, &["list", "--json", "--socket", "/run/wack.it"]).json();
    assert_eq!(table["machine"], "image-0-1");
    // The file is read again where it was found.
    let more = CONF.replace("Spread = 3777", "Spread = 4999");
    let more =
        more.replace("{ fxp0:192.0.2.26/32 }", "{ fxp0:192.0.2.26/32 }\n{ fxp0:192.0.2.27/32 }");
    stage.write("wackamole.conf", &more);
    stage.run(0, "kill", &["-HUP", id.trim()]).well();
    until("the seventh address is here", || (stage.here(0, &[vip(7)]) == [vip(7)]).then_some(()));
    // The bus goes, and so does every address.
    daemons[0].kill9()?;
    until("nothing is held without the bus", || stage.here(0, &vips()).is_empty().then_some(()));
    let list = stage.run(0, "wackatrl", &["-c", &conf, "-l"]).well();
    assert_eq!(list.matches("Owner: not acquired\n").count(), 7, "{list}");
    let told = stage.vip(0, &["drain", "--socket", "/run/wack.it"]).ill(1);
    assert!(told.contains("is not in the group"), "{told}");
    stage.run(0, "kill", &["-TERM", id.trim()]).well();
    until("it has ended and taken its files along", || (!pid.exists()).then_some(()));
    until("nobody listens", || {
        (stage.run(0, "wackatrl", &["-c", &conf, "-l"]).exit == Exit::Code(1)).then_some(())
    });
    Ok(())
}

fn mistakes() -> Result<(), Failed> {
    let stage = Stage::new(&["m1"], "fxp0");
    let conf = stage.write("w.conf", "Spread = 4803\nVirtualInterfaces { fxp0:192.0.2.21/32 }\n");
    let conf = conf.to_str().unwrap();
    let told = |program, words: &[&str], words_said: &[&str]| {
        let said = stage.run(0, program, words).ill(2);
        for word in words_said {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    };
    told("wackamole", &["-x"], &["\"-x\" is none of the flags", "Usage: wackamole"]);
    told("wackamole", &["-d", "-c", "/nowhere.conf"], &["cannot read /nowhere.conf"]);
    told("wackamole", &["-d", "-s", "web1:1", "-c", conf], &["-s: "]);
    told("wackatrl", &["-c", conf, "-l"], &["names no control socket; write Control ="]);
    let bad = stage.write("bad.conf", "Control = wack.it\n");
    told("wackatrl", &["-c", bad.to_str().unwrap(), "-l"], &["is no whole path"]);
    let open = stage.write("open.conf", "Group = 'wack1\nControl = /run/wack.it\n");
    let open = open.to_str().unwrap();
    told("wackatrl", &["-c", open, "-l"], &["is not closed", "names no control socket"]);
    // What is not needed to ask is not judged, and so no mistake.
    let rest = "Prefer nobody.invalid\nRunDynamic gone:up on up\nControl = /run/wack.it\n";
    let rest = stage.write("rest.conf", rest);
    let nobody = stage.run(0, "wackatrl", &["-c", rest.to_str().unwrap(), "-l"]).ill(1);
    assert!(nobody.contains("Perhaps wackamole is not running?"), "{nobody}");
    told("wackatrl", &["-c", conf], &["write one of -l, -f and -s", "Usage: wackatrl"]);
    let version = stage.run(0, "wackamole", &["-v"]).well();
    assert!(version.starts_with("wackamole (backhand "), "{version}");
    assert!(
        stage.run(0, "backhand", &["wackatrl", "-h"]).well().contains("Usage: backhand wackatrl")
    );
    Ok(())
}

//! The control sockets and bad clients.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use testkit::trial::Failed;

use crate::Named;
use crate::stage::Stage;
use crate::support::until;

pub(crate) const TRIALS: &[Named] = &[
    ("bad_clients_of_the_control_sockets_cost_nothing", bad_clients),
    ("those_who_watch_leave_room_for_orders_and_are_told_when_there_is_none_for_them", watchers),
    ("wackatrl_says_what_it_leaves_out_where_its_file_names_only_the_socket", left_out),
    (
        "a_second_service_at_the_socket_of_a_living_one_does_not_start_and_a_stale_one_is_replaced",
        taken,
    ),
    ("a_wackamole_without_a_control_socket_is_not_started_twice", twice),
    ("a_wackamole_conf_without_addresses_is_not_taken_while_it_runs", emptied),
];

const LINES: &str = "mature = \"0s\"\nlist = [\"10.77.0.101\"]\ncontrol = \"/run/wack.it\"\n";

fn ask(path: &PathBuf, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    stream.write_all(bytes)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn bad_clients() -> Result<(), Failed> {
    let stage = Stage::new(&["m1"], "eth0");
    let program = stage.whole(0, LINES);
    until("it holds its address", || (stage.list(0)?["sets"][0]["here"] == true).then_some(()));
    let ours = program.seen("/run/backhand/addresses.sock");
    let historical = program.seen("/run/wack.it");
    for path in [&ours, &historical] {
        assert_eq!(std::fs::metadata(path)?.mode() & 0o777, 0o600);
    }
    // Both understand both languages, any number of requests, and half a line is none.
    for path in [&ours, &historical] {
        let answer = ask(path, b"\0\x02\0")?;
        assert_eq!(
            (answer.len(), &answer[..4], &answer[904..908]),
            (1812, &[0, 0, 3, 132][..], &[0; 4][..])
        );
        let answer = String::from_utf8(ask(path, b"{\"ask\":\"list\"}\n{\"ask\":\"list\"}\n")?)?;
        assert_eq!(answer.matches("{\"answer\":\"table\"").count(), 2, "{answer}");
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100_000], b"\x03"] {
        // It may be closed while it is still being written to.
        assert!(ask(&ours, garbage).unwrap_or_default().is_empty());
    }
    let answer = String::from_utf8(ask(&ours, b"{\"ask\":\"lost\"}\n{\"ask\":\"list\"}\n")?)?;
    assert!(
        answer.starts_with("{\"answer\":\"error\",\"kind\":\"malformed\"")
            && answer.contains("\"table\""),
        "{answer}"
    );
    let long = [&b"{\"ask\":\""[..], &[b'x'; 5_000], b"\"}\n"].concat();
    assert!(ask(&ours, &long).unwrap_or_default().is_empty());

    // Those who say nothing fill the places and lose them; whoever comes meanwhile is turned away at once.
    let mut silent: Vec<UnixStream> =
        (0..32).map(|_| UnixStream::connect(&ours)).collect::<Result<_, _>>()?;
    for (n, stream) in silent.iter_mut().enumerate() {
        match n % 3 {
            0 => stream.write_all(b"{\"ask\":")?,
            1 => stream.write_all(b"{\"ask\":\"watch\"}\n")?,
            _ => {}
        }
    }
    until("the places are taken", || {
        let mut stream = UnixStream::connect(&ours).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        matches!(stream.read(&mut [0]), Ok(0)).then_some(())
    });
    let refused = stage.vip(0, &["list"]).ill(1);
    assert!(refused.contains("there are 32 connections at the control sockets"), "{refused}");
    let log = stage.log(0, "run");
    assert!(log.contains("somebody was turned away at a control socket"), "{log}");
    // The addresses do not care.
    assert_eq!(stage.here(0, &["10.77.0.101".parse().unwrap()]).len(), 1);
    until("the silent ones are let go", || stage.list(0));
    let mut rest = Vec::new();
    silent[0].set_read_timeout(Some(Duration::from_secs(5)))?;
    let ended = silent[0].read_to_end(&mut rest);
    assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    Ok(())
}

fn watchers() -> Result<(), Failed> {
    let stage = Stage::new(&["m1"], "eth0");
    let program = stage.whole(0, LINES);
    until("it holds its address", || (stage.list(0)?["sets"][0]["here"] == true).then_some(()));
    let ours = program.seen("/run/backhand/addresses.sock");
    let mut watchers = Vec::new();
    for _ in 0..40 {
        let mut watcher = UnixStream::connect(&ours)?;
        watcher.set_read_timeout(Some(Duration::from_secs(15)))?;
        watcher.write_all(b"{\"ask\":\"watch\"}\n")?;
        watchers.push(watcher);
    }
    let mut told = String::new();
    watchers.pop().unwrap().read_to_string(&mut told)?;
    assert!(told.starts_with("{\"answer\":\"error\",\"kind\":\"busy\""), "{told}");
    // Those that were refused may still be about to go.
    until("it answers", || stage.list(0));
    assert_eq!(stage.vip(0, &["undrain"]).well(), "m1 takes part\n");
    // The others go on watching, and see what happens.
    let said = stage.vip(0, &["drain", "--no-wait"]).well();
    assert_eq!(said, "the order for m1 is given\n");
    let mut first = [0; 16];
    watchers[0].read_exact(&mut first)?;
    assert_eq!(&first, b"{\"answer\":\"decis");
    Ok(())
}

fn left_out() -> Result<(), Failed> {
    let stage = Stage::new(&["m1"], "eth0");
    let lists = |list: &str| LINES.replace("\"10.77.0.101\"", list);
    let program = stage.whole(0, &lists("\"10.77.0.101\", \"eth0:[fd00:77::101]/128\""));
    until("it answers", || (stage.list(0)?["sets"].as_array()?.len() == 2).then_some(()));
    let conf = stage.write("only.conf", "Control = /run/wack.it\n");
    let words = ["-c", conf.to_str().unwrap(), "-l"];
    let said = stage.run(0, "wackatrl", &words);
    assert!(said.err.contains("addresses of IPv6 are not in this list"), "{said:?}");
    assert!(said.well().contains("eth0:10.77.0.101/32"));
    stage.write("m1.toml", &stage.file(0, LINES));
    program.signal(lab::Signal::HUP)?;
    until("the other is not listed any more", || {
        let list = stage.list(0)?;
        let listed = list["sets"].as_array()?.iter().filter(|set| set["listed"] == true);
        (listed.count() == 1).then_some(())
    });
    let said = stage.run(0, "wackatrl", &words);
    assert_eq!(said.err, "", "{said:?}");
    Ok(())
}

fn taken() -> Result<(), Failed> {
    let stage = Stage::new(&["m1"], "eth0");
    let first = stage.whole(0, LINES);
    let held = || stage.list(0).is_some_and(|list| list["sets"][0]["here"] == true);
    until("it holds its address", || held().then_some(()));
    // The same started once more does not take off what the first one has, and ends.
    let again = |address: &str| {
        let conf = format!(
            "Spread = 4803\nGroup = other\nControl = /run/wack.it\nMature = 0s\nVIFs {{ eth0:{address}/32 }}\n"
        );
        let conf = stage.write("again.conf", &conf);
        let second = stage.logged(0, "again", "wackamole", &["-d", "-c", conf.to_str().unwrap()]);
        assert_eq!(second.wait_timeout(crate::support::PATIENCE), Some(lab::Exit::Code(1)));
        let log = stage.log(0, "again");
        assert!(log.contains("managed already by process"), "{log}");
        assert!(log.contains("give this one its own list and path"), "{log}");
    };
    again("10.77.0.101");
    again("10.77.0.102");
    assert!(held());
    // Another program on the same machine has to be told another socket.
    let conf = "Spread = 4803\nGroup = other\nControl = /run/other.it\nMature = 0s\nVIFs { eth0:10.77.0.102/32 }\n";
    let conf = stage.write("other.conf", conf);
    let second = stage.logged(0, "other", "wackamole", &["-d", "-c", conf.to_str().unwrap()]);
    let address = ["10.77.0.102".parse().unwrap()];
    until("it serves", || (stage.here(0, &address) == address).then_some(()));
    // It has left alone what the first one has, which bears the same mark.
    let firsts = ["10.77.0.101".parse().unwrap()];
    assert_eq!(stage.here(0, &firsts), firsts);
    assert!(held());
    let log = stage.log(0, "run");
    assert!(!log.contains("was taken off by another"), "{log}");
    second.term()?;
    assert_eq!(second.wait_timeout(crate::support::PATIENCE), Some(lab::Exit::Code(0)));
    // After a death the file is there, and the next one replaces it.
    first.kill9()?;
    assert_eq!(first.wait(), lab::Exit::Signal(9));
    let told = stage.vip(0, &["list"]).ill(1);
    assert!(told.contains("the program that made it has ended"), "{told}");
    let third = stage.whole(0, LINES);
    until("it answers again", || stage.list(0));
    third.term()?;
    assert_eq!(third.wait(), lab::Exit::Code(0));
    let told = stage.vip(0, &["list"]).ill(1);
    assert!(told.contains("No such file"), "{told}");
    Ok(())
}

const OTHER: &str = "Spread = 4803\nGroup = other\nMature = 0s\nVIFs { eth0:10.77.0.102/32 }\n";

/// A `wackamole` that has its address, beside the daemon of a whole machine.
fn serving() -> (Stage, [lab::Process; 2]) {
    let stage = Stage::new(&["m1"], "eth0");
    let whole = stage.whole(0, LINES);
    until("it holds its address", || (stage.list(0)?["sets"][0]["here"] == true).then_some(()));
    let conf = stage.write("other.conf", OTHER);
    let words = ["-d", "-c", conf.to_str().unwrap(), "-p", "/run/other.pid"];
    let first = stage.logged(0, "first", "wackamole", &words);
    until("it serves", || has_other(&stage).then_some(()));
    (stage, [whole, first])
}

fn has_other(stage: &Stage) -> bool {
    let address = ["10.77.0.102".parse().unwrap()];
    stage.here(0, &address) == address
}

fn twice() -> Result<(), Failed> {
    let (stage, [_whole, first]) = serving();
    let file = first.seen("/run/other.pid");
    let number = || std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'));
    let written = until("its number is written", number);
    let conf = stage.path("other.conf");
    let words = ["-d", "-c", conf.to_str().unwrap(), "-p", "/run/other.pid"];
    for (what, words, why) in [
        ("same", &words[..], "names process"),
        ("beside", &words[..3], "the group other are managed already by process"),
    ] {
        let second = stage.logged(0, what, "wackamole", words);
        assert_eq!(second.wait_timeout(crate::support::PATIENCE), Some(lab::Exit::Code(1)));
        let log = stage.log(0, what);
        assert!(log.contains(why), "{log}");
        assert!(!log.contains("taken off"), "{log}");
    }
    assert!(has_other(&stage) && number().as_ref() == Some(&written));
    assert!(!stage.log(0, "first").contains("was taken off"), "{}", stage.log(0, "first"));
    // Where the first was killed, the next one begins.
    first.kill9()?;
    assert_eq!(first.wait(), lab::Exit::Signal(9));
    let next = stage.logged(0, "next", "wackamole", &words);
    let file = next.seen("/run/other.pid");
    until("it has written its number", || {
        let now = std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'))?;
        (now != written).then_some(())
    });
    until("it serves", || has_other(&stage).then_some(()));
    next.term()?;
    assert_eq!(next.wait_timeout(crate::support::PATIENCE), Some(lab::Exit::Code(0)));
    let gone = stage.run(0, "ls", &["/run/other.pid"]);
    assert_ne!(gone.exit, lab::Exit::Code(0), "{gone:?}");
    Ok(())
}

fn emptied() -> Result<(), Failed> {
    let (stage, [_whole, first]) = serving();
    for (n, text) in ["", "Spread = 4803\nGroup = other\nMature = 0s\n"].into_iter().enumerate() {
        stage.write("other.conf", text);
        first.signal(lab::Signal::HUP)?;
        until("that is said", || {
            let log = stage.log(0, "first");
            (log.matches("there are no VirtualInterfaces in").count() > n).then_some(())
        });
        assert!(has_other(&stage));
    }
    assert!(!stage.log(0, "first").contains("the configuration was read again"));
    stage.write("other.conf", OTHER);
    first.signal(lab::Signal::HUP)?;
    until("it is read", || {
        stage.log(0, "first").contains("the configuration was read again").then_some(())
    });
    assert!(has_other(&stage));
    Ok(())
}

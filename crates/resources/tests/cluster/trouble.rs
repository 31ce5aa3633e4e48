//! What an operator did wrong, and what the log says about it.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use announce::Contact;
use announce::packet::Announcement;
use announce::reception::Refused;
use base::{Boot, MachineId};
use crypto::Ring;
use resources::{Service, Setup, StartError};
use seal::{Purpose, Sealer, Speaker};

use crate::bench::{Node, Plan, key, net, read_config};

/// Everything logged by this process from the first use on.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let make = move || writer.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(make).init();
    log
});

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines that contain all of `words`.
    fn lines(&self, words: &[&str]) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn two_machines_with_one_identity_both_say_so() {
    let log = &*LOG;
    let net = net();
    let a = Plan::new(net, 1, &[1, 2, 3]).start();
    let copied = tempfile::tempdir().unwrap();
    std::fs::copy(a.dir.as_ref().unwrap().path().join("machine"), copied.path().join("machine"))
        .unwrap();
    let witness = Plan::new(net, 3, &[1, 2, 3]).start();
    witness.meets(&a);
    let b = Plan::new(net, 2, &[1, 2, 3]).start_in(copied);
    assert_eq!(a.handle.me().machine, b.handle.me().machine);
    for node in [&a, &b] {
        node.until("the twin", |handle| {
            (handle.stats().refused(Refused::Double) > 0).then_some(())
        });
    }
    let id = a.handle.me().machine.to_string();
    let says = |name: &str, twin: String| {
        let words =
            ["another live machine has this machine's identity", "remove the file `machine`"];
        let found = log.lines(&[words[0], words[1], &id, name, &twin]);
        assert_eq!(found.len(), 1, "{name}, {twin}: {:?}", log.lines(&[&id]));
        assert!(found[0].contains("ERROR"));
    };
    says("web1", format!("{}:4445", net.ip(2)));
    says("web2", format!("{}:4445", net.ip(1)));
    let both = || log.lines(&["two live machines have one identity", &id]);
    witness.until("the contest", |_| both().first().map(drop));
    assert_eq!(
        witness.machine(a.handle.me().machine).unwrap().boot,
        a.handle.me().boot,
        "the first stays"
    );
    assert!(both()[0].contains(&format!("{}:4445", net.ip(2))), "{:?}", both());
}

#[test]
fn a_machine_of_a_newer_version_is_told_of_once() {
    let log = &*LOG;
    let net = net();
    let a = Plan::new(net, 1, &[1]).start();
    let newer = Speaker { machine: MachineId([0x5e; 16]), boot: Boot([1; 16]) };
    let mut sealer = Sealer::new(&Ring, &key(), Purpose::Announce, newer, 0);
    let socket = net.socket(9);
    for sequence in 1..=20 {
        let said = Announcement { sequence, ..Announcement::new("future", Contact::here(80)) };
        let (mut text, mut datagram) = (Vec::new(), Vec::new());
        said.encode(&mut text);
        // Its version, and the lowest that can read it.
        (text[0], text[1]) = (9, 9);
        sealer.seal(&text, &mut datagram);
        socket.send_to(&datagram, net.announcements(1)).unwrap();
    }
    a.until("the packets", |handle| {
        (handle.stats().refused(Refused::NewerVersion) >= 20).then_some(())
    });
    let found = log.lines(&["newer packet version", &newer.machine.to_string()]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("version=9") && found[0].contains("upgrade this machine"),
        "{found:?}"
    );
}

#[test]
fn a_machine_that_announces_but_answers_no_probe_is_told_of() {
    let log = &*LOG;
    let net = net();
    let a = Plan::new(net, 1, &[1]).start();
    let mute = Speaker { machine: MachineId([0x3d; 16]), boot: Boot([1; 16]) };
    let mut sealer = Sealer::new(&Ring, &key(), Purpose::Announce, mute, 0);
    let (announcing, _exchange) =
        (net.socket(9), std::net::UdpSocket::bind(net.exchange(9)).unwrap());
    let mut sequence = 0;
    // Somebody has the port and never answers; after three probes it is said.
    let at = net.exchange(9).to_string();
    a.until("the complaint", |_| {
        sequence += 1;
        let said = Announcement {
            sequence,
            exchange_port: 4446,
            ..Announcement::new("mute", Contact::here(80))
        };
        let (mut text, mut datagram) = (Vec::new(), Vec::new());
        said.encode(&mut text);
        sealer.seal(&text, &mut datagram);
        announcing.send_to(&datagram, net.announcements(1)).unwrap();
        log.lines(&["answers no probe", "let UDP through", &at]).first().map(drop)
    });
    assert_eq!(a.machine(mute.machine), None);
}

#[test]
fn being_insecure_is_said_at_every_start() {
    let log = &*LOG;
    let net = net();
    let insecure = "insecure = true".to_owned();
    let a = Plan { key: None, cluster: insecure, ..Plan::new(net, 1, &[1]) }.start();
    assert!(!log.lines(&["WARN", "cluster.insecure is on"]).is_empty());
    drop(a);
}

#[test]
fn a_cluster_without_a_key_on_loopback_is_warned_of_at_every_start() {
    let log = &*LOG;
    let net = net();
    let a = Plan { key: None, ..Plan::new(net, 1, &[1, 2]) }.start();
    let b = Plan { key: None, ..Plan::new(net, 2, &[1, 2]) }.start();
    a.meets(&b);
    assert!(!log.lines(&["WARN", "whatever runs on this machine"]).is_empty());
}

#[test]
fn a_machine_without_a_key_and_without_targets_is_alone() {
    let log = &*LOG;
    let net = net();
    let dir = tempfile::tempdir().unwrap();
    let config = read_config(&format!(
        "[cluster]\nstate_dir = {:?}\n[announce]\naddress = \"{}\"",
        dir.path(),
        net.ip(1)
    ));
    let handle = Service::start(&config, Setup::default()).unwrap();
    let a = Node::new(handle, net, 1, dir);
    // Its ports are free, so nobody can say anything to it.
    let _announcements = std::net::UdpSocket::bind(net.announcements(1)).unwrap();
    let _exchange = std::net::UdpSocket::bind(net.exchange(1)).unwrap();
    let itself = a.handle.me().machine;
    a.until("its own figures", |_| a.machine(itself)?.total_memory.ne(&0).then_some(()));
    assert!(!log.lines(&["this machine is alone"]).is_empty());
    assert_eq!(a.handle.stats().announcements, 0);
}

#[test]
fn a_port_in_use_is_named_with_its_remedy() {
    let net = net();
    let a = Plan::new(net, 1, &[1]).start();
    let dir = tempfile::tempdir().unwrap();
    let error = Plan::new(net, 1, &[1]).try_start(&dir).unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&net.exchange(1).to_string()), "{text}");
    assert!(
        text.contains("another program has it") && text.contains("announce.exchange_port"),
        "{text}"
    );
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(a);
}

#[test]
fn an_address_that_is_not_here_is_named() {
    let plan = Plan { announce: "address = \"192.0.2.1\"".into(), ..Plan::new(net(), 1, &[1]) };
    let text = plan.try_start(&tempfile::tempdir().unwrap()).unwrap_err().to_string();
    assert!(text.contains("192.0.2.1:4446") && text.contains("not on this machine"), "{text}");
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("machine"), "garbage").unwrap();
    let text = Plan::new(net(), 1, &[1]).try_start(&dir).unwrap_err().to_string();
    assert!(text.contains("does not hold this machine's identity"), "{text}");
}

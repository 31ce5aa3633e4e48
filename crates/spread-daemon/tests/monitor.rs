//! Operators at the control sockets of daemons that really run.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::AddrBlocks;
use spread_daemon::conf::SpreadConf;
use spread_daemon::config::{Around, BusSection, DaemonConfig, Priority, Secrets};
use spread_daemon::monitor::{Answer, Report, Request, Whom, ask, control_path};
use spread_daemon::{Daemon, Stopper};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    control: PathBuf,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn config(folder: &Path, name: &str, address: &str, port: u16, more: &str) -> DaemonConfig {
    let socket = folder.join(name);
    let text = format!(
        "name = {name:?}\nlisten = []\nsocket = {socket:?}\naddress = {address:?}\nport = {port}\nsegment = \"none\"\n\
         seeds = [\"127.0.77.1:{port}\", \"127.0.77.2:{port}\", \"127.0.77.3:{port}\"]\npriority = \"none\"\n{more}"
    );
    let section: BusSection = toml::from_str(&text).unwrap();
    let around = Around {
        name,
        here: &[],
        key: None,
        insecure: false,
        accept: &AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
        read_key: &|_| unreachable!("no key is named"),
    };
    section.check(&around).unwrap()
}

fn start(folder: &Path, name: &str, address: &str, port: u16, more: &str) -> Running {
    run(config(folder, name, address, port, more))
}

fn run(config: DaemonConfig) -> Running {
    let daemon = Daemon::open(config).unwrap();
    let (stopper, control) = (daemon.stopper(), daemon.control_file().unwrap().to_owned());
    let thread = std::thread::spawn(move || daemon.run().unwrap());
    Running { control, stopper, thread: Some(thread) }
}

fn free_port() -> u16 {
    let any: SocketAddr = "127.0.77.1:0".parse().unwrap();
    UdpSocket::bind(any).unwrap().local_addr().unwrap().port()
}

fn answers(at: &Running, request: &Request) -> Vec<Answer> {
    let mut all = Vec::new();
    ask(&at.control, request, |answer| all.push(answer)).unwrap();
    all
}

fn reports(at: &Running) -> BTreeMap<String, Report> {
    let status = Request::Status { of: Whom::All };
    let reports = answers(at, &status).into_iter().filter_map(|answer| match answer {
        Answer::Report(report) => Some((report.name.clone(), report)),
        _ => None,
    });
    reports.collect()
}

/// Asks until what all daemons say is good.
fn until(at: &Running, what: &str, good: impl Fn(&BTreeMap<String, Report>) -> bool) {
    let begun = Instant::now();
    loop {
        let seen = reports(at);
        if good(&seen) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not {what}: {seen:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn one_view(seen: &BTreeMap<String, Report>, names: &[&str]) -> bool {
    let of = names.iter().map(|name| seen.get(*name)).collect::<Option<Vec<_>>>();
    of.is_some_and(|of| {
        let same = |r: &&Report| {
            r.stands && r.daemons == names.len() as u64 && r.view == of[0].view && r.settled
        };
        of.iter().all(same)
    })
}

fn done(names: &[&str]) -> Vec<Answer> {
    let mut all: Vec<Answer> =
        names.iter().map(|name| Answer::Done { daemon: (*name).into() }).collect();
    all.push(Answer::End);
    all
}

fn sorted(mut answers: Vec<Answer>) -> Vec<Answer> {
    answers.sort_by_key(|answer| match answer {
        Answer::Done { daemon } => daemon.clone(),
        _ => "~".into(),
    });
    answers
}

#[test]
fn an_operator_divides_three_daemons_unites_them_and_ends_one() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let more = "dangerous_monitor = true\n";
    let a = start(folder.path(), "a", "127.0.77.1", port, more);
    let _b = start(folder.path(), "b", "127.0.77.2", port, more);
    let c = start(folder.path(), "c", "127.0.77.3", port, more);
    until(&a, "in one view", |seen| one_view(seen, &["a", "b", "c"]));

    let components = [("c".to_owned(), 1)].into();
    let partition = Request::Partition { components };
    assert_eq!(sorted(answers(&a, &partition)), done(&["a", "b", "c"]));
    until(&a, "divided", |seen| one_view(seen, &["a", "b"]) && one_view(seen, &["c"]));
    assert!(reports(&c).values().all(|report| report.partitioned));
    // Both sides are seen from each side.
    assert_eq!(reports(&c).len(), 3);

    assert_eq!(sorted(answers(&c, &Request::Heal)), done(&["a", "b", "c"]));
    until(&a, "united", |seen| one_view(seen, &["a", "b", "c"]));
    assert!(reports(&a).values().all(|report| !report.partitioned));

    let flow =
        Request::Flow { of: Whom::Named("b".into()), window: Some(50), accelerated: Some(0) };
    assert_eq!(answers(&a, &flow), done(&["b"]));
    let flows: Vec<_> = reports(&a).values().map(|r| (r.window, r.accelerated)).collect();
    assert_eq!(flows[1], (50, 0));
    assert!(flows[0].0 > 50 && flows[2].0 > 50, "{flows:?}");

    let mut c = c;
    let terminate = Request::Terminate { of: Whom::Named("c".into()) };
    assert_eq!(answers(&a, &terminate), done(&["c"]));
    c.thread.take().unwrap().join().unwrap();
    assert!(!c.control.exists(), "its control socket is removed");
    until(&a, "without c", |seen| one_view(seen, &["a", "b"]));
}

/// A daemon of a list of two.
fn start_listed(folder: &Path, at: usize, port: u16) -> Running {
    let text = format!(
        "Spread_Segment 127.0.77.255:{port} {{\n one 127.0.77.1\n two 127.0.77.2\n}}\nDangerousMonitor = true\n"
    );
    let conf = SpreadConf::parse(&text, &mut |_, _| unreachable!("all are addresses")).unwrap();
    let mut config = DaemonConfig::from_conf(&conf, at, Secrets::default()).unwrap();
    // Both are on one machine.
    config.data.addresses = vec![[127, 0, 77, at as u8 + 1].into()];
    config.clients.listen = Vec::new();
    config.clients.socket.as_mut().unwrap().path = folder.join(["one", "two"][at]);
    config.priority = Priority::None;
    run(config)
}

#[test]
fn a_daemon_of_the_list_that_is_not_heard_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let one = start_listed(folder.path(), 0, port);
    let all = || Request::Status { of: Whom::All };
    let absent = |answers: &[Answer]| {
        let is = |answer: &&Answer| matches!(answer, Answer::Refused { daemon, why } if daemon == "two" && why.contains("one does not hear it"));
        answers.iter().filter(is).count()
    };
    let components = BTreeMap::from([("one".to_owned(), 0), ("two".to_owned(), 1)]);
    let partition = Request::Partition { components };
    for request in [all(), Request::Heal, partition, Request::Reload { of: Whom::All }] {
        assert_eq!(absent(&answers(&one, &request)), 1, "{request:?}");
    }
    answers(&one, &Request::Heal);
    let named = Request::Status { of: Whom::Named("two".into()) };
    let Some(Answer::Mistake { why }) = answers(&one, &named).into_iter().next() else { panic!() };
    assert!(why.contains("is in the list, but one does not hear it"), "{why}");
    // The one that is asked is not missed, and once the other is there neither is that.
    assert_eq!(absent(&answers(&one, &Request::Status { of: Whom::This })), 0);
    let _two = start_listed(folder.path(), 1, port);
    until(&one, "both are in one view", |seen| one_view(seen, &["one", "two"]));
    assert_eq!(sorted(answers(&one, &Request::Heal)), sorted(done(&["one", "two"])));
}

#[test]
fn without_permission_monitors_only_look() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let bold = start(folder.path(), "bold", "127.0.77.1", port, "dangerous_monitor = true\n");
    let calm = start(folder.path(), "calm", "127.0.77.2", port, "");
    until(&bold, "in one view", |seen| one_view(seen, &["bold", "calm"]));
    let end = Request::Terminate { of: Whom::All };
    let said = answers(&calm, &end);
    assert!(matches!(&said[..], [Answer::Mistake { why }] if why.contains("dangerous_monitor")));
    let named = Request::Terminate { of: Whom::Named("calm".into()) };
    let said = answers(&bold, &named);
    assert!(
        matches!(&said[..], [Answer::Refused { daemon, why }, Answer::End] if daemon == "calm" && why.contains("dangerous_monitor")),
        "{said:?}"
    );
    let nobody = answers(&bold, &Request::Status { of: Whom::Named("nobody".into()) });
    assert!(matches!(&nobody[..], [Answer::Mistake { why }] if why.contains("nobody")));
    assert_eq!(reports(&calm).len(), 2, "both live");
}

#[test]
fn whoever_misbehaves_at_the_control_socket_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let one = start(folder.path(), "one", "127.0.77.1", free_port(), "");
    let mode = std::fs::metadata(&one.control).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(one.control, control_path(&folder.path().join("one")));
    let silent: Vec<UnixStream> =
        (0..8).map(|_| UnixStream::connect(&one.control).unwrap()).collect();
    for noise in [&b"{}\n"[..], b"\xff\xfe\n", b"{\"do\":\"status\"}\n", &[b'x'; 20_000]] {
        let mut socket = UnixStream::connect(&one.control).unwrap();
        // It may close before it has read everything.
        let _ = socket.write_all(noise);
        let mut line = String::new();
        let _ = BufReader::new(&socket).read_line(&mut line);
        assert!(line.contains("\"mistake\"") || line.is_empty(), "{line}");
    }
    // One that asks and goes away before the answer.
    let mut hasty = UnixStream::connect(&one.control).unwrap();
    hasty.write_all(b"{\"do\":\"status\",\"of\":\"all\"}\n").unwrap();
    drop(hasty);
    // More than there are places for, of which nobody asks.
    let _many: Vec<_> = (0..40).filter_map(|_| UnixStream::connect(&one.control).ok()).collect();
    drop(silent);
    let begun = Instant::now();
    while ask(&one.control, &Request::Status { of: Whom::This }, |_| {}).is_err() {
        assert!(begun.elapsed() < PATIENCE, "the places are never given back");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_sockets_go_with_the_daemon_even_if_it_cannot_name_them_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    std::fs::create_dir(&before).unwrap();
    let one = start(&before, "one", "127.0.77.1", free_port(), "");
    // As for a daemon that was confined to another directory meanwhile.
    std::fs::rename(&before, &after).unwrap();
    assert_eq!(std::fs::read_dir(&after).unwrap().count(), 2);
    drop(one);
    assert_eq!(std::fs::read_dir(&after).unwrap().count(), 0);
}

//! The pages of machines that really run, over real connections.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

#[path = "support/openmetrics.rs"]
mod openmetrics;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::config::Sections;
use balancer::{Balancer, Running, Sockets};
use base::AddrBlocks;
use console::{Config, Console};
use resources::config::{Protection, Scope};
use resources::{Handle, Service, Setup};
use serde_json::Value;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(10);

struct Machine {
    address: SocketAddr,
    resources: Handle,
    console: Arc<Console>,
    running: Option<Running>,
    config: Arc<balancer::Config>,
    _state: tempfile::TempDir,
}

#[derive(Clone, Copy)]
struct Ports {
    announce: u16,
    exchange: u16,
}

fn free_ports() -> Ports {
    let udp = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let announce = udp();
    let mut exchange = (0..100).map(|_| udp());
    let exchange =
        exchange.find(|&port| port != announce && TcpListener::bind(("127.0.0.1", port)).is_ok());
    Ports { announce, exchange: exchange.unwrap() }
}

impl Machine {
    fn start(name: &str, me: Ports, other: Ports) -> Self {
        let state = tempfile::tempdir().unwrap();
        let site = state.path().join("site");
        std::fs::create_dir(&site).unwrap();
        std::fs::write(site.join("hello.txt"), "hello\n").unwrap();
        let text = format!(
            "[local]\ndirectory = {site:?}\n[access_log]\nto = \"off\"\n\
             [[route]]\nname = \"anybody\"\npath = \"/any/\"\nchain = [\"byAge 5\", \"byRandom\"]\nempty = \"refuse\"\n\
             [[route]]\nname = \"asked\"\npath = \"/asked/\"\nchain = [\"removeSelf\", \"byFresh\"]\nasking = \"always\"\n"
        );
        let sections: Sections = toml::from_str(&text).unwrap();
        let config = Arc::new(balancer::Config::check(&sections).unwrap());
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let sockets = Sockets::bind_addresses(&[local(0)], &[local(me.exchange)], 1).unwrap();
        let address = sockets.addresses()[0];
        let cluster = resources::Config {
            name: name.into(),
            protection: Protection::Loopback,
            accept: AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
            state_dir: state.path().join("state"),
            interval: Duration::from_millis(50),
            targets: vec![local(other.announce).to_string().parse().unwrap()],
            advertised: None,
            address: Some([127, 0, 0, 1].into()),
            port: me.announce,
            exchange_port: me.exchange,
            scope: Scope::Machine,
            cgroup: None,
            assumed: Vec::new(),
        };
        let setup = Setup { http_port: address.port(), peer_listener: true, ..Setup::default() };
        let resources = Service::start(&cluster, setup).unwrap();
        let interval = Config::INTERVAL_MIN;
        let console = Console::start(Config { interval, ..Config::default() }).unwrap();
        let running =
            Balancer::start(config.clone(), sockets, resources.clone(), console.clone()).unwrap();
        console.watch(console::gather::Live::new(resources.clone(), running.view(), &config));
        Self { address, resources, console, running: Some(running), config, _state: state }
    }

    fn get(&self, target: &str) -> (u16, String) {
        let mut stream = self.ask(target);
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.into())
    }

    fn ask(&self, target: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        stream
    }

    fn status(&self) -> Value {
        let (status, body) = self.get("/backhand/status.json");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until the status says something.
    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "never: {what}; {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.console.stop();
        drop(self.running.take());
        self.resources.stop();
    }
}

fn pair() -> [Machine; 2] {
    let (one, two) = (free_ports(), free_ports());
    [Machine::start("alder", one, two), Machine::start("beech", two, one)]
}

fn decided(status: &Value) -> u64 {
    let counters = &status["totals"]["counters"];
    counters["decided_here"].as_u64().unwrap() + counters["decided_proxy"].as_u64().unwrap()
}

fn usable(status: &Value) -> usize {
    let machines = status["machines"].as_array().unwrap();
    machines.iter().filter(|m| m["usable"] == true).count()
}

#[test]
fn a_machine_shows_the_other_and_what_it_did_with_requests() {
    let [alder, _beech] = pair();
    alder.until("both are usable", |status| usable(status) == 2);
    for _ in 0..40 {
        assert_eq!(alder.get("/hello.txt").0, 200);
        assert_eq!(alder.get("/any/hello.txt").0, 404);
    }
    let status = alder.until("80 were decided", |status| decided(status) == 80);
    assert_eq!(status["this"], "alder");
    let names: Vec<_> = status["machines"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(names, ["alder", "beech"]);
    let beech = &status["machines"][1];
    assert_eq!((&beech["this"], &beech["condition"]), (&false.into(), &"alive".into()));
    assert!(
        beech["age_ms"].as_u64() < Some(1_000) && beech["cpus"].as_f64() > Some(0.0),
        "{beech}"
    );
    assert_eq!(beech["requests"], status["totals"]["counters"]["decided_proxy"]);
    let alders = &status["machines"][0];
    assert_eq!(alders["requests"], status["totals"]["counters"]["decided_here"]);
    assert!(alders["ms_per_request"].as_f64() > Some(0.0), "{alders}");
    assert!(beech["requests"].as_u64() > Some(0), "{beech}");
    assert!(beech["total_memory_bytes"].as_u64() > Some(1 << 20), "{beech}");
    let routes = status["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 3);
    assert_eq!(
        (&routes[0]["name"], &routes[0]["matches"]),
        (&"anybody".into(), &"path /any/".into())
    );
    assert_eq!(routes[0]["empty"], "refuse");
    assert_eq!(
        (routes[0]["requests"].as_u64(), routes[2]["requests"].as_u64()),
        (Some(40), Some(40))
    );
    let counters = &status["totals"]["counters"];
    assert_eq!(counters["requests"].as_u64(), Some(80), "views of the pages are counted apart");
}

#[test]
fn a_cluster_without_a_key_is_warned_of_on_the_page() {
    let [alder, _beech] = pair();
    let warnings = alder.status()["warnings"].to_string();
    assert!(
        warnings.contains("There is no cluster key: whatever runs on this machine"),
        "{warnings}"
    );
}

#[test]
fn decisions_are_explained_to_whoever_looks() {
    let [alder, _beech] = pair();
    alder.until("both are usable", |status| usable(status) == 2);
    let mut found = None;
    let deadline = Instant::now() + PATIENCE;
    while found.is_none() {
        assert!(Instant::now() < deadline, "no decision was explained");
        alder.get("/any/thing?token=secret");
        let (_, body) = alder.get("/backhand/decisions.json");
        assert!(!body.contains("secret"));
        let all: Vec<Value> = serde_json::from_str(&body).unwrap();
        found = all.into_iter().find(|d| d["path"] == "/any/thing?…");
    }
    let decision = found.unwrap();
    assert_eq!((&decision["method"], &decision["route"]), (&"GET".into(), &"anybody".into()));
    assert_eq!(decision["candidates"], serde_json::json!(["alder", "beech"]));
    let steps = decision["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2, "{decision}");
    assert_eq!(steps[1]["left"].as_array().unwrap().len(), 2);
    assert_eq!(steps[1]["left"][0]["name"], decision["winner"]);
    assert!(!decision["why"].as_str().unwrap().is_empty(), "{decision}");
}

#[test]
fn an_asked_decision_is_explained_from_the_chain_to_the_answers() {
    let [alder, _beech] = pair();
    alder.until("both are usable", |status| usable(status) == 2);
    let mut found = None;
    let deadline = Instant::now() + PATIENCE;
    while found.is_none() {
        assert!(Instant::now() < deadline, "no asked decision was explained");
        alder.get("/asked/thing");
        let status = alder.status();
        let all = status["decisions"].as_array().unwrap();
        found = all.iter().find(|d| d["reason"] == "asked").cloned();
    }
    let decision = found.unwrap();
    assert_eq!(decision["candidates"], serde_json::json!(["alder", "beech"]));
    let steps = decision["steps"].as_array().unwrap();
    let functions: Vec<&Value> = steps.iter().map(|step| &step["function"]).collect();
    assert_eq!(functions, ["removeSelf", "byFresh", "asking first"], "{decision}");
    assert_eq!(steps[0]["went"], serde_json::json!(["alder"]));
    assert_eq!(decision["answered"], serde_json::json!(["beech"]));
    assert_eq!(decision["estimates"][0]["name"], "beech");
    assert_eq!(decision["appraisals"][0]["name"], "beech");
    assert!(decision["waited_ms"].as_f64() > Some(0.0), "{decision}");
    assert_eq!(decision["winner"], "beech");
    let status = alder.until("the route asks", |s| s["routes"][1]["workers_asking"] == 1);
    assert_eq!(
        (&status["routes"][1]["name"], &status["routes"][1]["asking"]),
        (&"asked".into(), &"always".into())
    );
    assert_eq!(status["routes"][0]["workers_asking"], 0);
    let (_, page) = alder.get("/backhand/");
    for words in
        [", now 1 of ", "asking first", "Asked first: beech answered", "Before the questions"]
    {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn metrics_of_running_machines_are_strict_openmetrics() {
    let [alder, _beech] = pair();
    alder.until("both are usable", |status| usable(status) == 2);
    for _ in 0..20 {
        alder.get("/any/hello.txt");
    }
    // What is shown may be a tenth of a second old.
    let shown = alder.until("20 were decided", |status| decided(status) == 20);
    let proxied = shown["totals"]["counters"]["decided_proxy"].as_f64().unwrap();
    let here = shown["totals"]["counters"]["decided_here"].as_f64().unwrap();
    let (status, body) = alder.get("/metrics");
    assert_eq!(status, 200);
    let families = openmetrics::parse(&body);
    let sum = |family: &str, suffix: &str| -> f64 {
        let samples = families[family].samples.iter();
        samples.filter(|(s, ..)| s == suffix).map(|(.., value)| value).sum()
    };
    assert_eq!(sum("backhand_machine_usable", ""), 2.0);
    assert_eq!(sum("backhand_decisions", "_total"), 20.0);
    assert_eq!(sum("backhand_decision_reasons", "_total"), 20.0);
    assert_eq!(sum("backhand_peer_turnaround_seconds", "_count"), proxied + here);
    assert_eq!(sum("backhand_route_turnaround_seconds", "_count"), 20.0);
    assert!(sum("backhand_announcements_sent", "_total") > 0.0);
    assert!(sum("backhand_announcements_accepted", "_total") > 0.0);
}

#[test]
fn events_reach_a_browser_as_they_happen() {
    let [alder, _beech] = pair();
    alder.until("it knows itself", |status| usable(status) > 0);
    let mut lines = BufReader::new(alder.ask("/backhand/events")).lines();
    let mut next = |prefix: &str| {
        let found = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with(prefix));
        found.unwrap_or_else(|| panic!("the stream ended before {prefix:?}"))
    };
    next("HTTP/1.1 200");
    next("content-type: text/event-stream");
    for _ in 0..3 {
        next("event: parts");
        let data = next("data: ");
        let parts: Value = serde_json::from_str(&data["data: ".len()..]).unwrap();
        assert!(parts["machines"].as_str().unwrap().contains("alder"));
    }
}

#[test]
fn a_machine_with_a_bus_shows_how_it_is_and_that_it_ended() {
    let (me, other) = (free_ports(), free_ports());
    let machine = Machine::start("bus", me, other);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus");
    let text = format!(
        "listen = []\nsocket = {socket:?}\nport = {}\npriority = \"none\"\n",
        free_ports().announce
    );
    let section: spread_daemon::config::BusSection = toml::from_str(&text).unwrap();
    let around = spread_daemon::config::Around {
        name: "bus",
        here: &[],
        key: None,
        insecure: false,
        accept: &AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
        read_key: &|_| unreachable!("no key is named"),
    };
    let daemon = spread_daemon::Daemon::open(section.check(&around).unwrap()).unwrap();
    let (observer, stopper) = (daemon.observer(), daemon.stopper());
    let thread = std::thread::spawn(move || daemon.run().unwrap());
    let view = machine.running.as_ref().unwrap().view();
    let live = console::gather::Live::new(machine.resources.clone(), view, &machine.config);
    machine.console.watch(live.with_bus(Some(observer)));

    machine.until("it stands", |status| status["bus"]["stands"] == true);
    machine.until("it is alone", |status| status["bus"]["daemons"][0]["this"] == true);
    let families = openmetrics::parse(&machine.get("/metrics").1);
    assert_eq!(families["backhand_bus_view_members"].samples.len(), 1);
    stopper.stop();
    thread.join().unwrap();
    machine.until("it is over", |status| {
        status["bus"]["answers"] == false
            && status["warnings"].to_string().contains("Bus: The bus daemon has ended")
    });
}

#[test]
fn a_machine_with_addresses_shows_that_the_bus_is_away_and_that_they_ended() {
    let machine = Machine::start("vip", free_ports(), free_ports());
    // Nothing of the kernel, so that anybody may run this.
    let text = "daemon = \"/nonexistent/bus\"\n[[set]]\nname = \"role\"\naddresses = [\"192.0.2.7\"]\n\
        kernel = false\n[guardian]\nenabled = false\n";
    let section: addresses::config::AddressesSection = toml::from_str(text).unwrap();
    let around = addresses::config::Around { machine: "vip", bus: false };
    let config = section.check(&around).unwrap();
    let setup = addresses::service::Setup {
        legacy: None,
        endpoint: config.daemon.clone().unwrap(),
        config,
        pulse: None,
        seek: None,
        doubles: None,
        balancer: None,
        going: None,
        state: None,
        key: None,
    };
    let (handle, thread) = addresses::service::start(setup).unwrap();
    let view = machine.running.as_ref().unwrap().view();
    let live = console::gather::Live::new(machine.resources.clone(), view, &machine.config);
    machine.console.watch(live.with_addresses(Some(handle.clone())));

    let status = machine.until("it answers", |status| status["addresses"]["answers"] == true);
    assert_eq!(status["addresses"]["on_bus"], false);
    assert_eq!(status["addresses"]["stage"], "away");
    assert_eq!(status["addresses"]["guarded"], false);
    // Nobody here has what is listed.
    let set = &status["addresses"]["sets"][0];
    assert_eq!((&set["head"], &set["reason"]), (&"192.0.2.7".into(), &"bus-lost".into()));
    assert_eq!((&set["name"], &set["owner"]), (&"role".into(), &serde_json::Value::Null));
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("Addresses: the bus cannot be reached"), "{warnings}");
    let families = openmetrics::parse(&machine.get("/metrics").1);
    let of = |name: &str| families[name].samples[0].2;
    assert_eq!(
        (of("backhand_addresses_answers"), of("backhand_addresses_on_bus")),
        (1.0, 0.0),
        "{families:?}"
    );
    let nowhere = families["backhand_addresses_sets"]
        .samples
        .iter()
        .find(|(_, labels, _)| labels.get("which").is_some_and(|which| which == "nowhere"));
    assert_eq!(nowhere.map(|(_, _, value)| *value), Some(1.0));
    handle.end();
    thread.join().unwrap();
    machine.until("it is over", |status| {
        status["addresses"]["answers"] == false
            && status["warnings"]
                .to_string()
                .contains("Addresses: The service of the addresses has ended")
    });
}

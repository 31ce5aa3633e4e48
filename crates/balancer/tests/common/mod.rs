//! What the tests share: origins with a will of their own, clients that see raw bytes, machines in one process.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use balancer::config::Sections;
use balancer::{Balancer, Config, NoPages, Pages, Running, Sockets};
use base::AddrBlocks;
use candidacy::Slot;
use resources::{Handle, Service, Setup};

/// The longest that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A request as an origin received it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// One connection at an origin.
pub struct Wire {
    pub reader: BufReader<TcpStream>,
    pub writer: TcpStream,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream.try_clone().unwrap()), writer: stream }
    }

    /// Start line and headers; `None` at the end of the connection.
    pub fn head(&mut self) -> Option<Seen> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let mut seen = Seen { line: line.trim_end().into(), ..Seen::default() };
        loop {
            line.clear();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    seen.headers.push((name.to_string(), value.trim().to_string()));
                }
                None => return Some(seen),
            }
        }
    }

    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        let mut body = vec![0; n];
        self.reader.read_exact(&mut body).unwrap();
        body
    }

    /// One chunked body, decoded, and its trailer lines.
    pub fn chunks(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut body = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line).unwrap();
            let n = usize::from_str_radix(line.trim(), 16).unwrap();
            if n == 0 {
                break;
            }
            body.extend(self.exactly(n));
            assert_eq!(self.exactly(2), b"\r\n");
        }
        let mut trailers = Vec::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                return (body, trailers);
            }
            trailers.push(line.trim().to_string());
        }
    }

    /// The body that a head announces.
    pub fn body_of(&mut self, head: &Seen) -> Vec<u8> {
        if head.header("transfer-encoding").is_some() {
            return self.chunks().0;
        }
        let n = head.header("content-length").map_or(0, |n| n.parse().unwrap());
        self.exactly(n)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The other side may have gone: what follows will show it.
        let _ = self.writer.write_all(bytes.as_ref());
    }

    /// Everything until the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.reader.read_to_end(&mut rest);
        rest
    }

    /// Whether the other side has ended the connection without another byte.
    pub fn is_at_end(&mut self) -> bool {
        matches!(self.reader.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// A response as a client received it.
#[derive(Clone, Debug)]
pub struct Got {
    pub head: Seen,
    pub body: Vec<u8>,
}

impl Got {
    pub fn status(&self) -> u16 {
        self.head.line.split(' ').nth(1).unwrap().parse().unwrap()
    }
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

/// A client connection.
pub fn client(to: SocketAddr) -> Wire {
    Wire::new(TcpStream::connect(to).unwrap())
}

impl Wire {
    /// Reads one response to anything but HEAD.
    pub fn response(&mut self) -> Got {
        let head = self.head().expect("a response");
        let body = match head.header("content-length") {
            _ if head.header("transfer-encoding").is_some() => self.chunks().0,
            Some(n) => self.exactly(n.parse().unwrap()),
            None if head.line.contains(" 304 ") || head.line.contains(" 204 ") => Vec::new(),
            None if head.line.contains(" 1") && head.line.contains("HTTP/1.1 1") => Vec::new(),
            None => self.rest(),
        };
        Got { head, body }
    }

    /// Sends a GET and reads the response.
    pub fn get(&mut self, target: &str) -> Got {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }
}

/// One GET on a connection of its own.
pub fn get(to: SocketAddr, target: &str) -> Got {
    client(to).get(target)
}

/// An HTTP server whose every connection is served by a closure, on a thread of its own.
pub struct Origin {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Origin {
    /// Serves each connection with `serve`.
    pub fn wires(serve: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, SeqCst);
                let serve = serve.clone();
                std::thread::spawn(move || serve(Wire::new(stream)));
            }
        });
        Self { address, connections, seen: Arc::default() }
    }

    /// Answers each request with the bytes that `answer` makes of it.
    pub fn answering(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let record = seen.clone();
        let mut origin = Self::wires(move |mut wire| {
            while let Some(mut head) = wire.head() {
                head.body = wire.body_of(&head);
                let bytes = answer(&head);
                record.lock().unwrap().push(head);
                wire.send(bytes);
            }
        });
        origin.seen = seen;
        origin
    }

    /// Says its name to everybody.
    pub fn named(name: &'static str) -> Self {
        Self::answering(move |_| plain(name))
    }

    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().expect("a request")
    }
}

/// A response with a body of known length.
pub fn plain(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// One running machine.
pub struct Machine {
    pub address: SocketAddr,
    pub peer: SocketAddr,
    pub resources: Handle,
    running: Option<Running>,
    _state: tempfile::TempDir,
}

/// A machine before it runs.
pub struct Plan {
    pub text: String,
    pub pages: Arc<dyn Pages>,
    pub name: String,
    pub workers: usize,
    pub peer_listener: bool,
    /// The peer listener has a port of its own, rather than that of the exchange.
    pub peer_apart: bool,
}

/// A machine in front of an origin, with further lines of configuration by section.
pub fn in_front_of(origin: &Origin) -> Plan {
    configured(&format!("[local]\nserver = \"{}\"\nhealth = \"off\"\n", origin.address))
}

/// A machine with this configuration.
pub fn configured(text: &str) -> Plan {
    Plan {
        text: text.into(),
        pages: Arc::new(NoPages),
        name: "test".into(),
        workers: 1,
        peer_listener: true,
        peer_apart: false,
    }
}

impl Plan {
    pub fn with(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self.text.push('\n');
        self
    }
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }
    pub fn pages(mut self, pages: impl Pages) -> Self {
        self.pages = Arc::new(pages);
        self
    }
    /// Without a peer listener, as a machine that only announces itself.
    pub fn plain(mut self) -> Self {
        self.peer_listener = false;
        self
    }
    /// With a peer listener on a port that is not the exchange port.
    pub fn peer_apart(mut self) -> Self {
        self.peer_apart = true;
        self
    }
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    pub fn start(self) -> Machine {
        self.start_at(&Ports::free(), &[])
    }

    fn start_at(self, ports: &Ports, others: &[Ports]) -> Machine {
        let mut text = self.text;
        if !text.contains("[access_log]") {
            text.push_str("\n[access_log]\nto = \"off\"\n");
        }
        let sections: Sections = toml::from_str(&text).unwrap();
        let config = Arc::new(Config::check(&sections).unwrap());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let peer = SocketAddr::new(any.ip(), if self.peer_apart { 0 } else { ports.exchange });
        let sockets = Sockets::bind_addresses(&[any], &[peer], self.workers).unwrap();
        let peer = sockets.peer_address().unwrap();
        let address = sockets.addresses()[0];
        let state = tempfile::tempdir().unwrap();
        let target = |port: u16| format!("127.0.0.1:{port}").parse().unwrap();
        let nobody = [Ports::free()];
        let others = if others.is_empty() { &nobody } else { others };
        let cluster = resources::Config {
            name: self.name,
            protection: resources::config::Protection::Loopback,
            accept: AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
            state_dir: state.path().into(),
            interval: Duration::from_millis(50),
            targets: others.iter().map(|o| target(o.announce)).collect(),
            advertised: None,
            address: Some([127, 0, 0, 1].into()),
            port: ports.announce,
            exchange_port: ports.exchange,
            scope: resources::config::Scope::Machine,
            cgroup: None,
            assumed: Vec::new(),
        };
        let setup = Setup {
            http_port: address.port(),
            peer_listener: self.peer_listener,
            peer_port: peer.port(),
            ..Setup::default()
        };
        let resources = Service::start(&cluster, setup).unwrap();
        let running = Balancer::start(config, sockets, resources.clone(), self.pages).unwrap();
        Machine { address, peer, resources, running: Some(running), _state: state }
    }
}

/// The ports of one machine.
#[derive(Clone, Copy, Debug)]
struct Ports {
    announce: u16,
    exchange: u16,
}

impl Ports {
    /// Below those that the kernel gives to whoever wants any, and in a part for each process that tests at the same time.
    fn free() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let one = || {
            let next = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Relaxed));
            10_000 + (next % 22_000) as u16
        };
        // Both UDP and TCP must be free.
        let free = |port: &u16| {
            std::net::UdpSocket::bind(("127.0.0.1", *port)).is_ok()
                && TcpListener::bind(("127.0.0.1", *port)).is_ok()
        };
        let mut ports = std::iter::repeat_with(one).filter(free);
        Self { announce: ports.next().unwrap(), exchange: ports.next().unwrap() }
    }
}

/// Machines that know each other.
pub fn cluster(plans: Vec<Plan>) -> Vec<Machine> {
    let ports: Vec<Ports> = plans.iter().map(|_| Ports::free()).collect();
    let machines: Vec<Machine> = plans
        .into_iter()
        .enumerate()
        .map(|(i, plan)| {
            let others: Vec<Ports> =
                ports.iter().enumerate().filter(|(j, _)| i != *j).map(|(_, p)| *p).collect();
            plan.start_at(&ports[i], &others)
        })
        .collect();
    for machine in &machines {
        machine.knows(machines.len());
    }
    machines
}

/// Waits until something holds.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Machine {
    /// Waits until so many machines, this one included, may be chosen.
    pub fn knows(&self, count: usize) {
        let matrix = self.resources.matrix().clone();
        let clock = self.resources.clock();
        until(&format!("{count} machines are known"), || {
            let snapshot = matrix.slow.load();
            let usable = |slot: &Slot| {
                matrix.hot.standing(*slot, clock.now()) == candidacy::hot::Standing::Usable
            };
            snapshot.present().iter().filter(|slot| usable(slot)).count() == count
        });
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    pub fn totals(&self) -> balancer::stats::Totals {
        self.running().stats().totals
    }

    /// Ends in good order.
    pub fn drain(&mut self) {
        self.running.take().expect("it runs").drain();
    }

    /// Ends as if killed: connections break, nothing is said.
    pub fn kill(&mut self) {
        self.resources.stop();
        drop(self.running.take());
    }

    /// Falls silent towards the others, as if frozen, while its connections stay open.
    pub fn fall_silent(&self) {
        self.resources.stop();
    }

    /// A request is counted off a moment after its last byte was sent.
    pub fn until_nothing_is_in_flight(&self) {
        until("nothing is in flight", || self.resources.local().in_flight() == 0);
    }

    /// Waits until something holds of this machine.
    pub fn until(&self, what: &str, holds: impl Fn(&balancer::stats::Stats) -> bool) {
        until(what, || holds(&self.running().stats()));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.resources.stop();
    }
}

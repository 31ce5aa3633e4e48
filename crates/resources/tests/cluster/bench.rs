//! What every test needs: machines with addresses, keys and directories of their own, and waiting.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use base::MachineId;
use candidacy::{Condition, Machine, Slot};
use resources::config::{Announce, Cluster, Config, Measure};
use resources::{Death, Handle, Service, Setup, StartError};
use seal::ClusterKey;

/// The key of all tests, as its file says it and as it is.
pub(crate) const KEY_TEXT: &str =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub(crate) fn key() -> ClusterKey {
    ClusterKey::from_text(KEY_TEXT).unwrap()
}

/// A network for one test: 127.P.T.0/24, where P is of the process and T of the test.
#[derive(Clone, Copy)]
pub(crate) struct Net(u8, u8);

pub(crate) fn net() -> Net {
    static TESTS: AtomicU8 = AtomicU8::new(1);
    // 127.0 is for everyone else.
    let process = (std::process::id() % 250) as u8 + 1;
    Net(process, TESTS.fetch_add(1, Relaxed))
}

impl Net {
    pub(crate) fn ip(self, host: u8) -> IpAddr {
        Ipv4Addr::new(127, self.0, self.1, host).into()
    }

    pub(crate) fn announcements(self, host: u8) -> SocketAddr {
        SocketAddr::new(self.ip(host), 4445)
    }

    pub(crate) fn exchange(self, host: u8) -> SocketAddr {
        SocketAddr::new(self.ip(host), 4446)
    }

    /// A socket that stands where a machine would.
    pub(crate) fn socket(self, host: u8) -> UdpSocket {
        let socket = UdpSocket::bind(self.announcements(host)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

/// How long anything may take before a test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a machine is configured.
pub(crate) struct Plan {
    pub(crate) net: Net,
    pub(crate) host: u8,
    /// Hosts announced to.
    pub(crate) to: Vec<u8>,
    pub(crate) interval: &'static str,
    /// Further lines of `[cluster]` and `[announce]`.
    pub(crate) cluster: String,
    pub(crate) announce: String,
    pub(crate) key: Option<String>,
    pub(crate) setup: Setup,
}

impl Plan {
    /// Machine `host`, which announces to `to` every 100 ms.
    pub(crate) fn new(net: Net, host: u8, to: &[u8]) -> Self {
        Self {
            net,
            host,
            to: to.to_vec(),
            interval: "100ms",
            cluster: String::new(),
            announce: String::new(),
            key: Some(KEY_TEXT.into()),
            setup: Setup { http_port: 8080, peer_listener: true, ..Setup::default() },
        }
    }

    pub(crate) fn start(self) -> Node {
        self.start_in(tempfile::tempdir().unwrap())
    }

    pub(crate) fn start_in(self, dir: tempfile::TempDir) -> Node {
        let config = self.config(&dir);
        let handle = Service::start(&config, self.setup).unwrap();
        Node::new(handle, self.net, self.host, dir)
    }

    pub(crate) fn try_start(self, dir: &tempfile::TempDir) -> Result<Handle, StartError> {
        Service::start(&self.config(dir), self.setup.clone())
    }

    fn config(&self, dir: &tempfile::TempDir) -> Config {
        let mut text =
            format!("[cluster]\nname = \"web{}\"\nstate_dir = {:?}\n", self.host, dir.path());
        if let Some(key) = &self.key {
            writeln!(text, "key_file = {:?}", key_file(dir, key)).unwrap();
        }
        writeln!(text, "{}", self.cluster).unwrap();
        let targets: Vec<String> =
            self.to.iter().map(|&to| format!("\"{}\"", self.net.announcements(to))).collect();
        let ip = self.net.ip(self.host);
        writeln!(text, "[announce]\ninterval = {:?}\n{}", self.interval, self.announce).unwrap();
        if !self.announce.contains("targets") {
            writeln!(text, "targets = [{}]", targets.join(", ")).unwrap();
        }
        if !self.announce.contains("address") {
            writeln!(text, "address = \"{ip}\"").unwrap();
        }
        read_config(&text)
    }
}

/// Writes a file that holds a key.
pub(crate) fn key_file(dir: &tempfile::TempDir, key: &str) -> PathBuf {
    let path = dir.path().join("key");
    std::fs::write(&path, key).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

/// Checks the three sections of a text.
pub(crate) fn read_config(text: &str) -> Config {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        cluster: Cluster,
        #[serde(default)]
        announce: Announce,
        #[serde(default)]
        measure: Measure,
    }
    let file: File = toml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    Config::check(&file.cluster, &file.announce, &file.measure)
        .unwrap_or_else(|e| panic!("{e:?}\n{text}"))
}

/// A running machine.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) net: Net,
    pub(crate) host: u8,
    pub(crate) dir: Option<tempfile::TempDir>,
    snapshots: Receiver<()>,
    pub(crate) deaths: Receiver<Death>,
}

impl Node {
    pub(crate) fn new(handle: Handle, net: Net, host: u8, dir: tempfile::TempDir) -> Self {
        let (to, snapshots) = channel();
        handle.on_snapshot(tell(to, ()));
        let (to, deaths) = channel();
        handle.on_death(move |death| {
            let _ = to.send(death);
        });
        Self { handle, net, host, dir: Some(dir), snapshots, deaths }
    }

    /// Waits until `found` finds something; it is asked at each snapshot.
    pub(crate) fn until<T>(&self, what: &str, mut found: impl FnMut(&Handle) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(&self.handle) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.snapshots.recv_timeout(left).is_err() {
                panic!("web{} waited in vain for {what}: {:?}", self.host, self.handle.stats());
            }
        }
    }

    /// Waits until the machine is in the matrix; its row.
    pub(crate) fn meets(&self, other: &Node) -> Slot {
        let id = other.handle.me();
        self.until("a machine", |handle| {
            let snapshot = handle.matrix().slow.load();
            let slot = snapshot.find(id.machine)?;
            (snapshot.machine(slot)?.boot == id.boot).then_some(slot)
        })
    }

    pub(crate) fn machine(&self, id: MachineId) -> Option<Machine> {
        let snapshot = self.handle.matrix().slow.load();
        snapshot.machine(snapshot.find(id)?).cloned()
    }

    pub(crate) fn condition(&self, slot: Slot) -> Condition {
        self.handle.matrix().hot.condition(slot)
    }

    /// Waits for the next death.
    pub(crate) fn death(&self) -> Death {
        self.deaths
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("web{} saw nobody die", self.host))
    }

    /// Stops the machine; its directory.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        self.handle.stop();
        self.dir.take().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

fn tell<T: Clone + Send + 'static>(to: Sender<T>, what: T) -> impl Fn() + Send {
    move || {
        // A test that has ended needs no news.
        let _ = to.send(what.clone());
    }
}

/// Two machines that know each other.
pub(crate) fn pair(net: Net) -> (Node, Node) {
    let (a, b) = (Plan::new(net, 1, &[1, 2]).start(), Plan::new(net, 2, &[1, 2]).start());
    a.meets(&b);
    b.meets(&a);
    (a, b)
}

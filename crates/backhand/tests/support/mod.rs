//! A cluster of real processes in a lab, for the tests: each machine is this crate's binary with a file of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{CgroupWish, Kind, Lab, LabConfig, Output, Process, Spawn, Wish};

/// The port every machine serves on.
pub const PORT: u16 = 8080;
/// The most any single event of a test may take. A bound for broken code, not a wait.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Machines with their files. What they serve is the test's affair.
pub struct Cluster {
    pub lab: Lab,
    folder: tempfile::TempDir,
    processes: Vec<Option<Process>>,
}

impl Cluster {
    /// A lab of `n` machines that know a common key; nothing runs yet.
    pub fn new(n: usize, cgroups: CgroupWish) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::start(LabConfig {
            machines: n,
            wish: Wish::Namespaces,
            cgroups,
            ..LabConfig::default()
        })
        .unwrap();
        let mut key = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.path().join("key"))
            .unwrap();
        key.write_all(b"a key that only this test knows, long enough").unwrap();
        Self { lab, folder, processes: (0..n).map(|_| None).collect() }
    }

    pub fn kind(&self) -> Kind {
        self.lab.kind()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn address(&self, i: usize) -> IpAddr {
        self.lab.machine(i).address()
    }

    pub fn entry(&self, i: usize) -> SocketAddr {
        (self.address(i), PORT).into()
    }

    /// The configuration every machine starts from. A test adds its sections.
    pub fn base_config(&self, i: usize) -> String {
        let (name, address) = (format!("m{}", i + 1), self.address(i));
        let folder = self.folder.path().display();
        format!(
            "[cluster]\nname = \"{name}\"\nkey_file = \"{folder}/key\"\naccept = [\"10.77.0.0/24\"]\nstate_dir = \"{folder}/{name}\"\n\
             [http]\nlisten = [\"{address}:{PORT}\"]\nworkers = 1\nserved_by_header = true\n\
             [peers]\nlisten = \"{address}:4446\"\n[status]\nallow = [\"10.77.0.0/24\"]\n\
             [access_log]\nto = \"{folder}/{name}.access\"\nformat = \"json\"\n"
        )
    }

    /// Starts machine `i` with its base configuration and `more`.
    pub fn start(&mut self, i: usize, more: &str) -> PathBuf {
        let file = self.folder.path().join(format!("m{}.toml", i + 1));
        fs::write(&file, self.base_config(i) + more).unwrap();
        let said = self.folder.path().join(format!("m{}.log", i + 1));
        let spawn = Spawn::new(env!("CARGO_BIN_EXE_backhand")).args(["run", "--config"]).arg(&file);
        let process = self
            .lab
            .machine(i)
            .spawn(spawn.stdout(Output::File(said.clone())).stderr(Output::File(said.clone())))
            .unwrap();
        self.processes[i] = Some(process);
        said
    }

    pub fn process(&self, i: usize) -> &Process {
        self.processes[i].as_ref().expect("the machine was started")
    }

    /// Waits until machines `who` all know `n` usable machines.
    pub fn wait_until_known(&self, who: &[usize], n: usize) {
        let deadline = Instant::now() + PATIENCE;
        for &i in who {
            while self.usable(i) != Some(n) {
                assert!(
                    Instant::now() < deadline,
                    "m{} does not know {n} machines:\n{}",
                    i + 1,
                    self.said(i)
                );
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// How many usable machines `i` knows, itself included.
    pub fn usable(&self, i: usize) -> Option<usize> {
        let status = self.status(i)?;
        let machines = status.get("machines")?.as_array()?;
        Some(machines.iter().filter(|m| m["usable"] == true).count())
    }

    /// What machine `i` says of the cluster.
    pub fn status(&self, i: usize) -> Option<serde_json::Value> {
        let mut stream = self.lab.connect(self.entry(i), Duration::from_secs(1)).ok()?;
        let answer =
            get(&mut stream, self.entry(i), "/backhand/status.json", "Connection: close\r\n")
                .ok()?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// What machine `i` wrote to its log.
    pub fn said(&self, i: usize) -> String {
        fs::read_to_string(self.folder.path().join(format!("m{}.log", i + 1))).unwrap_or_default()
    }

    /// One request at machine `i`'s front door.
    pub fn get(&self, i: usize, path: &str) -> std::io::Result<Answer> {
        let mut stream = self
            .lab
            .connect(self.entry(i), Duration::from_secs(5))
            .map_err(std::io::Error::other)?;
        get(&mut stream, self.entry(i), path, "")
    }
}

/// A response as the tests look at it.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|l| l.split_once(':'))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
    }

    /// The machine that served.
    pub fn by(&self) -> &str {
        self.header("backhand-served-by").unwrap_or("")
    }
}

/// Sends a `GET` and reads the whole response, by its Content-Length or until close.
pub fn get(
    stream: &mut TcpStream,
    host: SocketAddr,
    path: &str,
    more: &str,
) -> std::io::Result<Answer> {
    send(stream, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"))
}

/// Sends a request as it is and reads the whole response.
pub fn send(stream: &mut TcpStream, request: &str) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    let end = loop {
        if let Some(i) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break i + 4;
        }
        match stream.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => bytes.extend_from_slice(&piece[..n]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut answer = Answer {
        status: head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0),
        head,
        body: bytes[end..].to_vec(),
    };
    let length: Option<usize> = answer.header("content-length").and_then(|l| l.parse().ok());
    while length.is_none_or(|l| answer.body.len() < l) {
        match stream.read(&mut piece)? {
            0 if length.is_none() => break,
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => answer.body.extend_from_slice(&piece[..n]),
        }
    }
    Ok(answer)
}

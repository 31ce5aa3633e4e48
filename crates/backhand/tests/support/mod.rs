//! A cluster of real processes in a lab, for the tests: each machine is this crate's binary with a file of its own.

// Each test program uses its part of this.
#![allow(dead_code)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{CgroupWish, Kind, Lab, LabConfig, Output, Process, Spawn, Wish};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_backhand");
/// The port every machine serves on.
pub(crate) const PORT: u16 = 8080;
/// The most any single event of a test may take. A bound for broken code, not a wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What [`get`] says when a response began and did not end.
pub(crate) const TORN: ErrorKind = ErrorKind::InvalidData;
/// The key of every cluster here.
pub(crate) const KEY: &str = "5e1fc0de5e1fc0de5e1fc0de5e1fc0de00112233445566778899aabbccddeeff";

/// Waits until `found` finds something; it is asked again and again.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Machines with their files. What they serve is the test's affair.
pub(crate) struct Cluster {
    pub(crate) lab: Lab,
    folder: tempfile::TempDir,
    processes: Vec<Option<Process>>,
}

impl Cluster {
    /// A lab of `n` machines that know a common key; nothing runs yet.
    pub(crate) fn new(n: usize, cgroups: CgroupWish) -> Self {
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
        key.write_all(KEY.as_bytes()).unwrap();
        Self { lab, folder, processes: (0..n).map(|_| None).collect() }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.lab.kind()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn address(&self, i: usize) -> IpAddr {
        self.lab.machine(i).address()
    }

    pub(crate) fn entry(&self, i: usize) -> SocketAddr {
        (self.address(i), PORT).into()
    }

    /// The configuration every machine starts from. A test adds its sections.
    pub(crate) fn base_config(&self, i: usize) -> String {
        let (name, address) = (format!("m{}", i + 1), self.address(i));
        let folder = self.folder.path().display();
        format!(
            "[cluster]\nname = \"{name}\"\nkey_file = \"{folder}/key\"\naccept = [\"10.77.0.0/24\"]\nstate_dir = \"{folder}/{name}\"\n\
             [http]\nlisten = [\"{address}:{PORT}\"]\nworkers = 1\nserved_by = true\n\
             [status]\nallow = [\"10.77.0.0/24\"]\n\
             [access_log]\nto = \"{folder}/{name}.access\"\nformat = \"json\"\n"
        )
    }

    /// Starts machine `i` with its base configuration and `more`.
    pub(crate) fn start(&mut self, i: usize, more: &str) -> PathBuf {
        let text = self.base_config(i) + more;
        self.start_as(i, &text, Spawn::new(PROGRAM))
    }

    /// Starts machine `i` with this configuration, through `spawn`, which is the program itself or becomes it.
    pub(crate) fn start_as(&mut self, i: usize, text: &str, spawn: Spawn) -> PathBuf {
        let file = self.folder.path().join(format!("m{}.toml", i + 1));
        fs::write(&file, text).unwrap();
        let said = self.folder.path().join(format!("m{}.log", i + 1));
        let spawn = spawn.args(["run", "--config"]).arg(&file);
        let spawn = spawn.stdout(Output::File(said.clone())).stderr(Output::File(said.clone()));
        self.processes[i] = Some(self.lab.machine(i).spawn(spawn).unwrap());
        said
    }

    pub(crate) fn process(&self, i: usize) -> &Process {
        self.processes[i].as_ref().expect("the machine was started")
    }

    /// Waits until machines `who` all know `n` usable machines.
    pub(crate) fn wait_until_known(&self, who: &[usize], n: usize) {
        let deadline = Instant::now() + PATIENCE;
        for &i in who {
            while self.usable(i) != Some(n) {
                let lost = Instant::now() > deadline || !self.process(i).is_running();
                assert!(!lost, "m{} does not know {n} machines:\n{}", i + 1, self.said(i));
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Waits until machine `i` answers.
    pub(crate) fn wait_until_served(&self, i: usize) {
        let process = self.process(i);
        until(&format!("m{} answers", i + 1), || {
            assert_eq!(process.wait_timeout(Duration::ZERO), None, "it ended: {}", self.said(i));
            self.status(i)
        });
    }

    /// How many usable machines `i` knows, itself included.
    pub(crate) fn usable(&self, i: usize) -> Option<usize> {
        let status = self.status(i)?;
        let machines = status.get("machines")?.as_array()?;
        Some(machines.iter().filter(|m| m["usable"] == true).count())
    }

    /// What machine `i` says of the cluster.
    pub(crate) fn status(&self, i: usize) -> Option<serde_json::Value> {
        let mut stream = self.lab.connect(self.entry(i), Duration::from_secs(1)).ok()?;
        let answer =
            get(&mut stream, self.entry(i), "/backhand/status.json", "Connection: close\r\n")
                .ok()?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// The metrics of machine `i`: the value of the sample with this name and these labels, as written.
    pub(crate) fn metric(&self, i: usize, sample: &str) -> Option<f64> {
        let mut stream = self.lab.connect(self.entry(i), Duration::from_secs(1)).ok()?;
        let answer = get(&mut stream, self.entry(i), "/metrics", "Connection: close\r\n").ok()?;
        let text = String::from_utf8(answer.body).ok()?;
        text.lines().find_map(|l| l.strip_prefix(sample)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// The records of machine `i`'s access log, complete up to now: a last request is made and waited for.
    pub(crate) fn access_log(
        &self,
        i: usize,
    ) -> Result<Vec<serde_json::Value>, Box<dyn std::error::Error>> {
        self.get(i, "/the-last-one")?;
        let file = self.folder.path().join(format!("m{}.access", i + 1));
        let text = until("the last record is written", || {
            fs::read_to_string(&file).ok().filter(|text| text.contains("/the-last-one"))
        });
        let records = text.lines().filter(|line| !line.contains("/the-last-one"));
        Ok(records.map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// What machine `i` wrote to its log.
    pub(crate) fn said(&self, i: usize) -> String {
        fs::read_to_string(self.folder.path().join(format!("m{}.log", i + 1))).unwrap_or_default()
    }

    /// One request at machine `i`'s front door.
    pub(crate) fn get(&self, i: usize, path: &str) -> std::io::Result<Answer> {
        let mut stream = self
            .lab
            .connect(self.entry(i), Duration::from_secs(5))
            .map_err(std::io::Error::other)?;
        get(&mut stream, self.entry(i), path, "")
    }
}

/// A response as the tests look at it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|l| l.split_once(':'))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
    }

    /// The machine that served.
    pub(crate) fn by(&self) -> &str {
        self.header("x-served-by").unwrap_or("")
    }
}

/// Sends a `GET` and reads the whole response, by its Content-Length or until close.
pub(crate) fn get(
    stream: &mut TcpStream,
    host: SocketAddr,
    path: &str,
    more: &str,
) -> std::io::Result<Answer> {
    send(stream, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"))
}

/// Sends a request as it is and reads the whole response.
pub(crate) fn send(stream: &mut TcpStream, request: &str) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    let end = loop {
        if let Some(i) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break i + 4;
        }
        match stream.read(&mut piece)? {
            0 if bytes.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
            0 => return Err(TORN.into()),
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
        match stream.read(&mut piece) {
            Ok(0) if length.is_none() => break,
            Ok(0) => return Err(TORN.into()),
            Ok(n) => answer.body.extend_from_slice(&piece[..n]),
            Err(error) => return Err(std::io::Error::new(TORN, error)),
        }
    }
    Ok(answer)
}

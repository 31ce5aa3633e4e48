//! Daemons of the bus in machines of a lab, each with a `/tmp` of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use lab::{CgroupWish, Exit, Lab, LabConfig, Output, Process, Spawn};
use spread_client::Endpoint;
use spread_daemon::monitor::{Answer, Detail, Request, ask, control_path};

use crate::support::{KEY, PATIENCE, PROGRAM, until};

/// The port of the bus.
pub(crate) const PORT: u16 = 4803;
/// The names of the daemons, in their order.
pub(crate) const NAMES: [&str; 8] =
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];

/// A lab, one daemon in each machine or none.
pub(crate) struct Bus {
    pub(crate) lab: Lab,
    folder: tempfile::TempDir,
    daemons: Vec<Option<Process>>,
    /// Numbers of sessions, each given once.
    pub(crate) sessions: AtomicU32,
}

impl Bus {
    /// Machines without daemons.
    pub(crate) fn silent(n: usize) -> Self {
        Self::silent_in(n, LabConfig { cgroups: CgroupWish::No, ..LabConfig::default() })
    }

    /// The same in such a lab.
    pub(crate) fn silent_in(n: usize, lab: LabConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(PROGRAM).parent().unwrap().to_owned();
        let lab = Lab::start(LabConfig {
            machines: n,
            names: NAMES.map(str::to_owned).to_vec(),
            // The Unix sockets of daemons are there, under names that do not depend on the machine.
            private: vec!["/tmp".into()],
            shared: vec![folder.path().to_owned(), program],
            ..lab
        })
        .unwrap();
        let bus = Self {
            lab,
            folder,
            daemons: (0..n).map(|_| None).collect(),
            sessions: AtomicU32::new(0),
        };
        bus.write("spread.conf", &bus.conf(n));
        bus.write_key("key", KEY);
        bus
    }

    /// A daemon in each of `n` machines.
    pub(crate) fn new(n: usize) -> Self {
        let mut bus = Self::silent(n);
        (0..n).for_each(|i| bus.start(i));
        bus
    }

    /// The usual file, of the first `n` machines.
    pub(crate) fn conf(&self, n: usize) -> String {
        let line = |i: usize| format!("  {} {}\n", NAMES[i], self.lab.machine(i).address());
        let lines: String = (0..n).map(line).collect();
        format!("Spread_Segment 239.192.48.9:{PORT} {{\n{lines}}}\n")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(crate) fn write_key(&self, name: &str, key: &str) -> PathBuf {
        let path = self.path(name);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(key.as_bytes()).unwrap();
        path
    }

    pub(crate) fn machines(&self) -> usize {
        self.daemons.len()
    }

    /// Starts daemon `i` with the usual file and key.
    pub(crate) fn start(&mut self, i: usize) {
        self.start_with(i, Spawn::new(PROGRAM), "spread.conf", "key");
    }

    /// Starts daemon `i` with other files, through something that is the program or becomes it.
    pub(crate) fn start_with(&mut self, i: usize, spawn: Spawn, conf: &str, key: &str) {
        let spawn = self.daemon(i, spawn, conf, key);
        self.daemons[i] = Some(self.lab.machine(i).spawn(spawn).unwrap());
    }

    /// Starts machine `i` as a whole Backhand with these lines besides what every one needs.
    pub(crate) fn start_whole(&mut self, i: usize, lines: &str) {
        let (name, address) = (NAMES[i], self.lab.machine(i).address());
        let (key, state) = (self.path("key"), self.path(name));
        let (key, state) = (key.display(), state.display());
        let text = format!(
            "[cluster]\nname = \"{name}\"\nkey_file = \"{key}\"\naccept = [\"10.77.0.0/16\"]\nstate_dir = \"{state}\"\n\
             [http]\nlisten = [\"{address}:8080\"]\nworkers = 1\n{lines}"
        );
        let log = self.path(&format!("{name}.log"));
        let spawn = Spawn::new(PROGRAM)
            .args(["run", "--config"])
            .arg(self.write(&format!("{name}.toml"), &text))
            .cwd("/")
            .stdout(Output::File(log.clone()))
            .stderr(Output::File(log));
        self.daemons[i] = Some(self.lab.machine(i).spawn(spawn).unwrap());
    }

    fn daemon(&self, i: usize, spawn: Spawn, conf: &str, key: &str) -> Spawn {
        let log = self.path(&format!("{}.log", NAMES[i]));
        spawn
            .args(["bus", "daemon", "-n", NAMES[i], "-c"])
            .arg(self.path(conf))
            .arg("--key-file")
            .arg(self.path(key))
            .cwd("/")
            .stdout(Output::File(log.clone()))
            .stderr(Output::File(log))
    }

    /// Runs the program with these words in machine `i` until it ends; what it said.
    pub(crate) fn fails(&self, i: usize, words: &[&str]) -> (Exit, String) {
        let log = self.path("fails.log");
        let _ = fs::remove_file(&log);
        let spawn = Spawn::new(PROGRAM).args(["bus", "daemon"]).args(words).cwd("/");
        let spawn = spawn.stdout(Output::File(log.clone())).stderr(Output::File(log.clone()));
        let process = self.lab.machine(i).spawn(spawn).unwrap();
        let exit = process.wait_timeout(PATIENCE);
        let said = fs::read_to_string(&log).unwrap_or_default();
        let exit = exit.unwrap_or_else(|| panic!("it did not end:\n{said}"));
        (exit, said)
    }

    pub(crate) fn process(&self, i: usize) -> &Process {
        self.daemons[i].as_ref().expect("the daemon was started")
    }

    /// Where clients of daemon `i` connect: its Unix socket, in the folder that only its machine has.
    pub(crate) fn endpoint(&self, i: usize) -> Endpoint {
        Endpoint::Unix(self.process(i).seen(format!("/tmp/{PORT}")))
    }

    /// Starts the program with these words as daemon `i`.
    pub(crate) fn run(&mut self, i: usize, words: &[&std::ffi::OsStr]) {
        let log = self.path(&format!("{}.log", NAMES[i]));
        let spawn = Spawn::new(PROGRAM).args(words).cwd("/");
        let spawn = spawn.stdout(Output::File(log.clone())).stderr(Output::File(log));
        self.daemons[i] = Some(self.lab.machine(i).spawn(spawn).unwrap());
    }

    /// All that daemon `i` knows of itself and of the others, if it answers.
    pub(crate) fn detail(&self, i: usize) -> Option<Box<Detail>> {
        let Endpoint::Unix(clients) = self.endpoint(i) else { return None };
        let mut detail = None;
        let take = |answer| {
            if let Answer::Detail(of) = answer {
                detail = Some(of);
            }
        };
        ask(&control_path(&clients), &Request::Detail, take).ok()?;
        detail
    }

    /// A number for a session.
    pub(crate) fn session(&self) -> u32 {
        self.sessions.fetch_add(1, Relaxed)
    }

    /// What daemon `i` wrote to its log, all lives together.
    pub(crate) fn said(&self, i: usize) -> String {
        fs::read_to_string(self.path(&format!("{}.log", NAMES[i]))).unwrap_or_default()
    }

    /// Waits until daemon `i` has said all of these words in one line.
    pub(crate) fn wait_until_said(&self, i: usize, words: &[&str]) {
        until(&format!("{} says {words:?}", NAMES[i]), || {
            assert!(self.process(i).is_running(), "{} ended:\n{}", NAMES[i], self.said(i));
            (count(&self.said(i), words) > 0).then_some(())
        });
    }

    /// Ends daemon `i` as an operator does, and waits for it.
    pub(crate) fn stop(&mut self, i: usize) {
        let process = self.daemons[i].take().expect("the daemon was started");
        process.term().unwrap();
        let exit = process.wait_timeout(PATIENCE);
        assert_eq!(exit, Some(Exit::Code(0)), "{}", self.said(i));
    }

    /// Kills daemon `i` and waits until it is gone.
    pub(crate) fn kill(&mut self, i: usize) {
        let process = self.daemons[i].take().expect("the daemon was started");
        process.kill9().unwrap();
        assert_eq!(process.wait_timeout(PATIENCE), Some(Exit::Signal(9)), "{}", self.said(i));
    }

    /// No daemon that was started has ended by itself.
    pub(crate) fn all_live(&self) -> Result<(), String> {
        for (i, daemon) in self.daemons.iter().enumerate() {
            if daemon.as_ref().is_some_and(|daemon| !daemon.is_running()) {
                return Err(format!("{} ended by itself:\n{}", NAMES[i], self.said(i)));
            }
        }
        Ok(())
    }

    /// Memory of daemon `i` in kilobytes.
    pub(crate) fn memory(&self, i: usize) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process(i).pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
    }

    /// Descriptors that daemon `i` has open.
    pub(crate) fn descriptors(&self, i: usize) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process(i).pid())).map_or(0, Iterator::count)
    }
}

impl Drop for Bus {
    /// When a test fails, its reader wants to know what the daemons thought.
    fn drop(&mut self) {
        if std::thread::panicking() || self.daemons.iter().flatten().any(|d| !d.is_running()) {
            for (i, name) in NAMES.iter().enumerate().take(self.machines()) {
                eprintln!("--- {name}\n{}", self.said(i));
            }
        }
    }
}

/// In how many lines all of these words are said.
pub(crate) fn count(said: &str, words: &[&str]) -> usize {
    said.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

/// The names of machines `these`, sorted.
pub(crate) fn names(these: &[usize]) -> BTreeSet<String> {
    these.iter().map(|i| NAMES[*i].to_owned()).collect()
}

/// As much as a fault may need to be seen, and to be got over. Machines that test are busy.
pub(crate) const SOON: Duration = Duration::from_secs(15);

//! Daemons in the machines of a lab, and the processes of the load beside them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::{CgroupWish, Lab, LabConfig, Output, Process, Spawn, Wish};
use serde::de::DeserializeOwned;

use crate::clock;
use crate::role::{Order, Role, Seen};
use crate::system::{self, System};

/// How long a cluster may take to form, and any role to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a daemon's log that are shown when something fails.
const LAST_WORDS: usize = 8;

/// A cluster of one system.
pub(crate) struct Cluster {
    pub(crate) system: System,
    pub(crate) lab: Lab,
    folder: tempfile::TempDir,
    binary: PathBuf,
    cores: Vec<Option<usize>>,
    daemons: Vec<Option<Process>>,
    groups: u32,
}

impl Cluster {
    /// Starts `machines` daemons and waits until they have formed. Daemon `i` stays on the processor `cores[i]`, if it says any.
    pub(crate) fn start(
        system: System,
        binary: &Path,
        machines: usize,
        cores: &[Option<usize>],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = binary.parent().context("a binary without a folder")?;
        let lab = Lab::start(LabConfig {
            machines,
            wish: Wish::RootNamespaces,
            cgroups: CgroupWish::No,
            // Sockets, shared memory and state of the daemons have the same names in every machine.
            private: ["/tmp", "/dev/shm", "/run", "/var/lib/corosync"]
                .into_iter()
                .filter(|folder| Path::new(folder).is_dir())
                .map(PathBuf::from)
                .collect(),
            shared: vec![folder.path().to_owned(), program.to_owned()],
            ..LabConfig::default()
        })?;
        let addresses: Vec<_> = (0..machines).map(|i| lab.machine(i).address()).collect();
        system.configure(folder.path(), &addresses)?;
        let cores = (0..machines).map(|i| cores.get(i).copied().flatten()).collect();
        let daemons = (0..machines).map(|_| None).collect();
        let binary = binary.to_owned();
        let mut cluster = Self { system, lab, folder, binary, cores, daemons, groups: 0 };
        for i in 0..machines {
            cluster.launch(i)?;
        }
        cluster.wait_until_formed()?;
        Ok(cluster)
    }

    /// Starts daemon `i`.
    pub(crate) fn launch(&mut self, i: usize) -> Result<()> {
        let words = self.system.daemon(&self.binary, self.folder.path(), i + 1);
        let log = self.log(i);
        let spawn = system::spawn(&words, self.cores[i]).cwd("/");
        let spawn = spawn.stdout(Output::File(log.clone())).stderr(Output::File(log));
        self.daemons[i] = Some(self.lab.machine(i).spawn(spawn)?);
        Ok(())
    }

    /// All daemons share a view when a client of each is in the group.
    fn wait_until_formed(&mut self) -> Result<()> {
        let group = self.group();
        let mut watches = Vec::new();
        for i in 0..self.machines() {
            watches.push(self.watch(i, &group)?);
        }
        let all = self.machines();
        watches[0].wait(|seen| seen.members == all).with_context(|| self.last_words())?;
        for watch in watches {
            watch.process.kill9()?;
        }
        // The ends of those sessions are news of their own.
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    }

    pub(crate) fn machines(&self) -> usize {
        self.lab.machines()
    }

    /// The daemon of machine `i`.
    pub(crate) fn daemon(&self, i: usize) -> Result<&Process> {
        self.daemons[i].as_ref().context("the daemon was not started")
    }

    /// A group that nobody has used.
    pub(crate) fn group(&mut self) -> String {
        self.groups += 1;
        format!("g{}", self.groups)
    }

    /// Starts a role in machine `i`, on the processor `core` if it says any.
    pub(crate) fn role(
        &self,
        i: usize,
        group: &str,
        core: Option<usize>,
        role: Role,
    ) -> Result<Process> {
        let order = Order { bus: self.system.bus(), group: group.into(), core, role };
        let order = serde_json::to_string(&order)?;
        let spawn = Spawn::myself().args(["--role", &order]).cwd("/").stdout(Output::Pipe);
        Ok(self.lab.machine(i).spawn(spawn)?)
    }

    /// Starts a client of machine `i` that tells of each view.
    pub(crate) fn watch(&self, i: usize, group: &str) -> Result<Watch> {
        let process = self.role(i, group, None, Role::Watch)?;
        let stdout = process.take_stdout().context("no standard output")?;
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(seen) = serde_json::from_str::<Seen>(&line) else { return };
                if tell.send(seen).is_err() {
                    return;
                }
            }
        });
        Ok(Watch { process, told })
    }

    /// Nanoseconds of processor time that all daemons have used, all their threads together.
    pub(crate) fn cpu_nanos(&self) -> Result<u64> {
        let mut total = 0;
        for daemon in self.daemons.iter().flatten() {
            for task in fs::read_dir(format!("/proc/{}/task", daemon.pid()))? {
                let file = task?.path().join("schedstat");
                let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                let spent = text.split_whitespace().next().context("an empty schedstat")?;
                total += spent.parse::<u64>()?;
            }
        }
        Ok(total)
    }

    fn log(&self, i: usize) -> PathBuf {
        self.folder.path().join(format!("m{}.log", i + 1))
    }

    /// What the daemons said last, for whoever looks for a fault.
    pub(crate) fn last_words(&self) -> String {
        let mut text = format!("{} did not do what was expected", self.system.name());
        for i in 0..self.machines() {
            let said = fs::read_to_string(self.log(i)).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
            text += &format!("\n--- daemon {}\n{}", i + 1, last.join("\n"));
        }
        text
    }
}

/// A client that tells of views.
pub(crate) struct Watch {
    pub(crate) process: Process,
    told: Receiver<Seen>,
}

impl Watch {
    /// Waits for a view.
    pub(crate) fn wait(&self, wanted: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let deadline = clock::now() + PATIENCE.as_nanos() as u64;
        loop {
            let left = Duration::from_nanos(deadline.saturating_sub(clock::now()));
            match self.told.recv_timeout(left) {
                Ok(seen) if wanted(&seen) => return Ok(seen),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("no such view within {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => bail!("the client that watches ended"),
            }
        }
    }
}

/// Waits for a role's answer.
pub(crate) fn answer<T: DeserializeOwned>(process: &Process) -> Result<T> {
    let stdout = process.take_stdout().context("the role was asked already")?;
    let exit = process.wait_timeout(PATIENCE).context("the role did not end")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("the role ended with {exit}"))
}

//! Three machines in a lab with the programs that move addresses, web servers behind, and three clients.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{CgroupWish, HostConfig, Lab, LabConfig, Output, Place, Process, Spawn, Wish};

use crate::server;
use crate::system::{Programs, System, Wanted};

/// How long a cluster may take to form.
const PATIENCE: Duration = Duration::from_secs(40);
/// So long everything has stayed where it is before it counts as formed.
const QUIET: Duration = Duration::from_millis(700);
/// How often tables are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Lines of a program's log that are shown when something fails.
const LAST_WORDS: usize = 12;

/// A client that keeps what it has learned.
pub(crate) const WARM: Place = Place::Host(0);
/// A client that asks before each connection.
pub(crate) const COLD: Place = Place::Host(1);
/// Where the owner is asked for; its kernel hears the answers, so it is no client.
pub(crate) const ASKER: Place = Place::Host(2);

/// A cluster of one system.
pub(crate) struct Cluster {
    pub(crate) system: System,
    pub(crate) lab: Lab,
    pub(crate) wanted: Wanted,
    folder: tempfile::TempDir,
    programs: Vec<Option<Process>>,
}

impl Cluster {
    /// Builds the machines with their web servers and starts nothing else.
    pub(crate) fn build(
        system: System,
        programs: &Programs,
        machines: usize,
        wanted: Wanted,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut shared = vec![folder.path().to_owned()];
        shared.extend(programs.backhand.parent().map(PathBuf::from));
        let lab = Lab::start(LabConfig {
            machines,
            hosts: vec![HostConfig::on(0); 3],
            wish: Wish::Namespaces,
            cgroups: CgroupWish::No,
            // Sockets and numbers of processes have the same names in every machine.
            private: vec!["/run".into()],
            shared,
            ..LabConfig::default()
        })?;
        for i in 0..machines {
            system.configure(folder.path(), i, lab.machine(i).address(), &wanted)?;
            server::start(&lab, i)?;
        }
        let running = (0..machines).map(|_| None).collect();
        Ok(Self { system, lab, wanted, folder, programs: running })
    }

    /// Builds it, starts everything, and waits until each machine has its address.
    pub(crate) fn start(system: System, programs: &Programs, wanted: Wanted) -> Result<Self> {
        let mut cluster = Self::build(system, programs, 3, wanted)?;
        for i in 0..cluster.lab.machines() {
            cluster.launch(programs, i)?;
        }
        cluster.wait_until_even().with_context(|| cluster.last_words())?;
        Ok(cluster)
    }

    /// Starts the program of machine `i`.
    pub(crate) fn launch(&mut self, programs: &Programs, i: usize) -> Result<()> {
        let log = self.log(i);
        let spawn = self.system.spawn(programs, self.folder.path(), i)?.cwd("/");
        let spawn = spawn.stdout(Output::File(log.clone())).stderr(Output::File(log));
        self.programs[i] = Some(self.lab.machine(i).spawn(spawn)?);
        Ok(())
    }

    /// The program of machine `i`.
    pub(crate) fn program(&self, i: usize) -> Result<&Process> {
        self.programs[i].as_ref().context("the program was not started")
    }

    /// Starts a command of ours in machine `i`, with the configuration of its program.
    pub(crate) fn command(&self, programs: &Programs, i: usize, words: &[&str]) -> Result<Process> {
        let file = self.folder.path().join(format!("m{}.conf", i + 1));
        let log = self.folder.path().join("commands.log");
        let spawn = Spawn::new(&programs.backhand).args(words).arg("--config").arg(file);
        let spawn = spawn.stdout(Output::File(log.clone())).stderr(Output::File(log));
        Ok(self.lab.machine(i).spawn(spawn)?)
    }

    /// Which machines have each address on an interface.
    pub(crate) fn holders(&self) -> Result<Vec<Vec<usize>>> {
        let mut holders = vec![Vec::new(); self.wanted.addresses.len()];
        for i in 0..self.lab.machines() {
            for held in self.lab.addresses(Place::Machine(i))? {
                let at = self.wanted.addresses.iter().position(|ip| *ip == held.address);
                if let Some(at) = at {
                    holders[at].push(i);
                }
            }
        }
        Ok(holders)
    }

    /// Whether machine `i` has this address on an interface.
    pub(crate) fn holds(&self, i: usize, address: IpAddr) -> Result<bool> {
        let held = self.lab.addresses(Place::Machine(i))?;
        Ok(held.iter().any(|held| held.address == address))
    }

    /// The one machine that has the first address.
    pub(crate) fn owner(&self) -> Result<usize> {
        let holders = self.holders()?;
        match holders.first().map(Vec::as_slice) {
            Some([one]) => Ok(*one),
            other => bail!("the first address is at {other:?}"),
        }
    }

    /// Waits until every machine has had one address of its own for a moment.
    pub(crate) fn wait_until_even(&self) -> Result<()> {
        self.wait(|holders| {
            let mut owners: Vec<usize> = holders.iter().flatten().copied().collect();
            owners.sort_unstable();
            owners.dedup();
            holders.iter().all(|some| some.len() == 1) && owners.len() == self.lab.machines()
        })
    }

    /// Waits until machine `i` alone has everything, for a moment.
    pub(crate) fn wait_until_all_at(&self, i: usize) -> Result<()> {
        self.wait(|holders| holders.iter().all(|some| some.as_slice() == [i]))
    }

    fn wait(&self, good: impl Fn(&[Vec<usize>]) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut since = None;
        loop {
            let now = Instant::now();
            let holders = self.holders()?;
            if !good(&holders) {
                since = None;
            } else if now.duration_since(*since.get_or_insert(now)) >= QUIET {
                return Ok(());
            }
            if now > end {
                let text = format!("{holders:?}");
                bail!("not settled in {PATIENCE:?}; who has what: {text:.300}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Nanoseconds of processor time that the programs of machine `i` have used, all threads of all its processes.
    pub(crate) fn cpu_nanos(&self, i: usize) -> Result<u64> {
        crate::idle::nanos_of_tree(self.program(i)?.pid())
    }

    fn log(&self, i: usize) -> PathBuf {
        self.folder.path().join(format!("m{}.log", i + 1))
    }

    /// What the programs said last, for whoever looks for a fault.
    pub(crate) fn last_words(&self) -> String {
        let mut text = format!("{} did not do what was expected", self.system.name());
        let logs = (0..self.lab.machines()).map(|i| self.log(i));
        for file in logs.chain([self.folder.path().join("commands.log")]) {
            let said = fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
            text += &format!("\n--- {}\n{}", file.display(), last.join("\n"));
        }
        text
    }

    /// Copies the logs to a folder, for whoever wants to know why.
    pub(crate) fn keep_logs(&self, to: &std::path::Path, name: &str) -> Result<()> {
        fs::create_dir_all(to)?;
        for i in 0..self.lab.machines() {
            let file = to.join(format!("{}-m{}.log", name.replace([' ', ',', ':'], "_"), i + 1));
            // A program that was never started has none.
            let _ = fs::copy(self.log(i), file);
        }
        Ok(())
    }
}

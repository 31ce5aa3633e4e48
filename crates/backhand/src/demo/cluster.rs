//! The machines of the demonstration: each is `backhand run` with a file of its own, in a namespace of its own.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{CgroupWish, Cut, Kind, Lab, LabConfig, Output, Process, Spawn, Wish};

use super::exchange;
use super::files::{Around, Files, PORT};

/// How long the machines may take until each knows all others. Much more than they need; a bound, not a wait.
const GATHERING: Duration = Duration::from_secs(20);

/// The most public addresses.
const PUBLIC_MAX: usize = 8;

/// One machine and its process, if that runs.
struct Member {
    config: PathBuf,
    process: Option<Process>,
    /// What was done to it and not undone.
    harm: Option<Harm>,
}

/// What can happen to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Its process is killed, as by a power cut.
    Kill,
    /// Its process stands still; its connections stay open and nothing answers.
    Freeze,
    /// Its cable is pulled.
    Cut,
}

impl Harm {
    /// What is done, and what undoes it, as ends of a sentence about the machine.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Kill => ("is killed (kill -9)", "is started again"),
            Self::Freeze => ("is frozen (SIGSTOP)", "goes on (SIGCONT)"),
            Self::Cut => ("has its cable pulled", "has its cable back"),
        }
    }
}

/// The whole cluster.
pub(crate) struct Cluster {
    lab: Arc<Lab>,
    folder: PathBuf,
    members: Vec<Member>,
    /// The addresses that move between the machines; none without namespaces.
    public: Vec<IpAddr>,
    /// Set when the user has had enough.
    stop: Arc<AtomicBool>,
}

impl Cluster {
    /// Builds the lab, writes the machines' files and starts them.
    pub(crate) fn start(
        machines: usize,
        loopback: bool,
        files: &Files,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let wish = if loopback { Wish::Loopback } else { Wish::Anything };
        let lab = Lab::start(LabConfig {
            machines,
            wish,
            cgroups: CgroupWish::No,
            ..LabConfig::default()
        })?;
        let addresses: Vec<IpAddr> = (0..machines).map(|i| lab.machine(i).address()).collect();
        let (network, unicast) = match lab.kind() {
            Kind::Loopback => ("127.0.0.0/8", &addresses[..]),
            _ => ("10.77.0.0/24", &[][..]),
        };
        let public = if lab.kind().has_cables() { public(machines) } else { Vec::new() };
        let members = (0..machines)
            .map(|i| {
                let machine = lab.machine(i);
                let address = machine.address();
                let around = Around { address, network, unicast, public: &public };
                let config = files.machine(machine.name(), &around)?;
                Ok(Member { config, process: None, harm: None })
            })
            .collect::<Result<_>>()?;
        let folder = files.folder.clone();
        let mut cluster = Self { lab: Arc::new(lab), folder, members, public, stop };
        (0..machines).try_for_each(|i| cluster.bring_back(i))?;
        Ok(cluster)
    }

    /// What the machines are made of.
    pub(crate) fn kind(&self) -> Kind {
        self.lab.kind()
    }

    /// The lab, for sockets inside it.
    pub(crate) fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    /// Number of machines, running or not.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// A machine's name.
    pub(crate) fn name(&self, i: usize) -> String {
        self.lab.machine(i).name().to_owned()
    }

    /// Where a machine's configuration stands.
    pub(crate) fn config(&self, i: usize) -> &PathBuf {
        &self.members[i].config
    }

    /// Where clients are sent that know the cluster by its public addresses; empty where there are none.
    pub(crate) fn public(&self) -> Vec<SocketAddr> {
        self.public.iter().map(|ip| (*ip, PORT).into()).collect()
    }

    /// What was done to machine `i` and not undone.
    pub(crate) fn suffers(&self, i: usize) -> Option<Harm> {
        self.members[i].harm
    }

    /// Where clients enter at machine `i`.
    pub(crate) fn entry(&self, i: usize) -> SocketAddr {
        (self.lab.machine(i).address(), PORT).into()
    }

    /// Starts machine `i`, whether for the first time or again.
    pub(crate) fn bring_back(&mut self, i: usize) -> Result<()> {
        let machine = self.lab.machine(i);
        let said = self.folder.join(machine.name()).join("backhand.log");
        let spawn = Spawn::myself().args(["run", "--config"]).arg(&self.members[i].config);
        let process = machine
            .spawn(spawn.stdout(Output::File(said.clone())).stderr(Output::File(said)))
            .with_context(|| format!("cannot start {}", machine.name()))?;
        self.members[i].process = Some(process);
        Ok(())
    }

    /// Does harm to machine `i`. Whatever it is, the machine gets no chance to say a word.
    pub(crate) fn harm(&mut self, i: usize, harm: Harm) -> Result<()> {
        match harm {
            Harm::Kill => {
                if let Some(process) = self.members[i].process.take() {
                    process.kill9()?;
                }
            }
            Harm::Freeze => self.running(i)?.stop()?,
            Harm::Cut => self.lab.machine(i).cut(Cut::Carrier)?,
        }
        self.members[i].harm = Some(harm);
        Ok(())
    }

    /// Undoes whatever was done to machine `i`.
    pub(crate) fn undo(&mut self, i: usize) -> Result<()> {
        match self.members[i].harm {
            Some(Harm::Kill) => self.bring_back(i)?,
            Some(Harm::Freeze) => self.running(i)?.cont()?,
            Some(Harm::Cut) => self.lab.machine(i).heal()?,
            None => {}
        }
        self.members[i].harm = None;
        Ok(())
    }

    fn running(&self, i: usize) -> Result<&Process> {
        let process = self.members[i].process.as_ref();
        process.with_context(|| format!("{} does not run", self.name(i)))
    }

    /// Waits until every running machine says that it knows `expected` living machines, or the user has had enough.
    pub(crate) fn wait_until_all_know(&self, expected: usize) -> Result<()> {
        let deadline = Instant::now() + GATHERING;
        for i in (0..self.len()).filter(|&i| self.members[i].process.is_some()) {
            while self.known_to(i) != Some(expected) {
                if self.stop.load(Relaxed) {
                    return Ok(());
                }
                if self.members[i].process.as_ref().is_some_and(|p| !p.is_running()) {
                    bail!("{} ended by itself.{}", self.name(i), self.last_words(i));
                }
                if Instant::now() > deadline {
                    bail!(
                        "{} does not know {expected} machines after {GATHERING:?}.{}",
                        self.name(i),
                        self.last_words(i)
                    );
                }
                // Nothing tells from outside when a machine has learned of another: its page is asked again.
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// How many living machines machine `i` knows, itself included; nothing while it does not answer.
    fn known_to(&self, i: usize) -> Option<usize> {
        let entry = self.entry(i);
        let mut stream = self.lab.connect(entry, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        let response = exchange::exchange(&mut stream, entry, "/backhand/status.json").ok()?;
        let status: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
        let machines = status.get("machines")?.as_array()?;
        Some(
            machines
                .iter()
                .filter(|m| m.get("usable").and_then(serde_json::Value::as_bool) == Some(true))
                .count(),
        )
    }

    /// The end of what a machine wrote to its standard error.
    fn last_words(&self, i: usize) -> String {
        let file = self.folder.join(self.name(i)).join("backhand.log");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(8).collect();
        lines.iter().rev().fold(String::from(" It said last:"), |all, line| all + "\n    " + line)
    }
}

/// One address more than machines, so that they cannot be shared evenly, from 10.77.0.101 on, where no machine is.
fn public(machines: usize) -> Vec<IpAddr> {
    let address = |n| Ipv4Addr::new(10, 77, 0, 101 + n as u8).into();
    (0..(machines + 1).min(PUBLIC_MAX)).map(address).collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // In order, so that each says goodbye; whatever does not end in time ends with the lab.
        for process in self.members.iter().filter_map(|m| m.process.as_ref()) {
            let _ = process.term();
        }
    }
}

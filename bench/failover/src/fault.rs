//! What happens to the machine that has the address.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{Cut, Signal};

use crate::cluster::Cluster;
use crate::packages;
use crate::system::Programs;

/// How long a split lasts before it is healed, from when the other side has the address too.
const APART: Duration = Duration::from_secs(2);
/// How long a machine is away before it comes back.
const AWAY: Duration = Duration::from_secs(2);
/// How long any other machine may take to have the address.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(5);

/// What happens. Its text is its name in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The cable is pulled.
    Cut,
    /// The port of the switch falls silent.
    Mute,
    /// SIGTERM.
    Stop,
    /// SIGKILL to all processes.
    Kill,
    /// SIGKILL to the one that was started.
    KillMain,
    /// SIGSTOP to all processes.
    Freeze,
    /// The port has been silent and is not any more.
    Heal,
    /// A machine that was stopped is started again.
    Return,
    /// An operator sends everything away from a machine.
    Drain,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::Cut,
        Self::Mute,
        Self::Stop,
        Self::Kill,
        Self::KillMain,
        Self::Freeze,
        Self::Heal,
        Self::Return,
        Self::Drain,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cut => "cable pulled",
            Self::Mute => "port of the switch silent",
            Self::Stop => "orderly stop (SIGTERM)",
            Self::Kill => "kill -9 of all processes",
            Self::KillMain => "kill -9 of the main process",
            Self::Freeze => "SIGSTOP of all processes",
            Self::Heal => "split healed",
            Self::Return => "machine back, addresses spread again",
            Self::Drain => "drain",
        }
    }

    /// Whether a system can be told to.
    pub(crate) fn applies(self, ours: bool, programs: &Programs) -> bool {
        // keepalived has no word for it but a stop.
        self != Self::Drain || ours && packages::has_command(&programs.backhand, "vip")
    }

    /// How long is looked on at most.
    pub(crate) fn watch(self) -> Duration {
        match self {
            // The longest wait of a balance that is no flapping, and then some.
            Self::Return => Duration::from_secs(25),
            _ => Duration::from_secs(6),
        }
    }

    /// What has to be so before it can happen; said before anybody looks.
    pub(crate) fn prepare(self, cluster: &Cluster, owner: usize) -> Result<()> {
        match self {
            Self::Heal => {
                cluster.lab.machine(owner).cut(Cut::PortMute)?;
                another_has_it(cluster, owner)?;
                std::thread::sleep(APART);
            }
            Self::Return => {
                cluster.program(owner)?.term()?;
                let ended = cluster.program(owner)?.wait_timeout(PATIENCE);
                ended.context("it did not end")?;
                another_has_it(cluster, owner)?;
                std::thread::sleep(AWAY);
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets it happen and says when it began.
    pub(crate) fn strike(
        self,
        cluster: &mut Cluster,
        programs: &Programs,
        owner: usize,
    ) -> Result<Instant> {
        let machine = cluster.lab.machine(owner);
        let at = Instant::now();
        match self {
            Self::Cut => machine.cut(Cut::Carrier)?,
            Self::Mute => machine.cut(Cut::PortMute)?,
            // To the one that was started: it tells its own.
            Self::Stop => cluster.program(owner)?.signal_alone(Signal::TERM)?,
            Self::Kill => {
                // All at once: otherwise it is a race whether one of them sees another die.
                machine.freeze()?;
                machine.kill()?;
            }
            Self::KillMain => cluster.program(owner)?.signal_alone(Signal::KILL)?,
            Self::Freeze => machine.freeze()?,
            Self::Heal => machine.heal()?,
            Self::Return => cluster.launch(programs, owner)?,
            Self::Drain => {
                let name = machine.name().to_owned();
                let words = ["vip", "drain", name.as_str()];
                cluster.command(programs, owner, &words)?;
            }
        }
        Ok(at)
    }
}

fn another_has_it(cluster: &Cluster, owner: usize) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let holders = cluster.holders()?;
        if holders.first().is_some_and(|some| some.iter().any(|i| *i != owner)) {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    bail!("nobody else has taken it; {}", cluster.last_words())
}

//! The addresses that are never to go away: which machine has which, why, and what would be wrong.

use serde::Serialize;

use super::Counted;

/// The addresses as this machine knows them. What others have is as they agreed on the bus.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressesView {
    /// Whether their service answered when it was asked; if not, everything here is what it said last.
    pub answers: bool,
    /// The name of the machine that answers, as the others know it.
    pub machine: String,
    /// How far this machine is: `away`, `gathering`, `immature` or `running`.
    pub stage: String,
    /// Whether there is a session with the bus.
    pub on_bus: bool,
    /// Its private group there, or why there is none.
    pub bus: String,
    /// Whether a majority is here; absent where none is configured.
    pub majority: Option<bool>,
    /// Whether a guardian watches this program.
    pub guarded: bool,
    /// Whether packets are passed on while addresses move.
    pub passes_on: bool,
    /// Whether this machine's checks pass.
    pub healthy: bool,
    /// Why that is so.
    pub health: String,
    /// This machine's checks.
    pub checks: Vec<AddressCheck>,
    /// Members of the group, in the order of its view.
    pub members: Vec<AddressMember>,
    /// Sets of addresses that are always at one machine, in the order of the list.
    pub sets: Vec<AddressSet>,
    /// What was decided and what happened, the newest first.
    pub decisions: Vec<AddressDecision>,
    /// What has been counted on this machine.
    pub counters: AddressCounters,
    /// What is wrong, in words.
    pub warnings: Vec<String>,
}

/// A check of this machine's health.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressCheck {
    /// What it is called.
    pub name: String,
    /// Where it stands, in a word.
    pub standing: String,
    /// What was wrong when it ran last.
    pub trouble: Option<String>,
    /// Milliseconds that the last run took.
    pub took_ms: f64,
}

/// A machine in the group.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressMember {
    /// What the machine is called.
    pub machine: String,
    /// Its private group on the bus.
    pub member: String,
    /// Whether it is the machine that answers.
    pub this: bool,
    /// It takes part.
    pub mature: bool,
    /// Its checks pass.
    pub healthy: bool,
    /// An operator wants it to hold nothing.
    pub drained: bool,
    /// It goes.
    pub leaving: bool,
    /// It is in the group and says nothing.
    pub silent: bool,
    /// Its share beside the others, 100 usually.
    pub weight: u16,
    /// Sets that it has or is about to have.
    pub sets: u32,
    /// Seconds since it came.
    pub here_for_seconds: f64,
}

/// Addresses that are always at one machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressSet {
    /// What names it in messages, 16 hexadecimal digits.
    pub key: String,
    /// What people call it, if that is not its first address.
    pub name: Option<String>,
    /// The address by which it is named.
    pub head: String,
    /// All its addresses; as `eth0:10.0.0.10/24` where this machine lists it.
    pub addresses: Vec<String>,
    /// The place of its owner among the members; absent if nobody has it.
    pub owner: Option<usize>,
    /// The place of the member to which it moves.
    pub moving_to: Option<usize>,
    /// Why it is there, or moves, or is nowhere, in a word.
    pub reason: String,
    /// Seconds for which that has been so.
    pub since_seconds: f64,
    /// Whether it may be held only by a majority.
    pub quorum: bool,
    /// Seconds for which a lost holder may still answer for it.
    pub pending_seconds: Option<f64>,
    /// An operator moved it: balancing leaves it there.
    pub pinned: bool,
    /// The head of a set that shares an address with it and has precedence.
    pub blocked_by: Option<String>,
    /// Whether its addresses are on the interfaces of the machine that answers.
    pub here: bool,
    /// Why the machine that answers cannot have it now.
    pub unable: Option<String>,
    /// Members that cannot have it, by their place, each with the reason in a word.
    pub not_at: Vec<(usize, String)>,
}

/// Something that was decided, or that happened.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressDecision {
    /// Its number, one above that of the one before; those of a later run of the program are greater.
    pub number: u64,
    /// Milliseconds since then, by the clock of the system.
    pub age_ms: u64,
    /// The head of the set it is about, if it is about one.
    pub head: Option<String>,
    /// What, as a sentence.
    pub what: String,
    /// Whether somebody should look.
    pub alarm: bool,
}

/// What has been counted since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressCounters {
    /// Sets that came here, by reason.
    pub came: Counted,
    /// Sets that went from here, by reason.
    pub went: Counted,
    /// Announcements to a whole network.
    pub announced: u64,
    /// Announcements to single hosts.
    pub told: u64,
    /// Announcements that could not be sent.
    pub unsent: u64,
    /// Others heard with an address that is held or asked for here, by who they are.
    pub conflicts: Counted,
    /// Conflicts with strangers that were answered with a defence.
    pub defended: u64,
    /// Renewals of leases that were due and not made, since the bus was not fresh.
    pub renewals_missed: u64,
    /// Renewals that came after the lease had run out.
    pub renewals_late: u64,
    /// Times when everything was taken off, since the bus was not fresh after a renewal.
    pub gaps: u64,
    /// Packets passed on to the other machine of a move.
    pub passed_on: u64,
    /// Connections reset because their address went.
    pub reset: u64,
    /// Addresses that somebody else took off and that were put back.
    pub put_back: u64,
    /// Times the guardian took everything off.
    pub fenced: u64,
    /// Guardians started.
    pub guardians: u64,
    /// Last words heard of other machines' guardians.
    pub farewells: u64,
    /// Datagrams at the port of those that were none.
    pub farewells_refused: u64,
    /// Runs of hooks.
    pub hooks: Vec<AddressHook>,
}

/// What has been run of one hook.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddressHook {
    /// The hook, as the configuration has it.
    pub name: String,
    /// Runs that have ended.
    pub runs: u64,
    /// Of these, those that failed or were killed.
    pub failures: u64,
    /// Seconds that all of them took together.
    pub seconds: f64,
}

impl AddressesView {
    /// The sets that a member has.
    pub fn of(&self, member: usize) -> impl Iterator<Item = &AddressSet> {
        self.sets.iter().filter(move |set| set.owner == Some(member))
    }

    /// The sets that nobody has.
    pub fn nowhere(&self) -> impl Iterator<Item = &AddressSet> {
        self.sets.iter().filter(|set| set.owner.is_none())
    }

    /// The name of a member.
    pub fn machine(&self, member: usize) -> &str {
        self.members.get(member).map_or("?", |member| &member.machine)
    }
}

//! How everything is, in the words of answers.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vip::SetKey;
use vip::status::{Candidate, MemberStatus, SetStatus, Status};

use super::words::{CheckRow, CountersRow};
use crate::service::{Report, SetName};

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The machine that tells it.
    pub machine: String,
    /// How far it is: `away`, `gathering`, `immature` or `running`.
    pub stage: String,
    /// Whether there is a session with the bus.
    pub connected: bool,
    /// As whom; or why not.
    pub bus: String,
    /// Whether an operator has sent it away (`wackatrl -f`).
    pub away: bool,
    /// Whether a majority is here, where one is configured.
    pub majority: Option<bool>,
    /// Whether its checks pass.
    pub healthy: bool,
    /// Why.
    pub health: String,
    /// Whether a guardian watches it.
    pub guarded: bool,
    /// Whether it passes packets on while addresses move.
    #[serde(default)]
    pub passes_on: bool,
    /// Why it does not.
    #[serde(default)]
    pub passes_on_not: Option<String>,
    /// How many it has passed on.
    #[serde(default)]
    pub passed_on: u64,
    /// Heads of sets of which something is on its interfaces.
    pub held: Vec<IpAddr>,
    /// The machines of the group, in the order of the view; without the bus, none.
    pub machines: Vec<MachineRow>,
    /// The sets: those that this machine lists, in its order, then those that only others list.
    pub sets: Vec<SetRow>,
    /// The number of its last decision.
    pub decision: u64,
    /// Its checks.
    #[serde(default)]
    pub checks: Vec<CheckRow>,
    /// What it has counted.
    #[serde(default)]
    pub counters: CountersRow,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRow {
    /// Its name.
    pub machine: String,
    /// Its private group.
    pub member: String,
    /// The address by which historical tools name it.
    pub shown: Option<IpAddr>,
    /// It takes part.
    pub mature: bool,
    /// Its checks pass.
    pub healthy: bool,
    /// It is to hold nothing.
    pub drained: bool,
    /// A drain of it outlives its program.
    #[serde(default)]
    pub keeps: bool,
    /// It goes.
    pub leaving: bool,
    /// It says nothing.
    pub silent: bool,
    /// Its share beside the others.
    pub weight: u16,
    /// The most sets it takes while another can take them; 0 for any number.
    #[serde(default)]
    pub capacity: u16,
    /// How many sets it has or is about to have.
    pub sets: u32,
    /// For how long it has been here.
    pub here_ms: u64,
}

/// What is with a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetState {
    /// A machine has it.
    Held,
    /// It moves from one to another.
    Moving,
    /// Nobody has it, and the lease of a lost holder is waited for.
    Waiting,
    /// Nobody may have it, since others list its addresses otherwise.
    Blocked,
    /// Nobody has it.
    Nowhere,
}

impl SetState {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Moving => "moving",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Nowhere => "nowhere",
        }
    }
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRow {
    /// What people call it, if anything.
    pub name: Option<String>,
    /// Its first address.
    pub head: IpAddr,
    /// All of them, in the order of the configuration.
    pub addresses: Vec<AddressRow>,
    /// What is with it.
    pub state: SetState,
    /// Which machine has it.
    pub owner: Option<String>,
    /// The address by which historical tools name that machine.
    pub shown: Option<IpAddr>,
    /// To which machine it moves.
    pub moving_to: Option<String>,
    /// Why it is there, moves, or is nowhere, in a word.
    pub why: String,
    /// For how long that has been so.
    pub since_ms: u64,
    /// Whether only a majority may hold it.
    pub quorum: bool,
    /// How long a lost holder may still answer for it.
    pub pending_ms: Option<u64>,
    /// An operator moved it: balance leaves it there.
    pub pinned: bool,
    /// The head of the set that has some of its addresses and precedence.
    pub blocked_by: Option<IpAddr>,
    /// Whether the addresses are on the interfaces of the machine that tells it.
    pub here: bool,
    /// Why they cannot be there now.
    pub unable: Option<String>,
    /// Whether the machine that tells it lists it.
    pub listed: bool,
    /// What each machine is for it.
    pub candidates: Vec<CandidateRow>,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRow {
    /// The interface that it is for on the machine that tells it; empty if there is none.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix.
    pub prefix: u8,
}

/// Whether a machine can have a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Can {
    /// It can.
    Good,
    /// If nobody better can.
    Reluctant,
    /// It cannot.
    No,
}

/// What a machine is for a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateRow {
    /// Which machine.
    pub machine: String,
    /// Whether it can have it.
    pub can: Can,
    /// Whether it wants it.
    pub preferred: bool,
    /// Why not, in a word.
    pub why: Option<String>,
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Table {
    /// Of a report.
    pub fn new(report: &Report) -> Self {
        let status = &report.status;
        let own = report.order.iter().filter_map(|key| {
            let name = report.names.get(key)?;
            let found = status.sets.iter().find(|set| set.key == *key);
            Some(match found {
                Some(set) => row(report, set),
                None => absent(report, *key, name),
            })
        });
        let others = status.sets.iter().filter(|set| !report.names.contains_key(&set.key));
        let sets = own.chain(others.map(|set| row(report, set))).collect();
        Self {
            machine: status.machine.clone(),
            stage: status.stage.word().to_owned(),
            connected: report.bus.is_ok(),
            bus: report.bus.clone().unwrap_or_else(|why| why),
            away: report.away,
            majority: status.majority,
            healthy: report.health.0,
            health: report.health.1.clone(),
            guarded: report.guarded,
            passes_on: report.passes_on.is_ok(),
            passes_on_not: report.passes_on.clone().err(),
            passed_on: report.counters.passed,
            held: report.held.clone(),
            machines: status.members.iter().map(machine).collect(),
            sets,
            decision: report.decisions.back().map_or(0, |last| last.number),
            checks: report.checks.iter().map(CheckRow::from).collect(),
            counters: CountersRow::from(&report.counters),
        }
    }

    /// The set that people mean by a name or an address: by its name, else by its head, else by any address of it.
    pub fn set(&self, wanted: &str) -> Option<&SetRow> {
        let ip = wanted.parse::<IpAddr>().ok();
        let by = |test: &dyn Fn(&SetRow) -> bool| self.sets.iter().find(|set| test(set));
        by(&|set| set.name.as_deref() == Some(wanted))
            .or_else(|| by(&|set| Some(set.head) == ip))
            .or_else(|| by(&|set| set.addresses.iter().any(|one| Some(one.address) == ip)))
    }

    /// The machine of this name.
    pub fn machine(&self, name: &str) -> Option<&MachineRow> {
        self.machines.iter().find(|one| one.machine == name)
    }

    /// The same without what only time changes and what is counted, to see whether anything else has.
    #[must_use]
    pub fn timeless(&self) -> Self {
        let mut table = self.clone();
        table.machines.iter_mut().for_each(|one| one.here_ms = 0);
        for set in &mut table.sets {
            set.since_ms = 0;
            set.pending_ms = set.pending_ms.map(|_| 0);
        }
        table.checks.iter_mut().for_each(|one| (one.since_ms, one.took_ms) = (0, 0));
        table.counters = CountersRow::default();
        table
    }
}

impl SetRow {
    /// How people call it: by its name, else by its first address.
    pub fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.head.to_string())
    }
}

fn machine(one: &MemberStatus) -> MachineRow {
    MachineRow {
        machine: one.machine.clone(),
        member: one.member.clone(),
        shown: one.shown,
        mature: one.mature,
        healthy: one.healthy,
        drained: one.drained,
        keeps: one.keeps,
        leaving: one.leaving,
        silent: one.silent,
        weight: one.weight,
        capacity: one.capacity,
        sets: one.sets,
        here_ms: millis(one.here_for),
    }
}

fn addresses(name: &SetName) -> Vec<AddressRow> {
    let one = |(interface, address, prefix): &(String, IpAddr, u8)| AddressRow {
        interface: interface.clone(),
        address: *address,
        prefix: *prefix,
    };
    name.addresses.iter().map(one).collect()
}

fn row(report: &Report, set: &SetStatus) -> SetRow {
    let status = &report.status;
    let name = report.names.get(&set.key);
    let single = |ip: &IpAddr| AddressRow {
        interface: String::new(),
        address: *ip,
        prefix: if ip.is_ipv4() { 32 } else { 128 },
    };
    let state = match (set.owner, set.moving_to) {
        (_, Some(_)) => SetState::Moving,
        (Some(_), None) => SetState::Held,
        (None, None) if set.blocked_by.is_some() => SetState::Blocked,
        (None, None) if set.pending.is_some() => SetState::Waiting,
        (None, None) => SetState::Nowhere,
    };
    let owner = set.owner.and_then(|at| status.members.get(at));
    SetRow {
        name: name.and_then(|name| name.name.clone()),
        head: set.head,
        addresses: name.map_or_else(|| set.addresses.iter().map(single).collect(), addresses),
        state,
        owner: owner.map(|one| one.machine.clone()),
        shown: owner.and_then(|one| one.shown),
        moving_to: machine_at(status, set.moving_to),
        why: set.reason.word().to_owned(),
        since_ms: millis(set.since),
        quorum: set.quorum,
        pending_ms: set.pending.map(millis),
        pinned: set.pinned,
        blocked_by: set.blocked_by,
        here: set.here,
        unable: report.unable.get(&set.key).cloned(),
        listed: name.is_some(),
        candidates: set
            .candidates
            .iter()
            .enumerate()
            .map(|(at, one)| candidate(status, at, one))
            .collect(),
    }
}

fn machine_at(status: &Status, at: Option<usize>) -> Option<String> {
    Some(status.members.get(at?)?.machine.clone())
}

fn candidate(status: &Status, at: usize, one: &Candidate) -> CandidateRow {
    let (can, preferred, why) = match one {
        Candidate::Good { preferred } => (Can::Good, *preferred, None),
        Candidate::Reluctant(why) => (Can::Reluctant, false, Some(why.word().to_owned())),
        Candidate::No(why) => (Can::No, false, Some(why.word().to_owned())),
    };
    CandidateRow { machine: machine_at(status, Some(at)).unwrap_or_default(), can, preferred, why }
}

/// A set of this machine while nothing is known of any.
fn absent(report: &Report, key: SetKey, name: &SetName) -> SetRow {
    let addresses = addresses(name);
    let head = addresses.first().map_or(IpAddr::from([0; 4]), |first| first.address);
    let why = if report.bus.is_ok() { vip::Reason::Unowned } else { vip::Reason::BusLost };
    SetRow {
        name: name.name.clone(),
        head,
        addresses,
        state: SetState::Nowhere,
        owner: None,
        shown: None,
        moving_to: None,
        why: why.word().to_owned(),
        since_ms: 0,
        quorum: name.quorum,
        pending_ms: None,
        pinned: false,
        blocked_by: None,
        here: report.held.contains(&head),
        unable: report.unable.get(&key).cloned(),
        listed: true,
        candidates: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use vip::status::Stage;

    use super::super::explain::explain;
    use super::*;
    use crate::health::{CheckState, Standing};
    use crate::service::Counters;

    /// Of a machine with one set, under quorum, that knows nothing of any yet.
    fn report() -> Report {
        let key = SetKey(7);
        let addresses = vec![("eth0".to_owned(), IpAddr::from([10, 0, 0, 1]), 32)];
        let name = SetName { name: None, addresses, quorum: true };
        let check = CheckState {
            name: "web".into(),
            standing: Standing::Up,
            since: std::time::SystemTime::now(),
            last: Some(Ok(())),
            took: Duration::from_millis(3),
            passes: 1,
            failures: 0,
        };
        Report {
            status: Status {
                machine: "m1".into(),
                stage: Stage::Away,
                view: None,
                majority: None,
                members: Vec::new(),
                sets: Vec::new(),
            },
            names: BTreeMap::from([(key, name)]),
            order: vec![key],
            held: Vec::new(),
            away: false,
            unable: BTreeMap::new(),
            bus: Err("the daemon is away".into()),
            health: (true, "all checks pass".into()),
            checks: vec![check],
            counters: Counters::default(),
            decisions: VecDeque::new(),
            guarded: true,
            passes_on: Ok(()),
        }
    }

    #[test]
    fn a_set_under_quorum_is_told_as_such_while_the_bus_is_away() {
        let table = Table::new(&report());
        assert!(table.sets[0].quorum);
        assert_eq!(
            explain(&table, &table.sets[0]).why,
            [
                "10.0.0.1 is not held by this machine: the bus is away (the daemon is away).",
                "It may be held only together with a majority of addresses.quorum.",
            ]
        );
    }

    #[test]
    fn what_is_counted_and_the_time_of_a_check_are_told_and_are_no_change() {
        let (before, mut later) = (report(), report());
        later.counters.announced = 5;
        later.checks[0].took = Duration::from_millis(4);
        let [before, later] = [before, later].map(|report| Table::new(&report));
        assert_eq!((later.counters.announced, later.checks[0].took_ms), (5, 4));
        assert_eq!(before.timeless(), later.timeless());
        let mut failing = report();
        failing.checks[0].standing = Standing::Down;
        assert_ne!(before.timeless(), Table::new(&failing).timeless());
    }

    #[test]
    fn a_table_of_a_service_that_tells_no_counters_is_read() {
        let mut value = serde_json::to_value(Table::new(&report())).unwrap();
        let fields = value.as_object_mut().unwrap();
        assert!(fields.remove("counters").is_some() && fields.remove("checks").is_some());
        let table: Table = serde_json::from_value(value).unwrap();
        assert_eq!((table.counters, table.checks), (CountersRow::default(), Vec::new()));
    }
}

//! How everything is, in the words of answers.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vip::SetKey;
use vip::status::{Candidate, MemberStatus, SetStatus, Status};

use super::words::{CheckRow, CountersRow};
use crate::config::AddressText;
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
    /// Names in `addresses.quorum` that count for nobody, because two machines have had them.
    #[serde(default)]
    pub doubled: Vec<String>,
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
    /// Its private group, which no other has.
    pub member: String,
    /// The address by which historical tools name it.
    pub shown: Option<IpAddr>,
    /// It is the original Wackamole, beside which this program does not take part.
    #[serde(default)]
    pub original: bool,
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
    /// That machine's private group.
    #[serde(default)]
    pub owner_member: Option<String>,
    /// The address by which historical tools name that machine.
    pub shown: Option<IpAddr>,
    /// To which machine it moves.
    pub moving_to: Option<String>,
    /// That machine's private group.
    #[serde(default)]
    pub moving_to_member: Option<String>,
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
    /// What each machine is for it, in the order of the machines.
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
            doubled: status.doubled.clone(),
            healthy: report.health.0,
            health: report.health.1.clone(),
            guarded: report.guarded,
            passes_on: report.passes_on.is_ok(),
            passes_on_not: report.passes_on.clone().err(),
            passed_on: report.counters.passed,
            held: report.held.clone(),
            machines: status.members.iter().map(|one| machine(report, one)).collect(),
            sets,
            decision: report.decisions.back().map_or(0, |last| last.number),
            checks: report.checks.iter().map(CheckRow::from).collect(),
            counters: CountersRow::from(&report.counters),
        }
    }

    /// The set that people mean by a name or an address: by its name, else by its head, else by any address of it, which may stand as
    /// `list` shows it.
    pub fn set(&self, wanted: &str) -> Option<&SetRow> {
        let ip = wanted.parse::<AddressText>().ok().map(|text| text.ip);
        let by = |test: &dyn Fn(&SetRow) -> bool| self.sets.iter().find(|set| test(set));
        by(&|set| set.name.as_deref() == Some(wanted))
            .or_else(|| by(&|set| Some(set.head) == ip))
            .or_else(|| by(&|set| set.addresses.iter().any(|one| Some(one.address) == ip)))
    }

    /// The machine of this private group, else the first of this name.
    pub fn machine(&self, called: &str) -> Option<&MachineRow> {
        let by = |test: &dyn Fn(&MachineRow) -> bool| self.machines.iter().find(|one| test(one));
        by(&|one| one.member == called).or_else(|| by(&|one| one.machine == called))
    }

    /// The machine that people mean: by its private group, else by its name, else by the name of its daemon of the bus, which is behind
    /// the last `#` of its private group.
    ///
    /// # Errors
    /// Those that may be meant, if several may; otherwise none.
    pub fn meant(&self, wanted: &str) -> Result<&MachineRow, Vec<&MachineRow>> {
        let by_member = |one: &MachineRow| one.member == wanted;
        let by_name = |one: &MachineRow| one.machine == wanted;
        let by_daemon = |one: &MachineRow| one.member.rsplit('#').next() == Some(wanted);
        let ways: [&dyn Fn(&MachineRow) -> bool; 3] = [&by_member, &by_name, &by_daemon];
        for fits in ways {
            let found: Vec<&MachineRow> = self.machines.iter().filter(|one| fits(one)).collect();
            if found.len() == 1 {
                return Ok(found[0]);
            }
            if !found.is_empty() {
                return Err(found);
            }
        }
        Err(Vec::new())
    }

    /// The machine that tells it, if it is in the group.
    pub fn own(&self) -> Option<&MachineRow> {
        self.machines.iter().find(|one| self.connected && one.member == self.bus)
    }

    /// The place of the machine that has a set.
    pub(super) fn owner_at(&self, set: &SetRow) -> Option<usize> {
        self.machines.iter().position(|one| set.is_at(one))
    }

    /// How people tell a machine from the others: by its name, and where several have that name, by its private group as well.
    pub fn called(&self, machine: &MachineRow) -> String {
        self.told_apart(&machine.machine, Some(&machine.member))
    }

    /// The same of the machine that has a set.
    pub fn owner_called(&self, set: &SetRow) -> Option<String> {
        Some(self.told_apart(set.owner.as_deref()?, set.owner_member.as_deref()))
    }

    /// The same of the machine to which a set moves.
    pub fn target_called(&self, set: &SetRow) -> Option<String> {
        Some(self.told_apart(set.moving_to.as_deref()?, set.moving_to_member.as_deref()))
    }

    fn told_apart(&self, name: &str, member: Option<&str>) -> String {
        let alike = self.machines.iter().filter(|one| one.machine == name).count();
        match member {
            Some(member) if alike > 1 => format!("{name} ({member})"),
            _ => name.to_owned(),
        }
    }

    /// The private groups of original Wackamoles in the group.
    pub fn originals(&self) -> Vec<&str> {
        let all = self.machines.iter().filter(|one| one.original);
        all.map(|one| one.member.as_str()).collect()
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

    /// Whether this machine has it.
    pub fn is_at(&self, machine: &MachineRow) -> bool {
        is(machine, self.owner.as_deref(), self.owner_member.as_deref())
    }

    /// Whether it moves to this machine.
    pub fn goes_to(&self, machine: &MachineRow) -> bool {
        is(machine, self.moving_to.as_deref(), self.moving_to_member.as_deref())
    }

    /// Whether the machine to which it moves has it already, and the one that had it has still to let go.
    pub fn has_come(&self) -> bool {
        match (&self.owner_member, &self.moving_to_member) {
            (Some(owner), Some(to)) => owner == to,
            _ => self.moving_to.is_some() && self.owner == self.moving_to,
        }
    }
}

/// Whether a machine is the one of this name and private group. Services of before did not tell the latter.
fn is(machine: &MachineRow, name: Option<&str>, member: Option<&str>) -> bool {
    match member {
        Some(member) => machine.member == member,
        None => name == Some(machine.machine.as_str()),
    }
}

fn machine(report: &Report, one: &MemberStatus) -> MachineRow {
    MachineRow {
        machine: one.machine.clone(),
        member: one.member.clone(),
        shown: one.shown,
        original: report.originals.contains(&one.member),
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
    let member = |at: Option<usize>| at.and_then(|at| status.members.get(at));
    let (owner, target) = (member(set.owner), member(set.moving_to));
    SetRow {
        name: name.and_then(|name| name.name.clone()),
        head: set.head,
        addresses: name.map_or_else(|| set.addresses.iter().map(single).collect(), addresses),
        state,
        owner: owner.map(|one| one.machine.clone()),
        owner_member: owner.map(|one| one.member.clone()),
        shown: owner.and_then(|one| one.shown),
        moving_to: target.map(|one| one.machine.clone()),
        moving_to_member: target.map(|one| one.member.clone()),
        why: set.why.word().to_owned(),
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

fn candidate(status: &Status, at: usize, one: &Candidate) -> CandidateRow {
    let (can, preferred, why) = match one {
        Candidate::Good { preferred } => (Can::Good, *preferred, None),
        Candidate::Reluctant(why) => (Can::Reluctant, false, Some(why.word().to_owned())),
        Candidate::No(why) => (Can::No, false, Some(why.word().to_owned())),
    };
    let machine = status.members.get(at).map(|one| one.machine.clone()).unwrap_or_default();
    CandidateRow { machine, can, preferred, why }
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
        owner_member: None,
        shown: None,
        moving_to: None,
        moving_to_member: None,
        why: why.word().to_owned(),
        since_ms: report.off_bus.map_or(0, millis),
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
    use std::collections::{BTreeMap, BTreeSet, VecDeque};

    use vip::Reason;
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
                doubled: Vec::new(),
                members: Vec::new(),
                sets: Vec::new(),
            },
            names: BTreeMap::from([(key, name)]),
            order: vec![key],
            held: Vec::new(),
            away: false,
            unable: BTreeMap::new(),
            bus: Err("the daemon is away".into()),
            off_bus: Some(Duration::from_secs(90)),
            originals: BTreeSet::new(),
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
            explain(&table, Some(&table.sets[0]))[0].why,
            [
                "10.0.0.1 is not held by this machine: the bus is away (the daemon is away).",
                "It may be held only together with a majority of addresses.quorum.",
            ]
        );
    }

    #[test]
    fn a_set_is_found_by_its_addresses_however_they_are_shown() {
        let table = Table::new(&report());
        for wanted in ["10.0.0.1", "10.0.0.1/32", "eth0:10.0.0.1", "eth0:10.0.0.1/32"] {
            assert!(table.set(wanted).is_some(), "{wanted}");
        }
        for wanted in ["10.0.0.2", "eth0", "10.0.0.1/33", ""] {
            assert!(table.set(wanted).is_none(), "{wanted}");
        }
    }

    fn member(at: usize, machine: &str) -> MemberStatus {
        MemberStatus {
            machine: machine.into(),
            member: format!("#vip{at}#m{at}"),
            shown: None,
            macs: Vec::new(),
            mature: true,
            healthy: true,
            drained: false,
            keeps: true,
            leaving: false,
            silent: false,
            weight: 100,
            capacity: 0,
            sets: 1,
            here_for: Duration::from_secs(5),
        }
    }

    #[test]
    fn a_set_is_nowhere_for_as_long_as_the_bus_has_been_away() {
        let table = Table::new(&report());
        let set = &table.sets[0];
        assert_eq!(
            (set.state, set.why.as_str(), set.since_ms),
            (SetState::Nowhere, "bus-lost", 90_000)
        );
        let mut connected = report();
        (connected.bus, connected.off_bus) = (Ok("#vip1#m1".into()), None);
        let table = Table::new(&connected);
        let set = &table.sets[0];
        assert_eq!((set.why.as_str(), set.since_ms), ("unowned", 0));
    }

    #[test]
    fn machines_of_one_name_are_told_apart_by_their_private_groups() {
        let mut of = report();
        (of.bus, of.off_bus) = (Ok("#vip2#m2".into()), None);
        of.status.members = vec![member(1, "vm"), member(2, "vm"), member(3, "db")];
        of.status.sets = vec![SetStatus {
            key: SetKey(7),
            head: IpAddr::from([10, 0, 0, 1]),
            addresses: vec![IpAddr::from([10, 0, 0, 1])],
            owner: Some(1),
            moving_to: Some(0),
            reason: Reason::Held,
            why: Reason::Operator,
            since: Duration::from_secs(1),
            quorum: false,
            pending: None,
            pinned: false,
            blocked_by: None,
            hooks_only: false,
            here: false,
            candidates: vec![Candidate::Good { preferred: false }; 3],
        }];
        let table = Table::new(&of);
        let (set, rows) = (&table.sets[0], &table.machines);
        assert_eq!((set.why.as_str(), set.owner.as_deref()), ("operator", Some("vm")));
        assert!(set.is_at(&rows[1]) && !set.is_at(&rows[0]) && !set.has_come());
        assert!(set.goes_to(&rows[0]) && !set.goes_to(&rows[1]));
        assert_eq!(table.owner_called(set).as_deref(), Some("vm (#vip2#m2)"));
        assert_eq!(table.target_called(set).as_deref(), Some("vm (#vip1#m1)"));
        assert_eq!(table.called(&rows[2]), "db");
        assert_eq!(table.own().map(|own| own.member.as_str()), Some("#vip2#m2"));
        let meant = |wanted: &str| table.meant(wanted).map(|one| one.member.clone());
        for (wanted, member) in [("#vip1#m1", 1), ("m2", 2), ("db", 3), ("m3", 3)] {
            assert_eq!(meant(wanted), Ok(format!("#vip{member}#m{member}")));
        }
        assert_eq!(table.meant("vm").unwrap_err().len(), 2);
        assert!(table.meant("m4").unwrap_err().is_empty());
        // A service of before tells names only.
        let mut older = serde_json::to_value(&table).unwrap();
        older["sets"][0].as_object_mut().unwrap().remove("owner_member").unwrap();
        let older: Table = serde_json::from_value(older).unwrap();
        assert!(
            older.sets[0].is_at(&older.machines[0]) && !older.sets[0].is_at(&older.machines[2])
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

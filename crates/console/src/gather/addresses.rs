//! The addresses of this machine: their service, asked how everything is.
//!
//! It answers between two of its turns, as the bus daemon does; whoever does not answer within [`PATIENCE`] is shown as it was, and as
//! silent.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use addresses::health::{CheckState, Standing};
use addresses::service::{Counters, Decision, Handle, Report, SetName};
use vip::status::{Candidate, MemberStatus, SetStatus, Stage};
use vip::{Reason, SetKey};

use crate::view::{
    AddressCheck, AddressCounters, AddressDecision, AddressHook, AddressMember, AddressSet,
    AddressesView, Counted, StatusView,
};

/// How long an answer is waited for. The desk does nothing else meanwhile.
const PATIENCE: Duration = Duration::from_millis(200);

/// Addresses that a warning names; the others are counted.
const NAMED: usize = 3;

const LEFT: &str = "This machine drains and has given its addresses to others. What is shown is what it knew last.";
const ENDED: &str = "The service of the addresses has ended; this machine holds none until the program is started again. What is shown is what it \
     knew last; the log says more.";
const SILENT: &str = "The service of the addresses does not answer: its thread gets no time, or stands still. What is shown is what it knew last; the \
     log says more.";

/// The addresses, if there are any.
#[derive(Default)]
pub(super) struct Addresses {
    handle: Option<Handle>,
    last: AddressesView,
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Addresses").field("any", &self.handle.is_some()).finish_non_exhaustive()
    }
}

impl Addresses {
    pub(super) fn new(handle: Option<Handle>) -> Self {
        Self { handle, last: AddressesView::default() }
    }

    /// How they are, on a machine that drains or does not; `None` if this machine has none.
    pub(super) fn view(&mut self, draining: bool) -> Option<AddressesView> {
        let handle = self.handle.as_ref()?;
        match handle.report(PATIENCE) {
            Ok(report) => self.last = view(&report, SystemTime::now()),
            Err(_) => {
                self.last.answers = false;
                let why = match (handle.has_ended(), draining) {
                    (true, true) => LEFT,
                    (true, false) => ENDED,
                    (false, _) => SILENT,
                };
                self.last.warnings = vec![why.into()];
            }
        }
        Some(self.last.clone())
    }
}

/// Sentences for the head of the page, where they are seen first.
pub(super) fn warnings(view: &StatusView) -> impl Iterator<Item = String> + '_ {
    let all = view.addresses.iter().flat_map(|addresses| &addresses.warnings);
    all.map(|warning| format!("Addresses: {warning}"))
}

fn view(report: &Report, now: SystemTime) -> AddressesView {
    let status = &report.status;
    let (on_bus, bus) = match &report.bus {
        Ok(name) => (true, name.clone()),
        Err(why) => (false, why.clone()),
    };
    AddressesView {
        answers: true,
        machine: status.machine.clone(),
        stage: status.stage.word().into(),
        majority: status.majority,
        guarded: report.guarded,
        passes_on: report.passes_on.is_ok(),
        healthy: report.health.0,
        health: report.health.1.clone(),
        checks: report.checks.iter().map(check).collect(),
        members: status.members.iter().map(|m| member(m, on_bus.then_some(&bus))).collect(),
        sets: sets(report),
        decisions: report.decisions.iter().rev().map(|one| decision(one, now)).collect(),
        counters: counters(&report.counters),
        warnings: sentences(report),
        on_bus,
        bus,
    }
}

fn member(m: &MemberStatus, me: Option<&String>) -> AddressMember {
    AddressMember {
        machine: m.machine.clone(),
        member: m.member.clone(),
        this: me.is_some_and(|me| *me == m.member),
        mature: m.mature,
        healthy: m.healthy,
        drained: m.drained,
        leaving: m.leaving,
        silent: m.silent,
        weight: m.weight,
        sets: m.sets,
        here_for_seconds: m.here_for.as_secs_f64(),
    }
}

/// The sets that the group knows. A machine that is in none knows of no owner of those that it lists.
fn sets(report: &Report) -> Vec<AddressSet> {
    let status = &report.status;
    let known = status.sets.iter().map(|one| set(report, one));
    let away = status.stage == Stage::Away && status.sets.is_empty();
    let listed = report.order.iter().filter(|_| away);
    let unknown = listed.filter_map(|key| Some(unowned(report, *key, report.names.get(key)?)));
    known.chain(unknown).collect()
}

/// A set of this machine while it is in no group.
fn unowned(report: &Report, key: SetKey, said: &SetName) -> AddressSet {
    let head = said.addresses.first().map(|(_, ip, _)| *ip);
    let reason = if report.bus.is_ok() { Reason::Unowned } else { Reason::BusLost };
    AddressSet {
        key: format!("{key:?}"),
        name: said.name.clone(),
        head: head.map(|head| head.to_string()).unwrap_or_default(),
        addresses: listed(said),
        reason: reason.word().into(),
        since_seconds: report.off_bus.unwrap_or_default().as_secs_f64(),
        quorum: said.quorum,
        here: head.is_some_and(|head| report.held.contains(&head)),
        unable: report.unable.get(&key).cloned(),
        ..AddressSet::default()
    }
}

fn set(report: &Report, s: &SetStatus) -> AddressSet {
    let said = report.names.get(&s.key);
    let refusals = s.candidates.iter().enumerate();
    AddressSet {
        key: format!("{:?}", s.key),
        name: said.and_then(|said| said.name.clone()),
        head: s.head.to_string(),
        addresses: addresses(s, said),
        owner: s.owner,
        moving_to: s.moving_to,
        reason: s.why.word().into(),
        since_seconds: s.since.as_secs_f64(),
        quorum: s.quorum,
        pending_seconds: s.pending.map(|left| left.as_secs_f64()),
        pinned: s.pinned,
        blocked_by: s.blocked_by.map(|head| head.to_string()),
        here: s.here,
        unable: report.unable.get(&s.key).cloned(),
        not_at: refusals
            .filter_map(|(at, candidate)| match candidate {
                Candidate::No(why) => Some((at, why.word().to_owned())),
                Candidate::Good { .. } | Candidate::Reluctant(_) => None,
            })
            .collect(),
    }
}

/// As this machine lists them, or as the others do.
fn addresses(s: &SetStatus, said: Option<&SetName>) -> Vec<String> {
    match said {
        Some(said) => listed(said),
        None => s.addresses.iter().map(ToString::to_string).collect(),
    }
}

fn listed(said: &SetName) -> Vec<String> {
    let one = |(interface, ip, prefix): &(String, IpAddr, u8)| {
        if interface.is_empty() {
            format!("{ip}/{prefix}")
        } else {
            format!("{interface}:{ip}/{prefix}")
        }
    };
    said.addresses.iter().map(one).collect()
}

fn check(c: &CheckState) -> AddressCheck {
    AddressCheck {
        name: c.name.clone(),
        standing: match c.standing {
            Standing::Unknown => "not known yet",
            Standing::Up => "passes",
            Standing::Down => "fails",
        }
        .into(),
        trouble: c.last.as_ref().and_then(|last| last.clone().err()),
        took_ms: (c.took.as_secs_f64() * 1e6).round() / 1e3,
    }
}

fn decision(d: &Decision, now: SystemTime) -> AddressDecision {
    // A clock that was set back makes the past young, not negative.
    let age = now.duration_since(d.at).unwrap_or_default();
    AddressDecision {
        number: d.number,
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        head: d.head.map(|head| head.to_string()),
        what: d.what.clone(),
        alarm: d.alarm,
    }
}

fn counters(c: &Counters) -> AddressCounters {
    let by_reason = |moves: &std::collections::BTreeMap<Reason, u64>| {
        Counted(moves.iter().map(|(reason, n)| (reason.word(), *n)).collect())
    };
    AddressCounters {
        came: by_reason(&c.came),
        went: by_reason(&c.went),
        announced: c.announced,
        told: c.told,
        unsent: c.unsent,
        conflicts: Counted(vec![
            ("expected", c.conflicts.expected),
            ("apart", c.conflicts.apart),
            ("stranger", c.conflicts.strangers),
            ("taken", c.conflicts.taken),
        ]),
        defended: c.conflicts.defended,
        renewals_missed: c.renewals_missed,
        renewals_late: c.renewals_late,
        gaps: c.gaps,
        passed_on: c.passed,
        reset: c.reset,
        put_back: c.put_back,
        fenced: c.fenced,
        guardians: c.guardians,
        farewells: c.farewells,
        farewells_refused: c.farewells_refused,
        hooks: c
            .hooks
            .iter()
            .map(|(name, (runs, failures, took))| AddressHook {
                name: name.clone(),
                runs: *runs,
                failures: *failures,
                seconds: took.as_secs_f64(),
            })
            .collect(),
    }
}

/// What an operator should know at once.
fn sentences(report: &Report) -> Vec<String> {
    let mut out = Vec::new();
    let status = &report.status;
    if let Err(why) = &report.bus {
        out.push(format!(
            "the bus cannot be reached, so this machine holds none: {why}. It tries again by itself."
        ));
    }
    if !report.health.0 {
        out.push(format!(
            "this machine is not healthy, so others are preferred: {}.",
            report.health.1
        ));
    }
    if !status.doubled.is_empty() {
        out.push(format!(
            "two machines have been called {}: for a majority such a name counts for nobody.",
            status.doubled.join(", ")
        ));
    }
    if status.majority == Some(false) {
        out.push(
            "there is no majority of the machines here, so what may never be held twice is nowhere in this part.".into(),
        );
    }
    // Before it takes part it knows of no owner, which is as it should be.
    if status.stage == Stage::Running {
        let nowhere =
            status.sets.iter().filter(|set| set.owner.is_none() && set.moving_to.is_none());
        let nowhere: Vec<&SetStatus> = nowhere.collect();
        if !nowhere.is_empty() {
            let some: Vec<String> = nowhere
                .iter()
                .take(NAMED)
                .map(|set| format!("{} ({})", set.head, set.why.word()))
                .collect();
            out.push(format!("nobody has {}{}.", some.join(", "), more(nowhere.len())));
        }
    }
    if !report.unable.is_empty() {
        let head = |key: &SetKey| {
            let first = report.names.get(key).and_then(|said| said.addresses.first());
            first.map_or_else(|| format!("{key:?}"), |(_, ip, _)| ip.to_string())
        };
        let some: Vec<String> = report
            .unable
            .iter()
            .take(NAMED)
            .map(|(key, why)| format!("{}: {why}", head(key)))
            .collect();
        out.push(format!(
            "this machine cannot have {}{}.",
            some.join("; "),
            more(report.unable.len())
        ));
    }
    for original in report.originals.iter().take(NAMED) {
        let what = match status.stage {
            Stage::Running => "it may take addresses that are held here",
            _ => "this machine holds nothing as long as it is there",
        };
        out.push(format!("{original} is an original Wackamole: {what}. Take it out of the group."));
    }
    let silent =
        |member: &&MemberStatus| member.silent && !report.originals.contains(&member.member);
    for silent in status.members.iter().filter(silent).take(NAMED) {
        out.push(format!(
            "{} is in the group and says nothing; the others go on without it.",
            silent.machine
        ));
    }
    let conflicts = &report.counters.conflicts;
    out.extend(stranger(conflicts.strangers + conflicts.taken, report.decisions.iter().rev()));
    out
}

/// A stranger, as long as a word of him is remembered: what was counted once stays counted when he has long gone.
fn stranger<'a>(times: u64, mut latest: impl Iterator<Item = &'a Decision>) -> Option<String> {
    let last = latest.find(|decision| decision.stranger)?;
    Some(format!("{} (heard {times} times since this program was started).", last.what))
}

fn more(all: usize) -> String {
    if all > NAMED { format!(" and {} more", all - NAMED) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, VecDeque};

    use vip::status::Status;

    use super::*;

    /// Of a machine with two sets that has lost the bus.
    fn away() -> Report {
        let name = |last: u8| SetName {
            name: None,
            addresses: vec![("eth0".into(), IpAddr::from([10, 0, 0, last]), 32)],
            quorum: false,
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
            names: BTreeMap::from([(SetKey(7), name(1)), (SetKey(8), name(2))]),
            order: vec![SetKey(8), SetKey(7)],
            held: Vec::new(),
            away: false,
            unable: BTreeMap::from([(SetKey(7), "interface eth0 is down".into())]),
            bus: Err("the daemon is away".into()),
            off_bus: Some(Duration::from_secs(90)),
            originals: BTreeSet::new(),
            health: (true, "no checks".into()),
            checks: Vec::new(),
            counters: Counters::default(),
            decisions: VecDeque::new(),
            guarded: true,
            passes_on: Ok(()),
        }
    }

    #[test]
    fn what_is_listed_is_nowhere_while_the_bus_is_away() {
        let view = view(&away(), SystemTime::UNIX_EPOCH);
        let seen =
            view.nowhere().map(|set| (set.head.as_str(), set.reason.as_str(), set.since_seconds));
        assert_eq!(
            seen.collect::<Vec<_>>(),
            [("10.0.0.2", "bus-lost", 90.0), ("10.0.0.1", "bus-lost", 90.0)]
        );
        assert_eq!(view.sets[0].addresses, ["eth0:10.0.0.2/32"]);
        assert_eq!(view.sets[1].unable.as_deref(), Some("interface eth0 is down"));
        let unable = "this machine cannot have 10.0.0.1: interface eth0 is down.";
        assert!(view.warnings.iter().any(|one| one == unable), "{:?}", view.warnings);
    }

    #[test]
    fn an_original_wackamole_is_warned_of() {
        let mut report = away();
        report.originals.insert("#wack#m3".into());
        let told = sentences(&report);
        assert!(
            told.contains(&"#wack#m3 is an original Wackamole: this machine holds nothing as long as it is there. Take it out of the group.".into()),
            "{told:?}"
        );
    }

    #[test]
    fn a_stranger_is_warned_of_as_long_as_he_is_among_the_decisions() {
        let decision = |number: u64, what: &str| Decision {
            number,
            at: SystemTime::UNIX_EPOCH,
            head: None,
            what: what.into(),
            alarm: true,
            stranger: what.contains("stranger"),
            reason: None,
            from: Vec::new(),
            to: None,
        };
        let other = decision(2, "m1 cannot have 192.0.2.1");
        let strange = |n| decision(n, &format!("192.0.2.{n} is used by a stranger at 02:00; kept"));
        assert_eq!(
            stranger(7, [&other, &strange(8), &strange(9)].into_iter()),
            Some(
                "192.0.2.8 is used by a stranger at 02:00; kept (heard 7 times since this program was started)."
                    .into()
            )
        );
        assert_eq!(stranger(7, [&other].into_iter()), None);
    }
}

//! The addresses of this machine: their service, asked how everything is.
//!
//! It answers between two of its turns, as the bus daemon does; whoever does not answer within [`PATIENCE`] is shown as it was, and as
//! silent.

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
        sets: status.sets.iter().map(|one| set(report, one)).collect(),
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
        reason: s.reason.word().into(),
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
        Some(said) => {
            let listed = said.addresses.iter().map(|(interface, ip, prefix)| {
                if interface.is_empty() {
                    format!("{ip}/{prefix}")
                } else {
                    format!("{interface}:{ip}/{prefix}")
                }
            });
            listed.collect()
        }
        None => s.addresses.iter().map(ToString::to_string).collect(),
    }
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
                .map(|set| format!("{} ({})", set.head, set.reason.word()))
                .collect();
            out.push(format!("nobody has {}{}.", some.join(", "), more(nowhere.len())));
        }
    }
    if !report.unable.is_empty() {
        let head = |key: &SetKey| {
            let set = status.sets.iter().find(|set| set.key == *key);
            set.map_or_else(|| format!("{key:?}"), |set| set.head.to_string())
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
    for silent in status.members.iter().filter(|member| member.silent).take(NAMED) {
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
    use super::*;

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

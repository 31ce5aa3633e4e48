//! Orders that are waited for: `drain`, `undrain`, `move`.
//!
//! The table is followed from before the order is given, so nothing that follows from it is missed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use addresses::control::client::Client;
use addresses::control::{
    Answer, Ask, Can, ErrorKind, MachineRow, SetRow, SetState, Table, refusal,
};
use anyhow::Result;

use crate::cli::VipWait;
use crate::output::print;

/// What is said of a machine that was told, as long as it does not say so itself.
const NOT_TAKEN: &str = "has not taken the order yet";

/// Where a later order seems to have been carried out, this one may still be on its way for so long.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// Which machine an order was given to.
#[derive(Clone, Debug, Default)]
struct Given {
    /// Its name.
    machine: String,
    /// Its private group, which no other has. Services of before do not tell it.
    member: Option<String>,
    /// When.
    at: Option<Instant>,
}

impl Given {
    fn row<'a>(&self, table: &'a Table) -> Option<&'a MachineRow> {
        table.machine(self.member.as_ref().unwrap_or(&self.machine))
    }

    /// How people tell it from the others.
    fn called(&self, table: &Table) -> String {
        self.row(table).map_or_else(|| self.machine.clone(), |row| table.called(row))
    }
}

/// How far something is that was ordered.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// It has happened.
    Done(String),
    /// These wait, each with what for.
    Waits(Vec<(String, String)>),
    /// It will not happen, unless it does so very soon.
    Overtaken(String),
    /// It will not happen.
    Failed(String),
}

/// Gives an order and waits until it is carried out.
pub(super) fn run(socket: &Path, ask: &Ask, wait: &VipWait, json: bool) -> Result<ExitCode> {
    let deadline = Instant::now() + Duration::from_secs(wait.timeout);
    if wait.no_wait {
        let given = give(socket, ask)?;
        let said = format!("the order for {} is given", given.machine);
        print(&told(json, &given, false, &said, &[])?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut follower = Client::connect(socket)?;
    follower.ask(&Ask::List { follow: true })?;
    let Some(first) = table(&mut follower, deadline)? else {
        return Err(super::refused(ErrorKind::NoAnswer, "the service does not answer".into()));
    };
    let mut task = Task::new(ask, &first);
    let (mut now, mut ordered) = (first, None);
    let mut overtaken: Option<Instant> = None;
    let mut shown: Vec<(String, String)> = Vec::new();
    loop {
        if ordered.is_none() && task.may_begin(&now) {
            ordered = Some(give(socket, ask)?);
        }
        let progress = task.look(&now, ordered.as_ref());
        let given = ordered.clone().unwrap_or_default();
        let waiting = match progress {
            Progress::Done(sentence) => {
                print(&told(json, &given, true, &sentence, &[])?)?;
                return Ok(ExitCode::SUCCESS);
            }
            Progress::Failed(sentence) => return could_not(json, &given, &sentence, &[]),
            Progress::Overtaken(sentence) => {
                let until = *overtaken.get_or_insert_with(|| Instant::now() + ON_ITS_WAY);
                match table(&mut follower, until.min(deadline))? {
                    Some(next) => now = next,
                    None => return could_not(json, &given, &sentence, &[]),
                }
                continue;
            }
            Progress::Waits(waiting) => waiting,
        };
        overtaken = None;
        // An order that was given a moment ago is on its way, which is nothing to tell.
        for (what, why) in waiting.iter().filter(|one| one.1 != NOT_TAKEN && !shown.contains(one)) {
            crate::logging::say(&format!("{what} {why}\n"));
        }
        shown = waiting;
        match table(&mut follower, deadline)? {
            Some(next) => now = next,
            None => {
                let sentence = format!("not done after {} s; the order stands", wait.timeout);
                return could_not(json, &given, &sentence, &shown);
            }
        }
    }
}

fn could_not(
    json: bool,
    given: &Given,
    sentence: &str,
    waiting: &[(String, String)],
) -> Result<ExitCode> {
    if json {
        print(&told(true, given, false, sentence, waiting)?)?;
    } else {
        let rest: String = waiting.iter().map(|(set, why)| format!("; {set} {why}")).collect();
        crate::logging::say(&format!("backhand: {sentence}{rest}\n"));
    }
    Ok(ExitCode::FAILURE)
}

/// What is printed at the end.
fn told(
    json: bool,
    given: &Given,
    done: bool,
    sentence: &str,
    waiting: &[(String, String)],
) -> Result<String> {
    if !json {
        return Ok(format!("{sentence}\n"));
    }
    let waiting: Vec<_> =
        waiting.iter().map(|(what, why)| serde_json::json!({ "what": what, "why": why })).collect();
    super::object(&serde_json::json!({
        "done": done,
        "machine": given.machine,
        "member": given.member,
        "said": sentence,
        "waiting": waiting,
    }))
}

/// Gives the order; to which machine.
fn give(socket: &Path, ask: &Ask) -> Result<Given> {
    match super::ask(socket, ask)? {
        Answer::Ordered { machine, member, .. } => {
            Ok(Given { machine, member, at: Some(Instant::now()) })
        }
        _ => Err(super::unexpected()),
    }
}

fn table(client: &mut Client, deadline: Instant) -> Result<Option<Table>> {
    match client.next(Some(deadline))? {
        Some(Answer::Table(table)) => Ok(Some(*table)),
        None => Ok(None),
        Some(Answer::Error { kind, message }) => Err(super::refused(kind, message)),
        Some(_) => Err(super::unexpected()),
    }
}

/// What was ordered, and what has been seen of it.
#[derive(Debug)]
enum Task {
    Drain {
        /// Sets that were with the machine at any time since.
        sets: BTreeSet<IpAddr>,
    },
    Undrain,
    Move {
        head: Option<IpAddr>,
        called: String,
        /// Who had it last before it went on its way.
        from: Option<String>,
        /// It was seen on its way.
        began: bool,
        /// The number of the last decision when that was not yet so.
        before: u64,
    },
}

impl Task {
    fn new(ask: &Ask, table: &Table) -> Self {
        match ask {
            Ask::Drain { .. } => Self::Drain { sets: BTreeSet::new() },
            Ask::Move { set, .. } => Self::Move {
                head: table.set(set).map(|set| set.head),
                called: set.clone(),
                from: None,
                began: false,
                before: table.decision,
            },
            _ => Self::Undrain,
        }
    }

    /// A set that is on its way somewhere cannot be sent elsewhere before it is there.
    fn may_begin(&self, table: &Table) -> bool {
        match self {
            Self::Move { head, .. } => {
                !find(table, *head).is_some_and(|set| set.state == SetState::Moving)
            }
            _ => true,
        }
    }

    fn look(&mut self, table: &Table, given: Option<&Given>) -> Progress {
        let row = given.and_then(|given| given.row(table));
        // What it is to people.
        let machine = given.map_or_else(String::new, |given| given.called(table));
        match self {
            Self::Drain { sets } => drained(table, sets, row, &machine),
            Self::Undrain => match row {
                None => Progress::Failed(format!("{machine} has left the group")),
                Some(one) if one.drained => Progress::Waits(vec![(machine, NOT_TAKEN.into())]),
                Some(_) => Progress::Done(format!("{machine} takes part")),
            },
            Self::Move { head, called, from, began, before } => {
                let Some(set) = find(table, *head) else {
                    return Progress::Failed(format!(
                        "{called} is not listed by any machine any more"
                    ));
                };
                let Some(owner) = table.owner_called(set) else {
                    if from.is_none() && !*began {
                        return Progress::Failed(format!(
                            "{called} is nowhere, so it cannot be moved; see `backhand vip explain {called}`"
                        ));
                    }
                    // Under quorum one lets go before another may have it, and who that is may change.
                    *began |= given.is_some();
                    return wait(called, "is with nobody at the moment".into());
                };
                if given.is_none() {
                    let way = table.target_called(set).unwrap_or_else(|| "another machine".into());
                    *from = Some(owner);
                    return wait(called, format!("is on its way to {way} already"));
                }
                let to = machine;
                let is_there = row.is_some_and(|row| set.is_at(row));
                if !*began && !is_there {
                    *from = Some(owner.clone());
                }
                let watch = format!("(backhand vip watch --after {before} says more)");
                if set.state == SetState::Held && !is_there {
                    if came_since(set, given) {
                        return Progress::Overtaken(format!(
                            "another order came after this one: {called} is at {owner} {watch}"
                        ));
                    }
                    // What was so before anything was decided is older than the order, which was not refused.
                    let row = row.filter(|_| table.decision > *before);
                    if let Some(why) = row.and_then(|row| refusal(table, set, row)) {
                        let exactly = match &set.unable {
                            Some(unable) if is_own(table, row) => format!(" ({unable})"),
                            _ => format!("; `backhand vip explain {called}` on {to} says more"),
                        };
                        return Progress::Failed(format!("{why}{exactly}; it stays at {owner}"));
                    }
                }
                match set.state {
                    SetState::Moving if row.is_some_and(|row| set.goes_to(row)) => {
                        *began = true;
                        let what = if is_there {
                            "is there; the old holder lets go"
                        } else {
                            "is on its way"
                        };
                        wait(called, what.into())
                    }
                    SetState::Held if is_there => match from {
                        _ if is_coming(table, set) => {
                            *began = true;
                            wait(called, format!("is being taken by {to}"))
                        }
                        // The word that it is there is given by no machine under quorum: the last one is that of the release.
                        Some(from) if set.quorum && !is_own(table, row) => {
                            Progress::Done(format!("{called} is let go by {from}; {to} takes it"))
                        }
                        _ => Progress::Done(format!("{called} is at {to}")),
                    },
                    SetState::Held if *began && from.as_ref() == Some(&owner) => Progress::Failed(
                        format!("{to} did not take {called} in time; it stays at {owner} {watch}"),
                    ),
                    SetState::Held if *began => Progress::Failed(format!(
                        "{to} did not take {called}; it is at {owner} {watch}"
                    )),
                    _ if row.is_none() => {
                        Progress::Failed(format!("{to} has left the group; {called} is at {owner}"))
                    }
                    _ => wait(called, format!("waits for {to} to ask for it")),
                }
            }
        }
    }
}

/// Whether a set is for the machine that tells it and not on its interfaces yet. Of the others it cannot say so.
fn is_coming(table: &Table, set: &SetRow) -> bool {
    table.own().is_some_and(|own| set.is_at(own)) && !set.here
}

/// Whether an operator's order has brought a set to where it is after this one was given.
fn came_since(set: &SetRow, given: Option<&Given>) -> bool {
    let since = Duration::from_millis(set.since_ms);
    set.why == "operator" && given.and_then(|given| given.at).is_some_and(|at| since < at.elapsed())
}

/// Whether this machine is the one that tells the table.
fn is_own(table: &Table, row: Option<&MachineRow>) -> bool {
    table.own().zip(row).is_some_and(|(own, row)| own.member == row.member)
}

fn wait(what: &str, why: String) -> Progress {
    Progress::Waits(vec![(what.to_owned(), why)])
}

fn find(table: &Table, head: Option<IpAddr>) -> Option<&SetRow> {
    table.sets.iter().find(|set| Some(set.head) == head)
}

fn drained(
    table: &Table,
    sets: &mut BTreeSet<IpAddr>,
    row: Option<&MachineRow>,
    machine: &str,
) -> Progress {
    if table.machines.is_empty() {
        return wait(machine, "is not known of: the bus is away".into());
    }
    let Some(one) = row else {
        return Progress::Failed(format!("{machine} has left the group"));
    };
    // From before the order was taken: what moves fast has an owner elsewhere already when it is, and is not off here yet.
    let has = |set: &&SetRow| set.is_at(one);
    sets.extend(table.sets.iter().filter(has).map(|set| set.head));
    if !one.drained {
        return wait(machine, NOT_TAKEN.into());
    }
    let mut waiting = Vec::new();
    for set in table.sets.iter().filter(|set| sets.contains(&set.head)) {
        let why = match (set.state, table.target_called(set)) {
            (SetState::Moving, Some(to)) if set.has_come() => {
                format!("is at {to}; {machine} lets go")
            }
            (SetState::Moving, Some(to)) => format!("waits for {to} to take it"),
            _ if set.is_at(one) => format!("stays: {}", nobody_else(table, set, one)),
            _ if is_coming(table, set) => format!("is being taken by {}", table.machine),
            _ if set.owner.is_some() => continue,
            _ => "is nowhere".into(),
        };
        waiting.push((set.called(), why));
    }
    if waiting.is_empty() {
        let what = match sets.len() {
            0 => "it has nothing".to_owned(),
            1 => "its set of addresses is with another".to_owned(),
            number => format!("its {number} sets of addresses are with others"),
        };
        let until = if one.keeps {
            ""
        } else {
            "; it takes part again when its program is started again, for it has no state directory that it can write"
        };
        return Progress::Done(format!("{machine} is drained: {what}{until}"));
    }
    Progress::Waits(waiting)
}

fn nobody_else(table: &Table, set: &SetRow, machine: &MachineRow) -> String {
    // Candidates are in the order of the machines.
    let all = set.candidates.iter().zip(&table.machines);
    let others: Vec<String> = all
        .filter(|(_, row)| !std::ptr::eq(*row, machine))
        .map(|(one, row)| match (&one.why, one.can, table.called(row)) {
            (Some(why), _, called) => format!("{called} {why}"),
            (None, Can::Good, called) => format!("{called} is about to have it"),
            (None, _, called) => called,
        })
        .collect();
    if others.is_empty() {
        "there is no other machine".into()
    } else {
        format!("others cannot have it ({})", others.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A table of one set and three machines. The first is `m1`.
    fn table(owner: Option<&str>, moving_to: Option<&str>, drained: bool) -> Table {
        let machine = |name: &str| {
            json!({
                "machine": name, "member": format!("#vip#{name}"), "shown": null, "mature": true, "healthy": true,
                "drained": drained && name == "m1", "keeps": true, "leaving": false, "silent": false, "weight": 100,
                "sets": 0, "here_ms": 0,
            })
        };
        let candidate = |name: &str, can: &str, why: Option<&str>| json!({ "machine": name, "can": can, "preferred": false, "why": why });
        let state = match (owner, moving_to) {
            (_, Some(_)) => "moving",
            (Some(_), None) => "held",
            (None, None) => "nowhere",
        };
        let value = json!({
            "machine": "m1", "stage": "running", "connected": true, "bus": "#vip#m1", "away": false, "majority": null,
            "healthy": true, "health": "", "guarded": true, "held": [], "decision": 7,
            "machines": [machine("m1"), machine("m2"), machine("m3")],
            "sets": [{
                "name": "web", "head": "10.0.0.1", "addresses": [], "state": state, "owner": owner, "shown": null,
                "moving_to": moving_to, "why": "balance", "since_ms": 0, "quorum": false, "pending_ms": null,
                "pinned": false, "blocked_by": null, "here": false, "unable": null, "listed": true,
                "candidates": [
                    candidate("m1", "good", None), candidate("m2", "good", None),
                    candidate("m3", "no", Some("immature")),
                ],
            }],
        });
        serde_json::from_value(value).unwrap()
    }

    fn to(name: &str) -> Given {
        Given { machine: name.into(), member: Some(format!("#vip#{name}")), at: None }
    }

    fn waits(why: &str) -> Progress {
        Progress::Waits(vec![("web".into(), why.into())])
    }

    #[test]
    fn a_drain_is_done_when_the_old_holder_has_let_go() {
        let mut task = Task::new(&Ask::Drain { machine: None }, &table(Some("m1"), None, false));
        let mut look = |table: &Table| task.look(table, Some(&to("m1")));
        assert_eq!(
            look(&table(Some("m1"), None, false)),
            Progress::Waits(vec![("m1".into(), NOT_TAKEN.into())])
        );
        // Nothing in between was seen.
        assert_eq!(look(&table(Some("m2"), Some("m2"), true)), waits("is at m2; m1 lets go"));
        assert_eq!(
            look(&table(Some("m1"), None, true)),
            waits("stays: others cannot have it (m2 is about to have it, m3 immature)")
        );
        assert_eq!(look(&table(Some("m1"), Some("m2"), true)), waits("waits for m2 to take it"));
        assert_eq!(look(&table(Some("m2"), Some("m2"), true)), waits("is at m2; m1 lets go"));
        let done = "m1 is drained: its set of addresses is with another";
        assert_eq!(look(&table(Some("m2"), None, true)), Progress::Done(done.into()));
        // Where nothing can be written down, that is said.
        let mut forgets = table(Some("m2"), None, true);
        forgets.machines[0].keeps = false;
        let Progress::Done(said) = look(&forgets) else { panic!("it waits") };
        assert!(said.starts_with(done) && said.contains("takes part again when"), "{said}");
    }

    #[test]
    fn a_drain_is_not_done_while_something_is_nowhere_or_only_on_its_way_here() {
        let mut task = Task::new(&Ask::Drain { machine: None }, &table(Some("m2"), None, false));
        let drained = |owner: Option<&str>, moving_to: Option<&str>| {
            let mut table = table(owner, moving_to, false);
            table.machines[1].drained = true;
            table
        };
        let mut look = |table: &Table| task.look(table, Some(&to("m2")));
        look(&drained(Some("m2"), None));
        assert_eq!(look(&drained(None, None)), waits("is nowhere"));
        let mut there = drained(Some("m1"), None);
        assert_eq!(look(&there), waits("is being taken by m1"));
        there.sets[0].here = true;
        assert!(matches!(look(&there), Progress::Done(_)));
    }

    #[test]
    fn a_move_under_quorum_is_done_when_it_was_let_go_or_where_that_can_be_seen_is_there() {
        let under = |owner: Option<&str>, moving_to: Option<&str>| {
            let mut table = table(owner, moving_to, false);
            table.sets[0].quorum = true;
            table
        };
        let [held, on_its_way] = [under(Some("m1"), None), under(Some("m1"), Some("m2"))];
        let begun = |target: &str| {
            let ask = Ask::Move { set: "web".into(), machine: target.into() };
            let mut task = Task::new(&ask, &held);
            task.look(&held, Some(&to(target)));
            task.look(&under(Some("m1"), Some(target)), Some(&to(target)));
            task
        };
        // Seen from a machine that cannot know more.
        let let_go = Progress::Done("web is let go by m1; m2 takes it".into());
        assert_eq!(begun("m2").look(&under(Some("m2"), None), Some(&to("m2"))), let_go);
        // With nobody for a moment, and then there, or elsewhere.
        let mut task = begun("m2");
        let nobody = under(None, None);
        assert_eq!(task.look(&nobody, Some(&to("m2"))), waits("is with nobody at the moment"));
        let Progress::Failed(why) = task.look(&under(Some("m3"), None), Some(&to("m2"))) else {
            panic!("it goes on")
        };
        assert!(why.starts_with("m2 did not take web; it is at m3 (backhand vip watch"), "{why}");
        assert_eq!(task.look(&under(Some("m2"), None), Some(&to("m2"))), let_go);
        // Seen from the machine itself.
        let mut there = under(Some("m2"), None);
        (there.machine, there.bus) = ("m2".into(), "#vip#m2".into());
        let mut task = begun("m2");
        assert_eq!(task.look(&there, Some(&to("m2"))), waits("is being taken by m2"));
        assert!(matches!(task.look(&held, Some(&to("m2"))), Progress::Failed(_)));
        there.sets[0].here = true;
        assert_eq!(task.look(&there, Some(&to("m2"))), Progress::Done("web is at m2".into()));
        // What was there already was let go by nobody.
        let ask = Ask::Move { set: "web".into(), machine: "m1".into() };
        let mut elsewhere = held.clone();
        (elsewhere.machine, elsewhere.bus) = ("m3".into(), "#vip#m3".into());
        let mut task = Task::new(&ask, &elsewhere);
        assert_eq!(task.look(&elsewhere, Some(&to("m1"))), Progress::Done("web is at m1".into()));
        assert_eq!(begun("m2").look(&on_its_way, Some(&to("m2"))), waits("is on its way"));
    }

    #[test]
    fn a_move_that_the_machine_refuses_ends_with_why() {
        let ask = Ask::Move { set: "web".into(), machine: "m2".into() };
        let held = table(Some("m1"), None, false);
        let mut task = Task::new(&ask, &held);
        let mut refused = held.clone();
        refused.sets[0].candidates[1].can = Can::No;
        refused.sets[0].candidates[1].why = Some("unable".into());
        // That may be from before the order, which was not refused.
        assert_eq!(task.look(&refused, Some(&to("m2"))), waits("waits for m2 to ask for it"));
        refused.decision += 1;
        let mut failed = |table: &Table| match task.look(table, Some(&to("m2"))) {
            Progress::Failed(why) => why,
            other => panic!("{other:?}"),
        };
        let why = failed(&refused);
        assert!(why.starts_with("m2 cannot have web: its interface is missing, "), "{why}");
        assert!(
            why.ends_with("; `backhand vip explain web` on m2 says more; it stays at m1"),
            "{why}"
        );
        // Asked on the machine itself.
        (refused.machine, refused.bus) = ("m2".into(), "#vip#m2".into());
        refused.sets[0].unable = Some("promote_secondaries cannot be set".into());
        let why = failed(&refused);
        assert!(why.ends_with(" (promote_secondaries cannot be set); it stays at m1"), "{why}");
        let back = &mut refused.sets[0].candidates[1];
        (back.can, back.why) = (Can::Reluctant, Some("drain".into()));
        let why = failed(&refused);
        assert!(why.starts_with("m2 would give web back at once: it is drained"), "{why}");
    }

    #[test]
    fn a_move_that_another_order_has_overtaken_is_told_as_that() {
        let ask = Ask::Move { set: "web".into(), machine: "m2".into() };
        let held = table(Some("m1"), None, false);
        let mut task = Task::new(&ask, &held);
        let ago = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let given = Given { at: Some(ago), ..to("m2") };
        assert_eq!(task.look(&held, Some(&given)), waits("waits for m2 to ask for it"));
        let mut other = table(Some("m3"), None, false);
        (other.sets[0].why, other.sets[0].since_ms) = ("operator".into(), 1_000);
        let Progress::Overtaken(why) = task.look(&other, Some(&given)) else { panic!("it waits") };
        assert!(
            why.starts_with("another order came after this one: web is at m3 (backhand"),
            "{why}"
        );
        // An operator brought it there before.
        other.sets[0].since_ms = 60_000;
        assert_eq!(task.look(&other, Some(&given)), waits("waits for m2 to ask for it"));
    }

    #[test]
    fn an_order_that_was_only_given_is_not_done() {
        let text = told(true, &to("m2"), false, "the order for m2 is given", &[]).unwrap();
        assert!(text.starts_with("{\"done\":false,"), "{text}");
    }

    #[test]
    fn a_move_waits_for_another_and_says_when_it_was_given_up() {
        let ask = Ask::Move { set: "web".into(), machine: "m2".into() };
        let on_its_way = table(Some("m1"), Some("m3"), false);
        let mut task = Task::new(&ask, &on_its_way);
        assert!(!task.may_begin(&on_its_way));
        assert_eq!(task.look(&on_its_way, None), waits("is on its way to m3 already"));
        let held = table(Some("m1"), None, false);
        assert!(task.may_begin(&held));
        assert_eq!(task.look(&held, Some(&to("m2"))), waits("waits for m2 to ask for it"));
        assert_eq!(
            task.look(&table(Some("m1"), Some("m2"), false), Some(&to("m2"))),
            waits("is on its way")
        );
        assert_eq!(
            task.look(&table(Some("m2"), Some("m2"), false), Some(&to("m2"))),
            waits("is there; the old holder lets go")
        );
        let Progress::Failed(why) = task.look(&held, Some(&to("m2"))) else { panic!("it goes on") };
        assert!(why.starts_with("m2 did not take web in time; it stays at m1"), "{why}");
        assert_eq!(
            task.look(&table(Some("m2"), None, false), Some(&to("m2"))),
            Progress::Done("web is at m2".into())
        );
        // What is nowhere from the beginning goes nowhere.
        let nowhere = table(None, None, false);
        let Progress::Failed(why) = Task::new(&ask, &nowhere).look(&nowhere, Some(&to("m2")))
        else {
            panic!("it goes on")
        };
        assert!(why.starts_with("web is nowhere, so it cannot be moved"), "{why}");
    }
}

//! What is logged and remembered, and what the report says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use vip::Event;
use vip::status::MemberStatus;

use super::air::id_of;
use super::farewell::Farewell;
use super::places::Place;
use super::report::{Report, SetName};
use super::run::Service;
use super::setup::core_set;
use crate::config;

/// The same thing is said again after this time.
const AGAIN: Duration = Duration::from_secs(10);

impl Service {
    /// Something that is as it should be.
    pub(super) fn note(&mut self, head: Option<IpAddr>, what: String) {
        tracing::info!("{what}");
        self.decisions.note(head, what, false);
        self.changed();
    }

    /// Something that somebody should look at.
    pub(super) fn alarm(&mut self, head: Option<IpAddr>, what: String) {
        tracing::warn!("{what}");
        self.remember(head, what);
    }

    /// The same of something that is in the log already.
    pub(super) fn remember(&mut self, head: Option<IpAddr>, what: String) {
        self.decisions.note(head, what, true);
        self.changed();
    }

    /// Whoever waits for something to happen looks again.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Whether a thing that may be said often is to be said now.
    pub(super) fn seldom(&mut self, what: String) -> bool {
        let now = super::clock::now();
        self.said.retain(|_, at| now.since(*at) < AGAIN);
        if self.said.len() >= 4_096 || self.said.contains_key(&what) {
            return false;
        }
        self.said.insert(what, now);
        true
    }

    /// Tells what the core has to tell.
    pub(super) fn tell_events(&mut self, now: Instant) {
        while let Some(event) = self.vip.poll_event() {
            self.tell_event(now, event);
        }
    }

    fn tell_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Gathered { machines, took, majority } => {
                let majority = match majority {
                    Some(false) => "; there is no majority",
                    _ => "",
                };
                self.note(
                    None,
                    format!(
                        "{} {}: {} ({:.1} ms{majority})",
                        machines.len(),
                        if machines.len() == 1 { "machine" } else { "machines" },
                        machines.join(", "),
                        took.as_secs_f64() * 1e3
                    ),
                );
                let status = self.vip.status(now);
                let own = self.bus.clone().unwrap_or_default();
                let others = status.members.iter().filter(|member| member.member != own);
                self.others = others.filter_map(|member| member.shown).collect();
                self.originals.retain(|one| self.members.contains(one));
                self.tell_of_namesakes(&status.members);
                self.meet_members();
                for member in &status.members {
                    self.machines.insert(id_of(&member.machine), member.machine.clone());
                }
                while self.machines.len() > 4_096 {
                    self.machines.pop_first();
                }
                self.air.neighbours.tell_all();
                self.reconsider_refusals(now);
            }
            Event::Mature => self.note(None, "mature: this machine takes part".into()),
            Event::Owner { head, from, to, reason } => {
                let what = match (&from, &to) {
                    (None, Some(to)) => format!("{head} is at {to} ({reason})"),
                    (Some(from), Some(to)) => format!("{head} went from {from} to {to} ({reason})"),
                    (Some(from), None) => format!("{head} is nowhere; it was at {from} ({reason})"),
                    (None, None) => return,
                };
                if to.is_none() {
                    self.alarm(Some(head), what)
                } else {
                    self.note(Some(head), what)
                }
                self.decisions.of_a_move(from.into_iter().collect(), to, reason);
            }
            Event::Moving { head, from, to, reason } => {
                if from.contains(&self.config.machine) {
                    self.is_going(head);
                }
                self.note(
                    Some(head),
                    format!("{head} goes from {} to {to} ({reason})", from.join(", ")),
                );
                self.decisions.of_a_move(from, Some(to), reason);
            }
            Event::GivenUp { head, to } => {
                self.alarm(Some(head), format!("{head} stays: {to} did not take it in time"));
            }
            Event::Failed { head, machine } => {
                self.alarm(Some(head), format!("{machine} cannot have {head}"));
            }
            Event::Contradiction { head, by } => {
                // Both may begin with the same address.
                let sets = self.vip.status(now).sets;
                let form = |head: IpAddr, fits: &dyn Fn(Option<IpAddr>) -> bool| {
                    let set = sets.iter().find(|set| set.head == head && fits(set.blocked_by));
                    let all = set.map_or_else(|| vec![head], |set| set.addresses.clone());
                    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                    let how = match set.is_some_and(|set| set.hooks_only) {
                        true => " with kernel = false",
                        false => "",
                    };
                    format!("[{}]{how}", all.join(", "))
                };
                let (stays, waits) =
                    (form(by, &|other| other.is_none()), form(head, &|other| other == Some(by)));
                let what = format!(
                    "machines list {head} differently: the form {stays} stays where it is, and {waits} waits until the lists agree"
                );
                self.alarm(Some(head), what);
            }
            Event::QuorumDiffers { head, under, not } => {
                let (under, not) = (under.join(", "), not.join(", "));
                self.alarm(
                    Some(head),
                    format!(
                        "{head} is under quorum in the files of {under} and not in those of {not}, which may hold it beside a majority when they are apart; make `quorum` of this set the same on all machines"
                    ),
                );
            }
            Event::ListsDiffer { machines } => {
                let all: Vec<String> = machines.iter().map(|some| some.join(", ")).collect();
                self.alarm(
                    None,
                    format!(
                        "the machines that count for quorum are listed differently: one list on {}; together all of these lists need their majority, and apart each goes by its own, so that an address may be held twice; make addresses.quorum the same on all machines",
                        all.join(", another on ")
                    ),
                );
            }
            Event::Doubled { machine } => {
                self.alarm(
                    None,
                    format!(
                        "two machines have been called {machine}, and a majority would count the name on both sides of a split: it counts for nobody in addresses.quorum from now on; give each machine a name of its own (cluster.name) and start the programs of all anew, one after the other"
                    ),
                );
            }
            // It says nothing that this program would understand, which was told.
            Event::Silent { machine } if self.originals.contains(&machine) => {}
            Event::Silent { machine } => {
                self.alarm(
                    None,
                    format!(
                        "{machine} is in the group and says nothing; the others go on without it"
                    ),
                );
            }
            Event::Newer { member, version } => {
                if self.seldom(format!("version {member}")) {
                    self.alarm(None, format!("{member} speaks version {version}, which this program does not know; it is left out"));
                }
            }
            Event::Unreadable { member, why } => {
                if self.seldom(format!("unreadable {member}")) {
                    self.alarm(
                        None,
                        format!("a word of {member} cannot be read and counts for nothing: {why}"),
                    );
                }
            }
            Event::Crowded { members, left_out } => {
                if self.seldom(format!("crowded {left_out}")) {
                    let what = if left_out {
                        "this machine is behind them and holds nothing as long as that is so"
                    } else {
                        "the rest counts for nothing"
                    };
                    self.alarm(
                        None,
                        format!(
                            "the group has {members} members, and only the first 1,024 are listened to; {what}; take programs out of it that are no machines of this cluster"
                        ),
                    );
                }
            }
            Event::Original { member, aside } => {
                let what = if aside {
                    "this machine stays immature and holds nothing as long as it is there"
                } else {
                    "it does not understand this program, and will take addresses that are held here: take it out of the group"
                };
                self.alarm(None, format!("{member} is the original Wackamole; {what}"));
                self.originals.insert(member);
            }
            Event::Drained { machine, drained } => {
                let what = if drained { "is drained" } else { "takes part again" };
                self.note(None, format!("{machine} {what}"));
            }
            Event::Leaving { machine, back_within } => {
                let back = back_within.map_or(String::new(), |within| {
                    format!(" and means to be back within {} s", within.as_secs())
                });
                self.note(None, format!("{machine} leaves{back}"));
            }
        }
    }

    /// Machines of one name are told of when they meet, and not in each view again.
    fn tell_of_namesakes(&mut self, members: &[MemberStatus]) {
        for (machine, alike) in namesakes(members) {
            if alike.iter().all(|one| self.namesakes.contains(*one)) {
                continue;
            }
            self.namesakes.extend(alike.iter().map(|one| (*one).to_owned()));
            self.alarm(
                None,
                format!(
                    "{} machines are called {machine} ({}): nobody can tell them apart by that; give each a name of its own (cluster.name, or the host name for wackamole), and until then name them to `backhand vip` by what is in the brackets",
                    alike.len(),
                    alike.join(", ")
                ),
            );
        }
        while self.namesakes.len() > 4_096 {
            self.namesakes.pop_first();
        }
    }

    /// Whoever serves on the addresses of a set that will go in a moment is told.
    fn is_going(&self, head: IpAddr) {
        let (Some(going), Some((_, holding))) = (&self.going, self.holdings.by_ip(head)) else {
            return;
        };
        let ips: Vec<IpAddr> = holding.set.addresses.iter().map(|address| address.ip).collect();
        going(&ips);
    }

    pub(super) fn machine_of(&self, id: base::MachineId) -> String {
        self.machines.get(&id).cloned().unwrap_or_else(|| "another machine of the cluster".into())
    }

    /// As the original wrote it to the system's log.
    pub(super) fn tell_historically(&self, what: &str, set: &config::Set) {
        for address in &set.addresses {
            let (interface, ip) = (self.interface_of(address), address.ip);
            match ip {
                IpAddr::V4(_) => {
                    let mask = std::net::Ipv4Addr::from_bits(
                        u32::MAX.checked_shl(32 - u32::from(address.prefix)).unwrap_or(0),
                    );
                    tracing::info!("{what}: {interface}:{ip}/{mask}");
                }
                IpAddr::V6(_) => tracing::info!("{what}: {interface}:{ip}/{}", address.prefix),
            }
        }
    }

    fn interface_of(&self, address: &config::Address) -> String {
        match self.places.of(address, &self.managed) {
            Place::On(index) => {
                self.places.link(index).map(|link| link.name.clone()).unwrap_or_default()
            }
            Place::NotNow(_) => address.interface.clone().unwrap_or_default(),
        }
    }

    pub(super) fn group_name(&self) -> String {
        String::from_utf8_lossy(self.group.as_bytes()).into_owned()
    }

    /// How everything is.
    pub(super) fn report(&self, now: Instant) -> Report {
        let verdict = self.health.verdict();
        let mut counters = self.counters.clone();
        (counters.announced, counters.told) = self.air.sent;
        counters.unsent = self.air.unsent;
        counters.farewells_refused = self.farewell.as_ref().map_or(0, Farewell::refused);
        counters.conflicts = self.air.conflicts();
        counters.passed = self.passing.table.as_ref().map_or(0, |table| table.passed());
        let name = |set: &config::Set| SetName {
            name: set.name.clone(),
            addresses: set
                .addresses
                .iter()
                .map(|one| (self.interface_of(one), one.ip, one.prefix))
                .collect(),
            quorum: set.quorum,
        };
        let mut unable = self.unable.clone();
        for (key, what) in self.refusals.strangers(now) {
            unable.entry(key).or_insert_with(|| what.clone());
        }
        for (key, what) in &self.answering.sets {
            unable.entry(*key).or_insert_with(|| what.clone());
        }
        Report {
            status: self.vip.status(now),
            names: self.sets.iter().map(|(key, set)| (*key, name(set))).collect(),
            order: self.config.sets.iter().filter_map(|set| Some(core_set(set)?.key())).collect(),
            held: self.holdings.sets.values().map(|holding| holding.set.head()).collect(),
            away: self.away,
            unable,
            bus: self.bus.clone(),
            off_bus: self.bus.is_err().then(|| now.since(self.bus_lost_at)),
            originals: self
                .originals
                .iter()
                .filter(|one| self.members.contains(one))
                .cloned()
                .collect(),
            health: (verdict.healthy, verdict.why),
            checks: self.health.state().cloned().collect(),
            counters,
            decisions: self.decisions.last.clone(),
            guarded: self.guardian.is_some(),
            passes_on: self.passing.state(),
        }
    }
}

/// Names that several members have, each with their private groups. Who has not said a name is called by its private group.
fn namesakes(members: &[MemberStatus]) -> BTreeMap<&str, Vec<&str>> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in members {
        by_name.entry(&one.machine).or_default().push(&one.member);
    }
    by_name.retain(|_, alike| alike.len() > 1);
    by_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_of_one_name_are_found_by_their_private_groups() {
        let member = |member: &str, machine: &str| MemberStatus {
            machine: machine.into(),
            member: member.into(),
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
            sets: 0,
            here_for: Duration::ZERO,
        };
        let members = [
            member("#a#m1", "vm"),
            member("#b#m2", "db"),
            member("#c#m3", "vm"),
            member("#d#m4", "#d#m4"),
        ];
        assert_eq!(namesakes(&members), BTreeMap::from([("vm", vec!["#a#m1", "#c#m3"])]));
        assert_eq!(namesakes(&members[1..]), BTreeMap::new());
    }
}

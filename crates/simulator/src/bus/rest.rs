//! Whether everything is as it should be once calm has come.

use std::time::Duration;

use ring::{Daemon, Ring, RingId, Tag};

use super::groups::Desk;
use super::world::World;

/// At rest every member has answered within this time.
const FRESH: Duration = Duration::from_secs(1);

/// A view that somebody stands in.
struct Standing {
    id: RingId,
    members: Vec<usize>,
}

impl World {
    fn alive(&self) -> impl Iterator<Item = (usize, &Ring)> {
        self.machines.iter().enumerate().filter_map(|(i, m)| Some((i, m.ring.as_ref()?)))
    }

    /// What is not at rest: everybody is in a standing view with daemons that all hear each other and are in the same, and
    /// no two views could be one.
    pub(super) fn unrest(&self) -> Option<String> {
        let mut views: Vec<Standing> = Vec::new();
        for (i, ring) in self.alive() {
            let name = self.machines[i].name;
            if self.machines[i].frozen {
                return Some(format!("{name} is frozen"));
            }
            if self.gave_way(i, ring) {
                continue;
            }
            let Some(view) = ring.view().filter(|_| ring.stands()) else {
                return Some(format!("{name} has no standing view"));
            };
            let mut members = Vec::new();
            for daemon in view.members.iter() {
                let at = self.machines.iter().position(|m| m.boot == daemon.boot);
                let there = at.and_then(|at| self.machines[at].ring.as_ref());
                match (at, there.and_then(Ring::view)) {
                    (Some(at), Some(other)) if other.id == view.id => members.push(at),
                    _ => return Some(format!("{name} believes in {daemon:?}")),
                }
            }
            if !members.iter().all(|&a| members.iter().all(|&b| self.reach(a, b))) {
                return Some(format!("{:?} is no clique", view.members));
            }
            if let Some(at) = self.struck(&members) {
                let name = self.machines[at].name;
                return Some(format!("{name} is in no list of the others in {:?}", view.members));
            }
            let lowest = members.iter().map(|&m| self.machines[m].minor).min();
            if lowest != Some(ring.minor()) {
                return Some(format!("{name} speaks version {} in {view:?}", ring.minor()));
            }
            let now = self.machines[i].clock(self.now);
            if ring.fresh_since(now).is_none_or(|since| now.since(since) > FRESH) {
                return Some(format!("{name} does not know that all live"));
            }
            if !views.iter().any(|other| other.id == view.id) {
                views.push(Standing { id: view.id, members });
            }
        }
        for (at, one) in views.iter().enumerate() {
            for two in &views[at + 1..] {
                if self.could_join(one, two) {
                    let (one, two) = (&one.members, &two.members);
                    return Some(format!("{one:?} and {two:?} could be one view and are not"));
                }
            }
        }
        None
    }

    fn reach(&self, a: usize, b: usize) -> bool {
        let foreign = |i| Some(i) == self.plan.foreign;
        self.wires.mutual(a, b) && foreign(a) == foreign(b)
    }

    fn mutual(&self, a: usize, b: usize) -> bool {
        self.reach(a, b) && self.lists(a, b) && self.lists(b, a)
    }

    fn could_join(&self, one: &Standing, two: &Standing) -> bool {
        let all = || one.members.iter().chain(&two.members);
        let kept_out = |i: &usize| {
            let by = self.machines[*i].ring.as_ref().and_then(Ring::excluded_by);
            by.is_some_and(|by| self.speaks_to(&by, *i))
        };
        let whole = one.members.iter().all(|&a| {
            two.members.iter().all(|&b| {
                self.mutual(a, b)
                    && self.can_meet(a, b)
                    && self.machines[a].name != self.machines[b].name
            })
        });
        whole && !all().any(kept_out)
    }

    /// Whether a daemon lives and is heard there. What one that has gone has said is soon forgotten.
    fn speaks_to(&self, daemon: &Daemon, i: usize) -> bool {
        self.alive().any(|(at, _)| {
            self.machines[at].boot == daemon.boot && self.wires.reaches(at, i, false)
        })
    }

    /// The younger of two daemons with one name stays outside.
    pub(super) fn gave_way(&self, i: usize, ring: &Ring) -> bool {
        let name = self.machines[i].name;
        let namesake = |(at, _): (usize, &Ring)| {
            at != i && self.machines[at].name == name && self.wires.reaches(at, i, false)
        };
        ring.excluded_by().is_some_and(|other| other.name == name) && self.alive().any(namesake)
    }

    /// Two daemons find each other by multicast, by their lists, through a third, or because they met before: in these
    /// lives, or one of them an earlier life of the other.
    fn can_meet(&self, a: usize, b: usize) -> bool {
        let tag = |i: usize| Tag::from(&self.machines[i].boot);
        let third = |c: usize| c != a && c != b && self.mutual(a, c) && self.mutual(b, c);
        !self.plan.group
            || self.wires.reaches(a, b, true)
            || self.wires.reaches(b, a, true)
            || self.machines[a].knows(tag(b))
            || self.machines[b].knows(tag(a))
            || self.remembers(a, b)
            || self.remembers(b, a)
            || self.alive().any(|(c, _)| third(c))
    }

    /// Whether `a` had proof of an earlier life of `b`.
    fn remembers(&self, a: usize, b: usize) -> bool {
        let Some(ring) = &self.machines[a].ring else { return false };
        let status = ring.status(self.machines[a].clock(self.now));
        let of_b = |daemon: &Daemon| self.boots.get(&Tag::from(daemon)) == Some(&b);
        self.plan.twins.is_none() && status.peers.iter().any(|peer| of_b(&peer.daemon))
    }

    /// What is not delivered everywhere yet, or not known to be.
    pub(super) fn undelivered(&self) -> Option<String> {
        for (i, ring) in self.alive() {
            let name = self.machines[i].name;
            if self.gave_way(i, ring) {
                continue;
            }
            let status = ring.status(self.machines[i].clock(self.now));
            if !status.stands {
                return Some(format!("{name} has no standing view"));
            }
            if status.queued > 0 || status.held > 0 {
                return Some(format!("something waits at {name}"));
            }
            if self.desks[i].as_ref().is_some_and(Desk::unfinished) {
                return Some(format!("something waits for clients of {name}, or for their groups"));
            }
        }
        None
    }
}

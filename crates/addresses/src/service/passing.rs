//! Which packets belong to another machine while addresses move.

use std::collections::{BTreeMap, BTreeSet};

use base::Instant;
use vip::SetKey;
use vip::neighbours::Mac;

use super::air::id_of;
use super::places::Place;
use super::run::Service;
use super::worker::Job;
use crate::config::Config;
use crate::passing::{self, Moving, Other, Program, Side, Table};

/// What is known of passing on.
pub(super) struct Passing {
    /// The table of the program; or why there is none.
    pub(super) table: Result<Table, String>,
    /// Where the program is.
    at: BTreeSet<u32>,
    /// Where it is wanted.
    wanted: BTreeSet<u32>,
    /// Where it could not be put, and why.
    refused: BTreeMap<u32, String>,
    /// The moves that the table was made for.
    moves: Moves,
    /// The table is to be made anew, whatever moves: an address may belong elsewhere now.
    stale: bool,
}

/// What moves between this machine and another.
type Moves = BTreeMap<SetKey, Move>;

/// A move in which packets are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Move {
    /// The private group of the other machine, by which it is known from one view to the next.
    other: String,
    /// Its hardware addresses.
    macs: Vec<[u8; 6]>,
    /// It goes away from here, and the other has it already.
    gone: bool,
    /// It was planned, even if the view has changed before the new owner had it, so that both hold it when members are heard.
    planned: bool,
}

/// What goes on until it is known again who has what: moves with machines that are there.
fn going_on(before: &Moves, members: &[String]) -> Moves {
    let there = before.iter().filter(|(_, one)| members.contains(&one.other));
    there.map(|(key, one)| (*key, one.clone())).collect()
}

/// What moves now; what was planned between the same two stays planned.
fn continued(before: &Moves, mut now: Moves) -> Moves {
    for (key, one) in &mut now {
        one.planned |= before.get(key).is_some_and(|was| was.planned && was.other == one.other);
    }
    now
}

impl Passing {
    /// Asks the kernel for it, if it is wanted. The program is for the kernel's thread.
    pub(super) fn open(config: &Config) -> (Self, Option<Program>) {
        let opened = if !config.pass_on {
            Err("it is switched off (pass_on)".to_owned())
        } else if config.sets.iter().any(|set| set.kernel && !set.quorum) {
            passing::open()
        } else {
            Err("there is no address that needs it".to_owned())
        };
        if let (Err(why), true) = (&opened, config.pass_on) {
            tracing::info!("packets are not passed on while addresses move: {why}");
        }
        let (table, program) = match opened {
            Ok((table, program)) => (Ok(table), Some(program)),
            Err(why) => (Err(why), None),
        };
        let (at, wanted, moves) = (BTreeSet::new(), BTreeSet::new(), Moves::new());
        (Self { table, at, wanted, refused: BTreeMap::new(), moves, stale: false }, program)
    }

    /// Whether packets are passed on wherever there are addresses; otherwise why not.
    pub(super) fn state(&self) -> Result<(), String> {
        match (&self.table, self.refused.first_key_value()) {
            (Err(why), _) | (Ok(_), Some((_, why))) => Err(why.clone()),
            (Ok(_), None) => Ok(()),
        }
    }
}

impl Service {
    /// The program is to be at the interfaces that have addresses.
    pub(super) fn put_program(&mut self, mut used: BTreeSet<u32>) {
        // What has no hardware addresses needs none.
        used.retain(|index| {
            self.places.link(*index).is_some_and(|link| !link.loopback && link.mac.is_some())
        });
        if self.passing.table.is_ok() && self.passing.wanted != used {
            self.passing.wanted.clone_from(&used);
            self.ask_kernel(Job::Pass(used));
        }
        self.passing.stale = true;
    }

    /// The program was put there.
    pub(super) fn passes_at(&mut self, at: BTreeSet<u32>, refused: Vec<(u32, String)>) {
        self.passing.at = at;
        self.passing.stale = true;
        self.passing.refused.clear();
        for (interface, why) in refused {
            // It is tried again when the interfaces have changed.
            self.passing.wanted.remove(&interface);
            self.passing.refused.insert(interface, why.clone());
            if self.seldom(format!("pass on {interface}")) {
                let name = self.places.link(interface).map_or("?", |link| link.name.as_str());
                let what =
                    format!("packets are not passed on at {name} while addresses move: {why}");
                self.note(None, what);
            }
        }
    }

    /// Who the others are, as they said it last: in each view when all have spoken, and when a card has come to one of them.
    pub(super) fn know_members(&mut self) {
        let Some(all) = self.vip.hardware() else { return };
        let others = all.flat_map(|(machine, macs)| {
            let id = id_of(machine);
            macs.iter().map(move |mac| (id, Mac(*mac)))
        });
        let others: Vec<_> = others.collect();
        if self.air.set_members(others) {
            self.meet_members();
        }
    }

    /// A machine with several hardware addresses is met on each network before anything moves, if it can be.
    pub(super) fn meet_members(&self) {
        let several = |macs: &[[u8; 6]]| macs.iter().filter(|mac| **mac != [0; 6]).count() > 1;
        let any = self.vip.hardware().is_some_and(|mut all| all.any(|(_, macs)| several(macs)));
        if self.passing.table.is_ok() && any {
            self.ask_kernel(Job::Neighbours);
        }
    }

    /// Makes the table say what moves now.
    pub(super) fn pass_on(&mut self, now: Instant) {
        if self.passing.table.is_err() {
            return;
        }
        let moves = self.moves_now();
        if moves == self.passing.moves && !self.passing.stale {
            return;
        }
        let mut moving = Moving::new();
        for (key, one) in &moves {
            let Some(set) = self.sets.get(key).filter(|set| set.kernel) else { continue };
            for address in &set.addresses {
                let Place::On(interface) = self.places.of(address, &self.managed) else { continue };
                if !self.passing.at.contains(&interface) {
                    continue;
                }
                if let Some(mac) = self.air.reach(interface, &one.macs) {
                    let side = if one.gone { Side::Old } else { Side::New };
                    moving.insert((interface, address.ip), Other { mac, side });
                }
            }
        }
        self.passing.moves = moves;
        self.passing.stale = false;
        let Ok(table) = &mut self.passing.table else { return };
        if let Err(error) = table.set(now, &moving)
            && self.seldom("pass on".to_owned())
        {
            self.alarm(None, format!("packets are not passed on while addresses move: {error}"));
        }
    }

    /// The moves of the view. When it changes, what moves does not stand still: a client may be between the two machines, and the old owner
    /// would answer for an address that is another's already.
    fn moves_now(&self) -> Moves {
        let before = &self.passing.moves;
        if self.vip.is_gathering() {
            return going_on(before, &self.members);
        }
        let all = self.vip.moves_here().filter_map(|one| {
            let other = self.members.get(one.other)?.clone();
            let (macs, gone, planned) = (one.macs.to_vec(), one.gone, one.planned);
            Some((one.key, Move { other, macs, gone, planned }))
        });
        continued(before, all.collect())
    }

    /// Whether a set moves by plan, and not because several had it when they met.
    pub(super) fn moves_by_plan(&self, key: SetKey) -> bool {
        self.passing.moves.get(&key).is_some_and(|one| one.planned)
    }

    /// Whether packets to all addresses of a set are passed on, so far as they belong to another machine.
    pub(super) fn is_passed_on(&self, key: SetKey) -> bool {
        let (Ok(table), Some(holding)) = (&self.passing.table, self.holdings.sets.get(&key)) else {
            return false;
        };
        !holding.placed.is_empty()
            && holding
                .placed
                .iter()
                .all(|placed| table.has(placed.address.interface, placed.address.ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SetKey = SetKey(7);

    fn with(other: &str, planned: bool) -> Moves {
        let macs = vec![[2, 0, 0, 0, 0, 1]];
        [(KEY, Move { other: other.into(), macs, gone: true, planned })].into()
    }

    #[test]
    fn a_move_goes_on_while_members_are_heard_if_the_other_machine_is_there() {
        let before = with("#m#two", true);
        let members =
            |names: &[&str]| names.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        // By its name: places in the view have changed.
        assert_eq!(going_on(&before, &members(&["#m#two", "#m#one"])), before);
        assert_eq!(going_on(&before, &members(&["#m#one", "#m#three"])), Moves::new());
        assert_eq!(going_on(&before, &[]), Moves::new());
    }

    #[test]
    fn what_was_planned_and_is_held_by_both_after_a_change_of_the_view_is_planned_still() {
        let conflict = || with("#m#two", false);
        assert_eq!(continued(&with("#m#two", true), conflict()), with("#m#two", true));
        // Another machine has it, too; or both had it without any plan.
        assert_eq!(continued(&with("#m#three", true), conflict()), conflict());
        assert_eq!(continued(&conflict(), conflict()), conflict());
        assert_eq!(continued(&Moves::new(), conflict()), conflict());
        // What is over is not remembered.
        assert_eq!(continued(&with("#m#two", true), Moves::new()), Moves::new());
    }
}

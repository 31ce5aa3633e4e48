//! What operators ask of machines: drain, take part again, have a set here.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base::Instant;

use crate::message::Message;
use crate::outside::{NoSuch, Service, ViewId};
use crate::reason::Reason;
use crate::set::SetKey;
use crate::table::{Member, Row};
use crate::vip::{Order, Vip};

impl Vip {
    /// Asks something of a machine, this one included, through the group. It is named by its private group, which is its identity,
    /// or by the machine's name where only one has it.
    ///
    /// # Errors
    /// There is no group now, no such machine in it, or several.
    pub fn order(&mut self, machine: &str, order: Order) -> Result<(), NoSuch> {
        if self.view.is_none() {
            return Err(NoSuch::Group);
        }
        let all = |fits: &dyn Fn(&Member) -> bool| -> Vec<String> {
            self.members.iter().filter(|one| fits(one)).map(|one| one.name.clone()).collect()
        };
        let mut members = all(&|one| one.name == machine);
        if members.is_empty() {
            members = all(&|one| one.shown() == machine);
        }
        let name = match members.len() {
            0 => return Err(NoSuch::Machine(machine.to_string())),
            1 => members.remove(0),
            _ => return Err(NoSuch::Several { machine: machine.to_string(), members }),
        };
        self.send(Service::Agreed, &Message::Request(name, order));
        Ok(())
    }

    pub(crate) fn request(&mut self, _now: Instant, machine: &str, ask: Order) {
        if self.members.get(self.me).is_none_or(|me| me.name != machine) {
            return;
        }
        match ask {
            Order::Drain => {
                self.changed |= !self.drained;
                self.drained = true;
            }
            Order::Undrain => {
                self.changed |= self.drained;
                self.drained = false;
            }
            Order::Take(head) => {
                // While machines list it differently there are several; the one that this machine lists is meant.
                let listed = |row: &&Row| row.may.get(self.me).is_some_and(|may| may.listed);
                let all = || self.table.rows.iter().filter(|row| row.set.head() == head);
                if let Some(row) = all().find(listed).or_else(|| all().next()) {
                    self.orders.insert(row.set.key(), false);
                }
            }
        }
    }

    /// Asks the group for what an operator wants here. What was asked for in a view that is over was not heard, and while it
    /// is on its way elsewhere it cannot be sent here.
    pub(crate) fn ask_for_ordered(&mut self, view: ViewId) {
        let (table, me) = (&self.table, self.me);
        let rests = |key: &SetKey| table.row(*key).is_some_and(|row| row.moving.is_none());
        let is_done = |key: &SetKey| {
            let here = |row: &Row| row.pinned && row.owner == Some(me) && row.moving.is_none();
            table.row(*key).is_none_or(here)
        };
        self.orders.retain(|key, _| !is_done(key));
        let due: Vec<(SetKey, usize, Reason)> = (self.orders.iter_mut())
            .filter(|(key, said)| !**said && rests(key))
            .map(|(key, said)| {
                *said = true;
                (*key, self.me, Reason::Operator)
            })
            .collect();
        if !due.is_empty() {
            self.send(Service::Agreed, &Message::Move(view, due));
        }
    }
}

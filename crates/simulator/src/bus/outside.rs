//! What a storey on top of the groups needs of the world: to take it event by event, and a session of its own at each daemon.

use base::Instant;
use bytes::Bytes;
use groups::Departure;
use spread_wire::{ClientMessage, GroupName, PrivateName};

use super::groups::desk::Guest;
use super::net::Wires;
use super::plan::Fault;
use super::world::World;

/// What clients see of a view of daemons: the leader's id and the time, as the first eight bytes of a group's id.
pub(crate) type RingName = [u8; 8];

fn name((leader, time): (u32, u32)) -> RingName {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&leader.to_be_bytes());
    bytes[4..].copy_from_slice(&time.to_be_bytes());
    bytes
}

impl World {
    /// When the next event is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.agenda.first()
    }

    /// The next event happens; machines whose guests were told something by it.
    pub(crate) fn step(&mut self) -> Vec<usize> {
        if let Some((at, action)) = self.agenda.next() {
            self.now = at;
            self.steps += 1;
            self.act(action);
        }
        core::mem::take(&mut self.called)
    }

    /// Something goes wrong now, which is the time of the storey above.
    pub(crate) fn inject(&mut self, now: Instant, fault: Fault) {
        self.now = now;
        self.fault(fault);
    }

    /// The life of the daemon of a machine, if it lives.
    pub(crate) fn life(&self, i: usize) -> Option<usize> {
        self.machines[i].ring.is_some().then(|| self.machines[i].life)
    }

    pub(crate) fn is_frozen(&self, i: usize) -> bool {
        self.machines[i].frozen
    }

    /// Wall clocks go on, as they need not where nobody looks at views' times.
    pub(crate) fn tell_the_time(&mut self, now: Instant) {
        let seconds = (now.as_nanos() / 1_000_000_000) as i64;
        self.machines.iter_mut().for_each(|machine| machine.jump_to(seconds));
    }

    /// The wires.
    pub(crate) fn wires(&self) -> &Wires {
        &self.wires
    }

    /// The wires, to be changed.
    pub(crate) fn wires_mut(&mut self) -> &mut Wires {
        &mut self.wires
    }

    /// What is not at rest.
    pub(crate) fn restless(&self) -> Option<String> {
        self.unrest()
    }

    /// Opens the guest's session; its private group, or `None` if the name is still taken.
    pub(crate) fn open(&mut self, i: usize, private: PrivateName) -> Option<GroupName> {
        let desk = self.desks[i].as_mut()?;
        let session = desk.groups.connect(private, true).ok()?;
        desk.guest = Some(Guest { session, written: Default::default(), mail: Vec::new() });
        Some(*desk.groups.private_group(&private).group())
    }

    /// The guest's connection is lost.
    pub(crate) fn close(&mut self, now: Instant, i: usize) {
        self.now = now;
        if let Some(desk) = &mut self.desks[i]
            && let Some(guest) = desk.guest.take()
        {
            desk.groups.disconnect(guest.session, Departure::Lost);
            self.collect(i);
        }
    }

    /// The guest writes.
    pub(crate) fn write(&mut self, now: Instant, i: usize, messages: Vec<ClientMessage>) {
        self.now = now;
        if let Some(guest) = self.desks[i].as_mut().and_then(|desk| desk.guest.as_mut()) {
            guest.written.extend(messages);
            self.collect(i);
        }
    }

    /// Machines whose guests were told something since the last event.
    pub(crate) fn called(&mut self) -> Vec<usize> {
        core::mem::take(&mut self.called)
    }

    /// What the guest was told and has not read yet.
    pub(crate) fn mail(&mut self, i: usize) -> Vec<Bytes> {
        let guest = self.desks[i].as_mut().and_then(|desk| desk.guest.as_mut());
        guest.map(|guest| core::mem::take(&mut guest.mail)).unwrap_or_default()
    }

    /// Messages that the guest has written and the daemon has not read.
    pub(crate) fn backlog(&self, i: usize) -> usize {
        let guest = self.desks[i].as_ref().and_then(|desk| desk.guest.as_ref());
        guest.map_or(0, |guest| guest.written.len())
    }

    /// Which ring the daemon stands in, and up to when no member had gone on without it.
    pub(crate) fn fresh(&self, now: Instant, i: usize) -> (Option<RingName>, Instant) {
        let ring = self.machines[i].ring.as_ref();
        let fresh = ring.and_then(|ring| Some((ring.view()?.client_id(), ring.fresh_since(now)?)));
        fresh.map_or((None, Instant::ORIGIN), |(id, since)| (Some(name(id)), since))
    }

    /// The ring up to whose beginning the guest has been told everything: the groups have no exchange under way.
    pub(crate) fn told(&self, i: usize) -> Option<RingName> {
        let desk = self.desks[i].as_ref()?;
        let guest = desk.guest.as_ref()?;
        let view = self.machines[i].ring.as_ref()?.view()?;
        (desk.groups.is_settled() && guest.mail.is_empty()).then(|| name(view.client_id()))
    }
}

//! The slow figures of all machines, until they are published.
//!
//! Control changes rows as announcements come and publishes a snapshot of all at most every 50 ms:
//! with a thousand machines that is one swap for fifty announcements, and readers see whole values.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use announce::Contact;
use announce::packet::Announcement;
use base::Instant;
use candidacy::snapshot::Pressure;
use candidacy::{Machine, Slot, Snapshot};
use seal::Speaker;

use super::resolver::Resolver;
use crate::matrix::{SharedMatrix, THIS};
use crate::served::Served;

/// The shortest time between two snapshots.
const BATCH: Duration = Duration::from_millis(50);

/// Rows as they will be published.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Option<Row>>,
    version: u64,
    dirty: bool,
    published: Instant,
}

#[derive(Debug)]
struct Row {
    machine: Machine,
    contact: Contact,
    from: SocketAddr,
}

/// Who a row is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    pub(super) slot: Slot,
    pub(super) epoch: u32,
    pub(super) speaker: Speaker,
    /// Where its packets come from.
    pub(super) from: SocketAddr,
}

impl Table {
    /// An empty table; `version` is the last one published.
    pub(super) fn new(version: u64) -> Self {
        Self { rows: Vec::new(), version, dirty: false, published: Instant::ORIGIN }
    }

    /// Takes what a machine announced.
    pub(super) fn set(
        &mut self,
        who: Who,
        said: &Announcement,
        now: Instant,
        resolver: &mut Resolver,
    ) {
        let index = who.slot.index();
        if self.rows.len() <= index {
            self.rows.resize_with(index + 1, || None);
        }
        let machine = machine(&who, said, now, resolver);
        if let Some(row) = self.rows.get_mut(index) {
            *row = Some(Row { machine, contact: said.contact.clone(), from: who.from });
            self.dirty = true;
        }
    }

    /// Frees a row.
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(row) = self.rows.get_mut(slot.index()) {
            *row = None;
            self.dirty = true;
        }
    }

    /// Puts the addresses in that names were resolved to since.
    pub(super) fn resolved(&mut self, names: &[String], now: Instant, resolver: &mut Resolver) {
        for row in self.rows.iter_mut().flatten() {
            if let Contact::Name { name, .. } = &row.contact
                && names.contains(name)
            {
                row.machine.service = service(&row.contact, row.from, now, resolver);
                self.dirty = true;
            }
        }
    }

    /// The machine in a row.
    pub(super) fn machine(&self, slot: Slot) -> Option<&Machine> {
        self.rows.get(slot.index())?.as_ref().map(|row| &row.machine)
    }

    /// The row of the first machine for which `fits` holds, this machine's own apart.
    pub(super) fn find(&self, fits: impl Fn(&Machine) -> bool) -> Option<Slot> {
        let rows = self.rows.iter().enumerate().skip(THIS.index() + 1);
        let mut rows = rows.filter_map(|(i, row)| Some((i, &row.as_ref()?.machine)));
        let (index, _) = rows.find(|(_, machine)| fits(machine))?;
        u16::try_from(index).ok().map(Slot)
    }

    /// When the next snapshot is due; `None` if nothing has changed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.dirty.then(|| self.published + BATCH)
    }

    /// Publishes what has changed, if it is time; whether it did.
    pub(super) fn publish(
        &mut self,
        now: Instant,
        matrix: &SharedMatrix,
        served: &dyn Served,
    ) -> bool {
        if self.due().is_none_or(|due| now < due) {
            return false;
        }
        self.version += 1;
        (self.dirty, self.published) = (false, now);
        let machine = |(i, row): (usize, &Option<Row>)| {
            let mut machine = row.as_ref()?.machine.clone();
            machine.turnaround = u16::try_from(i).ok().and_then(|i| served.turnaround(Slot(i)));
            Some(machine)
        };
        let machines = self.rows.iter().enumerate().map(machine).collect();
        matrix.slow.store(Arc::new(Snapshot::new(self.version, THIS, machines)));
        true
    }
}

fn machine(who: &Who, said: &Announcement, now: Instant, resolver: &mut Resolver) -> Machine {
    let address = said.address.unwrap_or(who.from.ip());
    let at = |port: u16| (port != 0).then(|| with(who.from, address, port));
    let contact = service(&said.contact, with(who.from, address, 0), now, resolver);
    Machine {
        boot: who.speaker.boot,
        epoch: who.epoch,
        program: said.program.clone(),
        peer: at(said.peer_port).filter(|_| !said.plain),
        exchange: at(said.exchange_port),
        plain: said.plain,
        cpus_milli: said.cpus_milli,
        arriba: said.arriba,
        total_memory: said.total_memory,
        available_memory: said.available_memory,
        load_milli: said.load_milli,
        load_high_water: said.load_high_water,
        // Shares of a whole, whatever a machine with the key may say.
        cpu_idle_permille: said.cpu_idle_permille.min(1000),
        pressure: Pressure {
            cpu: said.pressure.cpu.map(share),
            memory: said.pressure.memory.map(share),
            io: said.pressure.io.map(share),
        },
        limit: said.limit,
        running: said.running_slots,
        ready: said.ready_slots,
        routes: said.routes.clone(),
        service: contact,
        announced: now,
        ..Machine::new(who.speaker.machine, said.name.clone(), who.from)
    }
}

fn share(of_ten_thousand: u16) -> u16 {
    of_ten_thousand.min(10_000)
}

/// `address:port`, keeping the scope of a link-local address that packets came from.
fn with(from: SocketAddr, address: IpAddr, port: u16) -> SocketAddr {
    let mut to = if from.ip() == address { from } else { SocketAddr::new(address, port) };
    to.set_port(port);
    to
}

/// Where clients find a machine. A name that is not resolved stands with the address packets come from.
fn service(
    contact: &Contact,
    from: SocketAddr,
    now: Instant,
    resolver: &mut Resolver,
) -> candidacy::Contact {
    match contact.clone().seen_from(from) {
        Contact::Address(addr) => candidacy::Contact { addr, name: None },
        Contact::Name { name, port } => {
            let ip = resolver.resolve(&name, from.ip(), now).unwrap_or(from.ip());
            candidacy::Contact { addr: with(from, ip, port), name: Some(name) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::served::NothingServed;
    use crate::wake::Bell;
    use base::{Boot, MachineId};

    fn who(slot: u16) -> Who {
        let speaker = Speaker { machine: MachineId([slot as u8; 16]), boot: Boot([1; 16]) };
        Who { slot: Slot(slot), epoch: 7, speaker, from: "10.0.0.9:4445".parse().unwrap() }
    }

    fn resolver() -> Resolver {
        Resolver::new(Arc::new(Bell::new().unwrap()))
    }

    #[test]
    fn an_announcement_becomes_a_row_of_the_matrix() {
        let said = Announcement {
            peer_port: 4446,
            exchange_port: 4447,
            program: "1.2.3".into(),
            arriba: 9,
            ..Announcement::new("web9", Contact::here(8080))
        };
        let machine = machine(&who(3), &said, Instant::from_millis(5), &mut resolver());
        assert_eq!(machine.service.addr, "10.0.0.9:8080".parse().unwrap());
        assert_eq!(machine.peer, Some("10.0.0.9:4446".parse().unwrap()));
        assert_eq!(machine.exchange, Some("10.0.0.9:4447".parse().unwrap()));
        assert_eq!((machine.name.as_str(), machine.arriba, machine.epoch), ("web9", 9, 7));
        assert_eq!(machine.program, "1.2.3");
    }

    #[test]
    fn no_share_is_more_than_the_whole() {
        let pressure = Pressure { cpu: Some(u16::MAX), memory: Some(12), io: None };
        let said = Announcement {
            cpu_idle_permille: u16::MAX,
            pressure,
            ..Announcement::new("web9", Contact::here(80))
        };
        let machine = machine(&who(3), &said, Instant::ORIGIN, &mut resolver());
        assert_eq!(machine.cpu_idle_permille, 1000);
        assert_eq!(machine.pressure, Pressure { cpu: Some(10_000), ..pressure });
    }

    #[test]
    fn a_machine_may_announce_itself_as_another() {
        let as_address = Announcement::new("web9", "192.0.2.7:80".parse().unwrap());
        let m = machine(&who(3), &as_address, Instant::ORIGIN, &mut resolver());
        assert_eq!((m.service.addr, m.peer), ("192.0.2.7:80".parse().unwrap(), None));
        let as_name = Announcement::new("web9", "www2.example.net:81".parse().unwrap());
        let m = machine(&who(3), &as_name, Instant::ORIGIN, &mut resolver());
        assert_eq!(m.service.name.as_deref(), Some("www2.example.net"));
        assert_eq!(m.service.addr, "10.0.0.9:81".parse().unwrap(), "until the name is resolved");
    }

    #[test]
    fn a_snapshot_is_published_at_most_every_fifty_milliseconds() {
        let (mut table, matrix, mut resolver) = (Table::new(1), SharedMatrix::new(), resolver());
        let said = Announcement::new("web9", Contact::here(80));
        let at = |ms: u64| Instant::from_millis(1000 + ms);
        table.publish(at(0), &matrix, &NothingServed);
        assert_eq!(matrix.slow.load().version(), 0, "nothing to say");
        for slot in 1..4 {
            table.set(who(slot), &said, at(0), &mut resolver);
        }
        table.publish(at(0), &matrix, &NothingServed);
        assert_eq!(matrix.slow.load().present().len(), 3);
        table.remove(Slot(2));
        table.publish(at(49), &matrix, &NothingServed);
        assert_eq!(matrix.slow.load().version(), 2);
        assert_eq!(table.due(), Some(at(50)));
        table.publish(at(50), &matrix, &NothingServed);
        assert_eq!((matrix.slow.load().version(), matrix.slow.load().present().len()), (3, 2));
    }
}

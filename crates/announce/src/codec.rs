//! The bytes of an announcement. The table of tags is the one of `docs/announcement-packet.md`.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use candidacy::snapshot::Pressure;
use candidacy::{Report, RouteFigures};

use crate::contact::Contact;
use crate::packet::{Announcement, Decoded, Malformed, NAME_MAX, PROGRAM_MAX, ROUTES_MAX, VERSION};
use crate::wire::{Reader, Writer, array, number};

/// The lowest version whose readers understand what we write.
const COMPATIBLE: u8 = 1;
/// Bit of the `BITS` field: no peer listener.
const PLAIN: u64 = 1;

mod tag {
    pub(super) const SEQUENCE: u8 = 1;
    pub(super) const REPORT: u8 = 2;
    pub(super) const INTERVAL: u8 = 3;
    pub(super) const NAME: u8 = 4;
    pub(super) const CONTACT: u8 = 5;
    pub(super) const ADDRESS: u8 = 6;
    pub(super) const PEER_PORT: u8 = 7;
    pub(super) const EXCHANGE_PORT: u8 = 8;
    pub(super) const CPUS: u8 = 9;
    pub(super) const ARRIBA: u8 = 10;
    pub(super) const TOTAL_MEMORY: u8 = 11;
    pub(super) const AVAILABLE_MEMORY: u8 = 12;
    pub(super) const LOAD: u8 = 13;
    pub(super) const LOAD_HIGH_WATER: u8 = 14;
    pub(super) const CPU_IDLE: u8 = 15;
    pub(super) const PRESSURE_CPU: u8 = 16;
    pub(super) const PRESSURE_MEMORY: u8 = 17;
    pub(super) const PRESSURE_IO: u8 = 18;
    pub(super) const RUNNING_SLOTS: u8 = 19;
    pub(super) const READY_SLOTS: u8 = 20;
    pub(super) const IN_FLIGHT: u8 = 21;
    pub(super) const RELAYING: u8 = 22;
    pub(super) const LIMIT: u8 = 23;
    pub(super) const TURNAROUND_COUNT: u8 = 24;
    pub(super) const TURNAROUND_MEAN: u8 = 25;
    pub(super) const TURNAROUND_P99: u8 = 26;
    pub(super) const BITS: u8 = 27;
    /// The only field that may stand several times.
    pub(super) const ROUTE: u8 = 28;
    pub(super) const PROGRAM: u8 = 29;
    /// The last that this version knows.
    pub(super) const LAST: u8 = PROGRAM;
}

/// Applies one macro to every number: its tag and its place in the announcement.
macro_rules! numbers {
    ($each:ident) => {
        $each!(SEQUENCE, sequence, u64);
        $each!(INTERVAL, interval_millis, u32);
        $each!(PEER_PORT, peer_port, u16);
        $each!(EXCHANGE_PORT, exchange_port, u16);
        $each!(CPUS, cpus_milli, u32);
        $each!(ARRIBA, arriba, u32);
        $each!(TOTAL_MEMORY, total_memory, u64);
        $each!(AVAILABLE_MEMORY, available_memory, u64);
        $each!(LOAD, load_milli, u32);
        $each!(LOAD_HIGH_WATER, load_high_water, u32);
        $each!(CPU_IDLE, cpu_idle_permille, u16);
        $each!(RUNNING_SLOTS, running_slots, u32);
        $each!(READY_SLOTS, ready_slots, u32);
        $each!(IN_FLIGHT, in_flight, u32);
        $each!(RELAYING, relaying, u32);
        $each!(LIMIT, limit, u32);
        $each!(TURNAROUND_COUNT, turnaround.count, u32);
        $each!(TURNAROUND_MEAN, turnaround.mean_micros, u32);
        $each!(TURNAROUND_P99, turnaround.p99_micros, u32);
    };
}

pub(crate) fn encode(a: &Announcement, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[VERSION, COMPATIBLE]);
    let mut fields = Writer(out);
    fields.bytes(tag::REPORT, &a.report.to_bits().to_be_bytes());
    fields.bytes(tag::NAME, cut(&a.name, NAME_MAX).as_bytes());
    write_contact(&mut fields, &a.contact);
    match a.address {
        Some(IpAddr::V4(v4)) => fields.bytes(tag::ADDRESS, &v4.octets()),
        Some(IpAddr::V6(v6)) => fields.bytes(tag::ADDRESS, &v6.octets()),
        None => {}
    }
    macro_rules! write {
        ($tag:ident, $($place:ident).+, $kind:ty) => {
            fields.number(tag::$tag, a.$($place).+);
        };
    }
    numbers!(write);
    let Pressure { cpu, memory, io } = a.pressure;
    fields.optional(tag::PRESSURE_CPU, cpu);
    fields.optional(tag::PRESSURE_MEMORY, memory);
    fields.optional(tag::PRESSURE_IO, io);
    fields.number(tag::BITS, if a.plain { PLAIN } else { 0 });
    if !a.program.is_empty() {
        fields.bytes(tag::PROGRAM, cut(&a.program, PROGRAM_MAX).as_bytes());
    }
    for route in a.routes.iter().take(ROUTES_MAX) {
        let mut value = [0; 10];
        value[..4].copy_from_slice(&route.key.to_be_bytes());
        value[4..8].copy_from_slice(&route.service_micros.to_be_bytes());
        value[8..].copy_from_slice(&route.in_flight.to_be_bytes());
        fields.bytes(tag::ROUTE, &value);
    }
}

/// The port; then a zero byte and an address of 4 or 16 bytes, or the name.
fn write_contact(fields: &mut Writer<'_>, contact: &Contact) {
    let mut value = Vec::with_capacity(32);
    value.extend_from_slice(&contact.port().to_be_bytes());
    match contact {
        Contact::Address(address) => {
            value.push(0);
            match address.ip() {
                IpAddr::V4(v4) => value.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => value.extend_from_slice(&v6.octets()),
            }
        }
        Contact::Name { name, .. } => value.extend_from_slice(name.as_bytes()),
    }
    fields.bytes(tag::CONTACT, &value);
}

pub(crate) fn decode(text: &[u8]) -> Result<Decoded, Malformed> {
    let [version, needed] = array(text, 0).ok_or(Malformed::Cut)?;
    if needed > VERSION {
        return Err(Malformed::TooNew { needed });
    }
    let mut a = Announcement::new(String::new(), Contact::here(0));
    // A field left out is zero, whatever a new announcement starts with.
    a.interval_millis = 0;
    let mut seen = [0u64; 4];
    for field in Reader(&text[2..]) {
        let (tag, value) = field.map_err(|_| Malformed::Cut)?;
        let (word, bit) = (usize::from(tag / 64), 1 << (tag % 64));
        // What this version does not know may well stand several times in a later one.
        if seen[word] & bit != 0 && tag <= tag::LAST && tag != tag::ROUTE {
            return Err(Malformed::Repeated { tag });
        }
        seen[word] |= bit;
        read(&mut a, tag, value).ok_or(Malformed::Field { tag })?;
    }
    for tag in [tag::SEQUENCE, tag::REPORT, tag::CONTACT] {
        // Announcements are counted from 1; one with number zero has none.
        if seen[0] & 1 << tag == 0 || tag == tag::SEQUENCE && a.sequence == 0 {
            return Err(Malformed::Missing { tag });
        }
    }
    Ok(Decoded { announcement: a, version })
}

/// Puts one field in its place; `None` if its value is not of its kind.
fn read(a: &mut Announcement, tag: u8, value: &[u8]) -> Option<()> {
    macro_rules! read {
        ($tag:ident, $($place:ident).+, $kind:ty) => {
            if tag == tag::$tag {
                a.$($place).+ = number(value, <$kind>::MAX.into())? as $kind;
                return Some(());
            }
        };
    }
    numbers!(read);
    let share = || Some(number(value, u16::MAX.into())? as u16);
    match tag {
        tag::PRESSURE_CPU => a.pressure.cpu = Some(share()?),
        tag::PRESSURE_MEMORY => a.pressure.memory = Some(share()?),
        tag::PRESSURE_IO => a.pressure.io = Some(share()?),
        tag::REPORT => a.report = Report::from_bits(u64::from_be_bytes(array(value, 0)?)),
        tag::NAME => a.name = words(value, NAME_MAX)?.into(),
        tag::PROGRAM => a.program = words(value, PROGRAM_MAX)?.into(),
        tag::CONTACT => a.contact = contact(value)?,
        tag::ADDRESS => a.address = Some(address(value).filter(is_reachable)?),
        tag::BITS => a.plain = number(value, u64::MAX)? & PLAIN != 0,
        tag::ROUTE if a.routes.len() < ROUTES_MAX => a.routes.push(route(value)?),
        _ => {}
    }
    Some(())
}

/// Text for people: UTF-8 without control characters, at most so many bytes.
fn words(value: &[u8], most: usize) -> Option<&str> {
    let text = core::str::from_utf8(value).ok()?;
    (text.len() <= most && !text.chars().any(char::is_control)).then_some(text)
}

fn contact(value: &[u8]) -> Option<Contact> {
    let port = u16::from_be_bytes(array(value, 0)?);
    let contact = match &value[2..] {
        [0, octets @ ..] => Contact::Address((address(octets)?, port).into()),
        name => Contact::Name { name: core::str::from_utf8(name).ok()?.into(), port },
    };
    let named = match &contact {
        Contact::Name { name, .. } => crate::contact::is_host_name(name),
        Contact::Address(_) => true,
    };
    (named && port != 0).then_some(contact)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(array::<4>(octets, 0)?.into()),
        16 => Some(Ipv6Addr::from(array::<16>(octets, 0)?).into()),
        _ => None,
    }
}

fn is_reachable(address: &IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast()
}

/// Ten bytes; a later version may append more.
fn route(value: &[u8]) -> Option<RouteFigures> {
    Some(RouteFigures {
        key: u32::from_be_bytes(array(value, 0)?),
        service_micros: u32::from_be_bytes(array(value, 4)?),
        in_flight: u16::from_be_bytes(array(value, 8)?),
    })
}

/// The text up to `most` bytes, and never half a character.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;

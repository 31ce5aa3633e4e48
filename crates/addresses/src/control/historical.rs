//! The historical protocol of the control socket (`wackamole.md`, 4 and 4.1): one byte asks, binary records answer.
//!
//! It has no room for IPv6: such addresses are left out of records, and a set without any other is left out of the listing.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use super::table::{Can, Table};

/// Asks for the table.
pub const LIST: u8 = 0;
/// Simulates a failure.
pub const FAIL: u8 = 1;
/// Comes back.
pub const SUCCEED: u8 = 2;

/// Bytes of a record.
pub const RECORD: usize = 4 + BLOCKS * BLOCK;
/// Interface blocks of a record: the owner, the head, and the addresses behind it.
const BLOCKS: usize = 32;
/// Bytes of an interface block: a name and three addresses.
const BLOCK: usize = NAME + 12;
/// Bytes of an interface's name, with the NUL behind it.
const NAME: usize = 16;
/// Most bytes of records that are read. The original had at most 254.
pub const LISTING_MAX: usize = RECORD * 4096;

/// Claim priorities (reference, 5).
const UNCLAIMED: i32 = 0;
const CLAIMED: i32 = 2;
const PREFER_CLAIMED: i32 = 5;

/// The owner of a set whose machine has no address of version 4: 0 would say that nobody has it. The dummy address of RFC 7600.
const SOMEBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// One address of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The interface's name.
    pub name: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its prefix.
    pub prefix: u8,
}

/// A set, as `wackatrl` knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The address of the machine that has it.
    pub owner: Option<Ipv4Addr>,
    /// Its addresses, the head first.
    pub addresses: Vec<Interface>,
}

/// The answer to [`LIST`], the length before it included.
pub fn answer(table: &Table) -> Vec<u8> {
    let mut all = vec![0; 4];
    for set in table.sets.iter().filter(|set| set.listed) {
        let mut record = Vec::with_capacity(RECORD);
        // Candidates are in the order of the machines.
        let owner = table.owner_at(set).and_then(|at| set.candidates.get(at));
        let wants = owner.is_some_and(|one| one.can == Can::Good && one.preferred);
        let priority = match &set.owner {
            None => UNCLAIMED,
            Some(_) if wants => PREFER_CLAIMED,
            Some(_) => CLAIMED,
        };
        record.extend(priority.to_be_bytes());
        let shown = match (&set.owner, set.shown) {
            (None, _) => Ipv4Addr::UNSPECIFIED,
            (Some(_), Some(IpAddr::V4(ip))) => ip,
            (Some(_), _) => SOMEBODY,
        };
        record.extend([0; NAME]);
        record.extend(shown.octets());
        record.extend([0; 8]);
        for one in &set.addresses {
            let IpAddr::V4(ip) = one.address else { continue };
            if record.len() == RECORD {
                break;
            }
            block(&mut record, &one.interface, ip, one.prefix);
        }
        if record.len() > 4 + BLOCK {
            record.resize(RECORD, 0);
            all.extend(record);
        }
    }
    let length = u32::try_from(all.len() - 4).unwrap_or(u32::MAX);
    all[..4].copy_from_slice(&length.to_be_bytes());
    all
}

fn block(record: &mut Vec<u8>, name: &str, ip: Ipv4Addr, prefix: u8) {
    let mut field = [0; NAME];
    // The last byte stays the NUL.
    for (place, byte) in field[..NAME - 1].iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
    record.extend(field);
    record.extend(ip.octets());
    record.extend((ip.to_bits() | !mask).to_be_bytes());
    record.extend(mask.to_be_bytes());
}

/// Reads the records of an answer, without the length before them. One that is cut off is left out.
pub fn records(bytes: &[u8]) -> Vec<Record> {
    bytes.chunks_exact(RECORD).map(record).collect()
}

fn record(bytes: &[u8]) -> Record {
    let mut blocks = bytes[4..].chunks_exact(BLOCK).map(|block| {
        let word = |at: usize| {
            let octets = block.get(at..at + 4).and_then(|four| four.try_into().ok());
            u32::from_be_bytes(octets.unwrap_or_default())
        };
        let name = block[..NAME].split(|byte| *byte == 0).next().unwrap_or_default();
        Interface {
            name: String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).collect(),
            address: Ipv4Addr::from_bits(word(NAME)),
            // The original counted in the wrong byte order and showed /32 for every mask.
            prefix: u8::try_from(word(NAME + 8).leading_ones()).unwrap_or(32),
        }
    });
    let owner = blocks.next().map(|owner| owner.address).filter(|ip| !ip.is_unspecified());
    let head = blocks.next();
    let rest = blocks.take_while(|one| !one.address.is_unspecified());
    Record { owner, addresses: head.into_iter().chain(rest).collect() }
}

/// What `wackatrl` prints.
pub fn listing(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        // Writing to a string cannot fail.
        let _ = match record.owner {
            Some(owner) => writeln!(text, "Owner: {owner}"),
            None => writeln!(text, "Owner: not acquired"),
        };
        for (n, one) in record.addresses.iter().enumerate() {
            let mark = if n == 0 { "*   " } else { " -> " };
            let _ = writeln!(text, "\t{mark}{:>5}:{}/{}", one.name, one.address, one.prefix);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::table::{AddressRow, SetRow, SetState};
    use super::*;

    fn set(owner: Option<&str>, addresses: &[(&str, &str, u8)]) -> SetRow {
        let one = |(interface, ip, prefix): &(&str, &str, u8)| AddressRow {
            interface: (*interface).into(),
            address: ip.parse().unwrap(),
            prefix: *prefix,
        };
        let addresses: Vec<AddressRow> = addresses.iter().map(one).collect();
        SetRow {
            name: None,
            head: addresses[0].address,
            addresses,
            state: SetState::Held,
            owner: owner.map(|_| "m1".into()),
            owner_member: None,
            shown: owner.map(|ip| ip.parse().unwrap()),
            moving_to: None,
            moving_to_member: None,
            why: "unowned".into(),
            since_ms: 0,
            quorum: false,
            pending_ms: None,
            pinned: false,
            blocked_by: None,
            here: false,
            unable: None,
            listed: true,
            candidates: vec![],
        }
    }

    fn table(sets: Vec<SetRow>) -> Table {
        Table {
            machine: "m1".into(),
            stage: "running".into(),
            connected: true,
            bus: String::new(),
            away: false,
            majority: None,
            doubled: vec![],
            healthy: true,
            health: String::new(),
            guarded: true,
            passes_on: true,
            passes_on_not: None,
            passed_on: 0,
            held: vec![],
            machines: vec![],
            sets,
            decision: 0,
            checks: vec![],
            counters: Default::default(),
        }
    }

    #[test]
    fn records_have_every_byte_where_the_original_had_it() {
        let table = table(vec![set(
            Some("10.1.1.5"),
            &[("eth0", "10.1.1.100", 24), ("eth1", "192.0.2.7", 29)],
        )]);
        let bytes = answer(&table);
        assert_eq!(bytes.len(), 904);
        assert_eq!(bytes[..8], [0, 0, 3, 132, 0, 0, 0, 2]);
        assert_eq!(
            bytes[8..36],
            [0; 28]
                .map(|_: u8| 0)
                .iter()
                .enumerate()
                .map(|(n, _)| match n {
                    16 => 10,
                    17 | 18 => 1,
                    19 => 5,
                    _ => 0,
                })
                .collect::<Vec<u8>>()[..]
        );
        assert_eq!(&bytes[36..52], b"eth0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(bytes[52..64], [10, 1, 1, 100, 10, 1, 1, 255, 255, 255, 255, 0]);
        assert_eq!(bytes[80..92], [192, 0, 2, 7, 192, 0, 2, 7, 255, 255, 255, 248]);
        assert!(bytes[92..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn the_listing_is_the_one_of_the_original_but_for_the_true_prefix() {
        let table = table(vec![
            set(Some("10.1.1.5"), &[("eth0", "10.1.1.100", 24), ("eth1", "192.0.2.7", 29)]),
            set(None, &[("lo", "10.1.1.101", 32)]),
        ]);
        assert_eq!(
            listing(&records(&answer(&table)[4..])),
            "Owner: 10.1.1.5\n\t*    eth0:10.1.1.100/24\n\t ->  eth1:192.0.2.7/29\nOwner: not acquired\n\t*      lo:10.1.1.101/32\n"
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_an_owner_is_never_nobody() {
        let many: Vec<String> = (0..40).map(|n| format!("10.0.1.{n}")).collect();
        let many: Vec<(&str, &str, u8)> = many.iter().map(|ip| ("eth0", ip.as_str(), 32)).collect();
        let table = table(vec![
            set(Some("fd00::1"), &[("eth0", "fd00::9", 128), ("eth0", "10.0.0.9", 32)]),
            set(Some("10.0.0.1"), &[("eth0", "fd00::8", 128)]),
            set(Some("10.0.0.1"), &many),
        ]);
        let read = records(&answer(&table)[4..]);
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].owner, read[0].addresses.len()), (Some(SOMEBODY), 1));
        assert_eq!(read[1].addresses.len(), 31);
    }

    #[test]
    fn any_bytes_can_be_read() {
        assert_eq!(records(&[0xff; 899]), []);
        let read = records(&[0xff; 1801]);
        assert_eq!((read.len(), read[0].addresses.len()), (2, 31));
        assert!(listing(&read).contains("255.255.255.255/32"));
    }
}

//! One number for the whole table, so that two daemons can be compared at the same point of the order.

use spread_wire::PrivateName;

use crate::groups::Groups;

/// The hash of Fowler, Noll and Vo over words and names. For comparing daemons that mean well, not against forgery.
struct Digest(u64);

impl Digest {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        for byte in number.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Groups {
    /// A number for the daemons and the whole table of groups: equal at all members of a view at the same point of the
    /// order, once [`Groups::is_settled`], and after that until the next view among those that go on together. While
    /// states are exchanged it is equal only within a synced set. Sessions and queues are not in it.
    pub fn state_digest(&self) -> u64 {
        let mut digest = Digest(0xcbf2_9ce4_8422_2325);
        for (place, daemon) in self.roster.daemons().iter().enumerate() {
            digest.bytes(daemon.name.as_bytes());
            digest.bytes(&daemon.boot.0);
            digest.number(self.roster.is_lost(place as u16).into());
        }
        for group in self.table.iter() {
            digest.bytes(group.name.as_bytes());
            for word in [group.id.view.leader, group.id.view.time, group.id.index] {
                digest.number(word as u32 as u64);
            }
            digest.number(group.changed.into());
            for member in &group.members {
                digest.number(member.place.into());
                digest.bytes(PrivateName::as_bytes(&member.name));
            }
        }
        digest.0
    }
}

//! Addresses that move as one.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// Most addresses of one set.
pub const ADDRESSES_PER_SET_MAX: usize = 64;

/// Which set is meant, in messages and tables: a digest of its addresses and of whether they are put on interfaces, so that two machines
/// that list it differently mean two different sets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey(pub u64);

impl fmt::Debug for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Addresses that move as one. The first is its head, by which people name it; the order of the others means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    head: IpAddr,
    /// All of them, ascending.
    addresses: Vec<IpAddr>,
    /// They are on no interface, and programs bring them to the machine.
    hooks_only: bool,
    key: SetKey,
}

impl Set {
    /// A set of these addresses; `None` without any, or with more than [`ADDRESSES_PER_SET_MAX`]. One that is there twice counts once.
    pub fn new(addresses: &[IpAddr]) -> Option<Self> {
        let head = *addresses.first()?;
        let mut all = addresses.to_vec();
        all.sort_unstable();
        all.dedup();
        if all.len() > ADDRESSES_PER_SET_MAX {
            return None;
        }
        let key = digest(head, &all, false);
        Some(Self { head, addresses: all, hooks_only: false, key })
    }

    /// The same set where its addresses are put on no interface: only programs are run. It is another one for messages and tables: of
    /// machines that list it so and otherwise, what one has would be nothing at another.
    #[must_use]
    pub fn hooks_only(self) -> Self {
        let key = digest(self.head, &self.addresses, true);
        Self { hooks_only: true, key, ..self }
    }

    /// Whether its addresses are put on no interface.
    pub fn is_hooks_only(&self) -> bool {
        self.hooks_only
    }

    /// The address by which the set is named.
    pub fn head(&self) -> IpAddr {
        self.head
    }

    /// All addresses, ascending.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// What names it in messages.
    pub fn key(&self) -> SetKey {
        self.key
    }

    /// Whether they have an address in common without being the same: then only one of them may be held.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.key != other.key
            && self.addresses.iter().any(|one| other.addresses.binary_search(one).is_ok())
    }
}

/// FNV-1a, which is enough against accidents; members of the group are trusted.
fn digest(head: IpAddr, addresses: &[IpAddr], hooks_only: bool) -> SetKey {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for ip in core::iter::once(&head).chain(addresses) {
        match ip {
            IpAddr::V4(ip) => ip.octets().into_iter().for_each(&mut eat),
            IpAddr::V6(ip) => ip.octets().into_iter().for_each(&mut eat),
        }
        eat(if ip.is_ipv4() { 4 } else { 6 });
    }
    if hooks_only {
        eat(0);
    }
    SetKey(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(addresses: &[&str]) -> Set {
        let all: Vec<IpAddr> = addresses.iter().map(|one| one.parse().unwrap()).collect();
        Set::new(&all).unwrap()
    }

    #[test]
    fn the_order_behind_the_head_means_nothing() {
        assert_eq!(
            set(&["10.0.0.1", "10.0.0.2", "fd00::1"]),
            set(&["10.0.0.1", "fd00::1", "10.0.0.2"])
        );
        assert_ne!(set(&["10.0.0.1", "10.0.0.2"]).key(), set(&["10.0.0.2", "10.0.0.1"]).key());
    }

    #[test]
    fn sets_that_share_an_address_contradict_each_other() {
        let (one, both) = (set(&["10.0.0.1"]), set(&["10.0.0.1", "10.0.0.2"]));
        assert!(one.contradicts(&both) && both.contradicts(&one));
        assert!(!one.contradicts(&one) && !one.contradicts(&set(&["10.0.0.2"])));
    }

    #[test]
    fn what_is_on_interfaces_and_what_only_programs_bring_contradict_each_other() {
        let (one, other) = (set(&["10.0.0.1"]), set(&["10.0.0.1"]).hooks_only());
        assert!(one.contradicts(&other) && other.contradicts(&one));
        assert!(!one.is_hooks_only() && other.is_hooks_only());
        assert_eq!(other, set(&["10.0.0.1"]).hooks_only());
    }

    #[test]
    fn no_set_is_empty_or_too_large() {
        assert_eq!(Set::new(&[]), None);
        let many: Vec<IpAddr> = (0..=64_u8).map(|i| IpAddr::from([10, 0, 0, i])).collect();
        assert_eq!(Set::new(&many), None);
    }
}

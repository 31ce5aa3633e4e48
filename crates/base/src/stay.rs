//! Whether a machine may be known by an address: those of the cluster are on an interface like any other, and go to another machine.

/// The mark on addresses of the cluster (IFA_PROTO, Linux 5.18).
pub const MARK: u8 = 186;

/// How long an address is likely to stay on a machine, the longest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stay {
    /// It was put there for ever: the machine's own.
    #[default]
    Own,
    /// The kernel gives it up after a while, and it is the first of a network, as where addresses are leased (DHCP).
    Leased,
    /// The kernel gives it up after a while, and it has no network or is a further one of it. So are addresses of the cluster where the
    /// kernel keeps no mark.
    Passing,
    /// It bears the mark: it is the cluster's.
    Shared,
}

impl Stay {
    /// Of an address with this mark, which `ends` if the kernel gives it up after a while, and is `further` if it has no network or is not
    /// the first of it.
    #[must_use]
    pub fn of(mark: Option<u8>, ends: bool, further: bool) -> Self {
        match (mark, ends, further) {
            (Some(MARK), ..) => Self::Shared,
            (_, true, true) => Self::Passing,
            (_, true, false) => Self::Leased,
            (_, false, _) => Self::Own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_longer_comes_first() {
        let (own, dhcp) = (Stay::of(None, false, false), Stay::of(Some(3), true, false));
        let (unmarked, shared) = (Stay::of(Some(0), true, true), Stay::of(Some(MARK), true, true));
        assert!(own < dhcp && dhcp < unmarked && unmarked < shared);
        // A cloud's machine may have nothing but an address without a network.
        assert_eq!(Stay::of(None, false, true), Stay::Own);
        assert_eq!(Stay::of(Some(MARK), false, false), Stay::Shared);
    }
}

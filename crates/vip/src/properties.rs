//! The two properties of the paper (section 3), as functions over what is seen from outside.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

/// What one machine holds, as its interfaces show it, and what it takes itself for.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which connected component it is in.
    pub component: usize,
    /// It takes part: mature, and its table is made (*RUN* in the paper).
    pub ready: bool,
    /// The addresses that it could hold: listed, with interfaces that are up.
    pub able: Vec<IpAddr>,
    /// The addresses that it holds.
    pub held: Vec<IpAddr>,
}

/// What is wrong in a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Nobody holds an address that somebody ready could.
    Nobody {
        /// Where.
        component: usize,
        /// What.
        address: IpAddr,
    },
    /// Several hold it.
    Several {
        /// Where.
        component: usize,
        /// What.
        address: IpAddr,
        /// How many.
        count: usize,
    },
}

/// Property 1, correctness: in each component each address is held by exactly one. It is to hold while no move is under way.
pub fn exactly_once(machines: &[Seen]) -> Vec<Wrong> {
    let mut counts: BTreeMap<(usize, IpAddr), usize> = BTreeMap::new();
    for machine in machines {
        for address in machine.able.iter().filter(|_| machine.ready) {
            counts.entry((machine.component, *address)).or_default();
        }
        for address in &machine.held {
            *counts.entry((machine.component, *address)).or_default() += 1;
        }
    }
    let wrong = |((component, address), count)| match count {
        0 => Some(Wrong::Nobody { component, address }),
        1 => None,
        count => Some(Wrong::Several { component, address, count }),
    };
    counts.into_iter().filter_map(wrong).collect()
}

/// Property 2, liveness: those that are not ready. It is to be empty once nothing has changed for long enough.
pub fn not_ready(machines: &[Seen]) -> Vec<usize> {
    (0..machines.len()).filter(|at| !machines[*at].ready).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(component: usize, ready: bool, held: &[u8]) -> Seen {
        let ip = |last: &u8| IpAddr::from([10, 0, 0, *last]);
        Seen {
            component,
            ready,
            able: [1, 2].iter().map(ip).collect(),
            held: held.iter().map(ip).collect(),
        }
    }

    #[test]
    fn each_component_is_judged_alone() {
        assert_eq!(
            exactly_once(&[seen(0, true, &[1]), seen(0, true, &[2]), seen(1, true, &[1, 2])]),
            []
        );
    }

    #[test]
    fn holes_and_doubles_are_found() {
        let address = IpAddr::from([10, 0, 0, 2]);
        assert_eq!(exactly_once(&[seen(0, true, &[1])]), [Wrong::Nobody { component: 0, address }]);
        let both = [seen(0, true, &[1, 2]), seen(0, false, &[2])];
        assert_eq!(exactly_once(&both), [Wrong::Several { component: 0, address, count: 2 }]);
        assert_eq!(not_ready(&both), [1]);
    }

    #[test]
    fn who_is_not_ready_need_not_hold_anything() {
        assert_eq!(exactly_once(&[seen(0, false, &[])]), []);
    }
}

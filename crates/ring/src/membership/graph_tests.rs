//! The choice alone, without time or network: statements are exchanged until nobody has anything new to say.

use core::cmp::Reverse;

use alloc::vec::Vec;

use base::Random;
use proptest::prelude::*;

use super::graph::{Graph, Key, Node};
use crate::bits::Bits;
use crate::name::DaemonName;
use crate::view::RingId;
use crate::wire::Tag;

/// What one daemon says: whom it hears is the graph's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Said {
    ring: RingId,
    size: u8,
    follows: Option<usize>,
    proposes: Option<Bits>,
}

struct Choice {
    hears: Vec<Bits>,
    said: Vec<Said>,
    installs: u64,
}

impl Choice {
    fn new(hears: Vec<Bits>) -> Self {
        let said = hears.iter().map(|_| Said::default()).collect();
        Self { hears, said, installs: 0 }
    }

    fn mutual(&self, a: usize, b: usize) -> bool {
        a == b || self.hears[a].has(b) && self.hears[b].has(a)
    }

    fn key(&self, i: usize) -> Key {
        Key {
            newcomer: self.said[i].ring == RingId::default(),
            degree: Reverse((0..self.hears.len()).filter(|&j| self.mutual(i, j)).count() as u8),
            name: DaemonName::of_host(&alloc::format!("m{i:03}")),
            tag: Tag(i as u64),
        }
    }

    /// What daemon `me` knows: what those it hears said.
    fn graph(&self, me: usize) -> Graph {
        let known = |i: usize| i == me || self.hears[me].has(i);
        let node = |i: usize| {
            let said = &self.said[i];
            let follows =
                |leader: usize| if known(leader) { Ok(self.key(leader)) } else { Err(()) };
            known(i).then(|| Node {
                key: self.key(i),
                hears: self.hears[i],
                ring: said.ring,
                intact: (said.size > 0).then_some(said.size),
                follows: said.follows.filter(|_| i != me).map(follows),
                proposes: said.proposes.filter(|set| set.iter().all(known)),
                barred: false,
            })
        };
        Graph { nodes: (0..self.hears.len()).map(node).collect(), me }
    }

    fn base(&self, me: usize) -> Bits {
        let ring = self.said[me].ring;
        if self.said[me].size == 0 {
            return Bits::one(me);
        }
        (0..self.said.len()).filter(|&i| self.said[i].ring == ring).collect()
    }

    /// As `Ring::choose`; `true` if that says something new.
    fn choose(&mut self, me: usize) -> bool {
        let (graph, base) = (self.graph(me), self.base(me));
        let own =
            graph.propose(base).filter(|set| self.said[me].size == 0 || set.len() > base.len());
        let mut best = own.map(|_| (self.key(me), me));
        for leader in (0..self.said.len()).filter(|&i| self.hears[me].has(i)) {
            if self.said[leader].follows == Some(leader)
                && let Some((key, _)) = graph.acceptable(leader, base)
                && best.is_none_or(|(than, _)| key < than)
            {
                best = Some((key, leader));
            }
        }
        let follows = best.map(|(_, leader)| leader);
        let proposes = own.filter(|_| follows == Some(me));
        let new = Said { follows, proposes, ..self.said[me] };
        core::mem::replace(&mut self.said[me], new) != new
    }

    /// A leader whom all it proposes follow, each accepting what it proposes now, installs.
    fn install(&mut self, leader: usize) -> bool {
        let Some(set) = self.said[leader].proposes else { return false };
        let follow = |i: usize| {
            i == leader || {
                self.said[i].follows == Some(leader)
                    && self.graph(i).acceptable(leader, self.base(i)).is_some()
            }
        };
        if !set.iter().all(follow) {
            return false;
        }
        self.installs += 1;
        let ring = RingId { counter: self.installs, founder: leader as u64 };
        for i in set.iter() {
            self.said[i] = Said { ring, size: set.len() as u8, ..Said::default() };
        }
        true
    }

    /// Until nothing is new. `None` if it does not end.
    fn run(&mut self, dice: &mut Random) -> Option<()> {
        let n = self.said.len();
        let mut order: Vec<usize> = (0..n).collect();
        for _ in 0..20 * n {
            dice.shuffle(&mut order);
            let mut new = false;
            for &i in &order {
                new |= self.choose(i);
            }
            if !new {
                for &i in &order {
                    new |= self.install(i);
                }
            }
            if !new {
                return Some(());
            }
        }
        None
    }

    fn check(&self) {
        let n = self.said.len();
        for i in 0..n {
            assert!(self.said[i].size > 0, "{i} is in no view: {:?}", self.said);
            let view = self.base(i);
            assert!(
                view.iter().all(|a| view.iter().all(|b| self.mutual(a, b))),
                "no clique: {view:?}"
            );
        }
        for (a, b) in (0..n).flat_map(|a| (0..n).map(move |b| (a, b))) {
            let (one, two) = (self.base(a), self.base(b));
            let whole = one.iter().all(|a| two.iter().all(|b| self.mutual(a, b)));
            assert!(one == two || !whole, "{one:?} and {two:?} could be one");
        }
    }
}

fn graphs() -> impl Strategy<Value = Vec<Bits>> {
    (1..24_usize, any::<u64>(), 0.0..1.0, any::<bool>()).prop_map(|(n, seed, chance, directed)| {
        let mut dice = Random::new(seed);
        let mut hears = alloc::vec![Bits::default(); n];
        for a in 0..n {
            for b in 0..n {
                if a != b && dice.unit() < chance && (directed || a < b) {
                    hears[a].insert(b);
                    if !directed {
                        hears[b].insert(a);
                    }
                }
            }
        }
        hears
    })
}

proptest! {
    #[test]
    fn on_any_graph_all_end_in_cliques_that_cannot_grow(hears in graphs(), seed in any::<u64>()) {
        let mut choice = Choice::new(hears);
        prop_assert!(choice.run(&mut Random::new(seed)).is_some(), "no end: {:?}", choice.said);
        choice.check();
    }

    #[test]
    fn after_any_change_of_the_graph_all_end_in_cliques_again(
        before in graphs(),
        after in graphs(),
        seed in any::<u64>(),
    ) {
        let n = before.len().min(after.len());
        let all: Bits = (0..n).collect();
        let cut = |hears: Vec<Bits>| hears.iter().take(n).map(|bits| *bits & all).collect::<Vec<_>>();
        let mut choice = Choice::new(cut(before));
        let mut dice = Random::new(seed);
        prop_assert!(choice.run(&mut dice).is_some());
        choice.hears = cut(after);
        // Views that are none any more are over, and all their members know it.
        let broken: Vec<bool> = (0..n)
            .map(|i| {
                let view = choice.base(i);
                !view.iter().all(|a| view.iter().all(|b| choice.mutual(a, b)))
            })
            .collect();
        for (said, broken) in choice.said.iter_mut().zip(broken) {
            if broken {
                said.size = 0;
            }
        }
        prop_assert!(choice.run(&mut dice).is_some(), "no end: {:?}", choice.said);
        choice.check();
    }
}

#[test]
fn a_full_graph_is_one_view_at_once() {
    let all: Bits = (0..10).collect();
    let hears = (0..10).map(|i| all.iter().filter(|&j| j != i).collect()).collect();
    let mut choice = Choice::new(hears);
    choice.run(&mut Random::new(1)).unwrap();
    assert_eq!((choice.installs, choice.base(3).len()), (1, 10));
}

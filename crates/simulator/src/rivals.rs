//! Policies that are not ours, as reference models.
//!
//! They model what the named products do with what they can know, generously: central and all-knowing
//! pay nothing for knowing. Written from their documentation, not from their code.

use base::Random;

use crate::machine::Machine;
use crate::scenario::Policy;

/// What rivals count: one book for each machine that decides, or one for the central balancer.
#[derive(Clone, Debug)]
pub struct Rivals {
    policy: Policy,
    books: Vec<Book>,
    /// Requests decided and not yet arrived, which only the all-knowing know.
    pub coming: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Book {
    next: usize,
    open: Vec<u32>,
}

impl Rivals {
    /// Empty books.
    pub fn new(policy: Policy, machines: u16) -> Self {
        let n = usize::from(machines);
        // Each deals from another place, or the first machine would be everyone's first.
        let book = |i: usize| Book { next: i * 7 % n.max(1), open: vec![0; n] };
        Self { policy, books: (0..n).map(book).collect(), coming: vec![0; n] }
    }

    fn book(&self, entry: u16) -> usize {
        if self.policy == Policy::CentralLeastConn { 0 } else { usize::from(entry) }
    }

    /// Chooses a machine.
    pub fn choose(&mut self, entry: u16, machines: &[Machine], random: &mut Random) -> u16 {
        let n = machines.len();
        let at = self.book(entry);
        let book = &mut self.books[at];
        let chosen = match self.policy {
            Policy::RoundRobin => {
                book.next = (book.next + 1) % n;
                book.next
            }
            Policy::RandomTwo => {
                let (a, b) = (random.below(n as u32) as usize, random.below(n as u32) as usize);
                if book.open[b] < book.open[a] { b } else { a }
            }
            Policy::AllKnowing => self.least_marginal(entry, machines, random),
            _ => {
                // Fewest, and of equals the next in turn, as round robin breaks their ties.
                book.next = (book.next + 1) % n;
                let turn = (book.next..n).chain(0..book.next);
                turn.min_by_key(|&i| book.open[i]).unwrap_or(0)
            }
        };
        self.books[at].open[chosen] += 1;
        self.coming[chosen] += 1;
        chosen as u16
    }

    /// The growth of everybody's time, from the true state, burners included.
    fn least_marginal(&self, entry: u16, machines: &[Machine], random: &mut Random) -> usize {
        let start = random.below(machines.len() as u32) as usize;
        let mut best = (f64::INFINITY, 0);
        for at in (start..machines.len()).chain(0..start) {
            let machine = &machines[at];
            let n = (machine.len() + self.coming[at] as usize) as f64;
            let spent = |n: f64| n * (n / machine.free_cores()).max(1.0) / machine.speed();
            let hop = if at == usize::from(entry) { 0.0 } else { 0.005 };
            let cost = spent(n + 1.0) - spent(n) + hop;
            if cost < best.0 {
                best = (cost, at);
            }
        }
        best.1
    }

    /// A request arrived where it was sent.
    pub fn arrived(&mut self, target: u16) {
        let coming = &mut self.coming[usize::from(target)];
        *coming = coming.saturating_sub(1);
    }

    /// A request is over for the one who decided it.
    pub fn ended(&mut self, entry: u16, target: u16) {
        let at = self.book(entry);
        let open = &mut self.books[at].open[usize::from(target)];
        *open = open.saturating_sub(1);
    }
}

//! One machine's CPUs: processor sharing.
//!
//! All running requests advance at the same rate, `speed · min(1, free CPUs / n)`. So one clock is
//! enough, which counts the work done *per request*; a request ends when that clock has gone its demand
//! further than where it stood when the request came. The next end is the least of a heap, and changes
//! of rate cost nothing but a look at it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A running request: where the clock stands at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Running {
    ends: f64,
    request: u32,
}

impl Eq for Running {}

impl Ord for Running {
    fn cmp(&self, other: &Self) -> Ordering {
        // A heap gives the greatest first; we want the soonest.
        other.ends.total_cmp(&self.ends).then(other.request.cmp(&self.request))
    }
}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The CPUs of one machine and what runs on them.
#[derive(Clone, Debug)]
pub struct Machine {
    cores: f64,
    speed: f64,
    /// Share of the CPUs that a burner takes.
    burned: f64,
    /// CPUs that the network work of balancing takes.
    overhead: f64,
    stopped: bool,
    clock: f64,
    at: f64,
    running: BinaryHeap<Running>,
    /// Changes whenever the next end may have changed: an event of an older stamp is void.
    stamp: u64,
    busy: f64,
}

impl Machine {
    /// An idle machine.
    pub fn new(cores: f64, speed: f64) -> Self {
        Self {
            cores,
            speed,
            burned: 0.0,
            overhead: 0.0,
            stopped: false,
            clock: 0.0,
            at: 0.0,
            running: BinaryHeap::new(),
            stamp: 0,
            busy: 0.0,
        }
    }

    /// Requests running.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// CPUs left to requests.
    pub fn free_cores(&self) -> f64 {
        (self.cores * (1.0 - self.burned) - self.overhead).max(0.05)
    }

    /// Speed of one CPU.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    fn rate(&self) -> f64 {
        if self.stopped {
            return 0.0;
        }
        self.speed * (self.free_cores() / self.running.len().max(1) as f64).min(1.0)
    }

    /// Lets time pass until `now` (seconds).
    fn advance(&mut self, now: f64) {
        let passed = (now - self.at).max(0.0);
        self.clock += passed * self.rate();
        self.busy += passed * (self.running.len() as f64).min(self.free_cores());
        self.at = now;
        self.stamp += 1;
    }

    /// Starts a request of `demand` seconds on a CPU of speed 1.
    pub fn start(&mut self, now: f64, request: u32, demand: f64) {
        self.advance(now);
        self.running.push(Running { ends: self.clock + demand, request });
    }

    /// When the next request ends as things stand, and the stamp of that opinion.
    pub fn next_end(&self) -> Option<(f64, u64)> {
        let next = self.running.peek()?;
        let rate = self.rate();
        (rate > 0.0).then(|| (self.at + (next.ends - self.clock).max(0.0) / rate, self.stamp))
    }

    /// Takes out the request that ends now, if the opinion of `stamp` still stands.
    pub fn end(&mut self, now: f64, stamp: u64) -> Option<u32> {
        if stamp != self.stamp {
            return None;
        }
        self.advance(now);
        Some(self.running.pop()?.request)
    }

    /// A burner begins (a share of the CPUs) or ends (0).
    pub fn burn(&mut self, now: f64, share: f64) {
        self.advance(now);
        self.burned = share;
    }

    /// Sets how many CPUs balancing itself takes.
    pub fn set_overhead(&mut self, now: f64, cores: f64) {
        self.advance(now);
        self.overhead = cores.min(self.cores * 0.9);
    }

    /// Stops everything, or goes on.
    pub fn stop(&mut self, now: f64, stopped: bool) {
        self.advance(now);
        self.stopped = stopped;
    }

    /// Loses everything; who was running.
    pub fn crash(&mut self, now: f64) -> Vec<u32> {
        self.advance(now);
        let mut lost: Vec<u32> = self.running.drain().map(|running| running.request).collect();
        lost.sort_unstable();
        lost
    }

    /// CPU seconds spent on requests so far.
    pub fn busy(&self) -> f64 {
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(machine: &mut Machine) -> Vec<(u32, f64)> {
        let mut ends = Vec::new();
        while let Some((at, stamp)) = machine.next_end() {
            let request = machine.end(at, stamp).unwrap();
            ends.push((request, (at * 1e6).round() / 1e6));
        }
        ends
    }

    #[test]
    fn requests_share_the_cpus() {
        let mut machine = Machine::new(2.0, 1.0);
        (0..4).for_each(|request| machine.start(0.0, request, 1.0 + f64::from(request)));
        // Four on two CPUs run at half speed; from two on everyone has a CPU of his own.
        assert_eq!(run(&mut machine), [(0, 2.0), (1, 3.5), (2, 4.5), (3, 5.5)]);
        assert!((machine.busy() - 10.0).abs() < 1e-9, "all work was done by some CPU");
    }

    #[test]
    fn a_burner_and_a_slow_cpu_make_it_longer() {
        let mut machine = Machine::new(2.0, 0.5);
        machine.start(0.0, 7, 1.0);
        machine.burn(1.0, 0.75);
        assert_eq!(run(&mut machine), [(7, 3.0)]);
    }

    #[test]
    fn a_stopped_machine_ends_nothing_and_old_opinions_are_void() {
        let mut machine = Machine::new(1.0, 1.0);
        machine.start(0.0, 1, 1.0);
        let (at, stamp) = machine.next_end().unwrap();
        machine.stop(0.5, true);
        assert_eq!((machine.end(at, stamp), machine.next_end()), (None, None));
        machine.stop(2.0, false);
        assert_eq!(run(&mut machine), [(1, 2.5)]);
    }
}

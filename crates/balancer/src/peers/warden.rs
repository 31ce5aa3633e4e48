//! Whoever looks after the resting connections: notices their end, closes the old ones, makes new ones
//! ahead to the machines used most.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use base::Instant;
use candidacy::Slot;
use resources::Evidence;

use super::pool::Key;
use crate::relay::outcome::Failure;
use crate::worker::Worker;

/// How often the machines used most are found out anew.
const ROUND: Duration = Duration::from_millis(500);

/// Notices resting connections that end. The end of one to a machine is evidence that it died, since ours
/// rest for a shorter time than any peer allows.
pub(crate) async fn watch(w: Rc<Worker>) {
    let mut ended = Vec::new();
    loop {
        poll_fn(|cx| {
            w.pool.watch_with(cx.waker());
            w.pool.poll_ended(cx, &mut ended);
            if ended.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        w.stats.counters.pool_lost.add(ended.len() as u64);
        w.count_pool();
        ended.dedup();
        for (key, epoch) in ended.drain(..) {
            if let Key::Machine(slot) = key {
                w.shared.evidence(Slot(slot), epoch, Evidence::Reset);
            }
        }
    }
}

/// Closes connections that have rested too long.
pub(crate) fn expire(w: &Worker, now: Instant) {
    let idle = u64::try_from(w.config.peers.pool_idle.as_nanos()).unwrap_or(u64::MAX);
    w.pool.expire(now.as_nanos().saturating_sub(idle), |key| match key {
        // The one made ahead is kept: its end is how a death is noticed at once.
        Key::Machine(_) => usize::from(w.config.peers.preconnect > 0),
        Key::Local => 0,
    });
    w.count_pool();
}

/// Requests that this worker sent to each machine lately.
#[derive(Debug, Default)]
pub(crate) struct Usage(RefCell<Vec<u32>>);

impl Usage {
    /// Counts one request.
    pub(crate) fn count(&self, slot: u16) {
        let mut counts = self.0.borrow_mut();
        let slot = usize::from(slot);
        if counts.len() <= slot {
            counts.resize(slot + 1, 0);
        }
        counts[slot] = counts[slot].saturating_add(16);
    }

    /// The machines used most among `candidates`, at most `n`; what is past counts ever less.
    fn top(&self, candidates: impl Iterator<Item = u16>, n: usize) -> Vec<u16> {
        let mut counts = self.0.borrow_mut();
        let of = |slot: u16| counts.get(usize::from(slot)).copied().unwrap_or(0);
        let mut top: Vec<(u32, u16)> = candidates.map(|slot| (of(slot), slot)).collect();
        top.sort_unstable_by(|a, b| b.cmp(a));
        top.truncate(n);
        counts.iter_mut().for_each(|count| *count -= count.div_ceil(16));
        top.into_iter().map(|(_, slot)| slot).collect()
    }
}

/// Keeps a connection ready to each of the machines used most.
pub(crate) async fn connect_ahead(w: Rc<Worker>) {
    let most = w.config.peers.preconnect;
    let mut round = tokio::time::interval(ROUND);
    if most == 0 {
        return;
    }
    loop {
        round.tick().await;
        if w.is_draining() {
            return;
        }
        let machines = w.shared.machines_to_connect_to(w.now());
        for slot in w.usage.top(machines.into_iter(), most) {
            if w.pool.count_of(Key::Machine(slot)) > 0 {
                continue;
            }
            let Some(machine) = w.machine(slot) else { continue };
            let w = w.clone();
            // Each on its own: one machine that does not answer must not keep the others waiting.
            tokio::task::spawn_local(async move {
                let (key, patience) = (Key::Machine(slot), w.config.peers.connect_timeout);
                match w.connect(key, machine.epoch, machine.way(), patience).await {
                    Ok(up) => w.give_back(up),
                    Err(Failure::Exhausted) => {}
                    Err(failure) => {
                        let evidence = match failure {
                            Failure::Connect { refused: true } => Evidence::Refused,
                            _ => Evidence::Silent,
                        };
                        w.shared.evidence(Slot(slot), machine.epoch, evidence);
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn the_machines_used_most_come_first_and_use_fades() {
        let usage = Usage::default();
        (0..9).for_each(|_| usage.count(3));
        (0..5).for_each(|_| usage.count(1));
        assert_eq!(usage.top([0, 1, 2, 3].into_iter(), 2), [3, 1]);
        for _ in 0..200 {
            usage.top(std::iter::empty(), 0);
        }
        assert!(usage.0.borrow().iter().all(|&count| count == 0));
    }
}

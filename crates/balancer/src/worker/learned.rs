//! How long the requests of each route typically take, learned from their own histogram.

use base::histogram::Counts;

use super::Worker;

/// Requests of a route that a new figure rests on at least.
const ENOUGH: u64 = 8;

/// What the histograms said when the figures were last made.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    before: Vec<Counts>,
}

impl Learned {
    /// Makes new figures of the routes that had enough requests since the last time.
    pub(crate) fn update(&mut self, w: &Worker) {
        let routes = &w.stats.routes;
        self.before.resize_with(routes.len(), Counts::default);
        let mut kept = w.deciding.borrow_mut();
        for (i, histogram) in routes.iter().enumerate() {
            let now = histogram.snapshot();
            let since = now.since(&self.before[i]);
            if since.count() < ENOUGH {
                continue;
            }
            self.before[i] = now;
            if let (Some(median), Some(service)) = (since.quantile(0.5), kept.service.get_mut(i)) {
                *service = median;
            }
        }
    }
}

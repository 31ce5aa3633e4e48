//! What came out of a run.

/// How a client's request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Answered within the client's patience.
    Served,
    /// Answered, but too late.
    Late,
    /// Refused with 503.
    Refused,
    /// Given up after failures.
    Failed,
    /// The machine it had come to died; the client tries another.
    EntryLost,
}

/// Counts and times of one run; only requests that came after the warm-up.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Turnaround in seconds, clipped at the client's patience.
    pub times: Vec<f32>,
    /// Requests by end, in the order of [`End`].
    pub ends: [u64; 5],
    /// Requests relayed to another machine.
    pub relayed: u64,
    /// Moves to another machine after a failure.
    pub moves: u64,
    /// Requests that asked first.
    pub asked: u64,
    /// Questions sent, and those that had no answer in time.
    pub questions: u64,
    /// Questions without an answer in time.
    pub silent: u64,
    /// Seconds waited for answers, in all.
    pub waited: f64,
    /// Datagrams sent, a multicast counting once.
    pub datagrams: u64,
    /// CPU seconds of the network work of balancing (questions, answers, probes, announcements).
    pub overhead: f64,
    /// CPU seconds of all machines in the measured time.
    pub cpu: f64,
    /// Age in seconds of what was known of chosen machines.
    pub ages: Vec<f32>,
    /// Requests in service at a machine, as a request finds it on arrival.
    pub found: Vec<u16>,
}

impl Outcome {
    /// Requests that ended.
    pub fn count(&self) -> u64 {
        self.ends.iter().sum()
    }

    /// Counts an end.
    pub fn count_end(&mut self, end: End) {
        self.ends[end as usize] += 1;
    }

    /// How many ended like this.
    pub fn ended(&self, end: End) -> u64 {
        self.ends[end as usize]
    }

    /// Share of requests that a client got no answer to in time.
    pub fn errors(&self) -> f64 {
        (self.count() - self.ended(End::Served)) as f64 / self.count().max(1) as f64
    }

    /// Mean turnaround in seconds.
    pub fn mean(&self) -> f64 {
        self.times.iter().map(|&t| f64::from(t)).sum::<f64>() / self.times.len().max(1) as f64
    }

    /// The turnaround in seconds that a share `q` did not exceed.
    pub fn quantile(&self, q: f64) -> f64 {
        quantile(&self.times, q)
    }

    /// Adds another run's outcome.
    pub fn merge(&mut self, other: Self) {
        self.times.extend(other.times);
        self.ages.extend(other.ages);
        self.found.extend(other.found);
        self.ends.iter_mut().zip(other.ends).for_each(|(a, b)| *a += b);
        self.relayed += other.relayed;
        self.moves += other.moves;
        self.asked += other.asked;
        self.questions += other.questions;
        self.silent += other.silent;
        self.waited += other.waited;
        self.datagrams += other.datagrams;
        self.overhead += other.overhead;
        self.cpu += other.cpu;
    }
}

/// The value that a share `q` does not exceed; 0 of nothing.
pub fn quantile<T: Copy + Into<f64> + PartialOrd>(values: &[T], q: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(|&v| v.into()).collect();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * q).ceil().max(1.0) as usize;
    sorted.get(rank.min(sorted.len()).saturating_sub(1)).copied().unwrap_or(0.0)
}

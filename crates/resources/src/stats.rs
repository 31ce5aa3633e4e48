//! What was sent, taken and refused, for the status page and the metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use announce::reception::Refused;

/// Number of reasons for refusing a datagram.
const REASONS: usize = Refused::ALL.len();

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the start, at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            refused: [u64; REASONS],
        }

        /// The counters behind [`Stats`]; any thread may count.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
            /// By control, which has a count of its own, and by the answerer and all who ask.
            by_control: [AtomicU64; REASONS],
            by_others: [AtomicU64; REASONS],
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                let sum = |i: usize| self.by_control[i].load(Relaxed) + self.by_others[i].load(Relaxed);
                Stats { $($name: self.$name.load(Relaxed),)* refused: std::array::from_fn(sum) }
            }
        }

        impl Stats {
            /// Name and value of each count but the refusals, for metrics.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

impl Stats {
    /// Datagrams refused for a reason, on all sockets.
    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused[reason as usize]
    }

    /// Each reason and how many datagrams were refused for it.
    pub fn each_refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refused::ALL.map(Refused::as_str).into_iter().zip(self.refused)
    }
}

impl Counters {
    /// Takes over what control's reception has counted.
    pub(crate) fn copy(&self, counted: &announce::reception::Counters) {
        for (reason, n) in counted.iter() {
            self.by_control[reason as usize].store(n, Relaxed);
        }
    }

    /// Counts a datagram that the answerer or somebody who asks refused.
    pub(crate) fn refuse(&self, reason: Refused) {
        count(&self.by_others[reason as usize]);
    }
}

counters! {
    /// Announcements made; each goes to every target.
    announcements,
    /// Announcements made before their time because load crossed a mark or health changed.
    announcements_early,
    /// Packets of announcements that went out.
    announcement_packets_sent,
    /// Packets of announcements that the system refused to send.
    announcement_packets_unsent,
    /// Announcements of admitted machines that were taken into the matrix.
    heard,
    /// Probes sent by control, to admit machines and to see whether they live.
    probes_sent,
    /// Answers to them.
    probes_answered,
    /// Probes and questions of others answered here.
    answered,
    /// Reservations granted in those answers.
    reservations_granted,
    /// Reservations that the request they were made for came to claim.
    reservations_used,
    /// Machines admitted: a boot answered its probe.
    admitted,
    /// Machines found dead.
    deaths,
    /// Machines that came back from the dead within their boot.
    returns,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Adds many.
pub(crate) fn count_many(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}

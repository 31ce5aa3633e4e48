//! What was sent, taken and refused, for the status page and the metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the start, at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats { $($(#[$doc])* pub $name: u64,)* }

        /// The counters behind [`Stats`]; any thread may count.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64,)* }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Relaxed),)* }
            }
        }

        impl Stats {
            /// Name and value of each count, for metrics.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
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
    /// Announcements of other machines that were taken into the matrix.
    accepted,
    /// Announcements of machines that have yet to answer a probe.
    unadmitted,
    /// Datagrams from addresses outside of the accepted blocks.
    refused_block,
    /// Datagrams that the cluster key did not open, or that were torn.
    refused_seal,
    /// Datagrams seen before.
    refused_replay,
    /// Datagrams that are none of ours, by form, version or purpose.
    refused_foreign,
    /// Datagrams of unknown senders beyond what is looked at in a second, or beyond the matrix.
    refused_busy,
    /// Genuine datagrams whose content could not be read.
    refused_malformed,
    /// Announcements older than one already heard.
    refused_stale,
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

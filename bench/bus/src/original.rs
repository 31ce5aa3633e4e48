//! What the original Spread daemon reaches, unsealed: medians measured elsewhere on a machine like the one these benchmarks were
//! made for (two processors), taken from the assignment. It is not run here.

/// Its name in the tables.
pub(crate) const NAME: &str = "original, measured elsewhere";

/// By number of machines and case: messages per second.
const THROUGHPUT: [(usize, &str, f64); 6] = [
    (1, "100 B agreed, 1 → 1", 131_000.0),
    (1, "100 B agreed, 1 → 3", 57_000.0),
    (3, "100 B agreed, 1 → 3", 119_000.0),
    (3, "100 B agreed, 3 → 3", 162_000.0),
    (3, "1,400 B agreed, 1 → 3", 43_000.0),
    // 145 MB/s.
    (3, "100 KB agreed, 1 → 3", 1_450.0),
];

/// The same: microseconds, the better end where a range was given.
const LATENCY: [(usize, &str, f64); 3] = [
    // Which processors were used is not known; but a hop between two costs more than this where it was measured (60 to 70 µs).
    (1, "agreed, own message, back to back; same core", 12.0),
    (3, "agreed, own message, back to back; not pinned", 63.0),
    (3, "agreed, own message, paced; not pinned", 245.0),
];

/// The same: milliseconds. The second is a longest time ("up to").
const REACTIONS: [(&str, f64); 2] =
    [(crate::reactions::CRASH, 2_500.0), (crate::reactions::HEAL, 30_000.0)];

pub(crate) fn throughput(machines: usize, case: &str) -> Option<f64> {
    find(&THROUGHPUT, machines, case)
}

/// Behind a semicolon `case` says which processors were used.
pub(crate) fn latency(machines: usize, case: &str) -> Option<f64> {
    find(&LATENCY, machines, case)
}

pub(crate) fn reaction(case: &str) -> Option<f64> {
    REACTIONS.iter().find(|(name, _)| *name == case).map(|(_, value)| *value)
}

fn find(figures: &[(usize, &str, f64)], machines: usize, case: &str) -> Option<f64> {
    figures.iter().find(|figure| (figure.0, figure.1) == (machines, case)).map(|figure| figure.2)
}

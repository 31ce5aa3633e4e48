//! The burner: a process that only uses processor time, as a noisy neighbour does.

use std::hint::black_box;

/// Environment variable with the number of threads.
pub(crate) const THREADS: &str = "BACKHAND_LAB_BURNERS";

/// The most threads one burner may have.
pub(crate) const MAX_THREADS: usize = 256;

/// Burns until killed.
pub(crate) fn run() -> i32 {
    let threads = std::env::var(THREADS).ok().and_then(|text| text.parse::<usize>().ok());
    let Some(threads @ 1..=MAX_THREADS) = threads else {
        eprintln!("{THREADS} must be 1 to {MAX_THREADS}");
        return 2;
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut x = 1u64;
                loop {
                    x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
            });
        }
    });
    0
}

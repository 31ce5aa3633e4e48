//! *Arriba*: how fast one CPU of this machine computes.
//!
//! A fixed piece of floating-point work is repeated and the quickest repetition counts, in CPU time of
//! the thread: what other programs or a quota take away is not slowness of the CPU but shows in the
//! figures that are measured each second. The work is that of no real program; it ranks machines,
//! and only the ratio of two machines' numbers means anything.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Steps of one repetition: about a millisecond of a CPU of 2025.
const STEPS: u32 = 100_000;
/// CPU time spent at most.
const CPU_BUDGET: Duration = Duration::from_millis(80);
/// Time spent at most, also when a quota leaves us little CPU: well under a second.
const WALL_BUDGET: Duration = Duration::from_millis(400);

/// Measures for at most 0.4 s, less than 0.1 s of it CPU time. Thousands of steps per second of CPU
/// time, at least 1.
// The machine's speed cannot be an argument: this reads the clocks itself.
#[allow(clippy::disallowed_methods)]
pub(super) fn measure() -> u32 {
    let begun = Instant::now();
    let cpu_begun = cpu_time();
    let mut best = Duration::MAX;
    loop {
        let before = cpu_time();
        black_box(work(black_box(STEPS)));
        let after = cpu_time();
        best = best.min(after.saturating_sub(before));
        if after.saturating_sub(cpu_begun) >= CPU_BUDGET || begun.elapsed() >= WALL_BUDGET {
            break;
        }
    }
    let nanos = best.as_nanos().clamp(1, u128::from(u64::MAX));
    u32::try_from(u128::from(STEPS) * 1_000_000 / nanos).unwrap_or(u32::MAX).max(1)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Four chains of multiplications, additions and a division: enough to keep the units busy, too
/// entangled to be computed ahead.
fn work(steps: u32) -> f64 {
    let mut x = [0.1f64, 0.2, 0.3, 0.4];
    for i in 0..steps {
        let r = 3.5 + f64::from(i & 7) * 0.05;
        for v in &mut x {
            *v = r * *v * (1.0 - *v);
        }
        x[(i & 3) as usize] /= 1.0 + 1e-9;
    }
    x.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // How long it takes is the very promise under test.
    #[allow(clippy::disallowed_methods)]
    fn measuring_takes_well_under_a_second_and_gives_a_speed() {
        let begun = Instant::now();
        let speed = measure();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(speed > 1_000, "{speed} thousand steps a second is no CPU");
    }

    #[test]
    fn the_work_stays_finite() {
        let end = work(STEPS);
        assert!(end.is_finite() && end > 0.0, "{end}");
    }
}

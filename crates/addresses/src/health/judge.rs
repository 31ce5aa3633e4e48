//! When a check falls and when it rises.

use super::Standing;

/// Counts passes and failures of one check.
pub(super) struct Judge {
    rise: u32,
    fall: u32,
    standing: Standing,
    /// In a row; one of the two is zero.
    passes: u32,
    failures: u32,
}

impl Judge {
    /// Zeroes count as one.
    pub(super) fn new(rise: u32, fall: u32) -> Self {
        let (rise, fall) = (rise.max(1), fall.max(1));
        Self { rise, fall, standing: Standing::Unknown, passes: 0, failures: 0 }
    }

    /// Takes one run; gives where the check is then.
    pub(super) fn judge(&mut self, passed: bool) -> Standing {
        let (count, other) = match passed {
            true => (&mut self.passes, &mut self.failures),
            false => (&mut self.failures, &mut self.passes),
        };
        *count = count.saturating_add(1);
        *other = 0;
        self.standing = match self.standing {
            // Nothing has flapped yet.
            Standing::Unknown if self.passes > 0 => Standing::Up,
            Standing::Unknown | Standing::Up if self.failures >= self.fall => Standing::Down,
            Standing::Down if self.passes >= self.rise => Standing::Up,
            same => same,
        };
        self.standing
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Passes in a row.
    pub(super) fn passes(&self) -> u32 {
        self.passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Down, Unknown, Up};

    /// A dot passes, an x fails.
    fn standings(rise: u32, fall: u32, runs: &str) -> Vec<Standing> {
        let mut judge = Judge::new(rise, fall);
        runs.chars().map(|run| judge.judge(run == '.')).collect()
    }

    #[test]
    fn the_first_pass_suffices() {
        assert_eq!(standings(5, 3, "."), [Up]);
        assert_eq!(standings(5, 3, "xx."), [Unknown, Unknown, Up]);
    }

    #[test]
    fn a_check_that_never_passed_is_down_after_as_many_failures_as_any() {
        assert_eq!(standings(2, 3, "xxx.x.."), [Unknown, Unknown, Down, Down, Down, Down, Up]);
    }

    #[test]
    fn a_check_falls_only_after_failures_in_a_row() {
        assert_eq!(standings(2, 3, ".xx.xxx"), [Up, Up, Up, Up, Up, Up, Down]);
    }

    #[test]
    fn a_check_rises_only_after_passes_in_a_row() {
        assert_eq!(standings(3, 1, ".x..x..."), [Up, Down, Down, Down, Down, Down, Down, Up]);
    }

    #[test]
    fn a_count_of_zero_is_one() {
        assert_eq!(standings(0, 0, ".x."), [Up, Down, Up]);
    }
}

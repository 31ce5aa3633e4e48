//! Pressure stall information: the share of time in which tasks waited for a resource.
//!
//! A load average says how many want to run; pressure says how much of the time somebody who wanted
//! could not. *Some* is the share with at least one task waiting, *full* with all of them waiting.
//!
//! Only *some* is announced: a request that comes is one more task, and it waits as soon as one does. *Full* is read for whoever
//! looks at this machine itself.

/// Ten-second averages of one resource, in ten-thousandths of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stall {
    /// At least one task waited.
    pub some: u16,
    /// Every task waited at once.
    pub full: u16,
}

/// Pressure on the three resources; `None` where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Waiting for a CPU.
    pub cpu: Option<Stall>,
    /// Waiting for memory: reclaim, swap.
    pub memory: Option<Stall>,
    /// Waiting for a disk.
    pub io: Option<Stall>,
}

/// Reads a pressure file. Kernels before 5.13 have no *full* line for the CPU; it then counts as none.
pub(super) fn parse(text: &str) -> Option<Stall> {
    let average = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        let value = line.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg10="))?;
        let percent: f64 = value.parse().ok().filter(|p: &f64| (0.0..=100.0).contains(p))?;
        Some((percent * 100.0).round() as u16)
    };
    Some(Stall { some: average("some")?, full: average("full").unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_second_averages_are_read_in_ten_thousandths() {
        let text = "some avg10=12.34 avg60=0.00 avg300=0.05 total=21993922\n\
                    full avg10=1.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(parse(text), Some(Stall { some: 1234, full: 100 }));
        assert_eq!(
            parse("some avg10=100.00 avg60=1 avg300=1 total=1\n"),
            Some(Stall { some: 10_000, full: 0 })
        );
    }

    #[test]
    fn what_is_no_pressure_says_nothing() {
        for text in [
            "",
            "some",
            "some avg10=",
            "some avg10=101",
            "some avg10=-1",
            "some avg10=NaN",
            "full avg10=1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,100}") {
            parse(&text);
            parse(&format!("some {text}"));
        }
    }
}

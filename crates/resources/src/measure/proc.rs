//! The kernel's `/proc` files, as pure functions over their text.
//!
//! A file that does not have the expected form gives `None`, never a wrong number: a figure that is
//! missing is left out of the announcement, a wrong one would draw requests.

/// Most bytes read of any such file.
pub(super) const TEXT_MAX: u64 = 1 << 20;

/// Time on all CPUs together, in ticks, since the machine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTimes {
    pub(super) idle: u64,
    pub(super) total: u64,
}

/// The one-minute load average in thousandths, from `/proc/loadavg`.
pub(super) fn load_milli(loadavg: &str) -> Option<u32> {
    let first = loadavg.split_ascii_whitespace().next()?;
    let load: f64 = first.parse().ok().filter(|load: &f64| (0.0..1e6).contains(load))?;
    Some((load * 1000.0).round() as u32)
}

/// Idle and total ticks of the `cpu` line of `/proc/stat`. Waiting for a disk is idle: the CPU could
/// have served a request.
pub(super) fn cpu_times(stat: &str) -> Option<CpuTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut ticks = [0u64; 8];
    let mut n = 0;
    // Guest time (fields 9 and 10) is already part of user time.
    for (slot, field) in ticks.iter_mut().zip(line.split_ascii_whitespace()) {
        *slot = field.parse().ok()?;
        n += 1;
    }
    let total = ticks.iter().try_fold(0u64, |sum, &ticks| sum.checked_add(ticks))?;
    (n >= 4).then_some(CpuTimes { idle: ticks[3].saturating_add(ticks[4]), total })
}

/// The share of time between two readings that the CPUs were idle, in thousandths. `None` if no time
/// passed or a counter ran backwards, which idle time does on some kernels.
pub(super) fn idle_permille(before: CpuTimes, now: CpuTimes) -> Option<u16> {
    let total = now.total.checked_sub(before.total).filter(|&ticks| ticks > 0)?;
    let idle = now.idle.checked_sub(before.idle)?.min(total);
    Some((u128::from(idle) * 1000 / u128::from(total)) as u16)
}

/// CPUs that are online, from the `cpuN` lines of `/proc/stat`.
pub(super) fn online_cpus(stat: &str) -> Option<u32> {
    let numbered = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    match stat.lines().filter(numbered).count() {
        0 => None,
        n => u32::try_from(n).ok(),
    }
}

/// CPUs that this process may run on, from `Cpus_allowed_list` of `/proc/self/status`.
pub(super) fn allowed_cpus(status: &str) -> Option<u32> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut n = 0u32;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        n += u32::from(last.checked_sub(first)?) + 1;
    }
    Some(n)
}

/// Total and available memory in bytes, from `/proc/meminfo`. Kernels before 3.14 do not say what is
/// available; free memory, buffers and cache then stand for it.
pub(super) fn memory(meminfo: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1024)
    };
    let total = field("MemTotal")?;
    let guess = || {
        let parts = ["MemFree", "Buffers", "Cached"].map(|name| field(name).unwrap_or(0));
        parts.iter().fold(0u64, |sum, &part| sum.saturating_add(part))
    };
    Some((total, field("MemAvailable").unwrap_or_else(guess).min(total)))
}

/// The CPU's model as `/proc/cpuinfo` names it; architectures differ in the key.
pub(super) fn cpu_model(cpuinfo: &str) -> Option<&str> {
    ["model name", "cpu model", "Processor", "cpu", "CPU part"].iter().find_map(|key| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == *key).then(|| value.trim()).filter(|value| !value.is_empty())
        })
    })
}

/// Whether the thread of a `/proc/PID/task/TID/stat` runs or waits for a CPU. The command name may hold
/// spaces and parentheses, so the state is what follows the last of them.
pub(super) fn is_runnable(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R'))
}

/// Ticks of CPU that the process of a `/proc/PID/stat` and its ended children have used.
pub(super) fn process_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    // After the name: state is field 3, utime to cstime are fields 14 to 17.
    let mut fields = rest.split_ascii_whitespace().skip(11).take(4);
    let mut sum = 0u64;
    for _ in 0..4 {
        // Children's times are signed in the format.
        let ticks: i64 = fields.next()?.parse().ok()?;
        sum = sum.checked_add(u64::try_from(ticks).ok()?)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAT: &str = "cpu  57209 0 6830 494150 700 0 80 67 0 0\n\
        cpu0 28296 0 3013 247975 161 0 10 30 0 0\n\
        cpu1 28913 0 3817 246174 538 0 69 36 0 0\nintr 5 0\nctxt 1\n";

    #[test]
    fn a_load_average_is_read_in_thousandths() {
        assert_eq!(load_milli("0.03 0.04 0.11 1/93 10373\n"), Some(30));
        assert_eq!(load_milli("128.75 1 1 1/1 1"), Some(128_750));
        for text in ["", "x", "-1 0 0", "NaN 0 0", "inf", "1e9"] {
            assert_eq!(load_milli(text), None, "{text}");
        }
    }

    #[test]
    fn idle_time_is_the_share_between_two_readings() {
        let before = cpu_times(STAT).unwrap();
        assert_eq!(before, CpuTimes { idle: 494_850, total: 559_036 });
        let now = CpuTimes { idle: before.idle + 150, total: before.total + 200 };
        assert_eq!(idle_permille(before, now), Some(750));
        assert_eq!(idle_permille(now, now), None);
        assert_eq!(idle_permille(now, before), None, "a counter that ran backwards says nothing");
        assert_eq!(online_cpus(STAT), Some(2));
    }

    #[test]
    fn the_cpus_of_a_list_are_counted() {
        for (list, n) in
            [("0-1", Some(2)), ("0,2,4-7", Some(6)), ("3", Some(1)), ("5-2", None), ("", None)]
        {
            assert_eq!(
                allowed_cpus(&format!("Name:\tx\nCpus_allowed_list:\t{list}\n")),
                n,
                "{list}"
            );
        }
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:       24684112 kB\nMemFree:        23605436 kB\nMemAvailable:   24246772 kB\n";
        assert_eq!(memory(text), Some((24_684_112 * 1024, 24_246_772 * 1024)));
        let old = "MemTotal: 100 kB\nMemFree: 20 kB\nBuffers: 5 kB\nCached: 30 kB\n";
        assert_eq!(memory(old), Some((102_400, 55 * 1024)));
        assert_eq!(memory("MemTotal: 99999999999999999999 kB"), None);
    }

    #[test]
    fn the_model_is_found_under_each_architectures_key() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor\n"),
            Some("Intel(R) Xeon(R) Processor")
        );
        assert_eq!(cpu_model("processor : 0\nCPU part : 0xd0c\n"), Some("0xd0c"));
        assert_eq!(cpu_model("model name :\n"), None);
    }

    #[test]
    fn a_thread_with_a_hostile_name_is_still_read_right() {
        assert!(is_runnable("77 (a) S (b) R 1 77 77 0"));
        assert!(!is_runnable("77 (R) S 1 77 77 0"));
        let stat = "9 (x) R) S 1 9 9 0 -1 4194560 1 2 3 4 30 12 5 3 20 0 1 0";
        assert_eq!(process_ticks(stat), Some(50));
        assert_eq!(process_ticks("9 (x) S 1 9"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,200}") {
            load_milli(&text);
            cpu_times(&format!("cpu {text}"));
            online_cpus(&text);
            allowed_cpus(&format!("Cpus_allowed_list:{text}"));
            memory(&format!("MemTotal:{text}\nMemFree:{text}"));
            cpu_model(&text);
            is_runnable(&text);
            process_ticks(&format!("1 ({text}"));
        }
    }
}

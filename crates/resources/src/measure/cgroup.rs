//! Figures of a control group, from the files of either version.
//!
//! A limit may stand at the group itself or at any above it; the tightest holds, and what counts
//! against it is measured where it stands, since others in that group use of it too.

use std::path::{Path, PathBuf};

use super::Root;
use super::place::{Place, Places};
use super::proc;
use super::psi;

/// Most groups looked into below the limited one, and most threads looked at in them, per reading.
const GROUPS_MAX: usize = 256;
const THREADS_MAX: usize = 4096;
/// Kernel clock ticks per second in `/proc/PID/stat`, the same on every Linux that programs see.
const TICKS_PER_SECOND: u64 = 100;

/// The groups whose figures stand for this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    cpu: Option<Controller>,
    memory: Option<Controller>,
    /// Where pressure is: the unified group, if it is not the whole machine.
    pressure: Option<PathBuf>,
    /// Where the CPU time used is counted; `None` if only the processes themselves tell.
    usage: Option<Usage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Controller {
    dir: PathBuf,
    v2: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Usage {
    /// `cpu.stat` of the unified hierarchy.
    Stat(PathBuf),
    /// `cpuacct.usage`.
    Account(PathBuf),
}

/// What a group may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// CPUs in thousandths: quota / period.
    pub(super) cpus_milli: Option<u32>,
    /// Memory in bytes.
    pub(super) memory: Option<u64>,
}

impl Group {
    /// Finds the groups to measure and the limits in force.
    pub(super) fn find(root: &Root, places: &Places) -> (Self, Limits) {
        let mut limits = Limits::default();
        let mut group = Self::default();
        for (place, v2) in [(&places.v2, true), (&places.cpu, false)] {
            let Some(place) = place else { continue };
            let read = |dir: &Path| if v2 { cpu_v2(root, dir) } else { cpu_v1(root, dir) };
            // The first of equals is the innermost group.
            let tightest =
                place.upwards().filter_map(|dir| Some((read(dir)?, dir))).min_by_key(|(n, _)| *n);
            if let Some((milli, dir)) =
                tightest.filter(|(n, _)| limits.cpus_milli.is_none_or(|m| *n < m))
            {
                limits.cpus_milli = Some(milli);
                group.cpu = Some(Controller { dir: dir.into(), v2 });
            }
        }
        for (place, v2) in [(&places.v2, true), (&places.memory, false)] {
            let Some(place) = place else { continue };
            let file = if v2 { "memory.max" } else { "memory.limit_in_bytes" };
            let read = |dir: &Path| memory_limit(&root.read(dir.join(file))?);
            let tightest =
                place.upwards().filter_map(|dir| Some((read(dir)?, dir))).min_by_key(|(n, _)| *n);
            if let Some((bytes, dir)) =
                tightest.filter(|(n, _)| limits.memory.is_none_or(|m| *n < m))
            {
                limits.memory = Some(bytes);
                group.memory = Some(Controller { dir: dir.into(), v2 });
            }
        }
        group.settle(root, places);
        (group, limits)
    }

    /// Chooses where to read what no limit decides.
    fn settle(&mut self, root: &Root, places: &Places) {
        if self.cpu.is_none() {
            let own =
                places.cpu.as_ref().map(|p| (p, false)).or(places.v2.as_ref().map(|p| (p, true)));
            self.cpu = own.map(|(place, v2)| Controller { dir: place.dir.clone(), v2 });
        }
        let unified = match &self.cpu {
            Some(cpu) if cpu.v2 => Some(cpu.dir.clone()),
            _ => places
                .v2
                .as_ref()
                .filter(|p| !p.below().as_os_str().is_empty())
                .map(|p| p.dir.clone()),
        };
        self.pressure = unified.filter(|dir| root.exists(dir.join("cpu.pressure")));
        self.usage = self.cpu.as_ref().and_then(|cpu| self.usage_of(root, cpu, places));
    }

    fn usage_of(&self, root: &Root, cpu: &Controller, places: &Places) -> Option<Usage> {
        if cpu.v2 {
            return Some(Usage::Stat(cpu.dir.join("cpu.stat")));
        }
        // Version 1 counts time in another controller, which may have a hierarchy with other groups. Only
        // the group of the same path is the same group.
        let place: &Place = places.cpu.as_ref()?;
        let account = places.cpuacct.as_ref()?;
        let below = cpu.dir.strip_prefix(&place.top).ok()?;
        let same = account.top.join(below);
        let ours = account.below().starts_with(below) && root.exists(same.join("cpuacct.usage"));
        ours.then(|| Usage::Account(same.join("cpuacct.usage")))
    }

    /// Microseconds of CPU used by the group since it was made.
    pub(super) fn used_micros(&self, root: &Root) -> Option<u64> {
        match &self.usage {
            Some(Usage::Stat(file)) => field(&root.read(file)?, "usage_usec"),
            Some(Usage::Account(file)) => {
                root.read(file)?.trim().parse::<u64>().ok().map(|ns| ns / 1000)
            }
            None => Some(self.used_by_processes(root)),
        }
    }

    fn used_by_processes(&self, root: &Root) -> u64 {
        let ticks = self
            .processes(root)
            .filter_map(|pid| proc::process_ticks(&root.read(format!("/proc/{pid}/stat"))?));
        ticks.fold(0u64, u64::saturating_add).saturating_mul(1_000_000 / TICKS_PER_SECOND)
    }

    /// Runnable threads of the group, except the one that asks.
    pub(super) fn runnable(&self, root: &Root, asking: u32) -> u32 {
        let mut looked = 0;
        let mut n = 0;
        for pid in self.processes(root) {
            for tid in
                root.list(format!("/proc/{pid}/task")).filter_map(|name| name.parse::<u32>().ok())
            {
                looked += 1;
                if looked > THREADS_MAX {
                    return n;
                }
                let stat = (tid != asking)
                    .then(|| root.read(format!("/proc/{pid}/task/{tid}/stat")))
                    .flatten();
                n += u32::from(stat.is_some_and(|stat| proc::is_runnable(&stat)));
            }
        }
        n
    }

    /// The processes of the limited group and of those below it.
    fn processes<'a>(&'a self, root: &'a Root) -> impl Iterator<Item = u32> + 'a {
        let mut open: Vec<PathBuf> = self.cpu.iter().map(|cpu| cpu.dir.clone()).collect();
        let mut groups = 0;
        std::iter::from_fn(move || {
            let dir = open.pop().filter(|_| groups < GROUPS_MAX)?;
            groups += 1;
            open.extend(root.directories(&dir).map(|name| dir.join(name)));
            let text = root.read(dir.join("cgroup.procs")).unwrap_or_default();
            // A process outside of our process namespace is listed as 0.
            Some(
                text.lines()
                    .filter_map(|line| line.parse().ok())
                    .filter(|&pid| pid != 0)
                    .collect::<Vec<u32>>(),
            )
        })
        .flatten()
    }

    /// Bytes in use that cannot simply be dropped: file pages nobody touched lately do not count.
    pub(super) fn memory_used(&self, root: &Root) -> Option<u64> {
        let controller = self.memory.as_ref()?;
        let (usage, inactive) = if controller.v2 {
            ("memory.current", "inactive_file")
        } else {
            ("memory.usage_in_bytes", "total_inactive_file")
        };
        let used: u64 = root.read(controller.dir.join(usage))?.trim().parse().ok()?;
        let stat = root.read(controller.dir.join("memory.stat")).unwrap_or_default();
        Some(used.saturating_sub(field(&stat, inactive).unwrap_or(0)))
    }

    /// The group's pressure; `None` if the kernel keeps none for it, as under version 1 alone.
    pub(super) fn pressure(&self, root: &Root) -> Option<psi::Pressure> {
        let dir = self.pressure.as_ref()?;
        let read = |file| psi::parse(&root.read(dir.join(file))?);
        Some(psi::Pressure {
            cpu: read("cpu.pressure"),
            memory: read("memory.pressure"),
            io: read("io.pressure"),
        })
    }

    /// Periods that have passed and in how many of them the quota ran out, for groups without pressure.
    pub(super) fn throttled(&self, root: &Root) -> Option<(u64, u64)> {
        let stat = root.read(self.cpu.as_ref()?.dir.join("cpu.stat"))?;
        Some((field(&stat, "nr_periods")?, field(&stat, "nr_throttled")?))
    }
}

fn cpu_v2(root: &Root, dir: &Path) -> Option<u32> {
    let text = root.read(dir.join("cpu.max"))?;
    let (quota, period) = text.trim().split_once(' ')?;
    milli(quota, period)
}

fn cpu_v1(root: &Root, dir: &Path) -> Option<u32> {
    let quota = root.read(dir.join("cpu.cfs_quota_us"))?;
    let period = root.read(dir.join("cpu.cfs_period_us"))?;
    milli(quota.trim(), period.trim())
}

/// Quota / period in thousandths of a CPU; `None` for `max`, `-1` and nonsense.
fn milli(quota: &str, period: &str) -> Option<u32> {
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    let milli = quota.checked_mul(1000)?.checked_div(period)?;
    u32::try_from(milli).ok().map(|milli| milli.max(1))
}

/// A memory limit; `max` and the huge number that version 1 writes for *none* are no limits.
fn memory_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes: &u64| bytes < 1 << 60)
}

/// The number after `name ` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quota_is_a_number_of_cpus() {
        assert_eq!(milli("50000", "100000"), Some(500));
        assert_eq!(milli("1500", "1000"), Some(1500));
        assert_eq!(milli("1", "100000"), Some(1), "never no CPU at all");
        for (quota, period) in [
            ("max", "100000"),
            ("-1", "100000"),
            ("5", "0"),
            ("", ""),
            ("18446744073709551615", "1"),
        ] {
            assert_eq!(milli(quota, period), None, "{quota}/{period}");
        }
    }

    #[test]
    fn no_limit_is_written_in_two_ways() {
        assert_eq!(memory_limit("max\n"), None);
        assert_eq!(memory_limit("9223372036854771712\n"), None);
        assert_eq!(memory_limit("536870912\n"), Some(512 << 20));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let stat = "usage_usec 5\nuser_usec 3\nnr_throttled_x 9\nnr_throttled 7\n";
        assert_eq!(field(stat, "nr_throttled"), Some(7));
        assert_eq!(field(stat, "usage_usec"), Some(5));
        assert_eq!(field(stat, "usage"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(a in ".{0,40}", b in ".{0,40}") {
            milli(&a, &b);
            memory_limit(&a);
            field(&a, &b);
        }
    }
}

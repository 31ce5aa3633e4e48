//! The meter: what is read when, and how two readings become a figure.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use base::Instant;

use super::cgroup::{Group, Limits};
use super::load::{Damped, HighWater};
use super::place::Places;
use super::proc::{self, CpuTimes};
use super::psi::{self, Pressure, Stall};
use super::{Root, Scope, place};

/// What hardly changes while the program runs: only when somebody gives the control group another limit, moves this
/// process to another group, or takes CPUs or memory offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// CPUs in thousandths: those this process may use, at most its quota.
    pub cpus_milli: u32,
    /// Memory in bytes: the machine's, at most the limit.
    pub total_memory: u64,
    /// The CPU's model, for the cache of the measured speed.
    pub cpu_model: String,
    /// Whether the control group is measured rather than the machine.
    pub cgroup: bool,
}

/// What is measured each second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// One-minute load average in thousandths of a task.
    pub load_milli: u32,
    /// The smallest power of two that no load so far exceeded, in tasks.
    pub load_high_water: u32,
    /// Share of the CPUs that was idle since the last reading, in thousandths.
    pub cpu_idle_permille: u16,
    /// Bytes of memory that a program could still get.
    pub available_memory: u64,
    /// Waiting for CPU, memory and disk.
    pub pressure: Pressure,
}

/// Measures this machine or its control group.
#[derive(Debug)]
pub struct Meter {
    root: Root,
    scope: Scope,
    named: Option<PathBuf>,
    facts: Facts,
    group: Option<Group>,
    high_water: HighWater,
    damped: Damped,
    before: Option<Before>,
    last: Figures,
}

/// The last reading, to subtract.
#[derive(Clone, Copy, Debug)]
struct Before {
    at: Instant,
    cpu: CpuTimes,
    used_micros: u64,
    throttled: (u64, u64),
    throttled_share: f64,
}

/// Where the control group of this path is, in every hierarchy that has it.
pub(super) fn named_group(root: &Root, path: &Path) -> Places {
    let text = |file: &str| root.read(file).unwrap_or_default();
    let below = path.strip_prefix("/").ok().filter(|p| !p.as_os_str().is_empty());
    let normal = below.is_some_and(|p| p.components().all(|c| matches!(c, Component::Normal(_))));
    let Some(path) = path.to_str().filter(|_| normal) else { return Places::default() };
    let (own, mounts) = (text("/proc/self/cgroup"), text("/proc/self/mountinfo"));
    place::places(&own, &mounts, Some(path)).retain(|dir| root.exists(dir))
}

/// Finds out what there is to measure.
fn survey(root: &Root, scope: Scope, named: Option<&Path>) -> (Facts, Option<Group>) {
    let text = |path: &str| root.read(path).unwrap_or_default();
    let stat = text("/proc/stat");
    let cpus = proc::online_cpus(&stat).unwrap_or(1);
    let allowed = proc::allowed_cpus(&text("/proc/self/status")).unwrap_or(cpus);
    let cpus_milli = cpus.min(allowed).max(1).saturating_mul(1000);
    let total_memory = proc::memory(&text("/proc/meminfo")).map_or(0, |(total, _)| total);
    let (group, limits) = match (scope, named) {
        (Scope::Machine, _) => (Group::default(), Limits::default()),
        (_, Some(path)) => Group::find(root, &named_group(root, path)),
        (_, None) => {
            let (own, mounts) = (text("/proc/self/cgroup"), text("/proc/self/mountinfo"));
            Group::find(root, &place::places(&own, &mounts, None))
        }
    };
    // A limit above what the machine has limits nothing.
    let quota = limits.cpus_milli.filter(|&milli| milli < cpus_milli);
    let memory = limits.memory.filter(|&bytes| bytes < total_memory);
    let cgroup = match scope {
        Scope::Machine => false,
        Scope::Auto => named.is_some() || quota.is_some() || memory.is_some(),
        Scope::Cgroup => true,
    };
    let facts = Facts {
        cpus_milli: quota.unwrap_or(cpus_milli),
        total_memory: memory.unwrap_or(total_memory),
        cpu_model: proc::cpu_model(&text("/proc/cpuinfo"))
            .unwrap_or("unknown")
            .chars()
            .take(80)
            .collect(),
        cgroup,
    };
    (facts, cgroup.then_some(group))
}

impl Meter {
    /// Finds out what there is to measure. A `named` control group is measured instead of the one this process
    /// runs in.
    pub fn new(root: Root, scope: Scope, named: Option<&Path>) -> Self {
        let (facts, group) = survey(&root, scope, named);
        Self {
            root,
            scope,
            named: named.map(Path::to_path_buf),
            facts,
            group,
            high_water: HighWater::default(),
            damped: Damped::default(),
            before: None,
            last: Figures { cpu_idle_permille: 1000, load_high_water: 1, ..Figures::default() },
        }
    }

    /// What hardly changes: as the last reading found it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Reads everything once. A figure that cannot be read keeps its last value.
    pub fn read(&mut self, now: Instant) -> Figures {
        let (facts, group) = survey(&self.root, self.scope, self.named.as_deref());
        if group != self.group {
            // Other groups have other counts: there is nothing to subtract from them yet.
            self.before = None;
            self.group = group;
        }
        self.facts = facts;
        let passed = self.before.map(|before| now.since(before.at));
        let cpu = proc::cpu_times(&self.text("/proc/stat"));
        let memory = proc::memory(&self.text("/proc/meminfo"));
        let mut figures = self.last;
        match self.group.take() {
            None => self.machine(&mut figures, cpu, memory, now),
            Some(group) => {
                self.in_group(&group, &mut figures, memory, passed, now);
                self.group = Some(group);
            }
        }
        // The mark never falls, so the crowd of a start must not raise it: the first counts in a group are not yet a load. The
        // kernel's own load average always is one.
        let is_load = self.group.is_none() || self.damped.is_settled();
        figures.load_high_water = match is_load {
            true => self.high_water.take(figures.load_milli),
            false => self.high_water.get(),
        };
        self.last = figures;
        figures
    }

    fn text(&self, path: &str) -> String {
        self.root.read(path).unwrap_or_default()
    }

    fn machine(
        &mut self,
        figures: &mut Figures,
        cpu: Option<CpuTimes>,
        memory: Option<(u64, u64)>,
        now: Instant,
    ) {
        if let Some(load) = proc::load_milli(&self.text("/proc/loadavg")) {
            figures.load_milli = load;
        }
        if let Some(cpu) = cpu {
            // The first reading compares with the machine's start.
            let before = self.before.map_or(CpuTimes::default(), |before| before.cpu);
            if let Some(idle) = proc::idle_permille(before, cpu) {
                figures.cpu_idle_permille = idle;
            }
            self.before = Some(Before {
                at: now,
                cpu,
                used_micros: 0,
                throttled: (0, 0),
                throttled_share: 0.0,
            });
        }
        if let Some((_, available)) = memory {
            figures.available_memory = available;
        }
        let read = |file| psi::parse(&self.root.read(file)?);
        figures.pressure = Pressure {
            cpu: read("/proc/pressure/cpu"),
            memory: read("/proc/pressure/memory"),
            io: read("/proc/pressure/io"),
        };
    }

    fn in_group(
        &mut self,
        group: &Group,
        figures: &mut Figures,
        memory: Option<(u64, u64)>,
        passed: Option<Duration>,
        now: Instant,
    ) {
        let asking = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or(0);
        let runnable = group.runnable(&self.root, asking);
        figures.load_milli = self.damped.take(runnable, passed.unwrap_or(Duration::ZERO));
        let used_micros = group.used_micros(&self.root);
        if let (Some(before), Some(passed), Some(used)) = (self.before, passed, used_micros)
            && let Some(idle) =
                idle_of(self.facts.cpus_milli, passed, used.saturating_sub(before.used_micros))
        {
            figures.cpu_idle_permille = idle;
        }
        if let Some((_, available)) = memory {
            let left = group
                .memory_used(&self.root)
                .map(|used| self.facts.total_memory.saturating_sub(used));
            figures.available_memory = left.map_or(available, |left| left.min(available));
        }
        let throttled = group.throttled(&self.root).unwrap_or_default();
        let throttled_share = self.before.map_or(0.0, |before| {
            damp_throttling(
                before.throttled,
                throttled,
                before.throttled_share,
                passed.unwrap_or_default(),
            )
        });
        figures.pressure = group.pressure(&self.root).unwrap_or(Pressure {
            // Without the group's own pressure (version 1), the share of periods in which the quota ran out
            // says how often somebody waited for a CPU. The machine's pressure would be everybody's.
            cpu: Some(Stall { some: throttled_share.round() as u16, full: 0 }),
            memory: None,
            io: None,
        });
        let used_micros = used_micros.or(self.before.map(|b| b.used_micros)).unwrap_or(0);
        self.before = Some(Before {
            at: now,
            cpu: CpuTimes::default(),
            used_micros,
            throttled,
            throttled_share,
        });
    }
}

/// The idle share of a quota, in thousandths.
fn idle_of(cpus_milli: u32, passed: Duration, used_micros: u64) -> Option<u16> {
    let may = passed.as_micros().checked_mul(u128::from(cpus_milli)).filter(|&may| may > 0)?;
    let used = u128::from(used_micros) * 1_000_000;
    Some(1000 - (used / may).min(1000) as u16)
}

/// A ten-second average of the throttled share of periods, damped as pressure is.
fn damp_throttling(before: (u64, u64), now: (u64, u64), average: f64, passed: Duration) -> f64 {
    let periods = now.0.saturating_sub(before.0);
    let share = match periods {
        0 => 0.0,
        periods => (now.1.saturating_sub(before.1) as f64 / periods as f64).min(1.0) * 10_000.0,
    };
    share + (average - share) * (-passed.as_secs_f64() / 10.0).exp()
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;

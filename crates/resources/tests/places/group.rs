//! Real control groups of this machine, where they can be made: one with a quota in whichever version has the processor, and one of
//! version 2 alone.
//!
//! The inner run measures itself while it burns CPU. Where version 1 holds the processor, version 2 cannot set quotas but still counts
//! time and pressure, so the second test takes the mounts of version 1 away, in a mount namespace of its own.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use resources::Clock;
use resources::config::Scope;
use resources::measure::{Figures, Meter, Root, arriba};
use testkit::trial::Needs;

use crate::Case;
use crate::bench::PATIENCE;

/// All tests of this file, and the kind of group each needs.
pub(crate) const CASES: &[Case] = &[
    ("a_quota_makes_the_group_the_machine", under_a_quota),
    ("a_group_of_version_2_alone_is_measured_by_its_own_files", in_version_2_alone),
];
pub(crate) const KINDS: [Kind; 2] = [Kind::Limited, Kind::Unified];

/// What kind of group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With a fifth of a CPU.
    Limited,
    /// Of version 2, with no mount of version 1 in sight.
    Unified,
}

/// A group for one run. Its directories are removed at the end, whatever happens.
pub(crate) struct Made {
    kind: Kind,
    dirs: Vec<PathBuf>,
}

impl Drop for Made {
    fn drop(&mut self) {
        self.dirs.iter().for_each(|dir| drop(fs::remove_dir(dir)));
    }
}

impl Kind {
    /// Whether such a group can be had here; found out by making one.
    pub(crate) fn needs(self) -> Needs {
        let made = self.make()?;
        let output = made.shell("true").output();
        let output = output.map_err(|error| format!("a shell and unshare are needed: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let refused = || Err(format!("no control group can be entered here: {}", said.trim()));
        if output.status.success() { Ok(()) } else { refused() }
    }

    /// Makes the group; else why it cannot be had.
    pub(crate) fn make(self) -> Result<Made, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let unified = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (point, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(point))
        });
        let v1 = Path::new("/sys/fs/cgroup/cpu");
        let mut made = Made { kind: self, dirs: Vec::new() };
        match self {
            Self::Limited if v1.join("cpu.cfs_quota_us").exists() => {
                made.add(v1)?;
                write(made.dirs[0].join("cpu.cfs_period_us"), "5000")?;
                write(made.dirs[0].join("cpu.cfs_quota_us"), "1000")?;
                // Time is counted in one more hierarchy, pressure in yet another; either may be missing.
                for more in [Some("/sys/fs/cgroup/cpuacct".into()), unified].into_iter().flatten() {
                    let _ = made.add(&more);
                }
            }
            Self::Limited => {
                made.add(&unified.ok_or("no control groups are mounted here")?)?;
                write(made.dirs[0].join("cpu.max"), "1000 5000")?;
            }
            Self::Unified => {
                made.add(&unified.ok_or("no control groups of version 2 are mounted here")?)?;
                for file in ["cpu.stat", "cpu.pressure"] {
                    let path = made.dirs[0].join(file);
                    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                }
            }
        }
        Ok(made)
    }
}

impl Made {
    fn add(&mut self, parent: &Path) -> Result<(), String> {
        let dir = parent.join(format!("backhand-test-{}-{:?}", std::process::id(), self.kind));
        // The reason becomes part of a test's name, so it must be the same each time: no process number.
        fs::create_dir(&dir)
            .map_err(|error| format!("no group can be made in {}: {error}", parent.display()))?;
        self.dirs.push(dir);
        Ok(())
    }

    /// This program inside of the group.
    pub(crate) fn enter(&self) -> Command {
        let mut command = self.shell("exec \"$0\"");
        command.arg(crate::myself());
        command
    }

    /// A command inside of the group. The shell enters before it becomes the command, so all threads are inside.
    fn shell(&self, what: &str) -> Command {
        let join = |dir: &PathBuf| format!("echo $$ > {}/cgroup.procs && ", dir.display());
        let enter: String = self.dirs.iter().map(join).collect();
        let (mut command, before) = match self.kind {
            Kind::Limited => (Command::new("sh"), ""),
            Kind::Unified => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh"]);
                (command, "umount --all --types cgroup && ")
            }
        };
        command.arg("-c").arg(format!("{enter}{before}{what}"));
        command
    }
}

fn write(path: PathBuf, text: &str) -> Result<(), String> {
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn under_a_quota() {
    let mut meter = Meter::new(Root::default(), Scope::Auto, None);
    assert!(meter.facts().cgroup, "{:?}", meter.facts());
    assert_eq!(meter.facts().cpus_milli, 200);
    // A second thread burns, so that the group has a runnable thread besides the one that measures.
    burn_until(&mut meter, 1, |figures| {
        let used_up = figures.cpu_idle_permille < 150;
        let waited = figures.pressure.cpu.is_some_and(|stall| stall.some > 100);
        used_up && waited && figures.load_milli > 0
    });
    let machine = Meter::new(Root::default(), Scope::Machine, None);
    assert!(machine.facts().cpus_milli >= 1000 && !machine.facts().cgroup);
}

fn in_version_2_alone() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(" - cgroup "), "version 1 is still mounted:\n{mounts}");
    let mut meter = Meter::new(Root::default(), Scope::Cgroup, None);
    assert!(meter.facts().cgroup, "{:?}", meter.facts());
    // One thread more than there are CPUs, and the one that measures: somebody always waits.
    let threads = meter.facts().cpus_milli.div_ceil(1000) + 1;
    burn_until(&mut meter, threads, |figures| {
        let waited = figures.pressure.cpu.is_some_and(|stall| stall.some > 100);
        figures.cpu_idle_permille < 700 && waited && figures.load_milli >= 1000
    });
}

/// Reads the meter, with so many threads burning, until the figures are as they should be.
fn burn_until(meter: &mut Meter, threads: u32, good: impl Fn(&Figures) -> bool) {
    let clock = Clock::new();
    meter.read(clock.now());
    let done = AtomicBool::new(false);
    let deadline = clock.now() + PATIENCE;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !done.load(Relaxed) && clock.now() < deadline {
                    black_box(arriba());
                }
            });
        }
        loop {
            // Burning is also the wait: the kernel averages pressure every two seconds.
            black_box(arriba());
            let figures = meter.read(clock.now());
            if good(&figures) {
                done.store(true, Relaxed);
                return;
            }
            assert!(clock.now() < deadline, "a group that burns looks like this: {figures:?}");
        }
    })
}

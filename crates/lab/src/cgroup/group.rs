//! The control group of one machine: one directory per tree.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hierarchy::Version;
use crate::error::LabError;

/// How much processor time per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    quota_us: u64,
    period_us: u64,
}

/// Shortest quota and period the kernel takes.
const SHORTEST: Duration = Duration::from_millis(1);

/// Longest period the kernel takes.
const LONGEST: Duration = Duration::from_secs(1);

impl Quota {
    pub(crate) fn new(quota: Duration, period: Duration) -> Result<Self, LabError> {
        let bad = |what, value: Duration, remedy| {
            Err(LabError::Config { what, value: format!("{value:?}"), remedy })
        };
        if !(SHORTEST..=LONGEST).contains(&period) {
            return bad("the period of a throttle", period, "choose 1 ms to 1 s");
        }
        if quota < SHORTEST || quota > period * 1024 {
            return bad("the quota of a throttle", quota, "choose at least 1 ms");
        }
        Ok(Self { quota_us: quota.as_micros() as u64, period_us: period.as_micros() as u64 })
    }
}

/// One directory of the group.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) version: Version,
    /// What can be set and read in this directory.
    pub(crate) controllers: Vec<String>,
    pub(crate) dir: PathBuf,
}

/// One machine's group in all trees.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) seats: Vec<Seat>,
}

impl Group {
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.seats.iter().map(|seat| seat.dir.as_path())
    }

    /// Opened here, where the right to write them is, and written to by the process that joins.
    pub(crate) fn procs_files(&self) -> io::Result<Vec<File>> {
        self.dirs()
            .map(|dir| OpenOptions::new().write(true).open(dir.join("cgroup.procs")))
            .collect()
    }

    pub(crate) fn throttle(&self, quota: Option<Quota>) -> Result<(), String> {
        let seat = self.seat("cpu")?;
        match (seat.version, quota) {
            (Version::Two, None) => seat.write("cpu.max", "max"),
            (Version::Two, Some(q)) => {
                seat.write("cpu.max", &format!("{} {}", q.quota_us, q.period_us))
            }
            (Version::One, None) => seat.write("cpu.cfs_quota_us", "-1"),
            (Version::One, Some(q)) => {
                // Between the two writes the old quota would be measured against the new period.
                seat.write("cpu.cfs_quota_us", "-1")?;
                seat.write("cpu.cfs_period_us", &q.period_us.to_string())?;
                seat.write("cpu.cfs_quota_us", &q.quota_us.to_string())
            }
        }
    }

    pub(crate) fn limit_memory(&self, bytes: u64) -> Result<(), String> {
        let seat = self.seat("memory")?;
        let file = match seat.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        seat.write(file, &bytes.to_string())
    }

    /// Holds every process where it stands, or lets all go on.
    pub(crate) fn hold(&self, held: bool) -> Result<(), String> {
        if let Ok(seat) = self.seat("freezer") {
            return seat.write("freezer.state", if held { "FROZEN" } else { "THAWED" });
        }
        let two = self.seats.iter().find(|seat| seat.version == Version::Two);
        let two = two.ok_or("no tree of control groups here has a freezer")?;
        two.write("cgroup.freeze", if held { "1" } else { "0" })
    }

    pub(crate) fn cpu_used(&self) -> Result<Duration, String> {
        if let Ok(seat) = self.seat("cpuacct") {
            let text = seat.read("cpuacct.usage")?;
            let nanos = text.trim().parse().map_err(|_| format!("cpuacct.usage says {text:?}"))?;
            return Ok(Duration::from_nanos(nanos));
        }
        let text = self.seat("cpu")?.read("cpu.stat")?;
        text.lines()
            .find_map(|line| line.strip_prefix("usage_usec "))
            .and_then(|micros| micros.parse().ok())
            .map(Duration::from_micros)
            .ok_or_else(|| "cpu.stat has no usage_usec".to_owned())
    }

    fn seat(&self, controller: &str) -> Result<&Seat, String> {
        self.seats
            .iter()
            .find(|seat| seat.controllers.iter().any(|name| name == controller))
            .ok_or_else(|| {
                format!("no tree of control groups here has the controller {controller}")
            })
    }
}

impl Seat {
    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.dir.join(file);
        std::fs::write(&path, text)
            .map_err(|error| format!("writing {text:?} to {}: {error}", path.display()))
    }

    fn read(&self, file: &str) -> Result<String, String> {
        let path = self.dir.join(file);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(name: &str, version: Version, controllers: &[&str], dir: &Path) -> Seat {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Seat { version, controllers: controllers.iter().map(|c| (*c).to_owned()).collect(), dir }
    }

    fn quota(quota: u64, period: u64) -> Quota {
        Quota::new(Duration::from_millis(quota), Duration::from_millis(period)).unwrap()
    }

    #[test]
    fn version_two_takes_quota_and_period_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let seats = vec![seat("g", Version::Two, &["cpu", "memory"], dir.path())];
        let group = Group { seats };
        group.throttle(Some(quota(1, 5))).unwrap();
        group.limit_memory(64 << 20).unwrap();
        let read = |file: &str| std::fs::read_to_string(dir.path().join("g").join(file)).unwrap();
        assert_eq!(read("cpu.max"), "1000 5000");
        assert_eq!(read("memory.max"), "67108864");
        group.throttle(None).unwrap();
        assert_eq!(read("cpu.max"), "max");
        std::fs::write(dir.path().join("g/cpu.stat"), "usage_usec 1500\nuser_usec 1000\n").unwrap();
        assert_eq!(group.cpu_used().unwrap(), Duration::from_micros(1500));
    }

    #[test]
    fn version_one_takes_them_in_two_files() {
        let dir = tempfile::tempdir().unwrap();
        let group = Group { seats: vec![seat("g", Version::One, &["cpu"], dir.path())] };
        group.throttle(Some(quota(2, 4))).unwrap();
        let read = |file: &str| std::fs::read_to_string(dir.path().join("g").join(file)).unwrap();
        assert_eq!(read("cpu.cfs_quota_us"), "2000");
        assert_eq!(read("cpu.cfs_period_us"), "4000");
        assert!(group.limit_memory(1).unwrap_err().contains("memory"));
    }

    #[test]
    fn both_versions_can_hold_a_group() {
        let dir = tempfile::tempdir().unwrap();
        let read = |file: &str| std::fs::read_to_string(dir.path().join("g").join(file)).unwrap();
        let one = Group { seats: vec![seat("g", Version::One, &["freezer"], dir.path())] };
        one.hold(true).unwrap();
        assert_eq!(read("freezer.state"), "FROZEN");
        one.hold(false).unwrap();
        assert_eq!(read("freezer.state"), "THAWED");
        let two = Group { seats: vec![seat("g", Version::Two, &[], dir.path())] };
        two.hold(true).unwrap();
        assert_eq!(read("cgroup.freeze"), "1");
        assert!(Group { seats: Vec::new() }.hold(true).unwrap_err().contains("freezer"));
    }

    #[test]
    fn a_quota_the_kernel_would_refuse_is_refused_by_name() {
        let ms = Duration::from_millis;
        for (quota, period) in [(0, 5), (1, 0), (1, 1001), (2000, 1)] {
            let error = Quota::new(ms(quota), ms(period)).unwrap_err().to_string();
            assert!(error.contains("throttle"), "{error}");
        }
    }
}

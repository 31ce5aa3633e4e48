//! A real control group of this machine, where one can be made.
//!
//! The test makes a group with a quota, runs itself again inside, and the inner run measures itself
//! while it burns CPU.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use resources::Clock;
use resources::config::Scope;
use resources::measure::{Meter, Root, arriba};

use crate::bench::PATIENCE;

const INSIDE: &str = "BACKHAND_TEST_IN_GROUP";

/// Directories removed at the end, whatever happens.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        self.0.iter().for_each(|dir| drop(fs::remove_dir(dir)));
    }
}

/// A group with a fifth of a CPU, in whichever version this machine has; `None` if none can be made.
fn group() -> Option<Made> {
    let name = format!("backhand-test-{}", std::process::id());
    let v1 = Path::new("/sys/fs/cgroup/cpu");
    if v1.join("cpu.cfs_quota_us").exists() {
        // Time is counted in one more hierarchy, pressure in yet another.
        let others = ["/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/unified"]
            .map(|dir| Path::new(dir).join(&name));
        let dirs = std::iter::once(v1.join(&name)).chain(others);
        let made = Made(dirs.filter(|dir| fs::create_dir(dir).is_ok()).collect());
        let dir = made.0.first()?;
        fs::write(dir.join("cpu.cfs_period_us"), "5000").ok()?;
        fs::write(dir.join("cpu.cfs_quota_us"), "1000").ok()?;
        return Some(made);
    }
    let dir = Path::new("/sys/fs/cgroup").join(&name);
    fs::create_dir(&dir).ok()?;
    let made = Made(vec![dir.clone()]);
    fs::write(dir.join("cpu.max"), "1000 5000").ok()?;
    Some(made)
}

#[test]
fn a_quota_makes_the_group_the_machine() {
    if std::env::var_os(INSIDE).is_some() {
        return measure_inside();
    }
    let Some(made) = group() else {
        eprintln!("not run, for no control group can be made here");
        return;
    };
    // The shell enters the groups before it becomes the test, so all threads are inside.
    let enter: String =
        made.0.iter().map(|dir| format!("echo $$ > {}/cgroup.procs && ", dir.display())).collect();
    let status = Command::new("sh")
        .args(["-c", &format!("{enter} exec \"$0\" --exact cgroup::a_quota_makes_the_group_the_machine --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status();
    assert!(status.unwrap().success(), "the measurement inside failed");
}

fn measure_inside() {
    let clock = Clock::new();
    let mut meter = Meter::new(Root::default(), Scope::Auto);
    assert!(meter.facts().cgroup, "{:?}", meter.facts());
    assert_eq!(meter.facts().cpus_milli, 200);
    meter.read(clock.now());
    // A second thread burns, so that the group has a runnable thread besides the one that measures.
    let done = AtomicBool::new(false);
    let deadline = clock.now() + PATIENCE;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) && clock.now() < deadline {
                black_box(arriba());
            }
        });
        loop {
            // Burning is also the wait: the kernel averages pressure every two seconds.
            black_box(arriba());
            let figures = meter.read(clock.now());
            let used_up = figures.cpu_idle_permille < 150;
            let waited = figures.pressure.cpu.is_some_and(|stall| stall.some > 100);
            if used_up && waited && figures.load_milli > 0 {
                break;
            }
            assert!(clock.now() < deadline, "a group at its quota looks like this: {figures:?}");
        }
        done.store(true, Relaxed);
    });
    let machine = Meter::new(Root::default(), Scope::Machine);
    assert!(machine.facts().cpus_milli >= 1000 && !machine.facts().cgroup);
}

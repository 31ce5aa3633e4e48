//! The meter over trees of files made for the purpose, and over the machine the tests run on.

use std::fs;
use std::path::Path;

use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(path, text)| write(dir.path(), path, text));
    dir
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const HOST: &[(&str, &str)] = &[
    ("/proc/stat", "cpu 100 0 100 800 0 0 0 0 0 0\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\n"),
    ("/proc/loadavg", "2.50 1 1 1/1 1\n"),
    ("/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n"),
    ("/proc/cpuinfo", "model name : Test CPU\n"),
    ("/proc/pressure/cpu", "some avg10=1.50 avg60=0 avg300=0 total=0\n"),
    ("/proc/self/status", "Cpus_allowed_list:\t0-3\n"),
];

fn second(n: u64) -> Instant {
    Instant::from_millis(1000 * n + 1)
}

#[test]
fn a_machine_without_limits_is_measured_whole() {
    let dir = tree(HOST);
    let mut meter = Meter::new(Root::at(dir.path()), Scope::Auto, None);
    let facts = meter.facts().clone();
    assert_eq!((facts.cpus_milli, facts.total_memory), (4000, 8_000_000 * 1024));
    assert_eq!((facts.cpu_model.as_str(), facts.cgroup), ("Test CPU", false));
    let first = meter.read(second(1));
    assert_eq!(first.cpu_idle_permille, 800);
    assert_eq!((first.load_milli, first.load_high_water), (2500, 4));
    assert_eq!(first.available_memory, 6_000_000 * 1024);
    assert_eq!(first.pressure.cpu, Some(Stall { some: 150, full: 0 }));
    assert_eq!(first.pressure.io, None);
    write(dir.path(), "/proc/stat", "cpu 200 0 100 800 0 0 0 0 0 0\ncpu0 1\n");
    write(dir.path(), "/proc/loadavg", "torn");
    let then = meter.read(second(2));
    assert_eq!(then.cpu_idle_permille, 0);
    assert_eq!(then.load_milli, 2500, "a figure that cannot be read keeps its value");
}

#[test]
fn a_limited_group_of_version_two_is_measured_for_itself() {
    let dir = tree(HOST);
    let g = "/sys/fs/cgroup/web/inner";
    let group =
        |file: &str, text: &str| write(dir.path(), &format!("/sys/fs/cgroup/web/{file}"), text);
    write(dir.path(), "/proc/self/cgroup", "0::/web/inner\n");
    write(
        dir.path(),
        "/proc/self/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    );
    write(dir.path(), &format!("{g}/cpu.max"), "max 100000\n");
    write(dir.path(), &format!("{g}/cgroup.procs"), "71\n0\n");
    group("cpu.max", "50000 100000\n");
    group("cpu.stat", "usage_usec 1000000\nnr_periods 10\nnr_throttled 5\n");
    group("cpu.pressure", "some avg10=40.00 avg60=0 avg300=0 total=0\nfull avg10=20.00 avg60=0\n");
    group("memory.max", "1073741824\n");
    group("memory.current", "536870912\n");
    group("memory.stat", "anon 5\ninactive_file 268435456\n");
    group("cgroup.procs", "70\n");
    for (pid, tid, state) in [(70, 70, 'S'), (70, 72, 'R'), (71, 71, 'R')] {
        write(dir.path(), &format!("/proc/{pid}/task/{tid}/stat"), &format!("{tid} (x) {state} 1"));
    }
    let mut meter = Meter::new(Root::at(dir.path()), Scope::Auto, None);
    assert!(meter.facts().cgroup);
    assert_eq!((meter.facts().cpus_milli, meter.facts().total_memory), (500, 1 << 30));
    let first = meter.read(second(1));
    assert_eq!(first.load_milli, 2000, "two runnable threads in the group and the one below it");
    assert_eq!(first.load_high_water, 1, "one count is not yet a load, and the mark never falls");
    assert_eq!(first.available_memory, (1 << 30) - (256 << 20));
    assert_eq!(first.pressure.cpu, Some(Stall { some: 4000, full: 2000 }));
    group("cpu.stat", "usage_usec 1125000\nnr_periods 20\nnr_throttled 15\n");
    assert_eq!(
        meter.read(second(2)).cpu_idle_permille,
        750,
        "an eighth of a second used of half a CPU"
    );
    let later = (3..20).map(|n| meter.read(second(n)).load_high_water).last();
    assert_eq!(later, Some(2), "but a load that lasts is one");
}

fn version_one(dir: &Path, cpuacct_path: &str) {
    let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    write(dir, "/proc/self/mountinfo", mounts);
    write(
        dir,
        "/proc/self/cgroup",
        &format!("4:memory:/\n2:cpuacct:{cpuacct_path}\n1:cpu:/lab\n0::/\n"),
    );
    write(dir, "/sys/fs/cgroup/cpu/lab/cpu.cfs_quota_us", "2000\n");
    write(dir, "/sys/fs/cgroup/cpu/lab/cpu.cfs_period_us", "4000\n");
    write(dir, "/sys/fs/cgroup/cpu/lab/cpu.stat", "nr_periods 100\nnr_throttled 0\n");
    write(dir, "/sys/fs/cgroup/cpu/lab/cgroup.procs", "70\n");
    write(dir, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write(
        dir,
        "/sys/fs/cgroup/unified/cpu.pressure",
        "some avg10=99.00 avg60=0 avg300=0 total=0\n",
    );
}

#[test]
fn version_one_counts_time_in_the_group_of_the_same_path() {
    let dir = tree(HOST);
    version_one(dir.path(), "/lab");
    let usage = "/sys/fs/cgroup/cpuacct/lab/cpuacct.usage";
    write(dir.path(), usage, "1000000000\n");
    let mut meter = Meter::new(Root::at(dir.path()), Scope::Auto, None);
    assert_eq!(meter.facts().cpus_milli, 500);
    meter.read(second(1));
    write(dir.path(), usage, "1250000000\n");
    write(dir.path(), "/sys/fs/cgroup/cpu/lab/cpu.stat", "nr_periods 350\nnr_throttled 250\n");
    let figures = meter.read(second(2));
    assert_eq!(figures.cpu_idle_permille, 500);
    let some = figures.pressure.cpu.unwrap().some;
    assert_eq!(
        some, 952,
        "throttled in every period of one of ten seconds; never the machine's pressure"
    );
}

#[test]
fn version_one_without_such_a_group_asks_the_processes() {
    let dir = tree(HOST);
    version_one(dir.path(), "/");
    write(dir.path(), "/sys/fs/cgroup/cpuacct/cpuacct.usage", "9999999999\n");
    let used = |ticks| format!("70 (x) R 1 70 70 0 -1 4194560 1 2 3 4 {ticks} 0 0 0 20 0 1 0");
    write(dir.path(), "/proc/70/stat", &used(100));
    let mut meter = Meter::new(Root::at(dir.path()), Scope::Auto, None);
    meter.read(second(1));
    write(dir.path(), "/proc/70/stat", &used(125));
    assert_eq!(meter.read(second(2)).cpu_idle_permille, 500);
}

#[test]
fn scope_decides_against_what_is_found() {
    let dir = tree(HOST);
    version_one(dir.path(), "/lab");
    let machine = Meter::new(Root::at(dir.path()), Scope::Machine, None);
    assert_eq!((machine.facts().cgroup, machine.facts().cpus_milli), (false, 4000));
    let bare = tree(HOST);
    let mut cgroup = Meter::new(Root::at(bare.path()), Scope::Cgroup, None);
    assert_eq!((cgroup.facts().cgroup, cgroup.facts().cpus_milli), (true, 4000));
    assert_eq!(cgroup.read(second(1)).load_milli, 0);
}

#[test]
fn nothing_readable_gives_a_machine_of_one_cpu_and_no_panic() {
    let dir = tree(&[]);
    for scope in [Scope::Auto, Scope::Machine, Scope::Cgroup] {
        let mut meter = Meter::new(Root::at(dir.path()), scope, None);
        assert_eq!(meter.facts().cpus_milli, 1000);
        assert_eq!(meter.read(second(1)).cpu_idle_permille, 1000);
    }
}

#[test]
fn this_machine_has_sensible_figures_in_both_scopes() {
    let clock = crate::Clock::new();
    for scope in [Scope::Machine, Scope::Cgroup] {
        let mut meter = Meter::new(Root::default(), scope, None);
        let facts = meter.facts().clone();
        assert!(facts.cpus_milli > 0 && facts.total_memory > 1 << 20, "{facts:?}");
        let mut figures = meter.read(clock.now());
        // Burn CPU until the kernel's counters have moved: the figures must notice.
        let begun = clock.now();
        while clock.now().since(begun) < Duration::from_millis(150) {
            std::hint::black_box(super::super::arriba());
        }
        figures =
            Figures { cpu_idle_permille: meter.read(clock.now()).cpu_idle_permille, ..figures };
        assert!(figures.cpu_idle_permille < 1000, "{scope:?} {figures:?}");
        assert!(figures.available_memory > 0 && figures.available_memory <= facts.total_memory);
    }
}

#[test]
fn a_named_group_is_measured_instead_of_our_own() {
    let dir = tree(HOST);
    version_one(dir.path(), "/");
    let cpu = "/sys/fs/cgroup/cpu/shop";
    write(dir.path(), &format!("{cpu}/cpu.cfs_quota_us"), "1000\n");
    write(dir.path(), &format!("{cpu}/cpu.cfs_period_us"), "5000\n");
    let root = || Root::at(dir.path());
    let shop = Path::new("/shop");
    let meter = Meter::new(root(), Scope::Auto, Some(shop));
    assert_eq!((meter.facts().cgroup, meter.facts().cpus_milli), (true, 200));
    assert!(super::super::is_group(&root(), shop));
    for not in ["/shopping", "/", "shop", "/shop/..", "/../shop", ""] {
        assert!(!super::super::is_group(&root(), Path::new(not)), "{not:?}");
    }
}

#[test]
fn a_limit_that_changes_is_found_by_the_next_reading() {
    let dir = tree(HOST);
    version_one(dir.path(), "/lab");
    let quota = |micros: &str| write(dir.path(), "/sys/fs/cgroup/cpu/lab/cpu.cfs_quota_us", micros);
    let mut meter = Meter::new(Root::at(dir.path()), Scope::Auto, None);
    assert_eq!(meter.facts().cpus_milli, 500);
    quota("8000\n");
    meter.read(second(1));
    assert_eq!((meter.facts().cgroup, meter.facts().cpus_milli), (true, 2000));
    quota("-1\n");
    meter.read(second(2));
    assert_eq!((meter.facts().cgroup, meter.facts().cpus_milli), (false, 4000));
}

#[test]
fn a_process_that_is_moved_to_another_group_is_measured_there() {
    let dir = tree(HOST);
    version_one(dir.path(), "/lab");
    let mut meter = Meter::new(Root::at(dir.path()), Scope::Auto, None);
    assert_eq!(meter.facts().cpus_milli, 500);
    write(dir.path(), "/proc/self/cgroup", "4:memory:/\n2:cpuacct:/\n1:cpu:/\n0::/\n");
    meter.read(second(1));
    assert_eq!((meter.facts().cgroup, meter.facts().cpus_milli), (false, 4000));
}

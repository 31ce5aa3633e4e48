//! How the daemon's thread stands among others, as the kernel tells it, and what happens where it may not.

use std::fs;

use lab::{CgroupWish, LabConfig, Spawn, Wish};
use testkit::trial::Failed;

use crate::client::Client;
use crate::cluster::{Bus, names};
use crate::says;
use crate::support::{PROGRAM, until};

/// Those that need a user namespace.
pub(crate) const USER: &[crate::Named] =
    &[("a_daemon_that_may_have_neither_priority_nor_memory_works_and_says_so", without)];
/// Those that need to be root.
pub(crate) const ROOT: &[crate::Named] =
    &[("one_thread_is_real_time_while_it_waits_and_no_other", realtime)];

/// Becomes the program with a limit of locked memory, in KB.
const SMALL: &str = "ulimit -l 64; exec \"$0\" \"$@\"";
/// The policy of real-time threads, as /proc tells it.
const FIFO: i64 = 1;

/// A user namespace, where nobody may raise his priority or lock more than the limit.
fn without() -> Result<(), Failed> {
    let wish = Wish::UserNamespaces;
    let mut bus = Bus::silent_in(2, LabConfig { wish, ..LabConfig::default() });
    for i in 0..2 {
        let small = Spawn::new("/bin/sh").args(["-c", SMALL, PROGRAM]);
        bus.start_with(i, small, "spread.conf", "key");
    }
    let clients: Vec<Client> = (0..2).map(|i| Client::start(&bus, i, None)).collect();
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1]))));
    let standing = bus.detail(0).map(|detail| detail.priority).unwrap_or_default();
    println!("{standing}");
    says(&standing, &["the bus runs at nice 0", "not permitted", "CAP_SYS_NICE"])?;
    says(&standing, &["KB of its memory are locked", "its buffers", "cannot be", "LimitMEMLOCK"])?;
    says(&bus.said(0), &[&standing])?;
    Ok(bus.all_live()?)
}

/// Policy and nice value of each thread of a process.
fn threads(pid: u32) -> Vec<(i64, i64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stat = |task: fs::DirEntry| {
        // A thread may have ended meanwhile.
        let text = fs::read_to_string(task.path().join("stat")).ok()?;
        let words: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        Some((words.get(38)?.parse().ok()?, words.get(16)?.parse().ok()?))
    };
    tasks.flatten().filter_map(stat).collect()
}

fn realtime() -> Result<(), Failed> {
    let (wish, cgroups) = (Wish::RootNamespaces, CgroupWish::No);
    let mut bus = Bus::silent_in(2, LabConfig { wish, cgroups, ..LabConfig::default() });
    let seed = bus.lab.machine(0).address();
    let lines = format!("[bus]\npriority = \"realtime\"\nseeds = [\"{seed}\"]\n");
    (0..2).for_each(|i| bus.start_whole(i, &lines));
    let clients = Client::everywhere(&bus, std::time::Duration::from_millis(1));
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1]))));
    let standing = bus.detail(0).map(|detail| detail.priority).unwrap_or_default();
    println!("{standing}");
    if standing.contains("not permitted") {
        // Some kernels give no real-time to control groups. Then it is said, and that is all there is to see.
        return Ok(bus.all_live()?);
    }
    says(&standing, &["real-time priority 1", "nice -19 for clients"])?;
    // With clients at work the thread is one or the other, and both are seen.
    let (mut high, mut low) = (0, 0);
    until("the thread was seen at both", || {
        let threads = threads(bus.process(0).pid());
        let special: Vec<_> = threads.iter().filter(|thread| **thread != (0, 0)).collect();
        assert_eq!(special.len(), 1, "{threads:?}");
        match special[0] {
            (FIFO, _) => high += 1,
            (0, -19) => low += 1,
            other => panic!("{other:?}"),
        }
        clients.iter().for_each(|client| client.wait_for_messages(1));
        (high > 0 && low > 0).then_some(())
    });
    println!("seen real-time {high} times, not {low} times");
    let traces = Client::finish(clients);
    bus.all_live()?;
    Ok(crate::history::check(&traces)?)
}

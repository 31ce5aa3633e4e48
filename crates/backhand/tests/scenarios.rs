//! The two worked scenarios of the mod_backhand paper, with real processes on real processor quotas.
//!
//! 1. A cluster in which one machine is busy with other work: it gets less.
//! 2. A portal whose writes must all reach the one machine with the database: they do, and when it is away they are refused.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

#[path = "scenarios/application.rs"]
mod application;
mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use lab::{CgroupWish, Lab, LabConfig};
use support::Cluster;
use testkit::trial::{self, Failed, trial};

fn main() -> ExitCode {
    lab::init();
    application::init();
    let namespaces = Lab::available().map(drop).map_err(|why| why.to_string());
    let quotas = namespaces.clone().and_then(|()| {
        let lab = Lab::start(LabConfig {
            machines: 1,
            cgroups: CgroupWish::IfPossible,
            ..LabConfig::default()
        });
        lab.map_err(|e| e.to_string())?.cgroup_trouble().map_or(Ok(()), Err)
    });
    let trials = vec![
        trial("a_machine_busy_with_other_work_gets_less", &quotas, a_busy_machine_gets_less),
        trial("a_machine_busy_with_other_work_gets_less_by_default", &quotas, less_by_default),
        trial(
            "writes_all_reach_the_database_machine_and_are_refused_when_it_is_away",
            &namespaces,
            writes_reach_one_machine,
        ),
    ];
    // Beside each other they would measure one another.
    trial::run_in_turn(trials)
}

fn site(cluster: &Cluster) -> String {
    let site = cluster.folder().join("site");
    std::fs::create_dir_all(site.join("edit")).unwrap();
    std::fs::write(site.join("page"), "read").unwrap();
    std::fs::write(site.join("edit/page"), "written").unwrap();
    for policy in ["load", "cpu"] {
        std::fs::create_dir_all(site.join(policy)).unwrap();
        std::fs::write(site.join(policy).join("page"), "read").unwrap();
    }
    format!("[local]\ndirectory = \"{}\"\n", site.display())
}

/// The scenario's own policy, and the same by idle processor.
const POLICIES: &str = "[measure]\nscope = \"cgroup\"\n\
    [[route]]\nname = \"load\"\npath = \"/load/\"\nchain = [\"byAge 5\", \"byLoad\"]\n\
    [[route]]\nname = \"cpu\"\npath = \"/cpu/\"\nchain = [\"byAge 5\", \"byCPU\"]\n";
/// Requests under each policy.
const REQUESTS: u32 = 400;

fn a_busy_machine_gets_less() -> Result<(), Failed> {
    let mut cluster = Cluster::new(4, CgroupWish::Required);
    let more = site(&cluster) + POLICIES;
    for i in 0..4 {
        cluster.lab.machine(i).throttle(Duration::from_millis(2), Duration::from_millis(5))?;
        cluster.start(i, &more);
    }
    cluster.wait_until_known(&[0, 1, 2, 3], 4);
    // The third machine does its nightly work: it burns all that its quota allows.
    let _burner = cluster.lab.machine(2).burn(1)?;
    for i in 0..4 {
        support::until(&format!("m{} hears that m3 is busy", i + 1), || {
            // News comes once a second; asking more often would make the others busy too.
            std::thread::sleep(Duration::from_millis(200));
            sees_busy(&cluster, i).filter(|busy| *busy)
        });
    }
    for (policy, path) in [("byLoad", "/load/page"), ("byCPU", "/cpu/page")] {
        let by = share(&cluster, path)?;
        println!("{policy}: requests by machine, m3 busy: {by:?}");
        let even = REQUESTS / 4;
        if by.get("m3").copied().unwrap_or(0) > even / 2 {
            return Err(
                format!("{policy}: the busy machine got more than half of its even share").into()
            );
        }
    }
    Ok(())
}

/// The policy of today looks at what is in flight: a machine whose processor others use holds its requests longer.
fn less_by_default() -> Result<(), Failed> {
    let mut cluster = Cluster::new(4, CgroupWish::Required);
    let more = format!("[local]\nserver = \"http://{}\"\n", application::ADDRESS);
    for i in 0..4 {
        let machine = cluster.lab.machine(i);
        machine.throttle(Duration::from_millis(2), Duration::from_millis(5))?;
        // Ends with the lab.
        machine.spawn(application::spawn())?;
        cluster.start(i, &more);
    }
    cluster.wait_until_known(&[0, 1, 2, 3], 4);
    let _burner = cluster.lab.machine(2).burn(1)?;
    let by = share(&cluster, "/")?;
    println!("byFresh: requests by machine, m3 busy: {by:?}");
    let busy = by.get("m3").copied().unwrap_or(0);
    let others = (REQUESTS - busy) / 3;
    if busy * 10 > others * 9 {
        return Err(format!("the busy machine got {busy}, the others {others} on average").into());
    }
    Ok(())
}

/// Sends requests at all machines, eight at a time; how many were served by each.
fn share(cluster: &Cluster, path: &str) -> Result<BTreeMap<String, u32>, Failed> {
    const CLIENTS: u32 = 8;
    let client = |n: u32| -> std::io::Result<Vec<String>> {
        (0..REQUESTS / CLIENTS)
            .map(|_| {
                let answer = cluster.get(n as usize % 4, path)?;
                let by = answer.by().to_owned();
                if answer.status == 200 { Ok(by) } else { Err(std::io::Error::other(answer.head)) }
            })
            .collect()
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || client(n))).collect();
        clients.into_iter().map(|client| client.join()).collect()
    });
    let mut by = BTreeMap::new();
    for served in all {
        for machine in served.map_err(|_| "a client panicked")?? {
            *by.entry(machine).or_default() += 1;
        }
    }
    Ok(by)
}

/// Whether machine `i` has heard that m3 has no processor left and a load above that of the others.
fn sees_busy(cluster: &Cluster, i: usize) -> Option<bool> {
    let status = cluster.status(i)?;
    let mut load: BTreeMap<&str, f64> = BTreeMap::new();
    let mut idle = 1.0;
    for machine in status.get("machines")?.as_array()? {
        let name = machine.get("name")?.as_str()?;
        load.insert(name, machine.get("load")?.as_f64()?);
        if name == "m3" {
            idle = machine.get("cpu_idle")?.as_f64()?;
        }
    }
    let busy = load.remove("m3")?;
    Some(idle < 0.3 && load.values().all(|other| *other + 0.1 < busy))
}

fn writes_reach_one_machine() -> Result<(), Failed> {
    let mut cluster = Cluster::new(3, CgroupWish::No);
    let writes = "[[route]]\nname = \"writes\"\npath = \"/edit/\"\nchain = [\"byAge 5\", \"byHostname ^m3$\"]\nempty = \"refuse\"\n";
    let more = site(&cluster) + writes;
    (0..3).for_each(|i| {
        cluster.start(i, &more);
    });
    cluster.wait_until_known(&[0, 1, 2], 3);
    for n in 0..60 {
        let answer = cluster.get(n % 3, "/edit/page")?;
        if (answer.status, answer.by()) != (200, "m3") {
            return Err(
                format!("a write went to {:?} with status {}", answer.by(), answer.status).into()
            );
        }
    }
    cluster.process(2).kill9()?;
    cluster.wait_until_known(&[0, 1], 2);
    for i in [0, 1] {
        let (write, read) = (cluster.get(i, "/edit/page")?, cluster.get(i, "/page")?);
        if (write.status, read.status) != (503, 200) {
            return Err(format!(
                "without the database machine: write {}, read {}",
                write.status, read.status
            )
            .into());
        }
    }
    Ok(())
}

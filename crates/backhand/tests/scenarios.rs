//! The two worked scenarios of the mod_backhand paper, with real processes on real processor quotas.
//!
//! 1. A cluster in which one machine is busy with other work: it gets less.
//! 2. A portal whose writes must all reach the one machine with the database: they do, and when it is away they are refused.

mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use lab::{CgroupWish, Lab, LabConfig};
use libtest_mimic::{Arguments, Failed, Trial};
use support::Cluster;

fn main() -> ExitCode {
    lab::init();
    let namespaces = Lab::available().map(drop).map_err(|why| why.to_string());
    let quotas = namespaces.clone().and_then(|()| {
        let lab = Lab::start(LabConfig {
            machines: 1,
            cgroups: CgroupWish::IfPossible,
            ..LabConfig::default()
        });
        lab.map_err(|e| e.to_string())?.cgroup_trouble().map_or(Ok(()), Err)
    });
    let trial = |name: &str, needs: &Result<(), String>, run: fn() -> Result<(), Failed>| {
        let name = needs
            .as_ref()
            .err()
            .map_or_else(|| name.to_owned(), |why| format!("{name} (ignored: {why})"));
        Trial::test(name, run).with_ignored_flag(needs.is_err())
    };
    let trials = vec![
        trial("a_machine_busy_with_other_work_gets_less", &quotas, a_busy_machine_gets_less),
        trial(
            "writes_all_reach_the_database_machine_and_are_refused_when_it_is_away",
            &namespaces,
            writes_reach_one_machine,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn site(cluster: &Cluster) -> String {
    let site = cluster.folder().join("site");
    std::fs::create_dir_all(site.join("edit")).unwrap();
    std::fs::write(site.join("page"), "read").unwrap();
    std::fs::write(site.join("edit/page"), "written").unwrap();
    format!("[local]\ndirectory = \"{}\"\n", site.display())
}

fn a_busy_machine_gets_less() -> Result<(), Failed> {
    let mut cluster = Cluster::new(4, CgroupWish::Required);
    let more = site(&cluster)
        + "[measure]\nscope = \"cgroup\"\n[[route]]\nname = \"all\"\nchain = [\"byAge 5\", \"byCPU\"]\n";
    for i in 0..4 {
        cluster.lab.machine(i).throttle(Duration::from_millis(2), Duration::from_millis(5))?;
        cluster.start(i, &more);
    }
    cluster.wait_until_known(&[0, 1, 2, 3], 4);
    // The third machine does its nightly work: it burns all that its quota allows.
    let _burner = cluster.lab.machine(2).burn(1)?;
    wait_until_seen_busy(&cluster)?;
    let mut by: BTreeMap<String, u32> = BTreeMap::new();
    for n in 0..200 {
        let answer = cluster.get(n % 4, "/page")?;
        if answer.status != 200 {
            return Err(format!("status {}", answer.status).into());
        }
        *by.entry(answer.by().to_owned()).or_default() += 1;
    }
    println!("requests by machine, m3 busy: {by:?}");
    if by.get("m3").copied().unwrap_or(0) > 200 / 4 / 2 {
        return Err(format!("the busy machine got no less than the others: {by:?}").into());
    }
    Ok(())
}

/// Waits until each machine has heard that m3's processor is not idle.
fn wait_until_seen_busy(cluster: &Cluster) -> Result<(), Failed> {
    let deadline = std::time::Instant::now() + support::PATIENCE;
    for i in 0..4 {
        while !sees_busy(cluster, i).unwrap_or(false) {
            if std::time::Instant::now() > deadline {
                return Err(format!("m{} never heard that m3 is busy", i + 1).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

fn sees_busy(cluster: &Cluster, i: usize) -> Option<bool> {
    let status = cluster.status(i)?;
    let m3 = status.get("machines")?.as_array()?.iter().find(|m| m["name"] == "m3")?;
    Some(m3.get("cpu_idle_percent")?.as_f64()? < 30.0)
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

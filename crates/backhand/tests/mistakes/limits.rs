//! A disk that is full, descriptors that run out: the requests go on, and somebody is told.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::time::Duration;

use lab::{CgroupWish, Exit, Place};
use testkit::trial::Failed;

use crate::support::{self, Cluster, until};
use crate::{Named, says, stage};

pub(crate) const TRIALS: &[Named] = &[
    ("a_full_disk_under_the_access_log_costs_records_and_no_request", full_disk),
    ("without_descriptors_it_lives_and_serves_again", no_descriptors),
    ("more_open_files_than_descriptors_cost_nothing", many_files),
    ("a_log_that_cannot_be_written_stops_nothing", speechless),
];

fn warnings(cluster: &Cluster, i: usize) -> String {
    cluster.status(i).map(|status| status["warnings"].to_string()).unwrap_or_default()
}

fn full_disk() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let disk = cluster.folder().join("disk");
    fs::create_dir(&disk)?;
    let file = format!("{}/m1.access", cluster.folder().display());
    let text = cluster.base_config(0).replace(&file, &format!("{}/access", disk.display()))
        + "buffer = \"64KiB\"\n";
    cluster.start_as(0, &text, stage::small_disk(&disk));
    cluster.wait_until_served(0);
    let host = cluster.entry(0);
    let mut stream = cluster.lab.connect(host, support::PATIENCE)?;
    let lost = until("records are lost", || {
        for _ in 0..100 {
            assert_eq!(support::get(&mut stream, host, "/", "").unwrap().status, 200);
        }
        cluster.metric(0, "backhand_access_log_lost_total").filter(|&lost| lost > 0.0)
    });
    println!("lost {lost} records on a disk of {} bytes", stage::DISK);
    says(&warnings(&cluster, 0), &["access-log records were lost: the disk is full"])?;
    says(&cluster.said(0), &["The access log cannot be written; requests go on", "No space left"])?;
    // Its disk is seen through its process alone. With room again, records are written again.
    let seen = cluster.process(0).seen(disk.join("access"));
    assert!(fs::metadata(&seen)?.len() <= stage::DISK.into());
    fs::OpenOptions::new().write(true).open(&seen)?.set_len(0)?;
    until("the log is written again", || cluster.said(0).contains("written again").then_some(()));
    assert_eq!(support::get(&mut stream, host, "/after", "")?.status, 404);
    let log = until("a record after the hole is whole", || {
        let log = fs::read_to_string(&seen).ok()?;
        // What had waited may fill the disk again.
        if log.len() as u64 >= u64::from(stage::DISK) {
            fs::OpenOptions::new().write(true).open(&seen).ok()?.set_len(0).ok()?;
        }
        (log.ends_with('\n') && log.contains("/after")).then_some(log)
    });
    // Whatever was lost, no line is torn.
    let torn = log.lines().filter(|l| serde_json::from_str::<serde_json::Value>(l).is_err());
    assert_eq!(torn.collect::<Vec<_>>(), Vec::<&str>::new());
    Ok(())
}

/// A service on the machine that takes a descriptor for each request.
fn serve_ok(cluster: &Cluster) -> Result<SocketAddr, Failed> {
    let listener = cluster.lab.listen(Place::Machine(0), (cluster.address(0), 9000).into())?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut reader = BufReader::new(stream.try_clone()?);
                let mut line = String::new();
                while reader.read_line(&mut line)? > 2 {
                    line.clear();
                }
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            });
        }
    });
    Ok(address)
}

fn no_descriptors() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let service = serve_ok(&cluster)?;
    let text = cluster.base_config(0) + &format!("[local]\nserver = \"{service}\"\n");
    cluster.start_as(0, &text, stage::descriptors(64));
    cluster.wait_until_served(0);
    let host = cluster.entry(0);
    let mut early = cluster.lab.connect(host, support::PATIENCE)?;
    assert_eq!(support::get(&mut early, host, "/", "")?.status, 200);
    let crowd: Vec<_> =
        (0..150).filter_map(|_| cluster.lab.connect(host, Duration::from_secs(1)).ok()).collect();
    assert!(crowd.len() > 64, "only {} connections", crowd.len());
    // Who is in goes on being served, and can read that something is wrong.
    let told = until("it says that descriptors are short", || {
        let page = support::get(&mut early, host, "/backhand/status.json", "").unwrap();
        let text = String::from_utf8(page.body).unwrap();
        text.contains("File descriptors are short").then_some(text)
    });
    says(&told, &["LimitNOFILE"])?;
    // And who comes now is served at once: one of the silent crowd makes room, and the service has descriptors left.
    for _ in 0..5 {
        assert_eq!(cluster.get(0, "/")?.status, 200);
    }
    assert!(cluster.process(0).is_running());
    drop(crowd);
    until("it takes clients again", || cluster.get(0, "/").ok().filter(|a| a.status == 200));
    let made_room = cluster.metric(0, "backhand_connections_closed_for_room_total");
    assert!(made_room.is_some_and(|n| n > 0.0), "{made_room:?}");
    assert_eq!(cluster.metric(0, "backhand_accepts_exhausted_total"), Some(0.0));
    Ok(())
}

/// Large files are kept open between requests, but not at the price of serving.
fn many_files() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let site = cluster.folder().join("site");
    fs::create_dir(&site)?;
    for i in 0..150 {
        fs::write(site.join(i.to_string()), vec![b'x'; 70_000])?;
    }
    let text = cluster.base_config(0) + &format!("[local]\ndirectory = \"{}\"\n", site.display());
    cluster.start_as(0, &text, stage::descriptors(64));
    cluster.wait_until_served(0);
    for i in 0..150 {
        assert_eq!(cluster.get(0, &format!("/{i}"))?.status, 200, "{i}");
    }
    let said = cluster.said(0);
    assert!(!said.contains("unwell"), "{said}");
    Ok(())
}

/// Whatever becomes of its words, it serves, notices that its service comes back, and ends in order.
fn speechless() -> Result<(), Failed> {
    for how in ["blocked", "closed", "full"] {
        let mut cluster = Cluster::new(1, CgroupWish::No);
        let service = SocketAddr::from((cluster.address(0), 9000));
        let text = cluster.base_config(0) + &format!("[local]\nserver = \"{service}\"\n");
        cluster.start_as(0, &text, stage::speechless(how));
        until("it answers", || cluster.get(0, "/").ok().filter(|a| a.status == 502));
        let is_usable = |cluster: &Cluster| cluster.status(0)?["machines"][0]["usable"].as_bool();
        until("its service is known to be away", || is_usable(&cluster).filter(|usable| !usable));
        serve_ok(&cluster)?;
        until("its service is known to be back", || is_usable(&cluster).filter(|&usable| usable));
        assert_eq!(cluster.get(0, "/")?.status, 200, "{how}");
        cluster.process(0).term()?;
        let exit = cluster.process(0).wait_timeout(support::PATIENCE).ok_or("it does not end")?;
        assert_eq!(exit, Exit::Code(0), "{how}");
    }
    Ok(())
}

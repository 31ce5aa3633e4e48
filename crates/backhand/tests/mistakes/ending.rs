//! Signals: an orderly end, an end at once, a log opened anew.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use lab::{CgroupWish, Exit, Place};
use rustix::process::Signal;
use testkit::trial::Failed;

use crate::support::{self, Cluster, PATIENCE, until};
use crate::{Named, says};

pub(crate) const TRIALS: &[Named] = &[
    ("asked_to_end_it_finishes_what_is_in_flight_and_takes_nothing_new", drains),
    ("asked_again_it_ends_at_once", ends_at_once),
    ("asked_to_end_in_an_upgrade_it_finishes_what_is_in_flight_and_ends", ends_an_upgrade),
    ("asked_to_reopen_it_writes_to_a_new_access_log", reopens),
];

/// An application that answers `/slow` when it is told to.
struct Application {
    at: SocketAddr,
    /// One word for each slow request that has arrived.
    arrived: Receiver<Sender<()>>,
}

impl Application {
    fn start(cluster: &Cluster) -> Result<Self, Failed> {
        let listener =
            cluster.lab.listen(Place::Client, (cluster.lab.client_address(), 0).into())?;
        let at = listener.local_addr()?;
        let (tell, arrived) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tell = tell.clone();
                std::thread::spawn(move || answer(stream, &tell));
            }
        });
        Ok(Self { at, arrived })
    }

    fn section(&self) -> String {
        format!("[local]\nserver = \"http://{}\"\n", self.at)
    }
}

/// Serves one connection to its end.
fn answer(mut stream: TcpStream, tell: &Sender<Sender<()>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        if head.starts_with(b"GET /slow") {
            let (go, gone) = channel();
            // The test may have what it wanted; then nobody is left to tell.
            let _ = tell.send(go);
            let _ = gone.recv();
        }
        head.clear();
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").is_err() {
            return;
        }
    }
}

/// A machine with a request in flight: the client's connection, and what lets the request end.
fn with_a_request_in_flight(
    cluster: &mut Cluster,
    patience: &str,
) -> Result<(TcpStream, Sender<()>), Failed> {
    let application = Application::start(cluster)?;
    let text = cluster
        .base_config(0)
        .replace("workers = 1\n", &format!("workers = 1\ndrain_timeout = \"{patience}\"\n"));
    cluster.start_as(0, &(text + &application.section()), lab::Spawn::new(support::PROGRAM));
    cluster.wait_until_served(0);
    let mut stream = cluster.lab.connect(cluster.entry(0), PATIENCE)?;
    write!(stream, "GET /slow HTTP/1.1\r\nHost: {}\r\n\r\n", cluster.entry(0))?;
    let go = application.arrived.recv_timeout(PATIENCE)?;
    Ok((stream, go))
}

fn wait_until_closed(cluster: &Cluster) {
    until("nobody is let in any more", || {
        cluster.lab.connect(cluster.entry(0), Duration::from_secs(1)).err()
    });
}

fn drains() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let (mut stream, go) = with_a_request_in_flight(&mut cluster, "1h")?;
    cluster.process(0).term()?;
    wait_until_closed(&cluster);
    assert!(cluster.process(0).is_running(), "{}", cluster.said(0));
    go.send(())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    says(&answer, &["HTTP/1.1 200", "\r\n\r\ndone"])?;
    let exit = cluster.process(0).wait_timeout(PATIENCE).ok_or("it does not end")?;
    assert_eq!(exit, Exit::Code(0), "{}", cluster.said(0));
    says(&cluster.said(0), &["draining; a second signal ends at once", "ended"])
}

fn ends_at_once() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let (mut stream, _go) = with_a_request_in_flight(&mut cluster, "1h")?;
    cluster.process(0).term()?;
    wait_until_closed(&cluster);
    cluster.process(0).signal(Signal::INT)?;
    let exit = cluster.process(0).wait_timeout(PATIENCE).ok_or("it does not end")?;
    assert_eq!(exit, Exit::Code(0), "{}", cluster.said(0));
    says(&cluster.said(0), &["told again to end: cutting what is in progress"])?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = Vec::new();
    // Closed or reset, but not answered.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    Ok(())
}

fn ends_an_upgrade() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let (mut stream, go) = with_a_request_in_flight(&mut cluster, "1h")?;
    cluster.process(0).signal(Signal::USR2)?;
    wait_until_closed(&cluster);
    assert!(cluster.process(0).is_running(), "{}", cluster.said(0));
    cluster.process(0).term()?;
    until("it has heard that", || {
        cluster.said(0).contains("told to end while upgrading").then_some(())
    });
    go.send(())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    says(&answer, &["HTTP/1.1 200", "\r\n\r\ndone"])?;
    let exit = cluster.process(0).wait_timeout(PATIENCE).ok_or("it does not end")?;
    let said = cluster.said(0);
    assert_eq!(exit, Exit::Code(0), "{said}");
    assert!(!said.contains("told again to end"), "{said}");
    assert!(!said.contains("becoming the next image"), "{said}");
    says(&said, &["told to end: not upgraded"])
}

fn reopens() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    cluster.start(0, "");
    cluster.wait_until_served(0);
    let (log, old) = (cluster.folder().join("m1.access"), cluster.folder().join("m1.access.1"));
    assert!(!cluster.access_log(0)?.iter().any(|record| record["target"] == "/after"));
    fs::rename(&log, &old)?;
    cluster.process(0).signal(Signal::HUP)?;
    until("there is a new file", || log.exists().then_some(()));
    cluster.get(0, "/after")?;
    assert!(cluster.access_log(0)?.iter().any(|record| record["target"] == "/after"));
    assert!(!fs::read_to_string(&old)?.contains("/after"));
    says(&cluster.said(0), &["reopening the access log"])
}

//! The checker against real sockets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::config;

const PATIENCE: Duration = Duration::from_secs(20);

fn local(service: Service, check: HealthCheck) -> Local {
    let mut local = config::Config::check(&config::Sections::default()).unwrap().local;
    local.service = service;
    local.health = Health {
        check,
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(200),
        rise: 2,
        fall: 2,
    };
    local
}

fn start(local: &Local) -> (Checker, Receiver<(bool, String)>) {
    let (to, verdicts) = channel();
    let report = move |well, why: &str| {
        // The test may have heard enough.
        let _ = to.send((well, why.to_owned()));
    };
    (Checker::start(local, report).unwrap().unwrap(), verdicts)
}

/// Answers every request on the listener with the next of these, the last one for ever.
fn serve(listener: TcpListener, answers: &'static [&'static str]) {
    thread::spawn(move || {
        for (i, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answers[i.min(answers.len() - 1)].as_bytes());
        }
    });
}

#[test]
fn a_server_that_stops_listening_is_unwell_at_once_and_returns_when_it_listens_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (checker, verdicts) = start(&local(Service::Server(address), HealthCheck::Connect));
    assert!(verdicts.recv_timeout(PATIENCE).unwrap().0);
    drop(listener);
    checker.check_now();
    let (well, why) = verdicts.recv_timeout(PATIENCE).unwrap();
    assert!(!well && why.contains(&address.to_string()), "{why}");
    let _again = TcpListener::bind(address).unwrap();
    assert!(verdicts.recv_timeout(PATIENCE).unwrap().0);
}

#[test]
fn a_path_that_answers_with_an_error_is_unwell() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener, &["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 500 Oh\r\n\r\n"]);
    let check = HealthCheck::Path("/ready".into());
    let (_checker, verdicts) = start(&local(Service::Server(address), check));
    assert_eq!(
        verdicts.recv_timeout(PATIENCE).unwrap(),
        (true, "GET /ready is answered with 204".into())
    );
    assert_eq!(
        verdicts.recv_timeout(PATIENCE).unwrap(),
        (false, "GET /ready is answered with 500".into())
    );
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_unwell() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let check = HealthCheck::Path("/".into());
    let (_checker, verdicts) = start(&local(Service::Server(address), check));
    assert!(!verdicts.recv_timeout(PATIENCE).unwrap().0);
}

#[test]
fn a_server_that_speaks_something_else_is_unwell() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener, &["SSH-2.0-OpenSSH_9.2p1\r\n"]);
    let check = HealthCheck::Path("/".into());
    let (_checker, verdicts) = start(&local(Service::Server(address), check));
    let (well, why) = verdicts.recv_timeout(PATIENCE).unwrap();
    assert!(!well && why.contains("not answered in HTTP/1"), "{why}");
}

#[test]
fn a_unix_socket_is_checked_like_a_port() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 302 Found\r\n\r\n");
        }
    });
    let check = HealthCheck::Path("/".into());
    let (_checker, verdicts) = start(&local(Service::Unix(path.clone()), check));
    assert!(verdicts.recv_timeout(PATIENCE).unwrap().0);
    std::fs::remove_file(path).unwrap();
    assert!(!verdicts.recv_timeout(PATIENCE).unwrap().0);
}

#[test]
fn a_directory_is_well_while_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("site");
    std::fs::create_dir(&root).unwrap();
    let options = files::Options { root: Some(root.clone()), ..files::Options::default() };
    let (_checker, verdicts) = start(&local(Service::Files(options), HealthCheck::Connect));
    assert!(verdicts.recv_timeout(PATIENCE).unwrap().0);
    std::fs::remove_dir(&root).unwrap();
    let (well, why) = verdicts.recv_timeout(PATIENCE).unwrap();
    assert!(!well && why.contains("does not exist"), "{why}");
}

#[test]
fn nothing_is_checked_where_there_is_nothing_to_check() {
    let welcome = Service::Files(files::Options::default());
    assert!(Checker::start(&local(welcome, HealthCheck::Connect), |_, _| {}).unwrap().is_none());
    let server = Service::Server("127.0.0.1:9".parse().unwrap());
    assert!(Checker::start(&local(server, HealthCheck::Off), |_, _| {}).unwrap().is_none());
}

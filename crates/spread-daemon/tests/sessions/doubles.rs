//! Daemons with one name that have clients before they meet.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use spread_daemon::Daemon;
use tempfile::TempDir;
use testkit::certificates;

use super::client::{self, Client, PATIENCE};

fn local(folder: &Path, name: &str) -> Client<UnixStream> {
    let stream = UnixStream::connect(folder.join("socket")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::connect(stream, name).unwrap()
}

#[test]
fn a_daemon_that_meets_an_older_one_of_its_name_ends_its_sessions_until_that_one_is_gone() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    folders.iter().for_each(|folder| certificates::write(folder.path()));
    let young = client::config(folders[1].path(), "server", "");
    let seeds = format!("seeds = [\"127.0.79.1:{}\"]", young.data.port);
    // It says nothing before it runs.
    let older = Daemon::open(client::config(folders[0].path(), "server", &seeds)).unwrap();
    // Ages are told in milliseconds.
    std::thread::sleep(Duration::from_millis(20));
    let younger = Daemon::open(young).unwrap();
    let stoppers = [older.stopper(), younger.stopper()];
    let doubles = [older.doubles(), younger.doubles()];
    let run = |daemon: Daemon| std::thread::spawn(move || daemon.run().unwrap());

    let younger = run(younger);
    let mut alice = local(folders[1].path(), "alice");
    alice.join("room");
    assert_eq!(alice.view(), 1);
    assert!(!doubles[1].is_refused());

    let older = run(older);
    assert_eq!(alice.receive().err().as_deref(), Some("closed"));
    assert!(doubles[1].is_refused() && doubles[1].had_namesake());
    let begun = Instant::now();
    while doubles[0].pushed_out() == 0 {
        assert!(begun.elapsed() < PATIENCE, "the older one does not notice it");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!doubles[0].is_refused() && !doubles[0].had_namesake());

    // Who comes meanwhile waits for a view.
    let mut bob = local(folders[1].path(), "bob");
    bob.join("room");
    stoppers[0].stop();
    older.join().unwrap();
    assert_eq!(bob.view(), 1);
    assert!(!doubles[1].is_refused() && doubles[1].had_namesake());
    stoppers[1].stop();
    younger.join().unwrap();
}

//! The whole way from a record to a file, on disks good and bad.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::pen::Sink;
use super::record::tests::example;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn config(path: &Path) -> config::AccessLog {
    config::AccessLog {
        target: LogTarget::File(path.into()),
        format: LogFormat::Combined,
        peers: false,
        buffer: 1 << 20,
    }
}

/// Waits until what is observed holds: the writer is a thread of its own.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn records_of_several_workers_are_whole_lines_in_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    fs::write(&path, "what was there before\n").unwrap();
    let log = AccessLog::start(&config(&path)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let mut recorder = log.recorder();
            scope.spawn(move || {
                for i in 0..1000 {
                    recorder.record(&example(), Instant::from_millis(i));
                }
            });
        }
    });
    assert!(log.finish(PATIENCE));
    let lines = lines(&path);
    assert_eq!(lines.len(), 3001);
    assert_eq!(lines[0], "what was there before");
    assert!(
        lines[1..].iter().all(|l| l.starts_with("10.0.5.7 - - [") && l.ends_with("\"curl/8\""))
    );
}

#[test]
fn a_lonely_record_is_written_soon() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::start(&config(&path)).unwrap();
    let mut recorder = log.recorder();
    let now = Instant::from_millis(1000);
    recorder.record(&example(), now);
    recorder.tick(now + Duration::from_millis(100));
    assert_eq!(recorder.lines, 1, "others may come");
    recorder.tick(now + LINGER);
    assert_eq!(recorder.lines, 0);
    until("the line is in the file", || lines(&path).len() == 1);
    assert_eq!(log.lost(), 0);
}

#[test]
fn a_renamed_file_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let log = AccessLog::start(&config(&path)).unwrap();
    let mut recorder = log.recorder();
    let mut record = || {
        recorder.record(&example(), Instant::ORIGIN);
        recorder.flush();
    };
    record();
    until("the first line is written", || lines(&path).len() == 1);
    fs::rename(&path, &old).unwrap();
    record();
    until("the renamed file is still written", || lines(&old).len() == 2);
    log.reopen();
    until("the new file is there", || path.exists());
    record();
    until("the new file is written", || lines(&path).len() == 1);
    assert_eq!(lines(&old).len(), 2);
}

#[test]
fn a_file_that_cannot_be_opened_anew_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (sub, moved) = (dir.path().join("logs"), dir.path().join("moved"));
    fs::create_dir(&sub).unwrap();
    let log = AccessLog::start(&config(&sub.join("access.log"))).unwrap();
    fs::rename(&sub, &moved).unwrap();
    log.reopen();
    let mut recorder = log.recorder();
    recorder.record(&example(), Instant::ORIGIN);
    drop(recorder);
    assert!(log.finish(PATIENCE));
    assert_eq!(lines(&moved.join("access.log")).len(), 1);
}

#[test]
fn a_full_disk_loses_records_counts_them_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (path, real) = (dir.path().join("access.log"), dir.path().join("real.log"));
    symlink("/dev/full", &path).unwrap();
    let log = AccessLog::start(&config::AccessLog { buffer: 64 << 10, ..config(&path) }).unwrap();
    let mut recorder = log.recorder();
    let mut sent = 0;
    while log.lost() == 0 {
        recorder.record(&example(), Instant::ORIGIN);
        sent += 1;
        assert!(sent < 1_000_000, "a bounded buffer is full some time");
    }
    recorder.flush();
    // Somebody makes room.
    fs::remove_file(&path).unwrap();
    symlink(&real, &path).unwrap();
    log.reopen();
    until("the disk is written again", || !lines(&real).is_empty());
    recorder.record(&example(), Instant::ORIGIN);
    drop(recorder);
    let lost = log.lost_counter();
    assert!(log.finish(PATIENCE));
    let written = lines(&real);
    assert_eq!(written.len() as u64 + lost.get(), sent + 1, "every record is written or counted");
    assert!(written.iter().all(|line| line.ends_with("\"curl/8\"")));
}

#[test]
fn the_end_does_not_wait_for_a_disk_that_stays_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    symlink("/dev/full", &path).unwrap();
    let log = AccessLog::start(&config(&path)).unwrap();
    let mut recorder = log.recorder();
    (0..5).for_each(|_| recorder.record(&example(), Instant::ORIGIN));
    drop(recorder);
    let lost = log.lost_counter();
    assert!(log.finish(PATIENCE));
    assert_eq!(lost.get(), 5);
}

/// A disk that takes nothing until it is told to, and holds up whoever writes.
struct Stuck(Arc<Mutex<Vec<u8>>>);

impl Sink for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn len(&self) -> Option<u64> {
        None
    }
}

#[test]
fn a_disk_that_hangs_holds_up_nobody_but_the_writer() {
    let disk = Arc::new(Mutex::new(Vec::new()));
    let hang = disk.lock().unwrap();
    let writer = Writer::start(Stuck(disk.clone()), |_| Ok(()), 64 << 10).unwrap();
    let (queue, lost) = (writer.queue(), writer.lost());
    for _ in 0..100 {
        queue.put(&mut b"a line of thirty-two bytes, yes\n".repeat(100), 100);
    }
    // At most the limit waits, and one batch is in the writer's hands.
    assert!(lost.get() >= 10_000 - 2048 - 100, "{}", lost.get());
    drop(hang);
    assert!(writer.finish(PATIENCE));
    let written = disk.lock().unwrap().len() as u64 / 32;
    assert_eq!(written + lost.get(), 10_000);
}

#[test]
fn a_log_that_is_off_costs_nothing_and_says_so() {
    let off = config::AccessLog { target: LogTarget::Off, peers: true, ..config(Path::new("/")) };
    let log = AccessLog::start(&off).unwrap();
    let mut recorder = log.recorder();
    assert!(!recorder.is_on() && !recorder.wants_peers());
    recorder.record(&example(), Instant::ORIGIN);
    assert!(recorder.batch.is_empty());
    log.reopen();
    assert!(log.finish(PATIENCE));
}

#[test]
fn an_impossible_file_is_an_error_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    for (path, words) in [
        (dir.path().join("no/such/access.log"), "create its directory"),
        (dir.path().to_path_buf(), "name a file in it"),
    ] {
        let said = AccessLog::start(&config(&path)).unwrap_err().to_string();
        assert!(said.contains(words) && said.contains(path.to_str().unwrap()), "{said}");
    }
}

//! An application that needs a processor: each request burns a few milliseconds of it, which take longer where others burn too.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use lab::{Output, Spawn};
use rustix::time::{ClockId, clock_gettime};

/// Where it listens, in its own machine.
pub(crate) const ADDRESS: &str = "127.0.0.1:9000";
const WORD: &str = "BACKHAND_TEST_APPLICATION";
/// Processor time of a request.
const WORK: Duration = Duration::from_millis(4);

/// This test binary, to be run as the application.
pub(crate) fn spawn() -> Spawn {
    Spawn::myself().env(WORD, "1").stdout(Output::Null)
}

/// Takes over when this process is to be the application; otherwise returns at once.
pub(crate) fn init() {
    if std::env::var_os(WORD).is_none() {
        return;
    }
    let listener = TcpListener::bind(ADDRESS).unwrap();
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

/// Serves one connection to its end.
fn serve(mut stream: TcpStream) {
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        head.extend_from_slice(&piece[..n]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        head.clear();
        work();
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").is_err() {
            return;
        }
    }
}

fn work() {
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let end = used() + WORK;
    while used() < end {
        std::hint::spin_loop();
    }
}

//! A loop that is late, which a test from outside cannot arrange to the point.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::thread;

use super::*;

/// A server on a thread of its own that answers one request at once.
fn prompt_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    address
}

/// A run of 100 ms whose loop stands still for 300 ms after it has begun to connect.
fn stalled(forgive: bool) -> Option<Result<(), String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kind = CheckKind::Http {
            address: prompt_server(),
            path: "/".to_owned(),
            host: "localhost".to_owned(),
            status: vec![200..=200],
            contains: None,
        };
        let (interval, timeout) = (Duration::from_secs(1), Duration::from_millis(100));
        let check = Check { name: "web".to_owned(), kind, interval, timeout, rise: 1, fall: 1 };
        let mut command = command::Command::default();
        let mut run = pin!(once(&check, None, &mut command, forgive));
        let begun = std::future::poll_fn(|context| {
            std::task::Poll::Ready(run.as_mut().poll(context).is_pending())
        });
        assert!(begun.await);
        thread::sleep(Duration::from_millis(300));
        run.await
    })
}

#[test]
fn a_run_that_only_our_own_loop_made_late_does_not_count() {
    assert_eq!(stalled(true), None);
}

#[test]
fn a_loop_that_is_late_for_ever_is_no_excuse() {
    assert_eq!(stalled(false), Some(Err("no answer within 100 ms".to_owned())));
}

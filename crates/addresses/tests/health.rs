//! Health checks with real sockets and real programs.

// A failed unwrap in a test is a failed test with its line.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use addresses::config::{Check, CheckKind};
use addresses::health::{Health, Standing, Verdict};
use testkit::trial::{self, Trial};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Every 20 ms, a limit of 2 s, up after two, down after three.
fn check(kind: CheckKind) -> Check {
    Check {
        name: "web".to_owned(),
        kind,
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
    }
}

fn within(check: Check, millis: u64) -> Check {
    Check { timeout: Duration::from_millis(millis), ..check }
}

fn http(address: SocketAddr, contains: Option<&str>) -> Check {
    check(CheckKind::Http {
        address,
        path: "/health".to_owned(),
        host: "www.example.org".to_owned(),
        status: vec![200..=299, 304..=304],
        contains: contains.map(str::to_owned),
    })
}

fn command(script: &str) -> Check {
    check(CheckKind::Command {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        exit: 0,
    })
}

async fn verdict(health: &mut Health) -> Verdict {
    timeout(Duration::from_secs(20), health.next()).await.expect("no change within 20 s")
}

/// The first verdict of one check.
fn first(check: Check) -> Verdict {
    block_on(async { verdict(&mut Health::new(vec![check], None)).await })
}

/// A server that reads a request and sends these pieces, a moment between them, for ever the same.
async fn server(pieces: Vec<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1000];
            let n = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            assert!(
                n == 0 || request.starts_with("GET /health HTTP/1.1\r\nHost: www.example.org\r\n"),
                "{request}"
            );
            for piece in &pieces {
                // A checker that has seen enough hangs up.
                let _ = stream.write_all(piece).await;
                sleep(Duration::from_millis(5)).await;
            }
        }
    });
    address
}

/// The first verdict on a server that answers so.
fn answered(pieces: Vec<&'static [u8]>, contains: Option<&'static str>) -> Verdict {
    block_on(async {
        let address = server(pieces).await;
        let check = within(http(address, contains), 500);
        let mut verdict = verdict(&mut Health::new(vec![check], None)).await;
        verdict.why = verdict.why.replace(&address.to_string(), "SERVER");
        verdict
    })
}

fn a_machine_without_checks_is_healthy() {
    block_on(async {
        let mut health = Health::new(Vec::new(), None);
        assert!(health.verdict().healthy);
        assert!(timeout(Duration::from_millis(50), health.next()).await.is_err());
    });
}

fn a_machine_is_unhealthy_until_every_check_has_passed_once() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = check(CheckKind::Tcp { address: listener.local_addr().unwrap() });
        let slow = Check { name: "slow".to_owned(), ..command("sleep 0.5") };
        let mut health = Health::new(vec![tcp, slow], None);
        assert!(!health.verdict().healthy);
        let one = verdict(&mut health).await;
        assert_eq!((one.healthy, &one.why[..]), (false, "check web: passes"));
        let both = verdict(&mut health).await;
        assert_eq!((both.healthy, &both.why[..]), (true, "check slow: passes"));
        assert_eq!(health.verdict().why, "all checks pass");
    });
}

fn a_refused_connection_is_named_and_counted() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut health = Health::new(vec![check(CheckKind::Tcp { address })], None);
        assert!(verdict(&mut health).await.healthy);
        drop(listener);
        let down = verdict(&mut health).await;
        assert!(!down.healthy);
        assert_eq!(
            down.why,
            format!("check web: 3 failures in a row, last: connection refused by {address}")
        );
        let state = health.state().next().unwrap();
        assert_eq!((state.standing, state.failures), (Standing::Down, 3));
        let _listener = TcpListener::bind(address).await.unwrap();
        assert!(verdict(&mut health).await.healthy);
        assert_eq!(health.state().next().unwrap().passes, 2);
    });
}

fn a_good_status_passes_and_the_answer_may_come_in_pieces() {
    for pieces in [
        vec![&b"HTTP/1.1 204 No Content\r\n\r\n"[..]],
        vec![b"HTTP/1.1 3", b"04 Not Modified\r\n\r", b"\n"],
        vec![b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.0 200 OK\r\n\r\n"],
    ] {
        let verdict = answered(pieces, None);
        assert!(verdict.healthy, "{verdict:?}");
    }
}

fn another_status_fails_and_is_named() {
    let verdict = answered(vec![b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"], None);
    assert_eq!(
        (verdict.healthy, &verdict.why[..]),
        (false, "check web: 3 failures in a row, last: status 503 from SERVER/health")
    );
}

fn a_word_in_the_body_is_found_wherever_it_is_cut() {
    for pieces in [
        vec![&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall"[..], b" is go", b"od"],
        vec![
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nis g\r\n",
            b"3\r\nood\r\n0\r\n\r\n",
        ],
        vec![b"HTTP/1.1 200 OK\r\n\r\nall is good"],
    ] {
        let verdict = answered(pieces, Some("is go"));
        assert!(verdict.healthy, "{verdict:?}");
    }
}

fn a_word_that_is_not_in_the_body_fails() {
    let verdict = answered(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"], Some("good"));
    let last = "check web: 3 failures in a row, last: \"good\" is not in the body of 3 bytes";
    assert_eq!((verdict.healthy, &verdict.why[..]), (false, last));
}

fn a_body_without_end_is_not_read_for_ever() {
    static MUCH: [u8; 32 * 1024] = [b'x'; 32 * 1024];
    let verdict = answered(vec![b"HTTP/1.1 200 OK\r\n\r\n", &MUCH, &MUCH, &MUCH], Some("good"));
    let last = "check web: 3 failures in a row, last: \"good\" is not in the first 64 KiB";
    assert_eq!((verdict.healthy, &verdict.why[..]), (false, last));
}

fn answers_that_are_none_fail_with_the_reason() {
    for (pieces, why) in [
        (vec![], "SERVER closed the connection without an answer"),
        (vec![&b"SSH-2.0-OpenSSH\r\n"[..]], "SERVER answers no HTTP that can be understood: "),
        (vec![b"HTTP/1.1 100 Continue\r\n\r\n"], "SERVER closed the connection without an answer"),
    ] {
        let verdict = answered(pieces, None);
        assert!(!verdict.healthy && verdict.why.contains(why), "{verdict:?}");
    }
}

fn a_server_that_says_nothing_fails_by_the_limit() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = within(http(listener.local_addr().unwrap(), None), 50);
        let down = verdict(&mut Health::new(vec![silent], None)).await;
        assert_eq!(down.why, "check web: 3 failures in a row, last: no answer within 50 ms");
    });
}

fn a_command_is_judged_by_its_exit_status() {
    assert!(first(command("exit 0")).healthy);
    let wanted = Check {
        kind: CheckKind::Command { argv: vec!["/bin/false".to_owned()], exit: 1 },
        ..command("")
    };
    assert!(first(wanted).healthy);
    let down = first(command("echo disk is full; exit 3"));
    assert_eq!(down.why, "check web: 3 failures in a row, last: exit status 3: disk is full");
}

fn a_command_that_hangs_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("sleep 60 & echo $! >> {}/pids; wait", folder.path().display());
    let down = first(within(command(&script), 100));
    assert!(!down.healthy);
    assert!(down.why.contains("killed after 100 ms without an end"), "{down:?}");
    let pids = std::fs::read_to_string(folder.path().join("pids")).unwrap();
    assert!(pids.lines().count() >= 3);
    for pid in pids.lines() {
        let deadline = Instant::now() + Duration::from_secs(10);
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The last run may have been cut short by the test's end; a zombie is dead.
        while !(stat().is_empty() || stat().contains(") Z ")) {
            assert!(Instant::now() < deadline, "{}", stat());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn a_command_that_does_not_exist_is_named() {
    let argv = vec!["/nowhere/check".to_owned()];
    let down = first(check(CheckKind::Command { argv, exit: 0 }));
    assert_eq!(
        down.why,
        "check web: 3 failures in a row, last: /nowhere/check: No such file or directory (os error 2)"
    );
}

fn how_long_the_last_run_took_is_told_of_one_that_could_not_begin_as_well() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("sleep");
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let argv = [program.to_str().unwrap(), "1"].map(str::to_owned).to_vec();
        let slow = check(CheckKind::Command { argv, exit: 0 });
        let mut health = Health::new(vec![slow], None);
        assert!(verdict(&mut health).await.healthy);
        let took = |health: &Health| health.state().next().unwrap().took;
        assert!(took(&health) >= Duration::from_secs(1), "{:?}", took(&health));
        std::fs::remove_file(&program).unwrap();
        let down = verdict(&mut health).await;
        assert!(!down.healthy && took(&health) < Duration::from_secs(1), "{down:?}");
    });
}

fn a_check_slower_than_its_interval_never_runs_twice_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let script = format!("mkdir {0} || exit 1; sleep 0.2; rmdir {0}", lock.display());
    block_on(async {
        let check = Check { interval: Duration::from_millis(1), fall: 1, ..command(&script) };
        let mut health = Health::new(vec![check], None);
        assert!(verdict(&mut health).await.healthy);
        let more = timeout(Duration::from_millis(1500), health.next()).await;
        assert!(more.is_err(), "{more:?}");
    });
}

fn the_balancer_is_asked_and_its_end_is_a_failure() {
    block_on(async {
        let (say, hear) = watch::channel(Ok(()));
        let check = || check(CheckKind::Balancer);
        let mut health = Health::new(vec![check()], Some(hear));
        assert!(verdict(&mut health).await.healthy);
        say.send(Err("its local server refuses".to_owned())).unwrap();
        let down = verdict(&mut health).await;
        assert_eq!(down.why, "check web: 3 failures in a row, last: its local server refuses");
        say.send(Ok(())).unwrap();
        assert!(verdict(&mut health).await.healthy);
        drop(say);
        assert!(verdict(&mut health).await.why.ends_with("the balancer has ended"));
        let without = verdict(&mut Health::new(vec![check()], None)).await;
        assert!(without.why.contains("this program runs no balancer"), "{without:?}");
    });
}

fn all_checks_end_with_the_health() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("echo run >> {}/runs; sleep 0.01", folder.path().display());
    block_on(async {
        let mut health = Health::new(vec![command(&script)], None);
        assert!(verdict(&mut health).await.healthy);
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        assert!(tasks() > 0, "nothing would run it again");
        drop(health);
        // What would begin the next run is gone once the runtime has come round.
        let ended = async {
            while tasks() > 0 {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(Duration::from_secs(10), ended).await.is_ok(), "a check runs on");
    });
}

fn main() -> ExitCode {
    addresses::hooks::init();
    trial::run(vec![
        case("a_machine_without_checks_is_healthy", a_machine_without_checks_is_healthy),
        case(
            "a_machine_is_unhealthy_until_every_check_has_passed_once",
            a_machine_is_unhealthy_until_every_check_has_passed_once,
        ),
        case(
            "a_refused_connection_is_named_and_counted",
            a_refused_connection_is_named_and_counted,
        ),
        case(
            "a_good_status_passes_and_the_answer_may_come_in_pieces",
            a_good_status_passes_and_the_answer_may_come_in_pieces,
        ),
        case("another_status_fails_and_is_named", another_status_fails_and_is_named),
        case(
            "a_word_in_the_body_is_found_wherever_it_is_cut",
            a_word_in_the_body_is_found_wherever_it_is_cut,
        ),
        case("a_word_that_is_not_in_the_body_fails", a_word_that_is_not_in_the_body_fails),
        case("a_body_without_end_is_not_read_for_ever", a_body_without_end_is_not_read_for_ever),
        case(
            "answers_that_are_none_fail_with_the_reason",
            answers_that_are_none_fail_with_the_reason,
        ),
        case(
            "a_server_that_says_nothing_fails_by_the_limit",
            a_server_that_says_nothing_fails_by_the_limit,
        ),
        case("a_command_is_judged_by_its_exit_status", a_command_is_judged_by_its_exit_status),
        case(
            "a_command_that_hangs_is_killed_with_its_children",
            a_command_that_hangs_is_killed_with_its_children,
        ),
        case("a_command_that_does_not_exist_is_named", a_command_that_does_not_exist_is_named),
        case(
            "how_long_the_last_run_took_is_told_of_one_that_could_not_begin_as_well",
            how_long_the_last_run_took_is_told_of_one_that_could_not_begin_as_well,
        ),
        case(
            "a_check_slower_than_its_interval_never_runs_twice_at_once",
            a_check_slower_than_its_interval_never_runs_twice_at_once,
        ),
        case(
            "the_balancer_is_asked_and_its_end_is_a_failure",
            the_balancer_is_asked_and_its_end_is_a_failure,
        ),
        case("all_checks_end_with_the_health", all_checks_end_with_the_health),
    ])
}

fn case(name: &str, run: fn()) -> Trial {
    trial::trial(name, &Ok(()), move || {
        run();
        Ok(())
    })
}

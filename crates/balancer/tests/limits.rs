//! Overload, descriptors at their limit, and the orderly end.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use balancer::{PageReply, PageRequest, Pages};
use common::*;

/// An origin that answers only when told to.
fn held() -> (Origin, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::wires(move |mut wire| {
        while wire.head().is_some() {
            let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            wire.send(plain("done"));
        }
    });
    (origin, go)
}

fn limited(origin: &Origin, more: &str) -> Plan {
    configured(&format!("[local]\nserver = \"{}\"\nhealth = \"off\"\n{more}\n", origin.address))
}

#[test]
fn beyond_limit_and_queue_a_request_is_refused_at_once() {
    let (origin, go) = held();
    let machine = limited(&origin, "limit = 1\nqueue = 1\nqueue_time = \"10s\"").start();
    let ask = || {
        let mut wire = client(machine.address);
        wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        wire
    };
    let mut first = ask();
    machine.until("one is served", |s| s.totals.decided_here == 1);
    let mut second = ask();
    machine.until("one waits", |s| s.totals.queued == 1);
    let got = get(machine.address, "/");
    assert_eq!((got.status(), got.header("retry-after")), (503, Some("1")));
    go.send(()).unwrap();
    assert_eq!(first.response().text(), "done");
    go.send(()).unwrap();
    assert_eq!(second.response().text(), "done");
    machine.until_nothing_is_in_flight();
}

#[test]
fn whoever_waits_too_long_is_refused() {
    let (origin, go) = held();
    let machine = limited(&origin, "limit = 1\nqueue = 1\nqueue_time = \"50ms\"").start();
    let mut first = client(machine.address);
    first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    machine.until("one is served", |s| s.totals.decided_here == 1);
    assert_eq!(get(machine.address, "/").status(), 503);
    go.send(()).unwrap();
    assert_eq!(first.response().text(), "done");
}

#[test]
fn many_workers_share_one_limit() {
    let (origin, go) = held();
    let machine =
        limited(&origin, "limit = 3\nqueue = 20\nqueue_time = \"10s\"").workers(3).start();
    let wires: Vec<_> = (0..12)
        .map(|_| {
            let mut wire = client(machine.address);
            wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            wire
        })
        .collect();
    machine.until("the others wait", |s| s.totals.queued == 9);
    assert_eq!(machine.resources.local().in_flight(), 3);
    (0..12).for_each(|_| go.send(()).unwrap());
    for mut wire in wires {
        assert_eq!(wire.response().text(), "done");
    }
    machine.until_nothing_is_in_flight();
}

#[test]
fn a_drain_lets_requests_finish_and_closes_what_is_idle() {
    let (origin, go) = held();
    let mut machine = limited(&origin, "limit = 9").start();
    let mut idle = client(machine.address);
    idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    go.send(()).unwrap();
    assert_eq!(idle.response().text(), "done");
    let mut busy = client(machine.address);
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    machine.until("it is served", |s| s.totals.decided_here == 2);
    machine.running().begin_drain();
    assert!(idle.is_at_end(), "an idle connection ends at once");
    go.send(()).unwrap();
    let got = busy.response();
    assert_eq!((got.text(), got.header("connection")), ("done", Some("close")));
    assert!(busy.is_at_end());
    machine.drain();
    assert!(std::net::TcpStream::connect(machine.address).is_err(), "nobody listens any more");
}

#[test]
fn clients_of_an_address_that_goes_are_parted_from_and_others_stay() {
    let (origin, go) = held();
    let machine = limited(&origin, "limit = 9").start();
    let mut idle = client(machine.address);
    idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    go.send(()).unwrap();
    assert_eq!(idle.response().text(), "done");
    let parter = machine.running().parter();
    // Another address than theirs goes: nothing happens to them.
    parter.part_from(&["192.0.2.1".parse().unwrap()]);
    let mut busy = client(machine.address);
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    go.send(()).unwrap();
    let got = busy.response();
    assert_eq!((got.text(), got.header("connection")), ("done", None));
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    machine.until("it is served", |s| s.totals.decided_here == 3);
    parter.part_from(&[machine.address.ip()]);
    assert!(idle.is_at_end(), "an idle connection ends at once");
    go.send(()).unwrap();
    let got = busy.response();
    assert_eq!((got.text(), got.header("connection")), ("done", Some("close")));
    assert!(busy.is_at_end());
    // Whoever comes now is heard: it is only resting ones that end.
    let mut fresh = client(machine.address);
    fresh.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    go.send(()).unwrap();
    assert_eq!(fresh.response().text(), "done");
}

#[test]
fn a_drain_is_over_when_its_time_is() {
    let (origin, _go) = held();
    let mut machine =
        limited(&origin, "limit = 9").with("[http]\ndrain_timeout = \"200ms\"").start();
    let mut busy = client(machine.address);
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    machine.until("it is served", |s| s.totals.decided_here == 1);
    let begun = std::time::Instant::now();
    machine.drain();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(busy.is_at_end());
}

#[test]
fn what_waits_in_the_accept_queue_is_served_before_the_end() {
    let origin = Origin::named("x");
    let mut machine = in_front_of(&origin).start();
    let mut wires: Vec<_> = (0..20).map(|_| client(machine.address)).collect();
    machine.running().begin_drain();
    for wire in &mut wires {
        wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for wire in &mut wires {
        assert_eq!(wire.response().text(), "x");
    }
    machine.drain();
}

/// The most that the kernel lets one TCP socket hold (`net.ipv4.tcp_rmem` or `tcp_wmem`), in bytes.
fn most_of_a_socket(kind: &str) -> usize {
    let file = format!("/proc/sys/net/ipv4/{kind}");
    let text = std::fs::read_to_string(&file).expect(&file);
    text.split_whitespace().next_back().and_then(|n| n.parse().ok()).expect(&file)
}

#[test]
fn a_client_that_reads_nothing_costs_bounded_memory() {
    const N: usize = 1_000_000_000;
    /// What this machine's own buffers may add: a pipe and what is pending.
    const OURS: usize = 2_000_000;
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = sent.clone();
    let origin = Origin::wires(move |mut wire| {
        wire.head();
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {N}\r\n\r\n"));
        use std::io::Write;
        while let Ok(n) = wire.writer.write(&[b'x'; 65536]) {
            count.fetch_add(n, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    // The server is stopped by back-pressure: its count stands still at what the sockets on the way may hold,
    // the client's own receive buffer being one of them.
    let bound = 2 * (most_of_a_socket("tcp_rmem") + most_of_a_socket("tcp_wmem")) + OURS;
    assert!(
        bound < N / 2,
        "sockets on this machine may hold {bound} bytes: nothing would be shown"
    );
    let last = std::cell::Cell::new(0);
    until("it stands still", || {
        std::thread::sleep(Duration::from_millis(200));
        let now = sent.load(std::sync::atomic::Ordering::SeqCst);
        now > 0 && last.replace(now) == now
    });
    assert!(last.get() < bound, "{} bytes for a client that reads nothing", last.get());
}

struct Echo;
impl Pages for Echo {
    fn path(&self) -> &str {
        "/backhand/"
    }
    fn handle(&self, request: PageRequest, reply: PageReply) {
        let type_ = vec![("Content-Type".to_string(), "text/plain".to_string())];
        match &*request.path {
            "/backhand/events" => {
                let stream = reply.stream(200, type_);
                std::thread::spawn(move || {
                    let mut n = 0;
                    while stream.send(format!("data: {n}\n\n")).is_ok() {
                        n += 1;
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
            }
            "/backhand/nothing" => drop(reply),
            _ => {
                let text = format!("{} {} {}", request.method, request.query, request.client);
                reply.whole(200, type_, text);
            }
        }
    }
}

#[test]
fn clients_that_read_a_file_slowly_keep_nobody_from_a_place_and_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let big = std::fs::File::create(dir.path().join("big")).unwrap();
    big.set_len(64 << 20).unwrap();
    std::fs::write(dir.path().join("small"), "small").unwrap();
    std::fs::write(dir.path().join("medium"), vec![b'm'; 15_000]).unwrap();
    let limits = "limit = 2\nqueue = 0\n[http]\nbody_timeout = \"2s\"";
    let text = format!("[local]\ndirectory = {:?}\n{limits}\n", dir.path());
    let machine = configured(&text).start();
    let slow = || {
        let mut wire = client(machine.address);
        wire.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(wire.head().unwrap().line.contains(" 200 "));
        wire
    };
    let wires = [slow(), slow()];
    assert_eq!(get(machine.address, "/small").status(), 503, "for a moment both places are taken");
    machine.until_nothing_is_in_flight();
    assert_eq!(get(machine.address, "/small").text(), "small");
    machine.until("they are given up", |s| s.totals.timed_out == 2);
    drop(wires);
    // Nor do many small ones at once.
    let wires = [(), ()].map(|()| {
        let mut wire = client(machine.address);
        wire.send("GET /medium HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000));
        assert!(wire.head().unwrap().line.contains(" 200 "));
        wire
    });
    machine.until_nothing_is_in_flight();
    assert_eq!(get(machine.address, "/small").text(), "small");
    drop(wires);
}

#[test]
fn a_client_that_reads_slowly_is_not_given_up_as_long_as_it_reads() {
    // Slower than the kernel's buffers empty by a third within the limit; what is tried is the time it takes.
    const PAUSE: Duration = Duration::from_millis(250);
    let dir = tempfile::tempdir().unwrap();
    std::fs::File::create(dir.path().join("big")).unwrap().set_len(64 << 20).unwrap();
    let text = format!("[local]\ndirectory = {:?}\n[http]\nbody_timeout = \"1s\"", dir.path());
    let files = configured(&text).start();
    let large = Origin::answering(|_| plain(vec![b'x'; 64 << 20]));
    let relay = in_front_of(&large).with("[http]\nbody_timeout = \"1s\"").start();
    let mut wires = [&files, &relay].map(|machine| {
        let mut wire = client(machine.address);
        wire.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(wire.head().unwrap().line.contains(" 200 "));
        wire
    });
    for _ in 0..20 {
        wires.iter_mut().for_each(|wire| assert_eq!(wire.exactly(64 * 1024).len(), 64 * 1024));
        std::thread::sleep(PAUSE);
    }
    assert_eq!((files.totals().timed_out, relay.totals().timed_out), (0, 0));
    files.until("it is given up once it stops", |s| s.totals.timed_out == 1);
    relay.until("it is given up once it stops", |s| s.totals.timed_out == 1);
}

#[test]
fn internal_pages_are_answered_here_and_never_balanced() {
    let origin = Origin::named("x");
    let route = "[[route]]\nname = \"r\"\nchain = [\"removeSelf\"]\nempty = \"refuse\"";
    let machine = in_front_of(&origin).with(route).pages(Echo).start();
    let mut wire = client(machine.address);
    let got = wire.get("/backhand/x?a=b");
    assert_eq!((got.status(), got.text()), (200, "GET a=b 127.0.0.1"));
    assert_eq!(wire.get("/backhand/nothing").status(), 500);
    assert_eq!(wire.get("/else").status(), 503);
    assert_eq!((origin.requests(), machine.totals().pages), (0, 2));
}

#[test]
fn an_event_stream_goes_on_until_the_machine_drains() {
    let origin = Origin::named("x");
    let mut machine = in_front_of(&origin).pages(Echo).start();
    let mut wire = client(machine.address);
    wire.send("GET /backhand/events HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.head().unwrap().header("transfer-encoding"), Some("chunked"));
    assert_eq!(wire.exactly(14), b"9\r\ndata: 0\n\n\r\n");
    machine.until_nothing_is_in_flight();
    assert_eq!(machine.totals().tunnels, 1);
    machine.drain();
    let rest = String::from_utf8(wire.rest()).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "it ends in good order");
}

#[test]
fn an_unhealthy_local_service_makes_this_machine_no_candidate() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!("[local]\nserver = \"{address}\"\nhealth_interval = \"50ms\"\n");
    let machine = configured(&text).start();
    until("it is unwell", || machine.resources.local().flags().has(candidacy::Flags::UNHEALTHY));
    let got = get(machine.address, "/");
    assert!(matches!(got.status(), 502 | 503), "{}", got.status());
}

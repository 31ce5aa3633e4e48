//! Several machines: who serves, what travels between them, and what happens when one fails.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::*;

/// A route on which everybody else is asked to serve.
const ELSEWHERE: &str = "[[route]]\nname = \"elsewhere\"\nchain = [\"removeSelf\"]";

/// An entry that sends everything elsewhere, and `n` machines behind it in front of their origins.
fn entry_and(origins: &[Origin]) -> Vec<Machine> {
    let none = Origin::named("entry");
    let mut plans = vec![in_front_of(&none).with(ELSEWHERE).named("entry")];
    plans.extend(origins.iter().map(|origin| in_front_of(origin).named("behind")));
    cluster(plans)
}

#[test]
fn a_request_goes_to_a_peer_and_its_true_client_with_it() {
    let origin = Origin::named("peer");
    let machines = entry_and(std::slice::from_ref(&origin));
    let mut wire = client(machines[0].address);
    for _ in 0..10 {
        let got = wire.get("/");
        assert_eq!(got.text(), "peer");
        assert!(got.head.headers.iter().all(|(n, _)| !n.to_lowercase().starts_with("backhand")));
    }
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("host"), Some("test"));
    let (entry, behind) = (machines[0].totals(), machines[1].totals());
    assert_eq!((entry.requests, entry.decided_proxy, entry.reports), (10, 10, 10));
    assert_eq!((behind.requests, behind.peer_requests), (0, 10));
    until("nothing is relayed", || machines[0].resources.local().relaying() == 0);
}

#[test]
fn each_request_of_a_connection_is_decided_on_its_own() {
    let (here, there) = (Origin::named("here"), Origin::named("there"));
    let route = "[[route]]\nname = \"r\"\npath = [\"/there\"]\nchain = [\"removeSelf\"]\n\
                 [[route]]\nname = \"h\"\nchain = [\"off\"]";
    let machines = cluster(vec![in_front_of(&here).with(route), in_front_of(&there)]);
    let mut wire = client(machines[0].address);
    wire.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /there HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    let answers: Vec<String> = (0..3).map(|_| wire.response().text().to_string()).collect();
    assert_eq!(answers, ["here", "there", "here"]);
}

#[test]
fn a_request_is_reallocated_once() {
    // Both would send everything to the other.
    let origin = Origin::named("second");
    let none = Origin::named("first");
    let machines =
        cluster(vec![in_front_of(&none).with(ELSEWHERE), in_front_of(&origin).with(ELSEWHERE)]);
    assert_eq!(get(machines[0].address, "/").text(), "second");
    assert_eq!(machines[1].totals().decided_proxy, 0);
}

#[test]
fn a_request_does_not_go_round_between_machines_without_peer_listeners() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let off = format!("{ELSEWHERE}\n[peers]\nlisten = \"off\"");
    let machines =
        cluster(vec![in_front_of(&one).with(&off).plain(), in_front_of(&two).with(&off).plain()]);
    let mut wire = client(machines[0].address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    // All of these machines have the client's address, so it is taken for one of them.
    assert_eq!(wire.response().text(), "one");
    assert_eq!(one.last().header("x-forwarded-for"), Some("192.0.2.1"));
    let requests: u64 = machines.iter().map(|machine| machine.totals().requests).sum();
    assert_eq!(requests, 1);
}

#[test]
fn connections_to_peers_are_made_ahead_and_used_again() {
    let origin = Origin::named("x");
    let machines = entry_and(std::slice::from_ref(&origin));
    machines[0].until("a connection rests", |s| s.totals.pool_idle >= 1);
    let before = machines[0].totals().connects;
    let mut wire = client(machines[0].address);
    (0..20).for_each(|_| drop(wire.get("/")));
    let after = machines[0].totals();
    assert_eq!((after.connects, after.pool_hits), (before, 20));
}

#[test]
fn a_stranger_at_the_peer_port_is_turned_away() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).start();
    let mut wire = client(machine.peer);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\nbackhand-proxied: 1.2.3.4\r\n\r\n");
    assert!(wire.is_at_end());
    machine.until("it is counted", |s| s.totals.handshakes_refused == 1);
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_request_moves_on_when_its_machine_refuses_connections() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let mut machines = entry_and(&[one, two]);
    machines[1].kill();
    let mut wire = client(machines[0].address);
    for _ in 0..50 {
        assert_eq!(wire.get("/").text(), "two");
    }
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(wire.response().text(), "two");
}

#[test]
fn a_request_whose_machine_dies_before_a_response_byte_goes_to_the_next() {
    let (begun, has_begun) = mpsc::channel();
    let hang = move || {
        let begun = std::sync::Mutex::new(begun.clone());
        Origin::wires(move |mut wire| {
            if wire.head().is_some() {
                begun.lock().unwrap().send(()).unwrap();
                wire.rest();
            }
        })
    };
    let none = Origin::named("entry");
    let route = format!("{ELSEWHERE}\nempty = \"here\"");
    let mut machines = cluster(vec![in_front_of(&none).with(&route), in_front_of(&hang())]);
    let mut wire = client(machines[0].address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    has_begun.recv_timeout(PATIENCE).unwrap();
    let killed = Instant::now();
    machines[1].kill();
    assert_eq!(wire.response().text(), "entry");
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
}

#[test]
fn a_post_that_was_sent_is_not_sent_again() {
    let origin = Origin::wires(|mut wire| drop(wire.head()));
    let machines = entry_and(&[origin]);
    let mut wire = client(machines[0].address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(wire.response().status(), 502);
}

#[test]
fn waiting_requests_move_at_once_when_their_machine_falls_silent() {
    let (begun, has_begun) = mpsc::channel();
    let begun = std::sync::Mutex::new(begun);
    let hang = Origin::wires(move |mut wire| {
        if wire.head().is_some() {
            begun.lock().unwrap().send(()).unwrap();
            wire.rest();
        }
    });
    let none = Origin::named("entry");
    let mut machines = cluster(vec![in_front_of(&none).with(ELSEWHERE), in_front_of(&hang)]);
    let mut wire = client(machines[0].address);
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    has_begun.recv_timeout(PATIENCE).unwrap();
    machines[1].fall_silent();
    // The response timeout is a minute.
    assert_eq!(wire.response().text(), "entry");
    assert_eq!(machines[0].totals().moved_by_death, 1);
    machines[1].kill();
}

#[test]
fn a_peers_own_refusal_leads_to_the_next_and_an_applications_503_does_not() {
    let (hold, release) = mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let busy = Origin::wires(move |mut wire| {
        while wire.head().is_some() {
            let _ = release.lock().unwrap().recv_timeout(PATIENCE);
            wire.send(plain("busy"));
        }
    });
    let unwell = Origin::answering(|_| {
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\napp".to_vec()
    });
    let none = Origin::named("entry");
    let machines = cluster(vec![
        in_front_of(&none).with(ELSEWHERE),
        configured(&format!(
            "[local]\nserver = \"{}\"\nhealth = \"off\"\nlimit = 1\nqueue = 0\n",
            busy.address
        )),
    ]);
    let mut first = client(machines[0].address);
    first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    machines[1].until("it is busy", |s| s.totals.peer_requests == 1);
    let got = get(machines[0].address, "/");
    assert_eq!(got.text(), "entry", "the other is over its limit");
    hold.send(()).unwrap();
    assert_eq!(first.response().text(), "busy");
    drop(machines);

    let machines = entry_and(&[unwell]);
    let got = get(machines[0].address, "/");
    assert_eq!((got.status(), got.text()), (503, "app"));
    assert_eq!(machines[0].totals().retries, 0);
}

#[test]
fn a_slow_machine_is_left_after_the_response_timeout() {
    let slow = Origin::wires(|mut wire| {
        wire.head();
        wire.rest();
    });
    let none = Origin::named("entry");
    let route = format!("{ELSEWHERE}\nresponse_timeout = \"100ms\"");
    let machines = cluster(vec![in_front_of(&none).with(&route), in_front_of(&slow)]);
    let got = get(machines[0].address, "/");
    assert_eq!(got.text(), "entry");
    assert_eq!(machines[0].totals().retries, 1);
}

#[test]
fn a_service_that_is_late_behind_a_peer_is_called_late() {
    let slow = Origin::wires(|mut wire| {
        wire.head();
        wire.rest();
    });
    let none = Origin::named("entry");
    let machines = cluster(vec![
        in_front_of(&none).with(ELSEWHERE),
        in_front_of(&slow).with("[http]\nresponse_timeout = \"100ms\"\n"),
    ]);
    let mut wire = client(machines[0].address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(wire.response().status(), 504);
}

#[test]
fn a_body_that_is_still_held_is_replayed() {
    let (one, two) =
        (Origin::wires(|mut wire| drop(wire.head())), Origin::answering(|s| plain(&s.body)));
    let machines = entry_and(&[one, two]);
    for _ in 0..10 {
        let mut wire = client(machines[0].address);
        wire.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
        assert_eq!(wire.response().text(), "12345");
    }
}

#[test]
fn a_large_body_passes_through_two_machines() {
    const N: usize = 5_000_000;
    let origin = Origin::answering(|seen| plain(&seen.body));
    let machines = entry_and(&[origin]);
    let body: Vec<u8> = (0..N).map(|i| (i % 253) as u8).collect();
    let stream = TcpStream::connect(machines[0].address).unwrap();
    let mut wire = Wire::new(stream.try_clone().unwrap());
    let sent = body.clone();
    let sender = std::thread::spawn(move || {
        let mut stream = stream;
        write!(stream, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {N}\r\n\r\n").unwrap();
        stream.write_all(&sent).unwrap();
    });
    assert!(wire.response().body == body);
    sender.join().unwrap();
}

#[test]
fn a_machine_without_peer_listener_is_served_as_any_server() {
    let origin = Origin::named("plain");
    let none = Origin::named("entry");
    let machines = cluster(vec![
        in_front_of(&none).with(ELSEWHERE),
        in_front_of(&origin).with("[[route]]\nname = \"off\"\nchain = [\"off\"]").plain(),
    ]);
    assert_eq!(get(machines[0].address, "/").text(), "plain");
    let (entry, other) = (machines[0].totals(), machines[1].totals());
    assert_eq!((entry.reports, other.requests, other.peer_requests), (0, 1, 0));
}

#[test]
fn a_peer_listener_on_a_port_of_its_own_is_announced_with_that_port() {
    let (none, origin) = (Origin::named("entry"), Origin::named("apart"));
    let machines = cluster(vec![
        in_front_of(&none).with(ELSEWHERE),
        in_front_of(&origin).named("behind").peer_apart(),
    ]);
    let snapshot = machines[0].resources.matrix().slow.load();
    let behind = snapshot.machines().iter().flatten().find(|m| m.name == "behind").unwrap();
    assert_eq!(behind.peer, Some(machines[1].peer));
    assert_ne!(behind.peer.map(|a| a.port()), behind.exchange.map(|a| a.port()));
    assert_eq!(get(machines[0].address, "/").text(), "apart");
    let (entry, behind) = (machines[0].totals(), machines[1].totals());
    assert_eq!((entry.reports, behind.requests, behind.peer_requests), (1, 0, 1));
}

#[test]
fn a_service_that_fails_behind_a_peer_counts_as_that_machines_failure() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let none = Origin::named("entry");
    let machines = cluster(vec![
        in_front_of(&none).with(ELSEWHERE),
        configured(&format!("[local]\nserver = \"{dead}\"\nhealth = \"off\"\n")),
    ]);
    let mut wire = client(machines[0].address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(wire.response().text(), "entry", "nothing was sent, so a POST may move as well");
    assert_eq!(machines[0].totals().peer_refused, 1);
}

#[test]
fn requests_go_on_while_machines_come_and_go() {
    let origins = [Origin::named("a"), Origin::named("b"), Origin::named("c")];
    let mut machines = cluster(origins.iter().map(in_front_of).collect());
    let address = machines[0].address;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut wire = client(address);
                let mut count = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(wire.get("/").status(), 200);
                    count += 1;
                }
                count
            })
        })
        .collect();
    machines[0].until("some are served", |s| s.totals.requests > 200);
    machines[2].drain();
    let so_far = machines[0].totals().requests;
    machines[0].until("more are served", |s| s.totals.requests > so_far + 200);
    machines[1].kill();
    let so_far = machines[0].totals().requests;
    machines[0].until("even more are served", |s| s.totals.requests > so_far + 200);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let total: usize = clients.into_iter().map(|c| c.join().unwrap()).sum();
    assert!(total > 600);
}

#[test]
fn a_redirect_sends_the_client_to_the_other_machine() {
    let origin = Origin::named("x");
    let route = "[[route]]\nname = \"r\"\nchain = [\"removeSelf\", \"HTTPRedirectToIP\"]";
    let machines = cluster(vec![
        in_front_of(&origin).with(route).named("web1"),
        in_front_of(&origin).named("web2"),
    ]);
    let got = get(machines[0].address, "/path?query");
    assert_eq!(got.status(), 302);
    let expected = format!("http://{}/path?query", machines[1].address);
    assert_eq!(got.header("location"), Some(&*expected));
    // A client that came to this machine by its own name stays.
    let mut wire = client(machines[0].address);
    wire.send("GET / HTTP/1.1\r\nHost: web1\r\n\r\n");
    assert_eq!(wire.response().text(), "x");
}

#[test]
fn an_empty_list_is_refused_where_the_route_says_so() {
    let origin = Origin::named("x");
    let route = "[[route]]\nname = \"r\"\nchain = [\"byHostname ^nobody$\"]\nempty = \"refuse\"";
    let machine = in_front_of(&origin).with(route).start();
    let got = get(machine.address, "/");
    assert_eq!((got.status(), got.header("retry-after")), (503, Some("1")));
    assert_eq!(origin.requests(), 0);
}

/// Three machines of which the first is busy with five requests, and asks about every other one. What holds
/// the five ends them when it is dropped.
fn asking_machines() -> (Vec<Machine>, impl Sized) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let busy = Origin::wires(move |mut wire| {
        while let Some(head) = wire.head() {
            if head.target() == "/hold" {
                let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            }
            wire.send(plain("x"));
        }
    });
    let others = [Origin::named("y"), Origin::named("y")];
    let route = "[[route]]\nname = \"hold\"\npath = [\"/hold\"]\nchain = [\"off\"]\n\
                 [[route]]\nname = \"asked\"\nasking = \"always\"\nchain = [\"addSelf\", \"byFresh\"]";
    let mut plans = vec![in_front_of(&busy).named("busy").with(route)];
    plans.extend(others.iter().map(|origin| in_front_of(origin).named("idle")));
    let machines = cluster(plans);
    // A machine that is idle itself asks nobody, so this one is not.
    let held: Vec<_> = (0..5)
        .map(|_| {
            let mut wire = client(machines[0].address);
            wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
            wire
        })
        .collect();
    machines[0].until("it is busy", |s| s.totals.decided_here == 5);
    (machines, (held, go))
}

#[test]
fn machines_are_asked_first_where_the_route_says_so() {
    let (machines, _held) = asking_machines();
    let mut wire = client(machines[0].address);
    (0..50).for_each(|_| assert_eq!(wire.get("/").text(), "y"));
    let totals = machines[0].totals();
    assert_eq!(totals.asked, 50);
    let routes = machines[0].running().stats().routes;
    let asking: Vec<(&str, u64)> = routes.iter().map(|r| (&*r.name, r.asking)).collect();
    assert_eq!(asking, [("hold", 0), ("asked", 1), ("default", 0)]);
    let reasons = machines[0].running().stats().reasons;
    let count = |reason| reasons.iter().find(|(name, _)| *name == reason).map_or(0, |(_, n)| *n);
    // On a busy machine answers may be late, and then what is known decides; but not each time.
    assert_eq!(count("asked") + count("asked_silence"), 50, "{reasons:?}");
    assert!(count("asked") > 0, "{reasons:?}");
    let all: u64 = reasons.iter().map(|(_, n)| n).sum();
    assert_eq!(all, 5 + 50, "a request is counted once, also if it was asked about: {reasons:?}");
    machines[0].until("answers came, late ones included", |s| s.totals.answers >= 50);
}

#[test]
fn the_turnaround_of_this_machine_is_kept_beside_those_of_the_others() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let here = "[[route]]\nname = \"here\"\npath = \"/here\"\nchain = [\"off\"]";
    let machines =
        cluster(vec![in_front_of(&one).with(here).with(ELSEWHERE), in_front_of(&two).named("two")]);
    let mut wire = client(machines[0].address);
    (0..3).for_each(|_| assert_eq!(wire.get("/here").text(), "one"));
    (0..2).for_each(|_| assert_eq!(wire.get("/").text(), "two"));
    let counts = |stats: &balancer::stats::Stats| -> Vec<(u16, u64)> {
        stats.peers.iter().map(|peer| (peer.slot, peer.turnaround.count())).collect()
    };
    let this = machines[0].resources.this().0;
    machines[0].until("both were counted", |stats| counts(stats) == [(this, 3), (1, 2)]);
    // What a peer decided is in that peer's books.
    machines[1].until("it served", |stats| stats.here.count() == 2);
    assert_eq!(counts(&machines[1].running().stats()), []);
}

#[test]
fn an_asked_decision_is_explained_from_the_first_function_to_the_answers() {
    let (machines, _held) = asking_machines();
    machines[0].running().explanations();
    let mut wire = client(machines[0].address);
    // One in a while is explained; and a machine that was slow to answer is no mistake of the explanation.
    let found = || {
        assert_eq!(wire.get("/").text(), "y");
        let all = machines[0].running().explanations();
        all.into_iter().map(|e| e.explanation).find(|e| !e.answered.is_empty())
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    let told = std::iter::repeat_with(found)
        .inspect(|_| assert!(std::time::Instant::now() < deadline, "never explained"))
        .find_map(|told| told)
        .unwrap();
    let functions: Vec<&str> = told.steps.iter().map(|step| &*step.function).collect();
    assert_eq!(functions, ["addSelf", "byFresh", candidacy::explain::ASKING]);
    assert_eq!(told.steps[0].left.len(), 3, "who was there before anybody was asked");
    assert!(!told.estimates.is_empty() && told.waited.is_some(), "{told:?}");
    assert_eq!(told.answered.len() + told.silent.len(), 2, "both others were asked: {told:?}");
    let Some(candidacy::Verdict::Proxy(winner)) = told.verdict else { panic!("{told:?}") };
    assert_eq!(told.steps[2].left.first(), Some(&winner), "the winner stands first");
    assert!(told.promised.contains(&winner), "it has promised a place: {told:?}");
    assert_eq!(told.reason, Some(candidacy::Reason::Asked));
    assert!(told.because.starts_with("idle costs "), "{}", told.because);
}

#[test]
fn a_decision_is_explained_only_while_somebody_looks() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).start();
    get(machine.address, "/before");
    assert!(machine.running().explanations().is_empty());
    get(machine.address, "/after");
    let explained = machine.running().explanations();
    assert_eq!(explained.len(), 1);
    assert_eq!((&*explained[0].target, &*explained[0].method), ("/after", "GET"));
    assert!(explained[0].explanation.verdict.is_some());
}

#[test]
fn clients_that_do_not_read_say_nothing_of_the_machine_that_serves_them() {
    let large = Origin::answering(|seen| plain(vec![b'x'; seen.target().len() << 20]));
    let none = Origin::named("entry");
    let impatient = format!("{ELSEWHERE}\nempty = \"refuse\"\n[http]\nbody_timeout = \"1s\"");
    let machines = cluster(vec![in_front_of(&none).with(&impatient), in_front_of(&large)]);
    let idle: Vec<_> = (0..8)
        .map(|_| {
            let mut wire = client(machines[0].address);
            wire.send(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(30)));
            wire
        })
        .collect();
    machines[0].until("they were given up", |s| s.totals.timed_out == 8);
    machines[0].until("they count as gone", |s| s.totals.client_gone == 8);
    assert_eq!(machines[0].totals().ejections, 0);
    assert_eq!(get(machines[0].address, "/").status(), 200);
    drop(idle);
}

#[test]
fn streams_and_tunnels_of_a_machine_that_is_dead_end() {
    let origin = Origin::wires(|mut wire| {
        let Some(head) = wire.head() else { return };
        let upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade";
        let stream =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked";
        let answer = if head.target() == "/tunnel" { upgrade } else { stream };
        wire.send(format!("{answer}\r\n\r\n"));
        // Silent from here on.
        wire.rest();
    });
    let none = Origin::named("entry");
    let mut machines = cluster(vec![in_front_of(&none).with(ELSEWHERE), in_front_of(&origin)]);
    let mut wires: Vec<_> = ["/stream", "/tunnel"]
        .map(|target| {
            let mut wire = client(machines[0].address);
            let upgrade = "Connection: Upgrade\r\nUpgrade: echo";
            wire.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\r\n"));
            assert!(wire.head().is_some());
            wire
        })
        .into();
    machines[1].fall_silent();
    assert!(wires.iter_mut().all(Wire::is_at_end));
    let stats = machines[0].running().stats();
    let turnaround: u64 = stats.routes.iter().map(|route| route.turnaround.count()).sum();
    assert_eq!(turnaround, 0, "how long they lasted says nothing of anybody's speed");
    assert_eq!(stats.totals.ejections, 0);
    machines[1].kill();
}

#[test]
fn a_request_that_is_not_balanced_is_given_to_its_service_once() {
    let (begun, has_begun) = mpsc::channel();
    let begun = std::sync::Mutex::new(begun);
    let origin = Origin::wires(move |mut wire| {
        wire.head();
        begun.lock().unwrap().send(()).unwrap();
        wire.rest();
    });
    let off = "[[route]]\nchain = [\"off\"]\n[http]\nresponse_timeout = \"200ms\"";
    let machine = in_front_of(&origin).with(off).start();
    assert_eq!(get(machine.address, "/").status(), 504);
    assert_eq!((has_begun.try_iter().count(), machine.totals().retries), (1, 0));
}

#[test]
fn a_decision_after_a_failure_is_explained_too() {
    let broken = Origin::wires(|mut wire| {
        wire.head();
    });
    let well = Origin::named("well");
    let machines = cluster(vec![in_front_of(&well).with(ELSEWHERE), in_front_of(&broken)]);
    machines[0].running().explanations();
    assert_eq!(get(machines[0].address, "/").text(), "well");
    let told = machines[0].running().explanations();
    let reasons: Vec<_> = told.iter().map(|one| one.explanation.reason.unwrap()).collect();
    assert_eq!(reasons, [candidacy::Reason::BestThere, candidacy::Reason::EmptyHere]);
    assert_eq!(machines[0].totals().retries, 1);
}

#[test]
fn a_head_that_this_machine_takes_its_peers_take_too() {
    let origin = Origin::answering(|_| {
        let pad = "a".repeat(32 * 1024 - 60);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Pad: {pad}\r\n\r\nok").into()
    });
    let machines = entry_and(&[origin]);
    let long =
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Pad: {}\r\n\r\n", "a".repeat(32 * 1024 - 40));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(99));
    for head in [long, many] {
        let mut wire = client(machines[0].address);
        wire.send(head);
        assert_eq!(wire.response().text(), "ok");
    }
    assert_eq!(machines[0].totals().decided_proxy, 2);
}

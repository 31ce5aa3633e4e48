//! Who may have what: address rules, and the true client they judge.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;

/// Only this network may see what lies below `/admin`.
const GUARDED: &str = "[[route]]\nname = \"guarded\"\npath = \"/admin\"\nallow = [\"10.0.0.0/8\"]\n\
                       deny = [\"10.6.6.6\"]";
/// Clients of these tests come from loopback, as a proxy in front would.
const TRUSTING: &str = "[http]\ntrusted = [\"127.0.0.1\"]";

fn ask(wire: &mut Wire, target: &str, lines: &str) -> u16 {
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
    wire.response().status()
}

#[test]
fn a_client_that_is_not_welcome_gets_nothing_and_leaves_a_record() {
    let origin = Origin::named("secret");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let to = format!("[access_log]\nto = {log:?}\nformat = \"json\"\n");
    let mut machine = in_front_of(&origin).with(&to).with(GUARDED).start();
    let mut wire = client(machine.address);
    assert_eq!(ask(&mut wire, "/admin/users", ""), 403);
    assert_eq!(origin.requests(), 0);
    assert_eq!(ask(&mut wire, "/public", ""), 200, "the connection goes on");
    machine.until("all is counted", |s| s.totals.requests == 2 && s.totals.status_2xx == 1);
    let totals = machine.totals();
    assert_eq!((totals.forbidden, totals.status_4xx, totals.decided_here), (1, 1, 1));
    let reasons = machine.running().stats().reasons;
    assert_eq!(reasons.iter().map(|(_, n)| n).sum::<u64>(), 1, "nothing was decided about it");
    drop(wire);
    machine.drain();
    let text = std::fs::read_to_string(&log).unwrap();
    let record = text.lines().find(|line| line.contains("/admin/users")).expect("a record");
    for part in ["\"client\":\"127.0.0.1\"", "\"status\":403", "forbidden", "guarded"] {
        assert!(record.contains(part), "{part} in {record}");
    }
}

#[test]
fn no_other_spelling_of_a_path_gets_around_a_rule() {
    let origin = Origin::named("secret");
    let machine = in_front_of(&origin).with(GUARDED).start();
    let mut wire = client(machine.address);
    for target in [
        "/%61dmin",
        "/%61%64%6D%69%6e/users?x",
        "//admin/users",
        "/x/../admin",
        "/./admin/",
        "/x/%2e%2e/admin",
        "/x%2F..%2fadmin",
        "http://x/%61dmin",
        // To servlet containers, and to all others.
        "/admin;x/users",
        "/x/..;/admin",
        "//admin/..;/../users",
        "/%61dmin/;/../users",
    ] {
        assert_eq!(ask(&mut wire, target, ""), 403, "{target}");
    }
    assert_eq!(origin.requests(), 0);
    for target in ["/%62dmin", "//public", "/admin/../public", "/?/admin", "/x?a=%61&b=/../admin"] {
        let welcome = !target.starts_with("/admin");
        assert_eq!(ask(&mut wire, target, "") == 200, welcome, "{target}");
    }
}

#[test]
fn a_route_can_shut_a_method() {
    let origin = Origin::named("x");
    let shut = "[[route]]\nmethod = \"TRACE\"\nallow = []";
    let machine = in_front_of(&origin).with(shut).start();
    let mut wire = client(machine.address);
    wire.send("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.response().status(), 403);
    assert_eq!(ask(&mut wire, "/", ""), 200);
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_client_behind_a_trusted_proxy_is_judged_by_its_own_address() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).with(TRUSTING).with(GUARDED).start();
    let mut wire = client(machine.address);
    for (lines, status) in [
        ("X-Forwarded-For: 10.1.2.3\r\n", 200),
        ("X-Forwarded-For: 10.1.2.3:4711\r\n", 200),
        ("X-Forwarded-For: 10.6.6.6\r\n", 403),
        ("X-Forwarded-For: 192.0.2.1\r\n", 403),
        // What stands before the proxy's own entry is the client's word.
        ("X-Forwarded-For: 10.1.2.3, 192.0.2.1\r\n", 403),
        ("X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-For: 192.0.2.1\r\n", 403),
        ("X-Forwarded-For: 10.1.2.3, unknown\r\n", 403),
        ("X-Forwarded-For: 10.1.2.3,\r\n", 200),
        ("Forwarded: for=10.1.2.3\r\n", 200),
        ("Forwarded: for=\"10.1.2.3:80\";proto=https, for=127.0.0.1\r\n", 200),
        ("Forwarded: for=\"[2001:db8::1]:80\"\r\n", 403),
        ("Forwarded: for=10.1.2.3, for=_hidden\r\n", 403),
        ("Forwarded: for=10.1.2.3\r\nX-Forwarded-For: 192.0.2.1\r\n", 403),
        ("", 403),
    ] {
        assert_eq!(ask(&mut wire, "/admin", lines), status, "{lines:?}");
    }
}

#[test]
fn what_a_stranger_says_of_itself_is_not_believed() {
    let origin = Origin::named("x");
    let machine =
        in_front_of(&origin).with("[http]\ntrusted = [\"10.0.0.1\"]").with(GUARDED).start();
    let mut wire = client(machine.address);
    for lines in [
        "X-Forwarded-For: 10.1.2.3\r\n",
        "Forwarded: for=10.1.2.3\r\n",
        "X-Forwarded-For: 10.1.2.3, 10.0.0.1\r\n",
        "backhand-proxied: 10.1.2.3\r\n",
    ] {
        assert_eq!(ask(&mut wire, "/admin", lines), 403, "{lines:?}");
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_machine_that_serves_for_a_peer_judges_the_client_and_not_the_peer() {
    let (none, origin) = (Origin::named("entry"), Origin::named("served"));
    let entry = in_front_of(&none).with(TRUSTING).with("[[route]]\nchain = [\"removeSelf\"]");
    // The peer's own address is denied, which must not matter.
    let rules = "[[route]]\nallow = [\"10.0.0.0/8\", \"127.0.0.0/8\"]\ndeny = [\"127.0.0.1\"]";
    let machines = cluster(vec![entry, in_front_of(&origin).with(rules)]);
    let mut wire = client(machines[0].address);
    assert_eq!(ask(&mut wire, "/", "X-Forwarded-For: 10.1.2.3\r\n"), 200);
    assert_eq!(ask(&mut wire, "/", "X-Forwarded-For: 192.0.2.1\r\n"), 403);
    assert_eq!(ask(&mut wire, "/", ""), 403);
    assert_eq!(origin.requests(), 1);
    let (entry, behind) = (machines[0].totals(), machines[1].totals());
    assert_eq!((entry.forbidden, behind.forbidden), (0, 2));
    assert_eq!((entry.decided_proxy, entry.retries), (3, 0), "an answer, and no failure");
    assert_eq!(entry.reports, 3, "each response brings its report");
}

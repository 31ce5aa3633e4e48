//! File descriptors at their limit. In a file of its own, since the limit is the whole process's.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn without_descriptors_resting_clients_make_room_and_the_others_are_served() {
    let origin = Origin::named("x");
    let machine = in_front_of(&origin).start();
    let mut before = client(machine.address);
    assert_eq!(before.get("/").text(), "x");
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(used + 20), maximum }).unwrap();
    // Client and server are one process here: each connection takes two, until none is left for the
    // server's end.
    let mut clients = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect(machine.address) {
        clients.push(stream);
        if machine.totals().made_room > 0 {
            break;
        }
    }
    machine.until("somebody made room", |s| s.totals.made_room > 0);
    // The origin is in this process too, and needs some for its end.
    clients.truncate(clients.len().saturating_sub(8));
    assert_eq!(before.get("/").text(), "x", "who was connected is served");
    drop(clients);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    assert_eq!(get(machine.address, "/").text(), "x", "and so is who comes later");
}

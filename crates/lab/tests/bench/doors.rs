//! The way in from the host.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use lab::{Door, DoorStats, Exit, Lab, Place, Spawn};

use crate::support::{PATIENCE, PORT, eventually, name_server};

fn outside() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

fn knock(door: &Door) -> TcpStream {
    let stream = TcpStream::connect(door.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Says something and returns the first answer; empty when the connection ended.
fn ask(stream: &mut TcpStream) -> String {
    let mut answer = [0; 16];
    let length = stream.write_all(b"?").and_then(|()| stream.read(&mut answer)).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

pub(crate) fn survives_its_target(lab: &Lab) {
    let targets: Vec<_> =
        [0, 1].iter().map(|&i| SocketAddr::new(lab.machine(i).address(), PORT)).collect();
    let server = Spawn::new("python3").args(["-c", ECHO, &targets[0].ip().to_string()]);
    let first = lab.machine(0).spawn(server).unwrap();
    name_server(lab.listen(Place::Machine(1), targets[1]).unwrap(), "second");
    eventually("the first server listens", || lab.connect(targets[0], PATIENCE).is_ok());

    let door = lab.door(outside(), move || targets.clone()).unwrap();
    let mut stream = knock(&door);
    assert_eq!(ask(&mut stream), "first");
    first.kill9().unwrap();
    assert_eq!(ask(&mut stream), "", "the connection ends with its server");
    // The kernel may close a dead server's connection before its listener.
    assert_eq!(first.wait(), Exit::Signal(9));
    drop(stream);
    assert_eq!(ask(&mut knock(&door)), "second");
    eventually("all is counted", || door.stats().open == 0);
    let expected = DoorStats { accepted: 2, relayed: 2, passed_over: 1, turned_away: 0, open: 0 };
    assert_eq!(door.stats(), expected);
}

/// A server in a process of its own, so that it can die.
const ECHO: &str = "
import socket, sys
s = socket.create_server((sys.argv[1], 7777))
while True:
    c, _ = s.accept()
    while c.recv(1):
        c.sendall(b'first')
";

pub(crate) fn hangs_up(lab: &Lab) {
    // Accepts in the kernel and never answers, as a frozen server does.
    let at = SocketAddr::new(lab.machine(0).address(), PORT);
    let silent = lab.listen(Place::Machine(0), at).unwrap();
    let door = lab.door(outside(), move || vec![at]).unwrap();
    let mut stream = knock(&door);
    stream.write_all(b"?").unwrap();
    eventually("it is relayed", || door.stats().open == 1);
    door.hang_up(SocketAddr::new(lab.machine(1).address(), PORT));
    assert_eq!(door.stats().open, 1, "another target's connections are left alone");
    door.hang_up(at);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
    eventually("it is closed", || door.stats().open == 0);
    drop(silent);
}

pub(crate) fn turns_away(lab: &Lab) {
    let nobody = SocketAddr::new(lab.machine(2).address(), PORT);
    let door = lab.door(outside(), move || vec![nobody]).unwrap();
    assert_eq!(ask(&mut knock(&door)), "");
    let stats = door.stats();
    assert_eq!((stats.passed_over, stats.turned_away, stats.relayed), (1, 1, 0));
    let address = door.address();
    drop(door);
    assert!(TcpStream::connect(address).is_err(), "a closed door listens no more");
}

//! What the cases share.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Lab, LabConfig, LabError, Machine, Output, Place, Spawn};

/// Far longer than anything takes that is going to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long one question may go unanswered before it counts as lost.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// Runs a shell command in a machine to its end and returns what it printed.
pub(crate) fn shell(machine: &Machine, script: &str) -> String {
    let process =
        machine.spawn(Spawn::new("sh").args(["-c", script]).stdout(Output::Pipe)).unwrap();
    let mut text = String::new();
    process.take_stdout().unwrap().read_to_string(&mut text).unwrap();
    assert!(process.wait().success(), "{script}: {text}");
    text.trim().to_owned()
}

/// Asks until the condition holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come true within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Two bound datagram sockets of two machines.
pub(crate) struct Pair {
    pub(crate) here: UdpSocket,
    there: UdpSocket,
    to: SocketAddr,
}

impl Pair {
    pub(crate) fn new(lab: &Lab, addresses: [IpAddr; 2]) -> Self {
        let bind = |i: usize| lab.udp(Place::Machine(i), (addresses[i], 0).into()).unwrap();
        let (here, there) = (bind(0), bind(1));
        here.set_read_timeout(Some(SHORT)).unwrap();
        there.set_read_timeout(Some(SHORT)).unwrap();
        let to = there.local_addr().unwrap();
        Self { here, there, to }
    }

    pub(crate) fn between_first_two(lab: &Lab) -> Self {
        Self::new(lab, [lab.machine(0).address(), lab.machine(1).address()])
    }

    /// Sends one word there and back; whether it came.
    pub(crate) fn ping(&self, word: &[u8]) -> bool {
        if self.here.send_to(word, self.to).is_err() {
            return false;
        }
        let mut buffer = [0; 64];
        loop {
            let Ok((length, from)) = self.there.recv_from(&mut buffer) else { return false };
            if &buffer[..length] == word {
                assert_eq!(from.ip(), self.here.local_addr().unwrap().ip());
                self.there.send_to(word, from).unwrap();
                break;
            }
        }
        self.here.recv(&mut buffer).is_ok_and(|length| &buffer[..length] == word)
    }
}

/// A server in the test itself that answers every line with its name, until the lab ends.
pub(crate) fn name_server(listener: TcpListener, name: &'static str) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut byte = [0];
            while stream.read(&mut byte).is_ok_and(|n| n == 1) {
                if stream.write_all(name.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    address
}

/// A port on which no lab of this test listens twice.
pub(crate) const PORT: u16 = 7777;

pub(crate) fn bad_configurations() {
    let refused = |config: LabConfig| match Lab::start(config) {
        Err(LabError::Config { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let default = LabConfig::default;
    assert!(refused(LabConfig { machines: 65, ..default() }).contains("number"));
    assert!(refused(LabConfig { mtu: 100, ..default() }).contains("MTU"));
    assert!(refused(LabConfig { private: vec!["tmp".into()], ..default() }).contains("folder"));
    for names in [vec!["a/b".to_owned()], vec![String::new()], vec!["x".into(), "x".into()]] {
        assert!(refused(LabConfig { names, ..default() }).contains("name"));
    }
}

//! What a client said last counts, although it never read what came back.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use base::AddrBlocks;
use spread_daemon::Daemon;
use spread_daemon::config::{Around, BusSection};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Clients that end, one after the other.
const CLIENTS: u32 = 20;
/// Messages that each of them sends before: more than one reading of the daemon brings, and less than a socket holds.
const MESSAGES: u32 = 250;
/// The group of all.
const GROUP: &[u8] = b"words";
/// Types of the protocol: of an agreed message, a request to join, a view, and a view because a session ended.
const AGREED: u32 = 0x10;
const JOIN: u32 = 0x1_0000;
const VIEW: u32 = 0x1000;
const ENDED: u32 = 0x400;

/// A client without a library.
struct Client {
    stream: UnixStream,
    own: Vec<u8>,
}

impl Client {
    fn connect(socket: &Path, name: &str) -> Self {
        let begun = Instant::now();
        loop {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut hello = vec![5, 0, 1, 1, name.len() as u8];
            hello.extend_from_slice(name.as_bytes());
            stream.write_all(&hello).unwrap();
            let [methods] = read(&mut stream);
            if methods > 127 {
                // The name is free once the end of its last session was delivered.
                assert!(begun.elapsed() < PATIENCE, "refused with {}", methods as i8);
                continue;
            }
            stream.read_exact(&mut vec![0; methods.into()]).unwrap();
            let mut method = [0; 90];
            method[..4].copy_from_slice(b"NULL");
            stream.write_all(&method).unwrap();
            let [result, _, _, _, length] = read(&mut stream);
            assert_eq!(result, 1);
            let mut own = vec![0; length.into()];
            stream.read_exact(&mut own).unwrap();
            return Self { stream, own };
        }
    }

    fn send(&mut self, service: u32, body: &[u8]) {
        let mut message = (service | 0x8000_0080).to_le_bytes().to_vec();
        message.extend_from_slice(&self.own);
        message.resize(36, 0);
        for word in [1, 0x8000_0080, body.len() as u32] {
            message.extend_from_slice(&word.to_le_bytes());
        }
        message.extend_from_slice(GROUP);
        message.resize(80, 0);
        message.extend_from_slice(body);
        self.stream.write_all(&message).unwrap();
    }

    /// The type and the body of the next message.
    fn receive(&mut self) -> (u32, Vec<u8>) {
        let header: [u8; 48] = read(&mut self.stream);
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let mut rest = vec![0; (word(36) * 32 + word(44)) as usize];
        self.stream.read_exact(&mut rest).unwrap();
        (word(0) & !0x8000_0080, rest.split_off(word(36) as usize * 32))
    }
}

fn read<const N: usize>(stream: &mut UnixStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn daemon(socket: &Path) -> Daemon {
    let port = UdpSocket::bind("127.0.79.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "name = \"alpha\"\nlisten = []\nsocket = {socket:?}\naddress = \"127.0.79.1\"\nport = {port}\nsegment = \"none\"\npriority = \"none\"\n"
    );
    let section: BusSection = toml::from_str(&text).unwrap();
    let around = Around {
        name: "alpha",
        here: &[],
        key: None,
        insecure: false,
        accept: &AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
        read_key: &|_| unreachable!("no key is named"),
    };
    Daemon::open(section.check(&around).unwrap()).unwrap()
}

#[test]
fn what_a_member_sent_before_it_ended_unread_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus");
    let daemon = daemon(&socket);
    let stopper = daemon.stopper();
    let running = std::thread::spawn(move || daemon.run().unwrap());

    let mut listener = Client::connect(&socket, "listener");
    listener.send(JOIN, &[]);
    for client in 0..CLIENTS {
        let mut leaver = Client::connect(&socket, "leaver");
        leaver.send(JOIN, &[]);
        for number in 0..MESSAGES {
            let mut body = [0; 400];
            body[..4].copy_from_slice(&number.to_le_bytes());
            leaver.send(AGREED, &body);
        }
        // The daemon's next write to it fails, and most of what it sent is still unread.
        drop(leaver);
        let mut came = 0_u32;
        loop {
            let (service, body) = listener.receive();
            if service == AGREED {
                assert_eq!(body[..4], came.to_le_bytes(), "client {client}");
                came += 1;
            } else if service == VIEW | ENDED {
                break;
            }
        }
        assert_eq!(came, MESSAGES, "of client {client}");
    }
    stopper.stop();
    running.join().unwrap();
}

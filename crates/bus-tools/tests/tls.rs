//! The client library and the tools with a daemon of ours over TLS, and a foreign implementation of TLS with the same daemon.
//!
//! The certificates of the foreign one are made by the commands of docs/bus.md, as they stand there.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use base::AddrBlocks;
use bus_tools::purge::ask::{Request, ask};
use bus_tools::tls::TlsFiles;
use bus_tools::{flood, user};
use spread_client::{Endpoint, Event, Options, Service, Tls};
use spread_daemon::config::{Around, BusSection};
use spread_daemon::{Daemon, Stopper};
use support::Running;
use tempfile::TempDir;
use testkit::bus::{body, group, members};
use testkit::certificates;
use testkit::trial::{self, Needs, trial};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let openssl = Command::new("openssl").arg("version").output();
    let openssl: Needs = openssl
        .map(drop)
        .map_err(|error| format!("openssl does not run: {error}; install openssl"));
    let always: Needs = Ok(());
    type Named = (&'static str, fn());
    let own: [Named; 5] = [
        ("sessions_over_tls_do_all_that_others_do", sessions),
        ("asynchronous_sessions_over_tls_do_all_that_others_do", asynchronous),
        ("halves_of_a_session_over_tls_work_at_the_same_time", halves),
        ("the_tools_take_certificates_and_say_what_is_wrong_with_them", tools),
        ("purging_takes_certificates_too", purging),
    ];
    let foreign: Named = ("openssl_speaks_with_a_daemon_whose_certificates_docs_made", foreign);
    let run = |run: fn()| {
        move || {
            run();
            Ok(())
        }
    };
    let own = own.into_iter().map(|(name, test)| trial(name, &always, run(test)));
    let trials = own.chain([trial(foreign.0, &openssl, run(foreign.1))]).collect();
    trial::run(trials)
}

/// A daemon with certificates in a folder.
struct Bus {
    folder: TempDir,
    port: u16,
    running: Option<(Stopper, JoinHandle<()>)>,
}

impl Bus {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        certificates::write(folder.path());
        Self::with(folder, ["server.pem", "server.key", "ca.pem"])
    }

    fn with(folder: TempDir, files: [&str; 3]) -> Self {
        let port = UdpSocket::bind("127.0.80.1:0").unwrap().local_addr().unwrap().port();
        let [certificate, key, ca] = files.map(|name| folder.path().join(name));
        let text = format!(
            "name = \"d\"\nlisten = []\nsocket = {:?}\naddress = \"127.0.80.1\"\nport = {port}\nsegment = \"none\"\n\
             priority = \"none\"\ntls_listen = [\"127.0.0.1:1\"]\ntls_certificate = {certificate:?}\ntls_key = {key:?}\n\
             tls_client_ca = {ca:?}\n",
            folder.path().join("socket"),
        );
        let section: BusSection = toml::from_str(&text).unwrap();
        let around = Around {
            name: "d",
            here: &[],
            key: None,
            insecure: false,
            accept: &AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
            read_key: &|_| unreachable!("no key is named"),
        };
        let mut config = section.check(&around).unwrap();
        // A port that is free, which a file may not ask for.
        config.clients.tls.as_mut().unwrap().listen = vec!["127.0.0.1:0".parse().unwrap()];
        let daemon = Daemon::open(config).unwrap();
        let (port, stopper) = (daemon.tls_addresses()[0].port(), daemon.stopper());
        let running = Some((stopper, std::thread::spawn(move || daemon.run().unwrap())));
        Self { folder, port, running }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spread(&self) -> String {
        format!("tls:{}@localhost", self.port)
    }

    fn endpoint(&self) -> Endpoint {
        self.spread().parse().unwrap()
    }

    fn options(&self, name: &str) -> Options {
        let [ca, certificate, key] =
            ["ca.pem", "client.pem", "client.key"].map(|name| self.file(name));
        let tls = Some(Tls::from_files(&ca, &certificate, &key).unwrap());
        Options { tls, full_size: true, ..Options::named(name).unwrap() }
    }

    fn files(&self, name: &str) -> TlsFiles {
        TlsFiles {
            ca: Some(self.file("ca.pem")),
            certificate: Some(self.file(&format!("{name}.pem"))),
            key: Some(self.file(&format!("{name}.key"))),
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if let Some((stopper, thread)) = self.running.take() {
            stopper.stop();
            let _ = thread.join();
        }
    }
}

fn sessions() {
    use spread_client::blocking::Connection;
    let bus = Bus::start();
    let mut alice = Connection::connect(&bus.endpoint(), &bus.options("alice")).unwrap();
    let mut bob = Connection::connect(&bus.endpoint(), &bus.options("bob")).unwrap();
    let room = group("room");
    alice.join(&room).unwrap();
    alice.receive().unwrap();
    bob.join(&room).unwrap();
    assert_eq!(members(&alice.receive().unwrap()).unwrap().1.len(), 2);
    assert_eq!(members(&bob.receive().unwrap()).unwrap().1.len(), 2);
    // More than any buffer holds, from one that receives only while it sends.
    let text = vec![5; 100_000];
    for _ in 0..100 {
        alice.multicast(Service::Agreed, &room, &text).unwrap();
    }
    for connection in [&mut alice, &mut bob] {
        for number in 0..100 {
            let event = connection.receive_within(PATIENCE).unwrap().unwrap();
            assert!(body(&event) == Some(&text), "{number}");
        }
    }
    bob.multicast(Service::Safe, &room, b"over").unwrap();
    assert_eq!(body(&alice.receive().unwrap()), Some(&b"over"[..]));
    alice.disconnect().unwrap();
    bob.receive().unwrap();
    assert_eq!(members(&bob.receive().unwrap()).unwrap().1.len(), 1);
    // Without certificates, with those of others, and where no TLS is spoken.
    let none = Options::named("x").unwrap();
    let error = Connection::connect(&bus.endpoint(), &none).unwrap_err();
    assert!(error.to_string().contains("needs certificates"), "{error}");
    let plain = format!("{}@localhost", bus.port).parse().unwrap();
    assert!(Connection::connect(&plain, &none).is_err());
}

fn asynchronous() {
    use spread_client::Connection;
    let bus = Bus::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut alice = Connection::connect(&bus.endpoint(), &bus.options("alice")).await.unwrap();
        let room = group("room");
        alice.join(&room).await.unwrap();
        alice.receive().await.unwrap();
        let text = vec![6; 100_000];
        for _ in 0..100 {
            alice.multicast(Service::Agreed, &room, &text).await.unwrap();
        }
        for number in 0..100 {
            let event = tokio::time::timeout(PATIENCE, alice.receive()).await.unwrap().unwrap();
            assert!(body(&event) == Some(&text), "{number}");
        }
        let (mut sending, mut receiving) = alice.split();
        let small = async {
            for number in 0..5_000_u32 {
                let bytes = number.to_be_bytes();
                let groups = std::slice::from_ref(&room);
                let message = spread_client::Outgoing {
                    service: Service::Agreed,
                    self_discard: false,
                    kind: 0,
                    groups,
                    body: &bytes,
                };
                sending.feed(&message).await.unwrap();
            }
            sending.flush().await.unwrap();
            sending
        };
        let taken = async {
            for number in 0..5_000_u32 {
                let event = receiving.receive().await.unwrap();
                assert_eq!(body(&event), Some(&number.to_be_bytes()[..]));
            }
        };
        let (sending, ()) = tokio::join!(small, taken);
        sending.disconnect().await.unwrap();
        assert!(receiving.receive().await.is_err());
    });
}

fn halves() {
    use spread_client::blocking::Connection;
    const COUNT: u32 = 20_000;
    let bus = Bus::start();
    let (mut sending, mut receiving) =
        Connection::connect(&bus.endpoint(), &bus.options("alice")).unwrap().split();
    let own = *sending.group().group();
    let thread = std::thread::spawn(move || {
        for number in 0..COUNT {
            let bytes = [number.to_be_bytes(); 25].concat();
            let groups = std::slice::from_ref(&own);
            let message = spread_client::Outgoing {
                service: Service::Agreed,
                self_discard: false,
                kind: 0,
                groups,
                body: &bytes,
            };
            sending.send(&message).unwrap();
        }
        sending
    });
    for number in 0..COUNT {
        let event = receiving.receive_within(PATIENCE).unwrap().unwrap();
        let Event::Regular(message) = event else { panic!("{event:?}") };
        assert_eq!(message.body[..4], number.to_be_bytes());
    }
    thread.join().unwrap().disconnect().unwrap();
}

fn tools() {
    let bus = Bus::start();
    let arguments = flood::Arguments {
        spread: bus.spread(),
        messages: 2_000,
        bytes: 5_000,
        tls: bus.files("client"),
        ..flood::Arguments::default()
    };
    let (status, text) = Running::start(move |_, output| flood::run(&arguments, output)).ends();
    assert_eq!(status, 0, "{text}");
    for (tls, words) in [
        (bus.files("none"), ["cannot read", "none.pem"]),
        (bus.files("stranger"), ["alert", "SP_error"]),
        (TlsFiles::default(), ["--tls-ca", "BACKHAND_TLS_CA"]),
    ] {
        let arguments = user::Arguments { spread: bus.spread(), tls, ..user::Arguments::default() };
        let user = Running::start(move |input, output| user::run(&arguments, input, output, false));
        let (status, text) = user.ends();
        assert_eq!(status, 1, "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{word}: {text}"));
    }
    let line = ["-s", "tls:1@x", "--tls-ca", "a", "--tls-certificate", "b", "--tls-key", "c"];
    let line = user::Arguments::parse(line.map(Into::into)).unwrap();
    assert_eq!((line.tls.ca, line.tls.key), (Some("a".into()), Some("c".into())));
}

fn purging() {
    let bus = Bus::start();
    let request = Request {
        spread: bus.endpoint(),
        tls: bus.files("client"),
        group: "purge".into(),
        objects: vec![b"/a".to_vec()],
        patience: None,
    };
    assert!(ask(&request, &mut Vec::new(), &mut Vec::new()).unwrap());
    let without = Request { tls: TlsFiles::default(), ..request };
    let error = ask(&without, &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("--tls-certificate"), "{error}");
}

/// The commands that docs/bus.md shows for certificates, done in `folder`.
fn do_as_documented(folder: &Path) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bus.md");
    let page = std::fs::read_to_string(page).unwrap();
    let commands: Vec<&str> =
        page.lines().map(str::trim).filter(|line| line.starts_with("openssl ")).collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    for command in commands {
        let done = Command::new("sh").args(["-c", command]).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

fn foreign() {
    let folder = TempDir::new().unwrap();
    do_as_documented(folder.path());
    let bus = Bus::with(folder, ["web1.pem", "web1.key", "bus-ca.pem"]);
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-CAfile", "bus-ca.pem"])
        .args(["-verify_hostname", "web1", "-cert", "alice.pem", "-key", "alice.key"])
        .args(["-connect", &format!("127.0.0.1:{}", bus.port)])
        .current_dir(bus.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = openssl.stdin.take().unwrap();
    let mut output = openssl.stdout.take().unwrap();
    let mut read = |count| {
        let mut bytes = vec![0; count];
        output.read_exact(&mut bytes).unwrap();
        bytes
    };
    // Version 4.4.0, with views, as "eve".
    input.write_all(b"\x04\x04\x00\x01\x03eve").unwrap();
    let length = read(1)[0];
    assert_eq!(read(length.into()), b"NULL ");
    let mut choice = [0; 90];
    choice[..4].copy_from_slice(b"NULL");
    input.write_all(&choice).unwrap();
    assert_eq!(read(1), [1], "accepted");
    read(3);
    let length = read(1)[0];
    assert_eq!(read(length.into()), b"#eve#d");
    drop(input);
    let _ = openssl.kill();
    let _ = openssl.wait();
}

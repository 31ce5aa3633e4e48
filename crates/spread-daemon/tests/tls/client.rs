//! A daemon with a port for TLS, and clients of it that do what a test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::AddrBlocks;
use bytes::BytesMut;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use spread_daemon::config::{Around, BusSection, DaemonConfig};
use spread_daemon::{Daemon, Observer, Reloader, Status, Stopper};
use spread_wire::client::connect::Step;
use spread_wire::client::{Connect, Decoder, Event, Hello, Outgoing, Sender};
use spread_wire::{GroupName, PrivateName, Service};
use tempfile::TempDir;
use testkit::certificates;

/// The longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Running {
    pub folder: TempDir,
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub observer: Observer,
    pub reloader: Reloader,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A configuration with the certificates in `folder`.
pub fn config(folder: &Path, certificate: &str, more: &str) -> DaemonConfig {
    let port = UdpSocket::bind("127.0.79.1:0").unwrap().local_addr().unwrap().port();
    let file = |name: &str| folder.join(name);
    let text = format!(
        "name = \"d\"\nsocket = {:?}\naddress = \"127.0.79.1\"\nport = {port}\nsegment = \"none\"\npriority = \"none\"\n\
         tls_listen = [\"127.0.0.1:1\"]\ntls_certificate = {:?}\ntls_key = {:?}\ntls_client_ca = {:?}\n{more}",
        file("socket"),
        file(&format!("{certificate}.pem")),
        file(&format!("{certificate}.key")),
        file("ca.pem"),
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
    // Ports that are free, which a file may not ask for.
    config.clients.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.clients.tls.as_mut().unwrap().listen = vec!["127.0.0.1:0".parse().unwrap()];
    config
}

impl Running {
    pub fn start(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        certificates::write(folder.path());
        let daemon = Daemon::open(config(folder.path(), "server", more)).unwrap();
        let (stopper, observer, reloader) =
            (daemon.stopper(), daemon.observer(), daemon.reloader());
        let (plain, tls) = (daemon.addresses()[0], daemon.tls_addresses()[0]);
        let thread = Some(std::thread::spawn(move || daemon.run().unwrap()));
        Self { folder, plain, tls, observer, reloader, stopper, thread }
    }

    pub fn status(&self) -> Status {
        self.observer.status(PATIENCE).unwrap()
    }

    /// Waits until the daemon says so of itself.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl Fn(&Status) -> bool) {
        let begun = Instant::now();
        while !is(&self.status()) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.status().sessions);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn tcp(&self, at: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Over TLS, with the certificate of that name, in any version.
    pub fn sealed(&self, certificate: Option<&str>) -> StreamOwned<ClientConnection, TcpStream> {
        self.sealed_as(certificate, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    pub fn sealed_as(
        &self,
        certificate: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let host = ServerName::try_from("127.0.0.1").unwrap();
        let config = client_config(certificate, versions);
        StreamOwned::new(ClientConnection::new(config, host).unwrap(), self.tcp(self.tls))
    }

    /// A client with a certificate in order.
    pub fn alice(&self, name: &str) -> Client<StreamOwned<ClientConnection, TcpStream>> {
        Client::connect(self.sealed(Some("client")), name).unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

fn client_config(
    certificate: Option<&str>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let der = |name: &str| CertificateDer::from_pem_slice(certificates::text(name).as_bytes());
    let mut roots = RootCertStore::empty();
    roots.add(der("ca.pem").unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
    Arc::new(match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = certificates::text(&format!("{name}.key"));
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![der(&format!("{name}.pem")).unwrap()], key).unwrap()
        }
    })
}

pub fn group(name: &str) -> GroupName {
    GroupName::new(name.as_bytes()).unwrap()
}

/// A session over any stream, which waits in its reads and writes.
pub struct Client<S> {
    pub stream: S,
    pub wire: Sender,
    decoder: Decoder,
    input: BytesMut,
}

impl<S: Read + Write> Client<S> {
    pub fn connect(mut stream: S, name: &str) -> Result<Self, String> {
        let hello = Hello {
            name: Some(PrivateName::new(name.as_bytes()).unwrap()),
            membership: true,
            priority: false,
        };
        let mut handshake = Connect::new(hello);
        let mut scratch = [0; 1024];
        stream.write_all(&hello.encode()).map_err(|error| error.to_string())?;
        loop {
            let count = stream.read(&mut scratch).map_err(|error| error.to_string())?;
            let mut rest = &scratch[..count];
            if count == 0 {
                return Err("closed".into());
            }
            loop {
                match handshake.receive(&mut rest).map_err(|error| error.to_string())? {
                    Step::Wait => break,
                    Step::Send(bytes) => {
                        stream.write_all(&bytes).map_err(|error| error.to_string())?
                    }
                    Step::Done(session) => {
                        let wire = Sender::new(session.group).up_to(143_000, 43);
                        let (decoder, input) = (Decoder::default(), BytesMut::from(rest));
                        return Ok(Self { stream, wire, decoder, input });
                    }
                }
            }
        }
    }

    pub fn join(&mut self, name: &str) {
        let bytes = self.wire.join(&group(name)).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    pub fn send(&mut self, name: &str, body: &[u8]) {
        self.try_send(name, body).unwrap();
    }

    /// Unless the session has ended.
    pub fn try_send(&mut self, name: &str, body: &[u8]) -> std::io::Result<()> {
        let groups = [group(name)];
        let message = Outgoing {
            service: Service::Agreed,
            self_discard: false,
            kind: 0,
            groups: &groups,
            body,
        };
        self.stream.write_all(&self.wire.message(&message).unwrap())
    }

    pub fn receive(&mut self) -> Result<Event, String> {
        let mut scratch = [0; 16 << 10];
        loop {
            if let Some(event) = self.decoder.decode(&mut self.input).unwrap() {
                return Ok(event);
            }
            match self.stream.read(&mut scratch) {
                Ok(0) => return Err("closed".into()),
                Ok(count) => self.input.extend_from_slice(&scratch[..count]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// How many members the next view has.
    pub fn view(&mut self) -> usize {
        loop {
            if let Event::Membership(view) = self.receive().unwrap() {
                return view.members.len();
            }
        }
    }

    /// The body of the next message.
    pub fn body(&mut self) -> Vec<u8> {
        loop {
            if let Event::Regular(message) = self.receive().unwrap() {
                return message.body.to_vec();
            }
        }
    }
}

//! Listening sockets, made by the supervisor and handed to the workers.
//!
//! Each address is first bound *without* `SO_REUSEPORT`: with it, a second program of the same user would
//! share the port in silence and take half of the clients. Only then is one socket per worker made with
//! it. A namespace, an upgrade or a privilege drop can supply the same set through [`Sockets::from_parts`].
//!
//! Not here: accepting. See `worker`.

mod heirs;
mod privileges;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::config::{Config, PeerListen};

pub use heirs::{Inherited, Kept};

/// Connections that may wait in the kernel for a worker, per socket. The kernel caps it at
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// When the other side of a silent connection is asked whether it is there.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(10))
    .with_retries(6);

/// An address could not be listened on. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "{what} address {address} is in use{by}; stop that program or choose another port under [{section}]"
    )]
    InUse {
        /// Which listener: `client` or `peer`.
        what: &'static str,
        /// Where it is set.
        section: &'static str,
        /// The address as configured.
        address: SocketAddr,
        /// ` by NAME (process N)` where that could be found out, else empty.
        by: String,
    },
    /// Ports below 1024 need a privilege.
    #[error(
        "no permission to listen on {what} address {address}: ports below {first} need a privilege; \
         run as root, give the program the capability (setcap cap_net_bind_service=+ep FILE), \
         lower net.ipv4.ip_unprivileged_port_start, or choose a higher port under [{section}]"
    )]
    Forbidden {
        /// Which listener.
        what: &'static str,
        /// Where it is set.
        section: &'static str,
        /// The address as configured.
        address: SocketAddr,
        /// The first port that needs no privilege here.
        first: u16,
    },
    /// No interface has this address.
    #[error(
        "{what} address {address} is not an address of this machine; it has {have}; correct [{section}], \
         or listen on {any} for all of them"
    )]
    NotHere {
        /// Which listener.
        what: &'static str,
        /// Where it is set.
        section: &'static str,
        /// The address as configured.
        address: SocketAddr,
        /// The addresses that it does have.
        have: String,
        /// The wildcard with the same port.
        any: SocketAddr,
    },
    /// Anything else the kernel said.
    #[error("cannot listen on {what} address {address}: {source}")]
    Other {
        /// Which listener.
        what: &'static str,
        /// The address as configured.
        address: SocketAddr,
        /// The kernel's word.
        source: io::Error,
    },
}

/// The listening sockets of all workers.
#[derive(Debug)]
pub struct Sockets {
    pub(crate) workers: Vec<WorkerSockets>,
    addresses: Vec<SocketAddr>,
    peer: Option<SocketAddr>,
}

/// The listening sockets of one worker, one for each address.
#[derive(Debug, Default)]
pub struct WorkerSockets {
    /// Where clients connect.
    pub clients: Vec<TcpListener>,
    /// Where peers connect; none when this machine takes nothing from peers.
    pub peers: Vec<TcpListener>,
}

impl Sockets {
    /// Binds everything the configuration names, for its number of workers. Port 0 takes a free port, the
    /// same one for all workers; [`Sockets::addresses`] tells which.
    ///
    /// # Errors
    /// [`BindError`], which says by whom an address is used, or what to do. Nothing stays bound.
    pub fn bind(config: &Config, cluster: &resources::Config) -> Result<Self, BindError> {
        Self::bind_beside(Inherited::default(), config, cluster)
    }

    /// The same, and where the former image of this program has left sockets for clients at an address, with those, so that whoever
    /// connected to them meanwhile is served. Those that the configuration does not name any more are closed.
    ///
    /// # Errors
    /// As [`Sockets::bind`].
    pub fn bind_beside(
        inherited: Inherited,
        config: &Config,
        cluster: &resources::Config,
    ) -> Result<Self, BindError> {
        let peers = peer_addresses(config, cluster);
        Self::bind_all(inherited, &config.http.listen, &peers, config.http.workers)
    }

    /// The sockets for clients once more, for the next image of this program. They listen for as long as either is open.
    pub fn keep(&self) -> Kept {
        Kept::of(self.workers.iter().flat_map(|worker| &worker.clients))
    }

    /// Whether this machine has the addresses that the configuration names. Listens nowhere and takes no port, so that
    /// it can be asked while the program runs.
    ///
    /// # Errors
    /// The first address that it has not.
    pub fn check(config: &Config, cluster: &resources::Config) -> Result<(), BindError> {
        let peers = peer_addresses(config, cluster);
        let clients = config.http.listen.iter().map(|address| ("client", "http", *address));
        let peers = peers.into_iter().map(|address| ("peer", "peers", address));
        for (what, section, address) in clients.chain(peers) {
            match UdpSocket::bind((address.ip(), 0)) {
                Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => {
                    return Err(explain(what, section, address, e));
                }
                // What else may be wrong is found with the real port.
                _ => {}
            }
        }
        Ok(())
    }

    /// Binds these client and peer addresses for so many workers (at least one).
    pub fn bind_addresses(
        clients: &[SocketAddr],
        peers: &[SocketAddr],
        workers: usize,
    ) -> Result<Self, BindError> {
        Self::bind_all(Inherited::default(), clients, peers, workers)
    }

    fn bind_all(
        mut inherited: Inherited,
        clients: &[SocketAddr],
        peers: &[SocketAddr],
        workers: usize,
    ) -> Result<Self, BindError> {
        inherited.close_others(clients);
        let mut sockets = Self {
            workers: (0..workers.max(1)).map(|_| WorkerSockets::default()).collect(),
            addresses: Vec::new(),
            peer: None,
        };
        for &address in clients {
            let (bound, listeners) = match inherited.take(address, workers.max(1)) {
                here if here.is_empty() => bind_one("client", "http", address, workers.max(1))?,
                mut here => {
                    let more = workers.max(1) - here.len();
                    let more =
                        listen(address, more).map_err(|e| explain("client", "http", address, e));
                    here.extend(more?);
                    (address, here)
                }
            };
            sockets.addresses.push(bound);
            let each = sockets.workers.iter_mut().zip(listeners);
            each.for_each(|(worker, listener)| worker.clients.push(listener));
        }
        for &address in peers {
            let (bound, listeners) = bind_one("peer", "peers", address, workers.max(1))?;
            sockets.peer.get_or_insert(bound);
            let each = sockets.workers.iter_mut().zip(listeners);
            each.for_each(|(worker, listener)| worker.peers.push(listener));
        }
        Ok(sockets)
    }

    /// Sockets that were made elsewhere: one entry per worker, already listening.
    pub fn from_parts(workers: Vec<WorkerSockets>) -> io::Result<Self> {
        let first = workers.first();
        let addresses = first
            .map(|w| w.clients.iter().map(TcpListener::local_addr).collect::<io::Result<_>>())
            .transpose()?
            .unwrap_or_default();
        let peer = first.and_then(|w| w.peers.first()).map(TcpListener::local_addr).transpose()?;
        Ok(Self { workers, addresses, peer })
    }

    /// Where clients can connect, with the real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where peers can connect, with the real port.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer
    }
}

fn peer_addresses(config: &Config, cluster: &resources::Config) -> Vec<SocketAddr> {
    match &config.peers.listen {
        _ if cluster.protection.is_alone() => Vec::new(),
        PeerListen::Exchange => vec![exchange_address(cluster)],
        PeerListen::At(addresses) => addresses.clone(),
        PeerListen::Off => Vec::new(),
    }
}

/// Where the exchange is: on the address of the announcements, without a key on loopback only, else everywhere.
fn exchange_address(cluster: &resources::Config) -> SocketAddr {
    let everywhere = || match Socket::new(Domain::IPV6, Type::STREAM, None) {
        Ok(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        Err(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
    };
    let address = match cluster.address {
        Some(address) => address,
        None if cluster.protection.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        None => everywhere(),
    };
    SocketAddr::new(address, cluster.exchange_port)
}

fn bind_one(
    what: &'static str,
    section: &'static str,
    address: SocketAddr,
    workers: usize,
) -> Result<(SocketAddr, Vec<TcpListener>), BindError> {
    let explain = |e: io::Error| explain(what, section, address, e);
    // The claim: fails if anybody else is bound here. Closed again before it ever listens, so no
    // client can be lost in it.
    let claim = socket(address, false).map_err(explain)?;
    let bound = claim.local_addr().map_err(explain)?.as_socket().unwrap_or(address);
    drop(claim);
    let listeners = listen(bound, workers).map_err(explain)?;
    Ok((bound, listeners))
}

/// So many sockets that share an address.
fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let one = |_| {
        let socket = socket(address, true)?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    (0..count).map(one).collect()
}

fn socket(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Old connections in TIME_WAIT must not keep a restarted program from its port; a program that
    // listens still does.
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // Dual-stack only for the wildcard, unless the IPv4 wildcard is listed as well; the kernel
        // would then refuse the second, and the user can name both by their addresses.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Inherited by every connection. Event streams and upgraded connections may be silent for as long as they like:
    // nothing else tells one from a client that lost its network without a word.
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn explain(
    what: &'static str,
    section: &'static str,
    address: SocketAddr,
    source: io::Error,
) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            let by = resources::holder::of(resources::holder::Protocol::Tcp, address);
            let by = by.map(|who| format!(" by {who}")).unwrap_or_default();
            BindError::InUse { what, section, address, by }
        }
        io::ErrorKind::PermissionDenied => {
            BindError::Forbidden { what, section, address, first: privileges::first_free_port() }
        }
        io::ErrorKind::AddrNotAvailable => {
            let any = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
            let any = SocketAddr::new(any, address.port());
            BindError::NotHere { what, section, address, have: privileges::addresses(), any }
        }
        _ => BindError::Other { what, address, source },
    }
}

/// Raises the limit of file descriptors to what the administrator allows at most, and tells it. Each
/// client and each peer connection needs one.
pub fn raise_fd_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_listens_on_is_refused_and_its_owner_named() {
        let first = Sockets::bind_addresses(&["127.0.0.1:0".parse().unwrap()], &[], 2).unwrap();
        let taken = first.addresses()[0];
        let error = Sockets::bind_addresses(&[taken], &[], 2).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, BindError::InUse { .. }), "{text}");
        assert!(text.contains(&taken.to_string()), "{text}");
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused_and_the_own_ones_named() {
        let error = Sockets::bind_addresses(&["192.0.2.77:0".parse().unwrap()], &[], 1);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("192.0.2.77") && text.contains("127.0.0.1"), "{text}");
    }

    #[test]
    fn a_low_port_without_permission_says_what_to_do() {
        let address = "0.0.0.0:80".parse().unwrap();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let text = explain("client", "http", address, denied).to_string();
        assert!(text.contains("cap_net_bind_service") && text.contains("0.0.0.0:80"), "{text}");
    }

    #[test]
    fn every_worker_gets_a_socket_on_the_same_port() {
        let any = "127.0.0.1:0".parse().unwrap();
        let sockets = Sockets::bind_addresses(&[any], &[any], 3).unwrap();
        assert_eq!(sockets.workers.len(), 3);
        for worker in &sockets.workers {
            assert_eq!(worker.clients[0].local_addr().unwrap(), sockets.addresses()[0]);
            assert_eq!(Some(worker.peers[0].local_addr().unwrap()), sockets.peer_address());
        }
    }

    #[test]
    fn a_machine_without_a_key_opens_a_peer_listener_only_when_loopback_targets_are_listed() {
        use resources::config::{Announce, Cluster, Measure};
        let text = "[http]\nlisten = [\"127.0.0.1:0\"]";
        let config = Config::check(&crate::config::read(text).unwrap()).unwrap();
        let mut announce = Announce::default();
        let bind = |announce: &Announce| {
            let cluster =
                resources::Config::check(&Cluster::default(), announce, &Measure::default());
            Sockets::bind(&config, &resources::Config { exchange_port: 0, ..cluster.unwrap() })
                .unwrap()
        };
        assert_eq!(bind(&announce).peer_address(), None);
        let target = resources::config::Target::new("127.0.0.1:9".parse().unwrap()).unwrap();
        announce.targets = Some(vec![toml::Spanned::new(0..0, target)]);
        assert!(bind(&announce).peer_address().is_some_and(|at| at.ip().is_loopback()));
    }

    #[test]
    fn the_limit_of_descriptors_is_raised_to_what_is_allowed() {
        assert!(raise_fd_limit() >= 256);
    }
}

//! Connections of an address that goes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use addresses::kernel::{Address, Connections, Kernel, Reset};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Socket, Type};

use crate::stage::{PATIENCE, add, cable, ip, lease, many};

pub(crate) struct Pair {
    pub(crate) server: TcpStream,
    pub(crate) client: TcpStream,
}

/// From the machine's own address: to reach an address of the same machine the kernel would take that very address.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let mut kernel = Kernel::open().unwrap();
    let mut own = cable(&mut kernel).addresses;
    own.retain(|held| !held.is_ours());
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_link_local() && to.is_ipv4(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && to.is_ipv6(),
    };
    let own = own.into_iter().map(|held| held.address.ip).find(usable);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    if let Some(own) = own {
        socket.bind(&SocketAddr::new(own, 0).into()).unwrap();
    }
    socket.connect_timeout(&to.into(), PATIENCE).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

pub(crate) fn pair(listener: &TcpListener, to: SocketAddr) -> Pair {
    let client = connect(to);
    let server = listener.accept().unwrap().0;
    Pair { server, client }
}

pub(crate) fn works(pair: &mut Pair) {
    pair.server.write_all(b"x").unwrap();
    let mut byte = [0];
    pair.client.read_exact(&mut byte).unwrap();
}

/// The client is told so, at once.
pub(crate) fn is_reset(client: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    start.elapsed()
}

pub(crate) fn reset() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel).index;
    let (v4, v6) = (many(eth, false, 2), many(eth, true, 1));
    add(&mut kernel, &[v4.clone(), v6.clone()].concat(), lease(30));
    // One listener for both families, so that connections over IPv4 have mapped addresses.
    let both = TcpListener::bind("[::]:0").unwrap();
    let only = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let mut going = vec![
        pair(&both, (v4[0].ip, port(&both)).into()),
        pair(&both, (v6[0].ip, port(&both)).into()),
        pair(&only, (v4[0].ip, port(&only)).into()),
    ];
    let mut staying = pair(&only, (v4[1].ip, port(&only)).into());
    // A request that nobody accepted yet.
    let mut waiting = connect((v4[0].ip, port(&only)).into());
    going.iter_mut().for_each(works);
    let ours: BTreeSet<IpAddr> = [v4[0].ip, v6[0].ip].into();
    let mut connections = Connections::open().unwrap();
    let start = Instant::now();
    let outcome = connections.reset(&ours, PATIENCE).unwrap();
    eprintln!("{outcome:?} in {:?}", start.elapsed());
    assert_eq!(outcome, Reset::Done(4));
    for pair in &mut going {
        let error = pair.server.write_all(b"x").unwrap_err();
        assert_ne!(error.kind(), ErrorKind::WouldBlock);
        is_reset(&mut pair.client);
    }
    is_reset(&mut waiting);
    works(&mut staying);
    assert_eq!(connections.reset(&ours, PATIENCE).unwrap(), Reset::Done(0));
}

pub(crate) fn listeners() {
    let mut kernel = Kernel::open().unwrap();
    let vip = many(cable(&mut kernel).index, false, 1);
    add(&mut kernel, &vip, lease(30));
    let bound = TcpListener::bind((vip[0].ip, 0)).unwrap();
    let wildcard = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut connections = Connections::open().unwrap();
    connections.reset(&[vip[0].ip].into(), PATIENCE).unwrap();
    kernel.delete(&vip).unwrap()[0].clone().unwrap();
    add(&mut kernel, &vip, lease(30));
    let port = wildcard.local_addr().unwrap().port();
    works(&mut pair(&wildcard, (vip[0].ip, port).into()));
    works(&mut pair(&bound, bound.local_addr().unwrap()));
}

pub(crate) fn too_many() {
    let mut kernel = Kernel::open().unwrap();
    let vip = many(cable(&mut kernel).index, false, 1);
    add(&mut kernel, &vip, lease(30));
    let listener = TcpListener::bind((vip[0].ip, 0)).unwrap();
    let pairs: Vec<Pair> =
        (0..300).map(|_| pair(&listener, listener.local_addr().unwrap())).collect();
    let mut connections = Connections::open().unwrap();
    let ours = [vip[0].ip].into();
    let outcome = connections.reset(&ours, Duration::ZERO).unwrap();
    assert_eq!(outcome, Reset::Partly { reset: 0, left: 300 });
    let start = Instant::now();
    assert_eq!(connections.reset(&[].into(), PATIENCE).unwrap(), Reset::Done(0));
    let asked = start.elapsed();
    assert_eq!(connections.reset(&ours, PATIENCE).unwrap(), Reset::Done(300));
    eprintln!(
        "asked for 600 sockets in {asked:?}; 300 were reset in {:?}",
        start.elapsed() - asked
    );
    drop(pairs);
}

/// A network of its own, for as long as this is there.
struct Elsewhere(Child);

impl Elsewhere {
    fn new() -> Self {
        let mut keeper = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo ready; exec sleep 1000"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        Self(keeper)
    }

    /// Does something there.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap();
        let worker = std::thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), kind).unwrap();
            work()
        });
        worker.join().unwrap()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// By a cable to somebody who asks for hardware addresses as any other.
pub(crate) fn reached() {
    ip("link add near type veth peer name far");
    let elsewhere = Elsewhere::new();
    ip(&format!("link set far netns {}", elsewhere.0.id()));
    ip("link set near up");
    ip("addr add 10.99.0.5/24 dev near");
    elsewhere.run(|| {
        ip("link set far up");
        ip("addr add 10.99.0.9/24 dev far");
        ip("addr add 2001:db8:9::9/64 dev far nodad");
    });
    let mut kernel = Kernel::open().unwrap();
    let near = kernel.links().unwrap().into_iter().find(|link| link.name == "near").unwrap();
    let address = |ip: &str, prefix| {
        let ip = ip.parse().unwrap();
        Address { ip, prefix, interface: near.index }
    };
    ip("addr add 2001:db8:9::5/64 dev near nodad");
    let ours = [address("10.99.0.100", 32), address("2001:db8:9::100", 128)];
    add(&mut kernel, &ours, lease(60));
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut pairs = ours.map(|ours| {
        let to = SocketAddr::new(ours.ip, port);
        let client = elsewhere.run(move || TcpStream::connect_timeout(&to, PATIENCE).unwrap());
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        Pair { server: listener.accept().unwrap().0, client }
    });
    pairs.iter_mut().for_each(works);
    // The word of it is on the wire before the address is gone.
    let mut connections = Connections::open().unwrap();
    let ips = ours.iter().map(|ours| ours.ip).collect();
    assert_eq!(connections.reset(&ips, PATIENCE).unwrap(), Reset::Done(2));
    assert!(kernel.delete(&ours).unwrap().iter().all(Result::is_ok));
    for pair in &mut pairs {
        let took = is_reset(&mut pair.client);
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
}

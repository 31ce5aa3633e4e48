//! One machine in front of one server, for profiling: `front CONFIG.toml PORT`.
//!
//! No announcements leave the host. Runs until it is killed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use balancer::config::Sections;
use balancer::{Balancer, Config, NoPages, Sockets};
use base::AddrBlocks;
use resources::{Service, Setup};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: front CONFIG.toml PORT")?;
    let port: u16 = arguments.next().ok_or("usage: front CONFIG.toml PORT")?.parse()?;
    let sections: Sections = toml::from_str(&std::fs::read_to_string(file)?)?;
    let config = Arc::new(Config::check(&sections).map_err(|problems| format!("{problems:?}"))?);
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let peer = SocketAddr::new(address.ip(), port + 2);
    let sockets = Sockets::bind_addresses(&[address], &[peer], config.http.workers)?;
    let state = std::env::temp_dir().join(format!("front-{port}"));
    let cluster = resources::Config {
        name: format!("front{port}"),
        protection: resources::config::Protection::Loopback,
        accept: AddrBlocks(vec!["127.0.0.0/8".parse()?]),
        state_dir: state,
        interval: Duration::from_secs(1),
        targets: arguments
            .map(|port| format!("127.0.0.1:{port}").parse())
            .chain([format!("127.0.0.1:{}", port + 1).parse()])
            .collect::<Result<_, _>>()?,
        advertised: None,
        address: Some(address.ip()),
        port: port + 1,
        exchange_port: port + 2,
        scope: resources::config::Scope::Machine,
        cgroup: None,
        assumed: Vec::new(),
    };
    let setup = Setup { http_port: port, peer_listener: true, ..Setup::default() };
    let resources = Service::start(&cluster, setup)?;
    let running = Balancer::start(config, sockets, resources, Arc::new(NoPages))?;
    loop {
        std::thread::park();
        drop(running.stats());
    }
}

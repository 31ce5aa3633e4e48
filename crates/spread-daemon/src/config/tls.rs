//! Judging how clients come by TLS.

use std::net::SocketAddr;
use std::path::PathBuf;

use base::{AddrBlocks, Problem};
use toml::Spanned;

use super::found::Found;
use super::section::BusSection;
use super::{Clients, TlsClients};
use crate::tls::{Files, Identity, Which};

impl Found {
    /// What the section says of clients that come by TLS.
    pub(super) fn tls(&mut self, section: &BusSection, clients: &mut Clients) {
        let Some(first) = section.tls_listen.first() else { return self.without_tls(section) };
        let listen = self.listen("tls_listen", &section.tls_listen);
        for (i, written) in section.tls_listen.iter().enumerate() {
            let at = *written.get_ref();
            if clients.listen.contains(&at) {
                let message = format!("{at} is for clients without TLS (bus.listen)");
                let remedy = format!("write another port, such as {}", another_port(at));
                self.wrong(written, &format!("tls_listen[{i}]"), message, remedy);
            }
        }
        let accept = match &section.tls_accept_clients {
            Some(blocks) if blocks.is_empty() => {
                let remedy = "list the blocks of the clients, or leave bus.tls_listen out";
                let problem = Problem::new("bus.tls_accept_clients", "nobody is accepted", remedy);
                self.problems.push(problem);
                return;
            }
            Some(blocks) => AddrBlocks(blocks.clone()),
            None => clients.accept.clone(),
        };
        let named = [
            ("tls_certificate", &section.tls_certificate),
            ("tls_key", &section.tls_key),
            ("tls_client_ca", &section.tls_client_ca),
        ];
        let mut whole = true;
        for (key, path) in named {
            match path {
                Some(path) => whole &= self.whole(path, key),
                None => {
                    whole = false;
                    let message = format!("bus.tls_listen is written, and {key} is not");
                    let remedy =
                        format!("name the file with bus.{key}; docs/bus.md shows how to make one");
                    self.wrong(first, "tls_listen", message, remedy);
                }
            }
        }
        let [Some(certificate), Some(key), Some(client_ca)] = named.map(|(_, path)| path.as_ref())
        else {
            return;
        };
        if whole && let Some(identity) = self.identity([certificate, key, client_ca]) {
            clients.tls = Some(TlsClients { listen, accept, identity: identity.into() });
        }
    }

    fn without_tls(&mut self, section: &BusSection) {
        let files = [
            ("tls_certificate", section.tls_certificate.is_some()),
            ("tls_key", section.tls_key.is_some()),
            ("tls_client_ca", section.tls_client_ca.is_some()),
            ("tls_accept_clients", section.tls_accept_clients.is_some()),
        ];
        for (key, _) in files.into_iter().filter(|(_, written)| *written) {
            let message = "bus.tls_listen names no address, so nobody comes by TLS";
            let remedy = "write bus.tls_listen, or leave this out";
            self.problems.push(Problem::new(format!("bus.{key}"), message, remedy));
        }
    }

    fn identity(&mut self, paths: [&Spanned<PathBuf>; 3]) -> Option<Identity> {
        let [certificate, key, client_ca] = paths;
        let files = Files {
            certificate: certificate.get_ref(),
            key: key.get_ref(),
            client_ca: client_ca.get_ref(),
        };
        match Identity::read(&files) {
            Ok(identity) => Some(identity),
            Err(fault) => {
                let (path, name) = match fault.which {
                    Which::Certificate => (certificate, "tls_certificate"),
                    Which::Key => (key, "tls_key"),
                    Which::ClientCa => (client_ca, "tls_client_ca"),
                };
                self.wrong(path, name, fault.message, fault.remedy);
                None
            }
        }
    }
}

/// One that the client of the toolkit does not use by itself.
fn another_port(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip(), at.port().checked_add(1).unwrap_or(4804))
}

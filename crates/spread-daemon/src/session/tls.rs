//! A client that comes by TLS: what it sends is opened, what is sent to it is sealed, and nothing ever waits.
//!
//! The layer holds little: what was received is opened at once and whole, and of what waits for the client at most
//! [`SEALED_MAX`] bytes are sealed before they can be written, so that a slow reader is judged here as everywhere.

use std::io::{self, BufRead, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use base::Instant;
use groups::{Departure, Groups};
use rustix::net::{SendAncillaryBuffer, SendFlags};
use rustls::ServerConnection;

use super::Sessions;
use super::connection::Stage;
use super::told::Told;
use crate::clock;
use crate::config::Clients;
use crate::listen::Arrival;
use crate::tls::certificate::Certificate;

/// Bytes that are sealed ahead of the socket.
const SEALED_MAX: usize = 64 << 10;
/// Between two lines about certificates that end.
const WARN_EACH: Duration = Duration::from_secs(24 * 3_600);

/// What seals a connection.
#[derive(Debug)]
pub(crate) struct Tls {
    rustls: ServerConnection,
    /// It was broken, and what comes is not looked at any more.
    broken: bool,
    /// The client said that nothing more comes.
    ended: bool,
    /// That nothing more comes from here was said.
    closed: bool,
    /// Bytes of messages that were sealed and are not all written.
    sealed: usize,
}

impl Tls {
    pub(crate) fn new(mut rustls: ServerConnection) -> Self {
        rustls.set_buffer_limit(Some(SEALED_MAX));
        Self { rustls, broken: false, ended: false, closed: false, sealed: 0 }
    }

    /// Opens what was received.
    ///
    /// # Errors
    /// It is not what TLS allows, or the client is not believed. The words about that to the client are to be written.
    pub(crate) fn open(
        &mut self,
        mut sealed: &[u8],
        into: &mut bytes::BytesMut,
    ) -> Result<(), rustls::Error> {
        while !sealed.is_empty() && !self.broken && !self.ended {
            let opened = self.open_some(&mut sealed, into);
            if opened.is_err() {
                self.broken = true;
                // What is left of them goes before the reason, and nobody counts it any more.
                self.sealed = 0;
            }
            opened?;
        }
        Ok(())
    }

    fn open_some(
        &mut self,
        sealed: &mut &[u8],
        into: &mut bytes::BytesMut,
    ) -> Result<(), rustls::Error> {
        // It takes a piece at a time and has always room for one, since all that was opened is taken out.
        if let Err(error) = self.rustls.read_tls(sealed) {
            return Err(rustls::Error::General(error.to_string()));
        }
        let state = self.rustls.process_new_packets()?;
        let mut left = state.plaintext_bytes_to_read();
        while left > 0 {
            let mut reader = self.rustls.reader();
            let Ok(opened @ [_, ..]) = reader.fill_buf() else { break };
            let count = opened.len();
            into.extend_from_slice(opened);
            reader.consume(count);
            left = left.saturating_sub(count);
        }
        self.ended = state.peer_has_closed();
        Ok(())
    }

    /// Whether the client said that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn is_shaking(&self) -> bool {
        self.rustls.is_handshaking()
    }

    /// Whether something sealed is to be written.
    pub(crate) fn wants_write(&self) -> bool {
        self.rustls.wants_write()
    }

    /// Whether messages can be sealed now.
    pub(crate) fn takes(&self) -> bool {
        !self.is_shaking() && !self.broken && !self.closed
    }

    /// Seals what fits of the messages; how many bytes of them that was.
    pub(crate) fn seal(&mut self, messages: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.rustls.writer().write_vectored(messages)?;
        self.sealed += count;
        Ok(count)
    }

    /// Bytes of messages that were sealed and are not all written.
    pub(crate) fn sealed(&self) -> usize {
        self.sealed
    }

    /// Writes what is sealed: how many bytes of that, and those of messages that are written whole by that.
    pub(crate) fn write(&mut self, socket: &OwnedFd) -> io::Result<(usize, usize)> {
        let count = self.rustls.write_tls(&mut Wire(socket.as_fd()))?;
        let written = if self.rustls.wants_write() { 0 } else { std::mem::take(&mut self.sealed) };
        Ok((count, written))
    }

    /// Seals the word that nothing more comes.
    pub(crate) fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) && !self.broken {
            self.rustls.send_close_notify();
        }
    }

    /// For whom the client's certificate is.
    pub(crate) fn subject(&self) -> Option<String> {
        let certificate = self.rustls.peer_certificates()?.first()?;
        Some(Certificate::read(certificate).map_or_else(|| "nobody".into(), |read| read.subject))
    }
}

/// The socket, which never waits.
struct Wire<'a>(BorrowedFd<'a>);

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, FLAGS)?)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut control = SendAncillaryBuffer::default();
        Ok(rustix::net::sendmsg(self.0, pieces, &mut control, FLAGS)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was said of clients that did not come in, and of certificates.
#[derive(Debug, Default)]
pub(super) struct Turned {
    told: Told,
    warned: Option<Instant>,
}

/// Says what clients that come by TLS are shown, and what is strange with it.
pub(super) fn tell(clients: &Clients) {
    let Some(tls) = &clients.tls else { return };
    tracing::info!(at = ?tls.listen, certificate = tls.identity.subject, "clients may come by TLS");
    warn(clients);
}

fn warn(clients: &Clients) {
    let now = i64::from(clock::unix_seconds());
    for warning in clients.tls.iter().flat_map(|tls| tls.identity.warnings(now)) {
        tracing::warn!("{warning}");
    }
}

impl Sessions {
    /// Says each day what is strange with the certificates: a daemon may run for longer than they last.
    pub(super) fn look_at_certificates(&mut self, now: Instant) {
        let since = *self.turned.warned.get_or_insert(now);
        if now.since(since) >= WARN_EACH {
            self.turned.warned = Some(now);
            warn(&self.config);
        }
    }

    /// What seals the connection that has come, if it came where that is asked for; `None` if it may not come.
    pub(super) fn secure(&self, arrival: &Arrival) -> Option<Option<ServerConnection>> {
        let tls = self.config.tls.as_ref().filter(|_| arrival.tls);
        let accept = tls.map_or(&self.config.accept, |tls| &tls.accept);
        let peer = arrival.peer;
        if peer.is_some_and(|ip| !accept.contains(ip)) {
            let key = if arrival.tls { "tls_accept_clients" } else { "accept_clients" };
            tracing::debug!(?peer, "a client's address is not among {key}");
            return None;
        }
        let Some(tls) = tls else { return (!arrival.tls).then_some(None) };
        match ServerConnection::new(tls.identity.config.clone()) {
            Ok(connection) => Some(Some(connection)),
            Err(error) => {
                tracing::warn!(%error, "a client cannot be served by TLS and is turned away");
                None
            }
        }
    }

    /// TLS of a connection is broken: the client is told why, as far as TLS has a word for it, and the connection ends.
    pub(super) fn break_tls(
        &mut self,
        now: Instant,
        groups: &mut Groups,
        at: usize,
        error: &rustls::Error,
    ) {
        let Some(connection) = self.slots[at].as_mut() else { return };
        // There is no way to the client any more but for the reason.
        connection.forget(&mut self.ledger);
        let peer = connection.peer;
        let why = reason(error);
        if let Stage::Open { .. } = &connection.stage {
            self.counters.violations += 1;
            self.tell_violation(now, at, &why);
        } else {
            self.counters.refused += 1;
            self.counters.tls_failed += 1;
            if let Some(before) = self.turned.told.pass(now) {
                tracing::warn!(?peer, before, "a client does not come in by TLS: {why}");
            } else {
                tracing::debug!(?peer, "a client does not come in by TLS: {why}");
            }
        }
        self.close(now, groups, at, Departure::Lost);
        self.touch(at);
    }
}

/// Why, with what the operator of the daemon or the client can do.
fn reason(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error, InvalidMessage};
    match error {
        Error::NoCertificatesPresented => {
            "it shows no certificate; give it one that the CA of bus.tls_client_ca has signed"
                .into()
        }
        Error::InvalidCertificate(Bad::UnknownIssuer) => {
            "nobody in bus.tls_client_ca has signed its certificate".into()
        }
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "its certificate has ended; give it another".into()
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS; let it, or connect to a port of bus.listen".into()
        }
        Error::AlertReceived(
            alert @ (Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate),
        ) => format!("it does not believe this daemon's certificate ({alert:?})"),
        error => error.to_string(),
    }
}

//! The daemon towards clients that come by TLS: its certificate and key, and who vouches for clients.
//!
//! Everything is read and judged before it is used, so that a mistake is one sentence at the start, or at a reload leaves
//! what was there. Versions 1.3 and 1.2; every client shows a certificate. Sessions are not resumed: they last long, and a
//! resumed one would not show its certificate again.
//!
//! Not here: the bytes of a session (`session::tls`), and where clients come in (`listen`).

pub(crate) mod certificate;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, version};

use self::certificate::Certificate;

/// Most bytes of one file: a few hundred certificates.
const FILE_MAX: u64 = 1 << 20;
/// So many days before a certificate ends, that is said.
const ENDS_SOON: i64 = 14;

/// The files that an operator names.
pub(crate) struct Files<'a> {
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
    pub(crate) client_ca: &'a Path,
}

/// Which of them is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Certificate,
    Key,
    ClientCa,
}

/// Why one of them cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) which: Which,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

/// What the files come to.
#[derive(Debug)]
pub(crate) struct Identity {
    /// What sessions are begun with.
    pub(crate) config: Arc<ServerConfig>,
    /// For whom the certificate is.
    pub(crate) subject: String,
    /// The certificates whose time matters, with their files.
    timed: Vec<(Certificate, PathBuf)>,
    /// What is strange but allowed whatever the time is, one sentence each.
    strange: Vec<String>,
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that is missing, unreadable, or does not fit the others.
    pub(crate) fn read(files: &Files<'_>) -> Result<Self, Fault> {
        let chain = certificates(Which::Certificate, files.certificate)?;
        let key = key(files.key)?;
        let mut roots = RootCertStore::empty();
        let authorities = certificates(Which::ClientCa, files.client_ca)?;
        let mut timed = Vec::new();
        for der in &authorities {
            timed.extend(Certificate::read(der).map(|read| (read, files.client_ca.into())));
            roots.add(der.clone()).map_err(|error| {
                let message =
                    format!("a certificate in {:?} cannot be used: {error}", files.client_ca);
                Fault::new(
                    Which::ClientCa,
                    message,
                    "write X.509 certificates of version 3, made as docs/bus.md shows",
                )
            })?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .build()
            .map_err(|error: VerifierBuilderError| {
                let message = format!("{:?} vouches for nobody: {error}", files.client_ca);
                Fault::new(
                    Which::ClientCa,
                    message,
                    "write the certificate of whoever signs those of clients",
                )
            })?;
        let versions = [&version::TLS13, &version::TLS12];
        let own = chain.first().and_then(|der| Certificate::read(der));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .and_then(|builder| {
                builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)
            })
            .map_err(|error| unfit(files, &error))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let mut strange = Vec::new();
        if own.as_ref().is_some_and(|own| !own.has_names) {
            strange.push(format!(
                "the certificate in {:?} names no host in its subjectAltName, so clients that check it do not believe it; make one with the names and addresses they connect to",
                files.certificate
            ));
        }
        let subject = own.as_ref().map_or_else(|| "nobody".into(), |own| own.subject.clone());
        timed.extend(own.map(|own| (own, files.certificate.into())));
        Ok(Self { config: config.into(), subject, timed, strange })
    }

    /// What is strange but allowed, one sentence each. `now` is in unix seconds.
    pub(crate) fn warnings(&self, now: i64) -> Vec<String> {
        let ending =
            self.timed.iter().filter_map(|(certificate, path)| ending(certificate, path, now));
        ending.chain(self.strange.iter().cloned()).collect()
    }
}

impl Fault {
    fn new(which: Which, message: String, remedy: impl Into<String>) -> Self {
        Self { which, message, remedy: remedy.into() }
    }
}

fn unfit(files: &Files<'_>, error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InconsistentKeys(_) => Fault::new(
            Which::Key,
            format!(
                "the key in {:?} is not that of the certificate in {:?}",
                files.key, files.certificate
            ),
            "name the key that this certificate was made for; if there are several certificates in the file, the daemon's own is the first",
        ),
        error => Fault::new(
            Which::Certificate,
            format!(
                "the certificate in {:?} and its key cannot be used: {error}",
                files.certificate
            ),
            "write an X.509 certificate of version 3 with a key for ECDSA (P-256, P-384), Ed25519 or RSA (2048 bits or more), made as docs/bus.md shows",
        ),
    }
}

/// That a certificate ends soon, has ended, or has not begun.
fn ending(certificate: &Certificate, path: &Path, now: i64) -> Option<String> {
    let (subject, days) = (&certificate.subject, certificate.days_left(now));
    let what = match days {
        _ if certificate.valid.0 > now => {
            "is not valid yet; set this machine's clock, or wait".into()
        }
        ..0 => format!(
            "ended {} days ago, so sessions over TLS fail; make another and send SIGHUP",
            -days
        ),
        0..=ENDS_SOON => format!("ends in {days} days; make another in time and send SIGHUP"),
        _ => return None,
    };
    Some(format!("the certificate of {subject} in {path:?} {what}"))
}

/// Reads a file of bounded size that is one.
fn contents(which: Which, path: &Path) -> Result<Vec<u8>, Fault> {
    let wrong = |error: std::io::Error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "let the user that the daemon runs as read it",
            _ => "name the file; docs/bus.md shows how to make one",
        };
        Fault::new(which, format!("cannot read {path:?}: {error}"), remedy)
    };
    // Not waiting for whoever may one day write into a pipe of that name.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| wrong(error.into()))?;
    let file = File::from(file);
    let meta = file.metadata().map_err(wrong)?;
    if !meta.is_file() {
        let message = format!("{path:?} is not a regular file");
        return Err(Fault::new(which, message, "name the file itself"));
    }
    if which == Which::Key && meta.mode() & 0o007 != 0 {
        let message = format!(
            "{path:?} can be read by everybody on this machine (mode {:o})",
            meta.mode() & 0o777
        );
        let remedy =
            format!("run chmod 600 {}; if others may have read it, make a new key", path.display());
        return Err(Fault::new(which, message, remedy));
    }
    if meta.len() > FILE_MAX {
        let message = format!("{path:?} has more than {FILE_MAX} bytes");
        return Err(Fault::new(which, message, "name a file that holds nothing else"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(bytes)
}

fn certificates(which: Which, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let bytes = contents(which, path)?;
    let mut all = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        all.push(certificate.map_err(|error| broken(which, path, &error))?);
    }
    if all.is_empty() {
        let message = format!("there is no certificate in {path:?}");
        let remedy = "write it as PEM, which begins with -----BEGIN CERTIFICATE-----";
        return Err(Fault::new(which, message, remedy));
    }
    Ok(all)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let which = Which::Key;
    let bytes = contents(which, path)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) => {
            let locked = bytes.windows(b"ENCRYPTED".len()).any(|part| part == b"ENCRYPTED");
            let (message, remedy) = if locked {
                let remedy = format!(
                    "unlock it with: openssl pkey -in {} -out FILE, in a folder that only the daemon can read",
                    path.display()
                );
                (
                    "the key in {} is locked with a passphrase, and nobody is there to type it",
                    remedy,
                )
            } else {
                let remedy = "write it as PEM, which begins with -----BEGIN PRIVATE KEY-----";
                ("there is no private key in {}", remedy.into())
            };
            Err(Fault::new(which, message.replace("{}", &format!("{path:?}")), remedy))
        }
        Err(error) => Err(broken(which, path, &error)),
    }
}

fn broken(which: Which, path: &Path, error: &PemError) -> Fault {
    let message = format!("{path:?} is no whole PEM file: {error}");
    Fault::new(which, message, "copy it again, from -----BEGIN to the end of the -----END line")
}

#[cfg(test)]
mod tests;

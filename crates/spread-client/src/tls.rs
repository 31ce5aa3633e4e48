//! The certificates of a client: its own, and whom it believes.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::endpoint::Endpoint;
use crate::error::Error;

/// Most bytes of one file.
const FILE_MAX: u64 = 1 << 20;
const MAKE: &str = "write it as PEM, made as the daemon's documentation shows (docs/bus.md)";

/// How to speak TLS with a daemon: which certificates to believe, and the own one to show.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads PEM files: whoever signs the certificates of daemons, the own certificate with those of its issuers behind it,
    /// and its key, without a passphrase.
    ///
    /// # Errors
    /// [`Error::Tls`]: one cannot be read, or they do not fit each other.
    pub fn from_files(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(ca)? {
            roots.add(authority).map_err(|error| unusable(ca, &error))?;
        }
        let chain = certificates(certificate)?;
        let text = contents(key)?;
        let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => Error::Tls {
                message: format!("there is no private key without a passphrase in {key:?}"),
                remedy: "write it as PEM, which begins with -----BEGIN PRIVATE KEY-----",
            },
            error => Error::Tls { message: format!("{key:?}: {error}"), remedy: MAKE },
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .and_then(|builder| {
                builder.with_root_certificates(roots).with_client_auth_cert(chain, secret)
            });
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Error::Tls {
                message: format!(
                    "the key in {key:?} is not that of the certificate in {certificate:?}"
                ),
                remedy: "name the key that this certificate was made for",
            },
            error => unusable(certificate, &error),
        })?;
        // Our daemon resumes no session.
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// Takes a configuration made elsewhere: other versions, keys in hardware.
    pub fn with_config(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }
}

/// What a connection over TLS begins with.
#[derive(Debug)]
pub(crate) struct Certified {
    pub(crate) config: Arc<ClientConfig>,
    /// Whom the daemon's certificate has to name.
    pub(crate) host: ServerName<'static>,
}

/// What the connection to `endpoint` begins with, if that is with TLS.
///
/// # Errors
/// It is with TLS, and nobody said with which certificates, or the host cannot stand in one.
pub(crate) fn certified(
    endpoint: &Endpoint,
    tls: Option<&Tls>,
) -> Result<Option<Certified>, Error> {
    let Endpoint::Tls { host, .. } = endpoint else { return Ok(None) };
    let Some(Tls(config)) = tls else {
        let message = format!("{endpoint} needs certificates, and none are named");
        return Err(Error::Tls {
            message,
            remedy: "name the authority, the own certificate and its key",
        });
    };
    let host = ServerName::try_from(host.clone()).map_err(|_| Error::Tls {
        message: format!("{host:?} cannot stand in a certificate"),
        remedy: "write the host's name or address as the daemon's certificate has it",
    })?;
    Ok(Some(Certified { config: config.clone(), host }))
}

fn contents(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes));
    read.map_err(|error| Error::Tls {
        message: format!("cannot read {path:?}: {error}"),
        remedy: "name the file, and let this user read it",
    })?;
    Ok(bytes)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = contents(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if all.is_empty() => Err(Error::Tls {
            message: format!("there is no certificate in {path:?}"),
            remedy: MAKE,
        }),
        Ok(all) => Ok(all),
        Err(error) => Err(Error::Tls { message: format!("{path:?}: {error}"), remedy: MAKE }),
    }
}

fn unusable(path: &Path, error: &rustls::Error) -> Error {
    Error::Tls {
        message: format!("the certificate in {path:?} cannot be used: {error}"),
        remedy: MAKE,
    }
}

#[cfg(test)]
mod tests {
    use testkit::certificates;

    use super::*;

    fn said(names: [&str; 3]) -> String {
        let folder = tempfile::tempdir().unwrap();
        certificates::write(folder.path());
        let [ca, certificate, key] = names.map(|name| folder.path().join(name));
        let read = Tls::from_files(&ca, &certificate, &key);
        read.map_or_else(|error| error.to_string(), |_| "in order".into())
    }

    #[test]
    fn files_are_read_and_each_mistake_is_a_sentence() {
        assert_eq!(said(["ca.pem", "client.pem", "client.key"]), "in order");
        for (names, words) in [
            (["none", "client.pem", "client.key"], ["cannot read", "none"]),
            (["client.key", "client.pem", "client.key"], ["no certificate in", "PEM"]),
            (["ca.pem", "client.pem", "locked.key"], ["passphrase", "locked.key"]),
            (["ca.pem", "client.pem", "server.key"], ["is not that of", "client.pem"]),
        ] {
            let said = said(names);
            words.iter().for_each(|word| assert!(said.contains(word), "{word}: {said}"));
        }
    }

    #[test]
    fn tls_without_certificates_is_refused_before_anything_is_connected() {
        let endpoint = "tls:4804@localhost".parse().unwrap();
        let error = certified(&endpoint, None).unwrap_err();
        assert!(!error.is_passing() && error.to_string().contains("name the authority"), "{error}");
        assert!(certified(&"4803@localhost".parse().unwrap(), None).unwrap().is_none());
    }
}

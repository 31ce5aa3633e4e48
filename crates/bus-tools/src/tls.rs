//! The certificates of the tools, for a daemon at `tls:PORT@HOST`: from the command line, else from the environment.

use std::ffi::OsString;
use std::path::PathBuf;

use spread_client::{Endpoint, Error, Tls};

use crate::usage::{UsageError, Words};

/// Lines of a usage about them.
pub(crate) const USAGE: &str = "\
\t[--tls-ca <file>]          : who signs daemons' certificates, with -s tls:port@machine (else BACKHAND_TLS_CA)
\t[--tls-certificate <file>] : own certificate (else BACKHAND_TLS_CERTIFICATE)
\t[--tls-key <file>]         : its key (else BACKHAND_TLS_KEY)
";

/// PEM files; what is not named is looked for in the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who signs the certificates of daemons (`--tls-ca`, `BACKHAND_TLS_CA`).
    pub ca: Option<PathBuf>,
    /// The own certificate (`--tls-certificate`, `BACKHAND_TLS_CERTIFICATE`).
    pub certificate: Option<PathBuf>,
    /// Its key (`--tls-key`, `BACKHAND_TLS_KEY`).
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Takes what stands behind `flag` if that is one of theirs.
    pub(crate) fn take<I: Iterator<Item = OsString>>(
        &mut self,
        flag: &str,
        words: &mut Words<I>,
    ) -> Result<bool, UsageError> {
        let file = match flag {
            "--tls-ca" => &mut self.ca,
            "--tls-certificate" => &mut self.certificate,
            "--tls-key" => &mut self.key,
            _ => return Ok(false),
        };
        *file = Some(words.value(flag)?.into());
        Ok(true)
    }

    /// Reads them, if `endpoint` is with TLS.
    ///
    /// # Errors
    /// One is not named, cannot be read, or does not fit the others.
    pub fn read(&self, endpoint: &Endpoint) -> Result<Option<Tls>, Error> {
        if !matches!(endpoint, Endpoint::Tls { .. }) {
            return Ok(None);
        }
        let named = |file: &Option<PathBuf>, variable: &str| {
            file.clone().or_else(|| Some(std::env::var_os(variable)?.into())).ok_or(Error::Tls {
                message: format!("{endpoint} needs certificates, and one of the files is not named"),
                remedy: "write --tls-ca, --tls-certificate and --tls-key, or set BACKHAND_TLS_CA, BACKHAND_TLS_CERTIFICATE and BACKHAND_TLS_KEY",
            })
        };
        let ca = named(&self.ca, "BACKHAND_TLS_CA")?;
        let certificate = named(&self.certificate, "BACKHAND_TLS_CERTIFICATE")?;
        let key = named(&self.key, "BACKHAND_TLS_KEY")?;
        Tls::from_files(&ca, &certificate, &key).map(Some)
    }
}

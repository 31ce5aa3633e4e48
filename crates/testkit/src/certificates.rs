//! Certificates for tests of TLS, valid from 2020 to 2119. They guard nothing: their keys are public, here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../certificates/", $name)))),*]
    };
}

/// Each file, with what is in it, as `certificates/make.sh` made it.
///
/// `ca` has signed `server` (for localhost and its addresses), `client`, `ended` (which ended in 2020) and `nameless` (no
/// subject, but other names); `other` has signed `stranger`. `locked.key` is the server's, with a passphrase.
pub const FILES: &[(&str, &str)] = files!(
    "ca.pem" "other.pem" "server.pem" "server.key" "locked.key" "client.pem" "client.key" "stranger.pem" "stranger.key"
    "ended.pem" "ended.key" "nameless.pem" "nameless.key"
);

/// What is in one of them.
///
/// # Panics
/// If there is no such file.
pub fn text(name: &str) -> &'static str {
    FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| *text).unwrap()
}

/// Writes all of them into a folder, readable by their owner only.
///
/// # Panics
/// If that is not possible.
pub fn write(folder: &Path) {
    for (name, text) in FILES {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

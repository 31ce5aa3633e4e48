//! Files that are right, and each way in which they are not.

use std::path::PathBuf;

use tempfile::TempDir;
use testkit::certificates;

use super::*;

/// In the middle of the time of the certificates.
const NOW: i64 = 2_000_000_000;
const FILES: [&str; 3] = ["server.pem", "server.key", "ca.pem"];

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        certificates::write(folder.path());
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, names: [&str; 3]) -> Result<Identity, Fault> {
        let [certificate, key, client_ca] = names.map(|name| self.path(name));
        let files = Files { certificate: &certificate, key: &key, client_ca: &client_ca };
        Identity::read(&files)
    }

    /// What is wrong with which, and what to do.
    fn fault(&self, names: [&str; 3]) -> (Which, String) {
        let fault = self.read(names).unwrap_err();
        (fault.which, format!("{}; {}", fault.message, fault.remedy))
    }
}

#[track_caller]
fn says(fault: (Which, String), which: Which, words: &[&str]) {
    assert_eq!(fault.0, which, "{}", fault.1);
    words.iter().for_each(|word| assert!(fault.1.contains(word), "{word}: {}", fault.1));
}

#[test]
fn right_files_make_an_identity_without_warnings() {
    let identity = Folder::new().read(FILES).unwrap();
    assert_eq!((identity.subject.as_str(), identity.warnings(NOW).len()), ("CN=bus", 0));
}

#[test]
fn several_authorities_may_vouch() {
    let folder = Folder::new();
    let both = ["ca.pem", "other.pem"].map(certificates::text).concat();
    folder.write("both.pem", &both);
    folder.read(["server.pem", "server.key", "both.pem"]).unwrap();
}

#[test]
fn each_mistake_is_a_sentence_with_its_file_and_a_remedy() {
    use Which::{Certificate, ClientCa, Key};
    let folder = Folder::new();
    let (cert, key, ca) = ("server.pem", "server.key", "ca.pem");
    says(
        folder.fault(["none.pem", key, ca]),
        Certificate,
        &["none.pem", "No such file", "docs/bus.md"],
    );
    says(folder.fault([cert, "", ca]), Key, &["is not a regular file"]);
    says(folder.fault([cert, key, key]), ClientCa, &["no certificate in", "server.key", "PEM"]);
    says(folder.fault([cert, ca, ca]), Key, &["no private key in", "ca.pem", "BEGIN PRIVATE KEY"]);
    says(folder.fault([cert, "locked.key", ca]), Key, &["passphrase", "openssl pkey -in"]);
    says(
        folder.fault([cert, "client.key", ca]),
        Key,
        &["client.key", "is not that of", "server.pem"],
    );
    let half = certificates::text(cert).split_at(200).0.to_owned();
    folder.write("half.pem", &half);
    says(folder.fault(["half.pem", key, ca]), Certificate, &["no whole PEM file", "copy it again"]);
    folder.write("empty.pem", "");
    says(folder.fault([cert, key, "empty.pem"]), ClientCa, &["no certificate in"]);
    let noise = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    folder.write("noise.pem", noise);
    says(folder.fault([cert, key, "noise.pem"]), ClientCa, &["cannot be used", "version 3"]);
    says(folder.fault(["noise.pem", key, ca]), Certificate, &["cannot be used", "P-256"]);
    folder.write("film", &"x".repeat(FILE_MAX as usize + 1));
    says(folder.fault([cert, key, "film"]), ClientCa, &["more than 1048576 bytes"]);
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path("server.key"), permissions).unwrap();
    };
    mode(0o604);
    says(folder.fault(FILES), Which::Key, &["mode 604", "chmod 600"]);
    // A group of those who may read keys is usual.
    mode(0o640);
    folder.read(FILES).unwrap();
}

#[test]
fn the_end_of_a_certificate_is_told_before_and_after() {
    let identity = Folder::new().read(FILES).unwrap();
    let end = 4_733_510_400;
    assert!(identity.warnings(end - 15 * 86_400).is_empty());
    let soon = identity.warnings(end - 3 * 86_400);
    // The daemon's own, and that of the authority.
    assert!(soon.len() == 2, "{soon:?}");
    assert!(soon[1].contains("CN=bus") && soon[1].contains("ends in 3 days"), "{soon:?}");
    let over = identity.warnings(end + 3 * 86_400);
    assert!(over[1].contains("ended 3 days ago"), "{over:?}");
    assert!(identity.warnings(0)[1].contains("is not valid yet"));
}

#[test]
fn a_certificate_for_no_host_is_told() {
    let identity = Folder::new().read(["client.pem", "client.key", "ca.pem"]).unwrap();
    let warnings = identity.warnings(NOW);
    assert!(warnings.len() == 1 && warnings[0].contains("subjectAltName"), "{warnings:?}");
}

//! A cache with its `purged`, in a thread of the test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use bus_tools::purge::ask::{Request, ask};
use bus_tools::purge::member::{Line, Ready, Settings};
use bus_tools::tls::TlsFiles;
use spread_client::{Endpoint, GroupName, PrivateGroup};
use tempfile::TempDir;

use super::Screen;

pub const GROUP: &str = "cachepurge";
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A folder, and what its member says.
pub struct Cache {
    pub folder: TempDir,
    pub log: Screen,
}

impl Cache {
    /// A member that has cleared its folder and joined, so that `count` are in the group.
    pub fn start(spread: &Endpoint, count: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let cache = Self { folder, log: Screen::default() };
        cache.run(spread);
        cache.log.containing(&format!("joined {GROUP} ({count} members), clears the folder: "));
        cache
    }

    pub fn run(&self, spread: &Endpoint) {
        let settings = Settings {
            folder: self.folder.path().to_owned(),
            adopt: false,
            spread: spread.clone(),
            tls: TlsFiles::default(),
            groups: vec![GROUP.into()],
        };
        let mut log = self.log.clone();
        thread::spawn(move || {
            let mut say = |line: Line| {
                let weight = if line.warning { "warning: " } else { "" };
                writeln!(log, "{weight}{}", line.text).unwrap();
            };
            Ready::new(&settings).unwrap().run(&mut say)
        });
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn stores(&self, paths: &[&str]) {
        for path in paths {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), path).unwrap();
        }
    }

    /// Marks the folder as a cache of an earlier life.
    pub fn is_marked(&self) {
        let mark = "Signature: 8a477f597d28d172789f06886806bc55\n";
        fs::write(self.path("CACHEDIR.TAG"), mark).unwrap();
    }

    /// Whether nothing is there but the mark.
    pub fn is_empty(&self) -> bool {
        let names = fs::read_dir(self.folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names == ["CACHEDIR.TAG"]
    }

    pub fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub fn waits_until_gone(&self, path: &str) {
        let begun = Instant::now();
        while self.has(path) {
            assert!(begun.elapsed() < PATIENCE, "{path} is still there; {}", self.log.text());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The name of its session.
    pub fn name(&self) -> PrivateGroup {
        let log = self.log.containing("connected as #");
        let name = log.rsplit_once("\nconnected as ").unwrap().1.lines().next().unwrap();
        GroupName::destination(name.as_bytes()).unwrap().private().unwrap()
    }
}

/// Asks for purges; whether all were done by all, and what was said of it.
pub fn purge_within(
    spread: &Endpoint,
    patience: Duration,
    objects: &[&str],
) -> (bool, String, String) {
    let request = Request {
        spread: spread.clone(),
        tls: TlsFiles::default(),
        group: GROUP.into(),
        objects: objects.iter().map(|object| object.as_bytes().to_vec()).collect(),
        patience: Some(patience),
    };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let all = ask(&request, &mut output, &mut errors).unwrap();
    (all, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
}

//! Machines with a `/run` and a `/tmp` of their own, and what is run in them.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lab::{CgroupWish, Exit, Lab, LabConfig, Output, Process, Spawn};
use serde_json::Value;

use crate::support::{KEY, PATIENCE, PROGRAM};

/// No address.
pub(crate) const NOTHING: [IpAddr; 0] = [];

pub(crate) struct Stage {
    pub(crate) lab: Lab,
    folder: tempfile::TempDir,
    names: Vec<String>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// What it said, if it ended well.
    pub(crate) fn well(self) -> String {
        assert_eq!(self.exit, Exit::Code(0), "{self:?}");
        self.out
    }

    pub(crate) fn json(self) -> Value {
        let text = self.well();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What it said of its failure.
    pub(crate) fn ill(self, status: i32) -> String {
        assert_eq!(self.exit, Exit::Code(status), "{self:?}");
        self.err
    }
}

impl Stage {
    pub(crate) fn new(names: &[&str], interface: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(PROGRAM).parent().unwrap().to_owned();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let lab = Lab::start(LabConfig {
            machines: names.len(),
            names: names.clone(),
            interface: interface.to_owned(),
            private: vec!["/tmp".into(), "/run".into()],
            shared: vec![folder.path().to_owned(), program],
            cgroups: CgroupWish::No,
            ..LabConfig::default()
        })
        .unwrap();
        let mut key = fs::OpenOptions::new();
        let mut key =
            key.write(true).create_new(true).mode(0o600).open(folder.path().join("key")).unwrap();
        key.write_all(KEY.as_bytes()).unwrap();
        for name in ["wackamole", "wackatrl"] {
            std::os::unix::fs::symlink(PROGRAM, folder.path().join(name)).unwrap();
        }
        Self { lab, folder, names }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Runs something to its end in machine `i`. A program with a slash is as it is; others are in the stage's folder.
    pub(crate) fn run(&self, i: usize, program: &str, words: &[&str]) -> Said {
        let [out, err] = ["out", "err"].map(|name| self.path(&format!("{}.{name}", self.names[i])));
        for file in [&out, &err] {
            fs::write(file, "").unwrap();
        }
        let process =
            self.begin(i, program, words, Output::File(out.clone()), Output::File(err.clone()));
        let exit = process.wait_timeout(2 * PATIENCE);
        let read = |path| fs::read_to_string(path).unwrap();
        let said = Said { exit: exit.unwrap_or(Exit::Code(-1)), out: read(out), err: read(err) };
        assert!(exit.is_some(), "{program} {words:?} did not end: {said:?}");
        said
    }

    /// Starts something in machine `i`.
    pub(crate) fn begin(
        &self,
        i: usize,
        program: &str,
        words: &[&str],
        out: Output,
        err: Output,
    ) -> Process {
        let program = match program {
            "backhand" => PathBuf::from(PROGRAM),
            "wackamole" | "wackatrl" => self.path(program),
            other => PathBuf::from(other),
        };
        let spawn = Spawn::new(program).args(words).cwd("/").stdout(out).stderr(err);
        self.lab.machine(i).spawn(spawn).unwrap()
    }

    /// Starts something that writes to a log in the stage's folder.
    pub(crate) fn logged(&self, i: usize, what: &str, program: &str, words: &[&str]) -> Process {
        let log = self.path(&format!("{}.{what}.log", self.names[i]));
        self.begin(i, program, words, Output::File(log.clone()), Output::File(log))
    }

    pub(crate) fn log(&self, i: usize, what: &str) -> String {
        fs::read_to_string(self.path(&format!("{}.{what}.log", self.names[i]))).unwrap_or_default()
    }

    /// Those of these addresses that are on an interface of machine `i`.
    pub(crate) fn here(&self, i: usize, of: &[IpAddr]) -> Vec<IpAddr> {
        let out = self.run(i, "ip", &["-o", "addr", "show"]).well();
        let has = |ip: &IpAddr| {
            out.split_whitespace().any(|word| word.split('/').next() == Some(&ip.to_string()))
        };
        of.iter().copied().filter(has).collect()
    }

    /// Starts machine `i` as a whole Backhand with these lines in `[addresses]`.
    pub(crate) fn whole(&self, i: usize, lines: &str) -> Process {
        let name = &self.names[i];
        let file = self.write(&format!("{name}.toml"), &self.file(i, lines));
        self.logged(i, "run", "backhand", &["run", "--config", file.to_str().unwrap()])
    }

    pub(crate) fn file(&self, i: usize, lines: &str) -> String {
        let (name, address) = (&self.names[i], self.lab.machine(i).address());
        let folder = self.folder.path().display();
        format!(
            "[cluster]\nname = \"{name}\"\nkey_file = \"{folder}/key\"\naccept = [\"10.77.0.0/24\"]\nstate_dir = \"{folder}/{name}\"\n\
             [http]\nlisten = [\"{address}:8080\"]\nworkers = 1\n[bus]\n[addresses]\n{lines}"
        )
    }

    /// `backhand vip` with these words in machine `i`.
    pub(crate) fn vip(&self, i: usize, words: &[&str]) -> Said {
        self.run(i, "backhand", &[&["vip"], words].concat())
    }

    pub(crate) fn list(&self, i: usize) -> Option<Value> {
        let said = self.vip(i, &["list", "--json"]);
        (said.exit == Exit::Code(0)).then(|| serde_json::from_str(&said.out).unwrap())
    }
}

/// Who has each set, in the order of the list.
pub(crate) fn owners(list: &Value) -> Vec<Option<String>> {
    let sets = list["sets"].as_array().unwrap();
    sets.iter().map(|set| set["owner"].as_str().map(str::to_owned)).collect()
}

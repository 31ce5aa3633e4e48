//! Three machines with a database each, and the example's programs as hooks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::{Exit, Output, Place, Spawn};
use tempfile::TempDir;
use testkit::trial::Needs;

use super::client::Session;
use crate::stand::{Stand, v4};
use crate::support::PROGRAM;

/// Where every database is reached.
pub(crate) const PORT: u16 = 5432;

/// The programs of the newest server there is.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut all: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    all.retain(|folder| folder.join("initdb").exists() && folder.join("pg_rewind").exists());
    all.sort();
    all.pop()
}

/// Whether there can be databases here.
pub(crate) fn servers() -> Needs {
    if programs().is_none() {
        return Err("there is no PostgreSQL server".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("only root can start a database as another user".to_owned());
    }
    let known = Command::new("id").arg("postgres").output();
    if !known.is_ok_and(|out| out.status.success()) {
        return Err("there is no user postgres, and the server refuses to run as root".to_owned());
    }
    Ok(())
}

/// Runs a program on this machine, as the user of the database.
fn run(program: &Path, arguments: &[&str]) {
    let out = Command::new("runuser")
        .args(["-u", "postgres", "--"])
        .arg(program)
        .args(arguments)
        .current_dir("/")
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// The machines.
pub(crate) struct Cluster {
    pub(crate) stand: Stand,
    folder: TempDir,
}

impl Cluster {
    /// Makes equal databases, starts everything, and waits until one is the primary and the others follow it.
    pub(crate) fn boot() -> Self {
        let stand = Stand::silent(3, [v4(1)]);
        let folder = tempfile::tempdir().unwrap();
        let out = Command::new("chown").arg("postgres").arg(folder.path()).output().unwrap();
        assert!(out.status.success());
        let mut cluster = Self { stand, folder };
        cluster.make();
        for i in cluster.stand.all() {
            cluster.start(i);
        }
        let primary = cluster.stand.until("there is a primary", || cluster.find_primary());
        // The first standby that follows lets this through.
        let table = |i: &usize| format!("create table alone{i} (n int);");
        let tables: String = cluster.stand.all().iter().map(table).collect();
        cluster.stand.until("it takes a write", || {
            let to = (cluster.stand.lab.machine(primary).address4(), PORT).into();
            let mut session =
                Session::open(&cluster.stand.lab, Place::Machine(primary), to).ok()?;
            session.ask("create table if not exists t (n int)").ok()
        });
        cluster.ask(primary, &format!("{tables} insert into t values (0)"));
        for i in cluster.stand.all().into_iter().filter(|i| *i != primary) {
            cluster.wait_until_follows(i, 0);
        }
        cluster
    }

    fn data(&self, i: usize) -> PathBuf {
        self.folder.path().join(format!("m{}", i + 1))
    }

    fn settings(&self, i: usize) -> PathBuf {
        self.folder.path().join(format!("m{}.settings", i + 1))
    }

    fn make(&self) {
        let programs = programs().unwrap();
        let first = self.data(0);
        run(
            &programs.join("initdb"),
            &[
                "-D",
                first.to_str().unwrap(),
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-locale",
                "--no-sync",
            ],
        );
        let own = |i: usize| self.stand.lab.machine(i).address4().to_string();
        let all = self.stand.all();
        let hosts: Vec<String> = all.iter().map(|i| own(*i)).collect();
        let conf = first.join("postgresql.conf");
        let given = fs::read_to_string(&conf).unwrap();
        let more = format!(
            "listen_addresses = '*'\nunix_socket_directories = ''\nfsync = off\nshared_buffers = 16MB\n\
             dynamic_shared_memory_type = mmap\nwal_log_hints = on\nhot_standby = on\nwal_retrieve_retry_interval = 500ms\nwal_receiver_timeout = 5s\n\
             recovery_target_timeline = 'latest'\nsynchronous_standby_names = 'ANY 1 (*)'\n\
             primary_conninfo = 'host={} port={PORT} user=postgres target_session_attrs=read-write tcp_user_timeout=3000'\n",
            hosts.join(",")
        );
        fs::write(conf, given + &more).unwrap();
        let access = first.join("pg_hba.conf");
        let given = fs::read_to_string(&access).unwrap();
        let more = "host all all 10.0.0.0/8 trust\nhost replication all 10.0.0.0/8 trust\n";
        fs::write(access, given + more).unwrap();
        run(Path::new("touch"), &[first.join("standby.signal").to_str().unwrap()]);
        for i in all {
            let folder = self.data(i);
            if i > 0 {
                run(Path::new("cp"), &["-a", first.to_str().unwrap(), folder.to_str().unwrap()]);
            }
            let others = hosts.iter().enumerate().filter(|(of, _)| *of != i);
            let peers: Vec<String> = others.map(|(_, host)| format!("{host}:{PORT}")).collect();
            let text = format!(
                "PGBIN={}\nPGDATA={}\nPGPORT={PORT}\nPGUSER=postgres\nSYSTEM_USER=postgres\nSOCKETS=127.0.0.1\nPEERS=\"{}\"\nWAIT=20\nMUST_ANSWER=1\n",
                programs.display(),
                folder.display(),
                peers.join(" "),
            );
            fs::write(self.settings(i), text).unwrap();
        }
    }

    /// What happens when machine `i` boots.
    pub(crate) fn start(&mut self, i: usize) {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/postgresql");
        let settings = self.settings(i);
        let hook = |event: &str, program: &str, timeout: &str| {
            format!(
                "[[addresses.hook]]\nevent = \"{event}\"\ncommand = [\"{}\", \"{}\"]\ntimeout = \"{timeout}\"\nsets = [\"db\"]\n",
                example.join(program).display(),
                settings.display()
            )
        };
        let section = format!(
            "[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\nquorum = true\n\
             [addresses.quorum]\nmembers = {{ m1 = 1, m2 = 1, m3 = 1 }}\n{}{}\
             [[addresses.health]]\nname = \"database\"\ncommand = [\"{}\", \"-q\", \"-h\", \"127.0.0.1\", \"-U\", \"postgres\"]\n",
            v4(1),
            hook("on up", "on-up", "90s"),
            hook("on down", "on-down", "20s"),
            programs().unwrap().join("pg_isready").display(),
        );
        let log = Output::File(self.stand.path(&format!("m{}.log", i + 1)));
        let follow = Spawn::new(example.join("follow")).arg(&settings).cwd("/");
        let follow = follow.stdout(log.clone()).stderr(log);
        drop(self.stand.lab.machine(i).spawn(follow).unwrap());
        let text = self.stand.with(i, &section);
        self.stand.start_as(i, &text, Spawn::new(PROGRAM));
    }

    /// The database of machine `i` dies, and nothing else.
    pub(crate) fn crash(&self, i: usize) {
        let pid = fs::read_to_string(self.data(i).join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        let kill = Spawn::new("kill").args(["-KILL", &pid]).cwd("/");
        let exit = self.stand.lab.machine(i).spawn(kill).unwrap().wait();
        assert_eq!(exit, Exit::Code(0));
    }

    /// Asks the database of machine `i` on that machine.
    pub(crate) fn try_ask(&self, i: usize, question: &str) -> std::io::Result<Vec<String>> {
        let to = (self.stand.lab.machine(i).address4(), PORT).into();
        Session::open(&self.stand.lab, Place::Machine(i), to)?.ask(question)
    }

    pub(crate) fn ask(&self, i: usize, question: &str) -> Vec<String> {
        self.try_ask(i, question).unwrap()
    }

    fn find_primary(&self) -> Option<usize> {
        let at = self.stand.holder(&self.stand.all(), v4(1))?;
        let said = self.try_ask(at, "select pg_is_in_recovery()").ok()?;
        (said == ["f"]).then_some(at)
    }

    /// The machine with the address, whose database is a primary.
    pub(crate) fn primary(&self) -> usize {
        self.find_primary().expect("there is a primary")
    }

    /// Waits until the database of machine `i` is a standby that has this write.
    pub(crate) fn wait_until_follows(&self, i: usize, number: u32) {
        let question =
            format!("select pg_is_in_recovery(), count(*) > 0 from t where n = {number}");
        self.stand.until_within(Duration::from_secs(30), &format!("m{} follows", i + 1), || {
            (self.try_ask(i, &question).ok()? == ["t|t"]).then_some(())
        });
    }
}

impl Drop for Cluster {
    /// What they have of the kernel's shared memory would stay if they were killed.
    fn drop(&mut self) {
        for i in self.stand.all() {
            if std::thread::panicking() {
                let mut log = self.data(i).into_os_string();
                log.push(".log");
                eprintln!(
                    "--- database of m{}\n{}",
                    i + 1,
                    fs::read_to_string(log).unwrap_or_default()
                );
            }
            let data = self.data(i);
            let stop = Spawn::new("runuser").args(["-u", "postgres", "--"]);
            let stop = stop.arg(programs().unwrap().join("pg_ctl")).arg("-D").arg(data);
            let stop = stop.args(["-m", "immediate", "stop"]).cwd("/").stdout(Output::Null);
            if let Ok(stop) = self.stand.lab.machine(i).spawn(stop.stderr(Output::Null)) {
                let _ = stop.wait_timeout(Duration::from_secs(10));
            }
        }
    }
}

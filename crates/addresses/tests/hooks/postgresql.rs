//! The example `docs/examples/postgresql`: two databases on one machine, of which never more than one is a primary.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use addresses::config::{Hook, HookEvent, HookRun, HookSets};
use addresses::hooks::{HookDone, Outcome};
use tempfile::TempDir;
use testkit::trial::Needs;

use crate::support::{call, eventually, once};

/// How long a standby may take to have what its primary has.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(20);

/// The folder of the newest server there is.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut all: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    all.retain(|folder| folder.join("initdb").exists() && folder.join("pg_rewind").exists());
    all.sort();
    all.pop()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn servers() -> Needs {
    if programs().is_none() {
        return Err("there is no PostgreSQL server".to_owned());
    }
    for (program, argument) in
        [("flock", "--version"), ("setsid", "--version"), ("runuser", "--version")]
    {
        if Command::new(program).arg(argument).output().is_err() {
            return Err(format!("there is no {program}"));
        }
    }
    let known = Command::new("id").arg("postgres").output();
    if is_root() && !known.is_ok_and(|out| out.status.success()) {
        return Err("there is no user postgres, and the server refuses to run as root".to_owned());
    }
    Ok(())
}

/// As the user of the database.
fn run(program: &str, arguments: &[&str]) -> Output {
    let program = programs().unwrap().join(program);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments).current_dir("/").output().unwrap()
}

fn good(program: &str, arguments: &[&str]) {
    let out = run(program, arguments);
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// One database.
struct Database {
    folder: PathBuf,
    settings: PathBuf,
    port: u16,
}

impl Database {
    fn new(root: &Path, name: &str, port: u16, peer: u16) -> Self {
        let folder = root.join(name);
        let settings = root.join(format!("{name}.settings"));
        let system_user = if is_root() { "postgres" } else { "nobody" };
        let text = format!(
            "PGBIN={}\nPGDATA={}\nPGPORT={port}\nPGUSER=postgres\nSYSTEM_USER={system_user}\nSOCKETS={}\nPEERS=127.0.0.1:{peer}\nWAIT=3\n",
            programs().unwrap().display(),
            folder.display(),
            root.display(),
        );
        fs::write(&settings, text).unwrap();
        Self { folder, settings, port }
    }

    fn hook(&self, event: HookEvent, program: &str) -> HookDone {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/postgresql");
        let argv =
            [example.join(program), self.settings.clone()].map(|path| path.display().to_string());
        let run = HookRun::Command(argv.to_vec());
        let hook = Hook { event, run, timeout: Duration::from_secs(40), sets: HookSets::All };
        once(hook, call(event, "db"))
    }

    fn up(&self) {
        let done = self.hook(HookEvent::OnUp, "on-up");
        assert!(done.succeeded(), "{done:?}\n{}", self.log());
        assert_eq!(self.ask("select pg_is_in_recovery()"), "f");
    }

    fn down(&self) {
        let done = self.hook(HookEvent::OnDown, "on-down");
        assert!(done.succeeded(), "{done:?}\n{}", self.log());
        assert!(self.folder.join("standby.signal").exists());
    }

    /// The answer, or nothing where nobody answers.
    fn ask(&self, question: &str) -> String {
        let port = self.port.to_string();
        let out = run(
            "psql",
            &[
                "-XAtq",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-c",
                question,
                "postgres",
            ],
        );
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// As what its folder says.
    fn start(&self) {
        let folder = self.folder.to_str().unwrap();
        let (options, log) = (format!("-p {}", self.port), format!("{folder}.log"));
        good("pg_ctl", &["-D", folder, "-w", "-l", &log, "-o", &options, "start"]);
    }

    fn stop(&self, mode: &str) {
        good("pg_ctl", &["-D", self.folder.to_str().unwrap(), "-w", "-m", mode, "stop"]);
    }

    fn log(&self) -> String {
        let mut log = self.folder.clone().into_os_string();
        log.push(".log");
        fs::read_to_string(log).unwrap_or_default()
    }

    /// Nobody brings it back as a standby any more: until then a server that is stopped is started again.
    fn is_left_alone(&self) {
        let line = |path: PathBuf| fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let settings = format!("/follow\0{}\0", self.settings.display());
        eventually(&format!("{} is left alone", self.folder.display()), || {
            let all = fs::read_dir("/proc").unwrap().flatten();
            !all.map(|entry| line(entry.path())).any(|line| line.contains(&settings))
        });
    }

    /// It is a standby that has what the primary has.
    fn follows(&self, rows: &str) {
        let follows = || {
            self.ask("select pg_is_in_recovery(), (select count(*) from t)") == format!("t|{rows}")
        };
        let end = Instant::now() + FOLLOWS_WITHIN;
        while !follows() {
            assert!(
                Instant::now() < end,
                "{} does not follow\n{}",
                self.folder.display(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        run("pg_ctl", &["-D", self.folder.to_str().unwrap(), "-m", "immediate", "stop"]);
    }
}

/// A folder that belongs to the user of the database.
fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    if is_root() {
        let out = Command::new("chown").arg("postgres").arg(root.path()).output().unwrap();
        assert!(out.status.success());
    }
    root
}

/// Two that nobody listens on, and that the kernel gives to nobody who wants any: the databases stop and start.
fn free_ports() -> [u16; 2] {
    let from = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut free = (from..32_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    [(); 2].map(|()| free.next().unwrap())
}

fn configure(database: &Database, root: &Path, ports: [u16; 2]) {
    let file = database.folder.join("postgresql.conf");
    let own = format!(
        "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nwal_log_hints = on\nhot_standby = on\nfsync = off\nshared_buffers = 16MB\nwal_retrieve_retry_interval = 200ms\nrecovery_target_timeline = 'latest'\nprimary_conninfo = 'host=127.0.0.1,127.0.0.1 port={},{} user=postgres target_session_attrs=read-write connect_timeout=2'\n",
        root.display(),
        ports[0],
        ports[1],
    );
    let given = fs::read_to_string(&file).unwrap();
    fs::write(file, given + &own).unwrap();
}

pub(crate) fn one_primary() {
    let root = root();
    let ports = free_ports();
    let a = Database::new(root.path(), "a", ports[0], ports[1]);
    let b = Database::new(root.path(), "b", ports[1], ports[0]);
    let [folder_a, folder_b] = [&a, &b].map(|database| database.folder.to_str().unwrap());

    good("initdb", &["-D", folder_a, "-U", "postgres", "-A", "trust", "--no-locale", "--no-sync"]);
    configure(&a, root.path(), ports);
    a.up();
    a.ask("create table t (n int)");
    a.ask("insert into t values (1)");
    // Told again, it says so and does no harm.
    assert_eq!(a.hook(HookEvent::OnUp, "on-up").said, ["is the primary already"]);

    let port = ports[0].to_string();
    good(
        "pg_basebackup",
        &[
            "-D",
            folder_b,
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-c",
            "fast",
            "--no-sync",
        ],
    );
    fs::write(b.folder.join("standby.signal"), "").unwrap();
    b.start();
    b.follows("1");

    // A is a primary: B must not become one.
    let refused = b.hook(HookEvent::OnUp, "on-up");
    assert_eq!(refused.outcome, Outcome::Exited(1), "{refused:?}");
    assert!(refused.said.last().unwrap().contains("is still a primary"), "{refused:?}");
    assert_eq!(b.ask("select pg_is_in_recovery()"), "t");

    // An orderly move loses nothing, and the old primary follows the new one.
    a.ask("insert into t values (2)");
    a.down();
    assert_eq!(a.ask("select 1"), "");
    b.up();
    assert_eq!(b.ask("select count(*) from t"), "2");
    b.ask("insert into t values (3)");
    a.follows("3");

    // A crash: the guardian runs on-down, which is harmless twice; the other one takes over; the crashed one comes back.
    let pid = fs::read_to_string(b.folder.join("postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    b.down();
    a.up();
    a.ask("insert into t values (4)");
    b.follows("4");

    // B missed a row that A has, and A is there as a standby: B takes it from A before it becomes the primary.
    b.is_left_alone();
    b.stop("fast");
    a.ask("insert into t values (5)");
    a.down();
    a.down();
    a.follows("5");
    let behind = b.hook(HookEvent::OnUp, "on-up");
    assert!(behind.succeeded(), "{behind:?}\n{}", b.log());
    assert!(behind.said.iter().any(|line| line.contains("is ahead")), "{behind:?}");
    assert_eq!(b.ask("select pg_is_in_recovery(), count(*) from t"), "f|5");
    b.ask("insert into t values (6)");
    a.follows("6");

    // A primary that dies with what nobody else has, of which another goes on with something else, and that is back at once, before
    // the other one's control file tells its timeline: what only it has is thrown away.
    a.is_left_alone();
    a.stop("fast");
    b.ask("insert into t values (7), (8), (9)");
    b.stop("immediate");
    a.up();
    a.ask("insert into t values (10)");
    b.down();
    b.follows("7");
}

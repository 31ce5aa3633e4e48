//! The tools of the bus as processes: the historical names, what they print and end with, the cache-purge pair.
//!
//! One daemon on the loopback address serves each test; nothing here needs rights or a lab.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_backhand");
/// The most any single event may take. A bound for broken code, not a wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A daemon, and links with the historical names.
struct Bus {
    folder: TempDir,
    port: u16,
    _daemon: Process,
}

impl Bus {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let conf = folder.path().join("spread.conf");
        let text = format!("Spread_Segment 127.0.0.255:{port} {{\n localhost 127.0.0.1\n}}\n");
        fs::write(&conf, text).unwrap();
        for name in ["spuser", "spflooder", "spsend", "sprecv"] {
            symlink(PROGRAM, folder.path().join(name)).unwrap();
        }
        let mut daemon = Command::new(PROGRAM);
        daemon.args(["bus", "daemon", "-n", "localhost", "-c"]).arg(conf);
        let daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let bus = Self { folder, port, _daemon: Process(daemon) };
        let begun = Instant::now();
        while !bus.tool("spuser", &["-s", &bus.spread()]).stdout.ends_with(b"User> \nBye.\n") {
            assert!(begun.elapsed() < PATIENCE, "there is no daemon");
            std::thread::sleep(Duration::from_millis(20));
        }
        bus
    }

    /// The connection string. The first user may have its name still, for a moment.
    fn spread(&self) -> String {
        self.port.to_string()
    }

    fn command(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join(name));
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Runs a tool by its historical name, without input.
    fn tool(&self, name: &str, words: &[&str]) -> Output {
        self.command(name, words).output().unwrap()
    }
}

fn backhand(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A user whose every line is typed after what is waited for.
struct Typist {
    _process: Process,
    input: ChildStdin,
    output: ChildStdout,
}

impl Typist {
    fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _process: Process(child), input, output }
    }

    fn types(&mut self, line: &str) {
        self.input.write_all(line.as_bytes()).unwrap();
    }

    /// Reads up to `end`. A program that never says it is ended by whoever runs the tests.
    fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let mut byte = [0];
            self.output.read_exact(&mut byte).unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&read))
            });
            read.push(byte[0]);
        }
        text(&read)
    }
}

#[test]
fn a_link_named_spuser_is_spuser() {
    let bus = Bus::start();
    let mut user = Typist::start(bus.command("spuser", &["-s", &bus.spread(), "-u", "alice"]));
    let greeting = user.until("\nUser> ");
    let begin = format!(
        "Spread library version is 5.0.1\n\
         User: connected to {} with private group #alice#localhost\n\n==========\nUser Menu:\n",
        bus.port
    );
    assert!(greeting.starts_with(&begin), "{greeting}");
    user.types("j testgrp\n");
    user.until("Due to the JOIN of #alice#localhost\n\nUser> ");
    user.types("s testgrp\nhello spread\n");
    assert_eq!(
        user.until("hello spread\n\n\nUser> "),
        "enter message: \nUser> \n============================\n\
         received SAFE message from #alice#localhost, of type 1, (endian 0) to 1 groups \n\
         (13 bytes): hello spread\n\n\nUser> "
    );
    user.types("q\n");
    assert_eq!(user.until("Bye.\n"), "\nBye.\n");
}

#[test]
fn wrong_flags_print_the_usage_and_fail() {
    let bus = Bus::start();
    for (name, begin) in [
        ("spuser", "Usage: spuser\n\t[-u <user name>]"),
        ("spflooder", "Usage: spflooder\n\t[-u <user name>]"),
        ("spsend", "Usage: \n\t[-p <port number>]"),
        ("sprecv", "Usage: sprecv\n\t[-p <port number>]"),
    ] {
        let output = bus.tool(name, &["usage"]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(text(&output.stdout).starts_with(begin), "{name}");
        assert!(text(&output.stderr).contains("\"usage\" is none of the flags"), "{name}");
        assert_eq!(bus.tool(name, &["--help"]).status.code(), Some(0), "{name}");
    }
    let output = backhand(&["bus", "user", "-x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("Usage: backhand bus user\n"));
    let help = backhand(&["bus", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    for tool in ["daemon", "user", "monitor", "top", "flood", "send", "recv"] {
        assert!(text(&help.stdout).contains(&format!("\n  {tool} ")), "{tool}");
    }
}

#[test]
fn a_flood_ends_with_success_and_without_a_daemon_with_failure() {
    let bus = Bus::start();
    let flood = bus.tool("spflooder", &["-s", &bus.spread(), "-m", "2000", "-b", "10"]);
    assert_eq!(flood.status.code(), Some(0), "{}", text(&flood.stdout));
    assert!(text(&flood.stdout).contains("flooder: completed   2000 messages of 10 bytes\n"));
    let flood = backhand(&["bus", "flood", "-s", "/nonexistent/socket"]);
    assert_eq!(flood.status.code(), Some(1));
    assert!(text(&flood.stdout).ends_with("SP_error: (-2) Could not connect.\n"));
    let user = backhand(&["bus", "user", "-s", "/nonexistent/socket"]);
    assert_eq!(user.status.code(), Some(1));
}

#[test]
fn datagrams_are_sent_and_counted() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut receiving = Command::new(PROGRAM);
    receiving.args(["bus", "recv", "-p", &port]);
    let mut receiver = Typist::start(receiving);
    assert_eq!(receiver.until("\n"), format!("Ready to receive on port {port}\n"));
    let sent = backhand(&["bus", "send", "-p", &port, "-n", "300", "-b", "50", "-t", "1"]);
    assert_eq!(sent.status.code(), Some(0));
    assert!(text(&sent.stdout).ends_with(" with 0 problems \n"));
    let report = receiver.until("-------\n") + &receiver.until("-------\n");
    assert_eq!(
        report,
        "-------\nReport: total packets 300, total missed 0, total corrupted 0\n-------\n"
    );
}

#[test]
fn top_is_text_where_there_is_no_terminal() {
    let bus = Bus::start();
    let top = backhand(&["bus", "top", "-s", &bus.spread(), "-t", "0.2"]);
    assert_eq!(top.status.code(), Some(0), "{}", text(&top.stderr));
    let shown = text(&top.stdout);
    assert!(shown.starts_with("bus top: localhost, alone, up "), "{shown}");
    assert!(shown.contains("\nDAEMON ") && shown.contains("\nlocalhost *  leads"), "{shown}");
    let top = backhand(&["bus", "top", "-s", "/nonexistent/socket"]);
    assert_eq!(top.status.code(), Some(1));
    assert!(text(&top.stderr).contains("no daemon answers at"), "{}", text(&top.stderr));
}

/// What a web server says at a path.
fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_bus_that_is_terminated_leaves_the_web_server_running_which_says_so() {
    let folder = TempDir::new().unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (http, bus, socket) = (free(), free(), folder.path().join("bus"));
    let config = folder.path().join("backhand.toml");
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let lines = format!(
        "[http]\nlisten = [\"127.0.0.1:{http}\"]\nworkers = 1\n[cluster]\nstate_dir = {state:?}\n\
         [bus]\nname = \"web\"\nlisten = []\nsocket = {socket:?}\naddress = \"127.0.0.1\"\nport = {bus}\n\
         segment = \"none\"\nseeds = [\"127.0.0.1:{bus}\"]\npriority = \"none\"\ndangerous_monitor = true\n"
    );
    fs::write(&config, lines).unwrap();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--config"]).arg(&config).stdout(log.try_clone().unwrap()).stderr(log);
    let mut server = Process(command.spawn().unwrap());
    let said = || fs::read_to_string(folder.path().join("log")).unwrap();
    let until = |what: &str, fits: &mut dyn FnMut() -> bool| {
        let begun = Instant::now();
        while !fits() {
            assert!(begun.elapsed() < PATIENCE, "never {what}:\n{}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let status = || get(http, "/backhand/status.json").unwrap_or_default();
    until("a bus", &mut || status().contains("\"stands\":true"));
    let words = ["bus", "monitor", "-s", socket.to_str().unwrap(), "terminate", "all"];
    assert_eq!(text(&backhand(&words).stdout), "web: done\n");
    until("its end", &mut || status().contains("The bus daemon has ended"));
    assert!(get(http, "/").unwrap().starts_with("HTTP/1.1 200"));
    assert!(said().contains("was ended by an operator; everything else goes on"), "{}", said());
    // What is over can be stopped once more.
    let pid = rustix::process::Pid::from_child(&server.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(server.0.wait().unwrap().success(), "{}", said());
}

/// A cache with its `purged`.
struct Cache {
    folder: TempDir,
    process: Process,
    log: BufReader<ChildStderr>,
}

impl Cache {
    fn start(bus: &Bus, file: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(file), "of another life").unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["purged", "--adopt", "-d", &bus.spread(), "--dir"]).arg(folder.path());
        let mut child = command.env("BACKHAND_LOG", "info").stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { folder, process: Process(child), log }
    }

    /// Reads the log up to a line with this in it.
    fn says(&mut self, part: &str) -> String {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "it ended: {said}");
            said += &line;
            if line.contains(part) {
                return said;
            }
        }
    }

    fn stores(&self, file: &str) {
        fs::write(self.folder.path().join(file), file).unwrap();
    }

    fn has(&self, file: &str) -> bool {
        self.folder.path().join(file).exists()
    }
}

#[test]
fn an_object_is_purged_from_two_caches_by_members_that_can_do_nothing_else() {
    let bus = Bus::start();
    let mut one = Cache::start(&bus, "old");
    let said = one.says("joined cachepurge (1 members), clears the folder");
    assert!(said.contains("clears the folder: 1 files") && !one.has("old"), "{said}");
    assert!(one.has("CACHEDIR.TAG"));
    let mut two = Cache::start(&bus, "old");
    two.says("joined cachepurge (2 members)");
    if said.contains("confined by landlock") {
        let status = format!("/proc/{}/status", one.process.0.id());
        assert!(fs::read_to_string(status).unwrap().contains("NoNewPrivs:\t1"));
    } else {
        assert!(said.contains("confined"), "{said}");
    }
    for cache in [&one, &two] {
        cache.stores("page.html");
        cache.stores("other");
    }
    let spread = bus.spread();
    let purge = backhand(&["purge", "-d", &spread, "http://www.example.org/page.html?q"]);
    assert_eq!(purge.status.code(), Some(0), "{}", text(&purge.stderr));
    assert_eq!(text(&purge.stdout), "/page.html: 2 files removed by 2 members\n");
    assert!(!one.has("page.html") && !two.has("page.html") && one.has("other"));
    one.says("purges /page.html: 1 files");
    // One that stands still is named.
    let pid = rustix::process::Pid::from_child(&two.process.0);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let purge = backhand(&["purge", "-d", &spread, "--timeout", "1", "/other"]);
    assert_eq!(purge.status.code(), Some(1));
    let said = text(&purge.stderr);
    assert!(said.starts_with("/other: #purged") && said.ends_with(" did not answer within 1 s\n"));
    assert!(!one.has("other") && two.has("other"));
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    two.says("purges /other: 1 files");
    assert!(!two.has("other"));
}

#[test]
fn mistakes_of_the_purge_pair_are_told_before_anything_happens() {
    for (words, status, told) in [
        (&["purge"][..], 2, "OBJECT"),
        (&["purge", "/"], 2, "if that is meant, write /*"),
        (&["purge", "/../x"], 2, "has \"..\" in it"),
        (&["purge", "-d", "nowhere", "/x"], 2, "is no connection string"),
        (&["purge", "-g", "a b", "/x"], 2, "is no group"),
        (&["purge", "-d", "/nonexistent/socket", "/x"], 1, "could not connect to the daemon"),
        (&["purged"], 2, "--dir"),
        (&["purged", "--dir", "/nonexistent"], 2, "cannot be opened"),
        (&["purged", "--dir", "/nonexistent", "-g", ""], 2, "is no group"),
    ] {
        let output = backhand(words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
    }
}

#[test]
fn a_folder_that_is_not_known_as_a_cache_is_not_touched() {
    let folder = TempDir::new().unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "x").unwrap();
    let output = Command::new(PROGRAM)
        .args(["purged", "-d", "/nonexistent/socket", "--dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is not marked as a cache") && said.contains("--adopt"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(precious.exists());
}

#[test]
fn asking_for_help_is_no_mistake() {
    for (words, begins) in [
        (&["--help"][..], "Every machine of a web cluster serves"),
        (&["bus", "daemon", "--help"], "Usage: spread\n"),
        (&["bus", "daemon", "-h"], "Usage: spread\n"),
        (&["bus", "flood", "--help"], "Usage: backhand bus flood\n"),
    ] {
        let output = backhand(words);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        assert!(said.starts_with(begins) && output.stderr.is_empty(), "{words:?}: {said}");
    }
}

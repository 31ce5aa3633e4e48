//! `backhand bus top` on a terminal, with a daemon that really runs.
//!
//! The terminal is a pseudo terminal, and what runs on it is this program itself, started again with [`CHILD`] set.

// A failed unwrap in a helper of tests is a failed test with its line.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::AddrBlocks;
use bus_tools::Tool;
use bus_tools::tool::Handles;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use spread_daemon::config::{Around, BusSection};
use spread_daemon::{Daemon, Stopper};
use testkit::trial::{Failed, run, trial};

/// Set for the process that is the tool.
const CHILD: &str = "BACKHAND_TOP_CHILD";
/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What gives the terminal back.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        let (mut output, mut errors) = (io::stdout(), io::stderr());
        let input = BufReader::new(io::stdin());
        let handles = Handles { input, output: &mut output, errors: &mut errors, terminal: true };
        return Tool::Top.run("top", std::env::args_os().skip(1), 2, handles).into();
    }
    run(vec![
        trial("keys_and_sizes_change_the_screen_and_q_gives_the_terminal_back", &Ok(()), keys),
        trial("signals_give_the_terminal_back", &Ok(()), signals),
        trial("a_stop_lends_the_terminal_and_going_on_takes_it_again", &Ok(()), stopped),
        trial("a_daemon_that_goes_away_is_waited_for", &Ok(()), away),
        trial("scripts_get_text_or_json", &Ok(()), scripts),
    ])
}

struct Running(Stopper, Option<JoinHandle<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

/// A daemon that clients reach by `one` in the folder.
fn daemon(folder: &Path) -> Running {
    let any: SocketAddr = "127.0.79.1:0".parse().unwrap();
    let port = UdpSocket::bind(any).unwrap().local_addr().unwrap().port();
    let text = format!(
        "name = \"one\"\nlisten = []\nsocket = {:?}\naddress = \"127.0.79.1\"\nport = {port}\nsegment = \"none\"\n\
         seeds = [\"127.0.79.1:{port}\"]\npriority = \"none\"\n",
        folder.join("one")
    );
    let section: BusSection = toml::from_str(&text).unwrap();
    let around = Around {
        name: "one",
        here: &[],
        key: None,
        insecure: false,
        accept: &AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
        read_key: &|_| unreachable!("no key is named"),
    };
    let daemon = Daemon::open(section.check(&around).unwrap()).unwrap();
    let stopper = daemon.stopper();
    Running(stopper, Some(std::thread::spawn(move || daemon.run().unwrap())))
}

fn tool(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CHILD, "1").env("TERM", "xterm").env_remove("NO_COLOR");
    command.arg("-s").arg(folder.join("one")).args(words);
    command
}

/// The tool on a terminal.
struct OnTerminal {
    child: Child,
    master: File,
    terminal: OwnedFd,
    written: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = OsString::from_vec(ptsname(&master, Vec::new()).unwrap().into_bytes());
        let slave = File::options().read(true).write(true).open(name).unwrap();
        tcsetwinsize(&slave, size(columns, rows)).unwrap();
        for stdio in [Command::stdin, Command::stdout, Command::stderr] {
            stdio(&mut command, Stdio::from(slave.try_clone().unwrap()));
        }
        // A group of its own, so that it can be stopped alone.
        let child = command.process_group(0).spawn().unwrap();
        let master = File::from(master);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, to) = (master.try_clone().unwrap(), written.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                to.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { child, master, terminal: slave.into(), written }
    }

    fn types(&self, keys: &str) {
        (&self.master).write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.terminal, size(columns, rows)).unwrap();
        // A terminal that controls the process would send it.
        self.signal(Signal::WINCH);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn all(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// The picture that was drawn last.
    fn picture(&self) -> String {
        let all = self.all();
        let whole = all.rsplit_once("\x1b[J").map_or("", |(before, _)| before);
        whole.rsplit_once("\x1b[H").map_or("", |(_, picture)| picture).to_owned()
    }

    /// Waits until the picture is like this.
    #[track_caller]
    fn shows(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let picture = self.picture();
            if fits(&picture) {
                return picture;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}; it is\n{picture}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether keys come one by one, unseen.
    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        assert_eq!(modes.contains(LocalModes::ICANON), modes.contains(LocalModes::ECHO));
        !modes.contains(LocalModes::ICANON)
    }

    /// Waits for its end, after which the terminal is as it was.
    #[track_caller]
    fn ends(mut self) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0), "{}", self.all());
        assert!(!self.is_raw());
        until("the last words", || self.all().ends_with(LEAVE));
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

#[track_caller]
fn until(what: &str, fits: impl Fn() -> bool) {
    let begun = Instant::now();
    while !fits() {
        assert!(begun.elapsed() < PATIENCE, "never {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn keys() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let _one = daemon(folder.path());
    let top = OnTerminal::start(tool(folder.path(), &["-t", "0.1"]), 80, 24);
    let picture = top.shows("the daemon", |picture| picture.contains("bus top: one, alone"));
    assert!(top.is_raw() && top.all().starts_with("\x1b[?1049h"));
    assert!(picture.contains("\x1b[32mstands") && picture.contains("DAEMON"), "{picture}");
    assert_eq!(picture.split("\r\n").count(), 24);
    top.types(" ");
    top.shows("it held", |picture| picture.contains("space go on"));
    top.types(" s");
    top.shows("another order", |picture| picture.contains("order: name"));
    top.types("h");
    top.shows("the help", |picture| picture.contains("Ctrl-L"));
    top.types("h");
    top.resize(40, 8);
    let small = top.shows("the small one", |picture| picture.split("\r\n").count() == 8);
    assert!(small.contains("lines 1 to 6"), "{small}");
    top.types("\x1b[B");
    top.shows("it scrolled", |picture| picture.contains("lines 2 to 7"));
    top.types("q");
    top.ends();
    // No colours for those who want none.
    let mut command = tool(folder.path(), &["-t", "0.1"]);
    command.env("NO_COLOR", "1");
    let top = OnTerminal::start(command, 80, 24);
    let picture = top.shows("the daemon", |picture| picture.contains("one, alone"));
    assert!(!picture.contains("\x1b[3") && picture.contains("stands"), "{picture}");
    top.types("\x03");
    top.ends();
    Ok(())
}

fn signals() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let _one = daemon(folder.path());
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let top = OnTerminal::start(tool(folder.path(), &[]), 80, 24);
        top.shows("the daemon", |picture| picture.contains("one, alone"));
        top.signal(signal);
        top.ends();
    }
    Ok(())
}

fn stopped() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let _one = daemon(folder.path());
    let top = OnTerminal::start(tool(folder.path(), &["-t", "0.1"]), 80, 24);
    top.shows("the daemon", |picture| picture.contains("one, alone"));
    top.types("\x1a");
    until("it lends the terminal", || !top.is_raw());
    until("it stands still", || {
        let status = format!("/proc/{}/status", top.child.id());
        std::fs::read_to_string(status).unwrap().contains("State:\tT")
    });
    top.signal(Signal::CONT);
    until("it takes it again", || top.is_raw());
    let drawn = top.all().len();
    until("it draws", || top.all().len() > drawn + 100);
    top.types("q");
    top.ends();
    Ok(())
}

fn away() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let one = daemon(folder.path());
    let top = OnTerminal::start(tool(folder.path(), &["-t", "0.1"]), 200, 24);
    top.shows("the daemon", |picture| picture.contains("one, alone"));
    drop(one);
    top.shows("its absence", |picture| picture.contains("no answer, trying on: no daemon answers"));
    let _one = daemon(folder.path());
    top.shows("it back", |picture| picture.contains("one, alone"));
    top.types("q");
    top.ends();
    Ok(())
}

fn scripts() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let nobody = tool(folder.path(), &["--once"]).stdin(Stdio::null()).output()?;
    let errors = String::from_utf8(nobody.stderr)?;
    assert!(nobody.status.code() == Some(1) && errors.contains("no daemon answers"), "{errors}");
    let _one = daemon(folder.path());
    let asked = |words: &[&str]| {
        let out = tool(folder.path(), words).stdin(Stdio::null()).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    // Without keys there is no full screen.
    for words in [&["-t", "0.1"][..], &["--once", "-t", "0.1"]] {
        let text = asked(words);
        assert!(text.starts_with("bus top: one") && !text.contains('\x1b'), "{text}");
        assert!(text.contains("\nToken "), "{text}");
    }
    let json = asked(&["--once", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!(json.lines().count(), 1);
    assert_eq!(value["daemon"]["name"], "one");
    assert_eq!(value["reports"][0]["name"], "one");
    let mut stream = tool(folder.path(), &["--json", "-t", "0.1"]);
    let mut child = stream.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let lines = io::BufRead::lines(BufReader::new(child.stdout.take().unwrap()));
    let names: Vec<String> = lines.take(3).map_while(Result::ok).collect();
    child.kill()?;
    child.wait()?;
    assert!(names.len() == 3 && names.iter().all(|line| line.contains("\"one\"")), "{names:?}");
    let wrong = tool(folder.path(), &["--twice"]).stdin(Stdio::null()).output()?;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stdout)?.contains("Usage: top"));
    Ok(())
}

//! The guardian and its parent as real processes: the parent is this binary in another part, which does what it is told.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use addresses::guardian::{Config, Error, Event as Told, Guardian, Heir, Program};
use addresses::kernel::{Address, Event, Kernel, Watch};
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, kill_process, pidfd_open};

use crate::connections::{is_reset, pair, works};
use crate::stage::{
    CASE, PATIENCE, add, cable, lease, many, readable, there, until_removed, watch,
};

/// Marks the parent.
const PART: &str = "ADDRESSES_TEST_PARENT";
/// The guardian of a parent's former image.
const HEIR: &str = "ADDRESSES_TEST_HEIR";

const SUSPICION: Duration = Duration::from_millis(200);
const BEAT: Duration = Duration::from_millis(20);

/// The parent: obeys the lines on its input, answers each with `ok`, and says what its guardian says.
pub(crate) fn parent_if_asked() {
    if env::var_os(PART).is_none() {
        return;
    }
    let (orders, lines) = mpsc::channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).all(|line| orders.send(line).is_ok())
    });
    let config = Config { suspicion: SUSPICION };
    let guardian = match env::var(HEIR) {
        Ok(words) => Guardian::adopt(&words).unwrap(),
        Err(_) => Guardian::start(config).unwrap(),
    };
    println!("guardian {}", guardian.pid());
    let mut part = Part { guardian: Some(guardian), kept: None };
    loop {
        match lines.recv_timeout(BEAT) {
            Ok(line) => {
                part.obey(&line);
                println!("ok");
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::process::exit(0),
        }
        part.turn();
    }
}

struct Part {
    guardian: Option<Guardian>,
    kept: Option<Heir>,
}

impl Part {
    fn turn(&mut self) {
        let Some(guardian) = &mut self.guardian else { return };
        let beat = guardian.beat();
        match guardian.next_event() {
            Some(Told::Fenced) => println!("fenced"),
            Some(Told::Ended) => {
                assert!(guardian.beat().is_err());
                println!("ended");
                self.guardian = None;
            }
            None => beat.unwrap(),
        }
    }

    fn obey(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "hold" => {
                let (name, script) = rest.split_once(' ').unwrap_or((rest, ""));
                let program = Program {
                    command: vec!["/bin/sh".into(), "-c".into(), script.into()],
                    environment: vec![("SET".into(), name.into())],
                    input: b"input".to_vec(),
                    limit: Duration::from_millis(300),
                };
                let programs = if script.is_empty() { vec![] } else { vec![program] };
                let guardian = self.guardian.as_mut().unwrap();
                guardian.hold(name, &set(name), &programs).unwrap();
                add(&mut Kernel::open().unwrap(), &set(name), lease(60));
            }
            // As many as it takes, which is some hundred.
            "flood" => {
                let guardian = self.guardian.as_mut().unwrap();
                let error = (0..100_000).find_map(|_| guardian.beat().err()).unwrap();
                assert!(matches!(error, Error::Stuck), "{error}");
                self.guardian.take().unwrap().kill();
            }
            "let-go" => self.guardian.as_mut().unwrap().let_go(rest).unwrap(),
            "only" => self.guardian.as_mut().unwrap().hold_only(&[rest.to_owned()]).unwrap(),
            "acknowledge" => self.guardian.as_mut().unwrap().acknowledge().unwrap(),
            "end" => self.guardian.take().unwrap().end().unwrap(),
            "start" => {
                let guardian = Guardian::start(Config { suspicion: SUSPICION }).unwrap();
                println!("guardian {}", guardian.pid());
                self.guardian = Some(guardian);
            }
            "execute" => {
                let heir = self.guardian.take().unwrap().hand_over(PATIENCE).unwrap();
                let own = env::current_exe().unwrap();
                panic!("{}", Command::new(own).env(HEIR, heir.to_string()).exec());
            }
            "hand-over" => {
                let within = Duration::from_millis(400);
                self.kept = Some(self.guardian.take().unwrap().hand_over(within).unwrap());
            }
            other => panic!("no order {other}"),
        }
    }
}

/// Sets are named by the number of their addresses and a letter.
fn set(name: &str) -> Vec<Address> {
    let count = name.trim_end_matches(char::is_alphabetic).parse().unwrap();
    let eth = cable(&mut Kernel::open().unwrap()).index;
    let mut all = many(eth, false, 2 * count);
    // `a` and `b` have nothing in common.
    if name.ends_with('b') { all.split_off(count) } else { all.drain(..count).collect() }
}

struct Parent {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    guardian: Pid,
}

impl Parent {
    fn start() -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .env(PART, "1")
            .env_remove(CASE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut parent = Self { process, input, output, guardian: Pid::INIT };
        parent.meet();
        parent
    }

    fn holding(name: &str) -> Self {
        let mut parent = Self::start();
        parent.order(&format!("hold {name}"));
        parent
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the parent is gone");
        line.trim().to_owned()
    }

    /// Reads on until this line.
    fn hear(&mut self, wanted: &str) {
        while self.line() != wanted {}
    }

    fn meet(&mut self) {
        let line = self.line();
        let pid = line.strip_prefix("guardian ").unwrap().parse().unwrap();
        self.guardian = Pid::from_raw(pid).unwrap();
    }

    fn tell(&mut self, order: &str) {
        writeln!(self.input, "{order}").unwrap();
    }

    fn order(&mut self, order: &str) {
        self.tell(order);
        self.hear("ok");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.process.wait().unwrap();
    }

    fn guardian_handle(&self) -> OwnedFd {
        pidfd_open(self.guardian, PidfdFlags::empty()).unwrap()
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Nothing of these goes for so long.
fn stays(watch: &mut Watch, addresses: &[Address], time: Duration) {
    let end = Instant::now() + time;
    while readable(&*watch, end.saturating_duration_since(Instant::now())) {
        while let Some(event) = watch.next_event().unwrap() {
            if let Event::AddressRemoved(held) = event {
                assert!(!addresses.contains(&held.address), "{held:?} went");
            }
        }
    }
    assert_eq!(there(&mut Kernel::open().unwrap(), addresses).len(), addresses.len());
}

pub(crate) fn killed() {
    let addresses = set("100a");
    let mut took: Vec<Duration> = (0..7)
        .map(|_| {
            let mut parent = Parent::holding("100a");
            let handle = parent.guardian_handle();
            let mut watch = watch();
            let start = Instant::now();
            parent.signal(Signal::KILL);
            let took = until_removed(&mut watch, &addresses) - start;
            parent.kill();
            assert!(readable(&handle, PATIENCE), "the guardian goes as well");
            took
        })
        .collect();
    took.sort();
    eprintln!("100 addresses were gone after the death of their parent in {took:?}");
    assert!(took[3] <= Duration::from_millis(20), "{took:?}");
}

/// A file that one side writes to and the other waits for.
fn fifo(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("fifo").to_str().unwrap().to_owned();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

pub(crate) fn programs() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(&folder);
    let policy = "cut -d' ' -f41 /proc/self/stat";
    let says = format!("echo $SET; cat; grep SigBlk /proc/self/status; {policy}");
    let mut parent = Parent::holding(&format!("2a ({says}) > {path}"));
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut pair = pair(&listener, (set("2a")[0].ip, port).into());
    works(&mut pair);
    let mut watch = watch();
    parent.kill();
    let took = is_reset(&mut pair.client);
    assert!(took < Duration::from_secs(1), "{took:?}");
    // With no signal blocked, though the guardian blocks them all, and of ordinary priority, though the guardian is not.
    let said = "2a\ninputSigBlk:\t0000000000000000\n0\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), said);
    until_removed(&mut watch, &set("2a"));
}

pub(crate) fn hanging_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(&folder);
    let script = format!("echo $$ > {path}; sleep 1000 & wait");
    let mut parent = Parent::holding(&format!("2a {script}"));
    let guardian = parent.guardian_handle();
    parent.kill();
    let mut pid = String::new();
    std::fs::File::open(&path).unwrap().read_to_string(&mut pid).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    let group = getpgid(Some(pid)).unwrap();
    assert_eq!(group, pid, "it leads a group of its own");
    assert!(readable(&guardian, PATIENCE), "it was waited for no longer than allowed");
    assert!(rustix::process::test_kill_process(pid).is_err());
}

pub(crate) fn fenced() {
    let mut parent = Parent::holding("10a");
    let mut watch = watch();
    parent.signal(Signal::STOP);
    let start = Instant::now();
    let took = until_removed(&mut watch, &set("10a")) - start;
    eprintln!("fenced {took:?} after it stopped, suspicion time {SUSPICION:?}");
    assert!(took >= SUSPICION - BEAT - Duration::from_millis(10), "{took:?}");
    assert!(took <= 3 * SUSPICION, "{took:?}");
    parent.signal(Signal::CONT);
    parent.hear("fenced");
    // Told again for as long as it is not acknowledged.
    parent.hear("fenced");
    parent.order("acknowledge");
    // What was on its way then is not another fencing.
    for _ in 0..5 {
        parent.tell("hold 10a");
        assert_eq!(parent.line(), "ok");
    }
    stays(&mut watch, &set("10a"), 3 * SUSPICION);
    // Another one is.
    parent.signal(Signal::STOP);
    until_removed(&mut watch, &set("10a"));
    parent.signal(Signal::CONT);
    parent.hear("fenced");
    parent.order("acknowledge");
    parent.order("hold 10a");
    parent.kill();
    until_removed(&mut watch, &set("10a"));
}

pub(crate) fn late_fencing() {
    let mut guardian = Guardian::start(Config { suspicion: SUSPICION }).unwrap();
    guardian.hold("x", &set("10a"), &[]).unwrap();
    assert!(readable(&guardian, PATIENCE));
    // Three more answers are on their way before the first is read.
    (0..3).for_each(|_| guardian.beat().unwrap());
    assert_eq!(guardian.next_event(), Some(Told::Fenced));
    guardian.acknowledge().unwrap();
    guardian.hold("x", &set("10a"), &[]).unwrap();
    let end = Instant::now() + 2 * SUSPICION;
    while Instant::now() < end {
        assert_eq!(guardian.next_event(), None);
        guardian.beat().unwrap();
        readable(&guardian, BEAT);
    }
    assert!(readable(&guardian, PATIENCE), "silent again");
    assert_eq!(guardian.next_event(), Some(Told::Fenced));
    guardian.end().unwrap();
}

pub(crate) fn renewed_while_fenced() {
    let mut parent = Parent::holding("10a");
    let mut watch = watch();
    parent.signal(Signal::STOP);
    until_removed(&mut watch, &set("10a"));
    let mut kernel = Kernel::open().unwrap();
    for _ in 0..3 {
        add(&mut kernel, &set("10a"), lease(60));
        until_removed(&mut watch, &set("10a"));
    }
    // Others than ours are none of its business.
    add(&mut kernel, &set("10b"), lease(60));
    stays(&mut watch, &set("10b"), SUSPICION);
    // And the death of the fenced parent is still one.
    add(&mut kernel, &set("10a"), lease(60));
    parent.kill();
    until_removed(&mut watch, &set("10a"));
}

pub(crate) fn away_itself() {
    let mut parent = Parent::holding("10a");
    let mut watch = watch();
    for _ in 0..3 {
        parent.signal(Signal::STOP);
        kill_process(parent.guardian, Signal::STOP).unwrap();
        stays(&mut watch, &set("10a"), 2 * SUSPICION);
        kill_process(parent.guardian, Signal::CONT).unwrap();
        parent.signal(Signal::CONT);
        stays(&mut watch, &set("10a"), 2 * SUSPICION);
    }
    parent.order("let-go 10a");
}

pub(crate) fn orderly_end() {
    let mut parent = Parent::holding("10a");
    let handle = parent.guardian_handle();
    let mut watch = watch();
    parent.order("end");
    assert!(readable(&handle, PATIENCE));
    parent.kill();
    stays(&mut watch, &set("10a"), SUSPICION);
}

pub(crate) fn let_go() {
    let mut parent = Parent::holding("10a");
    parent.order("hold 10b");
    parent.order("let-go 10a");
    let mut watch = watch();
    parent.kill();
    until_removed(&mut watch, &set("10b"));
    stays(&mut watch, &set("10a"), SUSPICION);
}

pub(crate) fn only() {
    let mut parent = Parent::holding("10a");
    parent.order("hold 10b");
    parent.tell("execute");
    parent.meet();
    // The next image holds one of the two.
    parent.order("only 10b");
    let mut watch = watch();
    parent.kill();
    until_removed(&mut watch, &set("10b"));
    stays(&mut watch, &set("10a"), SUSPICION);
}

pub(crate) fn killed_itself() {
    let mut parent = Parent::holding("10a");
    let mut watch = watch();
    kill_process(parent.guardian, Signal::KILL).unwrap();
    parent.hear("ended");
    let left = std::fs::exists(format!("/proc/{}", parent.guardian.as_raw_nonzero())).unwrap();
    assert!(!left, "it is reaped");
    stays(&mut watch, &set("10a"), SUSPICION);
    parent.tell("start");
    parent.meet();
    parent.hear("ok");
    parent.order("hold 10a");
    parent.kill();
    until_removed(&mut watch, &set("10a"));
}

pub(crate) fn stuck() {
    let mut parent = Parent::holding("10a");
    let mut watch = watch();
    kill_process(parent.guardian, Signal::STOP).unwrap();
    parent.order("flood");
    parent.tell("start");
    parent.meet();
    parent.hear("ok");
    parent.order("hold 10a");
    stays(&mut watch, &set("10a"), SUSPICION);
    parent.kill();
    until_removed(&mut watch, &set("10a"));
}

pub(crate) fn signals() {
    let mut parent = Parent::holding("10a");
    let pid = parent.guardian;
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let mut watch = watch();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1] {
        kill_process(pid, signal).unwrap();
    }
    assert_eq!(getpgid(Some(pid)).unwrap(), pid);
    let name = std::fs::read_to_string(format!("{folder}/comm")).unwrap();
    assert_eq!(name.trim(), "backhand-guard");
    let open = std::fs::read_dir(format!("{folder}/fd")).unwrap().count();
    assert!(open <= 8, "{open} descriptors");
    let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
    let powers = |set: &str| status.lines().find_map(|line| line.strip_prefix(set)).unwrap().trim();
    let named = "CAP_NET_ADMIN, CAP_NET_RAW, and CAP_KILL for programs";
    assert_eq!(powers("CapEff:"), "0000000000003020", "{named}");
    eprintln!(
        "{}",
        status.lines().filter(|line| line.starts_with("Vm")).collect::<Vec<_>>().join(" ")
    );
    parent.kill();
    until_removed(&mut watch, &set("10a"));
}

pub(crate) fn hand_over() {
    let mut parent = Parent::holding("10a");
    let first = parent.guardian;
    let mut watch = watch();
    parent.tell("execute");
    parent.meet();
    assert_eq!(parent.guardian, first, "the other image has the same guardian");
    stays(&mut watch, &set("10a"), 2 * SUSPICION);
    let mut other = Parent::holding("10b");
    other.order("end");
    parent.kill();
    until_removed(&mut watch, &set("10a"));
    stays(&mut watch, &set("10b"), SUSPICION);
}

pub(crate) fn hand_over_to_nobody() {
    let mut parent = Parent::holding("10a");
    let mut watch = watch();
    let start = Instant::now();
    parent.order("hand-over");
    let took = until_removed(&mut watch, &set("10a")) - start;
    assert!(took >= Duration::from_millis(400), "{took:?}");
    assert!(took <= Duration::from_millis(1_000), "{took:?}");
    // Also when the process ends meanwhile.
    let mut parent = Parent::holding("10b");
    let start = Instant::now();
    parent.order("hand-over");
    parent.kill();
    let took = until_removed(&mut watch, &set("10b")) - start;
    assert!(took >= Duration::from_millis(400), "{took:?}");
}

pub(crate) fn too_much() {
    let short = Config { suspicion: Duration::from_millis(1) };
    let words = Guardian::start(short).err().unwrap().to_string();
    assert!(words.contains("1ms") && words.contains("20 ms to 60 s"), "{words}");
    for words in ["", "7", "0:1", "7:", "4711:1", "a:b", "1:999999999999"] {
        assert!(matches!(Guardian::adopt(words), Err(Error::NoHeir(_))), "{words}");
    }
    let mut guardian = Guardian::start(Config::default()).unwrap();
    let program = |input, word: usize| Program {
        command: vec!["/bin/true".into(), "x".repeat(word).into()],
        input: vec![b'x'; input],
        ..Program::default()
    };
    let some = set("10a");
    for (addresses, program) in [
        (vec![some[0]; 20_000], program(0, 0)),
        (some.clone(), program(100_000, 0)),
        (some.clone(), program(0, 200_000)),
    ] {
        let error = guardian.hold("x", &addresses, &[program]).unwrap_err();
        assert!(matches!(error, Error::TooMuch { .. }), "{error}");
    }
    // The longest that is allowed goes through at once.
    guardian.hold("x", &vec![some[0]; 4_000], &[program(60 << 10, 0)]).unwrap();
    guardian.beat().unwrap();
    assert_eq!(guardian.next_event(), None);
    guardian.end().unwrap();
}

//! The guardian and its parent as real processes: the parent is this binary in another part, which does what it is told.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use addresses::guardian::{Config, Error, Event as Told, Guardian, Heir, Program, leave_to_next};
use addresses::kernel::{Address, Event, Kernel, Watch};
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, kill_process, pidfd_open};

use crate::stage::{
    CASE, PATIENCE, add, cable, lease, many, readable, there, until_removed, watch,
};

/// Marks the parent.
const PART: &str = "ADDRESSES_TEST_PARENT";
/// The guardian of a parent's former image.
const HEIR: &str = "ADDRESSES_TEST_HEIR";

pub(crate) const SUSPICION: Duration = Duration::from_millis(200);
const BEAT: Duration = Duration::from_millis(20);
/// Time of a program.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);
/// Between two programs of a set.
pub(crate) const THEN: &str = " // ";

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
        Err(_) => Guardian::start(config, None).unwrap(),
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
            Some(Told::Stopped { well }) => {
                println!("stopped {}", if well { "well" } else { "badly" })
            }
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
                let (name, scripts) = rest.split_once(' ').unwrap_or((rest, ""));
                let program = |script: &str| Program {
                    command: vec!["/bin/sh".into(), "-c".into(), script.into()],
                    environment: vec![("SET".into(), name.into())],
                    input: b"input".to_vec(),
                    limit: LIMIT,
                };
                let scripts = scripts.split(THEN).filter(|script| !script.is_empty());
                let programs: Vec<Program> = scripts.map(program).collect();
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
            "farewell" => {
                let to = SocketAddr::from((Ipv4Addr::LOCALHOST, rest.parse::<u16>().unwrap()));
                self.guardian.as_mut().unwrap().farewell(b"word", &[to]).unwrap();
            }
            "let-go" => self.guardian.as_mut().unwrap().let_go(rest).unwrap(),
            "only" => self.guardian.as_mut().unwrap().hold_only(&[rest.to_owned()]).unwrap(),
            "take-all-but" => {
                self.guardian.as_mut().unwrap().take_all_but(&[rest.to_owned()]).unwrap();
            }
            "suspicion" => {
                let suspicion = Duration::from_millis(rest.parse().unwrap());
                self.guardian.as_mut().unwrap().configure(Config { suspicion }).unwrap();
            }
            "acknowledge" => self.guardian.as_mut().unwrap().acknowledge().unwrap(),
            "end" => self.guardian.take().unwrap().end().unwrap(),
            "start" => {
                let guardian = Guardian::start(Config { suspicion: SUSPICION }, None).unwrap();
                println!("guardian {}", guardian.pid());
                self.guardian = Some(guardian);
            }
            "execute" => {
                let heir = self.guardian.take().unwrap().hand_over(PATIENCE).unwrap();
                let own = env::current_exe().unwrap();
                panic!("{}", Command::new(own).env(HEIR, heir.to_string()).exec());
            }
            "hand-over" => {
                let within = Duration::from_millis(rest.parse().unwrap());
                self.kept = Some(self.guardian.take().unwrap().hand_over(within).unwrap());
            }
            "drop-heir" => self.kept = None,
            // After it was handed over.
            "become" => panic!("{}", Command::new(rest).exec()),
            other => panic!("no order {other}"),
        }
    }
}

/// Sets are named by the number of their addresses and a letter.
pub(crate) fn set(name: &str) -> Vec<Address> {
    let count = name.trim_end_matches(char::is_alphabetic).parse().unwrap();
    let eth = cable(&mut Kernel::open().unwrap()).index;
    let mut all = many(eth, false, 2 * count);
    // `a` and `b` have nothing in common.
    if name.ends_with('b') { all.split_off(count) } else { all.drain(..count).collect() }
}

pub(crate) struct Parent {
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

    pub(crate) fn holding(name: &str) -> Self {
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
    pub(crate) fn hear(&mut self, wanted: &str) {
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

    pub(crate) fn order(&mut self, order: &str) {
        self.tell(order);
        self.hear("ok");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.process.wait().unwrap();
    }

    pub(crate) fn guardian_handle(&self) -> OwnedFd {
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

/// Where a last word is heard, and the order that leaves one for it.
fn ear() -> (UdpSocket, String) {
    let ear = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    ear.set_read_timeout(Some(PATIENCE)).unwrap();
    let order = format!("farewell {}", ear.local_addr().unwrap().port());
    (ear, order)
}

pub(crate) fn farewell() {
    let (ear, order) = ear();
    // Of another program of this machine, with the same mark.
    add(&mut Kernel::open().unwrap(), &set("10b"), lease(60));
    let mut parent = Parent::holding("10a");
    parent.order(&order);
    let mut watch = watch();
    parent.kill();
    let mut word = [0; 16];
    let length = ear.recv(&mut word).unwrap();
    assert_eq!(&word[..length], b"word");
    stays(&mut watch, &set("10b"), SUSPICION);
}

pub(crate) fn no_farewell() {
    let (ear, order) = ear();
    let mut parent = Parent::holding("10a");
    parent.order(&order);
    // Let go before it was off, as after a removal that has failed.
    parent.order("let-go 10a");
    let guardian = parent.guardian_handle();
    parent.kill();
    assert!(readable(&guardian, PATIENCE));
    ear.set_nonblocking(true).unwrap();
    assert_eq!(ear.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock);
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
    // There were no programs.
    parent.hear("stopped well");
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

/// What it tells next.
pub(crate) fn told(guardian: &mut Guardian) -> Told {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(told) = guardian.next_event() {
            return told;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(readable(&*guardian, left), "it says nothing");
    }
}

pub(crate) fn late_fencing() {
    let mut guardian = Guardian::start(Config { suspicion: SUSPICION }, None).unwrap();
    guardian.hold("x", &set("10a"), &[]).unwrap();
    assert!(readable(&guardian, PATIENCE));
    // Three more answers are on their way before the first is read.
    (0..3).for_each(|_| guardian.beat().unwrap());
    assert_eq!(guardian.next_event(), Some(Told::Fenced));
    guardian.acknowledge().unwrap();
    assert_eq!(told(&mut guardian), Told::Stopped { well: true });
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

pub(crate) fn all_but() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("said");
    let says = |word: &str| format!("sleep 0.2; echo {word} >> {}", file.display());
    let mut parent = Parent::holding(&format!("10a {}", says("stays")));
    parent.order(&format!("hold 10b {}", says("goes")));
    // Its addresses are in the first one.
    parent.order(&format!("hold 5a {}", says("another form")));
    parent.tell("execute");
    parent.meet();
    let mut watch = watch();
    parent.order("take-all-but 10a");
    until_removed(&mut watch, &set("10b"));
    parent.hear("stopped well");
    let said = || std::fs::read_to_string(&file).unwrap();
    assert_eq!(said(), "goes\n");
    stays(&mut watch, &set("10a"), SUSPICION);
    let guardian = parent.guardian_handle();
    parent.kill();
    until_removed(&mut watch, &set("10a"));
    assert!(readable(&guardian, PATIENCE));
    assert_eq!(said(), "goes\nstays\n");
}

pub(crate) fn suspects_later() {
    let mut parent = Parent::holding("10a");
    parent.tell("execute");
    parent.meet();
    let later = 4 * SUSPICION;
    parent.order(&format!("suspicion {}", later.as_millis()));
    let mut watch = watch();
    parent.signal(Signal::STOP);
    stays(&mut watch, &set("10a"), 2 * SUSPICION);
    until_removed(&mut watch, &set("10a"));
    parent.signal(Signal::CONT);
    parent.hear("fenced");
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
    parent.order("hand-over 400");
    let took = until_removed(&mut watch, &set("10a")) - start;
    assert!(took >= Duration::from_millis(400), "{took:?}");
    assert!(took <= Duration::from_millis(1_000), "{took:?}");
}

pub(crate) fn death_in_hand_over() {
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    // Killed; another image that ends at once; and none that could find the guardian.
    for order in [None, Some("become true"), Some("drop-heir")] {
        let mut parent = Parent::holding(&format!("10a echo > {}", ran.display()));
        let guardian = parent.guardian_handle();
        let mut watch = watch();
        parent.order("hand-over 60000");
        stays(&mut watch, &set("10a"), 2 * SUSPICION);
        let start = Instant::now();
        match order {
            Some(order) => parent.tell(order),
            None => parent.kill(),
        }
        let took = until_removed(&mut watch, &set("10a")) - start;
        assert!(took <= Duration::from_millis(500), "{order:?}: {took:?}");
        assert!(readable(&guardian, PATIENCE), "{order:?}: it has nothing to do any more");
        std::fs::remove_file(&ran).expect("what stops it was run");
    }
}

pub(crate) fn left_to_next() {
    let folder = tempfile::tempdir().unwrap();
    let [path, ran] = ["lock", "ran"].map(|name| folder.path().join(name));
    let lock = || {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).open(&path).unwrap()
    };
    let program = Program {
        command: vec!["/bin/sh".into(), "-c".into(), format!("echo > {}", ran.display()).into()],
        limit: LIMIT,
        ..Program::default()
    };
    add(&mut Kernel::open().unwrap(), &set("10a"), lease(60));
    let mut watch = watch();
    // The parent is silent, and is gone.
    for silent in [true, false] {
        let mut guardian = Guardian::start(Config { suspicion: SUSPICION }, Some(lock())).unwrap();
        guardian.hold("x", &set("10a"), std::slice::from_ref(&program)).unwrap();
        leave_to_next(&lock()).unwrap();
        let pid = Pid::from_raw(guardian.pid()).unwrap();
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let kept = silent.then_some(guardian);
        assert!(readable(&handle, PATIENCE), "it ends");
        drop(kept);
    }
    stays(&mut watch, &set("10a"), SUSPICION);
    assert!(!ran.exists(), "it has begun a program");
}

pub(crate) fn too_much() {
    let short = Config { suspicion: Duration::from_millis(1) };
    let words = Guardian::start(short, None).err().unwrap().to_string();
    assert!(words.contains("1ms") && words.contains("20 ms to 60 s"), "{words}");
    for words in ["", "7", "0:1", "7:", "4711:1", "a:b", "1:999999999999"] {
        assert!(matches!(Guardian::adopt(words), Err(Error::NoHeir(_))), "{words}");
    }
    let mut guardian = Guardian::start(Config::default(), None).unwrap();
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

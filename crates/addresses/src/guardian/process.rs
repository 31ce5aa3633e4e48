//! The guardian itself: one thread, no allocation to speak of, everything opened and used once before it is needed.

use std::collections::BTreeSet;
use std::env;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::exit;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mm::MlockAllFlags;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open, setsid};
use rustix::time::{ClockId, clock_gettime};

use super::lock::is_left_to_next;
use super::programs::Programs;
use super::silence::Silence;
use super::table::Table;
use super::word::{Answer, MAX_WORD, Word};
use crate::kernel::{Address, Connections, Event, Held, Interests, Kernel, Watch, capabilities};

/// Marks the guardian; its value is the parent's process id.
pub(super) const MARK: &str = "BACKHAND_GUARDIAN_OF";

/// What the process is called in lists.
pub(super) const NAME: &str = "backhand-guard";

/// How long the kernel may refuse before the lease has to do it.
const ATTEMPTS: usize = 3;

/// Longest time without a look when nothing is held.
const IDLE: Duration = Duration::from_secs(3_600);

/// Time for resetting connections before their addresses go whatever is left: some 2,000 of them, and far below the time in which
/// others find out that we are dead.
const RESETTING: Duration = Duration::from_millis(50);

/// Words of one turn: more than the socket keeps, so that all of a dead parent's are heard before anything is done.
const MAX_WORDS: usize = 4_096;

/// Its nice value, for where real time is not allowed.
const NICE: i32 = -19;

/// How long the end of the parent is waited for when it has closed its socket.
const DYING: Duration = Duration::from_secs(2);

/// Between the last words: the first is at once, and the others reach those that were busy or apart for a moment.
const FAREWELLS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_secs(1),
];

/// Until the first word says otherwise.
const SUSPICION: Duration = Duration::from_secs(1);

/// Takes over when this process is a guardian, and then never returns; otherwise returns at once.
///
/// Call it first thing in `main`, before anything is opened or any thread started.
pub fn init() {
    let Some(parent) = env::var_os(MARK) else { return };
    let pid = parent.to_str().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    let Some(pid) = pid else {
        eprintln!("{MARK}={} is nobody's; unset it", parent.display());
        exit(2);
    };
    // SAFETY: nothing else runs in this process yet that could read its environment.
    #[allow(unsafe_code)]
    unsafe {
        env::remove_var(MARK);
    }
    match settle(pid) {
        Ok(mut guard) => exit(guard.stand()),
        Err(error) => {
            eprintln!("guardian: {error}");
            exit(1);
        }
    }
}

/// Time of CLOCK_BOOTTIME, which goes on while the machine sleeps.
pub(super) fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Becomes independent of the parent and ready to act.
fn settle(pid: Pid) -> io::Result<Guard> {
    hold_signals()?;
    close_others();
    // Not of the parent's group: what ends the group must not end this first.
    let _ = setsid();
    let _ = rustix::thread::set_name(c"backhand-guard");
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let lock = lock()?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    // Keeps no file system busy.
    let _ = env::set_current_dir("/");
    let parent = pidfd_open(pid, PidfdFlags::empty());
    // A number that is somebody else's by now.
    let parent = parent.ok().filter(|_| getppid() == Some(pid));
    let other = |error: crate::kernel::Error| io::Error::other(error.to_string());
    let mut guard = Guard {
        socket: Some(socket),
        parent,
        lock,
        kernel: Kernel::open().map_err(other)?,
        connections: Connections::open().map_err(other)?,
        table: Table::default(),
        programs: Programs::default(),
        silence: Silence::new(SUSPICION, now()),
        thread: 0,
        fenced: None,
        fencing: 0,
        owed: None,
        patient_until: None,
        word: vec![0; MAX_WORD],
        farewell: Default::default(),
        mouths: [None, None],
    };
    lock_memory();
    hurry();
    guard.rehearse();
    let _ = capabilities::drop_to_net_admin_and_raw(true);
    // From here on there is nobody to be told anything but the parent.
    rustix::stdio::dup2_stderr(&nothing)?;
    guard.say(Answer::Ready);
    Ok(guard)
}

/// The locked file that the parent has given, if it has.
fn lock() -> io::Result<Option<File>> {
    let given = rustix::stdio::stdout();
    let mode = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(given)?.st_mode);
    let lock = (mode == rustix::fs::FileType::RegularFile)
        .then(|| rustix::io::fcntl_dupfd_cloexec(given, 3));
    Ok(lock.transpose()?.map(File::from))
}

/// Signals wait for ever; only the parent's word and its death count. Programs that are run get none of this.
fn hold_signals() -> io::Result<()> {
    mask_signals(true)
}

/// Makes all signals wait, or none. It may be called between fork and exec: it takes no lock and no memory.
pub(super) fn mask_signals(all: bool) -> io::Result<()> {
    let mut signals = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let set = if all { libc::sigfillset } else { libc::sigemptyset };
    // SAFETY: the first call makes the set, the second reads it and writes nothing.
    #[allow(unsafe_code)]
    let result = unsafe {
        set(signals.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, signals.as_ptr(), std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Closes what was inherited, but for the three standard streams: the first is the parent's socket, the second the lock or nothing.
fn close_others() {
    // SAFETY: nothing was opened by this process yet, so no descriptor above 2 has an owner here.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
    }
}

/// What is used once stays in memory, if that is allowed: on a machine that is short of memory, or whose disk hangs, the guardian must
/// not wait for its own code.
fn lock_memory() {
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    // With a limit, later allocations would fail; then only what is there now.
    let unlimited = rustix::process::getrlimit(rustix::process::Resource::Memlock);
    let flags = if unlimited.current.is_none() {
        all
    } else {
        MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT
    };
    let _ = rustix::mm::mlockall(flags);
}

/// Before everything else that wants a processor, as far as that is allowed: it sleeps until it is needed, and then the time until an address
/// is gone is time in which two have it. On a machine with twenty busy processes it came 50 to 500 ms late without this. Programs that
/// it runs get none of it.
fn hurry() {
    // Without permission for this one, for real time there is none either.
    if schedule(libc::SCHED_OTHER, 0) && rustix::process::setpriority_process(None, NICE).is_ok() {
        schedule(libc::SCHED_FIFO, 1);
    }
}

/// Sets how this thread is scheduled, but not what it starts; whether that is allowed.
fn schedule(policy: libc::c_int, priority: libc::c_int) -> bool {
    let parameter = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameter lives until the call returns, which only reads it; 0 is this thread, the only one.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &raw const parameter)
    };
    result == 0
}

/// Why a turn was the last.
enum End {
    /// The parent wishes it.
    Wished,
    /// The parent is gone.
    Alone,
}

struct Guard {
    /// Nothing once the other end is closed.
    socket: Option<OwnedFd>,
    /// Nothing if it was gone before we looked.
    parent: Option<OwnedFd>,
    /// What keeps the next run of the program waiting, if there is such a thing; nothing once it may begin.
    lock: Option<File>,
    kernel: Kernel,
    connections: Connections,
    table: Table,
    programs: Programs,
    silence: Silence,
    /// Which thread of the parent beats; 0 before the first beat.
    thread: u32,
    /// After a fencing, until the parent acknowledges: what tells of addresses that come back. Nothing inside if it cannot be had.
    fenced: Option<Option<Watch>>,
    /// Number of the last fencing.
    fencing: u32,
    /// The parent is to be told, by this number, when all programs have ended.
    owed: Option<u32>,
    /// While the parent hands over to its next image: until then its silence says nothing.
    patient_until: Option<Duration>,
    word: Vec<u8>,
    /// What to say when everything is over, and to whom.
    farewell: (Vec<u8>, Vec<SocketAddr>),
    /// Through which to say it, by version.
    mouths: [Option<UdpSocket>; 2],
}

impl Guard {
    /// Stands until the parent is gone or wishes the end; the exit code.
    fn stand(&mut self) -> i32 {
        loop {
            self.wait();
            let now = now();
            self.silence.look(now);
            if let Some(end) = self.listen(now) {
                return self.finish(end);
            }
            self.clear_again();
            if self.is_overdue(now) {
                if self.is_left_to_next() {
                    return self.finish(End::Alone);
                }
                self.fence();
            }
            self.programs.turn(now);
            self.tell_of_programs();
        }
    }

    /// Whether the parent has been silent too long, or nobody took over in time.
    fn is_overdue(&mut self, now: Duration) -> bool {
        let late = match self.patient_until {
            Some(until) => now >= until,
            None if self.silence.is_suspicious(now) => {
                // One that wants to run and does not get to is no dead one; a machine may be that busy.
                !(self.is_on_guard() && self.wants_to_run() && self.silence.excuse(now))
            }
            None => false,
        };
        if late {
            self.patient_until = None;
        }
        late && self.is_on_guard()
    }

    /// Whether the thread that should beat waits for nothing but a processor. Not so when it was stopped, or waits for a disk or a lock.
    fn wants_to_run(&self) -> bool {
        let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        let stat = std::fs::read_to_string(format!("/proc/{parent}/task/{}/stat", self.thread));
        // The name before it may contain anything.
        stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R')))
    }

    /// Whether silence matters: there is something to lose that was not taken away yet.
    fn is_on_guard(&self) -> bool {
        self.fenced.is_none() && !self.table.is_empty()
    }

    /// Waits for whatever comes first.
    fn wait(&self) {
        let now = now();
        let silence = (self.is_on_guard() && self.patient_until.is_none())
            .then(|| now + self.silence.next_look(now));
        let deadlines = [silence, self.patient_until, self.programs.deadline()];
        let deadline = deadlines.into_iter().flatten().min().unwrap_or(now + IDLE);
        let timeout = deadline.saturating_sub(now);
        let watch = self.fenced.as_ref().and_then(Option::as_ref).map(AsFd::as_fd);
        let handles = [self.socket.as_ref(), self.parent.as_ref()].into_iter().flatten();
        let handles: Vec<BorrowedFd<'_>> =
            handles.map(AsFd::as_fd).chain(watch).chain(self.programs.handles()).collect();
        let mut fds: Vec<PollFd<'_>> =
            handles.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // An interrupted wait is a turn like any other.
        let _ = poll(&mut fds, Some(&timeout));
    }

    /// Everything that was said; whether that is the end. The parent's last words come before its death.
    fn listen(&mut self, now: Duration) -> Option<End> {
        let dead = self.is_parent_dead();
        for _ in 0..MAX_WORDS {
            let Some(socket) = &self.socket else { break };
            match rustix::net::recv(socket, &mut self.word[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => self.socket = None,
                Ok((length, _)) => {
                    // What is no word is none of ours: nobody else has the other end.
                    let Some(word) = Word::read(&self.word[..length]) else { continue };
                    if self.take(word, now) {
                        return Some(End::Wished);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => self.socket = None,
            }
        }
        let gone = dead || self.socket.is_none();
        // In a hand-over as well: the next image is the same process, and finds this one by the other end of the socket.
        gone.then_some(End::Alone)
    }

    fn is_parent_dead(&self) -> bool {
        let Some(parent) = &self.parent else { return true };
        let mut fds = [PollFd::new(parent, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    /// Whether the parent wishes the end.
    fn take(&mut self, word: Word, now: Duration) -> bool {
        self.silence.heard(now);
        self.patient_until = None;
        match word {
            Word::Begin { suspicion } => self.silence = Silence::new(suspicion, now),
            Word::Hold { set, addresses, programs } => self.table.hold(set, addresses, programs),
            Word::LetGo { set } => self.table.let_go(&set),
            Word::Only { sets } => self.table.only(&sets),
            Word::Keep { number, sets } => {
                let (addresses, programs) = self.table.take_all_but(&sets);
                self.take_off(&addresses);
                self.programs.add(programs);
                self.owed = Some(number);
            }
            Word::Running { programs } => self.programs.wait_for(programs, now),
            Word::Beat { thread } => {
                self.thread = thread;
                if self.fenced.is_some() {
                    self.say(Answer::Fenced { fencing: self.fencing });
                }
            }
            Word::HandOver { until } => {
                self.patient_until = Some(Duration::from_nanos(until));
                // What the next image has is none of the run that it was about.
                self.farewell = Default::default();
            }
            Word::Farewell { word, to } => self.prepare(word, to),
            Word::Acknowledge { fencing } if fencing == self.fencing => {
                // Of what was told since the fencing, which the parent counts to it.
                self.programs.add(self.table.take_programs());
                self.table.clear();
                self.fenced = None;
                self.owed = Some(fencing);
            }
            // Of one before; it is told of this one again.
            Word::Acknowledge { .. } => {}
            Word::End => return true,
        }
        false
    }

    /// Keeps what it is to say at the end, and opens what that takes while there is time for it.
    fn prepare(&mut self, word: Vec<u8>, to: Vec<SocketAddr>) {
        for place in &to {
            let any = if place.is_ipv4() {
                IpAddr::V4(Ipv4Addr::UNSPECIFIED)
            } else {
                IpAddr::V6(Ipv6Addr::UNSPECIFIED)
            };
            let mouth = &mut self.mouths[usize::from(place.is_ipv6())];
            if mouth.is_none() {
                *mouth = UdpSocket::bind((any, 0)).ok();
            }
        }
        self.farewell = (word, to);
    }

    /// The parent is silent: what it holds is taken away until it knows.
    fn fence(&mut self) {
        self.fencing = self.fencing.wrapping_add(1);
        // Before the deletion, so that nothing comes back unseen.
        let addresses = Interests { links: false, addresses: true };
        self.fenced = Some(Watch::open(addresses).ok());
        self.take_away();
        self.say(Answer::Fenced { fencing: self.fencing });
        self.programs.add(self.table.take_programs());
    }

    /// Whether a newer run of the program does not wait for this guardian any longer: what it knows of may be that one's by now.
    fn is_left_to_next(&self) -> bool {
        self.lock.as_ref().is_some_and(is_left_to_next)
    }

    /// Once all programs have ended, a parent that knows what was taken away is told so.
    fn tell_of_programs(&mut self) {
        let over = self.fenced.is_none() && self.programs.are_done();
        let Some(number) = self.owed.filter(|_| over) else { return };
        let well = self.programs.went_well_of_late();
        // One that does not read is told at its next word.
        if self.say(Answer::Stopped { number, well }) {
            self.owed = None;
            self.programs.begin_anew();
        }
    }

    /// Deletes what came back since the fencing.
    fn clear_again(&mut self) {
        let Some(Some(watch)) = &mut self.fenced else { return };
        let mut back = false;
        loop {
            match watch.next_event() {
                Ok(Some(Event::AddressAdded(held))) => back |= self.table.has(&held.address),
                Ok(Some(Event::Lost)) => back = true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        if back {
            self.take_away();
        }
    }

    /// Takes off everything that is held.
    fn take_away(&mut self) {
        self.take_off(&self.table.addresses());
    }

    /// Resets connections while their addresses can still say so, then deletes the addresses.
    fn take_off(&mut self, addresses: &[Address]) {
        if addresses.is_empty() {
            return;
        }
        let ips: BTreeSet<IpAddr> = addresses.iter().map(|address| address.ip).collect();
        // Without it clients notice later; the addresses go all the same.
        let _ = self.connections.reset(&ips, RESETTING);
        for _ in 0..ATTEMPTS {
            if self.kernel.delete(addresses).is_ok_and(|all| all.iter().all(Result::is_ok)) {
                return;
            }
            if let Ok(kernel) = Kernel::open() {
                self.kernel = kernel;
            }
        }
    }

    fn finish(&mut self, end: End) -> i32 {
        if matches!(end, End::Wished) {
            return 0;
        }
        if !self.is_left_to_next() {
            self.take_away();
            self.programs.add(self.table.take_programs());
        }
        self.turn_programs_at_the_end();
        let certain =
            !self.farewell.0.is_empty() && self.has_died() && !self.is_left_to_next() && {
                // A thread that was not dead yet may have put something back.
                self.take_away();
                self.is_all_off()
            };
        self.fenced = None;
        (self.socket, self.parent) = (None, None);
        // From here on only programs are waited for: with something on guard it would look for signs of life without a pause.
        self.table.clear();
        self.patient_until = None;
        loop {
            self.turn_programs_at_the_end();
            if self.programs.are_done() {
                break;
            }
            self.wait();
        }
        self.lock = None;
        if certain && self.programs.went_well() {
            self.take_leave();
        }
        0
    }

    /// Lets programs begin and end; where a newer run has begun beside this, none begins any more.
    fn turn_programs_at_the_end(&mut self) {
        if self.is_left_to_next() {
            self.programs.forget_waiting();
        }
        self.programs.turn(now());
    }

    /// Whether the parent is dead, all its threads. It closes its socket a little before that, and who has only closed that may go on.
    fn has_died(&self) -> bool {
        let Some(parent) = &self.parent else { return false };
        let deadline = now() + DYING;
        while !self.is_parent_dead() {
            let left = deadline.saturating_sub(now());
            if left.is_zero() {
                return false;
            }
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let _ = poll(&mut [PollFd::new(parent, PollFlags::IN)], Some(&timeout));
        }
        true
    }

    /// Whether the kernel has nothing any more that was to be taken off, nor anything with our mark that the parent had before.
    /// What cannot be known is not so.
    ///
    /// What the parent lets go it may have let go before it was off: after a fencing, and when an address could not be added or
    /// deleted. What it never had is another program's of this machine, and says nothing of this one.
    fn is_all_off(&mut self) -> bool {
        let (ips, table) = (self.table.ips(), &self.table);
        let left = |held: &Held| {
            let ip = &held.address.ip;
            ips.contains(ip) || held.is_ours() && table.had(ip)
        };
        self.kernel.list().is_ok_and(|all| !all.iter().any(left))
    }

    /// Says that everything is off and stopped, several times, since nobody answers.
    fn take_leave(&self) {
        let (word, to) = &self.farewell;
        for pause in FAREWELLS {
            std::thread::sleep(pause);
            for place in to {
                let mouth = &self.mouths[usize::from(place.is_ipv6())];
                // Who does not hear it waits for the lease.
                let _ = mouth.as_ref().map(|mouth| mouth.send_to(word, place));
            }
        }
    }

    /// Whether the parent will hear it: one that does not read is told again at its next beat.
    fn say(&self, answer: Answer) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let socket = self.socket.as_ref();
        socket.is_some_and(|socket| rustix::net::send(socket, &answer.write(), flags).is_ok())
    }

    /// Does everything once with an address that nobody has, so that all of it is in memory.
    fn rehearse(&mut self) {
        let nobody = Address { ip: Ipv4Addr::BROADCAST.into(), prefix: 32, interface: 1 };
        self.table.hold(String::new(), vec![nobody], Vec::new());
        let _ = self.is_left_to_next();
        self.take_away();
        self.table.clear();
    }
}

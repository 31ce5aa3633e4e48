//! The parent's side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::error::Error;
use super::process::{MARK, NAME, now};
use super::word::{Answer, MAX_INPUT, MAX_WORD, Program, Running, Word};
use crate::kernel::Address;

/// Sets of addresses that a guardian keeps.
const MAX_SETS: usize = 4_096;

/// Addresses that a guardian keeps.
const MAX_ADDRESSES: usize = 16_384;

/// How long a new guardian may take to begin, usually some milliseconds.
const BEGINNING: Duration = Duration::from_secs(5);

/// How long one may take to end.
const ENDING: Duration = Duration::from_secs(2);

/// How long its end is waited for once its socket is closed.
const CLOSING: Duration = Duration::from_millis(20);

/// How a guardian guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// After this much silence ([`Guardian::beat`]) the parent is taken for hung and its addresses are taken away.
    ///
    /// Shorter frees the addresses of a hung machine sooner; longer forgives a busy one. Beat at least four times as often, and keep
    /// it below the lease. 20 ms to 60 s, default 500 ms.
    pub suspicion: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { suspicion: Duration::from_millis(500) }
    }
}

impl Config {
    fn check(self) -> Result<Self, Error> {
        let found = self.suspicion;
        let bounds = Duration::from_millis(20)..=Duration::from_secs(60);
        if bounds.contains(&found) { Ok(self) } else { Err(Error::Suspicion { found }) }
    }
}

/// What a guardian tells its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// We were silent for too long: everything that was held then has been deleted, and what comes back is deleted, too. The programs
    /// that were left with it are run. Believe to hold nothing, then [`Guardian::acknowledge`]. It is told again at each beat until then.
    Fenced,
    /// All programs of what it has taken away have ended: those of a fencing that was acknowledged, or of [`Guardian::take_all_but`].
    /// One of an earlier version, adopted in an upgrade, never says so.
    Stopped {
        /// Whether all have ended with 0 and in time.
        well: bool,
    },
    /// The guardian itself is dead. Start another and tell it everything.
    Ended,
}

/// A running guardian, from its parent's side. No call waits but [`Guardian::start`], [`Guardian::end`] and [`Guardian::kill`].
///
/// Await it as [`crate::kernel::Awaited`], or wait for its descriptor; then take all events. When this is dropped without [`Guardian::end`], the guardian takes everything away, as on the
/// death of the parent.
pub struct Guardian {
    socket: OwnedFd,
    handle: OwnedFd,
    pid: Pid,
    /// What each set has.
    sets: BTreeMap<String, Told>,
    /// The last fencing we were told of; 0 before the first.
    fencing: u32,
    /// The last one we acknowledged: words about it that come late are passed by.
    acknowledged: Option<u32>,
    /// The number of what is to be answered with [`Event::Stopped`].
    awaited: Option<u32>,
}

/// What the guardian was told of a set.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// How many addresses.
    addresses: usize,
    /// Whether there is something to be run when they are taken away.
    programs: bool,
}

impl Guardian {
    /// Starts this binary again as a guardian and waits until it is ready, some milliseconds. It lives in the network namespace of the
    /// calling thread.
    ///
    /// `lock` is a file that is locked (`flock`): it stays so until all programs that the guardian runs in the end are over, if this is
    /// the last handle of it in this process.
    ///
    /// # Errors
    /// When that cannot be done, or when the binary does not call [`super::init`].
    pub fn start(config: Config, lock: Option<File>) -> Result<Self, Error> {
        let Config { suspicion } = config.check()?;
        if std::env::var_os(MARK).is_some() {
            // A guardian that got this far has skipped `init`; going on would start guardians for ever.
            return Err(Error::NoBeginning(Duration::ZERO));
        }
        let flags = SocketFlags::CLOEXEC;
        let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let (socket, theirs) = pair.map_err(Error::io("a pair of sockets"))?;
        let child = Command::new("/proc/self/exe")
            .arg0(NAME)
            .env(MARK, std::process::id().to_string())
            .stdin(theirs)
            .stdout(lock.map_or_else(Stdio::null, Stdio::from))
            .spawn()
            .map_err(Error::io("starting /proc/self/exe (is /proc mounted?)"))?;
        let pid = Pid::from_child(&child);
        let handle = pidfd_open(pid, PidfdFlags::empty());
        let handle = handle.map_err(Error::io("a handle of its process"))?;
        let mut guardian = Self::new(socket, handle, pid);
        guardian.say(&Word::Begin { suspicion })?;
        if readable(guardian.socket.as_fd(), BEGINNING) && guardian.hear() == Heard::Ready {
            return Ok(guardian);
        }
        guardian.kill();
        Err(Error::NoBeginning(BEGINNING))
    }

    fn new(socket: OwnedFd, handle: OwnedFd, pid: Pid) -> Self {
        let (sets, fencing, acknowledged, awaited) = (BTreeMap::new(), 0, None, None);
        Self { socket, handle, pid, sets, fencing, acknowledged, awaited }
    }

    /// Guards in this way from now on: one that was adopted ([`Guardian::adopt`]) does so as the image before wanted it.
    ///
    /// # Errors
    /// When it does not know, or the suspicion time is out of bounds.
    pub fn configure(&mut self, config: Config) -> Result<(), Error> {
        let Config { suspicion } = config.check()?;
        self.say(&Word::Begin { suspicion })
    }

    /// Says that these addresses are held, with what is to be run when they are taken away, one program after the other; replaces what
    /// was said of the set. Say it **before** they are put on an interface: once this returns, the guardian will know even if we die now.
    /// While a fencing is not acknowledged it is deleted as soon as it appears.
    ///
    /// # Errors
    /// When it does not know: then do not put them anywhere.
    pub fn hold(
        &mut self,
        set: &str,
        addresses: &[Address],
        on_down: &[Program],
    ) -> Result<(), Error> {
        let limited = |what, found, most| {
            if found > most { Err(Error::TooMuch { what, found, most }) } else { Ok(()) }
        };
        let others = self.sets.iter().filter(|(name, _)| *name != set);
        let (count, total) = others.fold((1, addresses.len()), |(count, total), (_, told)| {
            (count + 1, total + told.addresses)
        });
        limited("the table of sets", count, MAX_SETS)?;
        limited("the table of addresses", total, MAX_ADDRESSES)?;
        for program in on_down {
            limited("the input of a program", program.input.len(), MAX_INPUT)?;
        }
        let word = Word::Hold {
            set: set.to_owned(),
            addresses: addresses.to_vec(),
            programs: on_down.to_vec(),
        };
        self.say(&word)?;
        let told = Told { addresses: addresses.len(), programs: !on_down.is_empty() };
        self.sets.insert(set.to_owned(), told);
        Ok(())
    }

    /// Whether programs of this set were left with it. After [`Event::Fenced`], and until that is acknowledged, it says of which sets the
    /// guardian runs them.
    #[must_use]
    pub fn has_programs(&self, set: &str) -> bool {
        self.sets.get(set).is_some_and(|told| told.programs)
    }

    /// Says that a set is held no more. Say it **after** its addresses were taken off.
    ///
    /// # Errors
    /// When it does not know: then it would delete them once more, which does no harm.
    pub fn let_go(&mut self, set: &str) -> Result<(), Error> {
        self.sets.remove(set);
        self.say(&Word::LetGo { set: set.to_owned() })
    }

    /// Says that nothing is held but these, of all that it was ever told. The others it forgets.
    ///
    /// # Errors
    /// When it does not know, as with [`Guardian::let_go`].
    pub fn hold_only(&mut self, sets: &[String]) -> Result<(), Error> {
        let only: BTreeSet<&String> = sets.iter().collect();
        self.sets.retain(|set, _| only.contains(set));
        self.say(&Word::Only { sets: sets.to_vec() })
    }

    /// Says that nothing is held but these, of all that a guardian that was adopted ([`Guardian::adopt`]) was told by the image before:
    /// the addresses of the others are taken away and their programs run, and [`Event::Stopped`] says when those have ended. A set of
    /// which an address is in one of these goes on in another form: that address stays, and its programs are not run.
    ///
    /// # Errors
    /// When it does not know, as with [`Guardian::let_go`].
    pub fn take_all_but(&mut self, sets: &[String]) -> Result<(), Error> {
        // None that another image has used, in all likelihood: an answer to that may still come.
        let number = now().subsec_nanos();
        self.say(&Word::Keep { number, sets: sets.to_vec() })?;
        self.awaited = Some(number);
        // One of an earlier version does not know that word, and forgets them; this one has done it.
        let _ = self.hold_only(sets);
        Ok(())
    }

    /// Says which programs that stop something we run ourselves just now, and that there are no others: before it runs one of the same
    /// set, it waits for these to end, for as long as they may take.
    ///
    /// # Errors
    /// When it does not know: then it would run its own beside them.
    pub fn runs(&mut self, programs: &[Running]) -> Result<(), Error> {
        self.say(&Word::Running { programs: programs.to_vec() })
    }

    /// Leaves with it what it is to say to these when this process is dead, everything that was held is off, and all programs that
    /// were left with it have ended well; otherwise it says nothing. Without a word it says nothing either.
    ///
    /// # Errors
    /// When it does not know: then what it was told before holds.
    pub fn farewell(&mut self, word: &[u8], to: &[SocketAddr]) -> Result<(), Error> {
        self.say(&Word::Farewell { word: word.to_vec(), to: to.to_vec() })
    }

    /// A sign of life. Give it from the thread whose hanging would be the harm.
    ///
    /// # Errors
    /// When the guardian is dead or does not read.
    pub fn beat(&mut self) -> Result<(), Error> {
        // Anew each time: the next image of this process beats from another thread.
        let thread = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or(0);
        self.say(&Word::Beat { thread })
    }

    /// Says that [`Event::Fenced`] was understood: nothing is held. Then everything may be said anew. The programs of all that it knows
    /// by then are run, and [`Event::Stopped`] says when they have ended.
    ///
    /// # Errors
    /// As [`Guardian::beat`]; then it tells of the fencing again.
    pub fn acknowledge(&mut self) -> Result<(), Error> {
        if self.fencing == 0 {
            // It was another guardian that said so.
            return Ok(());
        }
        self.say(&Word::Acknowledge { fencing: self.fencing })?;
        self.sets.clear();
        self.acknowledged = Some(self.fencing);
        self.awaited = self.acknowledged;
        Ok(())
    }

    /// What it told, if anything. Never waits, but a moment for the end of a dead one.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            match self.hear() {
                Heard::Ready => {}
                Heard::Fenced => return Some(Event::Fenced),
                Heard::Stopped { well } => return Some(Event::Stopped { well }),
                Heard::Nothing => return None,
                Heard::Gone => return Some(Event::Ended),
            }
        }
    }

    /// Keeps the guardian, with its table, for the image of this process that comes next (exec): for so long silence is no reason to do
    /// anything. Give the heir to that image, in an environment variable, and execute it; there, [`Guardian::adopt`].
    ///
    /// When nobody adopts it in time, it takes everything away, and at once when the process ends, in whichever image, or the heir is
    /// dropped. Where the process is to end instead of executing another image, [`Guardian::end`] is right.
    ///
    /// # Errors
    /// When it does not know, or its socket cannot be handed down.
    pub fn hand_over(self, within: Duration) -> Result<Heir, Error> {
        let until = now().saturating_add(within).as_nanos();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.say(&Word::HandOver { until })?;
        rustix::io::fcntl_setfd(&self.socket, FdFlags::empty())
            .map_err(Error::io("handing down its socket"))?;
        Ok(Heir { socket: self.socket, pid: self.pid })
    }

    /// Takes over the guardian of the former image of this process; the words are its [`Heir`]'s. Its table is what it was: say what is
    /// held, then [`Guardian::take_all_but`]. Beat soon: any word ends the time of handing over.
    ///
    /// # Errors
    /// When there is no such guardian. Then start another.
    pub fn adopt(words: &str) -> Result<Self, Error> {
        let wrong = || Error::NoHeir(words.to_owned());
        let (socket, pid) = words.split_once(':').ok_or_else(wrong)?;
        let socket = RawFd::from_str(socket).ok().filter(|fd| *fd > 2).ok_or_else(wrong)?;
        let pid = i32::from_str(pid).ok().and_then(Pid::from_raw).ok_or_else(wrong)?;
        // SAFETY: the number is only looked at here, and refused unless it is an open socket of the right kind.
        #[allow(unsafe_code)]
        let seen = unsafe { BorrowedFd::borrow_raw(socket) };
        let kind = rustix::net::sockopt::socket_type(seen);
        if kind != Ok(SocketType::SEQPACKET) || !is_child(pid) {
            return Err(wrong());
        }
        // SAFETY: the former image handed it down for this and forgot it with everything else.
        #[allow(unsafe_code)]
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC).map_err(Error::io("its socket"))?;
        let handle = pidfd_open(pid, PidfdFlags::empty());
        let handle = handle.map_err(Error::io("a handle of its process"))?;
        Ok(Self::new(socket, handle, pid))
    }

    /// Ends it in peace: it takes nothing away. Waits until it is gone, 2 s at most.
    ///
    /// # Errors
    /// When it cannot be told any more; it is killed then, and takes nothing away either.
    pub fn end(self) -> Result<(), Error> {
        let said = self.say(&Word::End);
        if said.is_err() || !readable(self.handle.as_fd(), ENDING) {
            self.kill();
        } else {
            self.bury();
        }
        said
    }

    /// Kills it, and takes nothing away: for one that does not read any more. Its lock is free when it is dead: start another after it.
    pub fn kill(self) {
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
        if readable(self.handle.as_fd(), ENDING) {
            self.bury();
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    fn say(&self, word: &Word) -> Result<(), Error> {
        let bytes = word.write();
        if bytes.len() > MAX_WORD {
            let (found, most) = (bytes.len(), MAX_WORD);
            return Err(Error::TooMuch { what: "what is said of one set, in bytes,", found, most });
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match rustix::net::send(&self.socket, &bytes, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => return Err(Error::Stuck),
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(Error::Gone),
                Err(error) => return Err(Error::io("telling it something")(error)),
            }
        }
    }

    fn hear(&mut self) -> Heard {
        let mut bytes = [0; 8];
        loop {
            match rustix::net::recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => break,
                Ok((length, _)) => match Answer::read(&bytes[..length]) {
                    Some(Answer::Ready) => return Heard::Ready,
                    Some(Answer::Fenced { fencing }) if self.acknowledged != Some(fencing) => {
                        self.fencing = fencing;
                        return Heard::Fenced;
                    }
                    Some(Answer::Stopped { number, well }) if self.awaited == Some(number) => {
                        self.awaited = None;
                        return Heard::Stopped { well };
                    }
                    Some(Answer::Fenced { .. } | Answer::Stopped { .. }) | None => {}
                },
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Heard::Nothing,
                Err(_) => break,
            }
        }
        // Its socket closes a moment before it has ended, some tenths of a millisecond.
        if readable(self.handle.as_fd(), CLOSING) {
            self.bury();
        }
        Heard::Gone
    }

    /// So that it does not stay in the list of processes.
    fn bury(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let _ = waitid(WaitId::PidFd(self.handle.as_fd()), options);
    }
}

#[derive(PartialEq, Eq)]
enum Heard {
    Ready,
    Fenced,
    Stopped { well: bool },
    Nothing,
    Gone,
}

impl AsFd for Guardian {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A guardian on its way to the next image of this process; its text ([`fmt::Display`]) is what [`Guardian::adopt`] takes.
///
/// Keep it until the other image is executed: dropped, it is lost to that, and the guardian takes everything away.
#[derive(Debug)]
pub struct Heir {
    socket: OwnedFd,
    pid: Pid,
}

impl fmt::Display for Heir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.socket.as_raw_fd(), self.pid.as_raw_nonzero())
    }
}

fn is_child(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

fn readable(fd: BorrowedFd<'_>, most: Duration) -> bool {
    let deadline = now() + most;
    loop {
        let left = deadline.saturating_sub(now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return ready > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

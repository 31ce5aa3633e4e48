//! How the daemon's thread stands among other work: above it for the token and the heartbeats, and never real-time for clients.
//!
//! Measured on machines of two cores: real-time made a paced message slower, since the kernel then wakes the thread on another core than
//! its client's; a low nice value keeps the token moving under burners, but where many processes begin and write files a thread at nice -19
//! was kept from running for up to 13 s, and one in real time for 26 ms. So the default is nice until it does not suffice: while the
//! machine is short of processors, and for a minute after, the thread is real-time; where the kernel does not tell that, after each wait
//! that ended late, each time for longer. To wait for the first late one alone was not enough: one of them took as long as a death
//! (seen after 23 minutes without idle time). And where a nice value counts only within a session (`within`), it does not suffice from the
//! beginning: the first late wait there was one of 113 ms, when others began to use all processors. So there it is real-time at once,
//! for as long as it runs. Whatever is not permitted is said and done without.
//!
//! One thread does everything, since a hop between threads costs more than all that is done for a message. So with real-time
//! priority the thread gives it up before it works for clients and takes it again before it waits for the other daemons: 1.4 µs
//! for both. A nice value it keeps: that only weighs the thread, and clients that were served at a lower one would hold up the token
//! behind them. For the same reason few clients are served in real time while it does not suffice to be nice: up to a tenth of
//! the time.
//!
//! Threads that this one starts begin without any of it (SCHED_RESET_ON_FORK).

use std::fs;
use std::path::Path;
use std::time::Duration;

use base::Instant;
use rustix::process::{nice, setpriority_process};

use crate::clock;
use crate::config::Priority;
use crate::pressure::Pressure;

/// The nice value of [`Priority::Nice`]: one above the lowest, which watchdogs may need.
const NICE: i32 = -19;
/// The priority of [`Priority::Realtime`]: the lowest there is, which is above everything that is not real-time.
const REALTIME: i32 = 1;
/// A wait that ends so much too late was kept from ending: nobody is called dead for it yet.
const LATE: Duration = Duration::from_millis(10);
/// How long the thread is real-time after that for the first time; each time for twice as long,
const SPELL: Duration = Duration::from_secs(60);
/// as many times.
const DOUBLED: u32 = 6;
/// The machine is short of processors when something waited for one in this part of the time; until it is so less, a spell goes on.
const VERY_SHORT: f64 = 0.5;
const SHORT: f64 = 0.2;
/// The part of the time for which clients may be served in real time when the machine is short of processors.
const CLIENTS: f64 = 0.1;
/// The most of it that may be saved up,
const SAVED: Duration = Duration::from_millis(10);
/// and the least to begin with.
const TURN: Duration = Duration::from_millis(1);
/// Longer than anything runs.
const FOR_EVER: Instant = Instant::from_nanos(u64::MAX);
/// Whether the nice value counts among the processes of one session only.
const AUTOGROUP: &str = "/proc/sys/kernel/sched_autogroup_enabled";
/// The control groups of this process,
const GROUPS: &str = "/proc/self/cgroup";
/// and where those of the second version are.
const GROUPS_AT: &str = "/sys/fs/cgroup";
/// The nice value of the session as a whole.
const SESSION: &str = "/proc/self/autogroup";

/// The standing of the thread that took it.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// What is in force, in words.
    said: String,
    /// The thread may be real-time.
    realtime: bool,
    /// It is now.
    raised: bool,
    /// It may become real-time when nice does not suffice.
    adaptive: bool,
    /// Real-time until then.
    spell: Option<Instant>,
    /// How often that began.
    spells: u64,
    /// Whether the machine is short of processors.
    pressure: Option<Pressure>,
    /// Clients are served in real time since then.
    serving: Option<Instant>,
    /// For how long they still may be, as it was at this time.
    allowance: (Duration, Instant),
}

impl Standing {
    /// Gives the calling thread its priority.
    pub(crate) fn take(wanted: Priority) -> Self {
        let mut standing = Self::default();
        standing.said = match wanted {
            Priority::None => "the bus runs at normal priority, as asked".into(),
            Priority::Nice => at_nice().said,
            Priority::Adaptive => {
                allow_realtime();
                match schedule(libc::SCHED_FIFO, REALTIME) {
                    Ok(()) => standing.adapt(at_nice()),
                    Err(error) => format!(
                        "{}; real-time priority, for when that does not suffice, is not permitted here ({error}): give it CAP_SYS_NICE and its control group a share of it (cpu.rt_runtime_us)",
                        at_nice().said
                    ),
                }
            }
            Priority::Realtime => {
                allow_realtime();
                // The value that clients are served with.
                let nice = lower_nice();
                match schedule(libc::SCHED_FIFO, REALTIME) {
                    Ok(()) => {
                        (standing.realtime, standing.raised) = (true, true);
                        let clients = if nice.is_ok() { NICE } else { 0 };
                        format!(
                            "the bus runs with real-time priority {REALTIME} for the token and the heartbeats, and at nice {clients} for clients"
                        )
                    }
                    Err(error) => {
                        let now = if nice.is_ok() {
                            format!("nice {NICE}")
                        } else {
                            "normal priority".into()
                        };
                        format!(
                            "the bus runs at {now}: real-time is not permitted here ({error}); give it CAP_SYS_NICE and its control group a share of it (cpu.rt_runtime_us), or use bus.priority = \"nice\""
                        )
                    }
                }
            }
        };
        standing
    }

    /// Real-time when `nice`, which is in force, does not suffice. What is said of it.
    fn adapt(&mut self, nice: Nice) -> String {
        self.adaptive = true;
        if nice.counts {
            self.pressure = Some(Pressure::open());
            let said = nice.said;
            return format!(
                "{said}; with real-time priority {REALTIME} while the machine is short of processors"
            );
        }
        self.realtime = true;
        self.spell = Some(FOR_EVER);
        self.allowance = (SAVED, clock::now());
        self.raise();
        format!("{}; with real-time priority {REALTIME}, since that does not suffice", nice.said)
    }

    /// What is in force, in words.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// How it is just now, in words, if that changes.
    pub(crate) fn spell(&self) -> String {
        match (self.spell, self.spells) {
            (_, 0) => String::new(),
            (Some(_), times) => format!("; real-time now, for the {times}. time"),
            (None, times) => format!("; real-time {times} times so far"),
        }
    }

    /// Whether the thread is real-time now.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised
    }

    /// A wait for other daemons ended at `now`, so much too late; none if there is no other.
    pub(crate) fn woke(&mut self, now: Instant, late: Option<Duration>) {
        if !self.adaptive {
            return;
        }
        // Who waits for nobody needs no priority.
        let waits = late.is_some();
        let late = late.filter(|late| *late > LATE);
        let share = self.pressure.as_mut().and_then(|pressure| pressure.look(now));
        let most = if self.spell.is_some() { SHORT } else { VERY_SHORT };
        if late.is_some() || waits && share.is_some_and(|share| share > most) {
            self.begin_spell(now, late);
        } else if self.spell.is_some_and(|until| until <= now) {
            self.spell = None;
            self.drop_to_nice();
            self.realtime = false;
        }
    }

    /// Real-time from now on for a while: after a late wait, or since the machine is short.
    fn begin_spell(&mut self, now: Instant, late: Option<Duration>) {
        let again = self.realtime;
        if !again {
            self.realtime = true;
            self.spells += 1;
            self.allowance = (SAVED, now);
        }
        let doubled = u32::try_from(self.spells.saturating_sub(1)).unwrap_or(DOUBLED).min(DOUBLED);
        // Of a machine that says when it is short the end is known.
        let spell = if late.is_some() { SPELL * 2_u32.pow(doubled) } else { SPELL };
        self.spell = self.spell.max(Some(now + spell));
        if again {
            return;
        }
        if self.spells == 1 {
            tracing::info!(
                ?late,
                "this machine keeps the bus waiting: it runs with real-time priority {REALTIME} until a minute after that, and whenever it comes again"
            );
        } else {
            tracing::debug!(?late, "real-time priority again");
        }
    }

    /// Before work for clients: no real-time from here on, but for the little of it that they are allowed while nice does not
    /// suffice.
    pub(crate) fn lower(&mut self) {
        if !self.raised || self.serving.is_some() {
            return;
        }
        if self.spell.is_some() {
            let now = clock::now();
            let (left, at) = self.allowance;
            let left = (left + now.since(at).mul_f64(CLIENTS)).min(SAVED);
            self.allowance = (left, now);
            if left >= TURN {
                self.serving = Some(now);
                return;
            }
        }
        self.drop_to_nice();
    }

    fn drop_to_nice(&mut self) {
        self.serving = None;
        if self.raised {
            // To give it up is always allowed; should it fail all the same, nothing is lost but the others' turn.
            self.raised = schedule(libc::SCHED_OTHER, 0).is_err();
        }
    }

    /// Before words of other daemons are waited for.
    pub(crate) fn raise(&mut self) {
        if let Some(since) = self.serving.take() {
            let served = clock::now().since(since);
            self.allowance.0 = self.allowance.0.saturating_sub(served);
        }
        if self.raised || !self.realtime {
            return;
        }
        match schedule(libc::SCHED_FIFO, REALTIME) {
            Ok(()) => self.raised = true,
            Err(error) => {
                self.give_up(&error);
                tracing::warn!("{}", self.said);
            }
        }
    }

    /// After privileges were dropped: whether what was permitted before still is. `false` if not; then other words hold.
    pub(crate) fn confirm(&mut self) -> bool {
        if !self.adaptive && !self.realtime {
            return true;
        }
        match schedule(libc::SCHED_FIFO, REALTIME) {
            Ok(()) => {
                self.raised = true;
                if !self.realtime {
                    self.drop_to_nice();
                }
                true
            }
            Err(error) => {
                self.give_up(&error);
                false
            }
        }
    }

    /// It is not real-time any more, and never again.
    fn give_up(&mut self, error: &std::io::Error) {
        (self.realtime, self.adaptive, self.raised) = (false, false, false);
        (self.spell, self.spells) = (None, 0);
        let nice = rustix::process::getpriority_process(None).unwrap_or(0);
        self.said = format!(
            "the bus runs at nice {nice}: real-time priority is not permitted to its user ({error}); give that user a limit of 1 or more for it (LimitRTPRIO=1, ulimit -r 1) or CAP_SYS_NICE"
        );
    }
}

/// A nice value that is in force.
struct Nice {
    said: String,
    /// Among all processes of the machine.
    counts: bool,
}

/// Takes the lowest nice value.
fn at_nice() -> Nice {
    match lower_nice() {
        Ok(()) => {
            let within = within(&fs::read_to_string(GROUPS).unwrap_or_default());
            let (among, counts) = match within {
                Within::All => (String::new(), true),
                Within::Raised => (format!(", as does its session ({SESSION})"), true),
                Within::Some(whom) => (format!(" among the processes of its {whom} only"), false),
            };
            Nice { said: format!("the bus runs at nice {NICE}{among}"), counts }
        }
        Err(error) => Nice {
            said: format!(
                "the bus runs at nice {}: {NICE} is not permitted here ({error}); give it CAP_SYS_NICE, or expect false alarms under load",
                nice(0).unwrap_or(0)
            ),
            counts: false,
        },
    }
}

/// The nice value of the calling thread: on Linux it belongs to the thread, and "this process" means the calling thread.
fn lower_nice() -> std::io::Result<()> {
    schedule(libc::SCHED_OTHER, 0)?;
    Ok(setpriority_process(None, NICE)?)
}

/// Who gives up being root must be allowed to become real-time again after each time that he was not.
fn allow_realtime() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Rtprio);
    let least = |limit: Option<u64>| limit.map(|limit| limit.max(REALTIME as u64));
    (limit.current, limit.maximum) = (least(limit.current), least(limit.maximum));
    // Without the permission to raise the limit there is mostly none to be real-time either, which is said then.
    let _ = setrlimit(Resource::Rtprio, limit);
}

/// Whether this is the first thread of a process that leads its session.
fn leads_alone() -> bool {
    let me = rustix::process::getpid();
    // 0 is a session whose leader is in another process namespace, which rustix does not take for an answer.
    // SAFETY: takes a plain number and gives one.
    #[allow(unsafe_code)]
    let session = unsafe { libc::getsid(0) };
    session == me.as_raw_nonzero().get() && rustix::thread::gettid() == me
}

/// Among whom a nice value counts.
#[derive(Debug, PartialEq, Eq)]
enum Within {
    All,
    /// Within a session that has the value as a whole.
    Raised,
    Some(String),
}

/// Among whom the nice value of a process in these control groups, as the kernel lists them, counts.
///
/// Groups share the processors by their weights, whatever is nice in them. With autogroups, sessions share them as equals where there
/// are no groups: seen were 240 ms in which a thread at nice -19 did not run beside those of other sessions. A service that is nothing
/// but this daemon leads its session and runs on its first thread; then the session as a whole gets the value.
fn within(groups: &str) -> Within {
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let path = path.trim_start_matches('/');
        let shares = match controllers {
            // The second version: all but the first group have a weight if processors are shared by groups.
            "" => Path::new(GROUPS_AT).join(path).join("cpu.weight").exists(),
            some => some.split(',').any(|one| one == "cpu") && !path.is_empty(),
        };
        if shares {
            return Within::Some("control group".into());
        }
    }
    if !fs::read_to_string(AUTOGROUP).is_ok_and(|text| text.trim() != "0") {
        return Within::All;
    }
    match leads_alone().then(|| fs::write(SESSION, NICE.to_string())) {
        Some(Ok(())) => Within::Raised,
        Some(Err(error)) => Within::Some(format!("session ({SESSION}: {error})")),
        None => Within::Some("session (kernel.sched_autogroup_enabled is 1)".into()),
    }
}

fn schedule(policy: i32, priority: i32) -> std::io::Result<()> {
    let parameter = libc::sched_param { sched_priority: priority };
    let policy = policy | libc::SCHED_RESET_ON_FORK;
    // SAFETY: thread 0 is the calling one, and the parameter lives until after the call, which only reads it.
    #[allow(unsafe_code)]
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy and nice value of the calling thread as the kernel tells them.
    fn now() -> (i64, i64) {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        // Behind the name, which may have anything in it: state is the first, nice the 17th, policy the 39th.
        let words: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        (words[38].parse().unwrap(), words[16].parse().unwrap())
    }

    /// In a thread of its own, whose priority nobody else has.
    fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(work).join().unwrap()
    }

    #[test]
    fn real_time_is_in_force_for_waiting_and_not_for_clients_and_not_for_threads_begun_there() {
        apart(|| {
            let mut standing = Standing::take(Priority::Realtime);
            if !standing.realtime {
                assert!(standing.said().contains("not permitted"), "{}", standing.said());
                eprintln!("not permitted here: {}", standing.said());
                return;
            }
            assert_eq!(now().0, i64::from(libc::SCHED_FIFO));
            assert_eq!(apart(now), (i64::from(libc::SCHED_OTHER), 0));
            standing.lower();
            assert_eq!(now(), (i64::from(libc::SCHED_OTHER), i64::from(NICE)));
            assert_eq!(apart(now), (i64::from(libc::SCHED_OTHER), 0));
            standing.raise();
            assert_eq!(now().0, i64::from(libc::SCHED_FIFO));
        });
    }

    #[test]
    fn nothing_is_in_force_that_was_not_said() {
        apart(|| {
            let mut standing = Standing::take(Priority::Nice);
            let lowered = standing.said().starts_with(&format!("the bus runs at nice {NICE}"));
            assert_eq!(now().1 == i64::from(NICE), lowered, "{}", standing.said());
            standing.lower();
            standing.raise();
            assert_eq!(now().0, i64::from(libc::SCHED_OTHER));
        });
        apart(|| {
            let before = now();
            assert!(Standing::take(Priority::None).said().contains("as asked"));
            assert_eq!(now(), before);
        });
    }

    #[test]
    fn what_is_said_holds_also_when_permission_is_given_up() {
        use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
        apart(|| {
            let mut standing = Standing::take(Priority::Adaptive);
            let nothing = CapabilitySet::empty();
            let sets =
                CapabilitySets { effective: nothing, permitted: nothing, inheritable: nothing };
            set_capabilities(None, sets).unwrap();
            let permitted = standing.adaptive && standing.confirm();
            assert_ne!(permitted, standing.said().contains("not permitted"), "{}", standing.said());
            // Real-time already where a nice value does not count.
            let begun = standing.realtime;
            assert_eq!(now().0 == i64::from(libc::SCHED_FIFO), begun);
            standing.woke(Instant::from_millis(1000), Some(Duration::from_millis(50)));
            standing.raise();
            let realtime = now().0 == i64::from(libc::SCHED_FIFO);
            assert_eq!(realtime, permitted);
            assert_eq!(standing.spell().is_empty(), !permitted || begun);
        });
    }

    #[test]
    fn whoever_is_kept_waiting_is_real_time_for_a_minute_and_then_no_more() {
        apart(|| {
            let mut standing = Standing::take(Priority::Adaptive);
            if standing.adaptive {
                // Whether or not the value counts on the machine on which this is tried, and without what its kernel says of it.
                standing = Standing::default();
                lower_nice().unwrap();
                standing.said = standing.adapt(Nice { said: "nice".into(), counts: true });
                standing.pressure = None;
            }
            let begun = Instant::ORIGIN + Duration::from_secs(100);
            let policy = |standing: &mut Standing, after: u64, late: u64| {
                standing
                    .woke(begun + Duration::from_secs(after), Some(Duration::from_millis(late)));
                standing.raise();
                i32::try_from(now().0).unwrap()
            };
            if !standing.adaptive {
                assert!(standing.said().contains("not permitted"), "{}", standing.said());
                assert_eq!(policy(&mut standing, 0, 500), libc::SCHED_OTHER);
                return;
            }
            assert_eq!(policy(&mut standing, 0, 9), libc::SCHED_OTHER);
            assert_eq!(policy(&mut standing, 1, 11), libc::SCHED_FIFO);
            // Clients are served so for a little.
            standing.lower();
            assert_eq!(now().0, i64::from(libc::SCHED_FIFO));
            std::thread::sleep(2 * SAVED);
            standing.raise();
            standing.allowance.1 = clock::now();
            standing.lower();
            assert_eq!(now(), (i64::from(libc::SCHED_OTHER), i64::from(NICE)));
            assert_eq!(policy(&mut standing, 60, 0), libc::SCHED_FIFO);
            // Late once more: another minute from there.
            assert_eq!(policy(&mut standing, 60, 20), libc::SCHED_FIFO);
            assert_eq!(policy(&mut standing, 119, 0), libc::SCHED_FIFO);
            assert_eq!(policy(&mut standing, 120, 0), libc::SCHED_OTHER);
            assert_eq!(now(), (i64::from(libc::SCHED_OTHER), i64::from(NICE)));
            // For twice as long when it comes again.
            assert_eq!(policy(&mut standing, 121, 11), libc::SCHED_FIFO);
            assert_eq!(policy(&mut standing, 240, 0), libc::SCHED_FIFO);
            assert_eq!(policy(&mut standing, 241, 0), libc::SCHED_OTHER);
        });
    }

    #[test]
    fn within_a_control_group_that_shares_processors_a_nice_value_counts_nowhere_else() {
        let group = || Within::Some("control group".into());
        assert_eq!(within("4:memory:/\n2:cpu,cpuacct:/system.slice/web.service\n"), group());
        assert_ne!(within("4:memory:/web\n2:cpu,cpuacct:/\n3:cpuset:/web\n0::/no/such\n"), group());
        assert_ne!(within("no list"), group());
    }

    #[test]
    fn where_a_nice_value_does_not_count_among_all_it_is_real_time_from_the_beginning() {
        apart(|| {
            if !Standing::take(Priority::Adaptive).adaptive {
                eprintln!("not permitted here");
                return;
            }
            let mut standing = Standing::default();
            lower_nice().unwrap();
            let said = standing.adapt(Nice { said: "nice".into(), counts: false });
            assert!(said.contains("does not suffice"), "{said}");
            assert_eq!(now().0, i64::from(libc::SCHED_FIFO));
            // However long nothing comes late.
            standing.woke(Instant::from_millis(86_400_000), Some(Duration::ZERO));
            standing.raise();
            assert_eq!(now().0, i64::from(libc::SCHED_FIFO));
            // Clients have no more of it than anywhere else.
            standing.lower();
            std::thread::sleep(2 * SAVED);
            standing.raise();
            standing.allowance.1 = clock::now();
            standing.lower();
            assert_eq!(now(), (i64::from(libc::SCHED_OTHER), i64::from(NICE)));
        });
    }
}

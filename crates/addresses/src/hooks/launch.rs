//! The step between us and a program that we run: our binary started again, which prepares itself and then becomes it.
//!
//! A child can be prepared between fork and exec instead; but fork copies the page tables of the whole service, and
//! until the copies part again each of its pages costs a fault. With 100 MB in use, a loop that did nothing but watch
//! was held up by up to 50 ms, with 1 GB by up to 150 ms; this way by less than 20 ms, however much is in use (two busy
//! cores, twenty programs at once). Starting our own binary without preparation is a vfork, which
//! copies nothing. It costs each program a millisecond or two, which nobody waits for.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{
    Signal, getppid, getpriority_process, set_parent_process_death_signal, setpriority_process,
};

use super::module;
use super::process::Program;
use super::{HookCall, KILL_AFTER};
use crate::config::{Hook, HookRun};
use crate::guardian;

/// The mark of a helper: its part.
const ROLE: &str = "BACKHAND_ADDRESSES_ROLE";
/// Our number, so that a helper notices that we died before it could ask for the signal.
const PARENT: &str = "BACKHAND_ADDRESSES_PARENT";
/// Seconds after which a helper that goes on without us is ended; absent for one that does not.
const ALARM: &str = "BACKHAND_ADDRESSES_ALARM";

/// This very binary, even where an upgrade has put another in its place.
const OURSELVES: &str = "/proc/self/exe";

/// Exit status of a helper that did not come to what it was started for.
pub(super) const FAILED: i32 = 127;
/// How it then says why, on a line of its own.
pub(super) const NOT_STARTED: &str = "not started: ";

/// Whether [`init`] stood in `main`: else a helper would be a second daemon.
static READY: AtomicBool = AtomicBool::new(false);

/// What a helper becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The program that its arguments name.
    Program,
    /// The caller of a module's function.
    Module,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Module => "module",
        }
    }
}

/// Takes over when this process is a helper that runs a hook or a check; otherwise returns at once.
///
/// Call it first thing in `main`, before any thread is started. Without it hooks and checks that run programs are refused.
pub fn init() {
    READY.store(true, Ordering::Relaxed);
    let Some(role) = std::env::var_os(ROLE) else { return };
    let why = match prepare() {
        Err(error) => format!("preparing it: {error}"),
        Ok(()) if role == Role::Program.name() => become_program(),
        Ok(()) if role == Role::Module.name() => match module::call() {
            Ok(()) => std::process::exit(0),
            Err(why) => why,
        },
        Ok(()) => format!("{ROLE}={} is no part of a helper; unset it", role.display()),
    };
    eprintln!("{NOT_STARTED}{why}");
    std::process::exit(FAILED);
}

/// How a program is started.
pub(super) fn command(program: &Program) -> Result<Command, String> {
    if !READY.load(Ordering::Relaxed) {
        return Err(
            "the program that wants to run it must call addresses::hooks::init() first".to_owned()
        );
    }
    let mut command = Command::new(OURSELVES);
    command.args(&program.argv).env_clear().envs(&program.environment).current_dir("/");
    command.env(ROLE, program.role.name()).env(PARENT, std::process::id().to_string());
    if program.outlives {
        command.env(ALARM, alarm(program.limit));
    }
    command.process_group(0);
    Ok(command)
}

/// When a helper that goes on without us is ended for certain.
fn alarm(limit: Duration) -> String {
    limit.saturating_add(KILL_AFTER).as_secs().saturating_add(2).to_string()
}

/// What the guardian runs for a hook when the service is dead: the program, or for a function of a module this binary as its caller,
/// which is ended by its alarm even if the guardian dies as well. Nothing where that function cannot be called.
pub fn for_guardian(hook: &Hook, call: &HookCall) -> Option<guardian::Program> {
    let (mut environment, input) = call.told();
    let command: Vec<OsString> = match &hook.run {
        HookRun::Command(argv) => argv.iter().map(Into::into).collect(),
        HookRun::Module { file, symbol } => {
            if !READY.load(Ordering::Relaxed) || module::may_run(call).is_err() {
                return None;
            }
            // The helper's working directory is another. An error says that we have none; then the name stays as it is.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let role = (ROLE.to_owned(), Role::Module.name().to_owned());
            let alarm = (ALARM.to_owned(), alarm(hook.timeout));
            let marks = module::marks(&file, symbol).into_iter().chain([role, alarm]);
            let marks = marks.map(|(name, value)| (OsString::from(name), OsString::from(value)));
            environment.extend(marks);
            vec![OURSELVES.into()]
        }
    };
    Some(guardian::Program { command, environment, input, limit: hook.timeout })
}

/// What holds from here on, whatever this process becomes.
#[allow(unsafe_code)]
fn prepare() -> io::Result<()> {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let (parent, alarm) = (given(PARENT), given(ALARM));
    // What it starts in turn is no helper, even if it is this binary again.
    for name in [ROLE, PARENT, ALARM] {
        // SAFETY: the only thread of this process.
        unsafe { std::env::remove_var(name) };
    }
    // SAFETY: only marks descriptors, those that the service itself was given without a mark; none of them is used here.
    // Kernels before 5.11 do not know it, and lose no more than that.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    give_way();
    let Some(alarm) = alarm else {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Died in between: nobody would send the signal any more.
        let now = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
        return if now == parent { Ok(()) } else { Err(io::Error::other("the service has died")) };
    };
    // With a reading end of its own output no SIGPIPE ends it after our death. Waiting for a writer would be for itself.
    let own =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/proc/self/fd/1")?;
    let own = own.into_raw_fd();
    // SAFETY: takes the mark off a descriptor that was opened a line before and belongs to nobody.
    unsafe { libc::fcntl(own, libc::F_SETFD, 0) };
    // SAFETY: sets a timer, which stays across execve (alarm(2)).
    unsafe { libc::alarm(alarm) };
    Ok(())
}

/// The service goes before others; what it runs does not.
fn give_way() {
    if getpriority_process(None).is_ok_and(|nice| nice < 0) {
        // Anybody may give way.
        let _ = setpriority_process(None, 0);
    }
}

/// Returns only where it cannot.
fn become_program() -> String {
    let mut arguments = std::env::args_os().skip(1);
    let Some(name): Option<OsString> = arguments.next() else {
        return "there is no program to run".to_owned();
    };
    let error = Command::new(&name).args(arguments).exec();
    format!("{}: {error}", name.display())
}

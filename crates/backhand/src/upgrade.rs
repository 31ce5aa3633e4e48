//! Becoming a newer version of oneself without the cluster missing an address: SIGUSR2.
//!
//! What is held here goes to other machines first, each address to its new owner before it leaves here; clients are served to
//! the end; then the process executes the binary that is at its path now, with the same arguments, process id and supervisor. A
//! machine that nobody can take anything from keeps its addresses meanwhile and hands them over to the next image, with the sockets
//! that it listens on: who connects meanwhile waits until that serves, and is not refused.
//!
//! Its path is the one by which it was started, with its links as they are: a file that was renamed, or a link that leads elsewhere by
//! now, is what usual upgrades leave behind.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use balancer::sockets::Inherited;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::check::IN_ORDER;
use crate::cli::FileArg;

/// How the next image hears of addresses that are left for it.
const LEGACY: &str = "BACKHAND_LEGACY";
/// How the next image hears of listening sockets that are left for it.
const LISTENERS: &str = "BACKHAND_LISTENERS";
/// How the next image hears by which path it was started.
const BINARY: &str = "BACKHAND_BINARY";
/// How the next image hears that it is to end.
const END: &str = "BACKHAND_END";
/// How soon this machine means to be back; the others spare themselves an even share until then.
pub(crate) const BACK_WITHIN: Duration = Duration::from_secs(60);
/// What the next image may take to begin, added to the time for draining.
pub(crate) const BEGINNING: Duration = Duration::from_secs(30);
/// What a binary may take to say whether it takes the configuration.
pub(crate) const CHECKED_WITHIN: Duration = Duration::from_secs(10);
/// How many bytes of its answer are heard.
const MOST_SAID: u64 = 64 << 10;

/// What runs here, whatever its name is by now.
const RUNNING: &str = "/proc/self/exe";

/// What the image before has left, if there was one.
pub(crate) fn legacy() -> Option<String> {
    std::env::var(LEGACY).ok()
}

/// The listening sockets that the image before has left, if it left any. To be called once.
pub(crate) fn listeners() -> Inherited {
    std::env::var(LISTENERS).map(|words| Inherited::from_words(&words)).unwrap_or_default()
}

/// Whether the image before was told to end when it had handed over already.
pub(crate) fn is_to_end() -> bool {
    std::env::var_os(END).is_some()
}

/// What is left for the next image, as words for its environment.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) legacy: Option<String>,
    pub(crate) listeners: Option<String>,
    /// It is to end in order as soon as it has taken over.
    pub(crate) is_to_end: bool,
}

/// Where this program's binary is. To be asked at the start: what runs may have another name when it is to be replaced.
pub(crate) fn binary() -> Option<PathBuf> {
    // The image before knows better, should there have been one: what it has executed may be renamed by now.
    let told = std::env::var_os(BINARY).map(PathBuf::from).filter(|path| path.is_absolute());
    told.or_else(as_started).or_else(as_it_runs)
}

/// The path by which it was started, if that can be found out.
fn as_started() -> Option<PathBuf> {
    let name = std::env::args_os().next()?;
    by_name(&name, &std::env::var_os("PATH").unwrap_or_default(), runs_here)
}

/// Where the program is that was started by this name: one without a slash was looked for in these folders. Links are not followed,
/// for whoever upgrades may lead them elsewhere.
fn by_name(name: &OsStr, folders: &OsStr, runs_here: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let places = match name.as_encoded_bytes().contains(&b'/') {
        true => vec![PathBuf::from(name)],
        false => std::env::split_paths(folders).map(|folder| folder.join(name)).collect(),
    };
    let places = places.into_iter().filter_map(|place| path::absolute(place).ok());
    // There a name is what it is only for whoever looks.
    let lasts = |place: &PathBuf| !["/proc", "/dev"].iter().any(|at| place.starts_with(at));
    places.filter(lasts).find(|place| runs_here(place))
}

/// Whether the file at this path is what runs.
fn runs_here(path: &Path) -> bool {
    let file = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino())).ok();
    let running = file(Path::new(RUNNING));
    running.is_some() && file(path) == running
}

/// Where what runs is now, or was before another was put in its place.
fn as_it_runs() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    let replaced = path.to_str().and_then(|path| path.strip_suffix(" (deleted)"));
    Some(replaced.map(PathBuf::from).unwrap_or(path))
}

/// A binary that is asked whether it takes the configuration. Dropped, it is not asked any more.
///
/// On a thread of its own, since the disk may hang on which it is.
pub(crate) struct Check {
    asked: Arc<Mutex<Asked>>,
    until: Instant,
}

/// How far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    NotYet,
    /// It runs, with a process group of its own.
    Runs(Pid),
    /// It has ended, or is not waited for any more.
    Over,
}

impl Check {
    /// Begins to ask. `answer` is called on another thread, with the path if that can be executed; never once it is given up.
    pub(crate) fn start(
        path: &Path,
        file: &FileArg,
        answer: impl FnOnce(Result<PathBuf>) + Send + 'static,
    ) -> Result<Self> {
        let mut command = Command::new(path);
        command.arg("check");
        if let Some(config) = &file.config {
            command.arg("--config").arg(config);
        }
        for name in [LEGACY, LISTENERS, BINARY, END] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).process_group(0);
        let asked = Arc::new(Mutex::new(Asked::NotYet));
        let (path, of_thread) = (path.to_owned(), asked.clone());
        let work = move || {
            if let Some(said) = ask(&path, command, &of_thread) {
                answer(said.map(|()| path));
            }
        };
        let thread = std::thread::Builder::new().name("check".into()).spawn(work);
        thread.context("no thread to check the new binary")?;
        Ok(Self { asked, until: Instant::now() + CHECKED_WITHIN })
    }

    /// How much of its time is left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Kills it, with what it has started. False if it has ended before: then the answer comes.
    pub(crate) fn give_up(&self) -> bool {
        let mut asked = lock(&self.asked);
        if let Asked::Runs(group) = *asked {
            kill(group);
        }
        mem::replace(&mut *asked, Asked::Over) != Asked::Over
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// What a binary says to the configuration; nothing if it was given up meanwhile.
fn ask(path: &Path, mut command: Command, asked: &Mutex<Asked>) -> Option<Result<()>> {
    let is_awaited = || mem::replace(&mut *lock(asked), Asked::Over) != Asked::Over;
    let started = io::pipe().and_then(|(answer, to)| {
        let child = command.stdout(to.try_clone()?).stderr(to).spawn()?;
        Ok((answer, child))
    });
    // With the ends of the pipe that were for the child: nothing would come to an end before they are closed.
    drop(command);
    let (mut answer, mut child) = match started {
        Ok(started) => started,
        Err(error) => {
            let why = anyhow::Error::new(error);
            let why = why.context(format!("{} cannot be run", path.display()));
            return is_awaited().then_some(Err(why));
        }
    };
    let pid = Pid::from_child(&child);
    {
        let mut asked = lock(asked);
        if *asked == Asked::Over {
            kill(pid);
        } else {
            *asked = Asked::Runs(pid);
        }
    }
    let mut said = Vec::new();
    // What cannot be read is not said.
    let _ = answer.by_ref().take(MOST_SAID).read_to_end(&mut said);
    // It is waited for to its end, however much it says.
    let _ = io::copy(&mut answer, &mut io::sink());
    // It is not reaped yet: as long as it may be killed, its number is nobody else's.
    let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), end), Err(Errno::INTR)) {}
    let is_awaited = is_awaited();
    let status = child.wait();
    is_awaited.then(|| judge(path, status, &said))
}

fn judge(path: &Path, status: io::Result<ExitStatus>, said: &[u8]) -> Result<()> {
    let path = path.display();
    let status = status.with_context(|| format!("{path} cannot be waited for"))?;
    let said = String::from_utf8_lossy(said);
    if !status.success() {
        bail!("{path} does not take the configuration: {}", said.trim());
    }
    // Many programs end well whatever they are told.
    if !said.lines().any(|line| line.ends_with(IN_ORDER)) {
        bail!(
            "{path} is no Backhand: to \"check\" it does not answer that the configuration is in order"
        );
    }
    Ok(())
}

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error says that nobody is left.
fn kill(group: Pid) {
    let _ = kill_process_group(group, Signal::KILL);
}

/// Becomes it. Returns only when that cannot be done.
pub(crate) fn become_it(path: &Path, left: &Left) -> anyhow::Error {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut next = Command::new(path);
    next.args(arguments).env(BINARY, path);
    let end = left.is_to_end.then(|| "1".to_owned());
    for (name, words) in [(LEGACY, &left.legacy), (LISTENERS, &left.listeners), (END, &end)] {
        match words {
            Some(words) => next.env(name, words),
            None => next.env_remove(name),
        };
    }
    let error = next.exec();
    anyhow::Error::new(error).context(format!("{} cannot be executed", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn found(name: &str, folders: &str, running: &[&str]) -> Option<PathBuf> {
        let runs = |path: &Path| running.iter().any(|one| path == Path::new(one));
        by_name(OsStr::new(name), OsStr::new(folders), runs)
    }

    #[test]
    fn the_binary_is_where_it_was_started_with_its_links_as_they_are() {
        let link = "/opt/now/backhand";
        assert_eq!(found(link, "", &[link]), Some(link.into()));
        // Found where the shell has found it.
        assert_eq!(found("backhand", "/usr/bin:/opt/now:/opt/old", &[link]), Some(link.into()));
        let here = std::env::current_dir().unwrap().join("it");
        assert_eq!(found("./it", "", &[here.to_str().unwrap()]), Some(here.clone()));
        // Another program has this name, or none has.
        for name in ["/usr/bin/backhand", "backhand", "other", ""] {
            assert_eq!(found(name, "/usr/bin", &[link]), None, "{name}");
        }
        // Whoever opens these by name finds himself.
        for name in ["/proc/self/exe", "/proc/self/fd/5", "/dev/fd/5"] {
            assert_eq!(found(name, "", &[name]), None, "{name}");
        }
    }

    #[test]
    fn what_runs_here_is_found_by_its_own_path() {
        let path = as_it_runs().unwrap();
        assert!(runs_here(&path) && !runs_here(path.parent().unwrap()));
        assert!(!runs_here(&path.with_extension("gone")));
        assert!(binary().is_some_and(|path| path.is_absolute() && runs_here(&path)));
    }

    fn asks(program: &str) -> (Check, Receiver<Result<PathBuf>>) {
        let (tell, told) = channel();
        let file = FileArg { config: None };
        // Whoever has given it up does not listen.
        let answer = move |said| drop(tell.send(said));
        (Check::start(Path::new(program), &file, answer).unwrap(), told)
    }

    #[test]
    fn a_binary_that_does_not_take_the_configuration_or_cannot_be_run_is_refused() {
        for (program, why) in [
            ("cat", "cat does not take the configuration: cat: "),
            ("false", "false does not take the configuration"),
            ("true", "true is no Backhand"),
            ("echo", "echo is no Backhand"),
            ("./there/is/none", "./there/is/none cannot be run: No such file"),
        ] {
            let (check, told) = asks(program);
            let error = format!("{:#}", told.recv().unwrap().unwrap_err());
            assert!(error.starts_with(why), "{error}");
            assert!(!check.give_up(), "it has answered");
        }
    }

    #[test]
    fn a_binary_that_says_that_the_configuration_is_in_order_is_taken() {
        let well = || Ok(ExitStatus::default());
        let path = Path::new("it");
        for said in ["b.toml: in order\n", "one line\n/a: b: in order\n  warning: something\n"] {
            judge(path, well(), said.as_bytes()).unwrap();
        }
        for said in ["", "in order", "b.toml: in order?\n", "not that of b.toml: in order, so\n"] {
            assert!(judge(path, well(), said.as_bytes()).is_err(), "{said}");
        }
    }

    #[test]
    fn a_binary_that_does_not_end_is_killed_and_says_nothing_any_more() {
        // It says its arguments again and again.
        let (check, told) = asks("yes");
        assert!(check.left() <= CHECKED_WITHIN);
        assert!(check.give_up());
        assert!(!check.give_up(), "once is enough");
        // The thread has ended, and so has what it waited for.
        assert!(told.recv().is_err());
        let (check, told) = asks("yes");
        drop(check);
        assert!(told.recv().is_err());
    }
}

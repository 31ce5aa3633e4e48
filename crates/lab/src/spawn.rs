//! What to run in a machine, and handing it to the hub.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::LabError;
use crate::process::Process;
use crate::running::Bench;
use crate::sockets::Place;
use crate::wire::{Reply, Request, SpawnOrder};

/// Where a process's output goes.
#[derive(Clone, Debug, Default)]
pub enum Output {
    /// To wherever the caller's own goes.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// Appended to this file, which is created when missing.
    File(PathBuf),
    /// To the caller, by [`crate::Process::take_stdout`] or [`crate::Process::take_stderr`].
    Pipe,
}

/// A command for a machine, built as [`std::process::Command`] is.
///
/// The process gets the caller's environment, the caller's working directory and no input, leads a process group of
/// its own, and joins the machine's control group when it has one.
#[derive(Clone, Debug)]
pub struct Spawn {
    pub(crate) program: Program,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) clear_env: bool,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

#[derive(Clone, Debug)]
pub(crate) enum Program {
    Named(OsString),
    Myself,
}

impl Spawn {
    /// A program, looked up in `PATH` unless it has a slash.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self::of(Program::Named(program.as_ref().to_owned()))
    }

    /// The caller's own binary, even when its file has been replaced since it started.
    #[must_use]
    pub fn myself() -> Self {
        Self::of(Program::Myself)
    }

    fn of(program: Program) -> Self {
        Self {
            program,
            args: Vec::new(),
            env: Vec::new(),
            clear_env: false,
            cwd: None,
            stdout: Output::Inherit,
            stderr: Output::Inherit,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts from an empty environment instead of the caller's.
    #[must_use]
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// Sets the working directory. Default: the caller's.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Where standard output goes. Default [`Output::Inherit`].
    #[must_use]
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// Where standard error goes. Default [`Output::Inherit`].
    #[must_use]
    pub fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }
}

impl Bench {
    /// Starts a process in `place`; it joins the control groups whose `cgroup.procs` are given.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        place: Place,
        what: Spawn,
        groups: &[BorrowedFd<'_>],
    ) -> Result<Process, LabError> {
        let label = format!("starting {} {}", what.program.show(), self.show(place));
        let (stdout, read_stdout) = stream(&what.stdout, std::io::stdout().as_fd(), &label)?;
        let (stderr, read_stderr) = stream(&what.stderr, std::io::stderr().as_fd(), &label)?;
        let mut fds: Vec<BorrowedFd<'_>> = vec![stdout.as_fd(), stderr.as_fd()];
        fds.extend(groups);
        let request = Request::Spawn(what.order(place, &label)?);
        let (reply, received) = self.ask(&label, &request, &fds)?;
        let mut received = received.into_iter();
        match (reply, received.next(), received.next()) {
            (Reply::Spawned(number), Some(handle), Some(status)) => {
                Process::new(self.clone(), number, &handle, status, [read_stdout, read_stderr])
            }
            (other, ..) => {
                Err(LabError::Refused { what: label, why: format!("unexpected answer {other:?}") })
            }
        }
    }

    pub(crate) fn show(&self, place: Place) -> String {
        match place {
            Place::Machine(index) => format!("in {}", self.names[index]),
            Place::Client => "at the switch".to_owned(),
            Place::Host(index) => format!("in h{}", index + 1),
        }
    }
}

impl Program {
    fn show(&self) -> String {
        match self {
            Program::Named(name) => name.to_string_lossy().into_owned(),
            Program::Myself => "this binary".to_owned(),
        }
    }
}

impl Spawn {
    fn order(&self, place: Place, label: &str) -> Result<SpawnOrder, LabError> {
        let cwd = match &self.cwd {
            Some(cwd) => cwd.clone(),
            None => std::env::current_dir().map_err(LabError::io(label))?,
        };
        // Said here, where it can be named; from the child it would look like a missing program.
        std::fs::read_dir(&cwd).map_err(LabError::io(format!("{label}: {}", cwd.display())))?;
        Ok(SpawnOrder {
            place,
            program: match &self.program {
                Program::Named(name) => Some(name.into()),
                Program::Myself => None,
            },
            args: self.args.iter().map(Into::into).collect(),
            env: self.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            clear_env: self.clear_env,
            cwd: (&cwd.into_os_string()).into(),
        })
    }
}

/// What to give the process as a stream, and what the caller reads from it.
fn stream(
    output: &Output,
    own: BorrowedFd<'_>,
    label: &str,
) -> Result<(OwnedFd, Option<File>), LabError> {
    let opened = match output {
        Output::Inherit => own.try_clone_to_owned().map(|fd| (fd, None)),
        Output::Null => OpenOptions::new().write(true).open("/dev/null").map(|f| (f.into(), None)),
        Output::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            let what = format!("{label}: {}", path.display());
            return file.map(|f| (f.into(), None)).map_err(LabError::io(what));
        }
        Output::Pipe => rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map(|(read, write)| (write, Some(read.into())))
            .map_err(Into::into),
    };
    opened.map_err(LabError::io(label))
}

//! What to run in a machine.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

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

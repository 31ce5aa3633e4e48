//! `wackamole`: the addresses of a `wackamole.conf`, attached to the daemon of the bus that it names.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::channel;

use addresses::conf;
use addresses::config::Config;
use addresses::service::Setup;
use anyhow::{Context, Result, anyhow};
use spread_client::PrivateName;
use tracing::{info, warn};

use super::line::{self, Daemon, Instead};
use super::{detach, syslog};
use crate::MISTAKE;
use crate::addresses::Addresses;
use crate::logging::{self, Log, say};
use crate::output::print;
use crate::signals::{self, Ask};

/// Where the original wrote its process id.
const PID_FILE: &str = "/var/run/wackamole.pid";

/// Does what the command line says.
pub(crate) fn run(program: &str, words: &[OsString]) -> Result<ExitCode> {
    let mut line = match line::daemon(words) {
        Ok(line) => line,
        Err(Instead::Mistake(mistake)) => {
            say(&format!("{program}: {mistake}\n{}", line::daemon_usage(program)));
            return Ok(ExitCode::from(MISTAKE));
        }
        Err(Instead::Help) => {
            print(&line::daemon_usage(program))?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(Instead::Version) => {
            print(&format!("wackamole (backhand {})\n", env!("CARGO_PKG_VERSION")))?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    // Whoever goes into the background leaves it. If it is gone already, what is no whole path will not be found again.
    let here = std::env::current_dir().unwrap_or_default();
    line.pid_file = line.pid_file.map(|file| here.join(file));
    // Before anything is started, and by whoever can still be told.
    let config = match read(&line, &here, None) {
        Ok((config, file)) => {
            // It is this one that is read again, whatever is in other places then.
            line.file = Some(file);
            config
        }
        Err(error) => {
            say(&format!("{program}: {error}\n"));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    if line.foreground {
        logging::start(&Log::of_level("info"))?;
        return serve(&line, &here, config, None);
    }
    if !line.in_background {
        return detach::start(program);
    }
    let parent = detach::leave_terminal();
    let log = syslog::Syslog::open().map_or_else(
        || logging::start_to(&Log::of_level("info"), std::io::sink()),
        |log| logging::start_to(&Log::of_level("info"), log),
    );
    let pid_file = line.pid_file.clone().unwrap_or_else(|| PID_FILE.into());
    log.and_then(|()| serve(&line, &here, config, Some((parent, pid_file))))
}

/// The configuration, with what the command line says of it, and the file. What is no whole path is taken from `here`.
fn read(
    line: &Daemon,
    here: &Path,
    name: Option<PrivateName>,
) -> Result<(Config, PathBuf), conf::FileError> {
    let found = conf::read(line.file.as_deref(), here, &super::machine())?;
    let mut config = found.parsed.config;
    if let Some(spread) = &line.spread {
        // Other than with the original the command line counts: whoever types it means it.
        config.daemon = Some(spread.clone());
    }
    let by_pid = || {
        // A private name has at most ten characters.
        let text = format!("wack{}", std::process::id() % 1_000_000);
        PrivateName::new(text.as_bytes()).ok()
    };
    config.private_name = line.name.or(name).or_else(by_pid);
    Ok((config, found.path))
}

/// Holds addresses until told to end.
fn serve(
    line: &Daemon,
    here: &Path,
    config: Config,
    background: Option<(detach::Parent, PathBuf)>,
) -> Result<ExitCode> {
    for sentence in &config.assumed {
        info!("assumed: {sentence}");
    }
    let name = config.private_name;
    let mut lists = !config.sets.is_empty();
    let (tell, told) = channel();
    signals::every(move |ask| {
        // The receiver lives as long as the program runs; after that nobody needs to know.
        let _ = tell.send(ask);
    })?;
    let endpoint = config.daemon.clone().context("no daemon of the bus is named")?;
    let (pulse, seek, doubles, balancer, going) = (None, None, None, None, None);
    let (state, key, legacy) = (None, None, None);
    let setup =
        Setup { config, endpoint, pulse, seek, doubles, balancer, going, state, key, legacy };
    let (parent, path) = match background {
        Some((parent, path)) => (Some(parent), Some(path)),
        None => (None, line.pid_file.clone()),
    };
    let started = start(setup, path.as_deref());
    if let Some(parent) = parent {
        parent.tell(started.as_ref().err().map(|error| format!("{error:#}")).as_deref());
    }
    let (running, _pid_file) = started?;
    while let Ok(ask) = told.recv() {
        match ask {
            Ask::Reopen => match read(line, here, name) {
                // A file that is just being written, or could not be: with it everything would be let go.
                Ok((config, file)) if lists && config.sets.is_empty() => warn!(
                    "the addresses stay as they are: there are no VirtualInterfaces in {}, and nothing would be held; write them there, or stop the program (SIGTERM) to let go of everything",
                    file.display()
                ),
                Ok((config, _)) => {
                    lists = !config.sets.is_empty();
                    running.reload(config);
                }
                Err(error) => warn!("the addresses stay as they are: {error}"),
            },
            // Whoever is used to `backhand run` would otherwise end it, and not in order.
            Ask::Upgrade => warn!(
                "wackamole is not upgraded in place and goes on as it is; stop it (SIGTERM) and start it again: others take what is held here meanwhile"
            ),
            Ask::End => break,
        }
    }
    info!("others take what is held here; a second signal lets go of it at once");
    let handle = running.handle.clone();
    let watch = move || {
        while let Ok(ask) = told.recv() {
            if ask == Ask::End {
                handle.end();
                return;
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("second word".into()).spawn(watch) {
        warn!(%error, "a second signal will not be heard");
    }
    running.leave();
    running.end();
    Ok(ExitCode::SUCCESS)
}

/// Starts the addresses, and then writes the file with the process id: before, it may be that of another who serves.
fn start(setup: Setup, pid_file: Option<&Path>) -> Result<(Addresses, Option<PidFile>)> {
    if let Some(path) = pid_file
        && let Some(other) = other_named(path)
    {
        return Err(anyhow!(
            "the PID file {} names process {other}, another wackamole, which runs; stop that first, or name another file with -p",
            path.display()
        ));
    }
    let running = Addresses::with(setup)?;
    match pid_file.map(PidFile::write).transpose() {
        Ok(file) => Ok((running, file)),
        Err(error) => {
            // Who counts on the file could not stop what serves without it.
            running.leave();
            running.end();
            Err(error)
        }
    }
}

/// The file with the process id, which goes with the process.
#[derive(Debug)]
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self> {
        let write = || -> std::io::Result<Self> {
            let mut file = std::fs::File::create(path)?;
            // A file that cannot be filled goes again with this.
            let made = Self(path.to_owned());
            writeln!(file, "{}", std::process::id())?;
            Ok(made)
        };
        write().map_err(|error| {
            anyhow!(
                "Cannot write PID file {}: {error}; name one that can be written with -p",
                path.display()
            )
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let own = std::process::id().to_string();
        // Somebody else may have removed it, or written his own there.
        if std::fs::read_to_string(&self.0)
            .is_ok_and(|text| ["", own.as_str()].contains(&text.trim()))
        {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

/// The process that a PID file names, if it is another that does what this one does, and runs: whoever stops it by this file is to
/// stop that one and no other. A number that has been given to another program meanwhile is nobody's.
fn other_named(path: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    if pid == std::process::id() {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let binary = |of: &str| {
        let meta = std::fs::metadata(format!("/proc/{of}/exe")).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    let is_same = || binary("self").is_some_and(|own| binary(&pid.to_string()) == Some(own));
    let has_ended = rest.starts_with(['Z', 'X']);
    (!has_ended && (name == "wackamole" || is_same())).then_some(pid)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn a_pid_file_that_cannot_be_written_is_an_error_and_another_goes_with_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let error = PidFile::write(&folder.path().join("none/pid")).unwrap_err().to_string();
        assert!(
            error.starts_with("Cannot write PID file ") && error.contains("with -p"),
            "{error}"
        );
        let path = folder.path().join("pid");
        let file = PidFile::write(&path).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
        // One that another has written since stays.
        let file = PidFile::write(&path).unwrap();
        std::fs::write(&path, "1\n").unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_pid_file_is_another_s_while_a_wackamole_of_that_number_runs() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("pid"), folder.path().join("wackamole"));
        let named = |text: &str| {
            std::fs::write(&path, text).unwrap();
            other_named(&path)
        };
        assert_eq!(other_named(&path), None, "there is no file");
        assert_eq!([named(""), named("x\n")], [None; 2]);
        assert_eq!(named(&std::process::id().to_string()), None, "this one itself");
        std::os::unix::fs::symlink("/bin/sleep", &link).unwrap();
        let sleeps = |program: &Path| {
            let mut command = std::process::Command::new(program);
            command.arg0("sleep").arg("600").spawn().unwrap()
        };
        let (mut other, mut stranger) = (sleeps(&link), sleeps(Path::new("/bin/sleep")));
        assert_eq!(named(&format!("{}\n", other.id())), Some(other.id()));
        assert_eq!(named(&format!("{}\n", stranger.id())), None);
        for child in [&mut other, &mut stranger] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(named(&format!("{}\n", other.id())), None);
    }
}

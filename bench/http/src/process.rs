//! Programs beside us: found, installed, started on a core, their processor time read, ended.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The core of the server under test.
pub(crate) const SERVER_CORE: &str = "1";
/// The core of the load and the origin.
pub(crate) const LOAD_CORE: &str = "0";

/// Makes sure that programs are there: as root installs their Debian packages, otherwise names them.
pub(crate) fn need(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        programs.iter().filter(|(name, _)| find(name).is_none()).map(|(_, p)| *p).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!("please install: apt-get install {}", missing.join(" "));
    }
    eprintln!("installing {}", missing.join(" "));
    let done = Command::new("apt-get")
        .args(["install", "-y", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()?;
    if !done.success() {
        bail!("apt-get could not install {}; run apt-get update first?", missing.join(" "));
    }
    Ok(())
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Processes that belong together; ended when dropped.
pub(crate) struct Running {
    children: Vec<Child>,
}

impl Running {
    /// Starts commands on `core` and waits until something accepts on each port.
    pub(crate) fn start(commands: Vec<Command>, core: &str, ports: &[u16]) -> Result<Self> {
        let mut running = Self { children: Vec::new() };
        for command in commands {
            let mut pinned = Command::new("taskset");
            pinned.args(["-c", core]).arg(command.get_program()).args(command.get_args());
            pinned.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
            running
                .children
                .push(pinned.spawn().with_context(|| format!("cannot start {command:?}"))?);
        }
        ports.iter().try_for_each(|&port| running.wait_for(port))?;
        Ok(running)
    }

    fn wait_for(&mut self, port: u16) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            for child in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    bail!("a server ended at once: {status}");
                }
            }
            if Instant::now() > deadline {
                bail!("nothing accepts on port {port} after 10 s");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Nanoseconds of processor time that all threads of all these processes, and their children, have used.
    pub(crate) fn cpu_nanos(&self) -> Result<u64> {
        let mut pids: Vec<u32> = self.children.iter().map(Child::id).collect();
        let mut total = 0;
        while let Some(pid) = pids.pop() {
            for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                let task = task?.path();
                total += first_number(&task.join("schedstat"))?;
                let children = std::fs::read_to_string(task.join("children")).unwrap_or_default();
                pids.extend(children.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
            }
        }
        Ok(total)
    }
}

fn first_number(file: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.split_whitespace().next().context("an empty schedstat")?.parse()?)
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            if let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        for child in &mut self.children {
            let deadline = Instant::now() + Duration::from_secs(3);
            while child.try_wait().ok().flatten().is_none() {
                if Instant::now() > deadline {
                    let _ = child.kill();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

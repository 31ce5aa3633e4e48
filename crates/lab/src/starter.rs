//! The first helper: enters the user and process namespaces, then starts the hub inside and waits for it.
//!
//! A process cannot enter a process namespace itself, only its children can: that is why hub and starter are two. The
//! identity maps are written by the caller, who alone may map more than one user.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::stdio::stdin;
use rustix::thread::UnshareFlags;

use crate::role::{self, Role};
use crate::wire::{self, Reply, Setup};

/// Runs the starter; returns its exit status.
pub(crate) fn run(setup: Setup) -> i32 {
    let outcome = enter(&setup).and_then(|()| start_hub(&setup));
    match outcome {
        Ok(code) => code,
        Err(why) => {
            // The caller reports it; when the caller is gone, nobody needs to know.
            drop(wire::send(stdin(), &Reply::Refused(why), &[]));
            1
        }
    }
}

fn enter(setup: &Setup) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| format!("prctl: {e}"))?;
    if setup.user_namespace {
        unshare(UnshareFlags::NEWUSER).map_err(|e| format!("a user namespace: {e}"))?;
        wire::send(stdin(), &Reply::WantsMaps, &[]).map_err(|e| e.to_string())?;
        match wire::receive::<Reply>(stdin()) {
            Ok(Some((Reply::Done, _))) => {}
            Ok(_) => return Err("the caller is gone".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
    if setup.process_namespace {
        unshare(UnshareFlags::NEWPID).map_err(|e| format!("a process namespace: {e}"))?;
    }
    Ok(())
}

fn start_hub(setup: &Setup) -> Result<i32, String> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("backhand-lab").stdin(Stdio::inherit());
    role::mark(&mut command, Role::Hub, setup).map_err(|e| e.to_string())?;
    let mut hub = command.spawn().map_err(|e| format!("the hub: {e}"))?;
    let status = hub.wait().map_err(|e| format!("the hub: {e}"))?;
    Ok(status.code().unwrap_or(1))
}

/// Leaves namespaces behind for new ones.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: only unsharing the table of open files can upset other code, by descriptors that stop being shared
    // between threads; no caller passes that flag, and helpers have one thread.
    #[allow(unsafe_code)]
    unsafe {
        rustix::thread::unshare_unsafe(flags).map_err(io::Error::from)
    }
}

/// Gives the user namespace of `pid` its identities: all that the caller has when it is root, so that servers may drop
/// to their own users inside; otherwise the caller's own, shown as root.
pub(crate) fn write_maps(pid: u32) -> io::Result<()> {
    let write = |file: &str, text: String| std::fs::write(format!("/proc/{pid}/{file}"), text);
    if rustix::process::geteuid().is_root() {
        write("uid_map", identity("/proc/self/uid_map")?)?;
        return write("gid_map", identity("/proc/self/gid_map")?);
    }
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("0 {} 1", rustix::process::geteuid().as_raw()))?;
    write("gid_map", format!("0 {} 1", rustix::process::getegid().as_raw()))
}

/// Maps every identity that exists here to itself.
fn identity(map: &str) -> io::Result<String> {
    let mut lines = String::new();
    for line in std::fs::read_to_string(map)?.lines() {
        let mut fields = line.split_whitespace();
        if let (Some(inside), Some(_), Some(count)) = (fields.next(), fields.next(), fields.next())
        {
            lines.push_str(&format!("{inside} {inside} {count}\n"));
        }
    }
    Ok(lines)
}

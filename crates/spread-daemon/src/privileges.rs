//! Becoming somebody less powerful once everything is open, as the original does it when started as root.
//!
//! The original ends where its user, its group or its directory is missing. Here that is a warning: a daemon that runs with too
//! much power is better than none, and whoever reads the log can make the user.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::{Privileges, group_id, user_id};

/// Becomes the user and group, confined to the directory. `sockets` are the files of Unix sockets, which are given to that user,
/// so that it can remove them at the end. Call it before other threads do anything that needs power.
///
/// # Errors
/// What could not be done and what is in force instead, in one sentence.
pub fn drop_to<'a>(
    to: &Privileges,
    sockets: impl IntoIterator<Item = &'a Path>,
) -> Result<String, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok("not started as root: nothing to drop and no directory to be confined to".into());
    }
    let (Some(user), Some(group)) = (user_id(&to.user), group_id(&to.group)) else {
        return Err(format!(
            "there is no user {:?} with group {:?}, so the daemon stays root; make them, or name others with DaemonUser and DaemonGroup",
            to.user, to.group
        ));
    };
    for socket in sockets {
        if let Err(error) = std::os::unix::fs::chown(socket, Some(user), Some(group)) {
            tracing::warn!(?socket, %error, "the Unix socket stays root's and is left behind at the end");
        }
    }
    let confined = confine(&to.directory);
    become_user(user, group).map_err(|error| {
        format!("the daemon stays root: it cannot become {:?}: {error}", to.user)
    })?;
    let now = format!("now user {} and group {}", to.user, to.group);
    match confined {
        Ok(()) => Ok(format!("{now}, confined to {:?}", to.directory)),
        Err(error) => Err(format!(
            "{now}, but not confined to {:?}: {error}; make that folder, or name another with RuntimeDir",
            to.directory
        )),
    }
}

fn confine(directory: &Path) -> io::Result<()> {
    let path = CString::new(directory.as_os_str().as_bytes())?;
    std::env::set_current_dir(directory)?;
    // SAFETY: the path ends with a zero and lives until after the call.
    #[allow(unsafe_code)]
    let result = unsafe { libc::chroot(path.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// For all threads of the process, which the C library's functions see to.
fn become_user(user: u32, group: u32) -> io::Result<()> {
    let ask = |result: libc::c_int| {
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: plain numbers, and a list of one group that lives until after the call.
    #[allow(unsafe_code)]
    unsafe {
        ask(libc::setgroups(1, &raw const group))?;
        ask(libc::setgid(group))?;
        ask(libc::setuid(user))
    }
}

//! That one program of this machine at most takes part in a group: another would take off what the first puts on.
//!
//! The sign is a name that the kernel gives once in each network namespace, which is where the addresses are, too: that of an abstract
//! Unix socket. No cleaner of files removes it, and it goes with the process, however that ends. Nothing is said there.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use spread_wire::GroupName;

use super::socket::{OpenError, credentials};

/// What all names begin with. The first byte makes it no file.
const PREFIX: &[u8] = b"\0backhand/addresses/";
/// Connections that may wait until they are closed.
const BACKLOG: i32 = 128;
/// How long a name that is taken is waited for, and how often it is tried: who was killed a moment ago may not have ended.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(20);

/// The sign that this program takes part in a group. It goes with it.
pub struct Presence(UnixListener);

impl Presence {
    /// Where others look who it is. Each of their connections is to be taken and closed.
    pub(super) fn into_listener(self) -> UnixListener {
        self.0
    }
}

/// Says that this program takes part in this group, for all programs in this network namespace.
///
/// # Errors
/// [`OpenError::SameGroup`]: another does. [`OpenError::Unsigned`]: that cannot be known.
pub fn claim(group: &GroupName) -> Result<Presence, OpenError> {
    let end = Instant::now() + PATIENCE;
    let name = [PREFIX, group.as_bytes()].concat();
    let address =
        SockAddr::unix(Path::new(OsStr::from_bytes(&name))).map_err(OpenError::Unsigned)?;
    loop {
        match listen(&address) {
            Ok(listener) => return Ok(Presence(listener)),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                return Err(OpenError::Unsigned(error));
            }
            Err(_) if Instant::now() >= end => return Err(taken(group, &address)),
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen(address: &SockAddr) -> io::Result<UnixListener> {
    let socket = socket()?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}

/// Somebody has the name. Anybody may take one: only root and this program's own user are believed.
fn taken(group: &GroupName, address: &SockAddr) -> OpenError {
    let other = socket().and_then(|socket| socket.connect(address).map(|()| socket));
    let other: UnixStream = match other {
        Ok(socket) => OwnedFd::from(socket).into(),
        Err(error) => return OpenError::Unsigned(error),
    };
    let Some(who) = credentials(&other) else {
        return OpenError::Unsigned(io::Error::other("it is not known who has its name"));
    };
    if who.uid != 0 && who.uid != rustix::process::geteuid().as_raw() {
        let message = format!("its name is taken by process {} of user {}", who.pid, who.uid);
        return OpenError::Unsigned(io::Error::other(message));
    }
    let holder = match who.pid {
        // It is in another namespace of processes.
        0 => "a process that has no number here".to_owned(),
        pid => format!("process {pid}"),
    };
    let group = String::from_utf8_lossy(group.as_bytes()).into_owned();
    OpenError::SameGroup { group, holder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_taken_part_in_by_one_program_and_is_free_when_that_has_ended() {
        let group = |name: &str| {
            let name = format!("{name}-{}", std::process::id());
            GroupName::new(name.as_bytes()).unwrap()
        };
        let (one, other) = (group("one"), group("other"));
        let first = claim(&one).unwrap();
        let _beside = claim(&other).unwrap();
        let told = claim(&one).map(drop).unwrap_err().to_string();
        let own = format!("managed already by process {};", std::process::id());
        assert!(told.contains(&own) && told.contains("Group"), "{told}");
        drop(first);
        claim(&one).unwrap();
    }

    #[test]
    fn one_that_is_about_to_end_is_waited_for() {
        let name = format!("ends-{}", std::process::id());
        let group = GroupName::new(name.as_bytes()).unwrap();
        let first = claim(&group).unwrap();
        let waits = std::thread::spawn(move || claim(&group).map(drop));
        drop(first);
        waits.join().unwrap().unwrap();
    }
}

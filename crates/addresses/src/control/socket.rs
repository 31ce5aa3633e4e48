//! The files of the control sockets.

use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that may wait to be taken.
const BACKLOG: i32 = 16;

/// Why nobody can ask at a path.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody listens there.
    #[error(
        "the control socket {} belongs to another program that runs; give each its own path (addresses.socket, Control)",
        .0.display()
    )]
    InUse(PathBuf),
    /// Somebody listens there who has to do with the same interfaces: a run of this program with the same addresses, as a rule, of which
    /// each would take off what the other puts on.
    #[error(
        "the addresses of this machine are managed already by process {holder}, which answers at {}; stop that first, or give this one its own list and path (addresses.socket, Control)",
        .path.display()
    )]
    SamePlace {
        /// The path.
        path: PathBuf,
        /// Who listens.
        holder: i32,
    },
    /// Another program in this network namespace takes part in the same group, and so has to do with the same addresses.
    #[error(
        "the addresses of the group {group} are managed already by {holder}; stop that first, or give this one its own list and group (addresses.group, Group)"
    )]
    SameGroup {
        /// The group.
        group: String,
        /// Who takes part in it.
        holder: String,
    },
    /// Whether another does cannot be known.
    #[error(
        "whether another program of this machine holds the same addresses cannot be known: {0}"
    )]
    Unsigned(io::Error),
    /// Something else is there.
    #[error("the control socket cannot be at {}: something is there that is no socket; move it away or name another path", .0.display())]
    NoSocket(PathBuf),
    /// The system refuses it.
    #[error("the control socket {} cannot be opened: {error}; name a path in a folder that this program may write", .path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// There is no thread to serve it.
    #[error("there is no thread for the control sockets: {0}")]
    Thread(io::Error),
}

/// How long the lock of a folder is waited for, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(5);

/// The file of a socket, removed at the end if it is still the same one.
pub(super) struct SocketFile {
    path: PathBuf,
    stamp: Stamp,
}

/// Which file it is: numbers of inodes are given anew at once, so the time of its making counts, too.
type Stamp = (u64, u64, i64, i64);

fn stamp(meta: &Metadata) -> Stamp {
    (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|now| stamp(&now) == self.stamp) {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens at `path`, in a folder that is made if it is missing; what a dead program left is replaced.
pub(super) fn open(path: &Path) -> Result<(UnixListener, SocketFile), OpenError> {
    let system = |error| OpenError::System { path: path.to_owned(), error };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(system)?;
    // Of two programs that start at once, one looks and replaces after the other.
    let lock = File::open(folder).map_err(system)?;
    wait_for(&lock).map_err(system)?;
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(OpenError::NoSocket(path.to_owned()));
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(system)?;
            }
            Ok(other) => {
                return Err(match holder_beside(&other) {
                    Some(holder) => OpenError::SamePlace { path: path.to_owned(), holder },
                    None => OpenError::InUse(path.to_owned()),
                });
            }
            Err(_) => return Err(OpenError::InUse(path.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(system(error)),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(system)?;
    socket.set_nonblocking(true).map_err(system)?;
    // The file gets the mode of the socket: nobody else can open it, from its first moment on.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(|error| system(error.into()))?;
    socket.bind(&SockAddr::unix(path).map_err(system)?).map_err(system)?;
    let meta = std::fs::symlink_metadata(path).map_err(system)?;
    let file = SocketFile { path: path.to_owned(), stamp: stamp(&meta) };
    if meta.mode() & 0o077 != 0 {
        let error =
            io::Error::other("the file system gives it a mode by which others could use it");
        return Err(system(error));
    }
    socket.listen(BACKLOG).map_err(system)?;
    Ok((OwnedFd::from(socket).into(), file))
}

/// Who listens, or has connected, at the other end, as it was when it began to.
pub(super) fn credentials(other: &UnixStream) -> Option<libc::ucred> {
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes to `who`, which lives until then and may have any value. The crate's own call
    // takes the number for one that is never 0.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::getsockopt(
            other.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut who).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(who)
}

/// The number of the process at the other end; nothing where it has none here, since it is in another namespace of processes.
fn peer(other: &UnixStream) -> Option<i32> {
    credentials(other).map(|who| who.pid).filter(|pid| *pid > 0)
}

/// The process that listens at the other end, if it is in this network namespace. One that cannot be looked at is not known to be.
fn holder_beside(other: &UnixStream) -> Option<i32> {
    let holder = peer(other)?;
    // Two spellings of one path: that is this program itself.
    if u32::try_from(holder) == Ok(std::process::id()) {
        return None;
    }
    let network = |of: &str| std::fs::metadata(format!("/proc/{of}/ns/net")).ok();
    let (own, others) = (network("self")?, network(&holder.to_string())?);
    ((own.dev(), own.ino()) == (others.dev(), others.ino())).then_some(holder)
}

/// Waits for the lock of a folder. It is held for as long as it takes to make a socket; whoever holds it for long has another reason
/// and is not waited for. There is no call that waits for a lock and gives up.
fn wait_for(lock: &File) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            // Not every file system has locks.
            Err(TryLockError::Error(_)) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(AGAIN),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    format!("another program has had its folder locked for {PATIENCE:?}"),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_itself_is_no_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.sock");
        let (_listener, _file) = open(&path).unwrap();
        let again = folder.path().join(".").join("addresses.sock");
        assert!(matches!(open(&again), Err(OpenError::InUse(_))));
        let ours = peer(&UnixStream::connect(&path).unwrap());
        assert_eq!(ours, i32::try_from(std::process::id()).ok());
    }

    #[test]
    fn the_folder_is_made_and_nobody_else_can_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/addresses.sock");
        let (_listener, file) = open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn whoever_opens_one_in_the_same_folder_at_the_same_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let lock = File::open(folder.path()).unwrap();
        lock.lock().unwrap();
        let path = folder.path().join("s");
        assert!(open(&path).is_err_and(|error| error.to_string().contains("locked")));
        let opens = std::thread::spawn(move || open(&path).map(|_| ()));
        lock.unlock().unwrap();
        opens.join().unwrap().unwrap();
    }

    #[test]
    fn what_a_dead_program_left_is_replaced_and_a_living_one_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = open(&path).unwrap();
        let told = open(&path).map(drop).unwrap_err().to_string();
        assert!(told.contains("belongs to another program that runs"), "{told}");
        drop(first.0);
        let second = open(&path).unwrap();
        // The end of the first does not take the second's file along.
        drop(first.1);
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
    }

    #[test]
    fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let told = open(&path).map(drop).unwrap_err().to_string();
        assert!(told.contains("something is there that is no socket"), "{told}");
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        let below = open(&path.join("s")).map(drop).unwrap_err().to_string();
        assert!(below.contains("name a path in a folder"), "{below}");
    }
}

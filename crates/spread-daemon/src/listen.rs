//! Where clients come in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::{Clients, UnixSocket};
use crate::error::StartError;

/// Connections the system keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// One listening socket.
enum Listener {
    Tcp(Socket),
    Tls(Socket),
    Unix(UnixListener),
}

/// A connection that has just been accepted.
pub(crate) struct Arrival {
    pub(crate) socket: OwnedFd,
    /// From where, by TCP.
    pub(crate) peer: Option<IpAddr>,
    /// Whether it came where TLS is spoken.
    pub(crate) tls: bool,
}

/// All of them. The Unix socket's file goes with this.
pub(crate) struct Listeners {
    all: Vec<Listener>,
    file: Option<SocketFile>,
    /// Where clients connect by TCP.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Where they connect by TLS.
    pub(crate) tls_addresses: Vec<SocketAddr>,
}

impl Listeners {
    pub(crate) fn open(clients: &Clients) -> Result<Self, StartError> {
        let (addresses, tls_addresses) = (Vec::new(), Vec::new());
        let mut listeners = Self { all: Vec::new(), file: None, addresses, tls_addresses };
        for at in &clients.listen {
            match tcp(*at) {
                Ok(socket) => {
                    listeners.addresses.push(bound(&socket, *at));
                    listeners.all.push(Listener::Tcp(socket));
                }
                Err(error)
                    if clients.listen_is_assumed
                        && error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(error) => return Err(StartError::Listen { at: *at, error }),
            }
        }
        for at in clients.tls.iter().flat_map(|tls| &tls.listen) {
            let socket = tcp(*at).map_err(|error| StartError::Listen { at: *at, error })?;
            listeners.tls_addresses.push(bound(&socket, *at));
            listeners.all.push(Listener::Tls(socket));
        }
        if let Some(socket) = &clients.socket {
            let listener = unix(socket)?;
            listeners.file = SocketFile::of(&socket.path);
            listeners.all.push(Listener::Unix(listener));
        }
        Ok(listeners)
    }

    /// The file of the Unix socket.
    pub(crate) fn file(&self) -> Option<&std::path::Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.all.iter().map(|listener| match listener {
            Listener::Tcp(socket) | Listener::Tls(socket) => socket.as_fd(),
            Listener::Unix(socket) => socket.as_fd(),
        })
    }

    /// The next connection at a socket.
    pub(crate) fn accept(&self, at: usize) -> io::Result<Option<Arrival>> {
        let Some(listener) = self.all.get(at) else { return Ok(None) };
        let (socket, tcp) = match listener {
            Listener::Tcp(socket) | Listener::Tls(socket) => (socket.as_fd(), true),
            Listener::Unix(socket) => (socket.as_fd(), false),
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (connection, from) = match rustix::net::acceptfrom_with(socket, flags) {
            Ok(accepted) => accepted,
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let peer = from.and_then(|from| SocketAddr::try_from(from).ok());
        if tcp {
            // As the original has it; a connection on which that fails has ended already.
            let _ = rustix::net::sockopt::set_tcp_nodelay(&connection, true);
            let _ = rustix::net::sockopt::set_socket_keepalive(&connection, true);
        }
        let peer = peer.filter(|_| tcp).map(|peer| peer.ip().to_canonical());
        let tls = matches!(listener, Listener::Tls(_));
        Ok(Some(Arrival { socket: connection, peer, tls }))
    }
}

/// The file of a socket, to be removed at the end if it is still the same: also from within a directory that the daemon was
/// confined to meanwhile, so its folder is kept open.
#[derive(Debug)]
pub(crate) struct SocketFile {
    pub(crate) path: PathBuf,
    folder: OwnedFd,
    name: std::ffi::OsString,
    /// The file itself. As long as it is kept its number is not given to another, so that a successor's file is told from it.
    file: OwnedFd,
}

impl SocketFile {
    pub(crate) fn of(path: &std::path::Path) -> Option<Self> {
        let folder = std::fs::File::open(path.parent()?).ok()?.into();
        let name = path.file_name()?.to_owned();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &name, flags, Mode::empty()).ok()?;
        Some(Self { path: path.into(), folder, name, file })
    }

    fn is_there(&self) -> rustix::io::Result<bool> {
        let now = rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        let ours = rustix::fs::fstat(&self.file)?;
        Ok((now.st_dev, now.st_ino) == (ours.st_dev, ours.st_ino))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() == Ok(true) {
            // Somebody else may have removed it.
            let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Where it listens, the port chosen by the system included.
fn bound(socket: &Socket, at: SocketAddr) -> SocketAddr {
    socket.local_addr().ok().and_then(|address| address.as_socket()).unwrap_or(at)
}

fn tcp(at: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of the daemon before this one may still be ending.
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Replaces what a dead daemon left; a living one is a mistake.
fn unix(socket: &UnixSocket) -> Result<UnixListener, StartError> {
    let path = &socket.path;
    let fault = |error| StartError::Socket { path: path.clone(), error };
    match UnixStream::connect(path) {
        Ok(_) => return Err(StartError::SocketInUse { path: path.clone() }),
        Err(error) => {
            if let Ok(meta) = std::fs::symlink_metadata(path) {
                if !std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) {
                    return Err(StartError::NoSocket { path: path.clone() });
                }
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    std::fs::remove_file(path).map_err(fault)?;
                }
            }
        }
    }
    // It listens last: until then nobody gets in, whatever the mode of the file is.
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(fault)?;
    listener.set_nonblocking(true).map_err(fault)?;
    listener.bind(&SockAddr::unix(path).map_err(fault)?).map_err(fault)?;
    let mode = std::fs::Permissions::from_mode(socket.mode);
    std::fs::set_permissions(path, mode).map_err(fault)?;
    if socket.user.is_some() || socket.group.is_some() {
        std::os::unix::fs::chown(path, socket.user, socket.group).map_err(fault)?;
    }
    // The original's backlog of 5 is short for a thousand clients that come back together.
    listener.listen(BACKLOG).map_err(fault)?;
    Ok(OwnedFd::from(listener).into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn at(path: &Path) -> Result<UnixListener, StartError> {
        unix(&UnixSocket { path: path.into(), mode: 0o600, user: None, group: None })
    }

    #[test]
    fn what_a_dead_daemon_left_is_replaced_and_a_living_one_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(at(&path), Err(StartError::SocketInUse { .. })));
        drop(first);
        let second = at(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        assert!(second.accept().is_ok());
    }

    #[test]
    fn the_file_goes_with_its_daemon_and_that_of_a_successor_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = (at(&path).unwrap(), SocketFile::of(&path).unwrap());
        drop(first.0);
        // File systems give the number of a file that is gone to the next one.
        let second = (at(&path).unwrap(), SocketFile::of(&path).unwrap());
        drop(first.1);
        UnixStream::connect(&path).unwrap();
        // Whoever lets others in changes nothing about whose it is.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "x").unwrap();
        fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
        for name in ["file", "folder", "link", "dangling"] {
            let error = at(&path(name)).unwrap_err().to_string();
            assert!(
                error.contains("something is there that is no socket; move it away"),
                "{error}"
            );
            assert!(fs::symlink_metadata(path(name)).is_ok());
        }
        let error = at(&path("missing/socket")).unwrap_err().to_string();
        assert!(error.contains("let the folder exist"), "{error}");
    }
}

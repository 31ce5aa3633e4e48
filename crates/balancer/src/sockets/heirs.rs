//! Listening sockets on their way from one image of this program to the next (exec): whoever connects meanwhile waits in their queues,
//! instead of being refused.

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_setfd};

/// Sockets that go on listening when the workers have closed theirs. Dropped, they are closed.
#[derive(Debug, Default)]
pub struct Kept(Vec<TcpListener>);

impl Kept {
    pub(super) fn of<'a>(listeners: impl Iterator<Item = &'a TcpListener>) -> Self {
        // Without a descriptor left for one, its clients are refused for a moment, as without any of this.
        Self(listeners.filter_map(|listener| listener.try_clone().ok()).collect())
    }

    /// Lets the next image have them, and says by which words it finds them ([`Inherited::from_words`]). To be kept until that is executed.
    ///
    /// # Errors
    /// When the kernel does not hand one down.
    pub fn hand_down(&self) -> io::Result<String> {
        let mut words = String::new();
        for listener in &self.0 {
            fcntl_setfd(listener, FdFlags::empty())?;
            let _ = write!(words, "{} ", listener.as_raw_fd());
        }
        Ok(words)
    }
}

/// Sockets that the former image has left, and nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Finds them. Words that name no listening socket are passed over.
    ///
    /// To be called once, and before anything is opened: what is named belongs to the result.
    pub fn from_words(words: &str) -> Self {
        let mut all: Vec<RawFd> = words.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        all.sort_unstable();
        all.dedup();
        Self(all.into_iter().filter_map(adopt).collect())
    }

    /// Closes those at other addresses than these.
    pub(super) fn close_others(&mut self, addresses: &[SocketAddr]) {
        self.0.retain(|(at, _)| addresses.contains(at));
    }

    /// Takes those at an address, and closes what is more than so many.
    pub(super) fn take(&mut self, address: SocketAddr, most: usize) -> Vec<TcpListener> {
        let here = self.0.extract_if(.., |(at, _)| *at == address).map(|(_, listener)| listener);
        let mut here: Vec<TcpListener> = here.collect();
        here.truncate(most);
        here
    }
}

fn adopt(fd: RawFd) -> Option<(SocketAddr, TcpListener)> {
    if fd <= 2 {
        return None;
    }
    // SAFETY: the number is only looked at here, and passed over unless it is a listening socket.
    #[allow(unsafe_code)]
    let seen = unsafe { BorrowedFd::borrow_raw(fd) };
    if rustix::net::sockopt::socket_acceptconn(seen) != Ok(true) {
        return None;
    }
    // SAFETY: the former image handed it down for this and forgot it with everything else; each number is taken once.
    #[allow(unsafe_code)]
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl_setfd(&socket, FdFlags::CLOEXEC).ok()?;
    let listener = TcpListener::from(socket);
    // Of another kind than TCP it has no such address.
    let at = listener.local_addr().ok()?;
    Some((at, listener))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use super::super::Sockets;
    use super::*;

    /// What is handed down, as if the image that did so had gone.
    fn bequeath(sockets: Sockets) -> String {
        let kept = sockets.keep();
        let words = kept.hand_down().unwrap();
        drop(sockets);
        std::mem::forget(kept);
        words
    }

    #[test]
    fn whoever_connects_between_two_images_is_served_by_the_second() {
        let any = "127.0.0.1:0".parse().unwrap();
        let first = Sockets::bind_addresses(&[any], &[], 2).unwrap();
        let at = first.addresses()[0];
        let words = bequeath(first);
        let mut clients: Vec<_> = (0..8).map(|_| TcpStream::connect(at).unwrap()).collect();
        // One worker more than before.
        let second = Sockets::bind_all(Inherited::from_words(&words), &[at], &[], 3).unwrap();
        assert_eq!((second.workers.len(), second.addresses()), (3, &[at][..]));
        let mut served = 0;
        for worker in &second.workers {
            while let Ok((stream, _)) = worker.clients[0].accept() {
                drop(stream);
                served += 1;
            }
        }
        assert_eq!(served, clients.len());
        for client in &mut clients {
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn what_is_not_listened_on_any_more_is_closed() {
        let any = "127.0.0.1:0".parse().unwrap();
        let first = Sockets::bind_addresses(&[any], &[], 2).unwrap();
        let at = first.addresses()[0];
        let words = bequeath(first);
        let second = Sockets::bind_all(Inherited::from_words(&words), &[any], &[], 1).unwrap();
        assert_ne!(second.addresses()[0], at);
        assert!(TcpStream::connect(at).is_err());
    }

    #[test]
    fn words_that_name_no_listening_socket_are_passed_over() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let connected = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let words = format!("{} {} 0 1 2 -1 99999 x", file.as_raw_fd(), connected.as_raw_fd());
        assert!(Inherited::from_words(&words).0.is_empty());
        // And they are still open.
        assert!(file.metadata().is_ok() && connected.local_addr().is_ok());
    }
}

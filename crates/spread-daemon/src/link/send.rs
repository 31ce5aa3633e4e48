//! Datagrams on their way out: sealed onto one pile, and sent together.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use bytes::Bytes;
use ring::{To, Transmit};
use socket2::SockAddr;

use super::Link;
use super::batch::{self, BATCH, Parcel};
use super::socket::Udp;

/// So many datagrams are little work.
const FEW: usize = 2;

/// One datagram of the pile.
pub(super) struct Letter {
    socket: usize,
    to: SockAddr,
    through: Option<(u32, Option<Ipv4Addr>)>,
    at: std::ops::Range<usize>,
    /// It is for all of a segment.
    for_all: bool,
}

impl Link {
    /// Puts a datagram on the pile for the next [`flush`](Self::flush).
    pub(crate) fn queue(&mut self, transmit: &Transmit) {
        let text = &transmit.datagram;
        let whom = match &transmit.to {
            To::Peer(tag) => Some(*tag),
            To::Door(_) | To::Group | To::Seeds => None,
        };
        // The last one is held on to, so that nothing else can lie where it lay.
        let same = |last: &Bytes| (last.as_ptr(), last.len()) == (text.as_ptr(), text.len());
        let at = match &self.last {
            Some((last, to, at)) if same(last) && *to == whom => at.clone(),
            _ => {
                self.envelope.put(whom, text, &mut self.sealed);
                let start = self.arena.len();
                self.arena.extend_from_slice(&self.sealed);
                start..self.arena.len()
            }
        };
        self.last = Some((text.clone(), whom, at.clone()));
        match &transmit.to {
            To::Peer(tag) | To::Door(tag) => {
                if let Some(to) = self.book.get(*tag) {
                    self.letter(to, at);
                }
            }
            To::Group => {
                self.follow();
                for group in &self.groups {
                    let (socket, through) = (group.socket, group.through);
                    self.letters.push(Letter {
                        socket,
                        to: group.to.clone(),
                        through,
                        at: at.clone(),
                        for_all: true,
                    });
                }
            }
            To::Seeds => {
                for to in self.seeds.addresses() {
                    self.letter(to, at.clone());
                }
            }
        }
    }

    /// Whether the pile is little and for all of a segment: no token is in it, for which another daemon waits. What the
    /// clients here get may then go first: whoever waits for his own message has it before the network is worked for.
    pub(crate) fn can_wait(&self) -> bool {
        self.letters.len() <= FEW && self.letters.iter().all(|letter| letter.for_all)
    }

    fn letter(&mut self, to: SocketAddr, at: std::ops::Range<usize>) {
        let fits = |udp: &Udp| udp.at.is_ipv4() == to.is_ipv4();
        if let Some(socket) = self.sockets[..self.own].iter().position(fits) {
            self.letters.push(Letter { socket, to: to.into(), through: None, at, for_all: false });
        }
    }

    /// Sends the pile, in its order.
    pub(crate) fn flush(&mut self) {
        let letters = std::mem::take(&mut self.letters);
        let mut rest = &letters[..];
        while let Some(first) = rest.first() {
            if let Some((interface, address)) = first.through
                && let Err(error) = self.sockets[first.socket].send_through(interface, address)
            {
                // It is gone; they would go out of another one.
                let same = |letter: &&Letter| {
                    (letter.socket, letter.through) == (first.socket, first.through)
                };
                let count = rest.iter().take_while(same).count();
                self.tell_through(interface, &error);
                self.counters.unsent += count as u64;
                rest = &rest[count..];
                continue;
            }
            let (parcels, used) = self.pack(rest);
            let socket = &self.sockets[first.socket];
            let (mut sent, mut error) = batch::send(socket.as_fd(), &parcels);
            if error.is_some() {
                // An error of an earlier datagram is told once; one of this datagram costs this datagram.
                (sent, error) = batch::send(socket.as_fd(), &parcels);
            }
            let mut gone = None;
            if error.as_ref().is_some_and(is_of_source)
                && let Some((interface, Some(source))) = first.through
                && socket.send_through(interface, None).is_ok()
            {
                (sent, error) = batch::send(socket.as_fd(), &parcels);
                gone = error.is_none().then_some((interface, source));
            }
            // Where one datagram goes and several as one message do not, it is the cutting.
            let uncut = parcels[0].is_several()
                && error.as_ref().is_some_and(is_of_cutting)
                && batch::send(socket.as_fd(), &[parcels[0].first()]).0 == 1;
            let bytes: usize = match uncut {
                true => parcels[0].each,
                false => parcels[..sent].iter().map(|parcel| parcel.bytes.len()).sum(),
            };
            if let Some((interface, source)) = gone {
                self.forget_source(interface, source);
            }
            let count: usize = match error {
                None => used[..sent].iter().sum(),
                Some(error) if uncut => {
                    tracing::info!(%error, "this network cannot cut messages into datagrams; each is sent for itself");
                    self.cuts = false;
                    1
                }
                Some(error) => {
                    if let Some((interface, _)) = first.through
                        && is_of_source(&error)
                    {
                        self.tell_through(interface, &error);
                    }
                    self.counters.unsent += used[0] as u64;
                    rest = &rest[used[0]..];
                    continue;
                }
            };
            self.counters.sent += count as u64;
            self.counters.sent_bytes += bytes as u64;
            rest = &rest[count..];
        }
        self.letters = letters;
        self.letters.clear();
        self.arena.clear();
        self.last = None;
    }

    fn tell_through(&mut self, interface: u32, error: &io::Error) {
        if !std::mem::replace(&mut self.told_through, true) {
            tracing::warn!(interface, %error, "multicast cannot be sent through an interface; who is there is spoken to singly");
        }
    }

    /// The messages of one call, and how many letters each contains: neighbours of one length to one place are one message.
    fn pack<'a>(&'a self, letters: &'a [Letter]) -> (Vec<Parcel<'a>>, Vec<usize>) {
        let mut parcels: Vec<Parcel<'a>> = Vec::with_capacity(BATCH);
        let mut used: Vec<usize> = Vec::with_capacity(BATCH);
        let mut last: Option<&Letter> = None;
        for letter in letters {
            let length = letter.at.len();
            if let Some(before) = last {
                if letter.socket != before.socket || letter.through != before.through {
                    break;
                }
                if let (Some(parcel), Some(count)) = (parcels.last_mut(), used.last_mut())
                    && self.cuts
                    && letter.to == before.to
                    && letter.at.start == before.at.end
                    && before.at.len() == parcel.each
                    && length <= parcel.each
                    && *count < batch::SEGMENTS
                    && parcel.bytes.len() + length <= batch::SEGMENTED
                {
                    let begin = letter.at.end - parcel.bytes.len() - length;
                    parcel.bytes = &self.arena[begin..letter.at.end];
                    *count += 1;
                    last = Some(letter);
                    continue;
                }
            }
            if parcels.len() == BATCH {
                break;
            }
            parcels.push(Parcel {
                to: &letter.to,
                bytes: &self.arena[letter.at.clone()],
                each: length,
            });
            used.push(1);
            last = Some(letter);
        }
        (parcels, used)
    }
}

/// Whether an error may say that the address is gone that is to be sent from, or the way to where it is.
fn is_of_source(error: &io::Error) -> bool {
    let of_source = [libc::EADDRNOTAVAIL, libc::EINVAL, libc::ENETUNREACH, libc::ENODEV];
    error.raw_os_error().is_some_and(|number| of_source.contains(&number))
}

/// Whether an error may say that a message cannot be cut here. A queue that is full just now says nothing of that.
fn is_of_cutting(error: &io::Error) -> bool {
    let of_cutting = [libc::EIO, libc::EOPNOTSUPP, libc::EINVAL, libc::EMSGSIZE];
    error.raw_os_error().is_some_and(|number| of_cutting.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_full_just_now_does_not_say_that_messages_cannot_be_cut() {
        let of_cutting = |number| is_of_cutting(&io::Error::from_raw_os_error(number));
        for passing in [libc::ENOBUFS, libc::EAGAIN, libc::ENOMEM, libc::EPERM, libc::ECONNREFUSED]
        {
            assert!(!of_cutting(passing), "{passing}");
        }
        assert!([libc::EIO, libc::EINVAL, libc::EOPNOTSUPP].into_iter().all(of_cutting));
    }
}

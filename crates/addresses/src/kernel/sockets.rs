//! Resetting what is connected to an address that goes.
//!
//! A connection whose address has gone to another machine hangs until its client gives up: the new owner resets it only when
//! the client sends something. So it is reset (sock_diag, SOCK_DESTROY) while the address is still here: the kernel then tells the
//! client at once. Listening sockets stay, also those bound to the address; so do sockets that only wait out their time.
//!
//! Call it *before* the address is deleted: without it the reset has no source and is not sent.
//!
//! The kernel is asked for all TCP sockets, and ours are chosen here: connections over IPv4 may be held by sockets of IPv6, with a
//! mapped address. Measured: 1 µs for each socket there is, 20 to 30 µs for each that is reset.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rtnetlink::sys::protocols::NETLINK_SOCK_DIAG;
use rustix::io::Errno;

use super::decode::ip;
use super::error::Error;
use super::netlink::{Conversation, MAX_ORDERS, Request};

/// SOCK_DIAG_BY_FAMILY
const ASK: u16 = 20;
const DESTROY: u16 = 21;

const FAMILIES: [u8; 2] = [libc::AF_INET as u8, libc::AF_INET6 as u8];

/// Length of a socket's identity (`inet_diag_sockid`): ports, addresses, interface, cookie.
const IDENTITY: usize = 48;

/// All states but *listening* (10), *closed* (7) and *waiting out its time* (6).
const STATES: u32 = !(1 << 10 | 1 << 7 | 1 << 6) & 0x1fff;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// So many connections were reset, perhaps none; no other is left.
    Done(usize),
    /// There was no time for all of them.
    Partly {
        /// How many were reset.
        reset: usize,
        /// How many are left: their clients are told by the new owner, when they send something.
        left: usize,
    },
    /// This kernel cannot (before 4.5, or without CONFIG_INET_DIAG_DESTROY): connections hang until their clients give up.
    Unsupported,
}

/// A conversation about the sockets of the network namespace of the thread that opened it.
pub struct Connections {
    conversation: Option<Conversation>,
}

impl Connections {
    /// Opens it. On a kernel without it everything is [`Reset::Unsupported`].
    ///
    /// # Errors
    /// When netlink is refused for another reason.
    pub fn open() -> Result<Self, Error> {
        let conversation = match Conversation::open(NETLINK_SOCK_DIAG, "list of sockets") {
            Ok(conversation) => Some(conversation),
            Err(error) if error.errno() == Some(Errno::PROTONOSUPPORT.raw_os_error()) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { conversation })
    }

    /// Resets all TCP connections whose address on this machine is one of these, as far as `within` allows: an address that
    /// must go may not wait for a hundred thousand of them.
    ///
    /// # Errors
    /// When the conversation broke, or CAP_NET_ADMIN is missing.
    pub fn reset(
        &mut self,
        addresses: &BTreeSet<IpAddr>,
        within: Duration,
    ) -> Result<Reset, Error> {
        let Some(conversation) = &mut self.conversation else { return Ok(Reset::Unsupported) };
        let start = Instant::now();
        let mut orders = Vec::new();
        for family in FAMILIES {
            let found = conversation.list(&question(family), |found, message| {
                found.extend(destroying(message.body, addresses));
            });
            match found {
                Ok(found) => orders.extend(found),
                // No module for these sockets.
                Err(error) if error.errno() == Some(Errno::NOENT.raw_os_error()) => {
                    return Ok(Reset::Unsupported);
                }
                Err(error) => return Err(error),
            }
        }
        let (mut reset, mut tried) = (0, 0);
        for part in orders.chunks(MAX_ORDERS) {
            if start.elapsed() >= within {
                return Ok(Reset::Partly { reset, left: orders.len() - tried });
            }
            tried += part.len();
            for answer in conversation.order(part, MAX_ORDERS)? {
                match answer.map_err(|refusal| refusal.errno) {
                    Ok(()) => reset += 1,
                    Err(Errno::OPNOTSUPP) => return Ok(Reset::Unsupported),
                    Err(errno @ (Errno::PERM | Errno::ACCESS)) => {
                        return Err(Error::io("resetting connections")(errno));
                    }
                    // It ended by itself meanwhile.
                    Err(_) => {}
                }
            }
        }
        Ok(Reset::Done(reset))
    }
}

fn question(family: u8) -> Request {
    let mut body = vec![family, libc::IPPROTO_TCP as u8, 0, 0];
    body.extend(STATES.to_ne_bytes());
    body.extend([0; IDENTITY]);
    Request { kind: ASK, flags: 0, body }
}

/// The order to end the socket of this answer (`inet_diag_msg`), if it is one of ours.
fn destroying(answer: &[u8], addresses: &BTreeSet<IpAddr>) -> Option<Request> {
    let family = *answer.first()?;
    let identity = answer.get(4..4 + IDENTITY)?;
    let length = if i32::from(family) == libc::AF_INET { 4 } else { 16 };
    let local = ip(&identity[4..4 + length])?.to_canonical();
    if !addresses.contains(&local) {
        return None;
    }
    let mut body = vec![family, libc::IPPROTO_TCP as u8, 0, 0];
    body.extend(STATES.to_ne_bytes());
    body.extend(identity);
    Some(Request { kind: DESTROY, flags: 0, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_address_itself_and_others_are_left_alone() {
        let ours: BTreeSet<IpAddr> = ["10.0.0.7".parse().unwrap()].into();
        let mut answer = vec![libc::AF_INET6 as u8, 1, 0, 0];
        answer.extend([0x1f, 0x90, 0, 80]);
        answer.extend("::ffff:10.0.0.7".parse::<std::net::Ipv6Addr>().unwrap().octets());
        answer.resize(72, 0);
        let order = destroying(&answer, &ours).unwrap();
        assert_eq!((order.kind, order.body.len()), (DESTROY, 56));
        assert_eq!(order.body[8..], answer[4..52]);
        assert!(destroying(&answer, &["10.0.0.8".parse().unwrap()].into()).is_none());
        for cut in 0..52 {
            assert!(destroying(&answer[..cut], &ours).is_none());
        }
    }
}

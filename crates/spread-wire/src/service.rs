//! The service type: what kind of message this is, as bits (protocol reference, 3.3).
//!
//! [`ServiceType`] holds the bits as they came, without the endian mark, which belongs to the header. [`Service`] and
//! [`Cause`] are what the bits mean once they were checked.

use core::fmt;
use core::ops::{BitAnd, BitOr, Not};

/// The bits of a service type, without the endian mark.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceType(u32);

/// Names of the original beside the constants here.
macro_rules! bits {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)+) => {
        impl ServiceType {
            $($(#[$doc])* pub const $name: Self = Self($value);)+
        }
    };
}

bits! {
    /// Unreliable.
    UNRELIABLE_MESS = 0x0000_0001;
    /// Reliable.
    RELIABLE_MESS = 0x0000_0002;
    /// Reliable, in the order of its sender.
    FIFO_MESS = 0x0000_0004;
    /// In causal order.
    CAUSAL_MESS = 0x0000_0008;
    /// In one order for all.
    AGREED_MESS = 0x0000_0010;
    /// In one order for all, once every daemon has it.
    SAFE_MESS = 0x0000_0020;
    /// The mask of the six above, of which a regular message has exactly one.
    REGULAR_MESS = 0x0000_003f;
    /// Not to be delivered to the session that sent it.
    SELF_DISCARD = 0x0000_0040;
    /// A membership caused by a join.
    CAUSED_BY_JOIN = 0x0000_0100;
    /// A membership caused by a leave; alone, the notice to the one that left.
    CAUSED_BY_LEAVE = 0x0000_0200;
    /// A membership caused by the end of a session.
    CAUSED_BY_DISCONNECT = 0x0000_0400;
    /// A membership caused by a change among the daemons.
    CAUSED_BY_NETWORK = 0x0000_0800;
    /// A regular membership message.
    REG_MEMB_MESS = 0x0000_1000;
    /// A transitional signal.
    TRANSITION_MESS = 0x0000_2000;
    /// The mask of all bits of membership messages.
    MEMBERSHIP_MESS = 0x0000_3f00;
    /// Client to daemon: join a group.
    JOIN_MESS = 0x0001_0000;
    /// Client to daemon: leave a group.
    LEAVE_MESS = 0x0002_0000;
    /// Client to daemon: end the session.
    KILL_MESS = 0x0004_0000;
    /// Between daemons of the original only; a client that sends it loses its session.
    GROUPS_MESS = 0x0008_0000;
    /// The mask of the bits that the original keeps for itself.
    RESERVED = 0x003f_c000;
    /// Rejected by the access control or a limit.
    REJECT_MESS = 0x0040_0000;
    /// A flag for receiving only: cut what does not fit.
    DROP_RECV = 0x0100_0000;
}

/// What a client's message may be besides [`ServiceType::REGULAR_MESS`].
const REQUESTS: u32 =
    ServiceType::JOIN_MESS.0 | ServiceType::LEAVE_MESS.0 | ServiceType::KILL_MESS.0;

impl ServiceType {
    /// The mark of the byte order in a type and in a hint: both bits set by little-endian senders, clear by others. It
    /// reads the same in both orders.
    pub const ENDIAN_MARK: u32 = 0x8000_0080;

    /// These bits, less the endian mark.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & !Self::ENDIAN_MARK)
    }

    /// The bits; never with the endian mark.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The service of a regular message, if exactly one is named and nothing of join, leave and kill.
    pub fn service(self) -> Option<Service> {
        match self.request() {
            Some(Request::Multicast(service)) => Some(service),
            _ => None,
        }
    }

    /// What a client asks for: exactly one bit of the regular ones, join, leave and kill (protocol reference, 3.6 rule
    /// 1). Other bits are not looked at.
    pub fn request(self) -> Option<Request> {
        Some(match Self(self.0 & (Self::REGULAR_MESS.0 | REQUESTS)) {
            Self::JOIN_MESS => Request::Join,
            Self::LEAVE_MESS => Request::Leave,
            Self::KILL_MESS => Request::Kill,
            Self::UNRELIABLE_MESS => Request::Multicast(Service::Unreliable),
            Self::RELIABLE_MESS => Request::Multicast(Service::Reliable),
            Self::FIFO_MESS => Request::Multicast(Service::Fifo),
            Self::CAUSAL_MESS => Request::Multicast(Service::Causal),
            Self::AGREED_MESS => Request::Multicast(Service::Agreed),
            Self::SAFE_MESS => Request::Multicast(Service::Safe),
            _ => return None,
        })
    }

    /// The cause of a membership, if exactly one is named.
    pub fn cause(self) -> Option<Cause> {
        let causes = Self(self.0 & 0x0f00);
        Cause::ALL.into_iter().find(|cause| ServiceType::from(*cause) == causes)
    }
}

impl BitOr for ServiceType {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for ServiceType {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for ServiceType {
    type Output = Self;
    fn not(self) -> Self {
        Self::from_bits(!self.0)
    }
}

impl fmt::Debug for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// What a client asks its daemon for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To be a member of a group.
    Join,
    /// To be no member any more.
    Leave,
    /// To end the session.
    Kill,
    /// To deliver a message.
    Multicast(Service),
}

/// How a regular message is ordered and when it is delivered, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// It may be lost.
    Unreliable,
    /// It arrives.
    Reliable,
    /// It arrives, in the order of its sender.
    Fifo,
    /// It arrives after all that its sender had received.
    Causal,
    /// It arrives everywhere in the same order.
    Agreed,
    /// As agreed, and only once every daemon has it.
    Safe,
}

impl Service {
    /// All services, weakest first.
    pub const ALL: [Self; 6] =
        [Self::Unreliable, Self::Reliable, Self::Fifo, Self::Causal, Self::Agreed, Self::Safe];
}

impl From<Service> for ServiceType {
    fn from(service: Service) -> Self {
        match service {
            Service::Unreliable => Self::UNRELIABLE_MESS,
            Service::Reliable => Self::RELIABLE_MESS,
            Service::Fifo => Self::FIFO_MESS,
            Service::Causal => Self::CAUSAL_MESS,
            Service::Agreed => Self::AGREED_MESS,
            Service::Safe => Self::SAFE_MESS,
        }
    }
}

/// Why the membership of a group changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A session joined.
    Join,
    /// A member left.
    Leave,
    /// A member's session ended.
    Disconnect,
    /// Daemons came or went.
    Network,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 4] = [Self::Join, Self::Leave, Self::Disconnect, Self::Network];
}

impl From<Cause> for ServiceType {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Join => Self::CAUSED_BY_JOIN,
            Cause::Leave => Self::CAUSED_BY_LEAVE,
            Cause::Disconnect => Self::CAUSED_BY_DISCONNECT,
            Cause::Network => Self::CAUSED_BY_NETWORK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_and_cause_is_read_from_its_own_bit() {
        for service in Service::ALL {
            assert_eq!(ServiceType::from(service).service(), Some(service));
            let discard = ServiceType::from(service) | ServiceType::SELF_DISCARD;
            assert_eq!(discard.service(), Some(service));
        }
        for cause in Cause::ALL {
            let bits = ServiceType::from(cause) | ServiceType::REG_MEMB_MESS;
            assert_eq!(bits.cause(), Some(cause));
        }
        assert_eq!((ServiceType::CAUSED_BY_JOIN | ServiceType::CAUSED_BY_LEAVE).cause(), None);
    }

    #[test]
    fn two_requests_at_once_or_none_are_no_request() {
        let two = ServiceType::AGREED_MESS | ServiceType::SAFE_MESS;
        assert_eq!(two.request(), None);
        assert_eq!((ServiceType::AGREED_MESS | ServiceType::JOIN_MESS).request(), None);
        assert_eq!((ServiceType::KILL_MESS | ServiceType::JOIN_MESS).request(), None);
        assert_eq!(ServiceType::GROUPS_MESS.request(), None);
        assert_eq!(ServiceType::default().request(), None);
        assert_eq!(ServiceType::KILL_MESS.request(), Some(Request::Kill));
    }

    #[test]
    fn the_endian_mark_is_never_among_the_bits() {
        assert_eq!(ServiceType::from_bits(u32::MAX).bits() & ServiceType::ENDIAN_MARK, 0);
        assert_eq!((!ServiceType::default()).bits() & ServiceType::ENDIAN_MARK, 0);
    }
}

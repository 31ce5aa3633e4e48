//! What the driver is told and asked for.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use base::Instant;

use crate::reason::Reason;
use crate::set::{Set, SetKey};

/// Which view of the group: the bytes of its id on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewId(pub [u8; 12]);

/// The members of the group, as the bus tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Which.
    pub id: ViewId,
    /// Private groups of the members, in the order of the bus, which is the same for all.
    pub members: Vec<String>,
    /// Which of them is this machine.
    pub me: usize,
}

/// How a message is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// In total order.
    Agreed,
    /// In total order, and only when all members' daemons have it.
    Safe,
}

/// A message to the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// How.
    pub service: Service,
    /// What; its type is [`MESSAGE_TYPE`].
    pub body: Vec<u8>,
}

/// What is known of whoever held a set before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nobody has ever had it, as far as anybody knows: whether a stranger has it is to be found out.
    Nobody,
    /// The old holder has it and gives it away when it is announced here.
    Asked,
    /// The old holder has released it.
    Released,
    /// The old holder was lost and its kernel may answer for it until then.
    Lost {
        /// When its lease has certainly run out.
        until: Instant,
    },
    /// This machine has it, and so had another, which lets go: everybody is to be told again.
    Won,
}

/// What is to be done on this machine, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put the addresses on their interfaces and announce them; if they are there, announce them again.
    /// Then [`Vip::handle_added`] or [`Vip::handle_failed`].
    Add {
        /// What.
        set: Set,
        /// What went before.
        after: After,
        /// Why.
        reason: Reason,
    },
    /// Announce once more: a neighbour that asked while two had it may have learned either.
    Announce(SetKey),
    /// Take the addresses off. Those that are also in another set that is held stay. Then [`Vip::handle_removed`].
    Remove {
        /// What.
        set: Set,
        /// Why.
        reason: Reason,
    },
    /// Leave the group and join it again: the others went on without this machine.
    Rejoin,
}

/// What is worth a line in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All members have spoken.
    Gathered {
        /// The machines, in the order of the view.
        machines: Vec<String>,
        /// How long it took since the view.
        took: Duration,
        /// Whether there is a majority, where one is configured.
        majority: Option<bool>,
    },
    /// This machine, or the whole cluster, takes part from now on.
    Mature,
    /// A set has another owner.
    Owner {
        /// Its head.
        head: IpAddr,
        /// From which machine.
        from: Option<String>,
        /// To which.
        to: Option<String>,
        /// Why.
        reason: Reason,
    },
    /// A move has begun.
    Moving {
        /// The set's head.
        head: IpAddr,
        /// From these machines.
        from: Vec<String>,
        /// To this one.
        to: String,
        /// Why.
        reason: Reason,
    },
    /// A move was given up: the new owner did not manage in time.
    GivenUp {
        /// The set's head.
        head: IpAddr,
        /// Who did not manage.
        to: String,
    },
    /// A machine said that it cannot hold a set.
    Failed {
        /// The set's head.
        head: IpAddr,
        /// Which machine.
        machine: String,
    },
    /// Members list addresses differently.
    Contradiction {
        /// The head of the form that waits.
        head: IpAddr,
        /// The head of the form that has precedence.
        by: IpAddr,
    },
    /// Members that list a set differ in whether it is under quorum. It is as long as they are together.
    QuorumDiffers {
        /// Its head.
        head: IpAddr,
        /// The machines whose files have it under quorum.
        under: Vec<String>,
        /// Those whose files have it not.
        not: Vec<String>,
    },
    /// Members have different lists of the machines that count for quorum.
    ListsDiffer {
        /// The machines, those with the same list together.
        machines: Vec<Vec<String>>,
    },
    /// Two machines have had this name, which would count for quorum: it counts for nobody from now on.
    Doubled {
        /// The name.
        machine: String,
    },
    /// A member says nothing; the others go on without it.
    Silent {
        /// Its machine, or its private group.
        machine: String,
    },
    /// A member speaks another version.
    Newer {
        /// Its private group.
        member: String,
        /// Which version.
        version: u8,
    },
    /// A member said what is no word of this program, though it is marked as one.
    Unreadable {
        /// Its private group.
        member: String,
        /// What is wrong with it.
        why: String,
    },
    /// The group has more members than are listened to; the rest is taken for not there.
    Crowded {
        /// How many there are.
        members: usize,
        /// Whether this machine is one of the rest: it holds nothing then.
        left_out: bool,
    },
    /// The original program is in the group.
    Original {
        /// Its private group.
        member: String,
        /// Whether this machine stays immature because of it.
        aside: bool,
    },
    /// A machine was drained or takes part again.
    Drained {
        /// Which.
        machine: String,
        /// Whether it is drained.
        drained: bool,
    },
    /// A machine goes and means to be back.
    Leaving {
        /// Which.
        machine: String,
        /// When, if it said so.
        back_within: Option<Duration>,
    },
}

/// Why an order cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuch {
    /// This machine is in no group.
    #[error("this machine is not in the group of the addresses: the bus is away")]
    Group,
    /// There is none of this name.
    #[error("no machine called {0} is in the group")]
    Machine(String),
    /// There are several.
    #[error("{} machines are called {machine}; name one by its place on the bus: {}", .members.len(), .members.join(", "))]
    Several {
        /// The name.
        machine: String,
        /// Their private groups.
        members: Vec<String>,
    },
}

//! What an operator should read in the log. The core says each thing once for as long as it stays true.

use crate::name::DaemonName;
use crate::view::{Daemon, RingId};

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// A daemon proved that it lives.
    #[error("met daemon {daemon}")]
    Met {
        /// Which.
        daemon: Daemon,
    },
    /// A daemon with the right key but other settings.
    #[error(
        "daemon {name} has another configuration and is ignored; either all daemons have a fixed list (spread.conf), or none has"
    )]
    OtherConfiguration {
        /// Its name.
        name: DaemonName,
    },
    /// A daemon that the fixed list does not have.
    #[error(
        "daemon {name} is not in the list of daemons, or there with another VirtualID, and is ignored; add it to the configuration of all and let them read it again"
    )]
    NotListed {
        /// Its name.
        name: DaemonName,
    },
    /// Daemons that are heard have another fixed list.
    #[error(
        "{count} of the daemons that are heard have another list of daemons than this one, {name} for one; the view goes on, and new ones have only daemons that all list each other: bring the same list to all and let them read it again"
    )]
    ListsDiffer {
        /// One of them.
        name: DaemonName,
        /// How many there are.
        count: usize,
    },
    /// All daemons that are heard have the list that this one has.
    #[error("all daemons that are heard have the same list of daemons")]
    ListsAgree,
    /// A daemon that is in our list does not have this one in its own.
    #[error(
        "the list of {by} does not have this daemon, or not with this VirtualID; once no other list has it, it is alone and may own nothing: stop it, or correct the list and let all read it again"
    )]
    Unlisted {
        /// Which.
        by: Daemon,
    },
    /// What a known daemon sends cannot be read.
    #[error(
        "{daemon} sends what cannot be read although its key and the version of its protocol are right; run the same release on both machines"
    )]
    Malformed {
        /// Which.
        daemon: Daemon,
    },
    /// The same of one that is not known: it has our key.
    #[error(
        "a daemon that is not known here sends what cannot be read although its key and the version of its protocol are right; run the same release on all machines"
    )]
    Unreadable,
    /// A daemon that speaks no wire version in common.
    #[error(
        "daemon {name} speaks no version of the protocol that is spoken here; it is too old or too new to be in one ring with this one"
    )]
    OtherVersion {
        /// Its name.
        name: DaemonName,
    },
    /// Datagrams of another major version arrive.
    #[error(
        "a daemon speaks major version {major} of the protocol, this one speaks {}; they cannot be in one ring, and until it falls silent this daemon may own nothing",
        crate::settings::MAJOR
    )]
    Incompatible {
        /// What it speaks.
        major: u8,
    },
    /// This daemon gave way to an older one of its name, or of a name with the same virtual id.
    #[error(
        "another daemon named {older} was here first; two daemons may not have one name (or two names with one virtual id): this one stays outside until the other is gone"
    )]
    Refused {
        /// The older one.
        older: Daemon,
    },
    /// This daemon is not refused any more.
    #[error("the other daemon of this name is gone")]
    Admitted,
    /// Views with this daemon did not last, so others do not take it for a while.
    #[error(
        "kept out by {by}, because views with this daemon did not last; it may own nothing meanwhile"
    )]
    KeptOut {
        /// Who says so.
        by: Daemon,
    },
    /// A daemon is kept out by this one.
    #[error("keeping {daemon} out for {seconds} s: the last {breaks} views with it did not last")]
    KeepsOut {
        /// Whom.
        daemon: Daemon,
        /// For how long.
        seconds: u64,
        /// How many views in a row it broke.
        breaks: u8,
    },
    /// A daemon gives signs and never answers.
    #[error(
        "{name} is heard but does not hear this daemon, or its answers do not come through: a firewall may let UDP through in one direction only (allow the bus port both ways), or the list of daemons there does not have this one"
    )]
    NoAnswer {
        /// Its name.
        name: DaemonName,
    },
    /// A daemon that is heard does not hear this one.
    #[error(
        "{daemon} is heard but does not hear this daemon: a firewall may let UDP through in one direction only (allow the bus port both ways), or the list of daemons there does not have this one"
    )]
    OneWay {
        /// Which.
        daemon: Daemon,
    },
    /// Multicast does not reach a daemon that unicast reaches.
    #[error(
        "{daemon} hears this daemon by unicast but not by multicast; it is sent to singly, which costs more. Check IGMP snooping on the switch, or a firewall"
    )]
    NoMulticast {
        /// Which.
        daemon: Daemon,
    },
    /// The view ended.
    #[error("view {view} is over: {reason}")]
    Broken {
        /// Which.
        view: RingId,
        /// Why.
        reason: Why,
    },
}

impl Notice {
    /// Whether an operator should do something about it, if it lasts.
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Self::Met { .. } | Self::ListsAgree | Self::Admitted | Self::Broken { .. })
    }
}

/// Why a view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A member was silent for too long.
    #[error("{0} is silent")]
    Silent(Daemon),
    /// The network says that nobody is there.
    #[error("nobody is at the address of {0} any more")]
    Unreachable(Daemon),
    /// A member said that it goes.
    #[error("{0} leaves")]
    Left(Daemon),
    /// A member did not say for long after the view began that it is in it.
    #[error("{0} did not come into it")]
    Late(Daemon),
    /// A member says that the view is over, or is in another.
    #[error("{0} says so")]
    Told(Daemon),
    /// The first member does not hear the second.
    #[error("{0} does not hear {1}")]
    Deaf(Daemon, Daemon),
    /// No list of the others has this member any more.
    #[error("{0} is in no list of daemons any more")]
    Struck(Daemon),
    /// The token did not come back although everybody lives.
    #[error("the token is lost")]
    Token,
    /// A greater view is formed.
    #[error("it joins another")]
    Joining,
}

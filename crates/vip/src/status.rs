//! What an operator sees: who owns what, why, and what would move it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use base::Instant;

use crate::allocate;
use crate::reason::Reason;
use crate::set::SetKey;
use crate::table::{Member, Row};
use crate::vip::{Able, Hold, Phase, ViewId, Vip};

/// How far this machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The bus is away.
    Away,
    /// Members are being heard.
    Gathering,
    /// It waits to become mature.
    Immature,
    /// It takes part.
    Running,
}

impl Stage {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Gathering => "gathering",
            Self::Immature => "immature",
            Self::Running => "running",
        }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This machine's name.
    pub machine: String,
    /// How far it is.
    pub stage: Stage,
    /// The view it speaks of.
    pub view: Option<ViewId>,
    /// Whether a majority is here, where one is configured.
    pub majority: Option<bool>,
    /// Names that would count for a majority and count for nobody, because two machines have had them.
    pub doubled: Vec<String>,
    /// Members, in the order of the view.
    pub members: Vec<MemberStatus>,
    /// Sets, in the order in which they are listed.
    pub sets: Vec<SetStatus>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its machine's name, or its private group while it has not said that.
    pub machine: String,
    /// Its private group.
    pub member: String,
    /// The address by which historical tools name it.
    pub shown: Option<IpAddr>,
    /// Its hardware addresses.
    pub macs: Vec<[u8; 6]>,
    /// It takes part.
    pub mature: bool,
    /// Its checks pass.
    pub healthy: bool,
    /// It is to hold nothing.
    pub drained: bool,
    /// A drain of it outlives its program.
    pub keeps: bool,
    /// It goes.
    pub leaving: bool,
    /// It says nothing.
    pub silent: bool,
    /// Its share.
    pub weight: u16,
    /// The most sets it takes while another can take them; 0 for any number.
    pub capacity: u16,
    /// How many sets it has or is about to have.
    pub sets: u32,
    /// How long it has been here.
    pub here_for: Duration,
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetStatus {
    /// What names it in messages.
    pub key: SetKey,
    /// Its head.
    pub head: IpAddr,
    /// All its addresses, ascending.
    pub addresses: Vec<IpAddr>,
    /// Which member has it, by its place.
    pub owner: Option<usize>,
    /// To whom it moves.
    pub moving_to: Option<usize>,
    /// Why it is there, or moves, or is nowhere.
    pub reason: Reason,
    /// The same for people: what has stayed since before the last view has the reason that it came with, where this machine knows it.
    pub why: Reason,
    /// For how long that has been so, where this machine knows it beyond the last view.
    pub since: Duration,
    /// Whether it may be held only by a majority.
    pub quorum: bool,
    /// How long a lost holder may still answer for it.
    pub pending: Option<Duration>,
    /// An operator moved it: balancing leaves it there.
    pub pinned: bool,
    /// The head of a set that shares an address and has precedence.
    pub blocked_by: Option<IpAddr>,
    /// Its addresses are put on no interface.
    pub hooks_only: bool,
    /// Whether the addresses are on this machine's interfaces.
    pub here: bool,
    /// What each member is for it.
    pub candidates: Vec<Candidate>,
}

/// What a member is for a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// It can have it.
    Good {
        /// It wants it for itself.
        preferred: bool,
    },
    /// It could have it if nobody better could, because of this.
    Reluctant(Reason),
    /// It cannot.
    No(Reason),
}

/// A move between this machine and another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveHere<'a> {
    /// What moves.
    pub key: SetKey,
    /// Whether it goes away from here and the other machine has it already. Otherwise it comes here, or the other has it not yet.
    pub gone: bool,
    /// Whether it was planned in this view. Otherwise several had it when members met, or it is the rest of a move of the view before.
    pub planned: bool,
    /// The other machine's place in the view.
    pub other: usize,
    /// Its hardware addresses.
    pub macs: &'a [[u8; 6]],
}

impl Vip {
    /// The moves in which connections of another machine reach this one, or the other way round: from the word that a set is to move
    /// until that of its release, for either may be believed in by somebody as soon as the new owner has added it. What the old owner
    /// has still to release when the view changes is such a move in the next one, too.
    /// Under quorum there are none, for there nobody has it while it moves; nor while members are being heard.
    pub fn moves_here(&self) -> impl Iterator<Item = MoveHere<'_>> {
        let runs = matches!(self.phase, Phase::Run);
        let rows = self.table.rows.iter().filter(move |row| runs && !row.quorum);
        rows.filter_map(move |row| {
            let found = self.move_of(row).or_else(|| self.rest_of_move(row));
            let (other, gone, planned) = found?;
            let macs = &self.members.get(other)?.peer.as_ref()?.macs;
            Some(MoveHere { key: row.set.key(), gone, planned, other, macs })
        })
    }

    /// With whom this machine has to do in the move of a set, whether the set has gone away from here, and whether that was planned.
    fn move_of(&self, row: &Row) -> Option<(usize, bool, bool)> {
        let moving = row.moving.as_ref().filter(|moving| !moving.break_first)?;
        let planned = moving.reason != Reason::Conflict;
        match (moving.to == self.me, moving.from.contains(&self.me)) {
            (true, _) => Some((*moving.from.first()?, false, planned)),
            (false, true) => Some((moving.to, moving.acquired, planned)),
            (false, false) => None,
        }
    }

    /// The same of what another view has begun: the new owner is the owner in this one, and the old one has still to release.
    fn rest_of_move(&self, row: &Row) -> Option<(usize, bool, bool)> {
        let owner = row.owner?;
        if owner == self.me {
            let old = row.going.iter().find(|at| **at != self.me);
            return old.map(|old| (*old, false, false));
        }
        row.going.contains(&self.me).then_some((owner, true, false))
    }

    /// Whether members are being heard: who has what is not known for the moment.
    pub fn is_gathering(&self) -> bool {
        matches!(self.phase, Phase::Gather { .. })
    }

    /// Sets that are on their way off here, and that this machine is to have again: the one that was to have them has gone, say.
    pub fn returning(&self) -> impl Iterator<Item = SetKey> {
        let runs = matches!(self.phase, Phase::Run);
        let rows = self.table.rows.iter().filter(move |row| runs && !row.quorum);
        let here = rows.filter(move |row| row.is_up_at(self.me)).map(|row| row.set.key());
        here.filter(move |key| {
            self.locals.get(key).is_some_and(|local| local.hold == Hold::Removing)
                && self.able.get(key) == Some(&Able::Yes)
        })
    }

    /// The other machines of the view with their hardware addresses, once all have spoken. Cheap, for whoever asks after each word.
    pub fn hardware(&self) -> Option<impl Iterator<Item = (&str, &[[u8; 6]])>> {
        let others = self.members.iter().enumerate().filter(|(at, _)| *at != self.me);
        let peers = others.filter_map(|(_, member)| member.peer.as_ref());
        let all = peers.map(|peer| (peer.machine.as_str(), peer.macs.as_slice()));
        matches!(self.phase, Phase::Run).then_some(all)
    }

    /// How things are.
    pub fn status(&self, now: Instant) -> Status {
        let counts = self.table.counts(self.members.len());
        let stage = match self.phase {
            Phase::Away => Stage::Away,
            Phase::Gather { .. } => Stage::Gathering,
            Phase::Run if self.mature => Stage::Running,
            Phase::Run => Stage::Immature,
        };
        let lists =
            self.members.iter().filter_map(Member::speaks).any(|peer| !peer.quorum.is_empty());
        Status {
            machine: self.identity.machine.clone(),
            stage,
            view: self.view,
            majority: lists.then_some(self.standing.majority),
            doubled: self.uncounted().into_iter().collect(),
            members: self
                .members
                .iter()
                .zip(&counts)
                .map(|(one, sets)| member(one, *sets, now))
                .collect(),
            sets: self.table.rows.iter().map(|row| self.set_status(row, &counts, now)).collect(),
        }
    }

    fn set_status(&self, row: &Row, counts: &[u32], now: Instant) -> SetStatus {
        let majority = self.standing.majority;
        // One that has it already is full only with more than its capacity.
        let full = |at: usize| {
            let has = counts.get(at).copied().unwrap_or(0);
            let peer = self.members.get(at).and_then(Member::speaks);
            let own = row.destined() == Some(at);
            peer.is_some_and(|peer| if own { peer.is_over(has) } else { peer.is_full(has) })
        };
        let candidate = |at: usize| match allocate::refusal(row, at, &self.members, majority) {
            Some(why) => Candidate::No(why),
            None => match allocate::complaint(row, at, &self.members, majority) {
                Some(why) => Candidate::Reluctant(why),
                None if full(at) => Candidate::Reluctant(Reason::Full),
                None => {
                    Candidate::Good { preferred: row.may.get(at).is_some_and(|may| may.preferred) }
                }
            },
        };
        let key = row.set.key();
        let moving = row.moving.as_ref();
        SetStatus {
            key,
            head: row.set.head(),
            addresses: row.set.addresses().to_vec(),
            owner: row.owner,
            moving_to: moving.map(|moving| moving.to),
            reason: moving.map_or(row.reason, |moving| moving.reason),
            why: moving.map_or(row.shown_why(), |moving| moving.reason),
            since: now.since(moving.map_or(row.since, |moving| moving.begun)),
            quorum: row.quorum,
            pending: row.pending.map(|until| until.since(now)).filter(|left| !left.is_zero()),
            pinned: row.pinned,
            blocked_by: row.blocked_by.and_then(|by| self.table.row(by)).map(|by| by.set.head()),
            hooks_only: row.set.is_hooks_only(),
            here: self.locals.get(&key).is_some_and(|local| local.hold == Hold::Up),
            candidates: (0..self.members.len()).map(candidate).collect(),
        }
    }

    /// Whether a set was up at somebody of the cluster, as far as is known: what has its addresses is no stranger that was there before.
    pub fn is_known(&self, key: SetKey) -> bool {
        self.memory.known.contains(&key)
    }

    /// Whether this machine is the first to have a set, as far as the group knows: nobody has had it, and nobody else has it or lets go of
    /// it. Nothing while that is not known, as the members are being heard.
    pub fn is_new_here(&self, key: SetKey) -> Option<bool> {
        let known = |row: &Row| row.known || self.memory.known.contains(&key);
        let row = self.table.row(key)?;
        Some(!known(row) && row.holders().iter().all(|at| *at == self.me))
    }

    /// The sets that are, or are about to be, on this machine's interfaces.
    pub fn held(&self) -> impl Iterator<Item = SetKey> + '_ {
        self.locals.iter().filter(|(_, local)| local.hold != Hold::Removing).map(|(key, _)| *key)
    }
}

fn member(member: &Member, sets: u32, now: Instant) -> MemberStatus {
    let peer = member.peer.as_ref();
    MemberStatus {
        machine: member.shown().to_string(),
        member: member.name.clone(),
        shown: peer.and_then(|peer| peer.shown),
        macs: peer.map(|peer| peer.macs.clone()).unwrap_or_default(),
        mature: peer.is_some_and(|peer| peer.mature),
        healthy: peer.is_some_and(|peer| peer.healthy),
        drained: peer.is_some_and(|peer| peer.drained),
        keeps: peer.is_some_and(|peer| peer.keeps),
        leaving: peer.is_some_and(|peer| peer.leaving),
        silent: member.silent,
        weight: peer.map_or(0, |peer| peer.weight),
        capacity: peer.map_or(0, |peer| peer.capacity),
        sets,
        here_for: now.since(member.since),
    }
}

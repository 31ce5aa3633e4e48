//! Who owns what: the part of the state that is the same on all members of a view.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use base::Instant;

use crate::peer::Peer;
use crate::reason::Reason;
use crate::set::{Set, SetKey};

/// A member of the view, in the order of the view.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its private group, which is its identity.
    pub(crate) name: String,
    /// What it said of itself in this view; `None` until then.
    pub(crate) peer: Option<Peer>,
    /// It says nothing, and the others go on without it.
    pub(crate) silent: bool,
    /// Since when it has been in one view with us without a break.
    pub(crate) since: Instant,
    /// When it was last heard.
    pub(crate) heard: Instant,
}

impl Member {
    pub(crate) fn new(name: String, now: Instant) -> Self {
        Self { name, peer: None, silent: false, since: now, heard: now }
    }

    /// What it said, unless it is to be left out.
    pub(crate) fn speaks(&self) -> Option<&Peer> {
        self.peer.as_ref().filter(|_| !self.silent)
    }

    /// Its machine's name, or its own if it has not said that.
    pub(crate) fn shown(&self) -> &str {
        self.peer.as_ref().map_or(&self.name, |peer| &peer.machine)
    }
}

/// What one member may do with one set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct May {
    pub(crate) listed: bool,
    pub(crate) able: bool,
    /// It cannot hold it and does not have it, as it said last.
    pub(crate) off: bool,
    pub(crate) preferred: bool,
    /// It says that the set is under quorum.
    pub(crate) quorum: bool,
    /// It said in this view that it cannot.
    pub(crate) failed: bool,
    /// It does not list this form any more but another with some of its addresses, and can hold that: its file is ahead of others'.
    pub(crate) otherwise: bool,
}

/// How it was with a set in the view before.
#[derive(Clone, Debug)]
pub(crate) struct Was {
    /// The private group of who had it.
    pub(crate) owner: Option<String>,
    pub(crate) since: Instant,
    pub(crate) why: Reason,
}

/// A move that is under way.
///
/// Usually the new owner adds first and the old ones release then. What may never be held twice goes the other way round: the
/// old owner releases first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moving {
    pub(crate) to: usize,
    /// Who is to release it, once the new owner has acquired it.
    pub(crate) from: Vec<usize>,
    pub(crate) acquired: bool,
    /// The old owner releases before the new one adds.
    pub(crate) break_first: bool,
    pub(crate) reason: Reason,
    pub(crate) begun: Instant,
}

impl Moving {
    /// A planned move from one holder. Under quorum nobody may hold it together with another, so it is released first.
    pub(crate) fn planned(
        quorum: bool,
        from: usize,
        to: usize,
        reason: Reason,
        begun: Instant,
    ) -> Self {
        Self { to, from: [from].into(), acquired: false, break_first: quorum, reason, begun }
    }

    /// Several hold it, and all but one let go: once that one has announced itself, or, under quorum, at once.
    pub(crate) fn conflict(quorum: bool, from: Vec<usize>, to: usize, begun: Instant) -> Self {
        Self { to, from, acquired: quorum, break_first: false, reason: Reason::Conflict, begun }
    }
}

/// A set and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) set: Set,
    pub(crate) quorum: bool,
    /// Somebody has held it before.
    pub(crate) known: bool,
    /// By member.
    pub(crate) may: Vec<May>,
    pub(crate) owner: Option<usize>,
    pub(crate) moving: Option<Moving>,
    pub(crate) reason: Reason,
    /// Since when, and, as long as nothing else is known of it than that it was held, why: of the view before, on this machine.
    pub(crate) since: Instant,
    pub(crate) was: Option<Reason>,
    /// Moved by an operator: balancing leaves it where it is.
    pub(crate) pinned: bool,
    /// Runs of the program that were lost with it, by their boots.
    pub(crate) lost: BTreeSet<u64>,
    /// A holder that was lost may answer until then, by this machine's clock.
    pub(crate) pending: Option<Instant>,
    /// Under quorum: it may not be claimed before the word [`Claim`](crate::message::Message::Claim).
    pub(crate) waits: bool,
    /// Under quorum: members that may still have it on their interfaces and are to say when they have not.
    pub(crate) going: BTreeSet<usize>,
    /// Under quorum: members that have not yet let go of other sets with some of its addresses.
    pub(crate) taken: BTreeSet<usize>,
    /// Another set with some of its addresses has precedence.
    pub(crate) blocked_by: Option<SetKey>,
    /// Members list some of its addresses in another form: it stays where it is until they agree.
    pub(crate) contested: bool,
    /// Who has said last that it is up there.
    pub(crate) up_at: Option<usize>,
    /// A form of it that nobody lists any more stays at another member until it is up.
    pub(crate) awaited: bool,
}

impl Row {
    pub(crate) fn new(set: Set, members: usize, now: Instant) -> Self {
        Self {
            set,
            quorum: false,
            known: false,
            may: alloc::vec![May::default(); members],
            owner: None,
            moving: None,
            reason: Reason::Unowned,
            since: now,
            was: None,
            pinned: false,
            lost: BTreeSet::new(),
            pending: None,
            waits: false,
            going: BTreeSet::new(),
            taken: BTreeSet::new(),
            blocked_by: None,
            contested: false,
            up_at: None,
            awaited: false,
        }
    }

    /// Why it is where it is, for people.
    pub(crate) fn shown_why(&self) -> Reason {
        self.was.filter(|_| self.reason == Reason::Held).unwrap_or(self.reason)
    }

    /// Who will have it when nothing else happens.
    pub(crate) fn destined(&self) -> Option<usize> {
        self.moving.as_ref().map(|moving| moving.to).or(self.owner)
    }

    /// Whether this member has to have the addresses on its interfaces now.
    pub(crate) fn is_up_at(&self, member: usize) -> bool {
        match &self.moving {
            None => self.owner == Some(member),
            // With `break_first` nobody has it until it was released, and then it does not move any more.
            Some(moving) if moving.break_first => false,
            Some(moving) if moving.acquired => moving.to == member,
            Some(moving) => moving.to == member || moving.from.contains(&member),
        }
    }

    /// Whether this member is to say when it has taken it off.
    pub(crate) fn is_released_by(&self, member: usize) -> bool {
        let goes = |moving: &Moving| moving.acquired || moving.break_first;
        let moving = self.moving.as_ref().filter(|moving| goes(moving));
        moving.is_some_and(|moving| moving.from.contains(&member)) || self.going.contains(&member)
    }

    /// Whether it may be given to this member: under quorum not while another may still have its addresses, and not before
    /// all words about its coming off have been heard.
    pub(crate) fn is_free_for(&self, member: usize) -> bool {
        !self.quorum || self.going.is_empty() && self.taken.iter().all(|at| *at == member)
    }

    /// A set of which the members learn only within the view that it is under quorum waits like the others, if something may
    /// have happened elsewhere.
    pub(crate) fn wait_if_new(&mut self, before: bool, uncertain: Option<Instant>) {
        if self.quorum && !before && uncertain.is_some() && self.destined().is_none() {
            self.pending = self.pending.max(uncertain);
        }
    }

    /// All that may have it on their interfaces.
    pub(crate) fn holders(&self) -> BTreeSet<usize> {
        let mut all = self.going.clone();
        match &self.moving {
            None => all.extend(self.owner),
            Some(moving) => {
                all.extend(&moving.from);
                all.extend((!moving.break_first).then_some(moving.to));
            }
        }
        all
    }

    /// It is under quorum while anybody says so. One that is not any more need not wait for a claim, which only a majority makes.
    pub(crate) fn judge_quorum(&mut self) {
        self.quorum = self.may.iter().any(|may| may.quorum);
        self.waits &= self.quorum;
    }

    /// Whether nobody has to do with it any more: no member lists it, has it or may have it. What a lost holder may still have is
    /// remembered until the next view, for each member's clock says something else of when that is over.
    pub(crate) fn is_over(&self) -> bool {
        self.listings() == 0
            && self.destined().is_none()
            && self.going.is_empty()
            && self.taken.is_empty()
            && self.pending.is_none()
    }

    /// How many members list it.
    pub(crate) fn listings(&self) -> usize {
        self.may.iter().filter(|may| may.listed).count()
    }
}

/// All sets that any member of the view speaks of, in the order in which members list them, the first member first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    index: BTreeMap<SetKey, usize>,
}

impl Table {
    pub(crate) fn row(&self, key: SetKey) -> Option<&Row> {
        self.index.get(&key).and_then(|at| self.rows.get(*at))
    }

    pub(crate) fn row_mut(&mut self, key: SetKey) -> Option<&mut Row> {
        self.index.get(&key).and_then(|at| self.rows.get_mut(*at))
    }

    /// The row of this set, which is made if it is not there.
    pub(crate) fn row_of(&mut self, set: &Set, members: usize, now: Instant) -> &mut Row {
        let at = *self.index.entry(set.key()).or_insert_with(|| {
            self.rows.push(Row::new(set.clone(), members, now));
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// Forgets sets with which nobody has to do any more.
    pub(crate) fn forget(&mut self) {
        if self.rows.iter().any(Row::is_over) {
            self.rows.retain(|row| !row.is_over());
            let keys = self.rows.iter().map(|row| row.set.key());
            self.index = keys.zip(0..).collect();
        }
    }

    /// How many sets each member has or is about to have.
    pub(crate) fn counts(&self, members: usize) -> Vec<u32> {
        let mut counts = alloc::vec![0; members];
        for at in self.rows.iter().filter_map(Row::destined) {
            if let Some(count) = counts.get_mut(at) {
                *count += 1;
            }
        }
        counts
    }
}

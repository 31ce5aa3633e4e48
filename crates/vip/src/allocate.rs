//! The pure functions that say where sets belong. Same members, same rows: same answer, everywhere.
//!
//! Existing holdings stay where they are unless there is a reason; holes are filled one by one, each by the member with the
//! smallest share (`wackamole.md`, 7.1). What makes a member worse than another for a set is its [`tier`].

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};

use base::Instant;

use crate::reason::Reason;
use crate::set::SetKey;
use crate::settings::PerRound;
use crate::table::{Member, Moving, Row, Table};

/// It has as many as it wants; added last, because it matters only while another has room.
const FULL: u8 = 1;
/// It is drained, but serves.
const DRAINED: u8 = 2;
/// It does not serve.
const UNHEALTHY: u8 = 4;

/// How badly a member is suited to hold a set, 0 for not at all; `None`: it may not.
pub(crate) fn tier(row: &Row, at: usize, members: &[Member], majority: bool) -> Option<u8> {
    refusal(row, at, members, majority).is_none().then(|| {
        let peer = members.get(at).and_then(Member::speaks);
        peer.map_or(0, |peer| {
            u8::from(!peer.healthy) * UNHEALTHY + u8::from(peer.drained) * DRAINED
        })
    })
}

/// Why a member may not hold a set at all.
pub(crate) fn refusal(row: &Row, at: usize, members: &[Member], majority: bool) -> Option<Reason> {
    let Some(peer) = members.get(at).and_then(Member::speaks) else { return Some(Reason::Lost) };
    let may = row.may.get(at).copied().unwrap_or_default();
    // Whoever has it goes on with it until the others list the same.
    let keeps = may.otherwise && row.owner == Some(at);
    if !may.listed && !keeps {
        Some(Reason::Unlisted)
    } else if !(may.able || keeps) || may.failed {
        Some(Reason::Unable)
    } else if peer.leaving {
        Some(Reason::Leaving)
    } else if !peer.mature {
        Some(Reason::Immature)
    } else if !peer.healthy && !peer.keep_unhealthy {
        Some(Reason::Unhealthy)
    } else if row.quorum && !majority {
        Some(Reason::NoQuorum)
    } else {
        None
    }
}

/// What makes its holder want to give a set away.
pub(crate) fn complaint(
    row: &Row,
    at: usize,
    members: &[Member],
    majority: bool,
) -> Option<Reason> {
    refusal(row, at, members, majority).or_else(|| {
        let peer = members.get(at).and_then(Member::speaks)?;
        if !peer.healthy { Some(Reason::Unhealthy) } else { peer.drained.then_some(Reason::Drain) }
    })
}

/// The best of `among` for a set, with its tier.
fn best(
    row: &Row,
    among: impl Iterator<Item = usize>,
    counts: &[u32],
    members: &[Member],
    majority: bool,
) -> Option<(u8, usize)> {
    let rank = |at: usize| {
        let tier = tier(row, at, members, majority)?;
        let peer = members.get(at)?.speaks()?;
        let has = counts.get(at).copied().unwrap_or(0);
        let full = peer.is_full(has);
        let preferred = row.may.get(at).is_some_and(|may| may.preferred);
        Some((tier + u8::from(full) * FULL, !preferred, at, has, peer.weight))
    };
    among
        .filter_map(rank)
        .min_by(|a, b| {
            (a.0, a.1)
                .cmp(&(b.0, b.1))
                .then_with(|| share(a.3 + 1, a.4, b.3 + 1, b.4))
                .then(a.2.cmp(&b.2))
        })
        .map(|(tier, _, at, ..)| (tier & !FULL, at))
}

/// Compares what two members have, each by its weight.
fn share(a: u32, a_weight: u16, b: u32, b_weight: u16) -> Ordering {
    (u64::from(a) * u64::from(b_weight)).cmp(&(u64::from(b) * u64::from(a_weight)))
}

/// Sets that contradict each other: those that are held stay, of others the one that most members list may be held. Under quorum
/// that one waits until all have let go of the others.
pub(crate) fn contradictions(table: &mut Table) {
    let mut by_address: Vec<(core::net::IpAddr, usize)> = Vec::new();
    for (at, row) in table.rows.iter_mut().enumerate() {
        row.blocked_by = None;
        row.contested = false;
        row.awaited = false;
        row.may.iter_mut().for_each(|may| may.otherwise = false);
        row.taken.clear();
        by_address.extend(row.set.addresses().iter().map(|ip| (*ip, at)));
    }
    by_address.sort_unstable();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for same in by_address.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
        for (i, (_, a)) in same.iter().enumerate() {
            pairs.extend(same[i + 1..].iter().map(|(_, b)| (*a.min(b), *a.max(b))));
        }
    }
    for (a, b) in pairs.iter().copied() {
        let otherwise = |table: &mut Table, here: usize, other: usize| {
            let listed: Vec<bool> =
                table.rows[other].may.iter().map(|may| may.listed && may.able).collect();
            for (may, listed) in table.rows[here].may.iter_mut().zip(listed) {
                may.otherwise |= listed && !may.listed;
            }
        };
        otherwise(table, a, b);
        otherwise(table, b, a);
        let contested = table.rows[a].listings() > 0 && table.rows[b].listings() > 0;
        table.rows[a].contested |= contested;
        table.rows[b].contested |= contested;
    }
    let had: Vec<Option<usize>> = table.rows.iter().map(Row::destined).collect();
    // Who may have something of each in any other form, whichever of these is looked at first; and whether one that was lost may.
    let mut others: Vec<(BTreeSet<usize>, bool)> =
        alloc::vec![Default::default(); table.rows.len()];
    for (a, b) in pairs.iter().copied() {
        for (one, other) in [(a, b), (b, a)] {
            others[one].0.extend(table.rows[other].holders());
            others[one].1 |= table.rows[other].pending.is_some();
        }
    }
    let strength = |row: &Row| {
        let (held, listings) = (row.destined().is_some(), row.listings());
        // A held one that nobody lists any more makes way.
        (held && listings > 0, listings, Reverse(row.set.key()))
    };
    let strengths: Vec<_> = table.rows.iter().map(strength).collect();
    for (a, b) in &mut pairs {
        if strengths[*b] > strengths[*a] {
            core::mem::swap(a, b);
        }
    }
    // The strongest first: what is in the way of another and makes way itself keeps nobody out.
    pairs.sort_unstable_by_key(|(a, b)| (Reverse(strengths[*a]), Reverse(strengths[*b])));
    pairs.dedup();
    for (wins, loses) in pairs {
        if table.rows[wins].blocked_by.is_some() {
            outlive(table, wins, loses);
            continue;
        }
        // As it was before the first of several parts took its place.
        let (winner, holder) = (table.rows[wins].set.key(), had[loses]);
        let heir = holder.filter(|at| table.rows[wins].may.get(*at).is_some_and(|may| may.listed));
        if table.rows[wins].quorum || table.rows[loses].quorum {
            let holders = table.rows[loses].holders();
            table.rows[loses].going = holders.clone();
            table.rows[wins].taken.extend(holders);
        }
        let (holders, lost) = &others[wins];
        let alone = |at: &usize| !lost && holders.iter().all(|one| one == at);
        let heir = heir
            .filter(|at| table.rows[wins].is_free_for(*at))
            .filter(|at| !table.rows[wins].quorum || alone(at));
        if table.rows[wins].destined().is_none() && table.rows[loses].listings() == 0 {
            // The list has changed everywhere: the holder of the old form goes on with the new one.
            if let Some(heir) = heir {
                table.rows[wins].owner = Some(heir);
                table.rows[wins].reason = Reason::Held;
            }
        }
        table.rows[wins].known |= table.rows[loses].known;
        if stays_until_up(&table.rows[wins], &table.rows[loses]) {
            table.rows[wins].awaited = true;
            table.rows[loses].contested = true;
            continue;
        }
        inherit(table, loses, wins);
        let loser = &mut table.rows[loses];
        loser.blocked_by = Some(winner);
        loser.owner = None;
        loser.moving = None;
        loser.reason = Reason::Contradiction;
    }
}

/// Whether the old form stays at its holder until the new one is up at another: make before break.
fn stays_until_up(new: &Row, old: &Row) -> bool {
    let (Some(to), Some(from)) = (new.owner, old.owner) else { return false };
    let still = old.moving.is_none() && new.moving.is_none() && !(new.quorum || old.quorum);
    still && to != from && new.up_at != Some(to) && old.may[from].otherwise && old.listings() == 0
}

/// A set that makes way itself keeps another from nobody, but under quorum that one waits until all have let go of it.
fn outlive(table: &mut Table, gone: usize, stays: usize) {
    if table.rows[gone].quorum || table.rows[stays].quorum {
        let holders = table.rows[gone].holders();
        table.rows[stays].taken.extend(holders);
    }
    inherit(table, gone, stays);
}

/// A lost holder of the one may still answer for addresses of the other.
fn inherit(table: &mut Table, from: usize, to: usize) {
    let (pending, lost) = (table.rows[from].pending, table.rows[from].lost.clone());
    let row = &mut table.rows[to];
    if row.quorum && row.destined().is_none() && pending.is_some() {
        row.pending = row.pending.max(pending);
        if !lost.is_empty() && row.blocked_by.is_none() {
            row.reason = Reason::Lost;
        }
        row.lost.extend(lost);
        row.waits = true;
    }
}

/// Gives what nobody has to the members with the smallest share. Returns the keys of what was given.
pub(crate) fn fill(
    table: &mut Table,
    members: &[Member],
    majority: bool,
    now: Instant,
) -> Vec<SetKey> {
    let mut counts = table.counts(members.len());
    let mut given = Vec::new();
    for row in &mut table.rows {
        if row.destined().is_some() || row.waits || row.blocked_by.is_some() {
            continue;
        }
        let free = (0..members.len()).filter(|at| row.is_free_for(*at));
        let Some((_, at)) = best(row, free, &counts, members, majority) else {
            continue;
        };
        row.owner = Some(at);
        // Who takes over from a lost holder does so because of that, however long its lease was waited for.
        if row.reason != Reason::Lost {
            row.reason = Reason::Unowned;
        }
        row.since = now;
        counts[at] += 1;
        given.push(row.set.key());
    }
    given
}

/// Begins to move what its holder should not have if somebody else can have it, and takes away what it may not keep.
/// Returns the keys of what changed.
pub(crate) fn evacuate(
    table: &mut Table,
    members: &[Member],
    majority: bool,
    now: Instant,
) -> Vec<SetKey> {
    let mut counts = table.counts(members.len());
    let mut changed = Vec::new();
    for row in &mut table.rows {
        let (Some(owner), None) = (row.owner, &row.moving) else { continue };
        let Some(why) = complaint(row, owner, members, majority) else { continue };
        let tier = tier(row, owner, members, majority);
        let others = (0..members.len()).filter(|at| *at != owner && row.is_free_for(*at));
        match best(row, others, &counts, members, majority) {
            Some((better, to)) if tier.is_none_or(|tier| better < tier) => {
                counts[owner] = counts[owner].saturating_sub(1);
                counts[to] += 1;
                row.moving = Some(Moving::planned(row.quorum, owner, to, why, now));
                changed.push(row.set.key());
            }
            _ if refusal(row, owner, members, majority).is_some_and(loses) => {
                counts[owner] = counts[owner].saturating_sub(1);
                if row.quorum && members.get(owner).and_then(Member::speaks).is_some() {
                    // Whoever can have it later waits until it is off.
                    row.going.insert(owner);
                }
                row.owner = None;
                row.reason = why;
                row.since = now;
                changed.push(row.set.key());
            }
            _ => {}
        }
    }
    changed
}

/// Whether a holder has to let go although nobody else can have the set. One that only cannot hold it at this moment, or goes, has
/// it as long as nobody else wants it.
fn loses(why: Reason) -> bool {
    matches!(why, Reason::Lost | Reason::NoQuorum | Reason::Unhealthy | Reason::Unlisted)
}

/// Which of those that hold a set at the same time keeps it: the best suited, and among equals the one with the smallest
/// share, so that what was doubled by a partition is evenly shared after it.
pub(crate) fn winner(
    row: &Row,
    claimants: &[usize],
    counts: &[u32],
    members: &[Member],
    majority: bool,
) -> Option<usize> {
    let best = best(row, claimants.iter().copied(), counts, members, majority);
    best.map(|(_, at)| at).or_else(|| claimants.first().copied())
}

/// Moves to members that want a set, have been there long enough and have room for it, or something that they want less to give
/// for it: balance brings that to where there is room then. `ready` says of a member whether it has been there long enough.
pub(crate) fn preferences(
    table: &Table,
    members: &[Member],
    majority: bool,
    ready: impl Fn(usize) -> bool,
) -> Vec<(SetKey, usize, Reason)> {
    let mut moves = Vec::new();
    let mut counts = table.counts(members.len());
    // What the one that wants something else has, and the other could have instead.
    let exchanged = |row: &Row, has: usize, other: usize| {
        row.owner == Some(has)
            && row.moving.is_none()
            && !row.pinned
            && row.may.get(has).is_some_and(|may| !may.preferred)
            && tier(row, other, members, majority) == Some(0)
    };
    for row in &table.rows {
        let (Some(owner), None) = (row.owner, &row.moving) else { continue };
        if row.pinned || row.contested || row.may.get(owner).is_some_and(|may| may.preferred) {
            continue;
        }
        let wants = |at: &usize| {
            let has_room = || match members[*at].speaks().map(|peer| peer.room(counts[*at])) {
                Some(None) => true,
                Some(Some(0)) => {
                    let over = members[owner].speaks().is_some_and(|p| p.is_over(counts[owner]));
                    !over && table.rows.iter().any(|other| exchanged(other, *at, owner))
                }
                Some(Some(room)) => room > 0,
                None => false,
            };
            let fits = tier(row, *at, members, majority) == Some(0);
            row.may[*at].preferred && fits && ready(*at) && has_room()
        };
        if let Some(to) = (0..members.len().min(row.may.len())).find(wants) {
            counts[owner] = counts[owner].saturating_sub(1);
            counts[to] += 1;
            moves.push((row.set.key(), to, Reason::Preference));
        }
    }
    moves
}

/// Moves that make the share even (`wackamole.md`, 7.4): from the fullest member to the emptiest, one by one, as long as it
/// brings them nearer to each other. A member with more than its capacity gives to those with room whatever the share is.
/// `ready` says of a member whether it may be given anything.
pub(crate) fn balance(
    table: &Table,
    members: &[Member],
    majority: bool,
    per_round: PerRound,
    ready: impl Fn(usize) -> bool,
) -> Vec<(SetKey, usize, Reason)> {
    let most = match per_round {
        PerRound::All => table.rows.len(),
        PerRound::Number(number) => number as usize,
    };
    let mut counts = table.counts(members.len());
    // What each member has that may be moved away, the first in list order last, so that it is taken first.
    let mut movable: Vec<Vec<&Row>> = alloc::vec![Vec::new(); members.len()];
    // What it wants goes only if it has too many, and then last.
    for wanted in [true, false] {
        for row in table.rows.iter().rev() {
            let (Some(owner), None) = (row.owner, &row.moving) else { continue };
            let stays = row.pinned || row.contested;
            if !stays && row.may.get(owner).is_some_and(|may| may.preferred == wanted) {
                movable[owner].push(row);
            }
        }
    }
    let over = |at: usize, has: u32| members[at].speaks().is_some_and(|peer| peer.is_over(has));
    let weight = |at: usize| members[at].speaks().map_or(0, |peer| peer.weight);
    let mut moves = Vec::new();
    while moves.len() < most {
        let by_share = |a: &usize, b: &usize| share(counts[*a], weight(*a), counts[*b], weight(*b));
        let mut speaking: Vec<usize> =
            (0..members.len()).filter(|at| members[*at].speaks().is_some()).collect();
        speaking.sort_by(|a, b| by_share(a, b).then(a.cmp(b)));
        let takers = speaking.iter().copied().filter(|at| ready(*at));
        let step = takers.flat_map(|to| {
            // Those with too many first, then the fullest; of equals the first.
            let mut givers: Vec<usize> =
                speaking.iter().copied().filter(|from| *from != to).collect();
            let within = |at: &usize| !over(*at, counts[*at]);
            givers.sort_by(|a, b| within(a).cmp(&within(b)).then(by_share(b, a)).then(a.cmp(b)));
            givers.into_iter().map(move |from| (from, to))
        });
        let mut found = None;
        for (from, to) in step {
            if members[to].speaks().is_some_and(|peer| peer.is_full(counts[to])) {
                continue;
            }
            // Better only if the taker has less afterwards than the giver had before.
            let after = share(counts[to] + 1, weight(to), counts[from], weight(from));
            let too_many = over(from, counts[from]);
            if !too_many && after != Ordering::Less {
                continue;
            }
            let stays = |row: &Row| row.may.get(from).is_some_and(|may| may.preferred) && !too_many;
            let fits = |row: &&Row| !stays(row) && tier(row, to, members, majority) == Some(0);
            if let Some(place) = movable[from].iter().rposition(fits) {
                found = Some((from, to, place));
                break;
            }
        }
        let Some((from, to, place)) = found else { break };
        let row = movable[from].remove(place);
        counts[from] -= 1;
        counts[to] += 1;
        moves.push((row.set.key(), to, Reason::Balance));
    }
    moves
}

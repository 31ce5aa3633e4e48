//! The pure functions that say where sets belong. Same members, same rows: same answer, everywhere.
//!
//! Existing holdings stay where they are unless there is a reason; holes are filled one by one, each by the member with the
//! smallest share (`wackamole.md`, 7.1). What makes a member worse than another for a set is its [`tier`].

use alloc::vec::Vec;
use core::cmp::Ordering;

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
            if row.reason == Reason::Unowned && lacks_interfaces(row, members, majority) {
                row.reason = Reason::Unable;
            }
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
            _ if refusal(row, owner, members, majority)
                .is_some_and(|why| loses(row, owner, why)) =>
            {
                counts[owner] = counts[owner].saturating_sub(1);
                if row.quorum && members.get(owner).and_then(Member::speaks).is_some() {
                    // Whoever can have it later waits until it is off.
                    row.going.insert(owner);
                }
                row.owner = None;
                row.reason = why;
                row.since = now;
                // What an operator wanted has been overruled.
                row.pinned = false;
                changed.push(row.set.key());
            }
            _ => {}
        }
    }
    changed
}

/// Whether a holder has to let go although nobody else can have the set. One that cannot hold it at this moment and still does, or goes,
/// has it as long as nobody else wants it. Of what has gone with its interface nobody is to be told that it is there.
fn loses(row: &Row, holder: usize, why: Reason) -> bool {
    match why {
        Reason::Lost | Reason::NoQuorum | Reason::Unhealthy | Reason::Unlisted => true,
        Reason::Unable => row.may.get(holder).is_some_and(|may| may.off),
        _ => false,
    }
}

/// Whether all who could have a set cannot hold it now, and that alone is why nobody has it.
fn lacks_interfaces(row: &Row, members: &[Member], majority: bool) -> bool {
    let refusals: Vec<Option<Reason>> =
        (0..members.len()).map(|at| refusal(row, at, members, majority)).collect();
    let is_out = |why: &Option<Reason>| {
        matches!(why, Some(Reason::Unable | Reason::Unlisted | Reason::Lost))
    };
    refusals.contains(&Some(Reason::Unable)) && refusals.iter().all(is_out)
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
        let is_full = |at: usize| members[at].speaks().is_some_and(|p| p.is_full(counts[at]));
        let mut takers: Vec<usize> = speaking.iter().copied().filter(|at| ready(*at)).collect();
        // Those with room first; where nobody has any, what is too much is evenly shared.
        takers.sort_by_key(|at| is_full(*at));
        let step = takers.into_iter().flat_map(|to| {
            // Those with too many first, then the fullest; of equals the first.
            let mut givers: Vec<usize> =
                speaking.iter().copied().filter(|from| *from != to).collect();
            let within = |at: &usize| !over(*at, counts[*at]);
            givers.sort_by(|a, b| within(a).cmp(&within(b)).then(by_share(b, a)).then(a.cmp(b)));
            givers.into_iter().map(move |from| (from, to))
        });
        let mut found = None;
        for (from, to) in step {
            // Better only if the taker has less afterwards than the giver had before.
            let after = share(counts[to] + 1, weight(to), counts[from], weight(from));
            let too_many = over(from, counts[from]);
            let full = is_full(to);
            if full && !too_many || (full || !too_many) && after != Ordering::Less {
                continue;
            }
            let stays = |row: &Row| row.may.get(from).is_some_and(|may| may.preferred) && !too_many;
            let fits = |row: &&Row| !stays(row) && tier(row, to, members, majority) == Some(0);
            if let Some(place) = movable[from].iter().rposition(fits) {
                let why = if too_many { Reason::Full } else { Reason::Balance };
                found = Some((from, to, place, why));
                break;
            }
        }
        let Some((from, to, place, why)) = found else { break };
        let row = movable[from].remove(place);
        counts[from] -= 1;
        counts[to] += 1;
        moves.push((row.set.key(), to, why));
    }
    moves
}

//! Sets that contradict each other: machines list an address in several forms, and one of them counts at a time.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::IpAddr;

use crate::allocate::{complaint, tier};
use crate::reason::Reason;
use crate::set::SetKey;
use crate::table::{May, Member, Row, Table};

/// What speaks for a form of an address: that of a list that leaves no address to nobody, that it is held, how many list it.
type Strength = (bool, bool, usize, Reverse<SetKey>);

/// Sets that contradict each other: those that are held stay, of others the one that most members list may be held. Under quorum
/// that one waits until all have let go of the others. If an address would be in no form then, all forms of one machine count.
///
/// Returns those that stay where they are and have been held elsewhere in another form, which goes.
pub(crate) fn contradictions(
    table: &mut Table,
    members: &[Member],
    majority: bool,
) -> BTreeSet<SetKey> {
    let mut won = BTreeSet::new();
    let mut pairs = pairs(table);
    for (a, b) in pairs.iter().copied() {
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
    let goes = goes_with_its_holder(table, &pairs, members, majority);
    let mut strengths: Vec<Strength> = (table.rows.iter().zip(&goes))
        .map(|(row, goes)| {
            let (held, listings) = (row.destined().is_some(), row.listings());
            // A held one that nobody lists any more makes way, and so does one that goes with its holder.
            let listings = if *goes { 0 } else { listings };
            (false, held && listings > 0, listings, Reverse(row.set.key()))
        })
        .collect();
    for at in favoured(table, &pairs, &strengths, &goes) {
        strengths[at].0 = true;
    }
    for (a, b) in &mut pairs {
        if strengths[*b] > strengths[*a] {
            core::mem::swap(a, b);
        }
    }
    // The strongest first: what is in the way of another and makes way itself keeps nobody out.
    pairs.sort_unstable_by_key(|(a, b)| (Reverse(strengths[*a]), Reverse(strengths[*b])));
    let stays = stay_until_up(table, &pairs, &goes, members, majority);
    for (wins, loses) in pairs {
        if table.rows[wins].blocked_by.is_some() {
            outlive(table, wins, loses);
            won.extend(outbid(table, had[wins], loses));
            continue;
        }
        // As it was before the first of several parts took its place.
        let (winner, holder) = (table.rows[wins].set.key(), had[loses]);
        let heir = holder.filter(|at| table.rows[wins].may.get(*at).is_some_and(|may| may.listed));
        let holders = table.rows[loses].holders();
        if table.rows[wins].quorum || table.rows[loses].quorum {
            table.rows[wins].taken.extend(&holders);
        }
        let (in_others, lost) = &others[wins];
        let alone = |at: &usize| !lost && in_others.iter().all(|one| one == at);
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
        if stays[loses] {
            table.rows[wins].awaited = true;
            table.rows[loses].contested = true;
            continue;
        }
        won.extend(outbid(table, holder, wins));
        inherit(table, loses, wins);
        let loser = &mut table.rows[loses];
        // Whoever has it says when it is off.
        loser.going = holders;
        loser.blocked_by = Some(winner);
        loser.owner = None;
        loser.moving = None;
        loser.reason = Reason::Contradiction;
    }
    won
}

/// This one, if it stays at another than who has its addresses in a form that goes.
fn outbid(table: &Table, holder: Option<usize>, stays: usize) -> Option<SetKey> {
    let row = &table.rows[stays];
    (holder.is_some() && row.destined().is_some() && row.destined() != holder)
        .then(|| row.set.key())
}

/// Those that have an address in common, the one that is listed first before the other. What was found before is forgotten.
fn pairs(table: &mut Table) -> Vec<(usize, usize)> {
    let mut by_address: Vec<(IpAddr, usize)> = Vec::new();
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
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Members that do not list the one but the other, and can hold that.
fn otherwise(table: &mut Table, here: usize, other: usize) {
    let listed: Vec<bool> =
        table.rows[other].may.iter().map(|may| may.listed && may.able).collect();
    for (may, listed) in table.rows[here].may.iter_mut().zip(listed) {
        may.otherwise |= listed && !may.listed;
    }
}

/// Of each, whether its holder is to give it away and nobody but him can have it in this form, while others can in another.
fn goes_with_its_holder(
    table: &Table,
    pairs: &[(usize, usize)],
    members: &[Member],
    majority: bool,
) -> Vec<bool> {
    let mut goes = alloc::vec![false; table.rows.len()];
    let others_can = |row: &Row, holder: usize, worst: Option<u8>| {
        let better = |tier: u8| worst.is_none_or(|worst| tier < worst);
        (0..members.len())
            .any(|at| at != holder && tier(row, at, members, majority).is_some_and(better))
    };
    for (a, b) in pairs.iter().copied() {
        for (one, other) in [(a, b), (b, a)] {
            let row = &table.rows[one];
            let (Some(holder), None) = (row.owner, &row.moving) else { continue };
            if row.contested && complaint(row, holder, members, majority).is_some() {
                let worst = tier(row, holder, members, majority);
                goes[one] |= !others_can(row, holder, worst)
                    && others_can(&table.rows[other], holder, worst);
            }
        }
    }
    goes
}

/// The forms of one machine's list, for each group of contradictions of which the strongest alone would leave an address to nobody
/// that can be had.
fn favoured(
    table: &Table,
    pairs: &[(usize, usize)],
    strengths: &[Strength],
    goes: &[bool],
) -> Vec<usize> {
    let mut favoured = Vec::new();
    if pairs.len() < 2 {
        return favoured;
    }
    let mut near: Vec<Vec<usize>> = alloc::vec![Vec::new(); table.rows.len()];
    for (a, b) in pairs.iter().copied() {
        near[a].push(b);
        near[b].push(a);
    }
    let can_be_had = |at: &&usize| {
        let row = &table.rows[**at];
        let may = |may: &May| may.listed && may.able && !may.failed;
        !goes[**at] && (row.destined().is_some() || row.may.iter().any(may))
    };
    let mut seen = alloc::vec![false; table.rows.len()];
    for begin in 0..table.rows.len() {
        if seen[begin] || near[begin].is_empty() {
            continue;
        }
        let mut group = alloc::vec![begin];
        seen[begin] = true;
        let mut next = 0;
        while let Some(at) = group.get(next).copied() {
            next += 1;
            for other in near[at].iter().copied() {
                if !core::mem::replace(&mut seen[other], true) {
                    group.push(other);
                }
            }
        }
        group.sort_by_key(|at| Reverse(strengths[*at]));
        let all: BTreeSet<IpAddr> = addresses(table, group.iter().filter(can_be_had));
        let live = |chosen: &[usize]| -> usize {
            addresses(table, chosen.iter().filter(can_be_had)).len()
        };
        let best = live(&independent(&group, &near));
        if best == all.len() {
            continue;
        }
        let members = table.rows[begin].may.len();
        let lists = (0..members).filter_map(|member| {
            let is_listed =
                |at: &usize| table.rows[*at].may.get(member).is_some_and(|may| may.listed);
            let (mut first, rest): (Vec<usize>, Vec<usize>) =
                group.iter().copied().partition(is_listed);
            let listed = first.clone();
            first.extend(rest);
            let chosen = independent(&first, &near);
            let covered = live(&chosen);
            let held = chosen.iter().filter(|at| strengths[**at].1).count();
            (covered > best).then_some((covered, held, Reverse(member), listed))
        });
        if let Some((.., listed)) = lists.max() {
            favoured.extend(listed);
        }
    }
    favoured
}

/// Of these, each that contradicts none before it that was taken.
fn independent(order: &[usize], near: &[Vec<usize>]) -> Vec<usize> {
    let mut out = BTreeSet::new();
    let mut chosen = Vec::new();
    for at in order.iter().copied() {
        if !out.contains(&at) {
            chosen.push(at);
            out.extend(near[at].iter().copied());
        }
    }
    chosen
}

fn addresses<'a>(table: &Table, rows: impl Iterator<Item = &'a usize>) -> BTreeSet<IpAddr> {
    rows.flat_map(|at| table.rows[*at].set.addresses()).copied().collect()
}

/// Of each, whether it stays at its holder until every form that takes its place is up elsewhere: make before break. `pairs` have the
/// stronger one first, and the strongest come first.
fn stay_until_up(
    table: &Table,
    pairs: &[(usize, usize)],
    goes: &[bool],
    members: &[Member],
    majority: bool,
) -> Vec<bool> {
    let mut stays = alloc::vec![false; table.rows.len()];
    let mut blocked = stays.clone();
    for (wins, loses) in pairs.iter().copied() {
        if blocked[wins] {
            continue;
        }
        blocked[loses] = true;
        let (new, old) = (&table.rows[wins], &table.rows[loses]);
        let Some(from) = old.owner else { continue };
        let still = old.moving.is_none() && new.moving.is_none() && !(new.quorum || old.quorum);
        let makes_way = goes[loses] || old.may[from].otherwise && old.listings() == 0;
        let comes = match new.owner {
            Some(to) => to != from && new.up_at != Some(to),
            // Somebody is given it now.
            None if goes[loses] => (0..members.len())
                .any(|at| at != from && tier(new, at, members, majority).is_some()),
            None => false,
        };
        stays[loses] |= still && makes_way && comes;
    }
    stays
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

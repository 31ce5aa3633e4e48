//! The functions of a chain, one after another over the list.

use alloc::string::ToString;

use base::Random;

use super::list::{Bits, Candidate, Names, Scratch, has, put};
use super::{Tried, View, fresh, rank};
use crate::chain::{Chain, Entry, Function};
use crate::explain::Explanation;
use crate::hot::{Arrival, MAX_MACHINES, Slot, Standing, TICK, ticks};
use crate::outside::{Outside, OutsideError};
use crate::request::RequestView;

/// What a run of the chain leaves beside the list.
#[derive(Default)]
pub(super) struct Run {
    pub(super) probe: Option<Slot>,
    pub(super) failed: Option<u8>,
}

pub(super) fn chain<R: RequestView>(
    chain: &Chain,
    view: &View<'_>,
    request: &R,
    tried: &Tried,
    random: &mut Random,
    scratch: &mut Scratch,
    explanation: &mut Option<&mut Explanation>,
) -> Run {
    let mut run = Run::default();
    for (index, entry) in chain.steps.iter().enumerate() {
        if let Some(explanation) = explanation {
            explanation.before(&scratch.list);
        }
        let mut failure = None;
        match &entry.function {
            Function::Fresh => {
                run.probe = fresh::run(view, random, scratch, entry.last_order, explanation);
                if let Some(explanation) = explanation.as_mut().filter(|_| entry.last_order) {
                    explanation.narrowed();
                }
            }
            Function::Outside { function, argument } => {
                let outcome = outside(&**function, argument, view, request, tried, scratch);
                if let Err(error) = outcome {
                    run.failed = Some(index as u8);
                    failure = Some(error);
                }
            }
            _ => step(index, entry, view, tried, random, scratch, explanation.is_some()),
        }
        if let Some(explanation) = explanation {
            explanation.after(&entry.text, &scratch.list, failure.map(|e| e.to_string()));
        }
    }
    run
}

fn step(
    index: usize,
    entry: &Entry,
    view: &View<'_>,
    tried: &Tried,
    random: &mut Random,
    scratch: &mut Scratch,
    explained: bool,
) {
    let this = view.snapshot.this();
    let list = &mut scratch.list;
    match &entry.function {
        Function::Age { nanos } => {
            let oldest = ticks(view.now).saturating_sub(nanos >> TICK);
            list.retain(|c| heard_at(view, c) >= oldest);
        }
        Function::Random { window } => {
            let wanted = if *window { log_window(list.len()) } else { list.len() };
            for i in 0..wanted.min(list.len().saturating_sub(1)) {
                let left = (list.len() - i) as u32;
                list.swap(i, i + random.below(left) as usize);
            }
        }
        Function::LogWindow => list.truncate(log_window(list.len())),
        Function::Cpu | Function::Load { .. } | Function::BusyChildren | Function::Cost => {
            for candidate in list.iter_mut() {
                candidate.key = rank::figure(&entry.function, view, candidate.slot);
            }
            if entry.last_order && !explained { rank::front(list) } else { rank::sort(list) }
        }
        Function::AddPrediction => {
            if let Some(first) = list.first() {
                view.hot.predict(first.slot);
            }
        }
        Function::Hostname { regex, key } => {
            let kept = names(&mut scratch.names, *key, view, |name| regex.is_match(name));
            list.retain(|c| has(kept, c.slot));
        }
        Function::RemoveSelf => list.retain(|c| c.slot != this),
        Function::AddSelf => {
            let usable = view.hot.standing_here() == Standing::Usable
                && view.snapshot.machine(this).is_some()
                && !tried.contains(this);
            if usable && !list.iter().any(|c| c.slot == this) {
                list.push(Candidate::new(this, Arrival::new(view.now, 0, 0)));
            }
        }
        Function::RedirectToIp | Function::RedirectToName { .. } => {
            for candidate in list.iter_mut() {
                candidate.redirect = index as u8 + 1;
            }
        }
        Function::Off | Function::Fresh | Function::Outside { .. } => {}
    }
}

/// ⌊log₂ n⌋, at least one.
fn log_window(n: usize) -> usize {
    (n.checked_ilog2().unwrap_or(0) as usize).max(1)
}

/// When a machine was last heard, by a report or by the announcement that admitted it.
fn heard_at(view: &View<'_>, candidate: &Candidate) -> u64 {
    if candidate.arrival.is_never() {
        view.hot.announced_at(candidate.slot).map_or(0, ticks)
    } else {
        candidate.arrival.at()
    }
}

/// The machines whose names match, found once per snapshot.
fn names<'a>(
    cache: &'a mut alloc::vec::Vec<Names>,
    key: u64,
    view: &View<'_>,
    matches: impl Fn(&str) -> bool,
) -> &'a Bits {
    let version = view.snapshot.version();
    let at = cache.iter().position(|names| names.key == key).unwrap_or_else(|| {
        cache.push(Names { key, version: version.wrapping_sub(1), kept: [0; MAX_MACHINES / 64] });
        cache.len() - 1
    });
    let names = &mut cache[at];
    if names.version != version {
        names.version = version;
        names.kept = [0; MAX_MACHINES / 64];
        for &slot in view.snapshot.present() {
            let kept = view.snapshot.machine(slot).is_some_and(|machine| {
                matches(&machine.name) || machine.service.name.as_deref().is_some_and(&matches)
            });
            if kept {
                put(&mut names.kept, slot);
            }
        }
    }
    &names.kept
}

/// Calls a function from outside and takes over its list if that list is allowed.
fn outside<R: RequestView>(
    function: &dyn Outside,
    argument: &str,
    view: &View<'_>,
    request: &R,
    tried: &Tried,
    scratch: &mut Scratch,
) -> Result<(), OutsideError> {
    let Scratch { list, slots, .. } = scratch;
    slots.clear();
    slots.extend(list.iter().map(|c| c.slot));
    function.call(view, request, argument, slots)?;
    let mut seen: Bits = [0; MAX_MACHINES / 64];
    for &slot in slots.iter() {
        if slot.index() >= MAX_MACHINES || !put(&mut seen, slot) {
            return Err(OutsideError(alloc::format!("named row {} twice or out of range", slot.0)));
        }
        if !list.iter().any(|c| c.slot == slot) && !may_come_in(view, tried, slot) {
            return Err(OutsideError(alloc::format!(
                "named row {}, which is no candidate",
                slot.0
            )));
        }
    }
    // Those that were there keep what is known of them; newcomers are looked up.
    let before = list.len();
    for &slot in slots.iter() {
        let known = list[..before].iter().find(|c| c.slot == slot).copied();
        list.push(known.unwrap_or_else(|| Candidate::new(slot, arrival(view, slot))));
    }
    list.drain(..before);
    Ok(())
}

fn arrival(view: &View<'_>, slot: Slot) -> Arrival {
    if slot == view.snapshot.this() {
        Arrival::new(view.now, 0, 0)
    } else {
        view.hot.look(slot, ticks(view.now)).1
    }
}

fn may_come_in(view: &View<'_>, tried: &Tried, slot: Slot) -> bool {
    let standing = if slot == view.snapshot.this() {
        view.hot.standing_here()
    } else {
        view.hot.standing(slot, view.now)
    };
    view.snapshot.machine(slot).is_some() && standing == Standing::Usable && !tried.contains(slot)
}

//! Ordering a list by a figure.

use super::View;
use super::list::Candidate;
use crate::chain::Function;
use crate::cost;
use crate::hot::Slot;

/// What the historical functions rank a machine by: least first.
pub(super) fn figure(function: &Function, view: &View<'_>, slot: Slot) -> f32 {
    let here = slot == view.snapshot.this();
    let Some(machine) = view.snapshot.machine(slot) else { return f32::INFINITY };
    let predicted = view.hot.predicted(slot);
    match function {
        // The busy share in percent: the explanation shows it.
        Function::Cpu => 100.0 - f32::from(machine.cpu_idle_permille) / 10.0,
        Function::Load { bias } => {
            let load = machine.load_milli as f32 / 1000.0 + predicted as f32;
            if here { load } else { load + bias }
        }
        Function::BusyChildren if here => view.hot.serving() as f32,
        Function::BusyChildren => {
            let reported = view.hot.heard(slot).map_or(0, |heard| heard.report.in_flight);
            f32::from(reported) + predicted as f32
        }
        Function::Cost if predicted == 0 => view.snapshot.figures(slot).classic,
        Function::Cost => cost::classic_with(machine, predicted, view.snapshot.present().len()),
        _ => 0.0,
    }
}

/// Sorts by key, least first; equals keep their order.
pub(super) fn sort(list: &mut [Candidate]) {
    for (place, candidate) in list.iter_mut().enumerate() {
        candidate.place = place as u16;
    }
    list.sort_unstable_by(|a, b| a.key.total_cmp(&b.key).then(a.place.cmp(&b.place)));
}

/// Brings the first of the least keys to the front: all that is needed when nobody looks further.
pub(super) fn front(list: &mut [Candidate]) {
    let mut best = 0;
    for i in 1..list.len() {
        if list[i].key < list[best].key {
            best = i;
        }
    }
    if best > 0 {
        list.swap(0, best);
    }
}

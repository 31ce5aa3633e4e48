//! Explanations, with names in place of rows.

use balancer::Explained;
use base::Instant;
use candidacy::explain::{Appraisal as Seen, Step as Done};
use candidacy::{Slot, Snapshot, Verdict};

use super::name;
use crate::view::{Appraisal, DecisionRow, Outcome, Ranked, Step, Struck};

/// Longest path shown, in characters.
const PATH_MAX: usize = 120;

/// The decisions, newest first. Rows are named by today's snapshot: a machine that left since is
/// shown by its number.
pub(super) fn rows(explained: &[Explained], snapshot: &Snapshot, now: Instant) -> Vec<DecisionRow> {
    explained.iter().rev().map(|one| row(one, snapshot, now)).collect()
}

fn row(one: &Explained, snapshot: &Snapshot, now: Instant) -> DecisionRow {
    let e = &one.explanation;
    let names = |slots: &[Slot]| slots.iter().map(|&slot| name(snapshot, slot)).collect::<Vec<_>>();
    let (outcome, winner) = match e.verdict {
        None | Some(Verdict::Here) => (Outcome::Here, Some(snapshot.this())),
        Some(Verdict::Proxy(slot)) => (Outcome::Proxy, Some(slot)),
        Some(Verdict::Redirect { slot, .. }) => (Outcome::Redirect, Some(slot)),
        Some(_) => (Outcome::Refuse, None),
    };
    DecisionRow {
        // Decisions that are kept lie milliseconds apart, so microseconds tell them from each other.
        number: one.at.as_nanos() / 1_000,
        age_ms: u64::try_from(now.since(one.at).as_millis()).unwrap_or(u64::MAX),
        method: one.method.clone(),
        host: one.host.clone(),
        path: path(&one.target),
        route: one.route.clone(),
        outcome,
        winner: winner.map(|slot| name(snapshot, slot)),
        reason: e.reason.map(|reason| reason.as_str().into()).unwrap_or_default(),
        why: e.because.clone(),
        excluded: e
            .excluded
            .iter()
            .map(|&(slot, why)| Struck { name: name(snapshot, slot), why: why.as_str().into() })
            .collect(),
        candidates: names(&before(e.steps.first())),
        steps: e.steps.iter().map(|done| step(done, snapshot)).collect(),
        appraisals: e.appraisals.iter().map(|seen| appraisal(seen, snapshot)).collect(),
        estimates: e.estimates.iter().map(|seen| appraisal(seen, snapshot)).collect(),
        answered: names(&e.answered),
        silent: names(&e.silent),
        promised: names(&e.promised),
        waited_ms: e.waited.map(|waited| waited.as_secs_f64() * 1e3),
    }
}

/// Who was there before the first function: those it left and those it took out, without those it
/// brought in, in the order of the matrix.
fn before(first: Option<&Done>) -> Vec<Slot> {
    let Some(first) = first else { return Vec::new() };
    let left = first.left.iter().filter(|slot| !first.came.contains(slot));
    let mut all: Vec<Slot> = left.chain(&first.went).copied().collect();
    all.sort_unstable();
    all
}

fn step(done: &Done, snapshot: &Snapshot) -> Step {
    let names = |slots: &[Slot]| slots.iter().map(|&slot| name(snapshot, slot)).collect();
    let ranked = done.left.iter().enumerate().map(|(i, &slot)| Ranked {
        name: name(snapshot, slot),
        figure: done.figures.get(i).copied(),
    });
    Step {
        function: done.function.clone(),
        left: ranked.collect(),
        came: names(&done.came),
        went: names(&done.went),
        failed: done.failed.clone(),
    }
}

fn appraisal(seen: &Seen, snapshot: &Snapshot) -> Appraisal {
    Appraisal {
        name: name(snapshot, seen.slot),
        mine: seen.mine,
        others: seen.others,
        age_ms: seen.age.map(|age| age.as_secs_f64() * 1e3),
        growth: seen.growth,
        hop: seen.hop,
        penalty: seen.penalty,
        strain: seen.strain,
        cost: seen.cost,
    }
}

/// The target without its query, cut.
fn path(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, false), |(path, _)| (path, true));
    let mut shown: String = path.chars().take(PATH_MAX).collect();
    if path.chars().nth(PATH_MAX).is_some() {
        shown.push('…');
    }
    if query {
        shown.push_str("?…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::MachineId;
    use candidacy::hot::Standing;
    use candidacy::{Explanation, Machine, Reason};

    fn snapshot() -> Snapshot {
        let machine = |n: u8| {
            let addr = std::net::SocketAddr::from(([10, 0, 0, n], 80));
            Some(Machine::new(MachineId([n; 16]), format!("web{n}"), addr))
        };
        Snapshot::new(1, Slot(0), vec![machine(0), machine(1), machine(2)])
    }

    #[test]
    fn a_decision_is_told_with_names() {
        let step = Done {
            function: "byHostname ^web1".into(),
            left: vec![Slot(1), Slot(9)],
            came: vec![Slot(9)],
            went: vec![Slot(0)],
            figures: vec![0.5],
            failed: None,
        };
        let mut explanation = Explanation::default();
        explanation.excluded.push((Slot(2), Standing::OverLimit));
        explanation.steps.push(step);
        explanation.verdict = Some(Verdict::Proxy(Slot(1)));
        explanation.reason = Some(Reason::BestThere);
        explanation.because = "web1 is the only one".into();
        let at = Instant::from_millis(1_000);
        let one = Explained {
            at,
            method: "GET".into(),
            host: "a".into(),
            target: format!("/{}?token=secret", "x".repeat(500)),
            route: "default".into(),
            explanation,
        };
        let rows = rows(&[one], &snapshot(), Instant::from_millis(1_250));
        let row = &rows[0];
        assert_eq!(
            (row.age_ms, row.outcome, row.winner.as_deref()),
            (250, Outcome::Proxy, Some("web1"))
        );
        assert_eq!(row.candidates, ["web0", "web1"]);
        assert_eq!(
            (row.excluded[0].name.as_str(), row.excluded[0].why.as_str()),
            ("web2", "over limit")
        );
        let step = &row.steps[0];
        assert_eq!((step.left[0].figure, step.left[1].name.as_str()), (Some(0.5), "row 9"));
        assert_eq!(step.went, ["web0"]);
        assert!(row.path.ends_with("x…?…") && !row.path.contains("secret"), "{}", row.path);
        assert_eq!(row.reason, "best_there");
    }
}

//! Rounds of questions over small fleets.

use core::time::Duration;

use super::*;
use crate::decide;
use crate::hot::Hot;
use crate::request::Plain;
use crate::snapshot::Snapshot;
use crate::testing::{fleet, hear};
use crate::{Chain, Condition};

const NOW: Instant = Instant::from_millis(10_000);

struct Desk {
    hot: Hot,
    snapshot: Snapshot,
    random: Random,
    scratch: Scratch,
}

impl Desk {
    /// A fleet in which this machine is so busy that asking makes sense.
    fn new(machines: u16) -> Self {
        let (hot, snapshot) = fleet(machines, NOW);
        (0..10).for_each(|_| hot.begin_service());
        Self { hot, snapshot, random: Random::new(1), scratch: Scratch::new() }
    }

    fn view(&self) -> View<'_> {
        let service = Duration::from_millis(20);
        View { hot: &self.hot, snapshot: &self.snapshot, now: NOW, service }
    }

    fn plan(&mut self) -> Option<Round> {
        let Self { hot, snapshot, random, scratch } = self;
        let view = View { hot, snapshot, now: NOW, service: Duration::from_millis(20) };
        let chain = Chain::standard();
        let first = decide(&chain, &view, &Plain::default(), &Tried::NONE, random, scratch, None);
        let times = AnswerTimes::default();
        Round::plan(&first, &view, scratch, random, &times, &AskingRules::default())
    }

    fn decide(&mut self, round: &Round) -> Decision {
        let Self { hot, snapshot, random, scratch } = self;
        let view = View { hot, snapshot, now: NOW, service: Duration::from_millis(20) };
        round.decide(&view, random, scratch, None)
    }
}

#[test]
fn about_twice_the_logarithm_is_asked() {
    for (machines, expected) in [(2, 1), (3, 2), (6, 5), (20, 9), (100, 14), (1024, 20)] {
        let round = Desk::new(machines).plan().unwrap();
        let mut slots: alloc::vec::Vec<Slot> = round.asked().collect();
        assert_eq!(slots.len(), expected, "{machines}");
        slots.sort();
        slots.dedup();
        assert_eq!(slots.len(), expected, "nobody is asked twice");
        assert!(!slots.contains(&Slot(0)), "nobody asks himself");
        assert_eq!(round.deadline(), NOW + Duration::from_millis(1));
    }
}

#[test]
fn an_idle_machine_among_equals_asks_nobody() {
    let mut desk = Desk::new(6);
    (0..10).for_each(|_| desk.hot.end_service());
    assert!(desk.plan().is_none());
}

#[test]
fn when_all_are_overloaded_nobody_is_asked() {
    let mut desk = Desk::new(6);
    (1..6).for_each(|slot| hear(&desk.hot, Slot(slot), 40, NOW));
    (0..40).for_each(|_| desk.hot.begin_service());
    assert!(desk.plan().is_none());
}

#[test]
fn a_fifth_of_a_cpu_is_not_overloaded_by_one_request() {
    let mut desk = Desk::new(6);
    let machines = desk.snapshot.machines().iter().cloned().map(|machine| {
        machine.map(|mut m| {
            m.cpus_milli = 200;
            m
        })
    });
    desk.snapshot = Snapshot::new(2, Slot(0), machines.collect());
    (1..6).for_each(|slot| hear(&desk.hot, Slot(slot), 2, NOW));
    assert!(desk.plan().is_some());
    (1..6).for_each(|slot| hear(&desk.hot, Slot(slot), 40, NOW));
    (0..40).for_each(|_| desk.hot.begin_service());
    assert!(desk.plan().is_none());
}

#[test]
fn who_cannot_be_asked_is_not_asked() {
    let mut desk = Desk::new(6);
    let machines = desk.snapshot.machines().iter().cloned().map(|machine| {
        machine.map(|mut m| {
            m.exchange = m.exchange.filter(|_| m.name != "web3");
            m
        })
    });
    desk.snapshot = Snapshot::new(2, Slot(0), machines.collect());
    let round = desk.plan().unwrap();
    assert_eq!(round.counts().0, 4);
    assert!(!round.asked().any(|slot| slot == Slot(3)));
}

#[test]
fn the_answers_decide() {
    let mut desk = Desk::new(6);
    let mut round = desk.plan().unwrap();
    let asked: alloc::vec::Vec<Slot> = round.asked().collect();
    for (i, &slot) in asked.iter().enumerate() {
        hear(&desk.hot, slot, if slot == Slot(4) { 1 } else { 9 }, NOW);
        assert_eq!(round.answer(slot, 70 + u32::from(slot.0)), i + 1 >= 4, "four in five");
    }
    let decision = desk.decide(&round);
    assert_eq!((decision.verdict, decision.reason), (Verdict::Proxy(Slot(4)), Reason::Asked));
    assert_eq!(round.reservation(Slot(4)), 74);
    assert_eq!(decision.age.map(|age| age.as_micros()), Some(0));
}

#[test]
fn silence_is_judged_by_what_is_known() {
    let mut desk = Desk::new(6);
    (1..6).for_each(|slot| hear(&desk.hot, Slot(slot), if slot == 2 { 0 } else { 5 }, NOW));
    let round = desk.plan().unwrap();
    let decision = desk.decide(&round);
    assert_eq!(decision.verdict, Verdict::Proxy(Slot(2)));
    assert_eq!((decision.reason, round.counts()), (Reason::AskedSilence, (5, 0)));
}

#[test]
fn who_died_meanwhile_is_not_named() {
    let mut desk = Desk::new(3);
    let round = desk.plan().unwrap();
    desk.hot.set_condition(Slot(1), Condition::Dead);
    assert_eq!(desk.decide(&round).verdict, Verdict::Proxy(Slot(2)));
    desk.hot.set_condition(Slot(2), Condition::Dead);
    assert_eq!(desk.decide(&round).verdict, Verdict::Here);
    desk.hot.set_flags_here(crate::Flags::DRAINING);
    assert_eq!(desk.decide(&round).reason, Reason::EmptyHere);
}

#[test]
fn strange_answers_change_nothing() {
    let mut desk = Desk::new(3);
    let mut round = desk.plan().unwrap();
    assert!(!round.answer(Slot(0), 1) && !round.answer(Slot(900), 1));
    assert!(!round.answer(Slot(1), 5) && !round.answer(Slot(1), 6));
    assert_eq!((round.reservation(Slot(1)), round.counts()), (5, (2, 1)));
    assert!(round.answer(Slot(2), 0));
}

#[test]
fn an_explanation_names_who_answered_and_who_was_silent() {
    let mut desk = Desk::new(3);
    let mut round = desk.plan().unwrap();
    round.answer(Slot(1), 0);
    let mut explanation = Explanation::default();
    let (view, mut random, mut scratch) = (desk.view(), Random::new(2), Scratch::new());
    let told = round.decide(&view, &mut random, &mut scratch, Some(&mut explanation));
    let again = round.decide(&view, &mut Random::new(2), &mut scratch, None);
    assert_eq!(told, again, "telling changes nothing");
    assert_eq!((explanation.answered, explanation.silent), ([Slot(1)].into(), [Slot(2)].into()));
    assert_eq!(explanation.appraisals.len(), 3);
}

#[test]
fn an_asked_decision_is_told_from_the_first_function_on() {
    let mut desk = Desk::new(6);
    desk.hot.set_condition(Slot(5), Condition::Dead);
    let mut explanation = Explanation::default();
    let Desk { hot, snapshot, random, scratch } = &mut desk;
    let mut view = View { hot, snapshot, now: NOW, service: Duration::from_millis(20) };
    let chain = Chain::parse(&["byHostname ^web[0-3]", "byFresh"]).unwrap();
    let request = Plain::default();
    let tell = Some(&mut explanation);
    let first = decide(&chain, &view, &request, &Tried::NONE, random, scratch, tell);
    let times = AnswerTimes::default();
    let round = Round::plan(&first, &view, scratch, random, &times, &AskingRules::default());
    let mut round = round.unwrap();
    let asked: alloc::vec::Vec<Slot> = round.asked().collect();
    hear(hot, asked[0], 0, NOW);
    round.answer(asked[0], 7);
    view.now = NOW + Duration::from_micros(400);
    let decision = round.decide(&view, random, scratch, Some(&mut explanation));
    assert_eq!(decision.verdict, Verdict::Proxy(asked[0]));

    let functions: alloc::vec::Vec<&str> =
        explanation.steps.iter().map(|step| &*step.function).collect();
    assert_eq!(functions, ["byHostname ^web[0-3]", "byFresh", crate::explain::ASKING]);
    assert_eq!(explanation.steps[0].went, [Slot(4)], "who went out before is still told");
    assert_eq!(explanation.excluded, [(Slot(5), crate::hot::Standing::Dead)]);
    assert_eq!(explanation.steps[2].left[0], asked[0], "the winner stands first");
    assert!(!explanation.estimates.is_empty(), "what was thought before the questions");
    assert_eq!(explanation.appraisals.len(), asked.len() + 1);
    assert_eq!(explanation.answered, [asked[0]]);
    assert_eq!(explanation.silent, asked[1..]);
    assert_eq!(explanation.waited, Some(Duration::from_micros(400)));
    let told = explanation.lines(snapshot).join("\n");
    for words in ["went out: web4", "before asking", "asked, 0.40 ms; answered: web", "costs"] {
        assert!(told.contains(words), "{words} in:\n{told}");
    }
}

//! Chains over small fleets, and what must hold for any fleet.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::hot::Condition;
use crate::outside::{Outside, OutsideError};
use crate::report::{Flags, Report};
use crate::request::Plain;
use crate::snapshot::Machine;
use crate::testing::{fleet, hear, machine};

const NOW: Instant = Instant::from_millis(100_000);
const GET: Plain<'_> = Plain { host: "www", target: "/", method: "GET", headers: &[] };

/// A fleet and a worker's belongings.
struct Desk {
    hot: Hot,
    snapshot: Snapshot,
    random: Random,
    scratch: Scratch,
    now: Instant,
}

impl Desk {
    fn new(machines: u16) -> Self {
        let (hot, snapshot) = fleet(machines, NOW);
        Self { hot, snapshot, random: Random::new(1), scratch: Scratch::new(), now: NOW }
    }

    /// Changes the slow figures.
    fn edit(mut self, edit: impl Fn(usize, &mut Machine)) -> Self {
        let mut machines = self.snapshot.machines().to_vec();
        for (i, machine) in machines.iter_mut().enumerate() {
            edit(i, machine.as_mut().unwrap());
        }
        let version = self.snapshot.version() + 1;
        self.snapshot = Snapshot::new(version, self.snapshot.this(), machines);
        self
    }

    fn run(
        &mut self,
        chain: &Chain,
        request: &Plain<'_>,
        tried: &Tried,
        explanation: Option<&mut Explanation>,
    ) -> Decision {
        let Self { hot, snapshot, random, scratch, now } = self;
        let view = View { hot, snapshot, now: *now, service: Duration::from_millis(20) };
        decide(chain, &view, request, tried, random, scratch, explanation)
    }

    fn decide(&mut self, texts: &[&str]) -> Decision {
        self.run(&Chain::parse(texts).unwrap(), &GET, &Tried::NONE, None)
    }

    /// The list that a chain leaves, in order.
    fn list(&mut self, texts: &[&str]) -> Vec<u16> {
        let mut explanation = Explanation::default();
        self.run(&Chain::parse(texts).unwrap(), &GET, &Tried::NONE, Some(&mut explanation));
        explanation.steps.last().unwrap().left.iter().map(|slot| slot.0).collect()
    }
}

fn proxy(slot: u16) -> Verdict {
    Verdict::Proxy(Slot(slot))
}

#[test]
fn by_age_removes_who_was_not_heard_from() {
    let mut desk = Desk::new(4);
    desk.now = Instant::from_millis(106_000);
    hear(&desk.hot, Slot(2), 0, Instant::from_millis(102_000));
    assert_eq!(desk.list(&["byAge"]), [0, 2]);
    assert_eq!(desk.list(&["byAge 2"]), [0]);
    assert_eq!(desk.list(&["byAge 60"]), [0, 1, 2, 3]);
}

#[test]
fn by_random_gives_everyone_every_place() {
    let mut desk = Desk::new(4);
    let mut firsts = [0; 4];
    for _ in 0..4000 {
        let mut list = desk.list(&["byRandom"]);
        firsts[usize::from(list[0])] += 1;
        list.sort_unstable();
        assert_eq!(list, [0, 1, 2, 3]);
    }
    assert!(firsts.iter().all(|&n| (850..1150).contains(&n)), "{firsts:?}");
}

#[test]
fn by_log_window_keeps_the_first_logarithm() {
    for (machines, kept) in [(1, 1), (2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (100, 6), (1024, 10)] {
        let mut desk = Desk::new(machines);
        assert_eq!(desk.list(&["byLogWindow"]), (0..kept).collect::<Vec<u16>>(), "{machines}");
    }
}

#[test]
fn a_random_window_is_drawn_from_all() {
    let mut desk = Desk::new(8);
    let mut chosen = [0; 8];
    for _ in 0..8000 {
        let list = desk.list(&["byRandom", "byLogWindow"]);
        assert_eq!(list.len(), 3);
        list.iter().for_each(|&slot| chosen[usize::from(slot)] += 1);
    }
    assert!(chosen.iter().all(|&n| (2800..3200).contains(&n)), "{chosen:?}");
}

#[test]
fn by_cpu_and_by_load_order_by_their_figures() {
    let mut desk = Desk::new(4).edit(|i, m| {
        m.cpu_idle_permille = [100, 900, 500, 300][i];
        m.load_milli = [2000, 1500, 3000, 1500][i];
    });
    assert_eq!(desk.list(&["byCPU"]), [1, 2, 3, 0]);
    assert_eq!(desk.list(&["byLoad"]), [1, 3, 0, 2]);
    assert_eq!(desk.list(&["byLoad 0.6"]), [0, 1, 3, 2], "a bias favours this machine");
}

#[test]
fn by_busy_children_orders_by_requests_in_service() {
    let mut desk = Desk::new(4);
    for (slot, n) in [(1, 5), (2, 3), (3, 4)] {
        hear(&desk.hot, Slot(slot), n, NOW);
    }
    (0..6).for_each(|_| desk.hot.begin_service());
    assert_eq!(desk.list(&["byBusyChildren"]), [2, 3, 1, 0]);
}

#[test]
fn by_cost_shuns_a_machine_whose_memory_or_load_is_nearly_used_up() {
    let mut desk = Desk::new(3).edit(|i, m| {
        (m.total_memory, m.available_memory) = (100, [50, 2, 50][i]);
        (m.load_milli, m.load_high_water) = ([3900, 0, 1000][i], 4);
    });
    assert_eq!(desk.list(&["byCost"]), [2, 1, 0]);
}

#[test]
fn a_prediction_moves_the_next_choice_until_the_next_announcement() {
    for by in ["byLoad", "byBusyChildren", "byCost"] {
        let mut desk = Desk::new(4);
        let mut choose = || match desk.decide(&["removeSelf", by, "addPrediction"]).verdict {
            Verdict::Proxy(slot) => slot.0,
            other => panic!("{other:?}"),
        };
        assert_eq!([(); 6].map(|()| choose()), [1, 2, 3, 1, 2, 3], "{by}");
        desk.hot.announced(Slot(3), NOW);
        assert_eq!(desk.decide(&["removeSelf", by]).verdict, proxy(3), "{by}");
    }
}

#[test]
fn by_hostname_keeps_names_that_match_in_every_new_snapshot() {
    let mut desk = Desk::new(4);
    assert_eq!(desk.list(&["byHostname web[13]"]), [1, 3]);
    let mut desk = desk.edit(|i, m| m.name = ["a1", "b1", "a2", "b2"][i].into());
    assert_eq!(desk.list(&["byHostname ^a"]), [0, 2]);
    assert_eq!(desk.list(&["byHostname web[13]"]), [] as [u16; 0]);
    let mut desk = desk.edit(|i, m| m.service.name = (i == 1).then(|| String::from("announced")));
    assert_eq!(desk.list(&["byHostname announced"]), [1]);
}

#[test]
fn self_can_be_removed_and_added() {
    let mut desk = Desk::new(3);
    assert_eq!(desk.list(&["removeSelf"]), [1, 2]);
    assert_eq!(desk.list(&["removeSelf", "addSelf"]), [1, 2, 0]);
    assert_eq!(desk.list(&["addSelf"]), [0, 1, 2]);
    desk.hot.set_flags_here(Flags::UNHEALTHY);
    assert_eq!(desk.list(&["addSelf"]), [1, 2], "a machine that may not serve is not added");
}

#[test]
fn redirects_name_the_machine_and_spare_clients_that_came_by_name() {
    let mut desk = Desk::new(3);
    let chain = Chain::parse(&["removeSelf", "HTTPRedirectToName %1S.%-2H"]).unwrap();
    let asked = |host| Plain { host, target: "/a?b", ..GET };
    let decision = desk.run(&chain, &asked("www.example.com"), &Tried::NONE, None);
    let Verdict::Redirect { slot, by } = decision.verdict else { panic!("{decision:?}") };
    let mut location = vec![];
    assert!(chain.location(by, &desk.snapshot, slot, &asked("www.example.com"), &mut location));
    assert_eq!(location, b"http://web1.example.com/a?b");
    for own in ["web0", "WEB0:80", "10.0.0.0", "web0.example.com", "Web0.example.com:8080"] {
        let decision = desk.run(&chain, &asked(own), &Tried::NONE, None);
        assert!(matches!(decision.verdict, Verdict::Proxy(_)), "{own}: this machine is ruled out");
        assert_eq!(decision.reason, Reason::OwnName, "{own}");
        let all = Chain::parse(&["byBusyChildren", "HTTPRedirectToName %1S.%-2H"]).unwrap();
        desk.hot.begin_service();
        let decision = desk.run(&all, &asked(own), &Tried::NONE, None);
        assert_eq!((decision.verdict, decision.reason), (Verdict::Here, Reason::OwnName), "{own}");
    }
    assert!(!chain.location(by, &desk.snapshot, slot, &asked("a b.c"), &mut location));
    assert!(location.ends_with(b"?b"), "nothing was written");
}

#[test]
fn off_stays_here_without_looking() {
    let decision = Desk::new(3).decide(&["off"]);
    assert_eq!((decision.verdict, decision.reason), (Verdict::Here, Reason::Off));
    let mut tried = Tried::NONE;
    tried.add(Slot(0));
    let again = Desk::new(3).run(&Chain::parse(&["off"]).unwrap(), &GET, &tried, None);
    assert_eq!((again.verdict, again.reason), (Verdict::Refuse, Reason::Off));
}

#[test]
fn who_is_kept_out_is_taken_where_nobody_else_is_left() {
    let mut desk = Desk::new(4);
    let until = Some(Instant::from_millis(200_000));
    desk.hot.eject_until(Slot(3), until);
    let only = |empty| {
        let database = |m: &Machine| alloc::format!("byHostname ^{}$", m.name);
        let text = database(&Desk::new(4).snapshot.machines()[3].clone().unwrap());
        Chain::parse(&[&*text]).unwrap().when_empty(empty)
    };
    let mut story = Explanation::default();
    let decision = desk.run(&only(Empty::Refuse), &GET, &Tried::NONE, Some(&mut story));
    assert_eq!((decision.verdict, decision.reason), (proxy(3), Reason::LastResort));
    assert!(story.because.contains("nobody else was left"), "{story:?}");
    assert_eq!(story.excluded, []);
    // Who has just failed this very request is not asked again.
    let mut tried = Tried::NONE;
    tried.add(Slot(3));
    let decision = desk.run(&only(Empty::Refuse), &GET, &tried, None);
    assert_eq!(decision.reason, Reason::EmptyRefused);
    // This machine is well and may take what is left, until it is not.
    let decision = desk.run(&only(Empty::Here), &GET, &Tried::NONE, None);
    assert_eq!((decision.verdict, decision.reason), (Verdict::Here, Reason::EmptyHere));
    desk.hot.set_flags_here(Flags::UNHEALTHY);
    let decision = desk.run(&only(Empty::Here), &GET, &Tried::NONE, None);
    assert_eq!((decision.verdict, decision.reason), (proxy(3), Reason::LastResort));
    (1..=2).for_each(|slot| desk.hot.eject_until(Slot(slot), until));
    let decision = desk.decide(&["byFresh"]);
    assert_eq!(decision.reason, Reason::LastResort);
    assert!(matches!(decision.verdict, Verdict::Proxy(_)));
}

#[test]
fn an_empty_list_means_what_the_route_says() {
    let mut desk = Desk::new(3);
    let texts = ["byHostname nobody"];
    assert_eq!(desk.decide(&texts).reason, Reason::EmptyHere);
    let refuse = Chain::parse(&texts).unwrap().when_empty(Empty::Refuse);
    let decision = desk.run(&refuse, &GET, &Tried::NONE, None);
    assert_eq!((decision.verdict, decision.reason), (Verdict::Refuse, Reason::EmptyRefused));
}

#[test]
fn a_retry_names_nobody_twice_and_ends() {
    for texts in [&["byFresh"][..], &["byAge", "byRandom", "byLogWindow", "byLoad"]] {
        let mut desk = Desk::new(4);
        let chain = Chain::parse(texts).unwrap();
        let mut tried = Tried::NONE;
        for _ in 0..4 {
            let slot = match desk.run(&chain, &GET, &tried, None).verdict {
                Verdict::Proxy(slot) => slot,
                Verdict::Here => Slot(0),
                other => panic!("{other:?}"),
            };
            assert!(!tried.contains(slot));
            assert!(tried.add(slot));
        }
        assert_eq!(desk.run(&chain, &GET, &tried, None).verdict, Verdict::Refuse);
    }
}

#[test]
fn a_machine_alone_serves_itself() {
    let decision = Desk::new(1).decide(&["byFresh"]);
    assert_eq!((decision.verdict, decision.reason), (Verdict::Here, Reason::OnlyHere));
}

#[test]
fn fresh_an_idle_machine_serves_itself() {
    for seed in 0..100 {
        let mut desk = Desk::new(20);
        desk.random = Random::new(seed);
        assert_eq!(desk.decide(&["byFresh"]).verdict, Verdict::Here, "local wins ties");
    }
}

#[test]
fn fresh_the_least_busy_of_the_fresh_wins() {
    let mut desk = Desk::new(3);
    (0..9).for_each(|_| desk.hot.begin_service());
    for (slot, n) in [(1, 7), (2, 4)] {
        hear(&desk.hot, Slot(slot), n, NOW);
    }
    let decision = desk.decide(&["byFresh"]);
    assert_eq!((decision.verdict, decision.reason), (proxy(2), Reason::BestThere));
    assert_eq!(decision.age, Some(Duration::ZERO));
    assert_eq!(decision.probe, None, "everything known is fresh");
    assert_eq!(desk.scratch.rest().collect::<Vec<_>>(), [Slot(2), Slot(1), Slot(0)]);
}

#[test]
fn fresh_what_everybody_heard_draws_nobody() {
    let mut desk = Desk::new(64);
    desk.now = Instant::from_millis(101_000);
    (0..9).for_each(|_| desk.hot.begin_service());
    // One idle machine announces it, another says it in a response to us alone.
    let mut chosen = |common: bool| {
        let now = Instant::from_nanos(desk.now.as_nanos() + 1_000_000);
        desk.now = now;
        for slot in 1..64 {
            hear(&desk.hot, Slot(slot), 4, Instant::from_nanos(now.as_nanos() - 900_000_000));
        }
        hear(&desk.hot, Slot(7), 0, now);
        if common {
            desk.hot.announced(Slot(7), now);
        }
        desk.decide(&["byFresh"]).verdict == proxy(7)
    };
    let drawn = (0..200).filter(|_| chosen(true)).count();
    assert!((5..60).contains(&drawn), "found only by lot, then its price counts: {drawn}");
    assert_eq!((0..200).filter(|_| chosen(false)).count(), 200);
}

#[test]
fn fresh_own_requests_count_at_once() {
    let mut desk = Desk::new(3);
    (0..50).for_each(|_| desk.hot.begin_service());
    let mut counts = [0; 3];
    for _ in 0..20 {
        let Verdict::Proxy(slot) = desk.decide(&["byFresh"]).verdict else { panic!() };
        desk.hot.begin(slot);
        counts[slot.index()] += 1;
    }
    assert_eq!(counts, [0, 10, 10]);
}

#[test]
fn fresh_a_faster_machine_gets_more() {
    let mut desk = Desk::new(3).edit(|i, m| m.arriba = [1000, 3000, 1000][i]);
    (0..50).for_each(|_| desk.hot.begin_service());
    let mut counts = [0; 3];
    for _ in 0..40 {
        let Verdict::Proxy(slot) = desk.decide(&["byFresh"]).verdict else { panic!() };
        desk.hot.begin(slot);
        counts[slot.index()] += 1;
    }
    assert_eq!(counts, [0, 30, 10]);
}

#[test]
fn fresh_old_counts_fade_into_the_fleets_mean() {
    let mut desk = Desk::new(3);
    hear(&desk.hot, Slot(1), 100, NOW);
    hear(&desk.hot, Slot(2), 0, NOW);
    let others = |desk: &mut Desk, ms: u64| {
        desk.now = Instant::from_millis(100_000 + ms);
        // Random picks among the stale: look until machine 1 is among them.
        (0..100)
            .find_map(|_| {
                let mut told = Explanation::default();
                desk.run(&Chain::standard(), &GET, &Tried::NONE, Some(&mut told));
                told.appraisals.iter().find(|a| a.slot == Slot(1)).map(|a| a.others)
            })
            .unwrap()
    };
    assert_eq!(others(&mut desk, 0), 100.0);
    let quarter = others(&mut desk, 250);
    desk.scratch.occupancy = 2.0;
    let second = others(&mut desk, 10_000);
    assert!((quarter / 100.0 - 0.3679).abs() < 0.15, "{quarter}");
    assert!(second < 10.0, "{second}");
}

#[test]
fn fresh_looks_at_few_and_probes_the_unknown() {
    let mut desk = Desk::new(100);
    desk.now = Instant::from_millis(101_000);
    (0..9).for_each(|_| desk.hot.begin_service());
    (1..=3).for_each(|slot| hear(&desk.hot, Slot(slot), 9, desk.now));
    let mut told = Explanation::default();
    let decision = desk.run(&Chain::standard(), &GET, &Tried::NONE, Some(&mut told));
    assert_eq!(told.appraisals.len(), 8, "⌊log₂ 100⌋ + 1 and this machine");
    assert!((1..=3).all(|slot| told.appraisals.iter().any(|a| a.slot == Slot(slot))));
    assert!(decision.probe.is_some_and(|slot| slot.0 > 3));
    assert_eq!(told.steps[0].went.len(), 92);
}

#[test]
fn fresh_the_hop_is_weighed_against_the_work() {
    let choose = |service_ms, hop_ms, serving| {
        let mut desk = Desk::new(2);
        (0..serving).for_each(|_| desk.hot.begin_service());
        desk.hot.observe_hop(Slot(1), Duration::from_millis(hop_ms));
        let view = View {
            hot: &desk.hot,
            snapshot: &desk.snapshot,
            now: NOW,
            service: Duration::from_millis(service_ms),
        };
        let chain = Chain::standard();
        decide(&chain, &view, &GET, &Tried::NONE, &mut desk.random, &mut desk.scratch, None).verdict
    };
    assert_eq!(choose(100, 10, 3), proxy(1), "3.5 here against 1.1 there");
    assert_eq!(choose(1, 10, 3), Verdict::Here, "3.5 here against 11 there");
    assert_eq!(choose(100, 10, 1), Verdict::Here, "a CPU is free");
}

#[test]
fn fresh_failures_and_suspicion_cost() {
    let mut desk = Desk::new(3);
    (0..4).for_each(|_| desk.hot.begin_service());
    desk.hot.set_condition(Slot(1), Condition::Suspect);
    assert_eq!(desk.decide(&["byFresh"]).verdict, proxy(2));
    let rules = crate::failures::FailureRules::default();
    crate::failures::failed(&desk.hot, &desk.snapshot, Slot(2), &rules, NOW);
    crate::failures::failed(&desk.hot, &desk.snapshot, Slot(2), &rules, NOW);
    assert_eq!(desk.decide(&["byFresh"]).verdict, Verdict::Here);
}

#[test]
fn fresh_scarce_memory_and_a_near_limit_cost() {
    let mut desk = Desk::new(3).edit(|i, m| {
        m.available_memory = if i == 1 { 1 << 28 } else { 6 << 30 };
        m.limit = if i == 2 { 4 } else { 100 };
    });
    (0..5).for_each(|_| desk.hot.begin_service());
    (1..3).for_each(|slot| hear(&desk.hot, Slot(slot), 3, NOW));
    let mut told = Explanation::default();
    desk.run(&Chain::standard(), &GET, &Tried::NONE, Some(&mut told));
    let strain = |slot| told.appraisals.iter().find(|a| a.slot == Slot(slot)).unwrap().strain;
    assert!(strain(0) == 1.0 && strain(1) > 3.0 && strain(2) > 4.9, "{:?}", told.appraisals);
}

type Edit = fn(&mut Vec<Slot>) -> Result<(), OutsideError>;

struct Edited(Edit);

impl Outside for Edited {
    fn call(
        &self,
        _: &View<'_>,
        _: &dyn RequestView,
        argument: &str,
        list: &mut Vec<Slot>,
    ) -> Result<(), OutsideError> {
        assert_eq!(argument, "an argument");
        (self.0)(list)
    }
}

fn outside(function: Edit) -> (Decision, Explanation) {
    let mut desk = Desk::new(4);
    desk.hot.set_condition(Slot(3), Condition::Dead);
    let resolve = |name: &str, _: &str| -> Option<Arc<dyn Outside>> {
        (name == "mine").then(|| Arc::new(Edited(function)) as Arc<dyn Outside>)
    };
    let chain = Chain::parse_with(&["removeSelf", "mine an argument"], &resolve).unwrap();
    let mut told = Explanation::default();
    let decision = desk.run(&chain, &GET, &Tried::NONE, Some(&mut told));
    (decision, told)
}

#[test]
fn a_function_from_outside_may_reorder_narrow_and_widen() {
    let (decision, told) = outside(|list| {
        list.reverse();
        list.push(Slot(0));
        Ok(())
    });
    assert_eq!((decision.verdict, decision.failed), (proxy(2), None));
    assert_eq!(told.steps[1].left, [Slot(2), Slot(1), Slot(0)]);
    assert_eq!(told.steps[1].came, [Slot(0)]);
}

#[test]
fn a_function_from_outside_that_fails_or_lies_leaves_the_list() {
    let bad: [Edit; 5] = [
        |_| Err(OutsideError("broken".into())),
        |list| {
            list.insert(0, Slot(3));
            Ok(())
        },
        |list| {
            list.push(Slot(1));
            Ok(())
        },
        |list| {
            list.push(Slot(9));
            Ok(())
        },
        |list| {
            list.push(Slot(u16::MAX));
            Ok(())
        },
    ];
    for function in bad {
        let (decision, told) = outside(function);
        assert_eq!((decision.verdict, decision.failed), (proxy(1), Some(1)));
        assert_eq!(told.steps[1].left, [Slot(1), Slot(2)]);
        assert!(told.steps[1].failed.is_some());
    }
}

#[test]
fn an_explanation_reads_like_a_story() {
    let mut desk = Desk::new(4);
    desk.hot.set_condition(Slot(3), Condition::Dead);
    (0..4).for_each(|_| desk.hot.begin_service());
    hear(&desk.hot, Slot(1), 3, NOW);
    let mut told = Explanation::default();
    let chain = Chain::parse(&["byHostname web", "byFresh"]).unwrap();
    desk.run(&chain, &GET, &Tried::NONE, Some(&mut told));
    let lines = told.lines(&desk.snapshot);
    assert_eq!(lines[0], "web3 is no candidate: dead");
    assert_eq!(lines[1], "byHostname web: web0 web1 web2");
    assert_eq!(lines[2], "byFresh: web2 web1 web0");
    assert_eq!(
        lines.last().unwrap(),
        "web2 costs 1.01 (0.0 requests, hop 0.01, 0.0 ms old); \
         web1 would cost 3.52 (3.0 requests, hop 0.01, 0.0 ms old)"
    );
    desk.run(&Chain::parse(&["byCPU"]).unwrap(), &GET, &Tried::NONE, Some(&mut told));
    assert_eq!(
        told.lines(&desk.snapshot).last().unwrap(),
        "web0 came out first of 3 by byCPU (0.000)"
    );
}

// ---- what must hold for any fleet ----

/// One machine's figures, as wild as the types allow.
#[derive(Clone, Debug)]
struct Wild {
    figures: (u32, u32, u64, u64, u32, u32, u16, u32),
    report: Option<(u16, u8, u64)>,
    condition: u8,
    mine: u32,
    hop: u32,
    failures: u8,
}

fn wild() -> impl Strategy<Value = Wild> {
    let report = proptest::option::of((any::<u16>(), 0u8..8, 0u64..200_000));
    (
        any::<(u32, u32, u64, u64, u32, u32, u16, u32)>(),
        report,
        0u8..4,
        0u32..300,
        any::<u32>(),
        0u8..8,
    )
        .prop_map(|(figures, report, condition, mine, hop, failures)| Wild {
            figures,
            report,
            condition,
            mine,
            hop,
            failures,
        })
}

fn desk_of(wild: &[Wild], seed: u64) -> Desk {
    let hot = Hot::new(wild.len());
    let machines: Vec<_> = (0..wild.len())
        .map(|i| {
            let mut m = machine(i as u16);
            let figures = &wild[i].figures;
            (m.cpus_milli, m.arriba, m.total_memory, m.available_memory) =
                (figures.0, figures.1, figures.2, figures.3);
            (m.load_milli, m.load_high_water, m.cpu_idle_permille, m.limit) =
                (figures.4, figures.5, figures.6, figures.7);
            Some(m)
        })
        .collect();
    let snapshot = Snapshot::new(seed, Slot(0), machines);
    for (i, w) in wild.iter().enumerate() {
        let slot = Slot(i as u16);
        hot.admit(slot, 1, Instant::from_millis(1));
        if let Some((in_flight, flags, at)) = w.report {
            let flags = Flags::from_bits(flags);
            let report = Report { sequence: 1, in_flight, flags, pressure: 0 };
            hot.hear(slot, 1, report, Instant::from_millis(at));
        }
        (0..w.mine).for_each(|_| hot.begin(slot));
        hot.observe_hop(slot, Duration::from_micros(w.hop.into()));
        let rules = crate::failures::FailureRules::default();
        for _ in 0..w.failures {
            crate::failures::failed(&hot, &snapshot, slot, &rules, NOW);
        }
        let conditions = [Condition::Alive, Condition::Suspect, Condition::Dead, Condition::Vacant];
        hot.set_condition(slot, conditions[usize::from(w.condition)]);
    }
    Desk { hot, snapshot, random: Random::new(seed), scratch: Scratch::new(), now: NOW }
}

const FUNCTIONS: [&str; 14] = [
    "byAge 30",
    "byRandom",
    "byLogWindow",
    "byCPU",
    "byLoad 0.5",
    "byBusyChildren",
    "byCost",
    "addPrediction",
    "byHostname [02468]$",
    "removeSelf",
    "addSelf",
    "HTTPRedirectToIP",
    "HTTPRedirectToName",
    "byFresh",
];

fn any_chain() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(&FUNCTIONS[..]), 1..7)
}

proptest! {
    #[test]
    fn a_decision_never_names_a_machine_that_is_no_candidate(
        fleet in prop::collection::vec(wild(), 1..40), texts in any_chain(), seed: u64,
        tried in prop::collection::vec(0u16..40, 0..4),
    ) {
        let mut desk = desk_of(&fleet, seed);
        let mut refused = Tried::NONE;
        tried.iter().for_each(|&slot| assert!(refused.add(Slot(slot))));
        let chain = Chain::parse(&texts).unwrap();
        for _ in 0..5 {
            let decision = desk.run(&chain, &GET, &refused, None);
            let named = match decision.verdict {
                Verdict::Proxy(slot) | Verdict::Redirect { slot, .. } => slot,
                Verdict::Here if decision.reason == Reason::EmptyHere => continue,
                Verdict::Here => Slot(0),
                Verdict::Refuse => continue,
            };
            prop_assert!(!refused.contains(named));
            let standing = if named == Slot(0) {
                desk.hot.standing_here()
            } else {
                desk.hot.standing(named, NOW)
            };
            // Kept out after failures is suspicion, and does where nobody else is left.
            let resort = decision.reason == Reason::LastResort && standing == Standing::Ejected;
            prop_assert!(resort || standing == Standing::Usable, "{:?}", standing);
            prop_assert!(desk.scratch.list.iter().all(|c| !c.key.is_nan()));
        }
    }

    #[test]
    fn every_function_keeps_to_the_machines_it_may_name(
        fleet in prop::collection::vec(wild(), 1..40), texts in any_chain(), seed: u64,
    ) {
        let mut desk = desk_of(&fleet, seed);
        let mut told = Explanation::default();
        desk.run(&Chain::parse(&texts).unwrap(), &GET, &Tried::NONE, Some(&mut told));
        let usable = fleet.len() - told.excluded.len();
        let mut before = usable;
        for step in &told.steps {
            let mut left: Vec<Slot> = step.left.clone();
            left.sort();
            left.dedup();
            prop_assert_eq!(left.len(), step.left.len(), "nobody twice");
            prop_assert!(!left.iter().any(|slot| told.excluded.iter().any(|(out, _)| out == slot)));
            prop_assert_eq!(before + step.came.len() - step.went.len(), left.len());
            let orders = ["byRandom", "byCPU", "byLoad", "byBusy", "byCost", "addP", "HTTP"];
            if orders.iter().any(|name| step.function.starts_with(name)) {
                prop_assert!(step.came.is_empty() && step.went.is_empty(), "{:?}", step);
            }
            if step.function != "addSelf" {
                prop_assert!(step.came.is_empty(), "{:?}", step);
            }
            before = left.len();
        }
    }

    #[test]
    fn the_same_seed_decides_the_same_and_telling_changes_nothing(
        fleet in prop::collection::vec(wild(), 1..40), texts in any_chain(), seed: u64,
    ) {
        let chain = Chain::parse(&texts).unwrap();
        let story = |told: bool| {
            let mut desk = desk_of(&fleet, seed);
            let mut explanation = Explanation::default();
            let mut decide = || {
                let explanation = told.then_some(&mut explanation);
                desk.run(&chain, &GET, &Tried::NONE, explanation)
            };
            [decide(), decide(), decide()]
        };
        let quiet = story(false);
        prop_assert_eq!(quiet, story(false));
        prop_assert_eq!(quiet, story(true));
    }
}

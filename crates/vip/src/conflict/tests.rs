//! Asking and defending, with time passed in.

use super::*;
use std::vec::Vec;

fn at(ms: u64) -> Instant {
    Instant::from_millis(10_000 + ms)
}

fn address(last: u8) -> Address {
    Address { interface: 2, ip: [10, 0, 0, last].into() }
}

fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

fn machine(n: u8) -> MachineId {
    MachineId([n; 16])
}

/// Ours is 1; 2 and 3 are members; 4 was one.
fn conflicts(seed: u64) -> Conflicts {
    let mut conflicts = Conflicts::new(Settings { seed, ..Settings::default() });
    conflicts.set_ours([mac(1)]);
    conflicts.set_members((1..=4).map(|n| (machine(n), mac(n))));
    conflicts.set_members((1..=3).map(|n| (machine(n), mac(n))));
    conflicts
}

/// All that is done until nothing is due any more, with the moments.
fn run(conflicts: &mut Conflicts, mut now: Instant) -> Vec<(Instant, Action)> {
    let mut done = Vec::new();
    loop {
        while let Some(action) = conflicts.poll(now) {
            done.push((now, action));
        }
        match conflicts.next_timeout() {
            Some(due) => now = now.max(due),
            None => return done,
        }
    }
}

#[test]
fn an_address_nobody_has_is_free_after_three_questions_within_700_ms() {
    for seed in 0..200 {
        let mut conflicts = conflicts(seed);
        conflicts.probe(at(0), address(9));
        let done = run(&mut conflicts, at(0));
        let [(first, a), (second, b), (third, c), (end, free)] = done[..] else {
            panic!("{done:?}");
        };
        assert!([a, b, c].iter().all(|action| *action == Action::Ask(address(9))));
        assert_eq!(free, Action::Free(address(9)));
        assert!(first.since(at(0)) <= Duration::from_millis(100));
        for (earlier, later) in [(first, second), (second, third)] {
            assert!((50..=150).contains(&later.since(earlier).as_millis()));
        }
        assert_eq!(end.since(third), Duration::from_millis(300));
        assert!(end.since(at(0)) <= Duration::from_millis(700));
        assert_eq!(conflicts.next_timeout(), None);
    }
}

#[test]
fn a_stranger_that_answers_has_the_address() {
    for claim in [Claim::Has, Claim::Wants] {
        let mut conflicts = conflicts(1);
        conflicts.probe(at(0), address(9));
        while conflicts.poll(at(100)).is_some() {}
        let verdict = conflicts.seen(at(101), address(9), mac(77), claim);
        assert_eq!(verdict, Verdict::Stranger { mac: mac(77), defend: false });
        let taken = Action::Taken { address: address(9), mac: mac(77), machine: None };
        assert_eq!(conflicts.next_timeout(), Some(Instant::ORIGIN));
        assert_eq!(run(&mut conflicts, at(101)), [(at(101), taken)]);
        assert_eq!(conflicts.counters().taken, 1);
    }
}

#[test]
fn a_claim_before_the_first_question_counts_as_well() {
    let mut conflicts = conflicts(1);
    conflicts.probe(at(0), address(9));
    conflicts.seen(at(0), address(9), mac(77), Claim::Has);
    let taken = Action::Taken { address: address(9), mac: mac(77), machine: None };
    assert_eq!(conflicts.poll(at(0)), Some(taken));
}

#[test]
fn what_ours_say_and_what_members_and_known_machines_want_does_not_end_asking() {
    let mut conflicts = conflicts(1);
    conflicts.probe(at(0), address(9));
    let mut seen = |n, claim| conflicts.seen(at(1), address(9), mac(n), claim);
    assert_eq!(seen(1, Claim::Has), Verdict::Nothing);
    assert_eq!(seen(1, Claim::Wants), Verdict::Nothing);
    assert_eq!(seen(3, Claim::Wants), Verdict::Expected { machine: machine(3) });
    assert_eq!(seen(4, Claim::Wants), Verdict::Apart { machine: machine(4) });
    let last = run(&mut conflicts, at(1)).pop().map(|(_, action)| action);
    assert_eq!(last, Some(Action::Free(address(9))));
    assert_eq!(conflicts.counters().taken, 0);
}

#[test]
fn a_machine_that_has_for_itself_what_nobody_of_the_group_had_is_named() {
    for (n, verdict) in [
        (2, Verdict::Expected { machine: machine(2) }),
        (4, Verdict::Apart { machine: machine(4) }),
    ] {
        let mut conflicts = conflicts(1);
        conflicts.probe(at(0), address(9));
        assert_eq!(conflicts.seen(at(1), address(9), mac(n), Claim::Has), verdict);
        // It answers each question; there is one result.
        assert_eq!(conflicts.seen(at(2), address(9), mac(n), Claim::Has), Verdict::Nothing);
        let taken = Action::Taken { address: address(9), mac: mac(n), machine: Some(machine(n)) };
        assert_eq!(run(&mut conflicts, at(2)), [(at(2), taken)]);
        assert_eq!(conflicts.counters().taken, 1);
    }
}

#[test]
fn asking_that_is_cancelled_has_no_result() {
    let mut conflicts = conflicts(1);
    conflicts.probe(at(0), address(9));
    conflicts.cancel(address(9));
    assert_eq!(run(&mut conflicts, at(0)), []);
    conflicts.probe(at(0), address(9));
    conflicts.seen(at(0), address(9), mac(77), Claim::Has);
    conflicts.cancel(address(9));
    assert_eq!(run(&mut conflicts, at(0)), []);
}

#[test]
fn asking_again_while_asking_changes_nothing_and_afterwards_begins_anew() {
    let mut conflicts = conflicts(1);
    conflicts.probe(at(0), address(9));
    let due = conflicts.next_timeout();
    conflicts.probe(at(0), address(9));
    assert_eq!(conflicts.next_timeout(), due);
    assert_eq!(run(&mut conflicts, at(0)).len(), 4);
    conflicts.probe(at(5000), address(9));
    assert_eq!(run(&mut conflicts, at(5000)).len(), 4);
}

#[test]
fn a_stranger_is_defended_against_once_in_ten_seconds_and_counted_each_time() {
    let mut conflicts = conflicts(1);
    conflicts.hold(address(9));
    let mut defended = Vec::new();
    for second in 0..25 {
        match conflicts.seen(at(second * 1000), address(9), mac(77), Claim::Has) {
            Verdict::Stranger { mac: whose, defend } => {
                assert_eq!(whose, mac(77));
                defended.extend(defend.then_some(second));
            }
            verdict => panic!("{verdict:?}"),
        }
    }
    assert_eq!(defended, [0, 10, 20]);
    let counters = conflicts.counters();
    assert_eq!((counters.strangers, counters.defended, counters.taken), (25, 3, 0));
    // Another address has its own count; holding again does not forget the last defence.
    conflicts.hold(address(8));
    conflicts.hold(address(9));
    let mut defends = |n| conflicts.seen(at(25_000), address(n), mac(77), Claim::Has);
    assert_eq!(defends(8), Verdict::Stranger { mac: mac(77), defend: true });
    assert_eq!(defends(9), Verdict::Stranger { mac: mac(77), defend: false });
}

#[test]
fn a_member_with_our_address_is_expected_and_one_apart_is_looked_for() {
    let mut conflicts = conflicts(1);
    conflicts.hold(address(9));
    let mut seen = |n| conflicts.seen(at(0), address(9), mac(n), Claim::Has);
    assert_eq!(seen(1), Verdict::Nothing);
    assert_eq!(seen(2), Verdict::Expected { machine: machine(2) });
    assert_eq!(seen(4), Verdict::Apart { machine: machine(4) });
    let counters = conflicts.counters();
    assert_eq!((counters.expected, counters.apart, counters.defended), (1, 1, 0));
}

#[test]
fn who_only_asks_for_an_address_that_we_hold_is_left_to_the_kernel() {
    let mut conflicts = conflicts(1);
    conflicts.hold(address(9));
    assert_eq!(conflicts.seen(at(0), address(9), mac(77), Claim::Wants), Verdict::Nothing);
    assert_eq!(conflicts.seen(at(0), address(8), mac(77), Claim::Has), Verdict::Nothing);
    conflicts.let_go(address(9));
    assert_eq!(conflicts.seen(at(0), address(9), mac(77), Claim::Has), Verdict::Nothing);
    assert_eq!(conflicts.counters(), Counters::default());
}

#[test]
fn a_thousand_addresses_are_asked_for_side_by_side() {
    let mut conflicts = conflicts(1);
    for n in 0..1000u32 {
        let ip = core::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        conflicts.probe(at(0), Address { interface: 2, ip });
    }
    let done = run(&mut conflicts, at(0));
    assert_eq!(done.len(), 4000);
    assert!(done.iter().all(|(when, _)| when.since(at(0)) <= Duration::from_millis(700)));
    assert!(conflicts.asking.is_empty() && conflicts.due.is_empty());
}

mod any_history {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Probe(u8),
        Cancel(u8),
        Hold(u8),
        LetGo(u8),
        Seen(u8, u8, bool),
        Wait(u16),
    }

    fn event() -> impl Strategy<Value = Event> {
        let one = || 0u8..4;
        prop_oneof![
            one().prop_map(Event::Probe),
            one().prop_map(Event::Cancel),
            one().prop_map(Event::Hold),
            one().prop_map(Event::LetGo),
            (one(), 1u8..7, any::<bool>()).prop_map(|(n, mac, has)| Event::Seen(n, mac, has)),
            (0u16..400).prop_map(Event::Wait),
        ]
    }

    proptest! {
        /// Whoever asks gets one result unless he cancels, in time; only strangers take an address or are defended against.
        #[test]
        fn gives_each_question_one_result(events in proptest::collection::vec(event(), 0..150), seed in any::<u64>()) {
            let mut conflicts = conflicts(seed);
            let mut open: BTreeMap<Address, Instant> = BTreeMap::new();
            let mut now = at(0);
            for event in events.into_iter().chain([Event::Wait(700)]) {
                match event {
                    Event::Probe(n) => {
                        // A result that nobody took is asked for anew.
                        if !conflicts.asking.contains_key(&address(n)) {
                            open.insert(address(n), now);
                        }
                        conflicts.probe(now, address(n));
                    }
                    Event::Cancel(n) => {
                        conflicts.cancel(address(n));
                        open.remove(&address(n));
                    }
                    Event::Hold(n) => conflicts.hold(address(n)),
                    Event::LetGo(n) => conflicts.let_go(address(n)),
                    Event::Seen(n, from, has) => {
                        let claim = if has { Claim::Has } else { Claim::Wants };
                        let verdict = conflicts.seen(now, address(n), mac(from), claim);
                        let strange = matches!(verdict, Verdict::Stranger { .. });
                        prop_assert!(!strange || from > 4);
                    }
                    Event::Wait(ms) => {
                        let end = now + Duration::from_millis(ms.into());
                        while let Some(due) = conflicts.next_timeout().filter(|due| *due <= end) {
                            now = now.max(due);
                            match conflicts.poll(now) {
                                Some(Action::Ask(asked)) => prop_assert!(open.contains_key(&asked)),
                                Some(Action::Free(done) | Action::Taken { address: done, .. }) => {
                                    let begun = open.remove(&done);
                                    prop_assert!(begun.is_some_and(|at| now.since(at).as_millis() <= 700));
                                }
                                None => prop_assert!(false, "woken in vain"),
                            }
                        }
                        now = end;
                    }
                }
                prop_assert_eq!(conflicts.asking.len(), conflicts.due.len());
                prop_assert_eq!(conflicts.asking.len() + conflicts.taken.len(), open.len());
            }
        }
    }
}

//! Schedules to the millisecond, with time passed in.

use super::*;
use crate::neighbours::Network;
use std::string::ToString;

const NET: u8 = 24;

fn at(ms: u64) -> Instant {
    Instant::from_millis(10_000 + ms)
}

fn address(last: u8) -> Address {
    Address { interface: 2, ip: [10, 0, 0, last].into() }
}

fn announcer(notify: &[Notify]) -> Announcer {
    Announcer::new(Settings { notify: notify.to_vec(), seed: 7, ..Settings::default() })
}

fn nobody() -> Neighbours {
    Neighbours::new(crate::neighbours::AGE)
}

/// Everything that goes out until `end` (exclusive), with milliseconds since the beginning of the test.
fn run_with(a: &mut Announcer, known: &Neighbours, end: u64) -> Vec<(u64, Announcement)> {
    let mut now = at(0);
    let mut out = Vec::new();
    loop {
        while let Some(announcement) = a.poll(now, known) {
            out.push((now.since(at(0)).as_millis() as u64, announcement));
        }
        match a.next_timeout() {
            Some(due) if due < at(end) => {
                assert!(due > now, "polled in vain at {now}: {due}");
                now = due;
            }
            _ => return out,
        }
    }
}

fn run(a: &mut Announcer, end: u64) -> Vec<(u64, Announcement)> {
    run_with(a, &nobody(), end)
}

/// As `run`, continuing at a later moment; times are still since the beginning.
fn run_from(a: &mut Announcer, mut now: Instant, end: u64) -> Vec<u64> {
    let mut out = Vec::new();
    loop {
        while a.poll(now, &nobody()).is_some() {
            out.push(now.since(at(0)).as_millis() as u64);
        }
        match a.next_timeout() {
            Some(due) if due < at(end) => now = due,
            _ => return out,
        }
    }
}

fn times(out: &[(u64, Announcement)]) -> Vec<u64> {
    out.iter().map(|(ms, _)| *ms).collect()
}

#[test]
fn a_released_address_is_announced_at_once_and_three_times_more() {
    let mut a = announcer(&[]);
    a.acquired(at(0), address(1), NET, After::Released);
    let out = run(&mut a, 2001);
    assert_eq!(times(&out), [0, 200, 1000, 2000]);
    let why: Vec<_> = out.iter().map(|(_, announcement)| announcement.why).collect();
    assert_eq!(why, [Why::First, Why::Repeat, Why::Repeat, Why::Repeat]);
    assert!(out.iter().all(|(_, announcement)| announcement.kind == Kind::Broadcast));
}

#[test]
fn an_address_whose_holder_was_lost_is_announced_until_it_cannot_answer() {
    let mut a = announcer(&[]);
    a.acquired(at(0), address(1), NET, After::Lost { until: at(1700) });
    assert_eq!(times(&run(&mut a, 1721)), [0, 20, 50, 100, 200, 500, 1000, 1500, 1720]);
}

#[test]
fn who_asks_while_another_may_answer_is_told_at_once_and_once_more() {
    let mut a = announcer(&[]);
    a.acquired(at(0), address(1), NET, After::Lost { until: at(4100) });
    assert_eq!(times(&run(&mut a, 520)), [0, 20, 50, 100, 200, 500]);
    a.asked(at(600), address(1));
    assert_eq!(run_from(&mut a, at(600), 990), [600, 620]);
    // The repeat of 1000 ms is late; one announcement serves both.
    a.asked(at(1200), address(1));
    assert_eq!(a.poll(at(1200), &nobody()).map(|asked| asked.why), Some(Why::Asked));
    assert_eq!(run_from(&mut a, at(1200), 2001), [1220, 1500, 2000]);
}

#[test]
fn a_flood_of_requests_is_answered_fifty_times_a_second() {
    let mut a = announcer(&[]);
    a.acquired(at(0), address(1), NET, After::Lost { until: at(60_000) });
    assert_eq!(times(&run(&mut a, 501)).len(), 6);
    let mut answers = 0;
    for ms in 1000..2000 {
        a.asked(at(ms), address(1));
        while let Some(announcement) = a.poll(at(ms), &nobody()) {
            answers += u32::from(announcement.why == Why::Asked);
        }
    }
    assert_eq!(answers, 50);
}

#[test]
fn who_asks_when_nobody_else_answers_is_left_to_the_kernel() {
    let mut a = announcer(&[]);
    a.acquired(at(0), address(1), NET, After::Released);
    a.acquired(at(0), address(2), NET, After::Lost { until: at(100) });
    assert_eq!(times(&run(&mut a, 130)), [0, 0, 20, 50, 120]);
    a.asked(at(130), address(1));
    a.asked(at(130), address(2));
    a.asked(at(130), address(3));
    assert_eq!(a.poll(at(130), &nobody()), None);
}

#[test]
fn every_address_is_announced_before_any_is_repeated() {
    let mut a = Announcer::new(Settings { frames_per_second: 100, ..Settings::default() });
    for last in 0..200 {
        a.acquired(at(0), address(last), NET, After::Lost { until: at(8000) });
    }
    let out = run(&mut a, 6000);
    let first: Vec<_> = out.iter().take(200).map(|(_, a)| a.address).collect();
    assert_eq!(first, (0..200).map(address).collect::<Vec<_>>());
    assert!(out[200..].iter().all(|(_, a)| a.why == Why::Repeat));
    assert_eq!(out[49].0, 0, "a second's frames are there at once");
    assert_eq!(out[50].0, 20);
    assert!((2990..=3010).contains(&out[199].0), "400 frames at 100 a second: {}", out[199].0);
}

#[test]
fn an_address_that_comes_while_others_repeat_goes_first() {
    let mut a = Announcer::new(Settings { frames_per_second: 100, ..Settings::default() });
    (0..100).for_each(|n| a.acquired(at(0), address(n), NET, After::Lost { until: at(60_000) }));
    run(&mut a, 10_000);
    a.acquired(at(10_000), address(200), NET, After::Released);
    let next = a.poll(at(10_000), &nobody());
    assert!(next.is_some_and(|next| next.address == address(200) && next.why == Why::First));
}

#[test]
fn no_second_has_more_frames_than_the_bound_but_the_one_that_was_saved() {
    let mut a = Announcer::new(Settings { frames_per_second: 500, ..Settings::default() });
    for n in 0..1000u32 {
        let ip = core::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        a.acquired(at(0), Address { interface: 2, ip }, NET, After::Lost { until: at(20_000) });
    }
    let out = run(&mut a, 10_000);
    for (ms, _) in &out {
        let window = out.iter().filter(|(other, _)| (*ms..ms + 1000).contains(other));
        assert!(window.count() * 2 <= 1000, "at {ms} ms");
    }
    let all = out.len() * 2;
    assert!((5_000..=5_500).contains(&all), "{all} frames in ten seconds");
    // Whoever waits longest is next: nobody is forgotten while the others repeat.
    let mut told = BTreeMap::new();
    out.iter().for_each(|(_, a)| *told.entry(a.address).or_insert(0) += 1);
    assert!(told.len() == 1000 && told.values().all(|&n| (2..=4).contains(&n)), "{told:?}");
}

#[test]
fn a_thousand_held_addresses_are_refreshed_evenly() {
    let mut a = announcer(&[]);
    for n in 0..1000u32 {
        let ip = core::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        a.acquired(at(0), Address { interface: 2, ip }, NET, After::Released);
    }
    let out = run(&mut a, 100_000);
    let refreshes = |from: u64, to: u64| {
        let there = out.iter().filter(|(ms, a)| a.why == Why::Refresh && (from..to).contains(ms));
        there.count()
    };
    for second in 35..95 {
        let n = refreshes(second * 1000, (second + 1) * 1000);
        assert!((10..=75).contains(&n), "{n} in second {second}");
    }
    let mut last = BTreeMap::new();
    for (ms, a) in &out {
        let gap = ms - last.insert(a.address, *ms).unwrap_or(*ms);
        assert!(gap <= 30_000, "{} waited {gap} ms", a.address);
    }
}

#[test]
fn a_won_merge_a_link_and_an_ordered_release_begin_anew() {
    let mut a = announcer(&[]);
    a.acquired(at(0), address(1), NET, After::Released);
    run(&mut a, 2001);
    a.won(at(3000), address(1));
    assert_eq!(run_from(&mut a, at(3000), 5001), [3000, 3200, 4000, 5000]);
    a.link_up(at(6000), 3);
    assert_eq!(a.poll(at(6000), &nobody()).map(|a| a.why).filter(|why| *why == Why::First), None);
    a.link_up(at(6000), 2);
    assert_eq!(run_from(&mut a, at(6000), 8001), [6000, 6200, 7000, 8000]);
    a.again(at(9000), address(1));
    assert_eq!(run_from(&mut a, at(9000), 11_001), [9000, 9200, 10_000, 11_000]);
    a.won(at(12_000), address(9));
    a.again(at(12_000), address(9));
    assert_eq!(a.len(), 1, "what is not held is not announced");
}

#[test]
fn a_merge_that_is_won_while_a_lost_holder_may_answer_stays_contested() {
    let mut a = announcer(&[]);
    a.acquired(at(0), address(1), NET, After::Lost { until: at(1000) });
    assert_eq!(times(&run(&mut a, 290)), [0, 20, 50, 100, 200]);
    a.won(at(300), address(1));
    assert_eq!(run_from(&mut a, at(300), 1021), [300, 320, 350, 400, 500, 800, 1020]);
    let mut b = announcer(&[]);
    b.acquired(at(0), address(1), NET, After::Lost { until: at(9000) });
    run(&mut b, 290);
    b.again(at(300), address(1));
    assert_eq!(run_from(&mut b, at(300), 2301), [300, 500, 1300, 2300], "it released after all");
}

#[test]
fn what_was_released_is_not_announced() {
    let block = Network::of([10, 0, 0, 0].into(), 24);
    let notify = Notify::Hosts { interface: None, block, throttle: 1, ping: false };
    let mut a = announcer(&[notify]);
    a.acquired(at(0), address(1), NET, After::Released);
    a.released(address(1));
    assert_eq!((a.poll(at(0), &nobody()), a.next_timeout()), (None, None));
    a.acquired(at(0), address(1), NET, After::Lost { until: at(5000) });
    run(&mut a, 300);
    a.asked(at(300), address(1));
    a.released(address(1));
    assert_eq!((a.poll(at(5000), &nobody()), a.next_timeout()), (None, None));
    assert!(a.is_empty() && a.again.is_empty() && a.directed.is_empty() && a.first.is_empty());
}

#[test]
fn a_late_poll_makes_up_for_nothing() {
    let mut a = announcer(&[]);
    a.acquired(at(0), address(1), NET, After::Lost { until: at(60_000) });
    assert_eq!(times(&run(&mut a, 21)), [0, 20]);
    assert!(a.poll(at(10_100), &nobody()).is_some());
    assert_eq!(a.poll(at(10_100), &nobody()), None);
    assert_eq!(a.next_timeout(), Some(at(10_500)));
}

fn told(out: &[(u64, Announcement)]) -> Vec<(u64, IpAddr)> {
    let host = |a: &Announcement| match a.kind {
        Kind::Directed(host) => Some(host.ip),
        Kind::Broadcast => None,
    };
    out.iter().filter_map(|(ms, a)| Some((*ms, host(a)?))).collect()
}

#[test]
fn a_block_is_told_within_the_network_of_the_address_and_throttled() {
    let block = Network::of([10, 0, 0, 0].into(), 16);
    let notify = Notify::Hosts { interface: Some(2), block, throttle: 4, ping: true };
    let mut a = announcer(&[notify]);
    a.acquired(at(0), address(1), 30, After::Released);
    a.acquired(at(0), Address { interface: 3, ..address(77) }, 30, After::Released);
    let out = run(&mut a, 1900);
    let ip = |last: u8| IpAddr::from([10, 0, 0, last]);
    assert_eq!(told(&out), [(0, ip(0)), (250, ip(2)), (500, ip(3))]);
    assert_eq!(out[0].1.kind, Kind::Broadcast, "everybody first");
    let pings = out.iter().filter(|(_, a)| matches!(a.kind, Kind::Directed(host) if host.ping));
    assert_eq!(pings.count(), 0, "nobody's Ethernet address is known");
}

#[test]
fn the_universal_addresses_are_hosts_like_others_on_any_network() {
    let one = |ip: [u8; 4]| Notify::Hosts {
        interface: Some(2),
        block: Network::of(ip.into(), 32),
        throttle: 0,
        ping: false,
    };
    let hosts = [[0, 0, 0, 0], [255, 255, 255, 255], [63, 236, 106, 97], [10, 0, 9, 9]];
    let mut a = announcer(&hosts.map(one));
    let vip = Address { interface: 2, ip: [63, 236, 106, 102].into() };
    a.acquired(at(0), vip, 24, After::Released);
    let hosts: Vec<_> = told(&run(&mut a, 100)).into_iter().map(|(_, ip)| ip).collect();
    let expected = [[0, 0, 0, 0], [255, 255, 255, 255], [63, 236, 106, 97]];
    assert_eq!(hosts, expected.map(IpAddr::from));
}

#[test]
fn hosts_of_the_shared_cache_are_told_with_their_ethernet_addresses() {
    let mut known = nobody();
    let hosts = ["10.0.0.7", "10.0.0.9", "10.0.1.9", "fd00::7"].map(|ip| ip.parse().unwrap());
    known.sampled(at(0), hosts.map(|ip| (ip, Mac([2, 0, 0, 0, 0, 7]))));
    let mut a = announcer(&[Notify::Neighbours { ping: true }]);
    a.acquired(at(0), address(1), NET, After::Released);
    let six = Address { interface: 2, ip: "fd00::1".parse().unwrap() };
    a.acquired(at(0), six, 64, After::Released);
    let out = run_with(&mut a, &known, 100);
    let mut hosts: Vec<_> = told(&out).into_iter().map(|(_, ip)| ip.to_string()).collect();
    hosts.sort();
    assert_eq!(hosts, ["10.0.0.7", "10.0.0.9", "fd00::7"]);
    let directed = out.iter().filter_map(|(_, a)| match a.kind {
        Kind::Directed(host) => Some(host),
        Kind::Broadcast => None,
    });
    assert!(directed.into_iter().all(|host| host.ping && host.mac.is_some()));
}

#[test]
fn refreshing_tells_single_hosts_again_and_no_block() {
    let hosts = |prefix| Notify::Hosts {
        interface: None,
        block: Network::of([10, 0, 0, 8].into(), prefix),
        throttle: 0,
        ping: false,
    };
    let mut a = announcer(&[hosts(32), hosts(30)]);
    a.acquired(at(0), address(1), NET, After::Released);
    let out = run(&mut a, 33_000);
    let hosts = told(&out);
    assert_eq!(hosts.iter().filter(|(ms, _)| *ms == 0).count(), 5);
    let later: Vec<_> = hosts.iter().filter(|(ms, _)| *ms > 0).map(|(_, ip)| *ip).collect();
    assert!(!later.is_empty() && later.iter().all(|ip| *ip == IpAddr::from([10, 0, 0, 8])));
}

#[test]
fn directed_ones_wait_while_others_repeat() {
    let block = Network::of([10, 0, 0, 0].into(), 16);
    let notify = [Notify::Hosts { interface: None, block, throttle: 0, ping: false }];
    let mut a = Announcer::new(Settings {
        frames_per_second: 100,
        notify: notify.to_vec(),
        ..Settings::default()
    });
    a.acquired(at(0), address(1), 16, After::Released);
    let out = run(&mut a, 10_000);
    assert_eq!(
        times(&out.iter().filter(|(_, a)| a.kind == Kind::Broadcast).copied().collect::<Vec<_>>())
            [..4],
        [0, 200, 1000, 2000]
    );
    let directed = told(&out).len();
    assert!((950..=1020).contains(&directed), "{directed}");
}

#[test]
fn a_new_notify_list_ends_what_the_old_one_began() {
    let block = Network::of([10, 0, 0, 0].into(), 24);
    let mut a = announcer(&[Notify::Hosts { interface: None, block, throttle: 10, ping: false }]);
    a.acquired(at(0), address(1), NET, After::Released);
    run(&mut a, 150);
    a.set_notify(Vec::new());
    assert_eq!(run_from(&mut a, at(150), 2001), [200, 1000, 2000]);
}

#[test]
fn polling_ten_thousand_times_with_a_thousand_addresses_looks_at_few() {
    // The cost is bounded by construction; this shows that nothing is announced by a poll that has nothing to do.
    let mut a = announcer(&[]);
    for n in 0..1000u32 {
        let ip = core::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        a.acquired(at(0), Address { interface: 2, ip }, NET, After::Released);
    }
    run(&mut a, 5000);
    let due = a.next_timeout().unwrap();
    let early = Instant::from_nanos(due.as_nanos() - 1);
    assert!((0..10_000).all(|_| a.poll(early, &nobody()).is_none()));
}

mod any_history {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Event {
        Acquired(u8, Option<u16>),
        Released(u8),
        Won(u8),
        Again(u8),
        Asked(u8),
        LinkUp,
        Wait(u16),
    }

    fn event() -> impl Strategy<Value = Event> {
        let one = || 0u8..6;
        prop_oneof![
            (one(), proptest::option::of(0u16..5000)).prop_map(|(n, ms)| Event::Acquired(n, ms)),
            one().prop_map(Event::Released),
            one().prop_map(Event::Won),
            one().prop_map(Event::Again),
            one().prop_map(Event::Asked),
            Just(Event::LinkUp),
            (0u16..3000).prop_map(Event::Wait),
        ]
    }

    proptest! {
        /// Only what is held is announced; a promised moment is kept; each address has one place in the order; the sets agree.
        #[test]
        fn keeps_its_books(events in proptest::collection::vec(event(), 0..120), rate in 10u32..2000) {
            let block = Network::of([10, 0, 0, 0].into(), 29);
            let notify = alloc::vec![Notify::Hosts { interface: None, block, throttle: 3, ping: false }];
            let mut a = Announcer::new(Settings { frames_per_second: rate, notify, ..Settings::default() });
            let known = nobody();
            let mut now = at(0);
            for event in events {
                match event {
                    Event::Acquired(n, lost) => {
                        let until = |ms: u16| now + Duration::from_millis(ms.into());
                        let after = lost.map_or(After::Released, |ms| After::Lost { until: until(ms) });
                        a.acquired(now, address(n), NET, after);
                    }
                    Event::Released(n) => a.released(address(n)),
                    Event::Won(n) => a.won(now, address(n)),
                    Event::Again(n) => a.again(now, address(n)),
                    Event::Asked(n) => a.asked(now, address(n)),
                    Event::LinkUp => a.link_up(now, 2),
                    Event::Wait(ms) => now += Duration::from_millis(ms.into()),
                }
                let mut polls = 0;
                while let Some(announcement) = a.poll(now, &known) {
                    prop_assert!(a.held.contains_key(&announcement.address));
                    polls += 1;
                    prop_assert!(polls < 5000);
                }
                if let Some(due) = a.next_timeout() {
                    prop_assert!(due > now, "{due} at {now} though all was polled");
                    prop_assert!(a.clone().poll(due, &known).is_some() || !a.directed.is_empty());
                }
                for (address, held) in &a.held {
                    let firsts = a.first.iter().filter(|(_, at)| at == address).count();
                    prop_assert_eq!(firsts, usize::from(held.turn.is_some()));
                    let again: Vec<_> = a.again.iter().filter(|(_, at)| at == address).collect();
                    prop_assert_eq!(again.len(), usize::from(held.due().is_some()));
                    prop_assert!(again.iter().all(|(due, _)| Some(*due) == held.due()));
                    prop_assert!(held.turn.is_some() || held.repeat.is_some());
                    let walks = held.walks.iter().flatten().count();
                    prop_assert_eq!(a.directed.iter().filter(|(_, at, _)| at == address).count(), walks);
                }
            }
        }
    }
}

/// A neighbour as Linux is one: an ordinary answer does not replace what changed less than a second ago, a gratuitous one does.
struct Neighbour {
    is_ours: bool,
    changed: Option<u64>,
}

impl Neighbour {
    fn answered(&mut self, us: u64, by_us: bool) {
        let locked = self.changed.is_some_and(|changed| us < changed + 1_000_000);
        if !locked && (self.is_ours != by_us || self.changed.is_none()) {
            (self.is_ours, self.changed) = (by_us, Some(us));
        }
    }

    fn announced(&mut self, us: u64) {
        if !self.is_ours {
            (self.is_ours, self.changed) = (true, Some(us));
        }
    }
}

/// The old holder's kernel answers every request, before or after ours; whoever asked it is won back within 21 ms of asking if it answers within
/// 19 ms, and stays won.
#[test]
fn a_neighbour_that_asks_while_the_old_kernel_answers_ends_with_us() {
    let mut random = Random::new(11);
    for _ in 0..500 {
        let mut a = announcer(&[]);
        a.acquired(at(0), address(1), NET, After::Lost { until: at(4100) });
        let asked = 1000 * (1 + u64::from(random.below(4080)));
        let mut next = || asked + 100 + u64::from(random.below(18_900));
        // Who answered, and when: times are in microseconds.
        let mut answers = [(next(), false), (next(), true)];
        answers.sort_unstable();
        let mut neighbour = Neighbour { is_ours: true, changed: None };
        let mut told = Vec::new();
        let mut now = at(0);
        let mut has_asked = false;
        loop {
            while a.poll(now, &nobody()).is_some() {
                // A frame takes a tenth of a millisecond.
                told.push(now.since(at(0)).as_micros() as u64 + 100);
            }
            let due = a.next_timeout().unwrap();
            let asking = Instant::from_nanos(at(0).as_nanos() + asked * 1000);
            if !has_asked && asking <= due {
                (has_asked, now) = (true, asking);
                a.asked(now, address(1));
            } else {
                now = due;
            }
            if now > at(5000) {
                break;
            }
        }
        let mut events: Vec<_> = told.into_iter().map(|us| (us, None)).collect();
        events.extend(answers.map(|(us, by_us)| (us, Some(by_us))));
        events.sort_unstable();
        for (us, what) in events {
            if us > asked + 21_000 {
                assert!(neighbour.is_ours, "asked at {asked} us, until {us} us with the old one");
            }
            if us > asked {
                match what {
                    None => neighbour.announced(us),
                    Some(by_us) => neighbour.answered(us, by_us),
                }
            }
        }
        assert!(neighbour.is_ours);
    }
}

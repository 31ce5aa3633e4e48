//! Two members and the hosts around them.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: u32) -> Instant {
    Instant::from_millis(1) + MINUTE * minutes
}

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// What one has to say, said to the other.
fn tell(now: Instant, from: &mut Neighbours, to: &mut Neighbours) -> usize {
    core::iter::from_fn(|| from.poll_batch(now))
        .map(|bytes| to.received(now, &bytes).unwrap())
        .sum()
}

#[test]
fn a_member_knows_hosts_that_only_another_spoke_with() {
    let (mut a, mut b) = (Neighbours::new(AGE), Neighbours::new(AGE));
    a.sampled(at(0), [(ip(1), mac(1)), ("fd00::7".parse().unwrap(), mac(7))]);
    assert_eq!(tell(at(0), &mut a, &mut b), 2);
    assert_eq!(b.mac(ip(1)), Some(mac(1)));
    assert_eq!(b.mac("fd00::7".parse().unwrap()), Some(mac(7)));
    assert_eq!(a.mac(ip(1)), Some(mac(1)), "one's own neighbours need no bus");
}

#[test]
fn only_changes_are_told_until_half_the_age_has_passed() {
    let (mut a, mut b) = (Neighbours::new(AGE), Neighbours::new(AGE));
    a.sampled(at(0), [(ip(1), mac(1)), (ip(2), mac(2))]);
    assert_eq!(tell(at(0), &mut a, &mut b), 2);
    a.sampled(at(1), [(ip(1), mac(1)), (ip(2), mac(9))]);
    assert_eq!(tell(at(1), &mut a, &mut b), 1, "the second has another Ethernet address");
    assert_eq!(b.mac(ip(2)), Some(mac(9)));
    a.sampled(at(9), [(ip(1), mac(1)), (ip(2), mac(9))]);
    assert_eq!(a.poll_batch(at(9)), None);
    a.sampled(at(10), [(ip(1), mac(1)), (ip(2), mac(9))]);
    assert_eq!(tell(at(10), &mut a, &mut b), 1, "the first was told ten minutes ago");
    assert_eq!(b.next_timeout(), Some(at(21)), "the second, told a minute later");
}

#[test]
fn what_nobody_repeats_is_forgotten_after_its_age() {
    let (mut a, mut b) = (Neighbours::new(AGE), Neighbours::new(AGE));
    a.sampled(at(0), [(ip(1), mac(1))]);
    tell(at(0), &mut a, &mut b);
    assert_eq!(b.next_timeout(), Some(at(20)));
    assert_eq!((b.forget(at(19)), b.len()), (0, 1));
    assert_eq!((b.forget(at(20)), b.len(), b.next_timeout()), (1, 0, None));
}

#[test]
fn the_newest_word_wins_however_late_an_old_one_is_repeated() {
    let (mut a, mut b, mut c) = (Neighbours::new(AGE), Neighbours::new(AGE), Neighbours::new(AGE));
    a.sampled(at(0), [(ip(1), mac(1))]);
    tell(at(0), &mut a, &mut c);
    b.sampled(at(5), [(ip(1), mac(2))]);
    tell(at(5), &mut b, &mut c);
    assert_eq!(c.mac(ip(1)), Some(mac(2)));
    a.tell_all();
    assert_eq!(tell(at(6), &mut a, &mut c), 1);
    assert_eq!(c.mac(ip(1)), Some(mac(2)), "a saw its own six minutes ago");
    a.sampled(at(7), [(ip(1), mac(1))]);
    a.tell_all();
    tell(at(7), &mut a, &mut c);
    assert_eq!(c.mac(ip(1)), Some(mac(1)), "and sees it again now");
}

#[test]
fn a_word_older_than_the_age_is_not_learned() {
    let (mut a, mut b) = (Neighbours::new(AGE), Neighbours::new(AGE));
    a.sampled(at(0), [(ip(1), mac(1))]);
    assert_eq!(tell(at(20), &mut a, &mut b), 1);
    assert!(b.is_empty());
}

#[test]
fn what_left_the_table_is_not_told_and_told_again_when_it_returns() {
    let mut a = Neighbours::new(AGE);
    a.sampled(at(0), [(ip(1), mac(1))]);
    a.sampled(at(1), []);
    assert_eq!(a.poll_batch(at(1)), None);
    a.sampled(at(2), [(ip(1), mac(1))]);
    assert!(a.poll_batch(at(2)).is_some());
    a.sampled(at(3), []);
    a.sampled(at(4), [(ip(1), mac(1))]);
    assert!(a.poll_batch(at(4)).is_some());
}

#[test]
fn what_cannot_be_told_is_not_sampled() {
    let mut a = Neighbours::new(AGE);
    a.sampled(at(0), [("fe80::1".parse().unwrap(), mac(1)), (ip(1), Mac::ZERO)]);
    assert!(a.is_empty() && a.poll_batch(at(0)).is_none());
}

#[test]
fn a_flood_of_neighbours_drops_the_oldest() {
    let mut a = Neighbours::new(AGE);
    let many =
        |n: u32| (0..n).map(|i| (core::net::Ipv4Addr::from_bits(0x0a00_0000 + i).into(), mac(1)));
    a.sampled(at(0), [(ip(7), mac(7))]);
    let mut told = Vec::new();
    many(ENTRIES_MAX as u32 + 10)
        .skip(10)
        .for_each(|(ip, mac)| told.push(Told { ip, mac, age: 0 }));
    for batch in told.chunks(BATCH) {
        let mut bytes = Vec::new();
        encode(batch, &mut bytes);
        a.received(at(1), &bytes).unwrap();
    }
    assert_eq!(a.len(), ENTRIES_MAX);
    assert_eq!(a.mac(ip(7)), None, "told before all others");
    a.sampled(at(2), many(ENTRIES_MAX as u32 + 10));
    let told: usize =
        core::iter::from_fn(|| a.poll_batch(at(2))).map(|b| decode(&b).unwrap().len()).sum();
    assert_eq!(told, ENTRIES_MAX);
}

#[test]
fn the_hosts_of_a_network_can_be_walked_while_the_cache_changes() {
    let mut a = Neighbours::new(AGE);
    let hosts = [[10, 0, 0, 1], [10, 0, 0, 9], [10, 0, 1, 1], [9, 255, 255, 255]];
    a.sampled(at(0), hosts.map(|host| (host.into(), mac(1))));
    let net = Network::of(ip(0), 24);
    assert_eq!(a.within(net).map(|(ip, _)| ip).collect::<Vec<_>>(), [ip(1), ip(9)]);
    assert_eq!(a.next_within(net, None), Some((ip(1), mac(1))));
    assert_eq!(a.next_within(net, Some(ip(1))), Some((ip(9), mac(1))));
    a.sampled(at(1), [(ip(5), mac(5))]);
    assert_eq!(a.next_within(net, Some(ip(1))), Some((ip(5), mac(5))));
    for end in [ip(9), ip(255), [10, 0, 7, 0].into(), "fd00::1".parse().unwrap()] {
        assert_eq!(a.next_within(net, Some(end)), None, "{end}");
    }
    assert_eq!(a.next_within(net, Some([1, 1, 1, 1].into())), Some((ip(1), mac(1))));
}

#[test]
fn broken_bytes_change_nothing() {
    let mut a = Neighbours::new(AGE);
    assert!(a.received(at(0), &[1, 0, 1, 0, 0, 1, 2, 3]).is_err());
    assert!(a.is_empty());
}

mod any_words {
    use super::*;
    use proptest::prelude::*;

    /// A word about a host: which, at which Ethernet address, seconds of age, and seconds that pass before it.
    type Word = (u8, u8, u16, u16);

    proptest! {
        /// What is known of a host is the youngest word about it, the later of two equally young ones, unless that is too old.
        #[test]
        fn leave_the_youngest_of_each_host(words in proptest::collection::vec((0u8..8, 0u8..4, 0u16..90, 0u16..40), 0..60)) {
            let words: Vec<Word> = words;
            let mut cache = Neighbours::new(MINUTE);
            let mut youngest: BTreeMap<u8, (Instant, u8)> = BTreeMap::new();
            let mut now = at(5);
            for (host, station, age, pause) in words {
                now += Duration::from_secs(pause.into());
                let mut bytes = Vec::new();
                encode(&[Told { ip: ip(host), mac: mac(station), age }], &mut bytes);
                cache.received(now, &bytes).unwrap();
                youngest.retain(|_, (end, _)| *end > now);
                let end = now + MINUTE.saturating_sub(Duration::from_secs(age.into()));
                if end > now && youngest.get(&host).is_none_or(|(other, _)| *other <= end) {
                    youngest.insert(host, (end, station));
                }
                for host in 0..8 {
                    let expected = youngest.get(&host).map(|(_, station)| mac(*station));
                    prop_assert_eq!(cache.mac(ip(host)), expected);
                }
                prop_assert_eq!(cache.next_timeout(), youngest.values().map(|(end, _)| *end).min());
                prop_assert_eq!(cache.known.len(), cache.by_end.len());
            }
        }
    }
}

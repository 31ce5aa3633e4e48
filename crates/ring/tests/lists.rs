//! Two or three daemons by hand: what is told of ids, of lists, and of words that cannot be read.

#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.
use std::collections::VecDeque;
use std::time::Duration;

use base::{Boot, Instant, Random};
use bytes::Bytes;
use ring::{
    Daemon, DaemonName, Notice, Ring, Settings, Surroundings, Tag, To, VirtualIds, settings::MAJOR,
};

struct Around(Random);

impl Surroundings for Around {
    fn random(&mut self, out: &mut [u8]) {
        out.iter_mut().for_each(|byte| *byte = self.0.next_u64() as u8);
    }

    fn unix_seconds(&mut self) -> u32 {
        1_700_000_000
    }
}

/// Daemons that hear each other at once.
struct Few {
    now: Instant,
    rings: Vec<(Boot, Ring)>,
    notices: Vec<Vec<Notice>>,
}

fn name(i: usize) -> DaemonName {
    DaemonName::of_host(["ann", "bob", "cat"][i])
}

/// What daemon `i` is told, in whose list these machines have these ids.
fn settings(i: usize, boot: Boot, list: &[(usize, u32)]) -> Settings {
    let mut settings = Settings::new(Daemon { name: name(i), boot });
    settings.fixed = Some(list.iter().map(|(i, _)| name(*i)).collect());
    settings.ids = VirtualIds::written(list.iter().map(|(i, id)| (name(*i), *id)));
    settings.configuration = list.iter().fold(1, |hash, (i, id)| hash * 31 + *i as u32 + id);
    settings
}

impl Few {
    /// Each with its list.
    fn new(lists: &[&[(usize, u32)]]) -> Self {
        let now = Instant::from_millis(1);
        let ring = |(i, list): (usize, &&[(usize, u32)])| {
            let boot = Boot([i as u8 + 1; 16]);
            let around = Box::new(Around(Random::new(i as u64)));
            (boot, Ring::new(now, settings(i, boot, list), around, i as u64))
        };
        let rings = lists.iter().enumerate().map(ring).collect();
        Self { now, rings, notices: lists.iter().map(|_| Vec::new()).collect() }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(1);
            for (_, ring) in &mut self.rings {
                ring.handle_timeout(self.now);
            }
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        loop {
            let mut waiting: VecDeque<(usize, Boot, Bytes)> = VecDeque::new();
            for from in 0..self.rings.len() {
                let boot = self.rings[from].0;
                while let Some(transmit) = self.rings[from].1.poll_transmit() {
                    let goes = |to: &usize| match &transmit.to {
                        To::Peer(tag) | To::Door(tag) => *tag == Tag::from(&self.rings[*to].0),
                        To::Group | To::Seeds => true,
                    };
                    let all = (0..self.rings.len()).filter(|to| *to != from);
                    let to: Vec<usize> = all.filter(goes).collect();
                    waiting.extend(to.into_iter().map(|to| (to, boot, transmit.datagram.clone())));
                }
                while self.rings[from].1.poll_event().is_some() {}
                while let Some(notice) = self.rings[from].1.poll_notice() {
                    self.notices[from].push(notice);
                }
            }
            if waiting.is_empty() {
                return;
            }
            for (to, boot, datagram) in waiting {
                self.rings[to].1.handle_datagram(self.now, &boot, &datagram);
            }
        }
    }

    fn reload(&mut self, i: usize, list: &[(usize, u32)]) {
        let (boot, ring) = &mut self.rings[i];
        ring.reload(self.now, settings(i, *boot, list), false);
    }

    /// How many members the view of daemon `i` has.
    fn members(&self, i: usize) -> usize {
        self.rings[i].1.view().map_or(0, |view| view.members.len())
    }

    fn says(&self, i: usize, what: impl Fn(&Notice) -> bool) -> usize {
        self.notices[i].iter().filter(|notice| what(notice)).count()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn all_members_give_a_member_the_same_id() {
    let both: &[(usize, u32)] = &[(0, 70), (1, 80)];
    let mut few = Few::new(&[both, both]);
    few.run(SECOND);
    assert_eq!((few.members(0), few.members(1)), (2, 2));
    let ann = few.rings[0].1.view().unwrap().members[0];
    assert_eq!([0, 1].map(|i| few.rings[i].1.virtual_id(&ann)), [70, 70]);
    // Another id in the list changes neither the life that has this one nor what is said of it in the view.
    few.reload(0, &[(0, 71), (1, 80)]);
    few.run(SECOND);
    assert_eq!((few.members(0), few.members(1)), (2, 2));
    assert_eq!([0, 1].map(|i| few.rings[i].1.virtual_id(&ann)), [70, 70]);
}

#[test]
fn a_daemon_with_another_id_than_the_list_has_is_not_the_one_that_is_meant() {
    let mut few = Few::new(&[&[(0, 70), (1, 80)], &[(0, 70), (1, 81)]]);
    few.run(SECOND);
    assert_eq!((few.members(0), few.members(1)), (1, 1));
    assert_eq!(few.says(0, |notice| matches!(notice, Notice::NotListed { .. })), 1);
}

#[test]
fn whoever_was_struck_owns_nothing_until_it_is_listed_again() {
    let all: &[(usize, u32)] = &[(0, 1), (1, 2), (2, 3)];
    let mut few = Few::new(&[all, all, all]);
    few.run(SECOND);
    assert_eq!(few.members(2), 3);
    for i in [0, 1] {
        assert_eq!(few.rings[2].1.excluded_by(), None);
        few.reload(i, &[(0, 1), (1, 2)]);
        few.run(SECOND);
    }
    assert_eq!([0, 1, 2].map(|i| few.members(i)), [2, 2, 1]);
    assert!(few.rings[2].1.excluded_by().is_some());
    assert_eq!(few.says(2, |notice| matches!(notice, Notice::Unlisted { .. })), 1);
    assert_eq!(few.says(2, |notice| matches!(notice, Notice::OneWay { .. })), 0);
    [0, 1].into_iter().for_each(|i| few.reload(i, all));
    few.run(3 * SECOND);
    assert_eq!([0, 1, 2].map(|i| few.members(i)), [3, 3, 3]);
    assert_eq!(few.rings[2].1.excluded_by(), None);
}

#[test]
fn words_that_cannot_be_read_are_told_of_once_and_counted() {
    let both: &[(usize, u32)] = &[(0, 1), (1, 2)];
    let mut few = Few::new(&[both, both]);
    few.run(SECOND);
    let bob = few.rings[1].0;
    for cut in [&[1, MAJOR][..], &[5, MAJOR, 9], &[13, MAJOR, 0, 0]] {
        assert!(!few.rings[0].1.handle_datagram(few.now, &bob, cut));
    }
    few.run(SECOND);
    assert_eq!(few.rings[0].1.status(few.now).malformed, 3);
    assert_eq!(few.says(0, |notice| matches!(notice, Notice::Malformed { .. })), 1);
    assert_eq!((few.members(0), few.members(1)), (2, 2));
}

/// A newcomer of another release: what it says first cannot be read, so it is never known, and the operator would learn nothing.
#[test]
fn words_of_unknown_daemons_that_cannot_be_read_are_told_of_once() {
    let alone: &[(usize, u32)] = &[(0, 1)];
    let mut few = Few::new(&[alone]);
    few.run(SECOND);
    for boot in [7, 8, 9] {
        let boot = Boot([boot; 16]);
        assert!(!few.rings[0].1.handle_datagram(few.now, &boot, &[1, MAJOR]));
    }
    few.run(SECOND);
    assert_eq!(few.rings[0].1.status(few.now).malformed, 3);
    assert_eq!(few.says(0, |notice| *notice == Notice::Unreadable && notice.is_trouble()), 1);
}

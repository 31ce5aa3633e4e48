//! A member of the group that has the cluster's key and means no good: it sends anything to two honest members in one view with it.
//!
//! The input is messages, each after its length in two bytes, most significant first. The first byte of all says how things stand
//! when they begin: all have spoken or not; some sets are for a majority only or not; how long it is between two messages. What
//! must hold: nothing panics; what is kept and what is answered is bounded; and the two honest members, who have heard the same
//! words in the same order, have the same table at the end.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use vip::settings::Listed;
use vip::status::Status;
use vip::{Action, Identity, MESSAGE_TYPE, Set, Settings, View, ViewId, Vip};

/// The view, so that the input can speak in it.
const VIEW: ViewId = ViewId(*b"abcdefghijkl");
/// The members, in the order of the view: two honest ones and the other.
const NAMES: [&str; 3] = ["#a#m1", "#a#m2", "#a#m3"];
const OTHER: usize = 2;
/// More sets than three members can have told of in one word each.
const SETS_MAX: usize = 3 * 4_096;
/// More words than one word can set off.
const WORDS_MAX: usize = 2_000;

struct Group {
    now: Instant,
    /// The honest ones; also the other, as long as it has not begun.
    members: Vec<Vip>,
    /// Words in the order of the bus, each with its sender.
    words: VecDeque<(usize, Vec<u8>)>,
    /// One has been excluded and leaves: the view is over, and this with it.
    over: bool,
}

fn member(at: usize, quorum: bool, now: Instant) -> Vip {
    let identity = Identity {
        machine: format!("m{}", at + 1),
        boot: at as u64 + 1,
        shown: Some(IpAddr::from([10, 0, 0, at as u8 + 1])),
        macs: vec![[2, 0, 0, 0, 0, at as u8]],
    };
    let ip = |last: u8| IpAddr::from([10, 0, 1, last]);
    let sets =
        [&[1_u8][..], &[2, 3], &[4], &[5]].into_iter().enumerate().filter_map(|(n, lasts)| {
            let set = Set::new(&lasts.iter().map(|last| ip(*last)).collect::<Vec<_>>())?;
            Some(Listed { set, preferred: n == at, quorum: quorum && n % 2 == 0 })
        });
    let mut settings = Settings { sets: sets.collect(), ..Settings::default() };
    settings.mature = Duration::from_secs(1);
    if quorum {
        settings.quorum = (1..=3).map(|n| (format!("m{n}"), 1)).collect();
    }
    let keys: Vec<_> = settings.sets.iter().map(|one| one.set.key()).collect();
    let mut vip = Vip::new(identity, settings, now);
    vip.handle_all_able(now, keys.into_iter().map(|key| (key, true, false)));
    vip.handle_connected(now);
    let members = NAMES.map(str::to_owned).to_vec();
    vip.handle_view(now, View { id: VIEW, members, me: at });
    vip
}

impl Group {
    fn new(quorum: bool) -> Self {
        let now = Instant::from_millis(1_000);
        let members = (0..NAMES.len()).map(|at| member(at, quorum, now)).collect();
        Self { now, members, words: VecDeque::new(), over: false }
    }

    /// Carries words in one order and does what they ask for, until nobody says anything; tells each word.
    fn run(&mut self, tell: &mut dyn FnMut(usize, &[u8])) {
        for count in 0.. {
            assert!(count < WORDS_MAX, "it does not come to rest");
            self.act();
            let Some((from, body)) = self.words.pop_front() else { return };
            tell(from, &body);
            for vip in &mut self.members {
                vip.handle_message(self.now, NAMES[from], MESSAGE_TYPE, &body);
            }
        }
    }

    fn act(&mut self) {
        let now = self.now;
        for (at, vip) in self.members.iter_mut().enumerate() {
            while let Some(action) = vip.poll_action() {
                match action {
                    Action::Add { set, .. } => vip.handle_added(now, set.key()),
                    Action::Remove { set, .. } => vip.handle_removed(now, set.key()),
                    Action::Announce(_) => {}
                    Action::Rejoin => self.over = true,
                }
            }
            while vip.poll_event().is_some() {}
            while let Some(transmit) = vip.poll_transmit() {
                self.words.push_back((at, transmit.body));
            }
        }
    }

    fn pass(&mut self, time: Duration, tell: &mut dyn FnMut(usize, &[u8])) {
        let end = self.now + time;
        while self.now < end && !self.over {
            let next = self.members.iter().filter_map(Vip::next_timeout).min().unwrap_or(end);
            self.now = next.clamp(self.now + Duration::from_millis(1), end);
            for vip in &mut self.members {
                vip.handle_timeout(self.now);
            }
            self.run(tell);
        }
    }

    /// What must be the same at both, and bounded.
    fn judge(&self) {
        let [one, two] = [0, 1].map(|at| self.members[at].status(self.now));
        assert!(one.sets.len() <= SETS_MAX, "{} sets", one.sets.len());
        if !self.over {
            assert_eq!(table(&one), table(&two));
        }
    }
}

fn table(status: &Status) -> Vec<impl PartialEq + core::fmt::Debug + use<>> {
    let set = |one: &vip::status::SetStatus| {
        let moving = (one.owner, one.moving_to, one.reason);
        (one.key, moving, one.quorum, one.pinned, one.blocked_by, one.candidates.clone())
    };
    status.sets.iter().map(set).collect()
}

pub fn run(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    let mut rest = rest;
    let mut group = Group::new(how & 1 != 0);
    if how & 2 != 0 {
        group.pass(Duration::from_secs(3), &mut |_, _| {});
    }
    // From now on the input speaks for it.
    group.members.truncate(OTHER);
    group.words.clear();
    let pause = Duration::from_millis([0, 1, 60, 700][usize::from(how >> 2 & 3)]);
    while let [high, low, more @ ..] = rest
        && !group.over
    {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (word, later) = more.split_at(length);
        rest = later;
        group.words.push_back((OTHER, word.to_vec()));
        group.run(&mut |_, _| {});
        group.judge();
        if !pause.is_zero() {
            group.pass(pause, &mut |_, _| {});
        }
    }
    group.pass(Duration::from_secs(2), &mut |_, _| {});
    group.judge();
}

/// What the other says when it is honest, and one of each kind that is not said then: each with its kind and as an input.
#[allow(dead_code)] // Used to write the corpus.
pub fn recorded() -> Vec<(u8, Vec<u8>)> {
    let mut said: Vec<Vec<u8>> = Vec::new();
    let mut listen = |from: usize, body: &[u8]| {
        let kind = body.get(4).copied();
        if from == OTHER && said.iter().filter(|one| one.get(4).copied() == kind).count() < 2 {
            said.push(body.to_vec());
        }
    };
    let mut group = Group::new(true);
    group.pass(Duration::from_secs(3), &mut listen);
    group.members[OTHER].order("m1", vip::Order::Drain).unwrap_or_default();
    group.pass(Duration::from_secs(3), &mut listen);
    group.members[OTHER].order("m1", vip::Order::Undrain).unwrap_or_default();
    let sets = group.members[OTHER].status(group.now).sets;
    if let [first, ..] = &sets[..] {
        group.members[OTHER].order("m2", vip::Order::Take(first.head)).unwrap_or_default();
    }
    group.pass(Duration::from_secs(9), &mut listen);
    let now = group.now;
    group.members[OTHER].leave(now, Some(Duration::from_secs(9)));
    group.pass(Duration::from_secs(9), &mut listen);
    let keys: Vec<u8> = sets.iter().flat_map(|set| set.key.0.to_le_bytes()).collect();
    let about = |kind: u8, rest: &[u8]| [&b"BHV\x01"[..], &[kind], &VIEW.0, rest].concat();
    let count = [sets.len() as u8];
    for kind in 5..=9 {
        said.push(about(kind, &[&count[..], &keys].concat()));
    }
    said.push(about(3, &[]));
    let to: Vec<u8> = sets
        .iter()
        .enumerate()
        .flat_map(|(n, set)| [&set.key.0.to_le_bytes()[..], &[n as u8 % 3, 3]].concat())
        .collect();
    said.push(about(4, &[&count[..], &to].concat()));
    said.push([&b"BHV\x01\x0d"[..], &1_u64.to_le_bytes()].concat());
    said.push(about(10, &[1, 1]));
    said.push(about(11, &[0xff, 0x01]));
    let input = |word: Vec<u8>| {
        let kind = word.get(4).copied().unwrap_or_default();
        (kind, [&[3][..], &(word.len() as u16).to_be_bytes(), &word].concat())
    };
    said.into_iter().map(input).collect()
}

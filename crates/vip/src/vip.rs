//! Everything of one machine: what the driver calls.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use base::Instant;

use crate::damping::Damping;
pub(crate) use crate::memory::{Able, Hold, Holder, Local, Memory, Phase};
pub use crate::message::Ask as Order;
use crate::message::{Malformed, Message, Said};
pub(crate) use crate::outside::{Action, After, Event, Service, Transmit, View, ViewId};
use crate::quorum::Standing;
use crate::reason::Reason;
use crate::set::{Set, SetKey};
use crate::settings::{Identity, Settings};
use crate::table::{Member, Row, Table, Was};

/// The message type (`mess_type`) of our messages in the group.
pub const MESSAGE_TYPE: i16 = 0x4256;

/// How often a member says that it is there.
const ALIVE_EVERY: Duration = Duration::from_millis(500);
/// A machine with a view whose program was not called for longer than this has stood still, or the program has: it is called for
/// its own word twice in that time.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// How long a set that could not be added here is not tried again.
pub(crate) const FAILED_FOR: Duration = Duration::from_secs(10);

/// One machine's part in deciding who has which address.
#[derive(Debug)]
pub struct Vip {
    pub(crate) identity: Identity,
    pub(crate) settings: Settings,
    pub(crate) phase: Phase,
    pub(crate) view: Option<ViewId>,
    pub(crate) me: usize,
    pub(crate) members: Vec<Member>,
    /// Since when no member has left the view.
    pub(crate) unbroken: Instant,
    pub(crate) table: Table,
    pub(crate) standing: Standing,
    /// What members have said of sets, until the table is made of it.
    pub(crate) said: BTreeMap<usize, Vec<Said>>,
    /// Members that others say are silent.
    pub(crate) silent_said: BTreeSet<String>,
    /// Members that were not in the view before.
    pub(crate) newcomers: BTreeSet<String>,
    /// Who held what when the last table was given up.
    pub(crate) holders: BTreeMap<SetKey, Vec<Holder>>,
    /// Owners as they were last told of.
    pub(crate) shown: BTreeMap<SetKey, String>,
    pub(crate) memory: Memory,
    pub(crate) damping: Damping,
    pub(crate) locals: BTreeMap<SetKey, Local>,
    pub(crate) able: BTreeMap<SetKey, Able>,
    /// Since when sets could not be held here whose interfaces have come back since, and which wait for others to be met.
    pub(crate) dark: BTreeMap<SetKey, Instant>,
    /// Sets that nobody would find here, and whether this machine would have them all the same, as it says.
    pub(crate) hidden: BTreeMap<SetKey, bool>,
    pub(crate) mature: bool,
    pub(crate) mature_at: Option<Instant>,
    /// The view in which this machine has said that it has waited long enough.
    pub(crate) mature_said: Option<ViewId>,
    pub(crate) healthy: bool,
    pub(crate) drained: bool,
    /// A drain outlives this program.
    pub(crate) keeps: bool,
    pub(crate) leaving: Option<Option<Duration>>,
    /// Members of the original program, which this one does not take part beside.
    pub(crate) originals: BTreeSet<String>,
    pub(crate) aside: bool,
    pub(crate) balance_at: Option<Instant>,
    /// What this machine has claimed in this view and has not heard back.
    pub(crate) claimed: BTreeSet<SetKey>,
    /// Moves that this machine has given up in this view, by when they were begun.
    pub(crate) cancelled: BTreeMap<SetKey, Instant>,
    /// Sets that an operator wants here and that the group has not sent here yet, and whether that was said in this view.
    pub(crate) orders: BTreeMap<SetKey, bool>,
    /// How it was with each set in the view before: at whom, since when, and why.
    pub(crate) were: BTreeMap<SetKey, Was>,
    /// When this was last called, and when it last was after having stood still: what others have said meanwhile is still
    /// to be read.
    pub(crate) called: Instant,
    pub(crate) resumed: Instant,
    pub(crate) alive_at: Instant,
    pub(crate) alive_sent: u64,
    /// Own words that have not come back: number and when they were sent.
    pub(crate) echoes: VecDeque<(u64, Instant)>,
    pub(crate) echoed: Option<Instant>,
    /// What this machine is has changed, and the others are to be told.
    pub(crate) changed: bool,
    pub(crate) acquired: Vec<SetKey>,
    pub(crate) released: Vec<SetKey>,
    /// What this machine has said to be released, and has not heard back.
    pub(crate) releasing: BTreeSet<SetKey>,
    /// Until when nothing under quorum is given that nobody here knew of, if something may have happened elsewhere.
    pub(crate) uncertain: Option<Instant>,
    pub(crate) failed: Vec<SetKey>,
    /// Runs of the program that have certainly let go, until when that is remembered, and in which view it was said.
    pub(crate) fenced: BTreeMap<u64, (Instant, Option<ViewId>)>,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) events: VecDeque<Event>,
}

impl Vip {
    /// A machine that is not yet on the bus.
    pub fn new(identity: Identity, settings: Settings, now: Instant) -> Self {
        Self {
            identity,
            settings,
            phase: Phase::Away,
            view: None,
            me: 0,
            members: Vec::new(),
            unbroken: now,
            table: Table::default(),
            standing: Standing { majority: false, epoch: 0, certain: false },
            said: BTreeMap::new(),
            silent_said: BTreeSet::new(),
            newcomers: BTreeSet::new(),
            holders: BTreeMap::new(),
            shown: BTreeMap::new(),
            memory: Memory::default(),
            damping: Damping::default(),
            locals: BTreeMap::new(),
            able: BTreeMap::new(),
            dark: BTreeMap::new(),
            hidden: BTreeMap::new(),
            mature: false,
            mature_at: None,
            mature_said: None,
            healthy: true,
            drained: false,
            keeps: false,
            leaving: None,
            originals: BTreeSet::new(),
            aside: false,
            balance_at: None,
            claimed: BTreeSet::new(),
            cancelled: BTreeMap::new(),
            orders: BTreeMap::new(),
            were: BTreeMap::new(),
            called: now,
            resumed: now,
            alive_at: now,
            alive_sent: 0,
            echoes: VecDeque::new(),
            echoed: None,
            changed: false,
            acquired: Vec::new(),
            released: Vec::new(),
            releasing: BTreeSet::new(),
            uncertain: None,
            failed: Vec::new(),
            fenced: BTreeMap::new(),
            transmits: VecDeque::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The addresses of a set are there already: another image of this program has handed them over. To be called before there is a
    /// view.
    pub fn adopt(&mut self, set: Set) {
        if self.view.is_none() {
            self.memory.known.insert(set.key());
            let quorum = self.settings.sets.iter().any(|one| one.quorum && one.set == set);
            self.locals.insert(set.key(), Local { set, hold: Hold::Up, quorum });
        }
    }

    /// It is drained from the beginning, as an order to a run of the program before said. To be called before there is a view.
    pub fn begin_drained(&mut self) {
        self.drained = true;
    }

    /// Whether it is drained, as it was ordered last.
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// Whether a drain outlives this program: the next run would be told by [`begin_drained`](Self::begin_drained).
    pub fn handle_keeps(&mut self, now: Instant, keeps: bool) {
        self.changed |= self.keeps != keeps;
        self.keeps = keeps;
        self.finish(now);
    }

    /// There is a session with the bus, and the group is being joined: the time to maturity begins.
    pub fn handle_connected(&mut self, now: Instant) {
        if !self.mature {
            self.mature_at = Some(now + self.settings.mature);
        }
    }

    /// The bus is away: everything is let go.
    pub fn handle_lost(&mut self, now: Instant) {
        self.step_out(now, Reason::BusLost);
    }

    /// What is not in the group holds nothing and starts from the beginning.
    pub(crate) fn step_out(&mut self, _now: Instant, reason: Reason) {
        self.phase = Phase::Away;
        self.view = None;
        self.members.clear();
        self.table = Table::default();
        self.said.clear();
        self.silent_said.clear();
        self.newcomers.clear();
        self.holders.clear();
        self.shown.clear();
        self.mature = false;
        self.mature_at = None;
        self.mature_said = None;
        self.claimed.clear();
        self.cancelled.clear();
        self.orders.clear();
        self.balance_at = None;
        self.originals.clear();
        self.aside = false;
        self.echoes.clear();
        self.echoed = None;
        self.acquired.clear();
        self.released.clear();
        self.releasing.clear();
        self.uncertain = None;
        self.failed.clear();
        // What it knew of holders is gone, and others may be holders by now: it counts as one that remembers no majority.
        self.memory.epoch = 0;
        // What was said in another view would not be heard.
        self.transmits.clear();
        let mut held: Vec<&mut Local> =
            self.locals.values_mut().filter(|local| local.hold != Hold::Removing).collect();
        held.sort_by_key(|local| local.set.head());
        for local in held {
            local.hold = Hold::Removing;
            self.actions.push_back(Action::Remove { set: local.set.clone(), reason });
        }
    }

    /// Time in which this machine did not listen is no silence of others.
    pub(crate) fn listen(&mut self, now: Instant) {
        if now.since(self.called) > STOOD_STILL {
            self.resumed = now;
        }
        self.called = now;
    }

    /// A message of the group. `kind` is its type, `original` says that it is one of the original program.
    pub fn handle_message(&mut self, now: Instant, from: &str, kind: i16, body: &[u8]) {
        self.listen(now);
        let Some(at) = self.members.iter().position(|member| member.name == from) else { return };
        if kind != MESSAGE_TYPE {
            self.foreign(from, kind, body);
            self.finish(now);
            return;
        }
        let message = match Message::decode(body) {
            Ok(message) => message,
            Err(Malformed::Version(version)) => {
                self.events.push_back(Event::Newer { member: from.to_string(), version });
                return;
            }
            Err(why) => {
                let member = from.to_string();
                self.events.push_back(Event::Unreadable { member, why: why.to_string() });
                return;
            }
        };
        if let Some(member) = self.members.get_mut(at) {
            member.heard = now;
        }
        self.memory.silent.remove(from);
        // What comes often and changes nothing is not worth looking at everything.
        let matters = !matches!(message, Message::Alive(..));
        self.handle_word(now, at, message);
        if matters {
            self.finish(now);
        }
    }

    fn handle_word(&mut self, now: Instant, at: usize, message: Message) {
        let here = |view: &ViewId| self.view == Some(*view);
        match message {
            Message::State(state) if here(&state.view) => self.state(now, at, state),
            Message::Update(state) if here(&state.view) => self.update(now, at, state),
            Message::Mature(view) if here(&view) => self.all_mature(now),
            Message::Move(view, moves) if here(&view) => self.begin_moves(now, &moves),
            Message::Acquired(view, keys) if here(&view) => self.acquired_by(now, at, &keys),
            Message::Released(view, keys) if here(&view) => self.released_by(now, at, &keys),
            Message::Failed(view, keys) if here(&view) => self.failed_at(now, at, &keys),
            Message::Cancel(view, keys) if here(&view) => self.cancel(now, &keys),
            Message::Claim(view, keys) if here(&view) => self.claim(now, &keys),
            Message::Exclude(view, members) if here(&view) => self.exclude(now, &members),
            Message::Alive(view, sequence) if here(&view) => self.alive(at, sequence),
            Message::Request(machine, ask) => self.request(now, &machine, ask),
            Message::Fenced(boot) => self.fenced(now, boot),
            // Said in a view that is over: what it was about has been said anew since.
            _ => {}
        }
    }

    /// A message of another program. The original's have types 1 to 5 and a length that fits.
    fn foreign(&mut self, from: &str, kind: i16, body: &[u8]) {
        let fits = match kind {
            1 => body.len() >= 24 && body.len().is_multiple_of(4),
            2 => body.is_empty(),
            3 => body.len() >= 4 && body.len().is_multiple_of(4),
            5 => body.len().is_multiple_of(12),
            _ => false,
        };
        if fits && self.originals.insert(from.to_string()) {
            if !self.mature {
                self.aside = true;
                self.changed = true;
                self.mature_at = None;
            }
            self.events.push_back(Event::Original { member: from.to_string(), aside: self.aside });
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.listen(now);
        let view = self.view;
        // In each view anew until it has been heard: what is said at the end of a view may be lost with it.
        if self.mature_at.is_some_and(|at| at <= now)
            && self.mature_said != view
            && let (Some(view), false) = (view, self.aside)
        {
            self.mature_said = Some(view);
            self.send(Service::Agreed, &Message::Mature(view));
        }
        let mut able = false;
        for state in self.able.values_mut() {
            if matches!(state, Able::After(at) | Able::Unmet(at) | Able::FailedUntil(at) if *at <= now)
            {
                *state = Able::Yes;
                able = true;
            }
        }
        self.changed |= able;
        if let Some(view) = view {
            if self.alive_at <= now {
                self.alive_at = now + ALIVE_EVERY;
                self.alive_sent += 1;
                self.echoes.push_back((self.alive_sent, now));
                while self.echoes.len() > 64 {
                    self.echoes.pop_front();
                }
                self.send(Service::Safe, &Message::Alive(view, self.alive_sent));
            }
            self.look_for_silent(now, view);
            if self.phase == Phase::Run {
                self.look_after_moves(now, view);
                self.look_after_leases(now, view);
            }
        }
        self.finish(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called at the latest.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.view?;
        let mut times: Vec<Option<Instant>> = alloc::vec![
            self.mature_at.filter(|_| self.mature_said != self.view),
            Some(self.alive_at),
            self.balance_at,
        ];
        times.extend(self.able.values().map(|able| match able {
            Able::After(at) | Able::Unmet(at) | Able::FailedUntil(at) => Some(*at),
            Able::Yes | Able::No(_) => None,
        }));
        if self.claims() {
            times.extend(self.unclaimed().map(|row| row.pending));
        }
        times.into_iter().flatten().min()
    }

    /// This machine is healthy, or not any more.
    pub fn handle_health(&mut self, now: Instant, healthy: bool) {
        self.changed |= self.healthy != healthy;
        self.healthy = healthy;
        self.finish(now);
    }

    /// These are the hardware addresses of this machine's interfaces now: a card may come later or get another. The others tell peers
    /// from strangers by them.
    pub fn handle_macs(&mut self, now: Instant, macs: Vec<[u8; 6]>) {
        if self.identity.macs != macs {
            self.identity.macs = macs;
            self.changed = true;
        }
        self.finish(now);
    }

    /// The addresses of a set are there and were announced.
    pub fn handle_added(&mut self, now: Instant, key: SetKey) {
        self.handle_all_added(now, [key]);
    }

    /// The same for many sets, of which the others hear in one word.
    pub fn handle_all_added(&mut self, now: Instant, keys: impl IntoIterator<Item = SetKey>) {
        for key in keys {
            let local = self.locals.get_mut(&key).filter(|local| local.hold == Hold::Adding);
            let Some(local) = local else { continue };
            local.hold = Hold::Up;
            self.memory.known.insert(key);
            let Some(row) = self.table.row(key) else { continue };
            let tells = match &row.moving {
                Some(moving) => moving.to == self.me && !moving.acquired,
                None => self.is_first_here(row),
            };
            if tells {
                self.acquired.push(key);
            }
        }
        self.finish(now);
    }

    /// Whether this machine is the first that has it, which the others do not know yet: from now on whoever takes it over need not
    /// ask whether a stranger has it. Or whether others wait for it.
    pub(crate) fn is_first_here(&self, row: &Row) -> bool {
        let local = self.locals.get(&row.set.key());
        self.phase == Phase::Run
            && row.owner == Some(self.me)
            && (!row.known || row.awaited && row.up_at != Some(self.me))
            && local.is_some_and(|local| local.hold == Hold::Up)
    }

    /// The addresses of a set could not be added; none of them is there.
    pub fn handle_failed(&mut self, now: Instant, key: SetKey) {
        if self.locals.remove(&key).is_some() {
            // It was to be taken off meanwhile: there is nothing left to take off.
            self.tell_released(key);
        }
        self.able.insert(key, Able::FailedUntil(now + FAILED_FOR));
        self.failed.push(key);
        self.finish(now);
    }

    /// The addresses of a set are off, or were taken off by somebody else and are not put back.
    pub fn handle_removed(&mut self, now: Instant, key: SetKey) {
        self.handle_all_removed(now, [key]);
    }

    /// The same for many sets, of which the others hear in one word.
    pub fn handle_all_removed(&mut self, now: Instant, keys: impl IntoIterator<Item = SetKey>) {
        for key in keys {
            if self.locals.remove(&key).is_some() {
                self.tell_released(key);
            }
        }
        self.finish(now);
    }

    /// What has moved away is not here any more.
    fn tell_released(&mut self, key: SetKey) {
        if self.table.row(key).is_some_and(|row| row.is_released_by(self.me)) {
            self.releasing.insert(key);
            self.released.push(key);
        }
    }

    /// This machine goes: what it holds is to move away first. It means to be back in that time, if one is said, and others then
    /// spare themselves an even share until it is.
    pub fn leave(&mut self, now: Instant, back_within: Option<Duration>) {
        self.leaving = Some(back_within);
        self.changed = true;
        self.finish(now);
    }

    /// Whether something here still waits for another machine to take it.
    pub fn is_leaving_in_order(&self) -> bool {
        let going =
            |row: &Row| row.moving.as_ref().is_some_and(|moving| moving.from.contains(&self.me));
        self.phase != Phase::Away
            && (self.changed
                || matches!(self.phase, Phase::Gather { .. })
                || self.table.rows.iter().any(going)
                || self.locals.values().any(|local| local.hold != Hold::Up)
                || self.heirs())
    }

    /// Whether another could have something that is held here, in this form or in another.
    fn heirs(&self) -> bool {
        let others = |row: &Row| {
            (0..self.members.len()).filter(|at| *at != self.me).any(|at| {
                crate::allocate::tier(row, at, &self.members, self.standing.majority).is_some()
            })
        };
        let rows = &self.table.rows;
        let in_other_forms = |row: &Row| {
            row.contested && rows.iter().any(|one| one.set.contradicts(&row.set) && others(one))
        };
        rows.iter().any(|row| row.owner == Some(self.me) && (others(row) || in_other_forms(row)))
    }

    /// Everything is let go without waiting any longer.
    pub fn abandon(&mut self, now: Instant) {
        self.step_out(now, Reason::Leaving);
    }

    /// Another configuration. The identity stays.
    pub fn reload(&mut self, now: Instant, settings: Settings) {
        self.settings = settings;
        self.changed = true;
        self.finish(now);
    }

    /// Whether there is a view that leases may rest on, as long as the bus holds it; and whether it has a majority and its table
    /// is made, so that sets under quorum may be held too.
    pub fn stands(&self) -> Option<bool> {
        self.view.map(|_| self.phase == Phase::Run && self.standing.majority)
    }

    /// Whether this set is held under quorum, as the table has it, or was when it was last listed.
    pub fn is_under_quorum(&self, key: SetKey) -> bool {
        self.table.row(key).is_some_and(|row| row.quorum)
            || self.locals.get(&key).is_some_and(|local| local.quorum)
    }

    /// When the newest of this machine's own words was sent that has come back through all daemons of the view: a proof of
    /// freshness for where the daemon itself cannot be asked.
    pub fn echoed(&self) -> Option<Instant> {
        self.echoed
    }

    /// What all inputs end with: the table's consequences here, and what is to be said of it.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.look_after_returned();
        self.reconcile(now);
        self.offer_hidden();
        let Some(view) = self.view else { return };
        // Before there is a table nobody could enter it, and the table would give the set to whoever has said that it is coming.
        let tells = self.phase == Phase::Run;
        let failed = if tells { core::mem::take(&mut self.failed) } else { Vec::new() };
        for (keys, word) in [
            (failed, Message::Failed as fn(ViewId, Vec<SetKey>) -> Message),
            (core::mem::take(&mut self.acquired), Message::Acquired),
            (core::mem::take(&mut self.released), Message::Released),
        ] {
            for some in keys.chunks(crate::message::SETS_MAX) {
                self.send(Service::Agreed, &word(view, some.to_vec()));
            }
        }
        if tells {
            self.ask_for_ordered(view);
        }
        self.say_fenced(view);
        if self.changed && self.has_spoken() {
            self.changed = false;
            let state = self.own_state(now, view);
            self.send(Service::Agreed, &Message::Update(state));
        }
    }

    /// Under quorum no word may be heard by one member and be unknown to those that go on without it: what it gave would be given
    /// once more.
    pub(crate) fn send(&mut self, service: Service, message: &Message) {
        let service = if self.settings.quorum.is_empty() { service } else { Service::Safe };
        self.transmits.push_back(Transmit { service, body: message.encode() });
    }

    /// The next message to the group.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to do on this machine.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing worth telling.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

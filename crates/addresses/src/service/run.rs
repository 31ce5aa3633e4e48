//! The loop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, mpsc as sync_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Instant;
use spread_client::{Backoff, Session};
use spread_wire::GroupName;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::sleep;
use vip::{Identity, MESSAGE_TYPE, SetKey, Vip};

use super::air::{Air, BEAT};
use super::answering::Answering;
use super::basis::Shared;
use super::drained::Keeper;
use super::farewell::Farewell;
use super::guarding::{self, Guarding};
use super::handle::{Command, Left, Legacy};
use super::holding::Holdings;
use super::places::Places;
use super::refusals::Refusals;
use super::report::{Counters, Decisions};
use super::secondaries::Secondaries;
use super::setup::{FRESH, FRESH_BY_ECHO, kernel_addresses, keyed, options, settings};
use super::watching::Watching;
use super::worker::{Done, Job, Worker};
use super::{Setup, StartError, clock};
use crate::config::{self, Config};
use crate::guardian::Guardian;
use crate::health::{Health, Verdict};
use crate::hooks::Hooks;
use crate::kernel::{self, Awaited, Kernel};

/// The type of messages that tell of neighbours.
pub(super) const NEIGHBOURS_TYPE: i16 = MESSAGE_TYPE + 1;
/// Hooks that run at a time.
pub(super) const HOOKS_AT_ONCE: usize = 8;

/// How long after a change of other addresses the interfaces are listed again.
const RELIST: Duration = Duration::from_millis(100);

/// A machine that is leaving.
pub(super) struct Leaving {
    pub(super) until: Instant,
    /// Whether there was anything to give.
    pub(super) had: bool,
    pub(super) answer: oneshot::Sender<Left>,
}

/// Everything of the service.
pub(super) struct Service {
    pub(super) config: Config,
    pub(super) sets: BTreeMap<SetKey, config::Set>,
    pub(super) managed: BTreeSet<IpAddr>,
    pub(super) vip: Vip,
    pub(super) session: Session,
    pub(super) group: GroupName,
    /// Whether an operator has sent it away.
    pub(super) away: bool,
    /// It leaves the group in order to join it again.
    pub(super) rejoins: bool,
    pub(super) bus: Result<String, String>,
    /// When the session with the bus was lost last, or this program began.
    pub(super) bus_lost_at: Instant,
    /// Private groups of members that are the original program.
    pub(super) originals: BTreeSet<String>,
    /// Private groups of machines with a name that others have, too, of which was told.
    pub(super) namesakes: BTreeSet<String>,
    /// The daemon refuses what this program is, and is not asked again before.
    pub(super) bus_again: Option<Instant>,
    /// The private groups of the view.
    pub(super) members: Vec<String>,
    pub(super) shared: Arc<Shared>,
    pub(super) echo_only: bool,
    pub(super) seek: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(super) doubles: Option<super::Doubles>,
    /// How often another daemon has been pushed out because of its name, as far as was looked.
    pub(super) pushed_out: u64,
    pub(super) going: Option<super::Going>,
    pub(super) jobs: sync_mpsc::Sender<Job>,
    pub(super) done: UnboundedReceiver<Done>,
    pub(super) worker: Option<JoinHandle<()>>,
    pub(super) watch: Watching,
    pub(super) places: Places,
    pub(super) unable: BTreeMap<SetKey, String>,
    pub(super) refusals: Refusals,
    pub(super) secondaries: Secondaries,
    pub(super) answering: Answering,
    pub(super) air: Air,
    pub(super) passing: super::passing::Passing,
    pub(super) holdings: Holdings,
    pub(super) hooks: Hooks,
    pub(super) health: Health,
    pub(super) guardian: Option<Awaited<Guardian>>,
    pub(super) guarding: Guarding,
    pub(super) orders: UnboundedReceiver<Command>,
    pub(super) changes: tokio::sync::watch::Sender<u64>,
    pub(super) leaving: Option<Leaving>,
    pub(super) counters: Counters,
    pub(super) decisions: Decisions,
    pub(super) share_at: Option<Instant>,
    pub(super) relist_at: Option<Instant>,
    /// Sets that are off, and whose programs have not ended yet.
    pub(super) stopping: super::stopping::Stopping,
    /// Sets that are up; the group is told once their announcements are out.
    pub(super) to_confirm: Vec<SetKey>,
    /// Sets of which the guardian has still to be told.
    pub(super) untold: Vec<SetKey>,
    /// Sets that are off, of which the group has still to be told.
    pub(super) to_release: Vec<SetKey>,
    /// The group is to be left and joined again.
    pub(super) rejoin_next: bool,
    /// Addresses of version 6 that the kernel has and that work; and those that it has taken and that do not work yet.
    pub(super) proven: BTreeSet<kernel::Address>,
    pub(super) unproven: BTreeMap<kernel::Address, Instant>,
    /// Addresses that are held here and that the kernel has let go.
    pub(super) missing: BTreeSet<kernel::Address>,
    /// Addresses that are held here and that the kernel says are off; what to do is decided once the interfaces are listed.
    pub(super) taken_off: BTreeSet<kernel::Address>,
    /// Addresses that were put back, in which set, and when that is told.
    pub(super) came_back: BTreeMap<IpAddr, (SetKey, Instant)>,
    /// What was said of late and is not to be said again yet.
    pub(super) said: BTreeMap<String, Instant>,
    /// Machines that were ever seen, by what conflicts call them.
    pub(super) machines: BTreeMap<base::MachineId, String>,
    pub(super) round: super::act::Round,
    pub(super) ends: bool,
    /// It was told to end, and again: what it may go without is not waited for.
    pub(super) ends_at_once: bool,
    /// Writes down that this machine is drained.
    pub(super) keeper: Keeper,
    /// What the guardian says at the very end, and what those of others say.
    pub(super) farewell: Option<Farewell>,
    /// Where the other machines of the view can be told something.
    pub(super) others: Vec<IpAddr>,
    /// Who is to be told what the next image needs.
    pub(super) handed_over: Option<(Duration, oneshot::Sender<Option<Legacy>>)>,
}

impl Service {
    pub(super) fn open(
        setup: Setup,
        orders: UnboundedReceiver<Command>,
        changes: tokio::sync::watch::Sender<u64>,
    ) -> Result<Self, StartError> {
        let Setup { config, endpoint, pulse, seek, doubles, .. } = setup;
        let Setup { balancer, going, state, key, legacy, .. } = setup;
        let now = clock::now();
        let system = |what| move |error| StartError::System { what, error };
        let watch = super::watching::listen()?;
        let mut kernel = Kernel::open()?;
        let mut places = Places::default();
        let echo_only = pulse.is_none();
        let shared = Arc::new(Shared::new(pulse, now));
        let (to, done) = unbounded_channel();
        let fresh = if echo_only { FRESH_BY_ECHO } else { FRESH };
        let (passing, program) = super::passing::Passing::open(&config);
        let mut worker = Worker::new(config.lease, fresh, shared.clone(), program, to)?;
        let sets = keyed(&config);
        let listed: BTreeSet<IpAddr> = kernel_addresses(&config).collect();
        let links = kernel.links()?;
        let mut watch = Watching::new(watch).map_err(system("events of the kernel"))?;
        watch.know(&links);
        places.know(links);
        // What this machine has for itself is left alone, and says what networks there are.
        let own: BTreeSet<IpAddr> = places.own(&listed).map(|(ip, _)| ip).collect();
        let managed: BTreeSet<IpAddr> = listed.difference(&own).copied().collect();
        let record = legacy.as_deref().and_then(super::legacy::read);
        let adopted = match &record {
            Some(_) => super::legacy::adopt(&mut worker, &sets, &places, &managed)?,
            None => Vec::new(),
        };
        let kept =
            adopted.iter().flat_map(|(_, holding)| &holding.placed).map(|placed| placed.address);
        let left = worker.remove_leftovers(&listed, &kept.collect(), record.is_some())?;
        for address in left {
            tracing::warn!(address = %address.ip, "taken off: a run of this program before has left it behind");
        }
        let identity = Identity {
            machine: config.machine.clone(),
            boot: crypto::seed(),
            shown: places.shown(&managed, &config.sets),
            macs: places.macs(),
        };
        let farewell = Farewell::new(&config, key.as_ref(), identity.boot);
        let mut vip = Vip::new(identity, settings(&config, fresh), now);
        let (keeper, found, able) = Keeper::open(state.as_deref());
        let drained = super::orders::begin(&mut vip, now, &found, &able);
        let mut holdings = Holdings::default();
        for (set, holding) in adopted {
            tracing::info!(head = %set.head(), "kept: the image of this program before has handed it over");
            holdings.sets.insert(set.key(), holding);
            vip.adopt(set);
        }
        let options = options(&config);
        let retry = config.retry_interval;
        let backoff = Backoff { first: Duration::from_millis(100).min(retry), most: retry };
        let session = Session::new(endpoint, options, backoff);
        let (jobs, for_worker) = sync_mpsc::channel();
        let thread = std::thread::Builder::new().name("addresses-kern".into());
        let worker = thread
            .spawn(move || worker.run(&for_worker))
            .map_err(system("thread for the kernel"))?;
        let inherited = record.and_then(|record| record.guardian);
        let (guardian, guarding, unguarded) = guarding::first(&config, inherited, now);
        let air = Air::new(&config, crypto::seed());
        let hooks = Hooks::new(config.hooks.clone(), HOOKS_AT_ONCE);
        let health = Health::new(config.health.clone(), balancer);
        let counters = Counters { guardians: u64::from(guardian.is_some()), ..Counters::default() };
        let mut service = Self {
            keeper,
            farewell,
            others: Vec::new(),
            share_at: config.share_neighbours_every.map(|_| now),
            relist_at: None,
            group: config.group,
            config,
            sets,
            managed,
            vip,
            session,
            away: false,
            rejoins: false,
            bus: Err("not connected yet".into()),
            bus_lost_at: now,
            originals: BTreeSet::new(),
            namesakes: BTreeSet::new(),
            bus_again: None,
            members: Vec::new(),
            shared,
            echo_only,
            seek,
            doubles,
            pushed_out: 0,
            going,
            jobs,
            done,
            worker: Some(worker),
            watch,
            places,
            unable: BTreeMap::new(),
            refusals: Refusals::default(),
            secondaries: Secondaries::default(),
            answering: Answering::default(),
            air,
            passing,
            holdings,
            hooks,
            health,
            guardian,
            guarding,
            orders,
            changes,
            leaving: None,
            counters,
            decisions: Decisions::default(),
            stopping: super::stopping::Stopping::default(),
            to_confirm: Vec::new(),
            to_release: Vec::new(),
            untold: Vec::new(),
            taken_off: BTreeSet::new(),
            came_back: BTreeMap::new(),
            rejoin_next: false,
            proven: BTreeSet::new(),
            unproven: BTreeMap::new(),
            missing: BTreeSet::new(),
            said: BTreeMap::new(),
            machines: BTreeMap::new(),
            round: super::act::Round::default(),
            ends: false,
            ends_at_once: false,
            handed_over: None,
        };
        if let Some(sentence) = drained {
            service.alarm(None, sentence);
        }
        if let Some(why) = unguarded {
            service.has_no_guardian(now, &why);
        }
        if service.guarding.waits_for_before() {
            let why = "the guardian of the run before still stops what was here, and is waited for";
            service.bus = Err(why.into());
            service.note(None, why.into());
        }
        service.hear_farewells();
        Ok(service)
    }

    pub(super) async fn run(mut self) {
        let now = clock::now();
        let verdict = self.health.verdict();
        self.vip.handle_health(now, verdict.healthy);
        self.interfaces_changed(now, &BTreeSet::new());
        self.go_on_with_what_was_adopted(now);
        if let Err(error) = self.session.join(&self.group).await {
            self.alarm(None, format!("the group {} cannot be joined: {error}", self.group_name()));
        }
        while !self.ends {
            self.turn().await;
        }
        self.finish().await;
    }

    /// Waits for one thing to happen and does everything that follows from it.
    pub(super) async fn turn(&mut self) {
        let pause = self.pause();
        let away = self.away || self.bus_again.is_some() || self.guarding.waits_for_before();
        let room = async {
            // Frames that found no room go out a moment later.
            if self.air.is_full() {
                sleep(Duration::from_millis(1)).await
            } else {
                std::future::pending().await
            }
        };
        let guardian = async {
            match &mut self.guardian {
                Some(guardian) => guardian.next(Guardian::next_event).await,
                None => std::future::pending().await,
            }
        };
        let bus = async {
            if away { std::future::pending().await } else { self.session.receive().await }
        };
        tokio::select! {
            biased;
            // Before all others: what the guardian has taken away is nobody else's doing, and is not taken off once more.
            event = guardian => self.guardian_said(event),
            Some(done) = self.done.recv() => self.kernel_did(done),
            happened = bus => {
                // First: whom the bus misses may have missed this program.
                self.look_whether_it_stood_still(clock::now());
                self.bus_said(happened).await;
            }
            key = self.air.heard() => self.network_said(key),
            event = self.watch.next() => self.kernel_said(event),
            Some(command) = self.orders.recv() => self.ordered(command).await,
            verdict = self.health.next() => self.judged(verdict),
            done = self.hooks.next() => self.hook_ended(done),
            heard = Farewell::next(&mut self.farewell) => self.farewell_heard(heard),
            Some(outcome) = self.keeper.outcomes.recv() => self.kept(outcome),
            started = self.guarding.started() => self.another_started(started),
            () = room => {}
            () = sleep(pause) => {}
        }
        while let Ok(done) = self.done.try_recv() {
            self.kernel_did(done);
        }
        self.follow().await;
    }

    fn pause(&self) -> Duration {
        let now = clock::now();
        let times = [
            self.vip.next_timeout(),
            self.air.next_timeout(),
            self.holdings.next_timeout(),
            self.stopping.next_timeout(),
            self.guarding.next_timeout(),
            self.refusals.next_timeout(),
            self.watch.next_timeout(),
            self.bus_again,
            self.share_at,
            self.relist_at,
            self.leaving.as_ref().map(|leaving| leaving.until),
        ];
        let beat = beat(&self.config.guardian);
        times.into_iter().flatten().min().map_or(beat, |at| at.since(now).min(beat))
    }

    /// Everything that follows from what happened, until nothing more does.
    async fn follow(&mut self) {
        let now = clock::now();
        self.look_whether_it_stood_still(now);
        self.beat_guardian(now);
        self.tell_guardian_what_runs();
        if self.vip.next_timeout().is_some_and(|at| at <= now) {
            self.vip.handle_timeout(now);
        }
        if self.share_at.is_some_and(|at| at <= now) {
            self.share_at = self.config.share_neighbours_every.map(|every| now + every);
            self.ask_kernel(Job::Neighbours);
        }
        self.tell_guardian_again();
        self.look_after_guardian(now);
        self.release_what_could_not_be_stopped(now);
        self.prove(now);
        self.try_again(now);
        self.listen_again(now);
        self.look_again_who_answers(now);
        self.look_for_doubles(now);
        self.bus_again = self.bus_again.filter(|at| *at > now);
        if self.relist_at.is_some_and(|at| at <= now) {
            self.relist_at = None;
            self.ask_kernel(Job::Links);
        }
        loop {
            let now = clock::now();
            // Before anything is added: the other thread asks at once on what.
            self.decide();
            // Before anything is added, and before anything begins to linger.
            self.pass_on(now);
            let mut acted = self.act(now);
            // What was just added is announced now, and only then is the group told.
            acted |= self.act(now) | self.confirm(now);
            if std::mem::take(&mut self.rejoin_next) {
                self.rejoin().await;
            }
            self.tell_events(now);
            self.decide();
            let sent = self.send().await;
            if !acted && !sent {
                break;
            }
        }
        self.keeper.note(self.vip.is_drained());
        self.leave_farewell();
        self.look_after_leaving(clock::now());
    }

    /// What leases rest on, for the kernel's thread.
    pub(super) fn decide(&self) {
        let daemon = |member: &String| member.rsplit('#').next().unwrap_or_default().to_owned();
        let stand = self.vip.stands();
        self.shared.decide(
            stand.map(|quorum| {
                (self.members.iter().map(daemon).collect(), quorum, self.vip.echoed())
            }),
        );
    }

    fn network_said(&mut self, key: (u32, bool)) {
        let now = clock::now();
        let (claimed, error) = self.air.hear(now, key);
        for claim in claimed {
            self.claimed(claim);
        }
        if let Some(error) = error {
            tracing::warn!(interface = key.0, %error, "a packet socket failed and is opened again");
            self.ask_kernel(Job::Links);
        }
    }

    fn judged(&mut self, verdict: Verdict) {
        self.note(None, verdict.why);
        self.vip.handle_health(clock::now(), verdict.healthy);
    }

    /// Networks may have changed: the interfaces are listed again, not for each address by itself.
    pub(super) fn relist_soon(&mut self, now: Instant) {
        self.relist_at = self.relist_at.or(Some(now + RELIST));
    }

    pub(super) fn ask_kernel(&self, job: Job) {
        // Its thread ends only with this one.
        let _ = self.jobs.send(job);
    }
}

/// At the least so often the loop comes round, and the guardian hears of it: a few times in the silence that it allows, so that one
/// that came late is no reason to take everything away.
pub(super) fn beat(guardian: &config::Guardian) -> Duration {
    if guardian.enabled { BEAT.min(guardian.suspicion / 4) } else { BEAT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guardian_hears_several_beats_within_the_silence_that_it_allows() {
        let guardian = |enabled, millis| {
            let suspicion = Duration::from_millis(millis);
            beat(&config::Guardian { enabled, suspicion, port: 4447 })
        };
        assert_eq!(guardian(true, 500), BEAT);
        // The least that may be configured is no more than the usual beat.
        assert!(guardian(true, 50) * 4 <= Duration::from_millis(50));
        assert_eq!(guardian(false, 50), BEAT);
    }
}

//! One worker: a thread with its own runtime, listening sockets, pools, buffers and counters.
//!
//! Everything in [`Worker`] belongs to one thread and is reached through `Rc` and `Cell`. What it shares
//! with the rest of the process is in [`Shared`], and of that a request touches only the matrix.

pub(crate) mod accept;
pub(crate) mod admission;
pub(crate) mod buffers;
pub(crate) mod control;
pub(crate) mod date;
pub(crate) mod decision;
pub(crate) mod judge;
mod learned;
pub(crate) mod log;
pub(crate) mod parting;
mod permission;
pub(crate) mod room;
pub(crate) mod run;
mod shortage;
pub(crate) mod vital;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use base::{Instant, Random, Seldom};
use candidacy::Routes;
use candidacy::asking::{AnswerTimes, AskingRules, Switch};
use candidacy::failures::{FailureRules, RetryBudget};
use crypto::Ring;
use http1::Fields;
use resources::Clock;
use seal::peer::PeerKey;
use tokio::sync::{broadcast, mpsc, watch};

use crate::access_log::Recorder;
use crate::asking::Desk;
use crate::config::{Config, Itself, Service};
use crate::local::files::Files;
use crate::local::health::Checker;
use crate::pages::Pages;
use crate::peers::pool::Pool;
use crate::peers::warden::Usage;
use crate::relay::lengths::Lengths;
use crate::relay::page::Job;
use crate::relay::splice::Pipes;
use crate::running::explain::Explainer;
use crate::stats;
use admission::{Admission, Gate};
use buffers::{Buffers, Scratch};
use control::Controls;
use date::Date;
use room::{Room, Shares};

/// Retries on suspicion that may be saved up.
const BURST: u32 = 20;

/// How far this machine's end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It serves.
    #[default]
    Serving,
    /// It finishes what it has.
    Draining,
    /// What is not finished is cut.
    Over,
}

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) resources: resources::Handle,
    pub(crate) pages: Arc<dyn Pages>,
    pub(crate) pages_to: mpsc::Sender<Job>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) room: Room,
    /// What of the descriptors each worker may use apart from connections.
    pub(crate) shares: Shares,
    pub(crate) explainer: Explainer,
    pub(crate) phase: watch::Receiver<Phase>,
    /// Addresses that are about to go to other machines.
    pub(crate) going: watch::Receiver<parting::Going>,
    pub(crate) peer_key: PeerKey<Ring>,
    pub(crate) health: Option<Checker>,
    pub(crate) deaths: broadcast::Sender<resources::Death>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("resources", &self.resources).finish_non_exhaustive()
    }
}

/// What deciding needs besides the matrix, all of it this worker's own.
pub(crate) struct Deciding {
    pub(crate) random: Random,
    pub(crate) scratch: candidacy::Scratch,
    pub(crate) budget: RetryBudget,
    pub(crate) failure_rules: FailureRules,
    pub(crate) asking_rules: AskingRules,
    pub(crate) answer_times: AnswerTimes,
    pub(crate) switches: Vec<Switch>,
    /// Typical service time by route; zero while unknown.
    pub(crate) service: Vec<Duration>,
}

/// What a worker says at most once a minute.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    pub(crate) function: RefCell<Seldom>,
    pub(crate) descriptors: RefCell<Seldom>,
    pub(crate) response: RefCell<Seldom>,
}

/// One worker's own.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Arc<Config>,
    pub(crate) stats: Arc<stats::Worker>,
    pub(crate) controls: Rc<Controls>,
    pub(crate) buffers: Buffers,
    pub(crate) scratch: Scratch,
    pub(crate) pipes: Pipes,
    pub(crate) pool: Pool,
    pub(crate) lengths: Lengths,
    pub(crate) date: Date,
    /// Where heads are written before they are sent. Borrow it only between two waits.
    pub(crate) text: RefCell<Vec<u8>>,
    /// The same for header lines.
    pub(crate) lines: RefCell<Vec<u8>>,
    /// Tables of fields that no request uses now: boxed, since requests are moved about.
    #[allow(clippy::vec_box)]
    pub(crate) fields: RefCell<Vec<Box<Fields>>>,
    /// The table for responses, which are read and sent on between two waits.
    pub(crate) response_fields: RefCell<Fields>,
    pub(crate) gate: Rc<Gate<resources::Handle>>,
    /// A clone of its own, so that regular expressions share no working space with other workers.
    pub(crate) routes: Routes,
    pub(crate) deciding: RefCell<Deciding>,
    /// Where questions are asked; none if there is no way to.
    pub(crate) desk: Option<Desk>,
    pub(crate) usage: Usage,
    pub(crate) warnings: Warnings,
    pub(crate) site: Option<RefCell<Files>>,
    pub(crate) recorder: RefCell<Recorder>,
    pub(crate) phase: Cell<Phase>,
    pub(crate) parting: parting::Parting,
    clock: Clock,
    /// What the clock said when it was asked last; at most one tick old while the worker runs.
    recent: Cell<Instant>,
}

impl Worker {
    /// Makes a worker inside of its runtime.
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        stats: Arc<stats::Worker>,
        recorder: Recorder,
    ) -> io::Result<Self> {
        let config = shared.config.clone();
        let machines = shared.resources.matrix().hot.capacity();
        let routes = config.routes.table.clone();
        let deciding = Deciding {
            random: Random::new(crypto::seed()),
            scratch: candidacy::Scratch::new(),
            budget: RetryBudget::new(config.http.retry_budget_percent * 10, BURST),
            failure_rules: FailureRules::default(),
            asking_rules: AskingRules::default(),
            answer_times: AnswerTimes::default(),
            switches: vec![Switch::default(); routes.all().len()],
            service: vec![Duration::ZERO; routes.all().len()],
        };
        let pool = Pool::new(machines, config.peers.pool_size, config.local.keep_alive);
        let gate = Gate::new(shared.admission.clone(), shared.resources.clone(), index);
        let desk = Desk::open(&shared.resources);
        let pipes = Pipes::new(shared.shares.pipes);
        Ok(Self {
            recent: Cell::new(shared.resources.clock().now()),
            clock: shared.resources.clock().clone(),
            site: open_site(&config, shared.shares.files)?,
            pool,
            lengths: Lengths::new(routes.all().len()),
            gate,
            routes,
            deciding: RefCell::new(deciding),
            config,
            shared,
            stats,
            controls: Rc::default(),
            buffers: Buffers::default(),
            scratch: Scratch::default(),
            pipes,
            date: Date::default(),
            text: RefCell::default(),
            lines: RefCell::default(),
            fields: RefCell::default(),
            response_fields: RefCell::default(),
            desk,
            usage: Usage::default(),
            warnings: Warnings::default(),
            recorder: RefCell::new(recorder),
            phase: Cell::default(),
            parting: parting::Parting::default(),
        })
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Instant {
        let now = self.clock.now();
        self.recent.set(now);
        now
    }

    /// A moment at most one tick ago, without asking the clock: for limits of a second and more, of which a
    /// request sets half a dozen.
    pub(crate) fn recent(&self) -> Instant {
        self.recent.get()
    }

    /// Whether connections are to end after their current request.
    pub(crate) fn is_draining(&self) -> bool {
        self.phase.get() != Phase::Serving
    }
}

fn open_site(config: &Config, open_max: usize) -> io::Result<Option<RefCell<Files>>> {
    let (Itself::Direct, Service::Files(options)) = (&config.local.itself, &config.local.service)
    else {
        return Ok(None);
    };
    Files::new(options, open_max).map(|files| Some(RefCell::new(files))).map_err(io::Error::other)
}

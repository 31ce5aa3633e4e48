//! Gathering the view from the parts below: the one place that knows their types.
//!
//! Everything is read, nothing is asked of a worker or of control: the matrix is atomics and a snapshot, the
//! counters are atomics. The only word said is that somebody looks, which turns explaining on for
//! a few seconds. Only the bus daemon and the addresses are asked, since all they have lives on their threads; each is waited for a
//! bounded time.

mod addresses;
mod bus;
mod decisions;
mod machines;

use std::collections::HashMap;

use balancer::config::Asking;
use base::Instant;
use base::histogram::Counts;
use candidacy::{Empty, Slot, Snapshot};
use resources::config::Protection;

use crate::console::Source;
use crate::view::{RouteRow, StatusView};

/// What a route is, apart from its figures; it never changes.
#[derive(Debug)]
struct RouteText {
    name: String,
    matches: String,
    chain: Vec<String>,
    empty: &'static str,
    asking: &'static str,
}

/// The figures of this running program.
#[derive(Debug)]
pub struct Live {
    resources: resources::Handle,
    balancer: balancer::View,
    routes: Vec<RouteText>,
    workers: u64,
    started: Instant,
    bus: bus::Bus,
    addresses: addresses::Addresses,
}

impl Live {
    /// Looks at a balancer that has just been started with `config`.
    pub fn new(
        resources: resources::Handle,
        balancer: balancer::View,
        config: &balancer::Config,
    ) -> Self {
        let started = resources.clock().now();
        let routes = config.routes.table.all().iter().zip(config.routes.all());
        let routes = routes.map(|(rule, settings)| RouteText {
            name: settings.name.clone(),
            matches: settings.conditions.clone(),
            chain: rule.chain.texts().map(Into::into).collect(),
            empty: match settings.empty {
                Empty::Here => "here",
                Empty::Refuse => "refuse",
            },
            asking: match settings.asking {
                Asking::Auto => "auto",
                Asking::Always => "always",
                Asking::Never => "never",
            },
        });
        let workers = config.http.workers as u64;
        let bus = bus::Bus::default();
        let addresses = addresses::Addresses::default();
        Self { resources, balancer, routes: routes.collect(), workers, started, bus, addresses }
    }

    /// Looks at the bus daemon of this machine as well.
    #[must_use]
    pub fn with_bus(mut self, observer: Option<spread_daemon::Observer>) -> Self {
        self.bus = bus::Bus::new(observer);
        self
    }

    /// Looks at the addresses of this machine as well.
    #[must_use]
    pub fn with_addresses(mut self, handle: Option<::addresses::service::Handle>) -> Self {
        self.addresses = addresses::Addresses::new(handle);
        self
    }

    fn warnings(&self, view: &StatusView) -> Vec<String> {
        let mut warnings = Vec::new();
        match self.resources.config().protection {
            Protection::Key(_) | Protection::Alone => {}
            Protection::Loopback => warnings.push(
                "There is no cluster key: whatever runs on this machine, as any user, can claim to be one \
                 of the cluster and be sent its clients' requests."
                    .into(),
            ),
            Protection::Insecure => warnings.push(
                "There is no cluster key (insecure = true): whoever can send a packet to this machine \
                 can claim to be one of the cluster and be sent its clients' requests."
                    .into(),
            ),
        }
        let c = &view.totals.counters;
        if c.log_lost > 0 {
            warnings.push(format!(
                "{} access-log records were lost: the disk is full or too slow. Requests go on.",
                c.log_lost
            ));
        }
        if c.accept_exhausted > 0 {
            warnings.push(format!(
                "File descriptors ran out {} times; raise the limit (LimitNOFILE, ulimit -n).",
                c.accept_exhausted
            ));
        }
        if c.made_room > 0 {
            warnings.push(format!(
                "File descriptors are short: {} resting connections were closed for new ones; raise the limit \
                 (LimitNOFILE, ulimit -n).",
                c.made_room
            ));
        }
        let doubles = self.resources.stats().each_refused().find(|(why, _)| *why == "double");
        if doubles.is_some_and(|(_, n)| n > 0) {
            warnings.push(
                "Two running machines have one identity: a state directory was copied. Remove it on \
                 one of them and restart that one."
                    .into(),
            );
        }
        warnings.extend(bus::warnings(view));
        warnings.extend(addresses::warnings(view));
        let mut seen = HashMap::new();
        for machine in &view.machines {
            if seen.insert(machine.name.as_str(), ()).is_some() {
                warnings.push(format!(
                    "Two machines are called {}; give one another cluster.name to tell them apart.",
                    machine.name
                ));
            }
        }
        warnings
    }
}

impl Source for Live {
    fn view(&mut self, decisions: bool) -> StatusView {
        let now = self.resources.clock().now();
        let snapshot = self.resources.matrix().slow.load_full();
        let stats = self.balancer.stats();
        let me = self.resources.me();
        let turnaround: HashMap<Slot, Counts> =
            stats.peers.into_iter().map(|peer| (Slot(peer.slot), peer.turnaround)).collect();
        let mut view = StatusView {
            version: env!("CARGO_PKG_VERSION").into(),
            this: self.resources.name().into(),
            id: me.machine.to_string(),
            boot: me.boot.to_string(),
            uptime_seconds: now.since(self.started).as_secs_f64(),
            draining: self.resources.local().flags().has(candidacy::Flags::DRAINING),
            machines: machines::rows(&self.resources, &snapshot, turnaround, now),
            routes: Vec::with_capacity(self.routes.len()),
            information_age: stats.information_age,
            ..StatusView::default()
        };
        for (text, figures) in self.routes.iter().zip(stats.routes) {
            view.routes.push(RouteRow {
                name: text.name.clone(),
                matches: text.matches.clone(),
                chain: text.chain.clone(),
                empty: text.empty.into(),
                asking: text.asking.into(),
                workers_asking: figures.asking,
                requests: figures.turnaround.count(),
                turnaround: figures.turnaround,
                ..RouteRow::default()
            });
        }
        let totals = &mut view.totals;
        totals.workers = self.workers;
        totals.counters = stats.totals;
        totals.cluster = self.resources.stats();
        totals.reasons = stats.reasons;
        if decisions {
            let explained = self.balancer.explanations();
            view.decisions = decisions::rows(&explained, &snapshot, now);
        }
        view.bus = self.bus.view(view.draining);
        view.addresses = self.addresses.view(view.draining);
        view.warnings = self.warnings(&view);
        view
    }
}

/// What people call the machine of a row.
fn name(snapshot: &Snapshot, slot: Slot) -> String {
    snapshot.machine(slot).map_or_else(|| format!("row {}", slot.0), |m| m.name.clone())
}

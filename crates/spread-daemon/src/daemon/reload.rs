//! Another configuration for a daemon that runs: what it takes, and what waits for a start.
//!
//! The list of daemons, segments, addresses of others, keys, timeouts, windows and limits of clients are taken without a start and
//! without a view change; what happens while machines have different lists is the ring's affair. What this daemon itself is
//! (its name, its address, its id) and where it listens stays until it is started again.

use std::net::IpAddr;
use std::sync::Arc;

use base::{AddrBlock, Instant};
use ring::{Daemon as Identity, Settings, Tag, View, VirtualIds};

use super::{Daemon, Reloader};
use crate::config::{DaemonConfig, Membership};
use crate::link::Link;
use crate::poll::Token;

/// Reads the configuration again, from where it was read at the start; the text says why that cannot be.
pub type Reread = Arc<dyn Fn() -> Result<DaemonConfig, String> + Send + Sync>;

impl Reloader {
    /// Reads the configuration again and takes it. It may take a while: not on a thread that has something to do.
    pub fn reread(&self, read: &Reread) {
        match read() {
            Ok(config) => self.reload(config),
            Err(why) => tracing::warn!("the configuration is not taken again: {why}"),
        }
    }
}

impl Daemon {
    /// How the configuration is read again when a monitor asks for that. Without it, monitors are refused.
    pub fn reread_by(&mut self, read: Reread) {
        self.monitor.rereads = true;
        self.reread = Some(read);
    }

    /// Reads the configuration again, on a thread of its own: files may be far away and names slow.
    pub(super) fn begin_reread(&self) {
        let Some(read) = self.reread.clone() else { return };
        let reloader = self.reloader.clone();
        let thread = std::thread::Builder::new().name("bus-reload".into());
        if let Err(error) = thread.spawn(move || reloader.reread(&read)) {
            tracing::error!(%error, "the configuration is not read again: no thread");
        }
    }

    pub(super) fn reload(&mut self, now: Instant, new: DaemonConfig) {
        for what in self.config.differs_for_good(&new) {
            tracing::warn!(
                "{what} has changed in the configuration; that takes effect at the next start"
            );
        }
        self.sessions.reload(new.clients.clone());
        if self.config.is_another_daemon(&new) {
            tracing::warn!(
                "so the list of daemons, their segments, timeouts and windows stay as they were until then"
            );
        } else {
            self.take_list(now, &new);
        }
        if matches!(self.config.membership, Membership::Found { .. }) {
            self.listed = new.data.accept.clone();
        }
        self.accept_members();
        self.config.clients = new.clients;
        if self.link.reload(&self.config, &new.protection) {
            self.config.protection = new.protection;
        } else {
            tracing::warn!(
                "whether the daemons have a key cannot change while one runs: start it again"
            );
        }
        tracing::info!("the configuration of the bus was read again");
    }

    fn take_list(&mut self, now: Instant, new: &DaemonConfig) {
        let other_group = match self.link.regroup(new) {
            Ok(None) => false,
            Ok(Some(opened)) => {
                for (at, socket) in self.link.sockets().enumerate().skip(opened.start) {
                    if let Err(error) = self.poll.add(socket, Token::Link(at)) {
                        tracing::error!(%error, "a socket cannot be watched; start the daemon again");
                    }
                }
                true
            }
            Err(error) => {
                tracing::warn!("the segment stays as it was: {error}");
                false
            }
        };
        self.config.membership = new.membership.clone();
        (self.config.site, self.config.timing, self.config.flow) = (new.site, new.timing, new.flow);
        self.listed = new.data.accept.clone();
        let me = Identity { name: self.config.name, boot: self.link.boot() };
        let settings = settings(&self.config, me, &self.link);
        self.ring.reload(now, settings, other_group);
    }

    /// Datagrams are looked at from where the list has daemons, and from where members of the view are: a member whom our
    /// list has elsewhere or not at all stays in the view until all have that list.
    pub(super) fn accept_members(&mut self) {
        let mut accept = self.listed.clone();
        if matches!(self.config.membership, Membership::Fixed(_))
            && let Some(view) = self.ring.view()
        {
            let book = self.link.book();
            let at = view.members.iter().filter_map(|member| book.get(Tag::from(member)));
            let ips: Vec<IpAddr> = at.map(|at| at.ip().to_canonical()).collect();
            for ip in ips {
                if !accept.contains(ip) {
                    accept.0.push(AddrBlock::one(ip));
                }
            }
        }
        self.config.data.accept = accept;
    }

    /// What clients see as the ids of the members of a view: what each says of itself, which all others have checked.
    pub(super) fn ids_of(&self, view: &View) -> VirtualIds {
        match self.config.membership {
            Membership::Found { .. } => VirtualIds::default(),
            Membership::Fixed(_) => VirtualIds::written(
                view.members.iter().map(|member| (member.name, self.ring.virtual_id(member))),
            ),
        }
    }
}

/// The ids that a list of daemons may have written.
pub(super) fn ids(config: &DaemonConfig) -> VirtualIds {
    match &config.membership {
        Membership::Found { .. } => VirtualIds::default(),
        Membership::Fixed(list) => {
            VirtualIds::written(list.members.iter().map(|member| (member.name, member.id)))
        }
    }
}

/// What the ring is told.
pub(super) fn settings(config: &DaemonConfig, me: Identity, link: &Link) -> Settings {
    let mut settings = Settings::new(me);
    if let Membership::Fixed(list) = &config.membership {
        settings.fixed = Some(list.members.iter().map(|member| member.name).collect());
        // 0 is for daemons without a list.
        settings.configuration = list.hash.max(1);
        settings.ids = ids(config);
    }
    settings.site = config.site;
    settings.heartbeat = config.timing.heartbeat;
    settings.timeout_floor = config.timing.floor;
    settings.timeout_ceiling = config.timing.ceiling;
    settings.group = link.has_group();
    settings.datagram = link.room();
    if let Some(window) = config.flow.window {
        settings.window = window.clamp(1, ring::settings::UNSTABLE_MAX as u32) as u16;
    }
    if let Some(accelerated) = config.flow.accelerated {
        settings.accelerated = u16::try_from(accelerated).unwrap_or(u16::MAX);
    }
    settings
}

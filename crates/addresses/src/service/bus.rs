//! What the bus says, and what is said to it.

use std::time::Duration;

use base::Instant;
use spread_client::Happened;
use spread_wire::client::{Event as BusEvent, Outgoing};
use spread_wire::{Membership, Service as BusService};
use vip::settings::LEFT_BEHIND_AFTER;
use vip::{MESSAGE_TYPE, Service as Wanted, View, ViewId};

use super::clock;

use super::run::{NEIGHBOURS_TYPE, Service};
use super::setup::FRESH_BY_ECHO;

/// A daemon that refuses this program is asked again after this time at the latest.
const REFUSED_FOR: Duration = Duration::from_secs(1);

impl Service {
    pub(super) async fn send(&mut self) -> bool {
        let mut sent = false;
        let groups = [self.group];
        while let Some(transmit) = self.vip.poll_transmit() {
            let service = match transmit.service {
                Wanted::Agreed => BusService::Agreed,
                Wanted::Safe => BusService::Safe,
            };
            let (kind, body) = (MESSAGE_TYPE, transmit.body.as_slice());
            sent |= self
                .multicast(&Outgoing { service, self_discard: false, kind, groups: &groups, body })
                .await;
        }
        while let Some(batch) = self.air.neighbours.poll_batch(clock::now()) {
            let (service, kind, body) = (BusService::Reliable, NEIGHBOURS_TYPE, batch.as_slice());
            sent |= self
                .multicast(&Outgoing { service, self_discard: true, kind, groups: &groups, body })
                .await;
        }
        sent
    }

    pub(super) async fn multicast(&mut self, message: &Outgoing<'_>) -> bool {
        match self.session.send(message).await {
            Ok(()) => true,
            // The session tells of its end by itself.
            Err(spread_client::Error::NotConnected) => false,
            Err(error) => {
                self.alarm(None, format!("a word to the group could not be said: {error}"));
                false
            }
        }
    }

    pub(super) async fn bus_said(&mut self, happened: Result<Happened, spread_client::Error>) {
        let now = clock::now();
        match happened {
            Ok(Happened::Connected { group, .. }) => {
                self.bus = Ok(String::from_utf8_lossy(group.as_bytes()).into_owned());
                self.note(
                    None,
                    format!("connected to the bus as {}", self.bus.as_deref().unwrap_or("?")),
                );
                self.vip.handle_connected(now);
            }
            Ok(Happened::Lost { error, .. }) => {
                let why = self.refused().unwrap_or_else(|| format!("the bus is away: {error}"));
                self.lost(now, why);
            }
            Ok(Happened::Waiting { error, pause }) => {
                let why = self.refused().unwrap_or_else(|| error.to_string());
                if self.bus.as_ref().err() != Some(&why) {
                    self.alarm(None, format!("{why}; trying again in {} ms", pause.as_millis()));
                }
                self.bus = Err(why);
            }
            Ok(Happened::Event(event)) => self.bus_event(now, event).await,
            Err(error) => {
                let why = error.to_string();
                self.lost(now, why);
                // It is refused for what it is; asking at once again would only be refused at once again. The loop goes on meanwhile:
                // the guardian would take its silence for a hang.
                self.bus_again = Some(now + self.config.retry_interval.min(REFUSED_FOR));
            }
        }
    }

    pub(super) fn lost(&mut self, now: Instant, why: String) {
        if self.bus.as_ref().err() != Some(&why) {
            self.alarm(None, format!("{why}; every address is let go until it is back"));
        }
        if self.bus.is_ok() {
            self.bus_lost_at = now;
        }
        self.bus = Err(why);
        self.members.clear();
        self.rejoins = false;
        self.vip.handle_lost(now);
    }

    pub(super) async fn bus_event(&mut self, now: Instant, event: BusEvent) {
        self.changed();
        match event {
            BusEvent::Membership(membership) if membership.group == self.group => {
                self.view(now, &membership);
            }
            BusEvent::SelfLeave(group) if group == self.group && self.rejoins => {
                self.rejoins = false;
                self.vip.handle_connected(now);
                // A session that is lost in the meantime joins by itself.
                let _ = self.session.join(&self.group).await;
            }
            BusEvent::Regular(message) => {
                let Some(sender) = message.sender else { return };
                match message.hint.kind() {
                    NEIGHBOURS_TYPE => {
                        if let Err(error) = self.air.neighbours.received(now, &message.body) {
                            tracing::debug!(%error, "neighbours that cannot be read");
                        }
                    }
                    kind => {
                        let sender = String::from_utf8_lossy(sender.as_bytes());
                        self.vip.handle_message(now, &sender, kind, &message.body);
                        self.know_members();
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn view(&mut self, now: Instant, membership: &Membership) {
        let Some(own) = self.session.group() else { return };
        let own = String::from_utf8_lossy(own.as_bytes()).into_owned();
        let members: Vec<String> = membership
            .members
            .iter()
            .map(|member| String::from_utf8_lossy(member.as_bytes()).into_owned())
            .collect();
        let Some(me) = members.iter().position(|member| *member == own) else { return };
        let mut id = [0; 12];
        let parts = [membership.id.proc, membership.id.time, membership.id.index];
        for (place, part) in id.chunks_exact_mut(4).zip(parts) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        // The daemon may have stood still while this program did not. One of its own is asked by words, ours says so.
        let heard = self.vip.echoed().filter(|_| self.echo_only);
        let old = heard.is_some_and(|at| now.since(at) > FRESH_BY_ECHO);
        let kept = self.shared.kept().is_some_and(|at| now.since(at) < LEFT_BEHIND_AFTER);
        if old || kept {
            self.vip.handle_late_daemon(now);
        }
        self.members.clone_from(&members);
        self.vip.handle_view(now, View { id: ViewId(id), members, me });
    }

    /// The others went on without this machine: it comes anew.
    pub(super) async fn rejoin(&mut self) {
        self.rejoins = true;
        self.members.clear();
        let left = self.session.leave(&self.group).await;
        if left.is_err() {
            self.rejoins = false;
        }
    }
}

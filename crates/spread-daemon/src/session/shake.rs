//! The first words with a client: who it is, and whether it may come in.

use base::{Instant, Random};
use groups::{Departure, Groups};
use spread_wire::PrivateName;
use spread_wire::client_message::Decoder;
use spread_wire::server::{Refusal, Step};

use super::Sessions;
use super::connection::Stage;
use super::tls::Tls;

impl Sessions {
    /// Goes on with the handshake as far as what came allows.
    pub(super) fn shake(&mut self, now: Instant, groups: &mut Groups, at: usize) {
        loop {
            let Some(connection) = self.slots[at].as_mut() else { return };
            let peer = connection.peer;
            let Stage::Shaking { handshake, session, .. } = &mut connection.stage else { return };
            let mut input = &connection.input[..];
            let before = input.len();
            let step = handshake.receive(&mut input);
            let used = before - input.len();
            bytes::Buf::advance(&mut connection.input, used);
            match step {
                Step::Wait => return,
                Step::Name(wanted) => {
                    // Many may have connected when there was still room, or before there was to be less.
                    let room = groups.session_count() < self.config.sessions;
                    let name = wanted.or_else(|| invent(&mut self.dice, groups));
                    let name = name.filter(|_| room);
                    let answer = match name.map(|name| groups.connect(name, false)) {
                        Some(Ok(id)) => {
                            *session = Some(id);
                            name.map(|name| groups.private_group(&name)).ok_or(Refusal::Quota)
                        }
                        Some(Err(groups::Refusal::Taken(_))) => Err(Refusal::NotUnique),
                        _ => Err(Refusal::Quota),
                    };
                    handshake.answer_name(answer);
                }
                Step::Address => {
                    let allowed = self.config.auth.list.allows(peer);
                    handshake.answer_address(allowed);
                }
                Step::Send(reply) => connection.queue(reply.into()),
                Step::Accepted(reply, accepted) => {
                    let Some(id) = *session else { return };
                    connection.queue(reply.into());
                    let decoder = Box::new(Decoder::new(accepted.group));
                    let group = accepted.group;
                    connection.stage = Stage::Open { session: id, group, decoder };
                    let serial = connection.serial;
                    self.shaking -= 1;
                    self.pot(peer).remove(peer, serial, at);
                    let Some(connection) = self.slots[at].as_ref() else { return };
                    self.by_id.insert(id, at);
                    self.by_group.insert(*group.group(), at);
                    self.counters.begun += 1;
                    groups.set_wants_membership(id, accepted.membership);
                    match connection.tls().and_then(Tls::subject) {
                        Some(certificate) => {
                            self.counters.tls_begun += 1;
                            tracing::info!(%group, certificate, ?peer, "a session over TLS begins");
                        }
                        None => {
                            tracing::debug!(%group, version = %accepted.version, "a session begins")
                        }
                    }
                    self.touch(at);
                    self.change(at, true);
                    return;
                }
                Step::Refused(reply, refusal) => {
                    connection.queue(reply.into());
                    tracing::debug!(?peer, %refusal, "a client is refused");
                    self.counters.refused += 1;
                    self.close(now, groups, at, Departure::Lost);
                    self.touch(at);
                    return;
                }
            }
            self.touch(at);
        }
    }
}

/// A name for a client that said none, as the original makes them.
fn invent(dice: &mut Random, groups: &Groups) -> Option<PrivateName> {
    (0..1000).find_map(|_| {
        let text = format!("r{}-{}", dice.below(9999), dice.below(9999));
        let name = PrivateName::new(text.as_bytes().get(..9.min(text.len()))?).ok()?;
        (!groups.is_taken(&name)).then_some(name)
    })
}

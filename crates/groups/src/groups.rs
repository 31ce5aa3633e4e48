//! Everything of one daemon, as its driver sees it: sessions and their messages in, outputs and submissions out.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use ring::{Daemon, DaemonName, VirtualIds};
use spread_wire::{ClientMessage, GroupId, GroupName, Order, PrivateGroup, PrivateName, Service};

use crate::exchange::Exchange;
use crate::limits::Limits;
use crate::payload;
use crate::roster::Roster;
use crate::session::{Refusal, SessionId, Sessions};
use crate::table::Table;

/// Something for the driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this to the session; it is in this machine's byte order, and many sessions share the same bytes.
    Deliver {
        /// Whom to.
        session: SessionId,
        /// The whole message.
        message: Bytes,
    },
    /// Close the session's connection once what was to be delivered is written. It is ended already.
    Close {
        /// Which one.
        session: SessionId,
    },
    /// Read no message of any client until [`Output::Resume`].
    Pause,
    /// Read clients again.
    Resume,
}

/// Something for the ring to order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The message.
    pub message: Bytes,
    /// When it may be delivered.
    pub service: ring::Service,
}

/// Why a session ended, which decides how its end is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The client said so.
    Asked,
    /// The connection was lost, or the daemon closed it.
    Lost,
}

/// What was wrong or given up, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages of peers that were not what they announced, ignored.
    pub malformed: u64,
    /// Messages of kinds that this version does not know, skipped.
    pub unknown: u64,
    /// Parts of states for another view than the present one, skipped: left over from an exchange that was cut off.
    pub stale: u64,
    /// States that were not well formed and counted as empty.
    pub malformed_states: u64,
    /// Messages dropped because too many waited for the end of an exchange.
    pub dropped: u64,
    /// Joins rejected, of all daemons' sessions.
    pub rejected: u64,
    /// Exchanges of states completed.
    pub exchanges: u64,
    /// Exchanges cut off by another change of the view.
    pub cut_off: u64,
}

/// A group, for status pages and checkers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its name.
    pub name: GroupName,
    /// Its id.
    pub id: GroupId,
    /// In member order.
    pub members: Vec<MemberView>,
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its daemon.
    pub daemon: DaemonName,
    /// Its name there.
    pub name: PrivateName,
    /// Its daemon is lost, but the view of the group is not over yet.
    pub lost: bool,
}

/// The groups of one daemon. See the crate's documentation.
#[derive(Debug)]
pub struct Groups {
    pub(crate) me: Daemon,
    limits: Limits,
    pub(crate) sessions: Sessions,
    pub(crate) roster: Roster,
    /// What clients see as the ids of daemons, from the next view on.
    pub(crate) ids: VirtualIds,
    pub(crate) table: Table,
    /// The ring's view; none before the first.
    pub(crate) view: Option<ring::View>,
    /// Whether a [`ring::Event::Transitional`] has come since the view was installed.
    pub(crate) transitional: bool,
    pub(crate) exchange: Option<Exchange>,
    /// Groups are in transition whose members do not know it.
    pub(crate) unsignalled: bool,
    pub(crate) counters: Counters,
    /// Counts deliveries, so that each session gets a message once.
    pub(crate) mark: u64,
    /// Parts of our state, which go before everything else.
    pub(crate) parts: VecDeque<Bytes>,
    submissions: VecDeque<Submission>,
    submitted_bytes: usize,
    outputs: VecDeque<Output>,
    paused: bool,
}

impl Groups {
    /// The groups of the daemon `me`, which the ring names so in its views.
    pub fn new(me: Daemon, limits: Limits) -> Self {
        Self {
            me,
            limits,
            sessions: Sessions::default(),
            roster: Roster::alone(me, VirtualIds::default()),
            ids: VirtualIds::default(),
            table: Table::default(),
            view: None,
            transitional: false,
            exchange: None,
            unsignalled: false,
            counters: Counters::default(),
            mark: 0,
            parts: VecDeque::new(),
            submissions: VecDeque::new(),
            submitted_bytes: 0,
            outputs: VecDeque::new(),
            paused: false,
        }
    }

    /// With written ids of daemons instead of the hashes of their names, the same at all of them. Before the first event.
    pub fn with_ids(mut self, ids: VirtualIds) -> Self {
        self.roster = Roster::alone(self.me, ids.clone());
        self.ids = ids;
        self
    }

    /// The ids of daemons from the next view on, if a list with other ones was read. All members of that view must say the
    /// same of its members.
    pub fn set_ids(&mut self, ids: VirtualIds) {
        self.ids = ids;
    }

    /// Begins a session. Its name is taken until its end has been delivered in order.
    ///
    /// Call it as soon as the client has said its name, before the rest of the handshake; if that fails, end the session
    /// with [`Groups::disconnect`].
    ///
    /// # Errors
    /// The name is taken, or there are too many sessions.
    pub fn connect(
        &mut self,
        name: PrivateName,
        wants_membership: bool,
    ) -> Result<SessionId, Refusal> {
        let group = self.private_group(&name);
        self.sessions.open(group, wants_membership, self.limits.sessions)
    }

    /// Changes whether a session gets membership messages: the handshake learns that after the name.
    pub fn set_wants_membership(&mut self, session: SessionId, wants: bool) {
        if self.sessions.alive(session).is_some()
            && let Some(session) = self.sessions.at_mut(session.slot)
        {
            session.wants_membership = wants;
        }
    }

    /// Whether a session has the name, or had it and its end is not yet delivered.
    pub fn is_taken(&self, name: &PrivateName) -> bool {
        self.sessions.slot_of(name).is_some()
    }

    /// The private group of the session `name` here.
    pub fn private_group(&self, name: &PrivateName) -> PrivateGroup {
        // The names of daemons have the same rules in both crates (a test says so).
        match PrivateGroup::new(name, self.me.name.as_bytes()) {
            Ok(group) => group,
            Err(_) => unreachable!("the name of a daemon is legal"),
        }
    }

    /// Ends a session: it gets nothing more, and its end is submitted. Ending it again does nothing.
    pub fn disconnect(&mut self, session: SessionId, departure: Departure) {
        let Some(name) = self.sessions.end(session) else { return };
        let service = match departure {
            Departure::Asked => ring::Service::Agreed,
            Departure::Lost => ring::Service::Safe,
        };
        self.submit(payload::end(&name), service);
    }

    /// Takes a client's message, which the decoder has checked. While [`Groups::is_paused`], read none.
    pub fn handle_client(&mut self, session: SessionId, message: ClientMessage) {
        let Some(client) = self.sessions.alive(session) else { return };
        let private = client.private;
        let agreed = ring::Service::Agreed;
        match message {
            ClientMessage::Join(group) => {
                self.submit(payload::join(private.private(), &group), agreed);
            }
            ClientMessage::Leave(group) => {
                self.submit(payload::leave(private.private(), &group), agreed);
            }
            ClientMessage::Kill => {
                self.disconnect(session, Departure::Asked);
                self.outputs.push_back(Output::Close { session });
            }
            ClientMessage::Multicast(mut regular) => {
                let service = match regular.service() {
                    Some(Service::Safe) => ring::Service::Safe,
                    Some(_) => agreed,
                    None => return,
                };
                regular.sender = Some(*private.group());
                self.submit(regular.encode(Order::Little), service);
            }
            ClientMessage::Ignored(_) => {}
        }
    }

    /// The next thing to do for sessions.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next message for the ring. Ask when the ring has room: what is not taken waits here, where the parts of a state
    /// overtake it, and clients are paused when too much waits.
    pub fn poll_submission(&mut self) -> Option<Submission> {
        if let Some(message) = self.parts.pop_front() {
            return Some(Submission { message, service: ring::Service::Agreed });
        }
        if !self.is_settled() {
            return None;
        }
        let submission = self.submissions.pop_front()?;
        self.submitted_bytes -= submission.message.len();
        self.update_pause();
        Some(submission)
    }

    /// Whether clients' messages should be left unread.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether a view is installed, its tables are one, and it is not over yet.
    pub fn is_settled(&self) -> bool {
        self.view.is_some() && self.exchange.is_none() && !self.transitional
    }

    /// The daemons whose state is still missing, while states are exchanged.
    pub fn missing_states(&self) -> Vec<Daemon> {
        self.exchange.iter().flat_map(Exchange::missing).copied().collect()
    }

    /// What was wrong or given up.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sessions, those included whose end is not yet delivered.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Groups with at least one member.
    pub fn group_count(&self) -> usize {
        self.table.len()
    }

    /// Messages and bytes that wait for the ring.
    pub fn waiting_submissions(&self) -> (usize, usize) {
        (self.submissions.len(), self.submitted_bytes)
    }

    /// All groups in bytewise order of their names.
    pub fn groups(&self) -> impl Iterator<Item = GroupView> + '_ {
        self.table.iter().map(|group| self.view_of(group))
    }

    /// The group `name`, if anyone is a member.
    pub fn group(&self, name: &GroupName) -> Option<GroupView> {
        let group = self.table.get(self.table.find(name)?)?;
        Some(self.view_of(group))
    }

    fn view_of(&self, group: &crate::group::Group) -> GroupView {
        let members = group.members.iter().filter_map(|member| {
            Some(MemberView {
                daemon: self.roster.daemon(member.place)?.name,
                name: member.name,
                lost: self.roster.is_lost(member.place),
            })
        });
        GroupView { name: group.name, id: group.id.into(), members: members.collect() }
    }

    fn submit(&mut self, message: Bytes, service: ring::Service) {
        self.submitted_bytes += message.len();
        self.submissions.push_back(Submission { message, service });
        self.update_pause();
    }

    /// Says [`Output::Pause`] or [`Output::Resume`] if that has changed. Once too much waits, half of it must be gone, so
    /// that clients are not stopped and started with each message.
    pub(crate) fn update_pause(&mut self) {
        let (messages, bytes) = (self.submissions.len(), self.submitted_bytes);
        let Limits { pause_messages, pause_bytes, .. } = self.limits;
        let much = if self.paused {
            messages > pause_messages / 2 || bytes > pause_bytes / 2
        } else {
            messages >= pause_messages || bytes >= pause_bytes
        };
        let paused = much || self.exchange.is_some();
        if paused != self.paused {
            self.paused = paused;
            self.outputs.push_back(if paused { Output::Pause } else { Output::Resume });
        }
    }

    pub(crate) fn push_output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Gives a message to the session in `slot`, if it is there and not ended; as a notice only if it wants them.
    pub(crate) fn give(&mut self, slot: u32, message: &Bytes, notice: bool) {
        if let Some(session) = self.sessions.at(slot)
            && session.alive
            && (session.wants_membership || !notice)
        {
            let session = session.id;
            self.outputs.push_back(Output::Deliver { session, message: message.clone() });
        }
    }
}

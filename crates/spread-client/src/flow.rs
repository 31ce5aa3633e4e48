//! How many own messages are on their way.
//!
//! The protocol acknowledges nothing; a message that comes back to its sender has been ordered, and in that order also
//! delivered here. So a sender that waits for its own messages can fill neither the daemon's queues nor its own.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use spread_wire::client::{Event, Outgoing};
use spread_wire::{GroupName, PrivateGroup, Service, ServiceType};

use crate::error::Error;

/// Shared by the two halves of a connection.
#[derive(Debug)]
pub(crate) struct Flow(Mutex<State>);

#[derive(Debug)]
struct State {
    own: GroupName,
    /// What this session is in, as far as it has asked: what it sends from now on comes back from there.
    joined: BTreeSet<GroupName>,
    outstanding: usize,
    max: Option<usize>,
    closed: bool,
    /// Who waits until fewer are on their way.
    waker: Option<Waker>,
}

impl Flow {
    pub(crate) fn new(own: &PrivateGroup, max: Option<usize>) -> Self {
        Self(Mutex::new(State {
            own: *own.group(),
            joined: BTreeSet::new(),
            outstanding: 0,
            // With none allowed nothing could ever be sent.
            max: max.map(|max| max.max(1)),
            closed: false,
            waker: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this message will be delivered to this session too. One that may be lost is not relied on.
    pub(crate) fn comes_back(&self, message: &Outgoing<'_>) -> bool {
        if message.self_discard || message.service == Service::Unreliable {
            return false;
        }
        let state = self.state();
        message.groups.iter().any(|group| *group == state.own || state.joined.contains(group))
    }

    /// Own messages on their way.
    pub(crate) fn outstanding(&self) -> usize {
        self.state().outstanding
    }

    /// Whether another message may be sent at once.
    pub(crate) fn is_open(&self) -> bool {
        let state = self.state();
        !state.closed && state.max.is_none_or(|max| state.outstanding < max)
    }

    /// Waits until another message may be sent.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(Err(Error::Closed));
        }
        if state.max.is_none_or(|max| state.outstanding < max) {
            return Poll::Ready(Ok(()));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn sent(&self) {
        self.state().outstanding += 1;
    }

    pub(crate) fn joined(&self, group: GroupName) {
        self.state().joined.insert(group);
    }

    pub(crate) fn left(&self, group: &GroupName) {
        self.state().joined.remove(group);
    }

    /// Looks at what was received.
    pub(crate) fn received(&self, event: &Event) {
        let mut state = self.state();
        match event {
            Event::Regular(message)
                if message.sender == Some(state.own)
                    && message.service() != Some(Service::Unreliable) => {}
            Event::Reject(reject) if reject.service.contains(ServiceType::CAUSED_BY_JOIN) => {
                if let Some(group) = reject.groups.get(0) {
                    state.joined.remove(&group);
                }
                return;
            }
            // A rejected message comes back in this way only, if it would have come back.
            Event::Reject(reject) if !reject.service.contains(ServiceType::SELF_DISCARD) => {
                let mut groups = reject.groups.iter().rev().skip(1);
                if !groups.any(|group| group == state.own || state.joined.contains(&group)) {
                    return;
                }
            }
            _ => return,
        }
        state.outstanding = state.outstanding.saturating_sub(1);
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }

    /// Nothing will be received any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }
}

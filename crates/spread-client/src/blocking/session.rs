//! A session that is kept up, for threads.

use std::mem;
use std::time::{Duration, Instant};

use spread_wire::client::{Outgoing, SendError};
use spread_wire::{GroupName, PrivateGroup, Service};

use super::connection::Connection;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::options::Options;
use crate::policy::{Backoff, Happened, Memory};

/// A session that is connected again whenever it was lost, and joins its groups again.
///
/// It does something only within [`receive`](Self::receive). What is sent while there is no session is refused, not kept: only
/// the program knows whether it still means it.
#[derive(Debug)]
pub struct Session {
    endpoint: Endpoint,
    options: Options,
    memory: Memory,
    state: State,
}

#[derive(Debug)]
enum State {
    Connected(Box<Connection>),
    /// Connected, but its groups could not be joined: to be told as lost.
    Failed(Error),
    Waiting(Instant),
}

impl Session {
    /// A session that will be connected by the first [`receive`](Self::receive).
    pub fn new(endpoint: Endpoint, options: Options, backoff: Backoff) -> Self {
        let state = State::Waiting(Instant::now());
        Self { endpoint, options, memory: Memory::new(backoff), state }
    }

    /// The private group, while there is a session.
    pub fn group(&self) -> Option<&PrivateGroup> {
        match &self.state {
            State::Connected(connection) => Some(connection.group()),
            State::Failed(_) | State::Waiting(_) => None,
        }
    }

    /// Waits for what happens next, however long it takes.
    ///
    /// # Errors
    /// The daemon refuses what this client is: its name, its version, who it is. To ask again connects again.
    pub fn receive(&mut self) -> Result<Happened, Error> {
        loop {
            if let Some(happened) = self.receive_within(Duration::from_secs(3_600))? {
                return Ok(happened);
            }
        }
    }

    /// Waits for what happens next, up to `time`; an attempt to connect can take longer.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_within(&mut self, time: Duration) -> Result<Option<Happened>, Error> {
        match &mut self.state {
            State::Connected(connection) => match connection.receive_within(time) {
                Ok(event) => Ok(event.map(Happened::Event)),
                Err(error) => {
                    let unconfirmed = connection.outstanding();
                    self.state = State::Waiting(Instant::now());
                    Ok(Some(Happened::Lost { error, unconfirmed }))
                }
            },
            State::Failed(_) => {
                match mem::replace(&mut self.state, State::Waiting(Instant::now())) {
                    State::Failed(error) => Ok(Some(Happened::Lost { error, unconfirmed: 0 })),
                    State::Connected(_) | State::Waiting(_) => Ok(None),
                }
            }
            State::Waiting(until) => {
                let left = until.saturating_duration_since(Instant::now());
                std::thread::sleep(left.min(time));
                if left > time {
                    return Ok(None);
                }
                self.connect().map(Some)
            }
        }
    }

    /// Wants to be a member, now and after each reconnection.
    ///
    /// # Errors
    /// Nobody may join such a group. That there is no session at this moment is no error.
    pub fn join(&mut self, group: &GroupName) -> Result<(), Error> {
        if !group.is_joinable() {
            return Err(SendError::Group(*group).into());
        }
        self.memory.groups.insert(*group);
        let State::Connected(connection) = &mut self.state else { return Ok(()) };
        settled(connection.join(group))
    }

    /// Does not want to be a member any more.
    ///
    /// # Errors
    /// Nobody may join such a group. That there is no session at this moment is no error.
    pub fn leave(&mut self, group: &GroupName) -> Result<(), Error> {
        self.memory.groups.remove(group);
        let State::Connected(connection) = &mut self.state else { return Ok(()) };
        settled(connection.leave(group))
    }

    /// Sends `body` to one group.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn multicast(
        &mut self,
        service: Service,
        group: &GroupName,
        body: &[u8],
    ) -> Result<(), Error> {
        let groups = std::slice::from_ref(group);
        self.send(&Outgoing { service, self_discard: false, kind: 0, groups, body })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// There is no session at this moment; the message is too large; or nobody receives what came.
    pub fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Error> {
        let State::Connected(connection) = &mut self.state else {
            return Err(Error::NotConnected);
        };
        match connection.send(message) {
            // What was received before is still to be told, and after it that the session is lost.
            Err(error) if error.ends_session() => Err(Error::NotConnected),
            outcome => outcome,
        }
    }

    /// Ends the session in order.
    ///
    /// # Errors
    /// It had ended before.
    pub fn disconnect(self) -> Result<(), Error> {
        match self.state {
            State::Connected(connection) => connection.disconnect(),
            State::Failed(_) | State::Waiting(_) => Ok(()),
        }
    }

    fn connect(&mut self) -> Result<Happened, Error> {
        let mut connection = match Connection::connect(&self.endpoint, &self.options) {
            Ok(connection) => connection,
            Err(error) => {
                let (error, pause) = self.memory.failed(error)?;
                self.state = State::Waiting(Instant::now() + pause);
                return Ok(Happened::Waiting { error, pause });
            }
        };
        self.memory.connected();
        let (group, daemon) = (*connection.group(), connection.daemon());
        let joining = self.memory.groups.len();
        let joined = self.memory.groups.iter().try_for_each(|group| connection.join(group));
        self.state = match joined {
            Ok(()) => State::Connected(Box::new(connection)),
            Err(error) => State::Failed(error),
        };
        Ok(Happened::Connected { group, daemon, joining })
    }
}

/// A join or leave that failed with the session is done by the next one.
fn settled(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if !error.ends_session() => Err(error),
        _ => Ok(()),
    }
}

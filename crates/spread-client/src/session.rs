//! A session that is kept up, for tokio.

use std::fmt;
use std::pin::Pin;

use spread_wire::client::{Outgoing, SendError};
use spread_wire::{GroupName, PrivateGroup, Service};
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::options::Options;
use crate::policy::{Backoff, Happened, Memory};

/// A session that is connected again whenever it was lost, and joins its groups again.
///
/// It does something only while [`receive`](Self::receive) is awaited. What is sent while there is no session is refused, not
/// kept: only the program knows whether it still means it.
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
    Connecting(Attempt),
    Waiting(Instant),
}

/// An attempt to connect, which goes on when a caller stops waiting and comes again.
struct Attempt(Pin<Box<dyn Future<Output = Result<Connection, Error>> + Send>>);

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt")
    }
}

impl Session {
    /// A session that will be connected by the first [`receive`](Self::receive).
    pub fn new(endpoint: Endpoint, options: Options, backoff: Backoff) -> Self {
        let state = State::Waiting(Instant::now());
        Self { endpoint, options, memory: Memory::new(backoff), state }
    }

    /// Where the daemon is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The private group, while there is a session.
    pub fn group(&self) -> Option<&PrivateGroup> {
        match &self.state {
            State::Connected(connection) => Some(connection.group()),
            State::Connecting(_) | State::Waiting(_) => None,
        }
    }

    /// Waits for what happens next. A caller that stops waiting misses nothing: an attempt to connect goes on with the next call.
    ///
    /// # Errors
    /// The daemon refuses what this client is: its name, its version, who it is. To ask again connects again.
    pub async fn receive(&mut self) -> Result<Happened, Error> {
        loop {
            match &mut self.state {
                State::Connected(connection) => match connection.receive().await {
                    Ok(event) => return Ok(Happened::Event(event)),
                    Err(error) => {
                        let unconfirmed = connection.outstanding();
                        self.state = State::Waiting(Instant::now());
                        return Ok(Happened::Lost { error, unconfirmed });
                    }
                },
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    let (endpoint, options) = (self.endpoint.clone(), self.options.clone());
                    let attempt = async move { Connection::connect(&endpoint, &options).await };
                    self.state = State::Connecting(Attempt(Box::pin(attempt)));
                }
                State::Connecting(attempt) => {
                    let connected = attempt.0.as_mut().await;
                    // The attempt is over, whatever comes of it: who asks again connects again.
                    self.state = State::Waiting(Instant::now());
                    match connected {
                        Ok(connection) => return self.begin(connection).await,
                        Err(error) => {
                            let (error, pause) = self.memory.failed(error)?;
                            self.state = State::Waiting(Instant::now() + pause);
                            return Ok(Happened::Waiting { error, pause });
                        }
                    }
                }
            }
        }
    }

    /// Wants to be a member, now and after each reconnection.
    ///
    /// # Errors
    /// Nobody may join such a group. That there is no session at this moment is no error.
    pub async fn join(&mut self, group: &GroupName) -> Result<(), Error> {
        if !group.is_joinable() {
            return Err(SendError::Group(*group).into());
        }
        self.memory.groups.insert(*group);
        let State::Connected(connection) = &mut self.state else { return Ok(()) };
        settled(connection.join(group).await)
    }

    /// Does not want to be a member any more.
    ///
    /// # Errors
    /// Nobody may join such a group. That there is no session at this moment is no error.
    pub async fn leave(&mut self, group: &GroupName) -> Result<(), Error> {
        self.memory.groups.remove(group);
        let State::Connected(connection) = &mut self.state else { return Ok(()) };
        settled(connection.leave(group).await)
    }

    /// Sends `body` to one group.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn multicast(
        &mut self,
        service: Service,
        group: &GroupName,
        body: &[u8],
    ) -> Result<(), Error> {
        let groups = std::slice::from_ref(group);
        self.send(&Outgoing { service, self_discard: false, kind: 0, groups, body }).await
    }

    /// Sends a message.
    ///
    /// # Errors
    /// There is no session at this moment; the message is too large; or nobody receives what came.
    pub async fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Error> {
        let State::Connected(connection) = &mut self.state else {
            return Err(Error::NotConnected);
        };
        match connection.send(message).await {
            // What was received before is still to be told, and after it that the session is lost.
            Err(error) if error.ends_session() => Err(Error::NotConnected),
            outcome => outcome,
        }
    }

    /// Ends the session in order.
    ///
    /// # Errors
    /// It had ended before.
    pub async fn disconnect(self) -> Result<(), Error> {
        match self.state {
            State::Connected(connection) => connection.disconnect().await,
            State::Connecting(_) | State::Waiting(_) => Ok(()),
        }
    }

    /// There is a session, and its groups are on their way to it. Nothing is waited for, so nobody can stop in the middle.
    async fn begin(&mut self, mut connection: Connection) -> Result<Happened, Error> {
        self.memory.connected();
        let (group, daemon) = (*connection.group(), connection.daemon());
        let joining = self.memory.groups.len();
        for group in &self.memory.groups {
            connection.queue_join(group)?;
        }
        // What is left of it goes with the next thing that is sent or received; and then it is seen if the session has ended.
        connection.try_flush().await;
        self.state = State::Connected(Box::new(connection));
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

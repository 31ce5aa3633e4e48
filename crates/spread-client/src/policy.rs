//! When to connect again, and what to tell the program of it.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use base::Random;
use spread_wire::client::Event;
use spread_wire::{GroupName, PrivateGroup, Version};

use crate::error::Error;

/// How long to wait before connecting again: twice as long each time, less up to a half by chance, so that the clients of
/// a daemon do not come back all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub most: Duration,
}

impl Default for Backoff {
    /// 100 ms to 5 s.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), most: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The pause after `failures` in a row, from 1.
    fn pause(&self, failures: u32, random: &mut Random) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(30));
        let pause = self.first.saturating_mul(doubled).min(self.most);
        pause.mul_f64(0.5 + f64::from(random.below(1_000)) / 2_000.0)
    }
}

/// What a session that is kept up tells its program.
#[derive(Debug)]
pub enum Happened {
    /// A session began. The groups of the program are being joined; their views follow. With a name that the daemon
    /// made up, the private group is another each time.
    Connected {
        /// The private group.
        group: PrivateGroup,
        /// What the daemon says it is.
        daemon: Version,
        /// How many groups are being joined.
        joining: usize,
    },
    /// The session ended. What happened in the groups until the next one is not known, and nobody will tell.
    Lost {
        /// Why.
        error: Error,
        /// Own messages of which it is not known whether anybody got them.
        unconfirmed: usize,
    },
    /// Connecting failed.
    Waiting {
        /// Why.
        error: Error,
        /// How long until it is tried again.
        pause: Duration,
    },
    /// Something the daemon said.
    Event(Event),
}

/// What both kinds of session remember.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) groups: BTreeSet<GroupName>,
    backoff: Backoff,
    failures: u32,
    random: Random,
}

impl Memory {
    pub(crate) fn new(backoff: Backoff) -> Self {
        // Dice, no secrets: any difference between two clients will do.
        let random = Random::new(RandomState::new().build_hasher().finish());
        Self { groups: BTreeSet::new(), backoff, failures: 0, random }
    }

    pub(crate) fn connected(&mut self) {
        self.failures = 0;
    }

    /// A failure, after which to wait.
    ///
    /// # Errors
    /// To try again is of no use.
    pub(crate) fn failed(&mut self, error: Error) -> Result<(Error, Duration), Error> {
        if !error.is_passing() {
            return Err(error);
        }
        self.failures = self.failures.saturating_add(1);
        Ok((error, self.backoff.pause(self.failures, &mut self.random)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spread_wire::ErrorCode;
    use spread_wire::client::ConnectError;

    #[test]
    fn pauses_double_up_to_the_most() {
        let backoff = Backoff::default();
        let mut random = Random::new(1);
        for (failures, millis) in
            [(1, 100), (2, 200), (3, 400), (6, 3_200), (7, 5_000), (u32::MAX, 5_000)]
        {
            let most = Duration::from_millis(millis);
            let pause = backoff.pause(failures, &mut random);
            assert!(pause >= most / 2 && pause <= most, "{failures}: {pause:?}");
        }
    }

    #[test]
    fn what_the_daemon_will_always_refuse_is_not_tried_again() {
        let refused = |code| Error::Handshake {
            endpoint: "4803".parse().unwrap(),
            source: ConnectError::Refused(code),
        };
        let mut memory = Memory::new(Backoff::default());
        for code in [ErrorCode::RejectNotUnique, ErrorCode::RejectQuota] {
            assert!(memory.failed(refused(code)).is_ok());
        }
        for code in [ErrorCode::RejectAuth, ErrorCode::RejectIllegalName, ErrorCode::RejectVersion]
        {
            assert!(memory.failed(refused(code)).is_err());
        }
    }
}

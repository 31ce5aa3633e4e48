//! How an exchange ended, and what another attempt may assume.

/// Why an exchange failed before any byte of a response went to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection could be made: nothing was sent.
    Connect {
        /// Somebody said no, rather than nobody answering.
        refused: bool,
    },
    /// This machine has no descriptor or port left for a connection: that says nothing of the other.
    Exhausted,
    /// This machine serves as many as it can, and so many wait.
    OverLimit,
    /// The connection ended before a response. Connections that had rested may simply have been too old.
    Reset {
        /// Whether it came from the pool.
        rested: bool,
    },
    /// No response in time.
    Timeout,
    /// The machine was found dead meanwhile.
    Died,
    /// The peer refused and says that it has done nothing.
    Refused,
    /// The peer gave it to its service, which failed before a byte of a response.
    Behind {
        /// It did not answer in time.
        late: bool,
    },
    /// What came is not a response.
    Malformed,
}

impl Failure {
    /// Whether the request certainly was not begun to be served.
    pub(crate) fn nothing_done(self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Exhausted | Self::OverLimit | Self::Refused)
    }

    /// Whether the machine is known to be out of service, rather than suspected: such moves draw on no budget.
    pub(crate) fn is_certain(self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Died
                | Self::OverLimit
                | Self::Refused
                | Self::Reset { rested: true }
        )
    }
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The response is with the client.
    Done {
        status: u16,
        /// Whether the client's connection can go on.
        keep: bool,
        /// Bytes of body sent.
        bytes: u64,
    },
    /// Nothing of a response went to the client.
    Failed(Failure),
    /// The request itself is at fault; this status tells the client.
    BadRequest(u16),
    /// The client went away, and no response had begun.
    Gone,
    /// The client went away, or would not take any more, in the middle of a response.
    Left { status: u16, bytes: u64 },
    /// The response broke off in the middle: the client's connection is cut, so that it notices.
    Cut { status: u16, bytes: u64 },
}

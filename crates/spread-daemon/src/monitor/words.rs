//! What is said on the control socket: one JSON object to a line, both ways.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::detail::Detail;
use super::report::Report;

/// Bytes of a request: a partition of 128 daemons is less.
pub const REQUEST_MAX: usize = 8 << 10;

/// What an operator asks. One for each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// How daemons are.
    Status {
        /// Which.
        of: Whom,
    },
    /// All that the daemon that is asked knows of itself and of the others.
    Detail,
    /// From now on daemons of different components do not hear each other; it ends by itself after a minute. A daemon that is
    /// not named is in component 0; component -1 means to end.
    Partition {
        /// The component of each daemon, by name.
        components: BTreeMap<String, i16>,
    },
    /// Partitions end.
    Heal,
    /// Changes how much is sent in a rotation of the token. What is absent stays.
    Flow {
        /// At which daemons.
        of: Whom,
        /// Most packets of all members in one rotation; the least of what the members say is in force.
        #[serde(default)]
        window: Option<u16>,
        /// Packets of a visit that are sent after the token was passed on; 0 is the regular ring.
        #[serde(default)]
        accelerated: Option<u16>,
    },
    /// Daemons read their configuration again, as if told by SIGHUP.
    Reload {
        /// Which.
        of: Whom,
    },
    /// Daemons end, as if told by a signal.
    Terminate {
        /// Which.
        of: Whom,
    },
}

/// Which daemons are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whom {
    /// The one that is asked.
    This,
    /// All that it knows.
    All,
    /// The one of that name.
    Named(String),
}

impl Request {
    /// Reads the first line of `input`.
    ///
    /// # Errors
    /// It is too long or no request; the text is for whoever asked.
    pub fn read(input: &[u8]) -> Result<Self, String> {
        let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.len() > REQUEST_MAX {
            return Err(format!("a request has at most {REQUEST_MAX} bytes"));
        }
        serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))
    }

    /// Whether it changes something, which takes `dangerous_monitor` at whoever does it. What the files of a machine say was
    /// decided there.
    pub fn is_dangerous(&self) -> bool {
        !matches!(self, Self::Status { .. } | Self::Detail | Self::Reload { .. })
    }

    /// Whom it is for.
    pub fn whom(&self) -> Whom {
        match self {
            Self::Status { of }
            | Self::Reload { of }
            | Self::Flow { of, .. }
            | Self::Terminate { of } => of.clone(),
            Self::Detail => Whom::This,
            Self::Partition { .. } | Self::Heal => Whom::All,
        }
    }
}

/// What a daemon answers: some of these, the last of which is [`Answer::End`] or [`Answer::Mistake`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Answer {
    /// How a daemon is.
    Report(Report),
    /// How the daemon that was asked is, in full.
    Detail(Box<Detail>),
    /// A daemon did what was asked.
    Done {
        /// Which.
        daemon: String,
    },
    /// A daemon does not do it.
    Refused {
        /// Which.
        daemon: String,
        /// Why, with the remedy.
        why: String,
    },
    /// A daemon did not answer in time.
    Silent {
        /// Which.
        daemon: String,
    },
    /// The request cannot be done by anybody.
    Mistake {
        /// Why, with the remedy.
        why: String,
    },
    /// That was all.
    End,
}

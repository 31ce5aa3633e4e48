//! What can go wrong on the bench, and what to do about it.

use std::fmt;
use std::io;

use crate::config::Kind;

/// Why something on the bench was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// No lab of an accepted kind can be made here. Nothing was left behind.
    #[error("no lab can be made here: {0}")]
    Unavailable(Unavailable),
    /// The caller asked for something out of bounds. Nothing was started.
    #[error("{what} is {value}; {remedy}")]
    Config {
        /// Which wish.
        what: &'static str,
        /// The value asked for.
        value: String,
        /// What would do.
        remedy: &'static str,
    },
    /// The second start of the binary did not become a helper: most likely it never called [`crate::init`].
    #[error(
        "the lab's helper ended or did not answer; call lab::init() first thing in main(), before any thread is started"
    )]
    NoInit,
    /// This kind of lab has no such thing.
    #[error("{what} is not possible on {kind}; run as root, or where user namespaces are allowed")]
    NotHere {
        /// What was asked.
        what: &'static str,
        /// The kind of this lab.
        kind: Kind,
    },
    /// Control groups cannot be used. The lab runs on without them.
    #[error("no control groups for the machines: {why}")]
    NoCgroups {
        /// What is missing, with the remedy.
        why: String,
    },
    /// The hub carried out the order as far as it could and was refused.
    #[error("{what}: {why}")]
    Refused {
        /// What was ordered.
        what: String,
        /// The reason given.
        why: String,
    },
    /// The lab has ended; the order came too late.
    #[error("the lab has ended")]
    Ended,
    /// The world.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl LabError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
        let what = what.into();
        move |source| LabError::Io { what, source }
    }
}

/// Why there is no lab, one line per kind that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// What was tried and what the system said.
    pub tried: Vec<(Kind, String)>,
}

impl Unavailable {
    /// What the user can do about it, in one sentence.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
         kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces above 0; \
         in a container: --privileged or a seccomp profile that permits unshare)"
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, why) in &self.tried {
            write!(f, "{kind}: {why}; ")?;
        }
        f.write_str(self.remedy())
    }
}

//! The place for candidacy functions that are not built in.
//!
//! A chain may hold any number of them; how they are loaded (shared objects, sandboxes) is the
//! business of the driver that resolves their names. They see the request, the matrix and the list;
//! what they return is checked before it counts, so the worst of them can only be useless.

use alloc::string::String;
use alloc::vec::Vec;

use crate::decide::View;
use crate::hot::Slot;
use crate::request::RequestView;

/// A candidacy function from outside. Shared by all workers.
pub trait Outside: Send + Sync {
    /// Reorders, narrows or widens `list`, which holds the candidates so far, best first.
    ///
    /// An error, a repeated machine or one that may not be named leaves the chain's list as it was;
    /// the decision says so in [`crate::Decision::failed`].
    fn call(
        &self,
        view: &View<'_>,
        request: &dyn RequestView,
        argument: &str,
        list: &mut Vec<Slot>,
    ) -> Result<(), OutsideError>;
}

/// Why a function from outside gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutsideError(pub String);

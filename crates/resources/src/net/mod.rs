//! The sockets of announcing and probing, and the interfaces they live on.

pub(crate) mod announcer;
pub(crate) mod links;
pub(crate) mod pair;
pub(crate) mod socket;

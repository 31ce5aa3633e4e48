//! The sockets of announcing and probing, and the interfaces they live on.

pub(crate) mod links;
pub(crate) mod socket;

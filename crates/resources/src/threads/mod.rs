//! The two threads: control, and the answerer. A third resolves names for control when one is announced.

pub(crate) mod answerer;
mod cluster;
pub(crate) mod control;
mod own;
mod resolver;
mod table;
mod wait;

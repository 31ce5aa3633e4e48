//! One client connection: heads in, decisions, responses out.

pub(crate) mod stream;

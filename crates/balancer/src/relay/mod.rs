//! One client connection: heads in, decisions, responses out.

mod answer;
mod client;
pub(crate) mod conn;
mod deliver;
mod download;
pub(crate) mod exchange;
mod heads;
pub(crate) mod http;
pub(crate) mod io;
pub(crate) mod lengths;
mod local;
pub(crate) mod outcome;
pub(crate) mod page;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod splice;
pub(crate) mod stream;
mod tunnel;
mod upload;

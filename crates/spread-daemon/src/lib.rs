//! The bus daemon: sockets and timers around ring and groups, client sessions, spread.conf.
//!
//! - [`conf`]: `spread.conf` as the original reads it. [`config`]: the section `[bus]`, and what both become.
//! - [`daemon`]: the thread that does everything. `poll`: what it waits for.
//! - [`link`]: the wires to other daemons. `listen`, `session`, `tls`: the clients.
//! - [`status`]: what an operator sees of it. [`monitor`]: what an operator asks of it and of the others.
//!
//! Not here: what is agreed and how (`ring`), what groups are (`groups`), the bytes of clients (`spread-wire`).

mod activity;
mod clock;
pub mod command_line;
pub mod conf;
pub mod config;
pub mod daemon;
pub mod error;
pub mod link;
mod listen;
mod memory;
pub mod monitor;
mod poll;
mod pressure;
mod priority;
pub mod privileges;
mod pulse;
mod session;
pub mod status;
mod tls;

pub use daemon::{Daemon, Doubles, Reloader, Reread, Seeker, Stopper};
pub use error::StartError;
pub use pulse::{Beat, Pulse};
pub use status::{Observer, Status};

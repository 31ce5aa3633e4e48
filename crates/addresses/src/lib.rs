//! Addresses that never go away: what the core `vip` decides, done on real interfaces.
//!
//! - `config`: the section `[addresses]`, checked. `conf`: the historical `wackamole.conf`, which becomes the same thing.
//! - `kernel`: netlink: addresses with leases, links, neighbours, sockets of an address that goes.
//! - `frames`: ARP and neighbour discovery: building, reading, packet sockets.
//! - `hooks`, `health`: programs that are run when addresses come and go, and checks that decide whether this machine may have any.
//! - `passing`: packets that reach the wrong one of two machines while an address moves are passed on, by a program in the kernel.
//! - `service`: the thread that does it all.
//! - `control`: the sockets on which operators and the historical `wackatrl` ask and command.
//! - `guardian`: the small process that takes the addresses away when this one dies or hangs.

pub mod conf;
pub mod config;
pub mod control;
pub mod frames;
pub mod guardian;
pub mod health;
pub mod hooks;
pub mod kernel;
pub mod passing;
pub mod service;

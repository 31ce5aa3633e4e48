//! The bus daemon: sockets and timers around ring and groups, client sessions, spread.conf.

pub mod command_line;
pub mod conf;
pub mod config;

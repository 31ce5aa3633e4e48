//! The client for threads.

pub mod connection;
pub mod session;
mod stream;
mod tls;

pub use connection::{Connection, ReceiveHalf, SendHalf};
pub use session::Session;

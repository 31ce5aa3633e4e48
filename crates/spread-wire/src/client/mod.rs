//! The client's side: the handshake, what it sends, what it receives.

pub mod connect;
pub mod receive;
pub mod send;

pub use connect::{Connect, ConnectError, Established, Hello};
pub use receive::{Decoder, Event, Malformed};
pub use send::{Outgoing, SendError, Sender};

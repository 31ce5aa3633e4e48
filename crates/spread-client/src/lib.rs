//! The client of the bus, for our daemon and the original: async and blocking.
//!
//! - [`Connection`]: a session, for tokio; [`blocking::Connection`]: the same for threads.
//! - [`Session`] and [`blocking::Session`]: sessions that are connected again when they are lost, with their groups.
//! - [`Endpoint`]: connection strings. [`Options`]: how to connect. [`Tls`]: the certificates, where that is with TLS.
//!
//! ```no_run
//! # async fn chat() -> Result<(), Box<dyn std::error::Error>> {
//! use spread_client::{Connection, Event, GroupName, Options, Service};
//!
//! let mut bus = Connection::connect(&"4803".parse()?, &Options::named("alice")?).await?;
//! let room = GroupName::new(b"room")?;
//! bus.join(&room).await?;
//! bus.multicast(Service::Agreed, &room, b"hello").await?;
//! while let Ok(event) = bus.receive().await {
//!     if let Event::Regular(message) = event {
//!         println!("{:?} says {:?}", message.sender, message.body);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Not here: what the bytes mean (`spread-wire`), and what is delivered in which order (the daemon decides).
#![forbid(unsafe_code)]

pub mod blocking;
pub mod connection;
pub mod endpoint;
pub mod error;
mod flow;
mod inbox;
pub mod options;
pub mod policy;
pub mod session;
mod stream;
pub mod tls;

pub use connection::{Connection, ReceiveHalf, SendHalf};
pub use endpoint::Endpoint;
pub use error::Error;
pub use options::Options;
pub use policy::{Backoff, Happened};
pub use session::Session;
pub use spread_wire::client::{Event, Outgoing};
pub use spread_wire::{
    Cause, ErrorCode, GroupId, GroupName, Hint, Membership, NameError, Names, PrivateGroup,
    PrivateName, Regular, Reject, Service, ServiceType, Transitional, Version,
};
pub use tls::Tls;

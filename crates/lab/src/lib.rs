//! A cluster in one process tree: machines as Linux namespaces on a private bridge.
//!
//! Think of a workbench with a switch on it. Every machine has its own network, mount and host name, a cable to the
//! switch, and nothing else; the bench can pull a cable, make a port of the switch deaf, freeze a machine, kill it, or
//! give it less processor. When the bench is gone, everything on it is gone.
//!
//! ```no_run
//! use lab::{Cut, Lab, LabConfig, Spawn};
//!
//! fn main() -> Result<(), lab::LabError> {
//!     lab::init(); // first thing: the lab's helpers are this same binary, started again
//!     let lab = Lab::start(LabConfig { machines: 3, ..LabConfig::default() })?;
//!     let server = lab.machine(0).spawn(Spawn::new("nginx").args(["-g", "daemon off;"]))?;
//!     let _page = lab.connect((lab.machine(0).address(), 80).into(), std::time::Duration::from_secs(1))?;
//!     lab.machine(0).cut(Cut::PortMute)?;
//!     lab.machine(0).heal()?;
//!     server.kill9()?;
//!     Ok(())
//! }
//! ```
//!
//! The tree: the caller → a *starter* (enters the user namespace) → the *hub* (first process of the lab's own process
//! namespace; owns bridge, machines and control socket) → the processes of the machines. `unshare` of a user namespace
//! is refused to a process with threads, and the caller may have any number: so starter and hub are the caller's own
//! binary executed again, recognised by [`init`] before anything has started a thread.
//!
//! A machine may have cables to several networks ([`NetworkConfig`]). Clients and routers whose neighbour tables matter are
//! hosts ([`HostConfig`]): the caller's own place is the switch itself and knows things a client does not. What is in a
//! place is listed and changed through [`Lab::addresses`], [`Lab::neighbours`] and the like, and who serves an address is
//! measured by probes ([`TcpProbe`], [`OwnerProbe`], [`PingProbe`]).
//!
//! Rules:
//! - Nothing has a name that outlives the lab: no `ip netns`, no files. Only control groups have names; those of labs
//!   whose process is gone are removed by the next lab.
//! - `kill -9` of the caller ends everything: each level dies with its parent, and the death of the hub takes its
//!   whole process namespace along.
//! - Sockets stay in the namespace they were made in. The hub makes them and hands them over, so a test client, a load
//!   generator or a [`Door`] runs in the caller and yet speaks inside the lab.
//!
//! Not here: what the machines run, and what is expected of them. No clock is touched; loss and delay of single
//! packets are not modelled.

mod address;
mod boot;
mod burn;
mod cgroup;
mod chore;
mod config;
mod door;
mod error;
mod frame;
mod hub;
mod machine;
mod one;
mod probe;
mod process;
mod role;
mod room;
mod running;
mod sockets;
mod spawn;
mod starter;
mod wire;

pub use chore::{HeldAddress, Link, Mac, Neighbour, NeighbourState};
pub use config::{CgroupWish, HostConfig, Kind, LabConfig, Leg, NetworkConfig, Wish};
pub use door::{Door, DoorStats};
pub use error::{LabError, Unavailable};
pub use machine::Machine;
pub use one::Which;
pub use probe::{
    Answer, Loss, Neighbourhood, Outcome, OwnerProbe, OwnerTrace, Ping, PingProbe, PingTrace,
    Probing, Question, Span, TcpProbe, TcpTrace, Try,
};
pub use process::{Exit, Process, Signal};
pub use role::init;
pub use room::NeighbourRoom;
pub use running::Lab;
pub use sockets::Place;
pub use spawn::{Output, Spawn};
pub use wire::Cut;

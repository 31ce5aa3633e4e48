//! The control sockets of a running service: how an operator asks and commands.
//!
//! Each is a Unix socket that only root and the program's own user can use, and each speaks both languages, told apart by the
//! first byte of a request:
//!
//! - ours: a line of JSON, an [`Ask`], answered by lines of JSON, [`Answer`]s.
//! - the historical one (`wackamole.md`, 4.1): one byte, answered by binary records.
//!
//! - `words`: the requests and answers. `table`: how everything is, as answers tell it. `explain`: the same in sentences. `heirs`: who
//!   would get what.
//! - `historical`: the binary records and what `wackatrl` prints.
//! - `socket`: the files. `serve`: the connections, on a thread of their own, so that nobody who asks delays the service. `room`: how
//!   many. `presence`: that there is one such program on a machine. `refusal`: who would not take a set.
//! - [`client`]: the other end.

pub mod client;
mod explain;
mod heirs;
pub mod historical;
mod presence;
mod refusal;
mod room;
mod serve;
mod socket;
mod table;
mod words;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use explain::lasting;
pub use presence::{Presence, claim};
pub use refusal::refusal;
pub use socket::OpenError;
pub use table::{AddressRow, Can, CandidateRow, MachineRow, SetRow, SetState, Table};
pub use words::{
    Answer, Ask, CheckRow, ConflictsRow, CountersRow, DecisionRow, ErrorKind, Explained, HookRow,
    REQUEST_MAX,
};

use crate::service::Handle;

/// Sockets that are there, and at which nobody answers yet. They go with it.
pub struct Sockets {
    listeners: Vec<UnixListener>,
    files: Vec<socket::SocketFile>,
}

/// Sockets that are listened at. They go with it.
pub struct Control {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    files: Vec<socket::SocketFile>,
}

/// Makes these sockets. Those that cannot be had are returned beside: addresses are served without them, unless somebody else serves
/// them already ([`OpenError::SamePlace`]). So it is done before anything of the service is begun.
pub fn open(paths: &[PathBuf]) -> (Sockets, Vec<OpenError>) {
    let mut troubles = Vec::new();
    let (mut listeners, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        match socket::open(path) {
            Ok((listener, file)) => {
                listeners.push(listener);
                files.push(file);
            }
            Err(error) => troubles.push(error),
        }
    }
    (Sockets { listeners, files }, troubles)
}

/// Answers at the sockets for the service, for as long as which the presence is kept.
///
/// # Errors
/// [`OpenError::Thread`]; addresses are served without it.
pub fn serve(
    handle: Handle,
    sockets: Sockets,
    presence: Option<Presence>,
) -> Result<Control, OpenError> {
    let Sockets { listeners, files } = sockets;
    let (stop, stopped) = oneshot::channel();
    let work = move || {
        // Whoever asks needs none of this program's powers.
        if let Err(error) = crate::kernel::capabilities::drop_to_net_admin_and_raw(false) {
            tracing::warn!(%error, "the control socket keeps more power than it needs");
        }
        serve::run(handle, listeners, presence.map(Presence::into_listener), stopped);
    };
    let thread = std::thread::Builder::new().name("addresses-ctl".into()).spawn(work);
    let thread = Some(thread.map_err(OpenError::Thread)?);
    Ok(Control { stop: Some(stop), thread, files })
}

impl Drop for Control {
    fn drop(&mut self) {
        // First: as long as somebody listens nobody else takes the path.
        self.files.clear();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has told of its panic by itself.
            let _ = thread.join();
        }
    }
}

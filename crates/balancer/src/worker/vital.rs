//! What a worker cannot do without.
//!
//! The runtime catches a panic of one task, which is right for a connection. A worker that no longer accepts, keeps
//! time or hears of deaths would look alive and not be: there the program ends, so that the other machines take
//! over and a supervisor starts it again.

use tokio::task::{JoinHandle, spawn_local};

/// The language's own exit status after a panic.
const PANICKED: i32 = 101;

/// Ends the program if it is dropped by a panic. Whoever installed the panic hook has told of it by then.
#[derive(Debug)]
pub(crate) struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::exit(PANICKED);
        }
    }
}

/// Runs a task that must not panic.
pub(super) fn spawn_vital(task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    spawn_local(async {
        let _vital = Vital;
        task.await;
    })
}

//! How the daemon's thread stands among other work.
//!
//! Measured on machines of two cores: real-time made a paced message slower and still stalled under load; a low nice value
//! keeps the token moving under burners. So nice is the default, and whatever is not permitted is said and done without.

use rustix::process::{nice, setpriority_process};

use crate::config::Priority;

/// The nice value of [`Priority::Nice`]: one above the lowest, which watchdogs may need.
const NICE: i32 = -19;
/// The priority of [`Priority::Realtime`]: the lowest there is, which is above everything that is not real-time.
const REALTIME: i32 = 1;

/// Gives the calling thread its priority, and says in words what is in force.
pub(crate) fn take(wanted: Priority) -> String {
    match wanted {
        Priority::None => "the bus runs at normal priority, as asked".into(),
        // On Linux the value belongs to the thread, and "this process" means the calling thread.
        Priority::Nice => match setpriority_process(None, NICE) {
            Ok(()) => format!("the bus runs at nice {NICE}"),
            Err(error) => {
                let now = nice(0).unwrap_or(0);
                format!(
                    "the bus runs at nice {now}: {NICE} is not permitted here ({error}); give it CAP_SYS_NICE, or expect false alarms under load"
                )
            }
        },
        Priority::Realtime => match realtime() {
            Ok(()) => format!("the bus runs with real-time priority {REALTIME}"),
            Err(error) => format!(
                "the bus runs at normal priority: real-time is not permitted here ({error}); give it CAP_SYS_NICE, or use bus.priority = \"nice\""
            ),
        },
    }
}

fn realtime() -> std::io::Result<()> {
    let parameter = libc::sched_param { sched_priority: REALTIME };
    // SAFETY: thread 0 is the calling one, and the parameter lives until after the call, which only reads it.
    #[allow(unsafe_code)]
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

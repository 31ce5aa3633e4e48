//! Programs that are run when addresses come and go.
//!
//! | event | when | about |
//! |---|---|---|
//! | `on-up` | the addresses of a set are up here | that set |
//! | `on-down` | they are down here | that set |
//! | `post-up`, `post-down` | a round of changes gave this machine something, took something | all sets of the round |
//!
//! A hook is a program with arguments (no shell between) or a function of a shared object ([`module`]). Nothing of it
//! happens in the loop of the service: each run has a thread of its own that starts the program, feeds it, reads what it
//! says, and kills its process group when its time is over. So neither a hook that hangs nor a disk from which
//! it cannot be loaded delays a take-over.
//!
//! **Order.** Of one set one hook runs at a time, in the order of the calls: an `on-down` waits for the `on-up` before
//! it, which its time limit ends if need be. Different sets run beside each other, up to [`Hooks::new`]'s `parallel`.
//! `post-up` and `post-down` wait until all that was called before them has ended. When a set comes and goes faster
//! than its hooks run, the oldest that wait are dropped (and told so); the newest always runs.
//!
//! **What a program gets.** An environment of PATH, HOME, LANG (if we have them) and what [`HookCall`] lists; the same
//! and more as JSON on standard input; standard output and error go line by line to the log. Working directory `/`, a
//! process group of its own, no descriptors but these three. It runs as the user of the service and with its
//! capabilities.
//!
//! **What ends with what.** At the time limit the process group gets SIGTERM, one second later SIGKILL. A program that
//! ends by itself may leave others running in the background (a server that it started): those are not followed, what
//! they say is not read, and they must not write to the standard output they were given. When the service dies, or
//! ends and cannot wait any longer, `on-up` and `post-up` die with it (at a death the program itself, by the kernel; its
//! children only if they notice). `on-down` and `post-down` go on: one that is killed half-way leaves running what had
//! to be stopped. An alarm that the kernel keeps ends them soon after their time limit. The guardian runs `on-down` again
//! after a death, and after an end that came before its turn, so it must be harmless twice.

mod call;
mod ending;
pub(crate) mod launch;
pub mod module;
mod output;
pub(crate) mod process;
mod queue;
mod service;

use std::time::Duration;

pub use call::{HookCall, Located, Owner};
pub use ending::{HookDone, Outcome};
pub use launch::{for_guardian, init};
pub use service::{Called, Hooks};

use crate::config::{Hook, HookEvent, HookRun, HookSets};

/// Between SIGTERM and SIGKILL.
pub const KILL_AFTER: Duration = Duration::from_secs(1);
/// How long after SIGKILL a program is waited for: its disk may hang, and others are not to hang with it.
pub(crate) const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

/// An event as in the environment and in JSON: one word, so that a shell's `case` needs no quotes.
pub fn event_name(event: HookEvent) -> &'static str {
    match event {
        HookEvent::OnUp => "on-up",
        HookEvent::OnDown => "on-down",
        HookEvent::PostUp => "post-up",
        HookEvent::PostDown => "post-down",
    }
}

/// Whether an event is about a round and not about one set.
fn is_post(event: HookEvent) -> bool {
    matches!(event, HookEvent::PostUp | HookEvent::PostDown)
}

/// Whether something is to be stopped, which must not stay half done.
fn stops(event: HookEvent) -> bool {
    matches!(event, HookEvent::OnDown | HookEvent::PostDown)
}

/// What people see of a hook: the program, or `file:symbol`.
fn name(hook: &Hook) -> String {
    match &hook.run {
        HookRun::Command(argv) => argv.first().cloned().unwrap_or_default(),
        HookRun::Module { file, symbol } => format!("{}:{symbol}", file.display()),
    }
}

/// Whether a hook is configured for this.
fn is_for(hook: &Hook, call: &HookCall) -> bool {
    let wanted = || match &hook.sets {
        HookSets::All => true,
        HookSets::Heads(heads) => call.head().is_some_and(|head| heads.contains(&head)),
    };
    hook.event == call.event && (is_post(call.event) || wanted())
}

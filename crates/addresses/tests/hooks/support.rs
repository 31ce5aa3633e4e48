//! What the cases share.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use addresses::config::{Hook, HookEvent, HookRun, HookSets};
use addresses::hooks::{HookCall, HookDone, Hooks, Located, Owner};

/// Runs a case on the kind of runtime that the service has.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A hook that is a few lines for the shell.
pub(crate) fn shell(event: HookEvent, script: &str) -> Hook {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Hook {
        event,
        run: HookRun::Command(argv),
        timeout: Duration::from_secs(10),
        sets: HookSets::All,
    }
}

/// The same with another time limit.
pub(crate) fn within(hook: Hook, millis: u64) -> Hook {
    Hook { timeout: Duration::from_millis(millis), ..hook }
}

pub(crate) fn hooks(all: &[Hook]) -> Hooks {
    Hooks::new(all.to_vec(), 8)
}

/// Something happened to a set of one address.
pub(crate) fn call(event: HookEvent, set: &str) -> HookCall {
    let head = Located {
        interface: "eth0".to_owned(),
        address: "10.0.0.10".parse().unwrap(),
        prefix: 24,
        mac: Some("02:00:00:00:00:0a".to_owned()),
    };
    let (set, addresses) = match matches!(event, HookEvent::PostUp | HookEvent::PostDown) {
        true => (String::new(), Vec::new()),
        false => (set.to_owned(), vec![head]),
    };
    HookCall {
        event,
        sets: vec![set.clone()],
        set,
        addresses,
        machine: "m1".to_owned(),
        owner: Some(Owner { machine: "m2".to_owned(), address: "10.0.0.2".parse().ok() }),
        reason: "m2 left".to_owned(),
        view: "7".to_owned(),
        at: SystemTime::now(),
    }
}

/// Calls once and waits for the one hook.
pub(crate) fn once(hook: Hook, call: HookCall) -> HookDone {
    block_on(async {
        let mut hooks = hooks(&[hook]);
        hooks.queue(call);
        assert_eq!(hooks.pending(), 1);
        let done = hooks.next().await;
        assert_eq!(hooks.pending(), 0);
        done
    })
}

/// Waits for `so many` endings.
pub(crate) async fn endings(hooks: &mut Hooks, count: usize) -> Vec<HookDone> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(hooks.next().await);
    }
    all
}

/// Whether such a process is there and not a zombie.
pub(crate) fn lives(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    status
        .rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

/// Waits until something is so; not for ever.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

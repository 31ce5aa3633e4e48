//! What becomes of hooks when the service is killed.

use std::path::Path;
use std::process::{Child, Command};

use addresses::config::HookEvent;

use crate::support::{block_on, call, eventually, hooks, lives, read, shell, within};

const FOLDER: &str = "HOOKS_TEST_VICTIM";
const EVENT: &str = "HOOKS_TEST_EVENT";
const SCRIPT: &str = "HOOKS_TEST_SCRIPT";
const MILLIS: u64 = 1000;

/// Plays the service that will be killed.
pub(crate) fn victim_if_asked() {
    if std::env::var_os(FOLDER).is_none() {
        return;
    }
    let event =
        if std::env::var(EVENT).unwrap() == "up" { HookEvent::OnUp } else { HookEvent::OnDown };
    let script = std::env::var(SCRIPT).unwrap();
    block_on(async {
        let mut hooks = hooks(&[within(shell(event, &script), MILLIS)]);
        hooks.queue(call(event, "web"));
        hooks.next().await;
    });
    std::process::exit(0);
}

fn victim(folder: &Path, event: &str, script: &str) -> Child {
    let script = format!(
        "echo $$ > {0}/pid; {1}",
        folder.display(),
        script.replace("FOLDER", &folder.display().to_string())
    );
    let binary = std::env::current_exe().unwrap();
    let victim = Command::new(binary)
        .env(FOLDER, folder)
        .env(EVENT, event)
        .env(SCRIPT, script)
        .spawn()
        .unwrap();
    eventually("the hook runs", || !read(&folder.join("pid")).trim().is_empty());
    victim
}

fn kill(mut victim: Child) {
    victim.kill().unwrap();
    victim.wait().unwrap();
}

pub(crate) fn on_up_dies() {
    let folder = tempfile::tempdir().unwrap();
    kill(victim(folder.path(), "up", "sleep 0.7; echo still here; touch FOLDER/ended"));
    eventually("the hook is dead", || !lives(&read(&folder.path().join("pid"))));
    assert!(!folder.path().join("ended").exists());
}

pub(crate) fn on_down_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    kill(victim(folder.path(), "down", "sleep 0.3; echo still here; touch FOLDER/ended"));
    eventually("the hook came to its end", || folder.path().join("ended").exists());
}

pub(crate) fn alarm() {
    let folder = tempfile::tempdir().unwrap();
    kill(victim(folder.path(), "down", "while :; do sleep 0.2; done"));
    let pid = read(&folder.path().join("pid"));
    assert!(lives(&pid));
    eventually("its alarm has ended it", || !lives(&pid));
}

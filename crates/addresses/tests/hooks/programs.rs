//! What a program gets, and what is told of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd;

use addresses::config::{Hook, HookEvent, HookRun, HookSets};
use addresses::hooks::{HookCall, Located, Outcome};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::support::{block_on, call, hooks, once, shell};

fn variables(said: &[String]) -> BTreeSet<&str> {
    said.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect()
}

pub(crate) fn environment() {
    let env = vec!["/usr/bin/env".to_owned()];
    let hook = Hook { run: HookRun::Command(env), ..shell(HookEvent::OnUp, "") };
    let done = once(hook, call(HookEvent::OnUp, "web"));
    assert_eq!(done.outcome, Outcome::Exited(0));
    let ours = variables(&done.said);
    for name in &ours {
        assert!(["PATH", "HOME", "LANG"].contains(name) || name.starts_with("BACKHAND_"), "{name}");
    }
    for line in [
        "BACKHAND_EVENT=on-up",
        "BACKHAND_SET=web",
        "BACKHAND_SETS=web",
        "BACKHAND_HEAD=10.0.0.10",
        "BACKHAND_ADDRESSES=10.0.0.10/24",
        "BACKHAND_INTERFACES=eth0",
        "BACKHAND_MACHINE=m1",
        "BACKHAND_OWNER=m2",
        "BACKHAND_OWNER_ADDRESS=10.0.0.2",
        "BACKHAND_REASON=m2 left",
        "BACKHAND_VIEW=7",
    ] {
        assert!(done.said.iter().any(|said| said == line), "{line} is not in {:?}", done.said);
    }
}

/// A document larger than a pipe holds.
fn large() -> HookCall {
    let located = |n: u128| Located {
        interface: "eth0".to_owned(),
        address: IpAddr::from(Ipv6Addr::from(0xfd00 << 112 | n)),
        prefix: 128,
        mac: None,
    };
    HookCall { addresses: (0..4096).map(located).collect(), ..call(HookEvent::OnUp, "web") }
}

pub(crate) fn document() {
    let done = once(shell(HookEvent::OnUp, "tail -c 400; echo; echo end"), large());
    assert_eq!(done.outcome, Outcome::Exited(0));
    let text = done.said.join("\n");
    for part in [
        r#""machine":"m1""#,
        r#""owner":{"machine":"m2","address":"10.0.0.2"}"#,
        r#""reason":"m2 left""#,
        r#""view":"7""#,
        "fd00::fff",
        "\nend",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let head = once(shell(HookEvent::OnDown, "cat"), call(HookEvent::OnDown, "web")).said.join("");
    assert!(
        head.starts_with(r#"{"event":"on-down","set":"web","sets":["web"],"head":"10.0.0.10","#),
        "{head}"
    );
    assert!(
        head.contains(
            r#"{"interface":"eth0","address":"10.0.0.10","prefix":24,"mac":"02:00:00:00:00:0a"}"#
        ),
        "{head}"
    );
}

pub(crate) fn reads_nothing() {
    let done = once(shell(HookEvent::OnUp, "exec <&-; sleep 0.1; echo done"), large());
    assert_eq!((done.outcome, done.said), (Outcome::Exited(0), vec!["done".to_owned()]));
}

pub(crate) fn descriptors() {
    // As one that a supervisor handed to us without a mark.
    let (reader, _writer) = pipe_with(PipeFlags::empty()).unwrap();
    let unmarked = std::fs::read_link(format!("/proc/self/fd/{}", reader.as_raw_fd())).unwrap();
    let unmarked = unmarked.to_str().unwrap();
    for event in [HookEvent::OnUp, HookEvent::OnDown] {
        let done = once(shell(event, "exec ls -l /proc/self/fd"), call(event, "web"));
        assert!(!done.said.iter().any(|line| line.ends_with(unmarked)), "{:?}", done.said);
        // What must outlive us keeps the other end of its own output, so that it is not ended by SIGPIPE.
        let pipes = done.said.iter().filter(|line| line.contains("pipe:")).count();
        assert_eq!(pipes, if event == HookEvent::OnUp { 3 } else { 4 }, "{:?}", done.said);
    }
}

pub(crate) fn said() {
    let done = once(
        shell(HookEvent::OnUp, "echo one; echo two >&2; echo three"),
        call(HookEvent::OnUp, "web"),
    );
    assert_eq!(done.said, ["one", "two", "three"]);
}

fn outcome(script: &str) -> Outcome {
    once(shell(HookEvent::OnUp, script), call(HookEvent::OnUp, "web")).outcome
}

fn told(script: &str) -> String {
    once(shell(HookEvent::OnUp, script), call(HookEvent::OnUp, "web")).to_string()
}

pub(crate) fn endings() {
    assert_eq!(outcome("exit 3"), Outcome::Exited(3));
    assert_eq!(outcome("kill -SEGV $$"), Outcome::Killed(11));
    assert!(told("exit 3").starts_with("on-up /bin/sh for web ended with status 3 after "));
}

pub(crate) fn missing() {
    let argv = vec!["/nowhere/promote".to_owned()];
    let hook = Hook { run: HookRun::Command(argv), ..shell(HookEvent::OnUp, "") };
    let done = once(hook, call(HookEvent::OnUp, "web"));
    let told = done.to_string();
    assert_eq!(
        told,
        "on-up /nowhere/promote for web was not run: /nowhere/promote: No such file or directory (os error 2)"
    );
}

pub(crate) fn arguments() {
    let argv = ["printf", "%s\n", "$HOME; echo x", "a b"].map(str::to_owned).to_vec();
    let hook = Hook { run: HookRun::Command(argv), ..shell(HookEvent::OnUp, "") };
    assert_eq!(once(hook, call(HookEvent::OnUp, "web")).said, ["$HOME; echo x", "a b"]);
}

pub(crate) fn background() {
    let done = once(shell(HookEvent::OnUp, "sleep 30 & echo $!"), call(HookEvent::OnUp, "web"));
    assert_eq!(done.outcome, Outcome::Exited(0));
    assert!(done.took.as_secs() < 5, "{:?}", done.took);
    let pid = done.said[0].parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

pub(crate) fn named_sets() {
    block_on(async {
        let named = Hook {
            sets: HookSets::Heads(vec!["10.0.0.20".parse().unwrap()]),
            ..shell(HookEvent::OnUp, "echo db")
        };
        let mut hooks = hooks(&[
            named,
            shell(HookEvent::OnUp, "echo all"),
            shell(HookEvent::OnDown, "echo down"),
        ]);
        hooks.queue(call(HookEvent::OnUp, "web"));
        assert_eq!(hooks.pending(), 1);
        let mut db = call(HookEvent::OnUp, "db");
        db.addresses[0].address = "10.0.0.20".parse().unwrap();
        hooks.queue(db);
        let mut said: Vec<_> = endings_in(&mut hooks, 3).await;
        said.sort();
        assert_eq!(said, ["db all", "db db", "web all"]);
    });
}

async fn endings_in(hooks: &mut addresses::hooks::Hooks, count: usize) -> Vec<String> {
    let all = crate::support::endings(hooks, count).await;
    all.into_iter().map(|done| format!("{} {}", done.set, done.said.join(" "))).collect()
}

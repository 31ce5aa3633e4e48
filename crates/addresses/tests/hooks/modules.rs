//! C functions in shared objects.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use addresses::config::{Hook, HookEvent, HookRun, HookSets};
use addresses::hooks::{HookCall, HookDone, Hooks, Located, Outcome, for_guardian};
use tempfile::TempDir;
use testkit::trial::Needs;

use crate::support::{block_on, call};

const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include "backhand_addresses.h"

static void show(const char *what, struct interface i)
{
    printf("%s %s", what, i.name);
    printf(" %s", inet_ntoa(i.address));
    printf(" %s", inet_ntoa(i.broadcast));
    printf(" %s", inet_ntoa(i.netmask));
    printf(" %s", inet_ntoa(i.network));
    printf(" %02x:%02x\n", i.mac[0], i.mac[5]);
}

int values(struct interface head, struct interface *set, struct interface owner)
{
    show("head", head);
    for (; set->address.s_addr; set++)
        show("set", *set);
    show("owner", owner);
    return 1;
}

void old_style(struct interface head, struct interface *set, struct interface owner)
{
    printf("called for %s\n", inet_ntoa(head.address));
    printf("%s %s\n", getenv("BACKHAND_EVENT"), getenv("BACKHAND_ADDRESSES_ROLE") ? "helper" : "no helper");
}

int crashes(struct interface head, struct interface *set, struct interface owner) { abort(); }

int hangs(struct interface head, struct interface *set, struct interface owner) { for (;;) pause(); }
"#;

pub(crate) fn compiler() -> Needs {
    let found = Command::new("cc").arg("--version").output().is_ok_and(|out| out.status.success());
    if found { Ok(()) } else { Err("there is no C compiler (cc)".to_owned()) }
}

/// A folder with `example.so`.
fn compiled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("example.c");
    std::fs::write(&source, SOURCE).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let out = Command::new("cc")
        .args(["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(folder.path().join("example.so"))
        .arg("-I")
        .arg(include)
        .arg(&source)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    folder
}

fn hook(folder: &TempDir, file: &str, symbol: &str, event: HookEvent) -> Hook {
    let run = HookRun::Module { file: folder.path().join(file), symbol: symbol.to_owned() };
    Hook { event, run, timeout: Duration::from_millis(1500), sets: HookSets::All }
}

fn run(file: &str, symbol: &str, call: HookCall) -> HookDone {
    let folder = compiled();
    let hook = hook(&folder, file, symbol, call.event);
    block_on(async {
        let mut hooks = Hooks::new(vec![hook], 8);
        hooks.queue(call);
        hooks.next().await
    })
}

fn located(address: &str, prefix: u8) -> Located {
    let address = address.parse().unwrap();
    Located { interface: "a-name-too-long-for-linux".to_owned(), address, prefix, mac: None }
}

pub(crate) fn values() {
    let mut call = call(HookEvent::OnUp, "web");
    call.addresses.extend([
        located("fd00::1", 128),
        located("10.0.1.11", 32),
        located("10.0.2.12", 8),
    ]);
    let done = run("example.so", "values", call);
    assert_eq!(done.outcome, Outcome::Exited(0), "{done:?}");
    assert_eq!(
        done.said,
        [
            "head eth0 10.0.0.10 10.0.0.255 255.255.255.0 10.0.0.0 02:0a",
            "set a-name-too-long 10.0.1.11 10.0.1.11 255.255.255.255 10.0.1.11 00:00",
            "set a-name-too-long 10.0.2.12 10.255.255.255 255.0.0.0 10.0.0.0 00:00",
            "owner m2 10.0.0.2 10.0.0.2 255.255.255.255 10.0.0.2 00:00",
        ]
    );
}

pub(crate) fn old_style() {
    let done = run("example", "old_style", call(HookEvent::OnDown, "web"));
    assert_eq!(
        (done.outcome, done.said),
        (
            Outcome::Exited(0),
            ["called for 10.0.0.10", "on-down no helper"].map(str::to_owned).to_vec()
        )
    );
}

pub(crate) fn crashes() {
    assert_eq!(run("example", "crashes", call(HookEvent::OnUp, "web")).outcome, Outcome::Killed(6));
}

pub(crate) fn hangs() {
    assert_eq!(run("example", "hangs", call(HookEvent::OnUp, "web")).outcome, Outcome::TimedOut);
}

pub(crate) fn missing() {
    let done = run("nothing", "values", call(HookEvent::OnUp, "web"));
    let Outcome::NotStarted(why) = &done.outcome else { panic!("{done:?}") };
    assert!(why.contains("nothing.so: cannot open shared object file"), "{why}");
}

pub(crate) fn missing_function() {
    let done = run("example", "nothing", call(HookEvent::OnUp, "web"));
    let Outcome::NotStarted(why) = &done.outcome else { panic!("{done:?}") };
    assert!(why.contains("example.so has no function nothing: "), "{why}");
}

pub(crate) fn round() {
    let mut call = call(HookEvent::PostUp, "");
    call.owner = None;
    let done = run("example", "values", call);
    assert_eq!(
        done.said,
        [
            "head  0.0.0.0 0.0.0.0 0.0.0.0 0.0.0.0 00:00",
            "owner  0.0.0.0 0.0.0.0 0.0.0.0 0.0.0.0 00:00"
        ]
    );
}

pub(crate) fn ipv6_only() {
    let mut call = call(HookEvent::OnUp, "web");
    call.addresses = vec![located("fd00::1", 128)];
    let done = run("example", "values", call);
    assert!(done.to_string().contains("no IPv4 address"), "{done}");
}

/// What the guardian does, which knows nothing of modules.
pub(crate) fn by_guardian() {
    let folder = compiled();
    let mut call = call(HookEvent::OnDown, "web");
    call.owner = None;
    let hook = hook(&folder, "example", "old_style", call.event);
    let program = for_guardian(&hook, &call).unwrap();
    assert_eq!(program.limit, hook.timeout);
    let mut child = Command::new(&program.command[0])
        .args(&program.command[1..])
        .env_clear()
        .envs(program.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&program.input).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{:?}", out.status);
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(said, "called for 10.0.0.10\non-down no helper\n");
    call.addresses = vec![located("fd00::1", 128)];
    assert!(for_guardian(&hook, &call).is_none(), "it has no address that a module knows");
}

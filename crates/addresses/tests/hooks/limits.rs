//! Time limits, and the end of the service.

use std::time::{Duration, Instant};

use addresses::config::HookEvent;
use addresses::hooks::Outcome;

use crate::support::{
    block_on, call, endings, eventually, hooks, lives, once, read, shell, within,
};

pub(crate) fn hangs() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    block_on(async {
        let script = format!("sleep 60 & echo $! > {}; wait", pid.display());
        let mut hooks = hooks(&[
            within(shell(HookEvent::OnUp, &script), 300),
            shell(HookEvent::OnDown, "echo down"),
        ]);
        hooks.queue(call(HookEvent::OnUp, "web"));
        hooks.queue(call(HookEvent::OnDown, "web"));
        let all = endings(&mut hooks, 2).await;
        assert_eq!(all[0].outcome, Outcome::TimedOut);
        assert!(all[0].to_string().contains("its time limit was over"), "{}", all[0]);
        assert_eq!(
            (&all[1].outcome, &all[1].said[..]),
            (&Outcome::Exited(0), &["down".to_owned()][..])
        );
    });
    eventually("the hook's child is dead", || !lives(&read(&pid)));
}

pub(crate) fn ignores_term() {
    let hook = within(shell(HookEvent::OnUp, "trap '' TERM; while :; do sleep 0.1; done"), 200);
    let done = once(hook, call(HookEvent::OnUp, "web"));
    assert_eq!(done.outcome, Outcome::TimedOut);
    assert!(
        done.took >= Duration::from_millis(1200) && done.took < Duration::from_secs(4),
        "{:?}",
        done.took
    );
}

pub(crate) fn cleans_up() {
    let script = "trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.05; done";
    let done = once(within(shell(HookEvent::OnUp, script), 300), call(HookEvent::OnUp, "web"));
    assert_eq!(done.outcome, Outcome::TimedOut);
    assert!(done.said.iter().any(|line| line == "cleaned"), "{:?}", done.said);
    assert!(done.took < Duration::from_millis(1200), "{:?}", done.took);
}

pub(crate) fn talks() {
    let done =
        once(within(shell(HookEvent::OnUp, "yes 0123456789"), 300), call(HookEvent::OnUp, "web"));
    assert_eq!(done.outcome, Outcome::TimedOut);
    assert_eq!(done.said.len(), 20);
}

pub(crate) fn finish() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    block_on(async {
        let up = format!("echo $$ > {}; sleep 60", file("up").display());
        let down = format!("sleep 1.5; touch {}", file("down").display());
        let mut hooks = hooks(&[shell(HookEvent::OnUp, &up), shell(HookEvent::OnDown, &down)]);
        hooks.queue(call(HookEvent::OnUp, "a"));
        let waits = hooks.queue(call(HookEvent::OnDown, "a"));
        let runs = hooks.queue(call(HookEvent::OnDown, "b"));
        assert_eq!((waits.hooks, runs.hooks), (1, 1));
        eventually("the hook runs", || !read(&file("up")).trim().is_empty());
        let began = Instant::now();
        let all = hooks.finish(Duration::from_millis(300)).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(all.len(), 3);
        for done in &all {
            // What stops something is not killed half-way.
            let ends = done.call == runs.number;
            let wanted = if ends { Outcome::Exited(0) } else { Outcome::Stopped };
            assert_eq!(done.outcome, wanted, "{done}");
        }
        assert!(file("down").exists() && !lives(&read(&file("up"))));
    });
}

pub(crate) fn finish_runs_what_waits() {
    block_on(async {
        let mut hooks =
            hooks(&[shell(HookEvent::OnUp, "sleep 0.1"), shell(HookEvent::OnDown, "true")]);
        hooks.queue(call(HookEvent::OnUp, "a"));
        hooks.queue(call(HookEvent::OnDown, "a"));
        let all = hooks.finish(Duration::from_secs(10)).await;
        assert!(all.iter().all(|done| done.succeeded()) && all.len() == 2, "{all:?}");
    });
}

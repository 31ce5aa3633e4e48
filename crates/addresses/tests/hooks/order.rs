//! Which hook runs when.

use std::time::{Duration, Instant};

use addresses::config::HookEvent;
use addresses::hooks::Outcome;

use crate::support::{block_on, call, endings, hooks, read, shell};

pub(crate) fn one_set() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let script = |text: &str| text.replace("TOLD", told.to_str().unwrap());
    block_on(async {
        let mut hooks = hooks(&[
            shell(HookEvent::OnUp, &script("echo up >> TOLD; sleep 0.2; echo is up >> TOLD")),
            shell(HookEvent::OnDown, &script("echo down >> TOLD")),
        ]);
        hooks.queue(call(HookEvent::OnUp, "web"));
        hooks.queue(call(HookEvent::OnDown, "web"));
        hooks.queue(call(HookEvent::OnUp, "web"));
        endings(&mut hooks, 3).await;
    });
    assert_eq!(read(&told), "up\nis up\ndown\nup\nis up\n");
}

pub(crate) fn beside() {
    block_on(async {
        let mut hooks = hooks(&[shell(HookEvent::OnUp, "sleep 1")]);
        let began = Instant::now();
        for set in ["a", "b", "c", "d"] {
            hooks.queue(call(HookEvent::OnUp, set));
        }
        endings(&mut hooks, 4).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    });
}

pub(crate) fn round() {
    block_on(async {
        let mut hooks = hooks(&[
            shell(HookEvent::OnUp, "sleep 0.2"),
            shell(HookEvent::PostUp, "echo $BACKHAND_SETS"),
        ]);
        hooks.queue(call(HookEvent::OnUp, "a"));
        hooks.queue(call(HookEvent::OnUp, "b"));
        let mut post = call(HookEvent::PostUp, "");
        post.sets = vec!["a".to_owned(), "b".to_owned()];
        hooks.queue(post);
        let all = endings(&mut hooks, 3).await;
        assert_eq!(all[2].event, HookEvent::PostUp);
        assert_eq!(all[2].said, ["a b"]);
    });
}

pub(crate) fn flapping() {
    block_on(async {
        let mut hooks =
            hooks(&[shell(HookEvent::OnUp, "sleep 0.05"), shell(HookEvent::OnDown, "true")]);
        for _ in 0..50 {
            hooks.queue(call(HookEvent::OnUp, "web"));
            hooks.queue(call(HookEvent::OnDown, "web"));
        }
        assert!(hooks.pending() <= 17, "{}", hooks.pending());
        let all = endings(&mut hooks, 100).await;
        let ran: Vec<_> = all.iter().filter(|done| done.outcome == Outcome::Exited(0)).collect();
        assert_eq!(ran.len(), 17);
        assert_eq!(ran.last().unwrap().event, HookEvent::OnDown);
        assert!(
            all.iter().all(|done| matches!(done.outcome, Outcome::Exited(0) | Outcome::Superseded))
        );
    });
}

/// Twenty hooks at once that talk and read, beside a timer of 5 ms on the same thread.
pub(crate) fn never_held_up() {
    block_on(async {
        let mut hooks = hooks(&[shell(HookEvent::OnUp, "cat > /dev/null; seq 20000; exit 0")]);
        let mut worst = Duration::ZERO;
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let mut last = Instant::now();
        for n in 0..20 {
            let began = Instant::now();
            hooks.queue(call(HookEvent::OnUp, &format!("set{n}")));
            worst = worst.max(began.elapsed());
        }
        let mut left = 20;
        while left > 0 {
            tokio::select! {
                _ = hooks.next() => left -= 1,
                _ = ticks.tick() => {
                    worst = worst.max(last.elapsed().saturating_sub(Duration::from_millis(5)));
                    last = Instant::now();
                }
            }
        }
        println!("the loop was late by {worst:?} at most");
        assert!(worst < Duration::from_millis(500), "{worst:?}");
    });
}

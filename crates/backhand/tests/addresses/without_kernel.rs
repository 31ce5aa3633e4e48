//! Addresses that are calls to somebody's API: no kernel has them, and the programs of hooks alone say who does.

use std::fs;

use lab::Spawn;
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{Stand, v4};
use crate::support::PROGRAM;

pub(crate) const TRIALS: &[Named] = &[
    ("an_address_that_is_a_call_comes_and_goes_by_programs_at_a_death_and_at_a_stop", called),
    ("machines_of_which_only_some_have_an_address_in_the_kernel_say_so_and_leave_it_there", differ),
];

fn start(stand: &mut Stand, i: usize) {
    let hook = |event: &str| {
        let file = stand.path(&format!("calls{}", i + 1));
        format!(
            "[[addresses.hook]]\nevent = \"on {event}\"\n\
             command = [\"/bin/sh\", \"-c\", \"echo {event} $BACKHAND_HEAD >> {}\"]\n",
            file.display()
        )
    };
    let round = format!(
        "[[addresses.hook]]\nevent = \"post up\"\n\
         command = [\"/bin/sh\", \"-c\", \"echo $BACKHAND_SETS:$BACKHAND_HEAD:$BACKHAND_ADDRESSES >> {}\"]\n",
        stand.path(&format!("rounds{}", i + 1)).display()
    );
    let set = "[[addresses.set]]\nname = \"api\"\nkernel = false\n";
    let hooks = [hook("up"), hook("down"), round].concat();
    let section = format!("{set}addresses = [\"{}\"]\n{hooks}", v4(1));
    let text = stand.with(i, &section);
    stand.start_as(i, &text, Spawn::new(PROGRAM));
}

/// The machines whose last call was that it has it.
fn callers(stand: &Stand) -> Vec<usize> {
    let has = |i: &usize| {
        let calls = fs::read_to_string(stand.path(&format!("calls{}", i + 1))).unwrap_or_default();
        // A line that is being written is none yet.
        calls.ends_with(&format!("up {}\n", v4(1)))
    };
    stand.all().into_iter().filter(has).collect()
}

fn called() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, [v4(1)]);
    stand.all().into_iter().for_each(|i| start(&mut stand, i));
    let first = stand.until("one has called", || callers(&stand).first().copied());
    stand.until("all are there", || {
        (stand.count(first, &["3 machines:"]) > 0 && callers(&stand).len() == 1).then_some(())
    });
    let first = callers(&stand)[0];
    stand.kill(first);
    let second = stand.until("another has called, and the guardian of the first", || {
        callers(&stand).first().copied().filter(|i| *i != first && callers(&stand).len() == 1)
    });
    stand.stop(second);
    let third = stand.until("the last has called", || callers(&stand).first().copied());
    assert!(third != first && third != second, "m{} has ended", third + 1);
    assert_eq!(callers(&stand), [third]);
    let rounds = stand.path(&format!("rounds{}", third + 1));
    // A round has no addresses, only sets.
    stand.until("the round is told", || {
        fs::read_to_string(&rounds).is_ok_and(|rounds| rounds == "api::\n").then_some(())
    });
    assert!(stand.map().is_empty(), "a kernel has it: {:?}", stand.map());
    Ok(stand.all_live()?)
}

fn differ() -> Result<(), Failed> {
    let mut stand = Stand::silent(2, [v4(1)]);
    let set = |kernel: bool| {
        format!(
            "[[addresses.set]]\nname = \"api\"\naddresses = [\"{}\"]\nkernel = {kernel}\n",
            v4(1)
        )
    };
    let start = |stand: &mut Stand, i: usize, kernel: bool| {
        let text = stand.with(i, &set(kernel));
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    };
    start(&mut stand, 0, true);
    stand.wait_until_whole(&[0]);
    start(&mut stand, 1, false);
    let (stays, waits) =
        (format!("[{}] stays", v4(1)), format!("[{}] with kernel = false waits", v4(1)));
    for i in stand.all() {
        stand.wait_until_said(i, &["machines list", &stays, &waits]);
    }
    assert_eq!(stand.holder(&[0, 1], v4(1)), Some(0));
    // Alone it has it in its way.
    stand.stop(0);
    stand.wait_until_said(1, &[&v4(1).to_string(), "is up here"]);
    assert!(stand.map().is_empty(), "{:?}", stand.map());
    Ok(stand.all_live()?)
}

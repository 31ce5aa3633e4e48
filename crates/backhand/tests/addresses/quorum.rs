//! Sets that must never be held twice.

use std::time::{Duration, Instant};

use lab::{Cut, OwnerProbe, Place};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{ASKER, Stand, WARM, v4};

pub(crate) const TRIALS: &[Named] = &[
    (
        "a_set_under_quorum_is_let_go_by_the_minority_and_taken_by_the_majority_after_the_lease",
        parted,
    ),
    ("nobody_holds_a_set_under_quorum_without_a_majority", nobody),
    ("a_set_under_quorum_of_a_frozen_machine_waits_for_its_lease", frozen),
];

fn stand() -> Stand {
    let mut stand = Stand::silent(3, [v4(1)]);
    for i in stand.all() {
        let section = format!(
            "[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\nquorum = true\n\
             [addresses.quorum]\nmembers = {{ m1 = 1, m2 = 1, m3 = 1 }}\n",
            v4(1)
        );
        let text = stand.with(i, &section);
        stand.start_as(i, &text, lab::Spawn::new(crate::support::PROGRAM));
    }
    stand.wait_until_whole(&stand.all());
    stand
}

fn parted() -> Result<(), Failed> {
    let stand = stand();
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let (old, ours) = (stand.mac(at), Duration::from_millis(3_300));
    // One asks on each side.
    let theirs = OwnerProbe::new(Place::Host(WARM), v4(1)).start(&stand.lab)?;
    let other = OwnerProbe::new(Place::Host(ASKER), v4(1)).start(&stand.lab)?;
    stand.until("both see it", || {
        let sees = |probe: &lab::Probing<lab::OwnerTrace>| {
            probe.look(|trace| trace.last_answer_of(old).is_some())
        };
        (sees(&theirs) && sees(&other)).then_some(())
    });
    let began = Instant::now();
    stand.lab.part(0, &[vec![Place::Machine(at), Place::Host(WARM)]])?;
    stand.until("the minority lets go", || stand.held(at).is_empty().then_some(()));
    let gone = began.elapsed();
    assert!(others.iter().all(|i| stand.held(*i).is_empty()), "the majority did not wait");
    stand.wait_until_whole(&others);
    let taken = began.elapsed();
    println!("quorum: let go after {gone:?}, taken after {taken:?}");
    let (theirs, other) = (theirs.finish(), other.finish());
    let last = theirs.last_answer_of(old).unwrap();
    let new = stand.mac(stand.holder(&others, v4(1)).expect("one has it"));
    let first = other.first_answer_of(new, began).expect("it has answered");
    println!("quorum: nobody answered for {:?}", first.saturating_duration_since(last));
    assert!(first > last, "two had it");
    assert!(taken > ours, "the lease was not waited for: {taken:?}");
    stand.lab.join(0)?;
    stand.wait_until_said(at, &["3 machines:"]);
    stand.wait_until_whole(&stand.all());
    Ok(stand.all_live()?)
}

fn nobody() -> Result<(), Failed> {
    let stand = stand();
    for i in stand.all() {
        stand.lab.machine(i).cut(Cut::PortMute)?;
    }
    stand.until("nobody has it", || stand.map().is_empty().then_some(()));
    for i in stand.all() {
        stand.wait_until_said(i, &["there is no majority"]);
    }
    assert!(stand.map().is_empty());
    for i in stand.all() {
        stand.lab.machine(i).heal()?;
    }
    let back = stand.wait_until_whole(&stand.all());
    println!("quorum: back {back:?} after the healing");
    Ok(stand.all_live()?)
}

fn frozen() -> Result<(), Failed> {
    let stand = stand();
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let asker = OwnerProbe::new(Place::Host(ASKER), v4(1)).start(&stand.lab)?;
    let began = Instant::now();
    stand.lab.machine(at).freeze()?;
    stand.wait_until_whole(&others);
    println!("quorum: taken from the frozen after {:?}", began.elapsed());
    stand.lab.machine(at).thaw()?;
    stand.wait_until_said(at, &["3 machines:"]);
    stand.until("it is with the others again", || {
        (stand.count(at, &["3 machines:"]) > 1).then_some(())
    });
    stand.wait_until_whole(&stand.all());
    let trace = asker.finish();
    assert_eq!(trace.doubled(), None, "two had it");
    Ok(stand.all_live()?)
}

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
    (
        "a_set_under_quorum_of_a_killed_program_is_taken_when_its_guardian_says_that_all_is_off",
        said,
    ),
    ("a_guardian_whose_program_failed_says_nothing_and_the_lease_is_waited_for", unsaid),
];

fn stand() -> Stand {
    stand_with(|_| String::new())
}

/// What a guardian says, as the log of the others has it.
const SAID: &str = "its lease is not waited for";

/// The machines, with this besides in their sections.
fn stand_with(more: impl Fn(&Stand) -> String) -> Stand {
    let mut stand = Stand::silent(3, [v4(1)]);
    for i in stand.all() {
        let section = format!(
            "[[addresses.set]]\nname = \"db\"\naddresses = [\"{}\"]\nquorum = true\n\
             [addresses.quorum]\nmembers = {{ m1 = 1, m2 = 1, m3 = 1 }}\n{}",
            v4(1),
            more(&stand)
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
    let met = stand.count(at, &["3 machines:"]);
    stand.lab.join(0)?;
    stand.wait_until_said_again(at, &["3 machines:"], met);
    stand.wait_until_whole(&stand.all());
    Ok(stand.all_live()?)
}

/// A hook for the end of a set that runs this.
fn on_down(script: &str) -> String {
    format!(
        "[[addresses.hook]]\nevent = \"on down\"\ncommand = [\"/bin/sh\", \"-c\", '{script}']\n"
    )
}

/// Kills the program of the holder; who it was, how long it took until another had the address, and what a probe saw.
fn killed(stand: &mut Stand) -> Result<(usize, Duration), Failed> {
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let asker = OwnerProbe::new(Place::Host(ASKER), v4(1)).start(&stand.lab)?;
    let began = Instant::now();
    stand.kill(at);
    stand.wait_until_whole(&others);
    let taken = began.elapsed();
    let (new, old) = (stand.mac(stand.holder(&others, v4(1)).expect("one has it")), stand.mac(at));
    stand.until("it answers", || {
        asker.look(|trace| trace.first_answer_of(new, began).is_some()).then_some(())
    });
    let trace = asker.finish();
    assert_eq!(trace.doubled(), None, "two had it");
    let (last, first) = (trace.last_answer_of(old), trace.first_answer_of(new, began));
    assert!(last < first, "the old one answered when the new one had it");
    Ok((at, taken))
}

fn said() -> Result<(), Failed> {
    let down = |stand: &Stand| stand.path("down");
    let mut stand =
        stand_with(|stand| on_down(&format!("sleep 0.3; echo down > {}", down(stand).display())));
    // What was run when the machines came together is none of this.
    let _ = std::fs::remove_file(down(&stand));
    let (at, taken) = killed(&mut stand)?;
    assert!(down(&stand).exists(), "it was taken before the program for its end had ended");
    println!("quorum: taken {taken:?} after the program was killed, with 300 ms for its hook");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let name = format!("guardian of m{}", at + 1);
    assert!(others.iter().any(|i| stand.count(*i, &[&name, SAID]) > 0), "nobody heard it");
    // It follows from that word, so the lease has not run out.
    assert!(taken < Duration::from_millis(4_100), "{taken:?}");
    let text = std::fs::read_to_string(stand.path(&format!("m{}.toml", at + 1)))?;
    let met = stand.count(others[0], &["3 machines:"]);
    stand.start_as(at, &text, lab::Spawn::new(crate::support::PROGRAM));
    stand.wait_until_said_again(others[0], &["3 machines:"], met);
    stand.wait_until_whole(&stand.all());
    Ok(stand.all_live()?)
}

fn unsaid() -> Result<(), Failed> {
    let mut stand = stand_with(|_| on_down("exit 1"));
    let (_, taken) = killed(&mut stand)?;
    println!("quorum: taken {taken:?} after the program was killed, whose hook had failed");
    assert!(stand.all().iter().all(|i| stand.count(*i, &[SAID]) == 0), "it was said all the same");
    assert!(taken > Duration::from_millis(3_300), "the lease was not waited for: {taken:?}");
    Ok(stand.all_live()?)
}

fn nobody() -> Result<(), Failed> {
    let stand = stand();
    let alone = ["1 machine:", "there is no majority"];
    // Each was alone when it was started.
    let before: Vec<usize> = stand.all().into_iter().map(|i| stand.count(i, &alone)).collect();
    for i in stand.all() {
        stand.lab.machine(i).cut(Cut::PortMute)?;
    }
    stand.until("nobody has it", || stand.map().is_empty().then_some(()));
    for (i, before) in before.into_iter().enumerate() {
        stand.wait_until_said_again(i, &alone, before);
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
    let met = stand.count(at, &["3 machines:"]);
    stand.lab.machine(at).thaw()?;
    stand.wait_until_said_again(at, &["3 machines:"], met);
    stand.wait_until_whole(&stand.all());
    let trace = asker.finish();
    assert_eq!(trace.doubled(), None, "two had it");
    Ok(stand.all_live()?)
}

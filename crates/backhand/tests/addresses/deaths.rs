//! Machines that die or are cut off, and what clients of their addresses notice.

use std::time::{Duration, Instant};

use lab::{Cut, Signal, TcpTrace, Which};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{LEASE, ROUTER, Stand, WARM, v4};

pub(crate) const TRIALS: &[Named] = &[
    ("addresses_of_a_killed_program_are_served_by_others_and_gone_from_its_kernel", killed),
    ("addresses_behind_a_pulled_cable_go_over_and_come_back", carrier),
    ("after_a_mute_port_is_healed_each_address_is_at_one_and_all_know_where", mute),
    ("a_hung_program_loses_its_addresses_to_the_guardian", hung),
    ("a_machine_on_which_everything_stands_still_keeps_nothing_beyond_the_lease", frozen),
    ("a_machine_that_wakes_after_its_lease_costs_no_connection", woken),
    ("a_program_that_dies_again_and_again_leaves_nothing_behind", restarts),
];

/// What may pass until a dead machine's address is served elsewhere.
const SERVED: Duration = Duration::from_secs(1);

/// Two machines that hold something, of which the first is to suffer, with an address of it.
fn victim(stand: &Stand) -> (usize, Vec<usize>, std::net::IpAddr) {
    let at = stand.holder(&stand.all(), v4(1)).expect("one has it");
    let others = stand.all().into_iter().filter(|i| *i != at).collect();
    (at, others, v4(1))
}

fn killed() -> Result<(), Failed> {
    let mut stand = Stand::new(3, 6);
    let (at, others, ip) = victim(&stand);
    let eyes = Eyes::open(&stand, ip);
    let old = stand.mac(at);
    let began = Instant::now();
    stand.kill(at);
    stand.until("its kernel is empty", || stand.held(at).is_empty().then_some(()));
    let empty = began.elapsed();
    let whole = stand.wait_until_whole(&others);
    let served = Instant::now();
    eyes.wait_until_served(&stand, served);
    let new = stand.mac(stand.holder(&others, ip).expect("one has it"));
    eyes.wait_until_only(&stand, new, Duration::from_millis(200));
    let seen = eyes.close();
    let last = seen.owner.last_answer_of(old).map(|at| at.saturating_duration_since(began));
    let doubled = seen.doubled(began, Instant::now());
    println!(
        "killed: kernel empty after {empty:?}, last answer after {last:?}, others whole after {whole:?} more, two for {doubled:?}"
    );
    assert!(empty < Duration::from_millis(250), "{empty:?}");
    assert!(doubled < Duration::from_millis(500), "{doubled:?}");
    seen.gap("killed", began, SERVED);
    // Once the new owner has it, every connection is served.
    let lost = seen.tcp.iter().flat_map(TcpTrace::lost).find(|one| one.started > served);
    assert!(lost.is_none(), "{lost:?}");
    stand.start(at);
    stand.wait_until_even(&stand.all());
    Ok(stand.all_live()?)
}

fn carrier() -> Result<(), Failed> {
    let stand = Stand::passing(3, 6);
    let (at, others, ip) = victim(&stand);
    let eyes = Eyes::open(&stand, ip);
    let began = Instant::now();
    stand.lab.machine(at).cut(Cut::Carrier)?;
    stand.until("the carrier's loss takes everything", || stand.held(at).is_empty().then_some(()));
    let empty = began.elapsed();
    stand.wait_until_whole(&others);
    eyes.wait_until_served(&stand, Instant::now());
    println!("carrier: let go after {empty:?}");
    assert!(empty < Duration::from_secs(1), "{empty:?}");
    let healed = Instant::now();
    stand.lab.machine(at).heal()?;
    stand.wait_until_even(&stand.all());
    println!("carrier: even again {:?} after it was mended", healed.elapsed());
    eyes.wait_until_served(&stand, Instant::now());
    // It gets its share back in order.
    let (seen, resets) = (eyes.close(), stand.resets(1));
    seen.gap("carrier", began, SERVED);
    for trace in &seen.tcp {
        let after = trace.between(healed, Instant::now());
        let (lost, kinds) = (after.lost().count(), after.lost_by_kind());
        let reset = kinds.keys().all(|kind| kind.starts_with("reset"));
        assert!(lost <= resets && reset, "after the healing: {kinds:?}");
    }
    Ok(stand.all_live()?)
}

fn mute() -> Result<(), Failed> {
    let stand = Stand::new(3, 6);
    let (at, others, ip) = victim(&stand);
    let eyes = Eyes::open(&stand, ip);
    let began = Instant::now();
    stand.lab.machine(at).cut(Cut::PortMute)?;
    stand.wait_until_whole(&others);
    // Each side is a component, and each component has every address.
    stand.wait_until_whole(&[at]);
    eyes.wait_until_served(&stand, Instant::now());
    let healed = Instant::now();
    stand.lab.machine(at).heal()?;
    let settled = stand.wait_until_whole(&stand.all());
    println!("mute: one each {settled:?} after the healing");
    stand.wait_until_even(&stand.all());
    eyes.wait_until_served(&stand, Instant::now());
    let winner = stand.mac(stand.holder(&stand.all(), ip).expect("one has it"));
    eyes.wait_until_only(&stand, winner, Duration::from_millis(200));
    for host in [WARM, ROUTER] {
        stand.until("everybody knows who has it", || {
            (stand.believes(host, ip) == Some(winner)).then_some(())
        });
    }
    let seen = eyes.close();
    println!("mute: two answered for {:?}", seen.doubled(healed, Instant::now()));
    seen.gap("mute", began, SERVED);
    seen.gap("after the mute port was healed", healed, Duration::from_millis(250));
    Ok(stand.all_live()?)
}

fn hung() -> Result<(), Failed> {
    let stand = Stand::new(3, 6);
    let (at, others, ip) = victim(&stand);
    let eyes = Eyes::open(&stand, ip);
    let began = Instant::now();
    stand.run(at).signal_alone(Signal::STOP)?;
    stand.until("the guardian takes everything away", || stand.held(at).is_empty().then_some(()));
    let empty = began.elapsed();
    stand.wait_until_whole(&others);
    eyes.wait_until_served(&stand, Instant::now());
    println!("hung: the guardian has cleared after {empty:?}");
    // Half a second of suspicion, and what a busy machine adds.
    assert!(empty < Duration::from_secs(2), "{empty:?}");
    let gathered = || stand.count(at, &[" machines: "]) + stand.count(at, &[" 1 machine: "]);
    let (met, thawed) = (gathered(), Instant::now());
    stand.run(at).signal_alone(Signal::CONT)?;
    // What it knew before it hung is no reason to have anything: others have it by now.
    while gathered() == met {
        if !stand.held(at).is_empty() {
            // It is said a moment after it is so.
            let said = || (gathered() > met).then_some(());
            stand.until_within(Duration::from_millis(300), "it has met anybody before", said);
        }
    }
    stand.wait_until_even(&stand.all());
    eyes.wait_until_served(&stand, Instant::now());
    let seen = eyes.close();
    let (before, after) = (seen.doubled(began, thawed), seen.doubled(thawed, Instant::now()));
    println!("hung: two answered for {before:?}, and for {after:?} after it went on");
    assert!(before < Duration::from_secs(2) && after < Duration::from_secs(1));
    seen.gap("hung", began, SERVED + Duration::from_secs(1));
    seen.gap("woken", thawed, Duration::from_secs(1));
    Ok(stand.all_live()?)
}

fn frozen() -> Result<(), Failed> {
    let stand = Stand::new(3, 6);
    let (at, others, ip) = victim(&stand);
    let old = stand.mac(at);
    let eyes = Eyes::open(&stand, ip);
    let began = Instant::now();
    stand.lab.machine(at).freeze()?;
    stand.wait_until_whole(&others);
    let taken = began.elapsed();
    stand.until("the lease has run out", || stand.held(at).is_empty().then_some(()));
    let empty = began.elapsed();
    let new = stand.mac(stand.holder(&others, ip).expect("one has it"));
    eyes.wait_until_only(&stand, new, Duration::from_millis(200));
    eyes.wait_until_served(&stand, Instant::now());
    println!("frozen: others whole after {taken:?}, its kernel empty after {empty:?}");
    assert!(empty < LEASE + Duration::from_millis(500), "{empty:?}");
    let thawed = Instant::now();
    stand.lab.machine(at).thaw()?;
    stand.wait_until_even(&stand.all());
    eyes.wait_until_served(&stand, Instant::now());
    let last = stand.mac(stand.holder(&stand.all(), ip).expect("one has it"));
    eyes.wait_until_only(&stand, last, Duration::from_millis(200));
    let seen = eyes.close();
    let of_old = seen.owner.owners_between(began + LEASE + Duration::from_millis(500), thawed);
    assert!(!of_old.contains(&old), "it answers beyond its lease");
    let (before, after) = (seen.doubled(began, thawed), seen.doubled(thawed, Instant::now()));
    println!("frozen: two answered for {before:?}, and for {after:?} after it went on");
    assert!(after < Duration::from_secs(1), "{after:?}");
    seen.gap("frozen", began, LEASE + SERVED);
    seen.gap("thawed", thawed, Duration::from_secs(1));
    Ok(stand.all_live()?)
}

fn restarts() -> Result<(), Failed> {
    let mut stand = Stand::new(3, 6);
    let (at, others, _) = victim(&stand);
    for round in 0..6 {
        stand.kill(at);
        stand.until("its kernel is empty", || stand.held(at).is_empty().then_some(()));
        let met = stand.count(at, &["3 machines:"]);
        stand.start(at);
        if round % 2 == 0 {
            // Half of the times it has come as far as meeting the others.
            stand.wait_until_said_again(at, &["3 machines:"], met);
        }
    }
    stand.wait_until_whole(&stand.all());
    // It is given its share later each time; a death of the others makes it hold something again.
    stand.kill(others[0]);
    stand.kill(others[1]);
    stand.wait_until_whole(&[at]);
    // Everything of the program dies, its guardian before it could do anything: the next run clears what the leases still hold.
    let guardian = Which::Named("backhand-guard".to_owned());
    stand.lab.machine(at).signal_one(&guardian, Signal::STOP)?;
    stand.kill_all(at);
    assert!(!stand.held(at).is_empty(), "somebody has cleared it");
    let left = stand.count(at, &["taken off", "has left it behind"]);
    stand.start(at);
    stand.wait_until_whole(&[at]);
    stand.wait_until_said_again(at, &["taken off", "has left it behind"], left);
    Ok(stand.all_live()?)
}

fn woken() -> Result<(), Failed> {
    let mut stand = Stand::silent_passing(2, (1..=6).map(v4));
    stand.more = "lease = \"1s\"\nguardian = { enabled = false }\n".into();
    stand.start_all();
    let took = |stand: &Stand| stand.count(0, &["from m2 to m1", "(lost)"]);
    for round in 1..=3 {
        stand.lab.machine(0).freeze()?;
        stand.until("the other has all", || (stand.held(1).len() == 6).then_some(()));
        stand.until("the kernel has let go", || stand.held(0).is_empty().then_some(()));
        let eyes = Eyes::open(&stand, v4(round));
        stand.lab.machine(0).thaw()?;
        stand.wait_until_even(&stand.all());
        eyes.wait_until_served(&stand, Instant::now());
        eyes.close().nothing_lost("woken", stand.resets(1));
        let words = ["this program stood still for", "what was here is off"];
        assert_eq!(stand.count(0, &words), usize::from(round));
        assert_eq!(took(&stand), 0, "it took what the other has");
    }
    // So short a stop that its own addresses are still there, and so long that the other has taken them.
    stand.lab.machine(0).freeze()?;
    stand.until("the other has all", || (stand.held(1).len() == 6).then_some(()));
    std::thread::sleep(Duration::from_millis(200));
    stand.lab.machine(0).thaw()?;
    stand.until("each is at one", || stand.is_whole(&stand.all()).then_some(()));
    stand.wait_until_even(&stand.all());
    assert_eq!(took(&stand), 0, "it took what the other has");
    Ok(stand.all_live()?)
}

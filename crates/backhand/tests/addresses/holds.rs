//! What is held and cannot be kept, another configuration while something is held, interfaces that change under it.

use std::net::IpAddr;
use std::time::Instant;

use lab::{Place, Spawn};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{Stand, v6};
use crate::support::{PATIENCE, PROGRAM};

pub(crate) const TRIALS: &[Named] = &[(
    "an_address_that_the_kernel_takes_no_more_goes_to_another_machine_and_may_come_back",
    refused,
)];

/// Starts all machines with this section.
fn start_all(stand: &mut Stand, section: &str) {
    for i in stand.all() {
        let text = stand.with(i, section);
        stand.start_as(i, &text, Spawn::new(PROGRAM));
    }
}

/// Version 6 is switched off at the interface of a holder: its addresses are gone, and none is taken back.
fn refused() -> Result<(), Failed> {
    let all: [IpAddr; 2] = [v6(1), v6(2)];
    let mut stand = Stand::silent(2, all);
    // Of an interface by its name: else there would be no network for them any more, which is another reason.
    start_all(&mut stand, &format!("list = [\"eth0:[{}]\", \"eth0:[{}]\"]\n", all[0], all[1]));
    stand.wait_until_even(&[0, 1]);
    let at = stand.holder(&[0, 1], v6(1)).expect("one has it");
    let (place, off) = (Place::Machine(at), "net/ipv6/conf/eth0/disable_ipv6");
    let began = Instant::now();
    stand.lab.set_sysctl(place, off, "1")?;
    stand.until("the other one has both", || {
        all.iter().all(|ip| stand.holder(&[0, 1], *ip) == Some(1 - at)).then_some(())
    });
    println!("held elsewhere {:?} after version 6 was switched off", began.elapsed());
    stand.wait_until_said(at, &["cannot be kept here", "IPv6 is switched off at this interface"]);
    assert!(stand.count(at, &["could not be renewed"]) <= 1, "it is said again and again");
    stand.lab.set_sysctl(place, off, "0")?;
    stand.until_within(2 * PATIENCE, "it takes part again", || {
        (stand.count(at, &["can be held here again"]) > 0).then_some(())
    });
    stand.wait_until_even(&[0, 1]);
    Ok(stand.all_live()?)
}

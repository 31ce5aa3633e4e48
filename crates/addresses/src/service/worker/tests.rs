//! What is left behind, and what goes.

use tokio::sync::mpsc::unbounded_channel;

use super::*;

#[test]
fn what_goes_before_it_was_set_aside_does_not_stay_behind_on_the_loopback_interface() {
    let (to, _done) = unbounded_channel();
    let (valid, fresh) = (Duration::from_secs(3), Duration::from_millis(300));
    let shared = Arc::new(Shared::new(None, clock::now()));
    let mut worker = Worker::new(valid, fresh, shared, None, to).unwrap();
    let address = |ip: &str| Address { ip: ip.parse().unwrap(), prefix: 128, interface: 2 };
    let (goes, stays) = (address("2001:db8::1"), address("2001:db8::2"));
    // In one batch, as when machines lose and find each other at once.
    worker.enter(Job::Aside(vec![goes, stays]));
    worker.enter(Job::Remove(vec![goes]));
    assert_eq!((worker.setting_aside, worker.removing), (vec![stays], VecDeque::from([goes])));
}

#[test]
fn what_another_program_of_this_machine_holds_is_not_left_behind() {
    let held = |ip: &str, valid, protocol| Held {
        address: Address { ip: ip.parse().unwrap(), prefix: 32, interface: 2 },
        duplicate: false,
        tentative: false,
        secondary: false,
        deprecated: false,
        valid,
        protocol,
    };
    let wanted: BTreeSet<IpAddr> = ["10.0.0.1".parse().unwrap()].into();
    let marked = Some(kernel::PROTOCOL);
    for (ip, valid, protocol, after_death, handed_over) in [
        ("10.0.0.1", Some(3), marked, true, true),
        // Older kernels do not keep the mark.
        ("10.0.0.1", Some(3), None, true, true),
        ("10.0.0.1", None, None, false, false),
        // This machine's own, which it has from another machine for a while (DHCP).
        ("10.0.0.1", Some(3_600), None, false, false),
        ("10.0.0.2", Some(3), marked, false, true),
        ("10.0.0.2", Some(3), None, false, false),
    ] {
        let held = held(ip, valid, protocol);
        assert_eq!(is_left_behind(&held, &wanted, false), after_death, "{held:?}");
        assert_eq!(is_left_behind(&held, &wanted, true), handed_over, "{held:?}");
    }
}

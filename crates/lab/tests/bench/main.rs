//! The bench itself, tested for real: namespaces, cuts, frozen and killed processes, doors, quotas, and what is left.
//!
//! Each case runs on every kind of lab that this machine allows; what cannot run is listed as ignored, with the reason.

// A failed unwrap in a test is a failed test with its line.
#![allow(clippy::unwrap_used)]

mod cables;
mod doors;
mod leftovers;
mod networks;
mod one;
mod probes;
mod processes;
mod quotas;
mod support;
mod ways;

use std::process::ExitCode;

use lab::{CgroupWish, Kind, Lab, LabConfig, Wish};
use testkit::trial::{self, Arguments, Failed, Trial};

type Case = (&'static str, fn(&Lab));

const CABLED: &[Case] = &[
    ("two_machines_hear_each_other_on_both_families", cables::two_machines_hear_each_other),
    ("the_client_reaches_a_machine_and_is_seen_with_its_address", cables::client_reaches_a_machine),
    ("a_pulled_cable_silences_a_machine_until_it_is_healed", cables::pulled_cable),
    ("a_mute_port_keeps_the_carrier_and_passes_nothing", cables::mute_port),
    ("both_cuts_at_once_are_healed_together", cables::both_cuts),
    ("multicast_reaches_every_machine", cables::multicast),
    ("a_deaf_machine_is_heard_and_hears_nothing", ways::deaf),
    ("a_dumb_machine_hears_and_is_not_heard", ways::dumb),
    ("multicast_can_be_kept_from_a_machine_that_unicast_reaches", ways::without_multicast),
    ("machines_that_are_apart_hear_all_but_each_other", ways::apart),
    ("freezing_a_machine_reaches_daemons", processes::frozen_daemon),
    ("a_machine_sees_its_own_name_and_interfaces", cables::own_name_and_interfaces),
];

/// Cases in a lab with several networks and with hosts.
const WIDE: &[Case] = &[
    ("a_machine_has_an_address_on_each_of_its_networks", networks::addresses_on_each),
    ("one_network_can_be_cut_without_the_others", networks::cut_alone),
    ("a_client_has_a_neighbour_table_of_its_own", networks::neighbours_of_its_own),
    ("a_router_passes_on_both_families_and_learns_for_itself", networks::through_a_router),
    ("an_address_that_moves_silently_is_missed_by_those_who_knew_it", networks::moved_address),
    ("a_thousand_addresses_are_listed", networks::thousand_addresses),
    ("an_interface_is_renamed_removed_and_put_back", networks::renamed_and_removed),
    ("a_network_is_parted_in_any_pattern_and_joined", networks::parted),
    ("a_sysctl_is_set_in_one_place_only", networks::sysctls),
    ("a_probe_sees_steady_service_of_one_machine", probes::steady),
    ("a_connection_whose_first_packet_was_lost_is_late_and_not_lost", probes::late_is_not_lost),
    ("each_kind_of_loss_is_told_from_the_others", probes::losses_by_kind),
    ("a_cold_client_follows_a_silent_move_and_a_warm_one_does_not", probes::warm_and_cold),
    ("one_two_and_no_owners_are_counted_on_the_wire", probes::owners_counted),
    ("pings_are_lost_while_a_machine_is_deaf", probes::pings),
    ("a_probe_out_of_bounds_is_refused", probes::out_of_bounds),
    ("one_process_is_stopped_without_its_guardian", one::without_its_guardian),
    ("one_process_is_found_by_its_pid_file", one::by_pid_file),
    ("freezing_reaches_a_process_that_nobody_may_look_into", one::frozen_secretive),
    ("freezing_reaches_whoever_made_a_session_and_a_group", one::frozen_escapees),
];

const ANYWHERE: &[Case] = &[
    ("a_program_runs_with_its_arguments_environment_and_folder", processes::surroundings),
    ("a_program_that_does_not_exist_is_named_in_the_error", processes::missing_program),
    ("a_killed_process_says_by_which_signal_it_ended", processes::killed),
    ("a_frozen_process_stands_still_and_goes_on", processes::frozen),
    ("freezing_a_machine_stops_children_of_children", processes::frozen_family),
    ("a_client_process_reaches_a_machine", processes::client_process),
    ("a_door_survives_the_death_of_its_target", doors::survives_its_target),
    ("a_door_hangs_up_on_a_frozen_target", doors::hangs_up),
    ("a_door_without_targets_turns_clients_away", doors::turns_away),
];

const SECLUDED: &[Case] = &[("processes_see_only_their_lab", processes::see_only_their_lab)];

const GROUPED: &[Case] = &[
    ("a_quota_slows_a_burner", quotas::slows_a_burner),
    ("a_memory_limit_is_in_force", quotas::limits_memory),
];

fn main() -> ExitCode {
    lab::init();
    leftovers::victim_if_asked();
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (label, wish) in [
        ("user", Wish::UserNamespaces),
        ("root", Wish::RootNamespaces),
        ("loopback", Wish::Loopback),
    ] {
        // Runners that give each test a process of its own name one exactly; the other kinds need no trial start.
        if arguments.exact && !arguments.filter.as_ref().is_some_and(|f| f.starts_with(label)) {
            continue;
        }
        let config = move || LabConfig { machines: 3, wish, ..LabConfig::default() };
        let started = Lab::start(config()).map_err(|why| why.to_string());
        let trouble = started.as_ref().err().cloned();
        let groups = started.as_ref().map_or_else(|why| Some(why.clone()), Lab::cgroup_trouble);
        let secluded = match &started {
            Ok(lab) if lab.has_process_namespace() || wish == Wish::Loopback => None,
            _ => Some("/proc cannot be mounted here, so there is no process namespace"),
        };
        drop(started);
        let mut add = |cases: &[Case], wide: bool, trouble: Option<&str>| {
            for &(name, case) in cases {
                trials.push(trial(label, name, trouble, move || {
                    let config = if wide { networks::config(config()) } else { config() };
                    case(&Lab::start(config).map_err(|e| e.to_string())?);
                    Ok(())
                }));
            }
        };
        if wish != Wish::Loopback {
            add(CABLED, false, trouble.as_deref());
            add(WIDE, true, trouble.as_deref());
            add(SECLUDED, false, secluded);
        }
        add(ANYWHERE, false, trouble.as_deref());
        add(GROUPED, false, groups.as_deref());
        if wish != Wish::Loopback {
            let name = "a_private_folder_is_a_machine_s_own_but_for_what_is_shared";
            trials.push(trial(label, name, trouble.as_deref(), move || {
                ways::own_folders(config(), tempfile::tempdir()?.path());
                Ok(())
            }));
        }
        for (name, case) in leftovers::CASES {
            trials.push(trial(label, name, trouble.as_deref(), move || {
                case(label);
                Ok(())
            }));
        }
    }
    trials.push(Trial::test("loopback::a_cut_is_refused_with_the_reason", || {
        let lab = Lab::start(LabConfig { wish: Wish::Loopback, ..LabConfig::default() })?;
        assert_eq!(lab.kind(), Kind::Loopback);
        let error = lab.machine(0).cut(lab::Cut::Carrier).unwrap_err().to_string();
        assert!(error.contains("loopback") && error.contains("run as root"), "{error}");
        Ok(())
    }));
    trials.push(Trial::test("loopback::networks_and_hosts_are_refused_with_the_reason", || {
        let config = LabConfig { wish: Wish::Loopback, ..LabConfig::default() };
        let error = Lab::start(networks::config(config)).unwrap_err().to_string();
        assert!(error.contains("need cables"), "{error}");
        Ok(())
    }));
    trials.push(Trial::test("loopback::a_lab_that_had_to_be_one_says_why", || {
        let lab = Lab::start(LabConfig { wish: Wish::Anything, ..LabConfig::default() })?;
        // Where namespaces can be had there is nothing to explain, elsewhere there must be.
        let why = lab.shortcomings().map(ToString::to_string);
        assert_eq!(why.is_some(), lab.kind() == Kind::Loopback);
        assert_eq!(why.is_some(), Lab::available().is_err());
        assert!(why.is_none_or(|why| why.contains("run as root")));
        Ok(())
    }));
    trials.push(Trial::test("loopback::a_quota_without_groups_is_refused_with_the_reason", || {
        let cgroups = CgroupWish::No;
        let wish = Wish::Loopback;
        let config = LabConfig { wish, cgroups, ..LabConfig::default() };
        quotas::refused_with_the_reason(&Lab::start(config)?);
        Ok(())
    }));
    trials.push(Trial::test("a_configuration_out_of_bounds_is_refused", || {
        support::bad_configurations();
        networks::bad_configurations(LabConfig::default);
        Ok(())
    }));
    trial::run(trials)
}

fn trial(
    label: &str,
    name: &str,
    trouble: Option<&str>,
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    trial::trial(&format!("{label}::{name}"), &trouble.map_or(Ok(()), |why| Err(why.into())), run)
}

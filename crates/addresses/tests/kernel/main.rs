//! Addresses, links, neighbours and connections on real interfaces: each case runs inside a machine of a lab of its own, as the only
//! one that touches its network.

// A failed unwrap in a test is a failed test with its line.
#![allow(clippy::unwrap_used)]

mod addresses;
mod connections;
mod guardian;
mod links;
mod programs;
mod stage;

use std::process::ExitCode;

use lab::{Lab, LabConfig};
use testkit::trial::{self, Arguments, trial};

type Case = (&'static str, fn());

const CASES: &[Case] = &[
    ("a_lease_that_is_not_renewed_runs_out_and_the_kernel_says_so", addresses::runs_out),
    ("a_renewal_keeps_an_address_beyond_its_first_lease", addresses::renewed),
    ("our_mark_is_on_what_we_add_and_on_nothing_else", addresses::marked),
    ("deleting_what_is_not_there_is_no_error_and_said", addresses::missing),
    ("a_thousand_addresses_come_and_go_in_time", addresses::a_thousand),
    ("two_hundred_ipv6_addresses_come_and_go_in_time", addresses::two_hundred_of_six),
    ("each_address_has_its_own_outcome_and_a_reason", addresses::own_outcomes),
    ("an_ipv6_address_works_at_once_though_somebody_answers_for_it", addresses::no_duplicates),
    ("an_address_of_ours_is_never_the_source_of_our_connections", addresses::no_source),
    ("a_neighbour_reaches_an_address_and_hears_of_its_end", connections::reached),
    ("an_address_that_may_be_a_source_is_one", addresses::a_source),
    ("a_running_out_primary_leaves_the_others", addresses::promoted),
    ("a_setting_that_cannot_be_set_is_named_with_the_remedy", addresses::read_only),
    ("which_interface_answers_for_an_address_is_known", addresses::answering),
    ("without_power_the_remedy_is_named", addresses::without_power),
    ("a_removal_by_somebody_else_is_an_event", links::removed_by_another),
    ("a_link_that_goes_down_keeps_ipv4_and_drops_ipv6", links::down),
    ("a_pulled_cable_a_new_name_and_the_end_of_an_interface_are_events", links::changes),
    ("events_that_were_lost_are_said_to_be", links::lost),
    ("events_can_be_awaited", links::awaited),
    ("links_are_listed_with_their_addresses", links::listed),
    ("neighbours_are_sampled", links::neighbours),
    ("connections_of_an_address_are_reset_at_once_and_others_stay", connections::reset),
    ("connections_that_are_too_many_hold_nobody_up", connections::too_many),
    ("listeners_stay", connections::listeners),
    ("the_death_of_the_parent_takes_its_addresses_in_time", guardian::killed),
    ("the_death_of_the_parent_resets_connections_and_runs_programs", programs::programs),
    ("a_program_that_hangs_is_ended", programs::hanging_program),
    ("programs_of_a_set_run_in_turn_with_no_environment_but_their_own", programs::in_turn),
    ("programs_of_different_sets_run_beside_each_other", programs::beside),
    ("what_the_parent_runs_itself_for_a_set_is_waited_for_while_it_may_last", programs::behind),
    ("a_program_may_obey_at_its_limit_and_is_killed_a_second_later", programs::at_the_limit),
    ("the_last_word_is_said_beside_another_program_of_the_machine", guardian::farewell),
    ("the_last_word_is_not_said_while_what_was_let_go_is_there", guardian::no_farewell),
    ("a_parent_that_hangs_is_fenced_and_told_when_it_wakes", guardian::fenced),
    ("a_word_of_a_fencing_that_comes_late_is_not_another", guardian::late_fencing),
    ("a_fenced_parent_hears_when_the_programs_have_ended_and_how", programs::stopped),
    ("programs_of_what_was_told_after_a_fencing_are_run_with_it", programs::told_late),
    ("what_a_fenced_parent_renews_is_deleted_again", guardian::renewed_while_fenced),
    ("a_guardian_that_was_away_itself_does_not_blame_its_parent", guardian::away_itself),
    ("an_orderly_end_leaves_what_the_parent_wants", guardian::orderly_end),
    ("what_was_let_go_is_not_taken", guardian::let_go),
    ("what_the_next_image_does_not_hold_is_forgotten", guardian::only),
    ("what_the_next_image_does_not_take_over_is_taken_away_with_its_programs", guardian::all_but),
    ("the_next_image_may_have_its_guardian_wait_longer", guardian::suspects_later),
    ("a_guardian_that_dies_is_noticed_and_another_takes_over", guardian::killed_itself),
    ("a_guardian_that_does_not_read_is_replaced", guardian::stuck),
    ("a_guardian_outlives_the_signals_that_end_its_parent", guardian::signals),
    ("a_guardian_keeps_still_while_the_parent_hands_over", guardian::hand_over),
    ("a_hand_over_that_nobody_takes_ends_in_time", guardian::hand_over_to_nobody),
    ("the_death_of_the_parent_in_a_hand_over_is_one_like_any_other", guardian::death_in_hand_over),
    ("a_guardian_that_a_newer_run_does_not_wait_for_does_nothing", guardian::left_to_next),
    ("what_is_too_much_for_a_guardian_is_refused", guardian::too_much),
];

fn main() -> ExitCode {
    lab::init();
    ::addresses::guardian::init();
    guardian::parent_if_asked();
    if let Some(name) = std::env::var_os(stage::CASE) {
        let case = CASES.iter().find(|(known, _)| *known == name);
        case.unwrap_or_else(|| panic!("no case {}", name.display())).1();
        return ExitCode::SUCCESS;
    }
    let needs = if Arguments::from_args().exact { Ok(()) } else { needs() };
    let trials = CASES.iter().map(|(name, _)| {
        trial(name, &needs, move || {
            stage::play(name);
            Ok(())
        })
    });
    trial::run_in_turn(trials.collect())
}

fn needs() -> trial::Needs {
    Lab::start(LabConfig { machines: 1, ..LabConfig::default() }).map_err(|why| why.to_string())?;
    let ip = std::process::Command::new("ip").arg("-V").output();
    ip.map(|_| ()).map_err(|why| format!("the program ip (iproute2): {why}"))
}

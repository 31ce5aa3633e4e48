//! Hooks with real processes.

// A failed unwrap in a test is a failed test with its line.
#![allow(clippy::unwrap_used)]

mod deaths;
mod limits;
mod modules;
mod order;
mod postgresql;
mod programs;
mod support;

use std::process::ExitCode;

use testkit::trial::{self, Needs, Trial};

type Case = (&'static str, fn());

const PROGRAMS: &[Case] = &[
    ("a_hook_gets_our_variables_and_nothing_else_of_our_environment", programs::environment),
    ("a_hook_reads_the_whole_document_from_standard_input", programs::document),
    ("a_hook_that_reads_nothing_does_no_harm", programs::reads_nothing),
    ("a_hook_inherits_no_descriptor_not_even_an_unmarked_one", programs::descriptors),
    ("what_a_hook_says_on_both_streams_is_kept_in_order", programs::said),
    ("exit_status_and_signal_are_told", programs::endings),
    ("a_program_that_does_not_exist_is_named", programs::missing),
    ("arguments_reach_the_program_without_a_shell", programs::arguments),
    ("a_server_left_in_the_background_does_not_hold_the_hook_up", programs::background),
    ("a_hook_for_named_sets_runs_for_no_other", programs::named_sets),
];

const ORDER: &[Case] = &[
    ("hooks_of_one_set_run_one_after_the_other", order::one_set),
    ("different_sets_run_beside_each_other", order::beside),
    ("a_round_is_told_after_its_sets", order::round),
    ("a_flapping_set_drops_old_calls_and_runs_the_newest", order::flapping),
    ("the_loop_is_never_held_up", order::never_held_up),
];

const LIMITS: &[Case] = &[
    ("a_hook_that_hangs_is_ended_with_its_children_and_the_next_one_runs", limits::hangs),
    ("a_hook_that_ignores_sigterm_gets_sigkill_a_second_later", limits::ignores_term),
    ("a_hook_may_clean_up_at_sigterm", limits::cleans_up),
    ("a_hook_that_never_stops_talking_is_ended_all_the_same", limits::talks),
    ("the_end_of_the_service_waits_then_kills_what_stops_nothing", limits::finish),
    ("the_end_of_the_service_lets_queued_hooks_run", limits::finish_runs_what_waits),
];

const DEATHS: &[Case] = &[
    ("on_up_dies_with_the_service", deaths::on_up_dies),
    ("on_down_goes_on_after_the_death_of_the_service_even_if_it_talks", deaths::on_down_goes_on),
    ("on_down_without_a_service_is_ended_by_its_alarm", deaths::alarm),
];

const MODULES: &[Case] = &[
    ("a_function_gets_head_set_and_owner_as_the_original_passed_them", modules::values),
    ("a_module_is_found_with_so_appended_and_may_return_nothing", modules::old_style),
    ("a_module_that_crashes_harms_nobody", modules::crashes),
    ("a_module_that_hangs_is_killed", modules::hangs),
    ("a_module_that_is_not_there_is_named", modules::missing),
    ("a_function_that_is_not_there_is_named", modules::missing_function),
    ("after_a_round_all_arguments_are_zero", modules::round),
    ("a_set_without_ipv4_calls_no_module", modules::ipv6_only),
    ("the_guardian_can_call_a_function_too", modules::by_guardian),
];

const POSTGRESQL: &[Case] =
    &[("the_example_keeps_one_primary_through_moves_and_a_crash", postgresql::one_primary)];

fn main() -> ExitCode {
    addresses::hooks::init();
    deaths::victim_if_asked();
    let always = [PROGRAMS, ORDER, LIMITS, DEATHS].concat();
    let mut trials = trials(&always, &Ok(()));
    trials.extend(self::trials(MODULES, &modules::compiler()));
    trials.extend(self::trials(POSTGRESQL, &postgresql::servers()));
    trial::run(trials)
}

fn trials(cases: &[Case], needs: &Needs) -> Vec<Trial> {
    let each = |&(name, run): &Case| {
        trial::trial(name, needs, move || {
            run();
            Ok(())
        })
    };
    cases.iter().map(each).collect()
}

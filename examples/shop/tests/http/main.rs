//! The shop as its users meet it: the program itself, started on an empty directory and asked over HTTP.
//!
//! One list of behaviours, and every engine and isolation has them all. What concerns one engine only stands beside it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod durability;
mod home;
mod isolation;
mod lifecycle;
mod limits;
mod postgres;
mod refusals;
mod routes;
mod signup;
mod startup;
mod support;

macro_rules! on_every_engine {
    ($($subject:ident { $($test:ident,)+ })+) => {
        on_every_engine!(@ sqlite, Sqlite, $($subject { $($test,)+ })+);
        on_every_engine!(@ postgres_row, PostgresRow, $($subject { $($test,)+ })+);
        on_every_engine!(@ postgres_schema, PostgresSchema, $($subject { $($test,)+ })+);
        on_every_engine!(@ postgres_database, PostgresDatabase, $($subject { $($test,)+ })+);
    };
    (@ $module:ident, $engine:ident, $($subject:ident { $($test:ident,)+ })+) => {
        mod $module {
            $($(
                #[test]
                fn $test() {
                    crate::$subject::$test(crate::home::Engine::$engine);
                }
            )+)+
        }
    };
}

// A test that is missing here is a function that nobody calls, and the compiler says so.
on_every_engine! {
    routes {
        the_same_request_of_two_tenants_has_two_answers,
        every_address_is_reached_by_path_host_header_and_token,
        what_is_created_is_read_back_by_every_way,
        writing_works_by_every_way_too,
        prices_are_shown_as_exact_decimal_numbers,
        signals_that_agree_are_fine,
        a_base_domain_of_the_operator_takes_the_place_of_localhost,
        health_is_asked_without_a_tenant,
    }
    accounts {
        a_person_who_signs_in_sees_the_orders_of_the_own_organisation_with_exact_totals,
        an_order_is_priced_as_soon_as_it_is_there,
        whoever_does_not_sign_in_is_told_how,
        an_organisation_that_differs_from_any_other_signal_is_refused,
    }
    refusals {
        a_request_of_nobody_and_of_two_tenants_is_refused,
        a_token_that_is_not_good_is_refused_whatever_else_the_request_says,
        an_address_or_a_method_that_is_none_is_a_problem_too,
        a_bad_body_is_422_and_writes_nothing,
        a_body_that_is_too_large_is_refused_and_one_that_is_no_utf8_too,
        a_username_is_taken_within_its_tenant_only,
        no_answer_repeats_what_a_stranger_sent,
    }
    limits {
        a_client_that_sends_its_headers_or_its_body_slowly_is_not_waited_for,
        a_body_that_is_too_large_is_refused_with_and_without_its_length,
        a_handler_that_takes_too_long_is_stopped_and_leaves_nothing,
    }
    signup {
        whoever_signs_up_is_served_at_once_by_every_way,
        a_key_that_is_none_is_refused,
        of_many_who_sign_up_under_one_key_at_once_one_gets_it,
        many_who_sign_up_at_once_are_all_served,
    }
    isolation {
        no_answer_holds_a_row_of_another_tenant_while_clients_come_and_go,
    }
    durability {
        no_acknowledged_write_is_lost_when_the_program_is_killed,
        several_programs_on_one_installation_lose_and_double_nothing,
    }
    lifecycle {
        a_purge_is_final_for_three_processes_that_write,
        the_banner_is_six_lines_at_most_and_its_commands_work,
        secrets_are_for_the_owner_of_the_directory_only,
        a_restart_keeps_everything_and_makes_no_demo_a_second_time,
        what_was_acknowledged_is_there_after_kill_9,
        without_a_demo_nobody_is_there_and_none_is_made_where_others_live,
        a_request_that_had_begun_is_served_to_its_end_and_the_program_ends_with_0,
        a_client_that_never_ends_its_request_does_not_keep_the_program,
        what_an_operator_did_to_the_demo_is_not_undone_by_a_restart,
        the_operators_program_finds_the_same_installation,
    }
    startup {
        a_first_start_that_was_killed_is_ended_by_the_next,
        two_first_starts_at_once_make_one_installation,
        a_signal_during_the_start_ends_it_with_0,
        settings_are_taken_from_the_environment_too,
    }
}

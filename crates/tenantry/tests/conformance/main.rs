//! What every engine and isolation has to do, as one list. A new engine is one line at the end, and passes it as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "a behaviour is public in the list")]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod isolation;
mod orm;
mod statements;
mod suspension;
mod transactions;

/// One behaviour as a test of the engine in whose module it stands.
macro_rules! behaviours {
    ($kind:ident, $change:expr; $($module:ident: $($behaviour:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                use crate::support::{Installation, Kind, TENANT};
                let place = Installation::on_with(Kind::$kind, $change, TENANT).await;
                crate::$module::$behaviour(place).await;
            }
        )+)+
    };
}

/// The list.
macro_rules! conformance {
    ($engine:ident: $kind:ident, $change:expr) => {
        mod $engine {
            behaviours! {
                $kind, $change;
                isolation:
                    a_tenant_reads_and_writes_its_own_rows_only,
                    a_unique_value_of_a_neighbour_is_free,
                    an_upsert_meets_rows_of_its_own_tenant_only,
                    a_reference_to_a_neighbours_row_is_a_missing_reference,
                    a_spawned_task_keeps_the_tenant_of_its_handle,
                    nested_work_on_two_tenants_never_mixes,
                    many_tenants_on_few_connections_never_meet,
                    shared_tables_are_read_by_all_and_written_by_none_of_the_tenants,
                    an_app_cannot_change_the_schema,
                    the_client_text_of_an_error_names_no_value_and_no_table,
                    a_broken_rule_is_named_by_its_constraint_or_its_columns,
                    a_typed_view_of_another_engine_is_a_mistake_of_the_app,
                    each_visits_every_served_tenant_once,
                    what_a_new_tenant_opened_stays_open_when_others_hear_of_the_tenant,
                    a_place_that_has_vanished_is_an_error_and_never_another_table;
                statements:
                    a_write_is_durable_when_it_is_answered,
                    a_returning_write_whose_commit_fails_is_not_answered_with_a_row,
                    several_statements_in_one_text_are_one_transaction,
                    a_stream_gives_all_rows_and_a_dropped_one_rolls_back,
                    a_transaction_cannot_be_steered_by_text,
                    a_prepared_statement_follows_a_migration,
                    a_failed_statement_leaves_the_next_borrower_alone,
                    values_of_every_kind_come_back_as_they_went,
                    a_value_that_the_engine_cannot_store_is_an_error_of_its_statement,
                    a_statement_past_its_limit_is_stopped;
                transactions:
                    a_commit_keeps_and_a_rollback_or_a_drop_does_not,
                    a_transaction_in_which_something_failed_is_not_committed,
                    a_failure_behind_a_savepoint_is_forgiven_when_that_is_rolled_back,
                    a_dropped_savepoint_rolls_back_before_the_next_statement,
                    a_commit_under_an_open_savepoint_is_refused,
                    a_read_transaction_sees_one_snapshot,
                    a_read_transaction_writes_nothing_and_the_next_one_may,
                    a_dropped_stream_of_reads_does_not_fail_the_transaction,
                    a_savepoint_for_a_caller_who_went_away_is_taken_for_no_other,
                    a_transaction_that_the_database_ended_unseen_stores_nothing_more,
                    a_suspended_tenants_open_transaction_goes_no_further,
                    random_nesting_ends_as_the_model_says;
                suspension:
                    a_write_that_waits_is_stopped_when_its_tenant_is_suspended,
                    a_transaction_that_waits_is_stopped_when_its_tenant_is_suspended,
                    a_write_that_nobody_waits_for_is_stopped_when_its_tenant_is_suspended,
                    a_long_read_is_stopped_when_its_tenant_is_suspended_here,
                    a_commit_that_waits_is_stopped_when_its_tenant_is_suspended,
                    a_suspension_never_hits_another_tenant_on_the_same_connections;
                orm:
                    entities_work_on_a_handle_and_in_a_transaction,
                    a_closure_transaction_commits_or_rolls_back,
                    a_stream_of_models_gives_all_rows;
            }
        }
    };
}

conformance!(sqlite_database: SqliteDatabase, |config| config);
conformance!(postgres_row: PostgresRow, |config| config);
conformance!(postgres_schema: PostgresSchema, |config| config);
conformance!(postgres_database: PostgresDatabase, |config| config);
// In a database of its own a tenant's statements take no wire anyway.
conformance!(postgres_row_without_wire: PostgresRow, crate::support::without_wire);
conformance!(postgres_schema_without_wire: PostgresSchema, crate::support::without_wire);

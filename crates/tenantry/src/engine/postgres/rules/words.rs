//! Names of functions and views that nothing in a schema may use: by them a tenant would change what outlives its statement,
//! look at what others do, or run a text that nobody has read.

/// The server's own functions: settings, the seed of random(), notifications, locks of the session, what sequences gave last,
/// what others do, what runs a text or reads a table whose name it is given, large objects. Each in full, because the server
/// looks them up by its index.
const FUNCTIONS: &str = "currval cursor_to_xml cursor_to_xmlschema database_to_xml \
    database_to_xml_and_xmlschema database_to_xmlschema pg_available_wal_summaries pg_control_checkpoint pg_current_wal_flush_lsn \
    pg_current_wal_insert_lsn pg_current_wal_lsn pg_get_multixact_members pg_get_replication_slots pg_get_wal_summarizer_state \
    pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_logical_emit_message pg_wal_summary_contents mxid_age pg_column_toast_chunk_id pg_database_size pg_indexes_size pg_relation_size \
    pg_table_size pg_tablespace_size pg_total_relation_size lastval lo_close lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_lseek \
    lo_lseek64 lo_open \
    lo_put lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite pg_advisory_lock \
    pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared pg_blocking_pids \
    pg_cancel_backend pg_cursor pg_export_snapshot pg_listening_channels pg_lock_status pg_notify \
    pg_prepared_statement pg_prepared_xact pg_reload_conf pg_safe_snapshot_blocking_pids pg_sequence_last_value \
    pg_terminate_backend \
    pg_try_advisory_lock pg_try_advisory_lock_shared query_to_xml query_to_xml_and_xmlschema query_to_xmlschema \
    schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema set_config setseed setval table_to_xml \
    table_to_xml_and_xmlschema table_to_xmlschema ts_rewrite ts_stat";

/// How the names of such functions begin, extensions' and those of other versions too. Names in full are beginnings as well.
const BEGINNINGS: &str = "brin_desummarize_ brin_summarize_ connectby crosstab dblink gin_clean_pending_list lo_ pg_advisory_unlock \
    pg_clear_ pg_create_ pg_drop_ pg_isolation_test_ pg_logical_ pg_ls_ pg_read_ pg_replication_ pg_restore_ pg_stat_get_ \
    pg_stat_statements postgres_fdw_disconnect set_limit xpath_table";

/// The server's own views and tables, and what is counted for all in them.
const RELATIONS: &str = "datminmxid pg_backend_memory_contexts pg_cursors pg_largeobject pg_largeobject_metadata pg_locks pg_prepared_statements \
    pg_prepared_xacts pg_replication_slots pg_sequences pg_settings relminmxid";

/// How the names of others begin: what is counted, and what the planner knows, is that of all tenants' rows.
const RELATION_BEGINNINGS: &str = "pg_stat";

fn has(names: &str, beginnings: &str, name: &str) -> bool {
    names.split_whitespace().any(|known| known == name)
        || beginnings.split_whitespace().any(|beginning| name.starts_with(beginning))
}

pub(super) fn is_function(name: &str) -> bool {
    has(FUNCTIONS, BEGINNINGS, name)
}

/// Whether `(x).name` would call one. Many columns are named `lo_...`.
pub(super) fn is_attribute(name: &str) -> bool {
    has(FUNCTIONS, "", name) || !name.starts_with("lo_") && is_function(name)
}

pub(super) fn is_relation(name: &str) -> bool {
    has(RELATIONS, RELATION_BEGINNINGS, name)
}

fn array(names: &str) -> String {
    format!("{{{}}}", names.split_whitespace().collect::<Vec<_>>().join(","))
}

/// Fills in the names, as arrays.
pub(super) fn rendered(sql: &str) -> String {
    sql.replace("{bad_functions}", &array(FUNCTIONS))
        .replace("{bad_beginnings}", &array(BEGINNINGS))
        .replace("{bad_relations}", &array(RELATIONS))
        .replace("{bad_relation_beginnings}", &array(RELATION_BEGINNINGS))
}

//! Names of the server's functions and views that nothing in a schema may use: by them a tenant would change what outlives
//! its statement, look at what others do, or run a text that nobody has read.

/// Functions; `*` is any rest of a name. Locks that end with the transaction are not among them.
const FUNCTIONS: &[&str] = &[
    // What outlives the call: settings, the seed of random(), notifications, locks, snapshots, connections.
    "set_config",
    "setseed",
    "set_limit",
    "pg_notify",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_unlock*",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_export_snapshot",
    "pg_create_*",
    "pg_drop_*",
    "pg_logical_*",
    "pg_replication_*",
    "pg_reload_conf",
    "postgres_fdw_disconnect*",
    "dblink*",
    // What others do, or what the connection's former user did.
    "currval",
    "lastval",
    "pg_blocking_pids",
    "pg_safe_snapshot_blocking_pids",
    "pg_cancel_backend",
    "pg_terminate_backend",
    "pg_cursor",
    "pg_prepared_statement",
    "pg_prepared_xact",
    "pg_lock_status",
    "pg_listening_channels",
    "pg_sequence_last_value",
    "pg_stat_get_activity",
    "pg_stat_get_backend_*",
    "pg_stat_get_progress_info",
    "pg_stat_get_wal_senders",
    "pg_stat_statements*",
    // What runs a text that it is given, or reads a table whose name it is given; and large objects.
    "*_to_xml",
    "*_to_xmlschema",
    "*_to_xml_and_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "xpath_table",
    "connectby",
    "crosstab*",
    "lo_*",
    "loread",
    "lowrite",
    "pg_read_*",
    "pg_ls_*",
];

/// Tables and views.
const RELATIONS: &[&str] = &[
    "pg_stat_activity",
    "pg_stat_gssapi",
    "pg_stat_ssl",
    "pg_stat_replication",
    "pg_stat_subscription",
    "pg_stat_wal_receiver",
    "pg_stat_progress_*",
    "pg_stat_statements*",
    "pg_backend_memory_contexts",
    "pg_cursors",
    "pg_largeobject*",
    "pg_locks",
    "pg_prepared_statements",
    "pg_prepared_xacts",
    "pg_sequences",
    "pg_settings",
];

fn is_like(name: &str, pattern: &str) -> bool {
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(begin), _) => name.starts_with(begin),
        (_, Some(end)) => name.ends_with(end),
        _ => name == pattern,
    }
}

pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|pattern| is_like(name, pattern))
}

pub(super) fn is_relation(name: &str) -> bool {
    RELATIONS.iter().any(|pattern| is_like(name, pattern))
}

fn regex(patterns: &[&str]) -> String {
    format!("^(?:{})$", patterns.join("|").replace('*', ".*"))
}

/// The same for the server.
pub(super) fn functions() -> String {
    regex(FUNCTIONS)
}

pub(super) fn relations() -> String {
    regex(RELATIONS)
}

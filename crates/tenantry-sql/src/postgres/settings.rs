//! Settings of the server's that decide how statements are planned, which in row isolation no statement may change.
//!
//! When a bitmap scan has too many pages to remember their rows, it checks the conditions of its indexes on each row of a page
//! again, before row security hides those of others: by the time of that a statement would learn what is in them.

/// What a connection of row isolation is opened with.
pub const NO_BITMAPS: (&str, &str) = ("enable_bitmapscan", "off");

/// What a statement may set in row isolation. Everything else may make a plan that was not chosen by what is expected of it; and
/// some messages (`client_min_messages`) tell what is on a page of all tenants' rows.
const FREE: &str = "application_name array_nulls backslash_quote bytea_output check_function_bodies client_encoding \
    constraints datestyle default_text_search_config default_transaction_deferrable \
    default_transaction_isolation default_transaction_read_only escape_string_warning extra_float_digits \
    idle_in_transaction_session_timeout idle_session_timeout intervalstyle lc_messages lc_monetary lc_numeric lc_time \
    lock_timeout names seed statement_timeout synchronous_commit tcp_keepalives_count tcp_keepalives_idle \
    tcp_keepalives_interval tcp_user_timeout time timezone transaction transaction_deferrable transaction_isolation \
    transaction_read_only transaction_timeout xml xmlbinary xmloption";

/// What a function may set besides, by a clause of its own: that ends with the call, and holds for its own statements only.
const FREE_IN_FUNCTIONS: &str = "hash_mem_multiplier work_mem";

fn has(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|free| free == name)
}

/// Whether a statement of a tenant's may not set what has this name, in small letters. A name with a dot is an extension's or
/// the app's own.
pub fn steers_plans(name: &str) -> bool {
    !name.contains('.') && !has(FREE, name)
}

/// What a function may set by a clause, as an array that SQL reads.
pub fn free_in_functions() -> String {
    format!("{{{}}}", FREE.split_whitespace().chain(FREE_IN_FUNCTIONS.split_whitespace()).collect::<Vec<_>>().join(","))
}

//! Names of PostgreSQL's functions and views, as far as they matter for what a text leaves behind.

/// Whether something of that name can change what outlives the transaction, or run SQL that is given to it as a text.
pub(super) fn leaves_traces(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = |list: &'static str| list.split_whitespace();
    words(SESSION).any(|word| word == name) || words(FAMILIES).any(|start| name.starts_with(start)) || runs_sql(&name)
}

/// Whether something of that name can set the seed of `random()`, or run a text that does.
pub(super) fn outlives_reset(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["setseed", "set_config", "pg_settings"].contains(&name.as_str()) || runs_sql(&name)
}

/// Functions that change the session; and the view by which an UPDATE sets a setting.
const SESSION: &str = "set_config pg_settings setseed set_limit loread lowrite postgres_fdw_disconnect \
                       postgres_fdw_disconnect_all";

/// How the names of functions start that take advisory locks, open connections, large objects or slots.
const FAMILIES: &str = "pg_advisory_ pg_try_advisory_ dblink lo_ pg_replication_ pg_create_ pg_copy_ pg_logical_ pg_drop_ \
                        pg_backup_ pg_start_backup pg_stop_backup pg_export_snapshot";

/// Functions that run SQL given as text: it could name anything of the above.
fn runs_sql(name: &str) -> bool {
    ["ts_stat", "ts_rewrite", "xpath_table", "connectby"].contains(&name)
        || name.contains("_to_xml")
        || name.starts_with("crosstab")
}

/// Whether this is a keyword that stands before a parenthesis, or a function of PostgreSQL's that reads only.
pub(super) fn reads_only(name: &str) -> bool {
    [KEYWORDS, AGGREGATES, TEXTS, NUMBERS, TIMES, ARRAYS, DOCUMENTS, OTHERS]
        .iter()
        .any(|list| list.split_whitespace().any(|word| word == name))
}

const KEYWORDS: &str = "all and any array as between bit by case cast char character coalesce collate cross cube decimal \
    distinct else end except exists explain extract fetch filter float from greatest group grouping having ilike in inner \
    intersect interval is join lateral least like limit materialized not nullif numeric offset on only or over overlay \
    partition position precision recursive rollup row rows select sets similar some substring table then time timestamp \
    timestamptz treat trim union using values varbit varchar varying when where window with within";

const AGGREGATES: &str = "array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist \
    dense_rank every first_value json_agg json_object_agg jsonb_agg jsonb_object_agg lag last_value lead max min mode \
    nth_value ntile percent_rank percentile_cont percentile_disc range_agg rank regr_slope row_number stddev stddev_pop \
    stddev_samp string_agg sum var_pop var_samp variance";

const TEXTS: &str = "ascii bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to decode \
    encode format initcap left length lower lpad ltrim md5 normalize octet_length quote_ident quote_literal quote_nullable \
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array \
    regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 similarity \
    split_part starts_with string_to_array string_to_table strpos substr to_hex translate unistr upper word_similarity \
    phraseto_tsquery plainto_tsquery setweight to_tsquery to_tsvector ts_headline ts_rank ts_rank_cd websearch_to_tsquery";

const NUMBERS: &str = "abs acos asin atan atan2 cbrt ceil ceiling cos degrees div exp factorial floor gcd lcm ln log log10 \
    min_scale mod pi power radians random round scale sign sin sqrt tan to_number trim_scale trunc width_bucket";

const TIMES: &str = "age clock_timestamp current_time current_timestamp date_add date_bin date_part date_subtract date_trunc \
    isfinite justify_days justify_hours justify_interval localtime localtimestamp make_date make_interval make_time \
    make_timestamp make_timestamptz now statement_timestamp timezone to_char to_date to_timestamp transaction_timestamp";

const ARRAYS: &str = "array_append array_cat array_dims array_length array_lower array_ndims array_position array_positions \
    array_prepend array_remove array_replace array_to_string array_upper cardinality daterange generate_series \
    generate_subscripts int4range int8range isempty lower_inc lower_inf num_nonnulls num_nulls numrange range_merge \
    tsrange tstzrange unnest upper_inc upper_inf";

const DOCUMENTS: &str = "array_to_json json_array_elements json_array_elements_text json_array_length json_build_array \
    json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object json_object_keys \
    json_populate_record json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof \
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each \
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys \
    jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first \
    jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls \
    jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb";

const OTHERS: &str = "current_database current_schema current_schemas current_setting gen_random_uuid pg_backend_pid \
    pg_column_size pg_sleep pg_typeof to_regclass uuidv4 uuidv7 version";

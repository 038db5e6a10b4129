//! Why each breach is one.

/// Code and reason, in the order of the alphabet.
const REASONS: &[(&str, &str)] = &[
    ("cast_function", "a cast by a function of the app's runs with another's rights where a reference is checked"),
    (
        "child_elsewhere",
        "parent and child of an inheritance or a partition are in different schemas; rights of the child are not asked for",
    ),
    (
        "code_in_cascade",
        "an expression runs as the owner and past row security while a reference acts; it may call only what is IMMUTABLE",
    ),
    ("default_privileges", "default privileges open what is made later to others"),
    (
        "domain_calls",
        "the check of a domain runs wherever a text is read as one, also before anybody has looked; it may call only what is IMMUTABLE",
    ),
    (
        "dynamic_sql",
        "the function runs a text that it is given or puts together, which nobody can read ahead; write the statement itself",
    ),
    ("excess_privilege", "the tenants' role has a right that row security does not limit, or that is not for it"),
    (
        "expression_scope",
        "an expression calls or reads what changes a setting, looks at others or runs a text that it is given",
    ),
    ("extension", "an extension is installed among the tenant's tables; it belongs into `migrations/shared`"),
    ("extension_member", "a function was added to an extension, by which no other check would look at it"),
    (
        "foreign_key_from_shared",
        "a change of a shared table would change rows of every tenant; it needs NO ACTION or RESTRICT",
    ),
    ("foreign_key_match_full", "MATCH FULL cannot hold beside tenant_id, which is never null"),
    (
        "foreign_key_not_led",
        "the foreign key is not led by tenant_id on both sides, so that it accepts a row of another tenant",
    ),
    ("foreign_key_off", "the triggers of the foreign key are switched off"),
    ("foreign_key_on_update", "ON UPDATE SET NULL or SET DEFAULT would change tenant_id; it has no list of columns"),
    ("foreign_key_sets_tenant", "ON DELETE SET NULL or SET DEFAULT would change tenant_id; name the columns"),
    ("foreign_table", "a foreign table reaches another database with its owner's rights"),
    (
        "function_defines",
        "the function changes tables or rights, which its callers may not and a reference's action could; write the statement itself",
    ),
    ("function_locks", "the function locks a table against every tenant"),
    (
        "function_plans",
        "the function changes how statements are planned: some plans check the conditions of a statement on the rows of other tenants",
    ),
    (
        "function_scope",
        "the function's text changes the scope or what outlives the call, looks at others or runs a text that it is given",
    ),
    ("function_search_path", "the function looks for names outside of the tenant's and the shared schema"),
    ("function_setting", "the function changes a setting on which the isolation rests"),
    ("granted_to_others", "somebody else than the tenants' role has a right here"),
    ("immutable_depends", "something that is IMMUTABLE calls it, so it has to be that too"),
    (
        "immutable_reads",
        "the answer of an IMMUTABLE function is folded into a cached plan, which is then used for another tenant",
    ),
    (
        "immutable_unbound",
        "the server parses the body of this IMMUTABLE function anew with each call, so nobody can tell what it reads then",
    ),
    (
        "index_calls",
        "the server runs it as the owner of the table, and it is of no schema that is looked at, or kept as a text that finds the app's functions",
    ),
    (
        "index_computes",
        "the index computes with the values of all tenants, or keeps a summary of them: one value beyond what a number or a page holds \
         would stop everybody's writes, and a statement can notice what is there; make it a btree led by tenant_id, or compare ranges \
         (in an exclusion: a range of times, `int8range(room, room, '[]') WITH &&` for `room WITH =`, and of another type than a number \
         the same of `uuid_hash_extended(room, 0)` or its like)",
    ),
    (
        "index_not_led",
        "the index does not begin with tenant_id, so that what stands before it is searched over the rows of all tenants, which a \
         statement can notice",
    ),
    (
        "index_without_tenant",
        "the index is searched over the rows of all tenants, which a statement can notice; it needs the column tenant_id (in gin and \
         gist by the extensions btree_gin and btree_gist; a gin index that is not partial needs it only where it compares by `=`)",
    ),
    (
        "inheritance",
        "the table inherits without being a partition; a direct read of the child passes the parent's policies by",
    ),
    ("invalid_index", "an index is INVALID: its build failed, and IF NOT EXISTS skips it from then on"),
    ("key_not_led", "the key is not led by tenant_id, so that a tenant could find out or block another's values"),
    ("leakproof_function", "a LEAKPROOF function sees rows before row security has hidden them"),
    ("materialized_view", "a materialized view stores the rows of all tenants, and has no row security"),
    (
        "name_of_server",
        "it has the name of something of the server's, and is called instead of that where its arguments fit better",
    ),
    ("not_validated", "the foreign key is NOT VALID: older rows may refer to nothing, or to another tenant's"),
    (
        "operator_partner",
        "the server calls the operator's NEGATOR or COMMUTATOR in its place, so both functions have to be IMMUTABLE, or neither",
    ),
    ("owner_right", "its owner has not all rights on it any more, without which references and a purge fail"),
    ("policy_altered", "the policy is not as the engine makes it"),
    ("policy_former", "the policy is that of an older version of tenantry, which an app's policy may come before"),
    ("policy_immutable", "the policy calls an IMMUTABLE function, which is folded into a cached plan"),
    (
        "policy_order",
        "the policy's name sorts before `!tenantry`, so that it would be evaluated on the rows of other tenants; rename it",
    ),
    (
        "range_function",
        "an index and ANALYZE call a range's SUBTYPE_DIFF and CANONICAL with the values of all rows; leave them out, or name the server's own",
    ),
    ("reaches_other_schema", "it depends on a schema that is neither the tenant's own nor shared"),
    ("reaches_other_tenant", "the function names the schema of another tenant"),
    ("reads_outside", "it reads another schema with its owner's rights"),
    ("rewrite_rule", "a rewrite rule runs with its owner's rights"),
    ("rls_off", "row security is not enabled and forced"),
    ("role_owns", "a role that is to own nothing owns something; an owner may switch protection off"),
    ("security_definer", "a SECURITY DEFINER routine runs with its owner's rights"),
    (
        "shared_domain",
        "a shared domain, composite or range is in no tenant's own database, and a shared file could look at every tenant's values by it; use the type under it, or one of the tenants' own",
    ),
    (
        "shared_system_columns",
        "tenants may read the server's own columns of the shared table, and `xmax` tells which rows others refer to",
    ),
    (
        "shared_type",
        "tenants' own databases show the tables, enums and functions of the shared schema, and nothing else of it that these could stand on",
    ),
    ("tenant_column", "a tenant table needs `tenant_id uuid NOT NULL DEFAULT tenantry.tenant()`"),
    ("trigger_function", "the trigger's function is outside of the tenant's schema and not safe"),
    (
        "trigger_in_cascade",
        "a trigger BEFORE a change runs as the owner and past row security while a reference acts; it may only look at its row and change it: IF, RETURN, assignments to NEW, and functions that compute",
    ),
    ("trigger_replica", "a trigger that runs for replicas only runs in the purge of a tenant and nowhere else"),
    ("untrusted_language", "only sql and plpgsql can be read; another language may pass the server's rights by"),
    ("used_from_outside", "an object of another schema is built on a tenant table"),
    ("view_not_invoker", "the view runs with its owner's rights; it has to be security_invoker"),
    ("wrong_owner", "it does not belong to the engine's owner role"),
];

/// The code as a constant, with its reason.
pub(super) fn of(code: &str) -> Option<(&'static str, &'static str)> {
    REASONS.binary_search_by(|(known, _)| (*known).cmp(code)).ok().map(|at| REASONS[at])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::postgres::rules::{ANY, EXPRESSIONS, PENDING, ROW, bodies, cascades, immutable};

    /// Every code that the checks in Rust give, and every quoted word that stands where a query gives one: first in a SELECT, in a VALUES row or in a CASE.
    fn codes_in_sql() -> BTreeSet<&'static str> {
        let words = |sql: &'static str| {
            let code = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
            code.flat_map(|line| line.split('\'').skip(1).step_by(2))
        };
        let known: BTreeSet<_> = REASONS.iter().map(|(code, _)| *code).collect();
        let in_sql = [ANY, EXPRESSIONS, ROW, PENDING].into_iter().flat_map(words).filter(|word| known.contains(word));
        in_sql
            .chain(bodies::CODES.iter().copied())
            .chain([immutable::CODE, immutable::UNBOUND])
            .chain(cascades::CODES.iter().copied())
            .collect()
    }

    #[test]
    fn a_code_without_a_reason_is_an_error() {
        let error = crate::engine::postgres::rules::breach_of("unheard_of", String::new(), None, String::new());
        assert!(error.expect_err("it is unknown").to_string().contains("`unheard_of`"));
    }

    #[test]
    fn every_reason_is_one_that_a_query_gives() {
        assert!(REASONS.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(codes_in_sql(), REASONS.iter().map(|(code, _)| *code).collect());
    }
}

//! Places of tenants on PostgreSQL: alike when they are made, whoever is connected, and gone when they are purged, however
//! much is in them.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tenantry::{Isolation, MigrateOptions, NewServer, NewTenant, TenantDb};
use tenantry_testbed::Postgres;

use crate::support::{self, Installation, Kind, TENANT, number, open, run, run_raw, user_add, users};

/// What a tenant has, with its own names taken out.
fn form_of(place: &Installation, db: &TenantDb) -> String {
    let (schema, role, owner) = (place.schema_of(db), place.role_of(db), place.owner_of(db));
    let columns =
        "SELECT c.relname, c.relkind, c.relpersistence, pg_get_userbyid(c.relowner), c.relacl::text, a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = '{schema}'::regnamespace ORDER BY 1, a.attnum;";
    let constraints = "SELECT conrelid::regclass, conname, contype, convalidated, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = '{schema}'::regnamespace ORDER BY 1, 2;";
    let rest = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = '{schema}' ORDER BY 2;
        SELECT nspacl::text, pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = '{schema}';
        SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid::regclass::text LIKE '{schema}.%';";
    let text = format!("{columns}{constraints}{rest}").replace("{schema}", &schema);
    place.sql_at(db, &text).replace(&role, "ROLE").replace(&schema, "SCHEMA").replace(&owner, "OWNER")
}

async fn new_tenants_have_the_same_form_and_sequences_of_their_own(kind: Kind) {
    let place = Installation::on(kind).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let form = form_of(&place, &acme);
    assert!(form.contains("users_id_seq") && form.contains("FOREIGN KEY"), "{form}");
    assert_eq!(form, form_of(&place, &globex), "{kind:?}");
    for _ in 0..5 {
        let name = format!("n{}", number(&acme, "SELECT count(*) FROM users").await.unwrap());
        user_add(&acme, &name).await;
    }
    assert_eq!(user_add(&globex, "gus").await, 1, "{kind:?}: a neighbour's rows move nobody's sequence");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_schemas_and_databases_have_the_same_form_and_sequences_of_their_own() {
    for kind in [Kind::PostgresSchema, Kind::PostgresDatabase] {
        new_tenants_have_the_same_form_and_sequences_of_their_own(kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_databases_are_made_at_once_while_somebody_sits_in_template1() {
    let place = Installation::on(Kind::PostgresDatabase).await;
    let url = place.database.as_ref().unwrap().server().url("template1");
    let sitting = PgConnection::connect(&url).await.unwrap();
    let making: Vec<_> = (0..20)
        .map(|n| {
            let tenancy = place.tenancy.clone();
            let new = NewTenant::new(&format!("t{n}")).unwrap().isolation(Kind::PostgresDatabase.isolation());
            tokio::spawn(async move { tenancy.tenant_create(new).await.map(|t| t.id.to_string()) })
        })
        .collect();
    let mut made = BTreeSet::new();
    for one in making {
        made.insert(one.await.unwrap().unwrap());
    }
    assert_eq!(made.len(), 20);
    sitting.close().await.unwrap();
}

async fn sessions_of(place: &Installation, db: &TenantDb) -> Vec<PgConnection> {
    let url = place.database.as_ref().unwrap().server().url(&place.database_of(db));
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let mut session = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT count(*) FROM tenant.users").execute(&mut session).await.unwrap();
        sessions.push(session);
    }
    sessions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_cuts_off_whoever_is_still_connected_to_the_tenants_database() {
    let place = Installation::on(Kind::PostgresDatabase).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let name = place.database_of(&acme);
    let mut sessions = sessions_of(&place, &acme).await;
    place.tenancy.tenant_delete("acme").await.unwrap();
    let began = Instant::now();
    place.tenancy.tenant_purge("acme").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for session in &mut sessions {
        assert!(sqlx::query("SELECT 1").execute(session).await.is_err());
    }
    let left = format!(
        "SELECT (SELECT count(*) FROM pg_database WHERE datname = '{name}')
                             + (SELECT count(*) FROM pg_roles WHERE rolname = '{name}')"
    );
    assert_eq!(place.database.as_ref().unwrap().sql(&left).unwrap(), "0");
}

/// More than the server has room for locks, if they were dropped at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_with_thousands_of_tables_is_purged() {
    let server = std::sync::Arc::new(
        Postgres::private(&[("max_connections", "30"), ("max_locks_per_transaction", "20")]).unwrap(),
    );
    let database = server.database().unwrap();
    let place = Installation::at(Kind::PostgresSchema, Some(database), |c| c, TENANT, |s| s).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&globex, "gus").await;
    let (schema, owner) = (place.schema_of(&acme), place.owner_of(&acme));
    for _ in 0..50 {
        let text = format!(
            "DO $$ BEGIN FOR n IN 1..50 LOOP
                 EXECUTE 'CREATE TABLE {schema}.x' || replace(gen_random_uuid()::text, '-', '') || ' (id bigint PRIMARY KEY)';
             END LOOP; END $$"
        );
        place.sql_at(&acme, &format!("SET ROLE {owner}; {text}"));
    }
    let whole = place.database.as_ref().unwrap().sql(&format!("DROP SCHEMA {schema} CASCADE"));
    assert!(whole.unwrap_err().contains("shared memory"), "it takes more than one transaction");
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    let left = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'");
    assert_eq!(place.database.as_ref().unwrap().sql(&left).unwrap(), "0");
    assert_eq!(number(&globex, "SELECT count(*) FROM users").await.unwrap(), 1);
}

/// What the server counts, and what this process holds open.
fn counted(place: &Installation) -> (String, usize) {
    let (mark, sql) = (place.mark(), |text: &str| place.database.as_ref().unwrap().sql(text).unwrap());
    let objects = sql(&format!(
        "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_proc),
            (SELECT count(*) FROM pg_roles WHERE starts_with(rolname, '{mark}')), (SELECT count(*) FROM pg_auth_members m
                JOIN pg_roles r ON r.oid = m.roleid WHERE starts_with(r.rolname, '{mark}')),
            (SELECT count(*) FROM pg_database WHERE starts_with(datname, '{mark}')),
            (SELECT count(*) FROM pg_default_acl), (SELECT count(*) FROM tenantry.migrations WHERE version > 0)"
    ));
    (objects, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_come_and_go_leave_nothing_behind() {
    for (kind, cycles) in
        [(Kind::PostgresRow, (20, 2_000)), (Kind::PostgresSchema, (20, 2_000)), (Kind::PostgresDatabase, (6, 500))]
    {
        let place = Installation::on(kind).await;
        let mut base = None;
        for n in 0..=support::soak(cycles.0, cycles.1) {
            let db = place.tenant(&format!("t{n}")).await;
            user_add(&db, "ann").await;
            drop(db);
            place.tenancy.tenant_delete(&format!("t{n}")).await.unwrap();
            place.tenancy.tenant_purge(&format!("t{n}")).await.unwrap();
            // The first one makes what all have in common.
            if n == 0 {
                base = Some(counted(&place));
            }
        }
        let (objects, files) = counted(&place);
        let (base, held) = base.unwrap();
        assert_eq!(objects, base, "{kind:?}");
        assert!(files <= held + 8, "{kind:?}: {files} open files, {held} before");
    }
}

/// What has more than fits into a length of the protocol is refused before it is sent, and the next one is served.
async fn what_is_too_large_is_an_error_and_the_next_statement_is_served(kind: Kind) {
    let place = Installation::on(kind).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&globex, "gus").await;
    let numbers = (1..=70_000).map(|n| format!("(${n}::bigint)")).collect::<Vec<_>>().join(",");
    let text = format!("SELECT count(*) FROM (VALUES {numbers}) v");
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
    for n in 0..70_000_i64 {
        query = query.bind(n);
    }
    assert!(query.execute(acme.postgres().unwrap()).await.is_err(), "more parameters than can be counted");
    assert_eq!(number(&acme, "SELECT count(*) FROM users").await.unwrap(), 0);
    // As long as would read as a short one that is followed by messages of the sender's choosing.
    let huge = "x".repeat((1 << 30) + 16);
    let stored = sqlx::query("INSERT INTO notes (text) VALUES ($1)").bind(huge);
    assert!(stored.execute(acme.postgres().unwrap()).await.is_err());
    assert_eq!(number(&acme, "SELECT count(*) FROM notes").await.unwrap(), 0);
    assert_eq!(number(&globex, "SELECT count(*) FROM users").await.unwrap(), 1);
    run(&acme, "INSERT INTO notes (text) VALUES ('short')").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_or_a_list_that_is_too_large_is_an_error_and_the_next_statement_is_served() {
    for kind in [Kind::PostgresSchema, Kind::PostgresDatabase] {
        what_is_too_large_is_an_error_and_the_next_statement_is_served(kind).await;
    }
}

/// In a database of its own a tenant's SQL may do whatever its login may, and any login may change its password.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_has_changed_the_password_of_its_login_is_served() {
    let server = Postgres::private(&[]).unwrap();
    server.sql("postgres", "CREATE DATABASE app").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tenancy = open(dir.path().into(), |config| config, TENANT).await.open().await.unwrap();
    tenancy.server_add(NewServer::new("main", server.tcp_url("app"))).await.unwrap();
    tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    tenancy.tenant_create(NewTenant::new("acme").unwrap().isolation(Isolation::Database)).await.unwrap();
    let acme = tenancy.tenant("acme").await.unwrap();
    user_add(&acme, "ann").await;
    let change = "DO $$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD ''known''', current_user); END $$";
    run_raw(&acme, change).await.unwrap();
    let other = open(dir.path().into(), |config| config, TENANT).await.open().await.unwrap();
    assert_eq!(users(&other.tenant("acme").await.unwrap()).await, ["ann"]);
}

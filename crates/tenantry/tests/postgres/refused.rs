//! Files of migrations on PostgreSQL that would open the wall between tenants: each is refused, whatever its spelling.

use tenantry::{MigrateOptions, Migrations};

use crate::support::{Installation, Kind, SHARED, TENANT, open, user_add, users};

/// In files of tenants' tables: what it is, the file, a part of the error.
const OF_TENANTS: &[(&str, &str)] = &[
    (
        "CREATE FUNCTION names_of(ids bigint[]) RETURNS text LANGUAGE sql IMMUTABLE AS
           $$ SELECT string_agg(p.username, ',') FROM unnest(ids) u(id), users p WHERE p.id = u.id $$",
        "IMMUTABLE",
    ),
    (
        "CREATE FUNCTION n() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM (/* x */ users CROSS JOIN items)';
         ALTER FUNCTION n() IMMUTABLE",
        "IMMUTABLE",
    ),
    (
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET TIME ZONE 'Asia/Tokyo'; END $$",
        "SET without LOCAL",
    ),
    (
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'",
        "SET without LOCAL",
    ),
    ("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET app.v2x = 'a'; END $$", "SET without LOCAL"),
    ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SELECT setseed(0.1)'", "setseed"),
    ("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT lastval()'", "lastval"),
    (
        "CREATE FUNCTION f() RETURNS SETOF text LANGUAGE sql AS
           'SELECT query FROM pg_stat_activity WHERE usename = session_user'",
        "pg_stat_activity",
    ),
    ("CREATE AGGREGATE pick(text, boolean) (SFUNC = pg_catalog.set_config, STYPE = text)", "set_config"),
    ("CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE t; END $$", "EXECUTE"),
    // Taken back silently in one isolation and refused in another, a file would be applied to a part of the fleet.
    ("GRANT SELECT ON users TO PUBLIC", "SELECT to PUBLIC"),
    ("GRANT UPDATE (username) ON users TO PUBLIC", "UPDATE to PUBLIC"),
    ("DO $$ BEGIN EXECUTE 'GRANT TRIGGER ON users TO PUBLIC'; END $$", "TRIGGER to PUBLIC"),
];

/// In files of the shared tables.
const OF_SHARED: &[(&str, &str)] = &[
    ("GRANT INSERT ON plans TO PUBLIC", "INSERT to PUBLIC"),
    (
        "SET LOCAL check_function_bodies = off;
         CREATE FUNCTION n() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(*) FROM users'",
        "IMMUTABLE",
    ),
    ("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RESET timezone; END $$", "RESET"),
    ("CREATE AGGREGATE pick(text, boolean) (SFUNC = pg_catalog.set_config, STYPE = text)", "set_config"),
];

/// What is said of the next release of the app, with a file more.
async fn error_of(place: &Installation, tenant: Option<&str>, shared: Option<&str>) -> String {
    let more = |file: Option<&'static str>| file.map(|sql| ("0002_next.sql", sql));
    let (tenant, shared) = (tenant.map(leaked), shared.map(leaked));
    let migrations =
        Migrations::embedded(TENANT.iter().copied().chain(more(tenant)), SHARED.iter().copied().chain(more(shared)));
    let opened = open(place.dir.path().into(), |config| config, TENANT).await.migrations(migrations.unwrap());
    let report = opened.open().await.unwrap().migrations().up(&MigrateOptions::new(), |_| ()).await;
    match report {
        Ok(report) => report.targets.iter().filter_map(|target| Some(target.error.as_ref()?.to_string())).collect(),
        Err(error) => error.to_string(),
    }
}

fn leaked(text: &str) -> &'static str {
    text.to_owned().leak()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_open_the_wall_are_refused_on_postgres_in_rows_and_schemas() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let place = Installation::on(kind).await;
        let acme = place.tenant("acme").await;
        user_add(&acme, "ann").await;
        for (file, expected) in OF_TENANTS {
            let error = error_of(&place, Some(file), None).await;
            assert!(error.contains(expected) && error.contains("0002_next.sql"), "{kind:?}: {file}: {error}");
        }
        for deed in ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE"] {
            let file = format!("ALTER TABLE users ADD COLUMN plan bigint REFERENCES shared.plans (id) {deed}");
            let error = error_of(&place, Some(&file), None).await;
            assert!(error.contains("shared table") && error.contains("0002_next.sql"), "{kind:?}: {file}: {error}");
        }
        for (file, expected) in OF_SHARED {
            let error = error_of(&place, None, Some(file)).await;
            assert!(error.contains(expected) && error.contains("0002_next.sql"), "{kind:?}: {file}: {error}");
        }
        assert_eq!(users(&acme).await, ["ann"], "{kind:?}: nothing has changed");
    }
}

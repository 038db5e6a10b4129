//! Migrations on PostgreSQL: what makes tables safe comes with every file, and what no wall would hold is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use support::{Installation, Kind, SHARED, TENANT, open, user_add, users};
use tenantry::{FleetReport, MigrateOptions, Migrations, Tenantry};

const KINDS: [Kind; 3] = [Kind::PostgresRow, Kind::PostgresSchema, Kind::PostgresDatabase];

type Files<'a> = &'a [(&'a str, &'a str)];

/// The installation as the next release of the app opens it.
async fn release(place: &Installation, tenant: Files<'_>, shared: Files<'_>) -> Tenantry {
    let tenant = TENANT.iter().chain(tenant).copied();
    let migrations = Migrations::embedded(tenant, SHARED.iter().chain(shared).copied()).unwrap();
    open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap()
}

async fn up(tenancy: &Tenantry) -> FleetReport {
    tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap()
}

async fn up_fails(place: &Installation, file: &str) -> String {
    let next = release(place, &[("0002_next.sql", file)], &[]).await;
    let report = up(&next).await;
    assert!(report.failed > 0, "{file}: {report:?}");
    report.targets.iter().find_map(|t| t.error.clone()).unwrap()
}

const BARE: &str = "\n-- a table without a tenant\nCREATE TABLE bare (\n    id bigint PRIMARY KEY\n);";

#[tokio::test(flavor = "multi_thread")]
async fn in_row_isolation_postgres_refuses_what_no_wall_would_hold_and_says_where() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    for (file, expected) in [
        (BARE, ["0002_next.sql:3", "tenant_id uuid NOT NULL"]),
        ("CREATE MATERIALIZED VIEW stored AS SELECT * FROM users", ["0002_next.sql:1", "materialized"]),
        ("\n\nCREATE VIEW seen AS SELECT * FROM users", ["0002_next.sql:3", "security_invoker"]),
        ("CREATE UNIQUE INDEX by_name ON users (username)", ["0002_next.sql:1", "tenant_id"]),
        ("INSERT INTO users (username) VALUES ('x')", ["0002_next.sql:1", ".data.sql"]),
        ("CREATE EXTENSION citext", ["0002_next.sql:1", "migrations/shared"]),
        ("SELECT 1;\nSET ROLE admin", ["0002_next.sql:2", "`SET`"]),
        ("CREATE TABL x ()", ["0002_next.sql:1", "syntax error"]),
    ] {
        let next = release(&place, &[("0002_next.sql", file)], &[]).await;
        let report = up(&next).await;
        let error = report.targets.iter().find_map(|t| t.error.clone()).unwrap_or_default();
        let helped = format!("{error} {}", help_of(&next).await);
        for part in expected {
            assert!(helped.contains(part), "{file}\n{helped}");
        }
    }
    let left = place
        .database
        .as_ref()
        .unwrap()
        .sql("SELECT count(*) FROM pg_class WHERE relname IN ('bare', 'stored', 'seen')");
    assert_eq!(left.unwrap(), "0", "what was refused was rolled back");
    assert_eq!(users(&acme).await, ["ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_database_is_gone_is_one_that_failed_and_stops_no_other() {
    let place = Installation::on(Kind::PostgresDatabase).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let physical = format!("t_{}", acme.tenant().id.as_uuid().as_simple());
    let database = place.database.as_ref().unwrap();
    let name = database.sql(&format!("SELECT datname FROM pg_database WHERE datname LIKE '%{physical}'")).unwrap();
    database.sql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)")).unwrap();
    let next = release(&place, &[("0002_tags.sql", "CREATE TABLE tags (id bigint)")], &[]).await;
    let plan = next.migrations().plan(&MigrateOptions::new()).await.unwrap();
    let errors: Vec<_> = plan.iter().filter(|t| t.error.is_some()).map(|t| t.target.as_str()).collect();
    assert_eq!(errors, ["acme"]);
    let report = up(&next).await;
    assert_eq!(report.failed, 1, "{report:?}");
    sqlx::query("SELECT FROM tags").execute(globex.postgres().unwrap()).await.unwrap();
    let failures = next.migration_failures().await.unwrap();
    let (tenant, why) = &failures[0];
    assert!(tenant.key.as_str() == "acme" && why.contains(&name) && why.contains("is gone"), "{failures:?}");
    assert!(next.migrations().verify().await.unwrap().iter().any(|why| why.contains("is gone")));
    assert!(next.migrations().stamp(2, &MigrateOptions::new()).await.unwrap_err().to_string().contains("is gone"));
}

/// What the operator is told beside the failure itself.
async fn help_of(tenancy: &Tenantry) -> String {
    let failures = tenancy.migration_failures().await.unwrap();
    failures.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_later_file_on_postgres_is_walled_and_usable_at_once() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
        let table = "CREATE TABLE tags (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
            id bigint GENERATED BY DEFAULT AS IDENTITY, name text, PRIMARY KEY (tenant_id, id))";
        let report = up(&release(&place, &[("0002_tags.sql", table)], &[]).await).await;
        assert_eq!(report.failed, 0, "{report:?}");
        for (db, name) in [(&acme, "a"), (&globex, "g")] {
            sqlx::query("INSERT INTO tags (name) VALUES ($1)")
                .bind(name)
                .execute(db.postgres().unwrap())
                .await
                .unwrap();
        }
        let seen: Vec<String> =
            sqlx::query_scalar("SELECT name FROM tags").fetch_all(acme.postgres().unwrap()).await.unwrap();
        assert_eq!(seen, ["a"], "{kind:?}");
    }
}

const SHOUT: (&str, &str) = ("0002_shout.data.sql", "UPDATE users SET username = upper(username)");

#[tokio::test(flavor = "multi_thread")]
async fn a_data_file_on_postgres_runs_once_per_tenant_and_for_tenants_that_come_later() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
        user_add(&acme, "ann").await;
        user_add(&globex, "gus").await;
        let next = release(&place, &[SHOUT], &[]).await;
        assert_eq!(up(&next).await.failed, 0);
        user_add(&acme, "late").await;
        let again = up(&next).await;
        assert_eq!((again.failed, again.targets.len()), (0, 0), "{kind:?}: {again:?}");
        assert_eq!((users(&acme).await, users(&globex).await), (vec!["ANN".into(), "late".into()], vec!["GUS".into()]));
        let new = tenantry::NewTenant::new("newco").unwrap().isolation(kind.isolation());
        next.tenant_create(new).await.unwrap();
        assert_eq!(up(&next).await.targets.len(), 0);
        assert_eq!(next.tenant_find("newco").await.unwrap().version, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_whose_data_does_not_fit_stops_no_other_one_on_postgres() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let mut tenants = Vec::new();
        for n in 0..5 {
            let db = place.tenant(&format!("t{n}")).await;
            user_add(&db, "ann").await;
            tenants.push(db);
        }
        // Both become ANN, which is unique.
        user_add(&tenants[3], "Ann").await;
        let next = release(&place, &[SHOUT], &[]).await;
        let report = up(&next).await;
        let failed: Vec<_> = report.targets.iter().filter(|t| t.error.is_some()).map(|t| t.target.as_str()).collect();
        assert!(
            failed.contains(&"t3") && !failed.iter().any(|t| ["t0", "t1", "t2", "t4"].contains(t)),
            "{kind:?} {failed:?}"
        );
        assert_eq!(users(&tenants[4]).await, ["ANN"]);
        assert_eq!(users(&tenants[3]).await, ["ann", "Ann"]);
        sqlx::query("DELETE FROM users WHERE username = 'Ann'").execute(tenants[3].postgres().unwrap()).await.unwrap();
        let report = next.migrations().up(&MigrateOptions::new().retry_failed(), |_| ()).await.unwrap();
        assert_eq!(report.failed, 0, "{kind:?} {report:?}");
        assert_eq!(users(&tenants[3]).await, ["ANN"]);
        assert!(next.migration_failures().await.unwrap().is_empty());
        for n in 0..5 {
            assert_eq!(next.tenant_find(&format!("t{n}")).await.unwrap().version, 2, "{kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_violated_reference_is_found_by_postgres_although_the_owner_sees_no_rows() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let acme = place.tenant("acme").await;
        let loose = "CREATE TABLE lines (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL,
            item_id bigint, PRIMARY KEY (tenant_id, id))";
        up(&release(&place, &[("0002_lines.sql", loose)], &[]).await).await;
        sqlx::query("INSERT INTO lines (id, item_id) VALUES (1, 99)").execute(acme.postgres().unwrap()).await.unwrap();
        let reference = "ALTER TABLE lines ADD FOREIGN KEY (tenant_id, item_id) REFERENCES items (tenant_id, id)";
        let next = release(&place, &[("0002_lines.sql", loose), ("0003_ref.sql", reference)], &[]).await;
        assert!(up(&next).await.failed > 0, "{kind:?}: the row refers to nothing");
        sqlx::query("DELETE FROM lines").execute(acme.postgres().unwrap()).await.unwrap();
        assert_eq!(up(&next).await.failed, 0, "{kind:?}");
        let late =
            sqlx::query("INSERT INTO lines (id, item_id) VALUES (1, 99)").execute(acme.postgres().unwrap()).await;
        assert!(tenantry::Error::from(late.unwrap_err()).is_missing_reference());
    }
    let place = Installation::on(Kind::PostgresRow).await;
    place.tenant("acme").await;
    let forced = "SELECT count(*) FROM pg_class WHERE relnamespace = 'tenant'::regnamespace AND relkind = 'r'
        AND NOT (relrowsecurity AND relforcerowsecurity)";
    assert_eq!(place.database.as_ref().unwrap().sql(forced).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_whose_concurrent_build_failed_is_built_anew_on_postgres() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let acme = place.tenant("acme").await;
        for price in [5, 5] {
            sqlx::query("INSERT INTO items (description, price) VALUES ('x', $1)")
                .bind(i64::from(price))
                .execute(acme.postgres().unwrap())
                .await
                .unwrap();
        }
        let index =
            "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_price ON items (tenant_id, price)";
        let error = up_fails(&place, index).await;
        assert!(error.contains("0002_next.sql:2"), "{error}");
        sqlx::query("UPDATE items SET price = id").execute(acme.postgres().unwrap()).await.unwrap();
        let next = release(&place, &[("0002_next.sql", index)], &[]).await;
        let report = up(&next).await;
        assert_eq!(report.failed, 0, "{kind:?} {report:?}");
        let twice = sqlx::query("UPDATE items SET price = 7").execute(acme.postgres().unwrap()).await;
        assert!(tenantry::Error::from(twice.unwrap_err()).is_duplicate(), "{kind:?}: the index is valid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_taken_back_on_postgres_runs_in_a_transaction() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let acme = place.tenant("acme").await;
        user_add(&acme, "ann").await;
        for file in [
            "-- no-transaction\nALTER TABLE users NO FORCE ROW LEVEL SECURITY",
            "-- no-transaction\nGRANT SELECT ON users TO PUBLIC",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY a ON users (tenant_id, id); DROP TABLE items",
            "-- no-transaction\nCREATE TABLE bare (concurrently bigint)",
        ] {
            let error = up_fails(&place, file).await;
            assert!(error.contains("0002_next.sql") && error.contains("could not be taken back"), "{kind:?}: {error}");
        }
        assert_eq!(users(&acme).await, ["ann"]);
        // What holds a lock of the session to its end gives it back: others can migrate.
        let next = release(&place, &[("0002_age.sql", "ALTER TABLE users ADD COLUMN age bigint")], &[]).await;
        assert_eq!(up(&next).await.failed, 0, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_shared_tables_and_of_tenants_cannot_change_each_others_on_postgres() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let acme = place.tenant("acme").await;
        user_add(&acme, "ann").await;
        let schema = place.schema_of(&acme);
        for file in [
            format!("ALTER TABLE {schema}.users DISABLE ROW LEVEL SECURITY"),
            format!("DO $$ BEGIN EXECUTE 'DROP TABLE {schema}.users'; END $$"),
        ] {
            let next = release(&place, &[], &[("0002_next.sql", &file)]).await;
            let report = up(&next).await;
            assert!(report.failed > 0, "{kind:?}: {file}");
        }
        for file in
            ["ALTER TABLE shared.plans ADD COLUMN x bigint", "DO $$ BEGIN EXECUTE 'DROP TABLE shared.plans'; END $$"]
        {
            up_fails(&place, file).await;
        }
        assert_eq!(users(&acme).await, ["ann"]);
        let shared = place.tenancy.shared().await.unwrap();
        let plans: i64 =
            sqlx::query_scalar("SELECT count(*) FROM plans").fetch_one(shared.postgres().unwrap()).await.unwrap();
        assert_eq!(plans, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_for_a_long_reader_on_postgres_stalls_nobody_else() {
    let place = Installation::on(Kind::PostgresSchema).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let mut reader = acme.begin_read().await.unwrap();
    sqlx::query("SELECT * FROM users").fetch_all(reader.postgres().unwrap()).await.unwrap();
    let next = release(&place, &[("0002_age.sql", "ALTER TABLE users ADD COLUMN age bigint")], &[]).await;
    let migrating = tokio::spawn(async move { up(&next).await });
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        users(&acme).await;
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "a read took {slowest:?}");
    assert!(!migrating.is_finished(), "it waits for the reader");
    reader.rollback().await.unwrap();
    assert_eq!(migrating.await.unwrap().failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runners_on_postgres_apply_every_file_once() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let place = Installation::on(kind).await;
        for n in 0..4 {
            place.tenant(&format!("t{n}")).await;
        }
        let file = ("0002_age.sql", "ALTER TABLE users ADD COLUMN age bigint");
        let (one, two) = (release(&place, &[file], &[]).await, release(&place, &[file], &[]).await);
        let (first, second) = tokio::join!(up(&one), up(&two));
        assert_eq!((first.failed, second.failed), (0, 0), "{kind:?}: {first:?} {second:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_shared_tables_on_postgres_reaches_tenants_with_a_database_of_their_own() {
    let place = Installation::on(Kind::PostgresDatabase).await;
    let acme = place.tenant("acme").await;
    let shared = place.tenancy.shared().await.unwrap();
    sqlx::query("INSERT INTO plans (name) VALUES ('free')").execute(shared.postgres().unwrap()).await.unwrap();
    let later = [
        ("0002_price.sql", "ALTER TABLE plans ADD COLUMN price bigint NOT NULL DEFAULT 9"),
        ("0003_moods.sql", "CREATE TYPE mood AS ENUM ('calm', 'cross'); CREATE TABLE moods (name text, mood mood)"),
    ];
    assert_eq!(up(&release(&place, &[], &later).await).await.failed, 0);
    let price: i64 = sqlx::query_scalar("SELECT price FROM plans").fetch_one(acme.postgres().unwrap()).await.unwrap();
    assert_eq!(price, 9);
    let moods: i64 = sqlx::query_scalar("SELECT count(*) FROM moods WHERE mood = 'calm'")
        .fetch_one(acme.postgres().unwrap())
        .await
        .unwrap();
    assert_eq!(moods, 0);
    assert!(
        sqlx::query("DELETE FROM plans").execute(acme.postgres().unwrap()).await.is_err(),
        "they are read-only there"
    );
    assert_eq!(up(&release(&place, &[], &later).await).await.targets.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_copied_out_everywhere_and_in_where_postgres_can() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
        user_add(&globex, "gus").await;
        let csv = &b"username\nann\nbob\n"[..];
        let into = "COPY users (username) FROM STDIN (FORMAT csv, HEADER)";
        let copied = acme.postgres().unwrap().copy_in(into, csv).await;
        if kind == Kind::PostgresRow {
            let refused = copied.unwrap_err();
            assert!(refused.is_unsupported() && refused.help_text().unwrap().contains("UNNEST"), "{refused:?}");
            user_add(&acme, "ann").await;
            user_add(&acme, "bob").await;
        } else {
            assert_eq!(copied.unwrap(), 2, "{kind:?}");
            let bad = acme.postgres().unwrap().copy_in(into, &b"username\ncid\nann\n"[..]).await.unwrap_err();
            assert!(bad.is_duplicate(), "{bad:?}");
            let mut tx = acme.begin().await.unwrap();
            assert_eq!(tx.postgres().unwrap().copy_in(into, &b"username\ndan\n"[..]).await.unwrap(), 1);
            tx.rollback().await.unwrap();
        }
        let out = "COPY (SELECT username FROM users ORDER BY id) TO STDOUT";
        let pieces: Vec<_> = acme.postgres().unwrap().copy_out(out).try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"ann\nbob\n", "{kind:?}");
        let whole: Vec<_> = acme.postgres().unwrap().copy_out("COPY users TO STDOUT").try_collect().await.unwrap();
        assert!(!String::from_utf8(whole.concat()).unwrap().contains("gus"));
        for wrong in ["COPY users TO '/tmp/x'", "COPY users FROM STDIN", "SELECT 1"] {
            let tried: Result<Vec<_>, _> = acme.postgres().unwrap().copy_out(wrong).try_collect().await;
            assert!(tried.is_err(), "{wrong}");
        }
        let as_text = sqlx::query("COPY users TO STDOUT").execute(acme.postgres().unwrap()).await.unwrap_err();
        assert!(tenantry::Error::from(as_text).help_text().unwrap().contains("copy_out"));
    }
}

//! What the planner knows of the rows that tenants have in common: none of their values. `ANALYZE` writes them down, and a statement
//! notices by its plan what is written there.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use tenantry::{DoctorOptions, TenantDb};

use crate::support::{Installation, Kind, TENANT, number, run, texts};

const ACCOUNTS: &str = "
    CREATE TABLE accounts (
        tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, token text NOT NULL, balance bigint NOT NULL,
        PRIMARY KEY (tenant_id, id));
    CREATE INDEX ON accounts (tenant_id, lower(token));
    CREATE INDEX ON accounts (tenant_id, balance);
    CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, token text, PRIMARY KEY (tenant_id, id))
        PARTITION BY HASH (tenant_id);
    CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);";

/// A file that asks for statistics in each way that there is, and has them collected at once.
const ASKS: &str = "
    ALTER TABLE accounts ALTER COLUMN token SET STATISTICS 1000, ALTER COLUMN tenant_id SET STATISTICS 1000, ADD COLUMN note text;
    CREATE INDEX uppers ON accounts (tenant_id, upper(token));
    ALTER INDEX uppers ALTER COLUMN 2 SET STATISTICS 500;
    CREATE STATISTICS pairs (mcv, ndistinct) ON token, balance FROM accounts;
    CREATE STATISTICS computed ON (lower(token)) FROM accounts;
    ANALYZE accounts; ANALYZE parts; ANALYZE parts_0;
    ALTER TABLE accounts ALTER COLUMN token SET STATISTICS 0, ALTER COLUMN tenant_id SET STATISTICS 1";

/// Of which columns of the tables in common the server keeps what, apart from the tenants themselves.
const KEPT: &str = "
    SELECT count(*) FROM (
        SELECT starelid::regclass::text, staattnum::text FROM pg_statistic s LEFT JOIN pg_attribute a ON a.attrelid = starelid AND a.attnum = staattnum
         WHERE a.attname <> 'tenant_id' AND (starelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'tenant'::regnamespace))
        UNION ALL SELECT stxoid::text, NULL FROM pg_statistic_ext_data) kept";

async fn a_session_of(place: &Installation, db: &TenantDb) -> PgConnection {
    let mut raw = place.admin_at(db).await;
    let scope = format!(
        "SET SESSION AUTHORIZATION {}; SET tenantry.tenant = '{}'; SET search_path = tenant; SET enable_bitmapscan = off",
        place.role_of(db),
        db.tenant().id
    );
    raw.execute(AssertSqlSafe(scope)).await.unwrap();
    raw
}

/// How the planner means to run a statement, costs and rows included.
async fn plan(session: &mut PgConnection, text: &str) -> String {
    let rows = session.fetch_all(AssertSqlSafe(format!("EXPLAIN {text}"))).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

/// Two tenants, of which the first has many rows with values that nobody else has.
async fn two_tenants() -> (Installation, TenantDb, TenantDb) {
    let files: Vec<_> = TENANT.iter().copied().chain([("0002_accounts.sql", ACCOUNTS)]).collect();
    let place = Installation::on_with(Kind::PostgresRow, |config| config, &files).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    run(&acme, "INSERT INTO accounts (id, token, balance) SELECT n, CASE WHEN n % 2 = 0 THEN 'popular' ELSE 'secret ' || n END, n FROM generate_series(1, 4000) n")
        .await
        .unwrap();
    run(&acme, "INSERT INTO parts (id, token) SELECT n, 'secret' FROM generate_series(1, 500) n").await.unwrap();
    run(&globex, "INSERT INTO accounts (id, token, balance) VALUES (1, 'mine', 1), (2, 'mine too', 2)").await.unwrap();
    (place, acme, globex)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plan_depends_on_a_value_of_another_tenant() {
    let (place, acme, globex) = two_tenants().await;
    drop(place.neighbour_with(&[("0002_accounts.sql", ACCOUNTS), ("0003_asks.sql", ASKS)], &[]).await);
    // As autovacuum does some time later.
    place.sql_at(&acme, "ANALYZE");
    assert_eq!(place.sql_at(&acme, KEPT).trim(), "0");
    let mut session = a_session_of(&place, &globex).await;
    for (theirs, nobodys) in conditions("popular", 1234).iter().zip(&conditions("nowhere", 9234)) {
        for text in [
            "SELECT * FROM accounts a WHERE {}",
            "SELECT * FROM accounts a JOIN accounts b USING (id) WHERE {} ORDER BY b.token",
        ] {
            let plan_of_theirs = plan(&mut session, &text.replace("{}", theirs)).await;
            let renamed = plan_of_theirs.replace("popular", "nowhere").replace("1234", "9234").replace("1734", "9734");
            assert_eq!(renamed, plan(&mut session, &text.replace("{}", nobodys)).await);
        }
    }
    // With statistics they do.
    place.sql_at(&acme, "ALTER TABLE tenant.accounts ALTER COLUMN token SET STATISTICS 100; ANALYZE tenant.accounts");
    let [theirs, nobodys] =
        ["popular", "nowhere"].map(|value| format!("SELECT * FROM accounts WHERE token = '{value}'"));
    assert_ne!(plan(&mut session, &theirs).await.replace("popular", "nowhere"), plan(&mut session, &nobodys).await);
}

fn conditions(value: &str, number: u32) -> [String; 8] {
    [
        format!("a.token = '{value}'"),
        format!("lower(a.token) = '{value}'"),
        format!("upper(a.token) = '{value}'"),
        format!("a.token < '{value}'"),
        format!("a.token LIKE '{value}%'"),
        format!("a.balance > {number}"),
        format!("a.balance BETWEEN {number} AND {}", number + 500),
        format!("a.token = '{value}' AND a.balance = {number}"),
    ]
}

/// Without the number of tenants the planner takes each of them for so many rows that it reads the whole table.
#[tokio::test(flavor = "multi_thread")]
async fn the_planner_knows_how_many_tenants_there_are_and_finds_ones_rows_by_an_index() {
    let (place, acme, globex) = two_tenants().await;
    let of_others = "INSERT INTO accounts SELECT gen_random_uuid(), n, 'theirs', n FROM generate_series(1, 20000) n";
    place.change_tables(&acme, &format!("{of_others}; ANALYZE accounts"));
    let known = "SELECT cardinality(most_common_freqs) <= 1 AND array_length(histogram_bounds::text::text[], 1) = 2 AND n_distinct NOT BETWEEN 0 AND 500
                   FROM pg_stats WHERE tablename = 'accounts'";
    assert_eq!(place.sql_at(&acme, known).trim(), "t");
    let mut session = a_session_of(&place, &globex).await;
    for text in [
        "SELECT * FROM accounts",
        "SELECT * FROM accounts ORDER BY balance LIMIT 3",
        "SELECT count(*) FROM accounts WHERE lower(token) = 'x'",
    ] {
        let plan = plan(&mut session, text).await;
        assert!(!plan.contains("Seq Scan"), "{text}: {plan}");
    }
}

/// What a superuser, an older version or a restored dump has left there.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_what_the_planner_knows_and_has_it_forgotten() {
    let (place, acme, globex) = two_tenants().await;
    place.change_tables(
        &acme,
        "INSERT INTO accounts SELECT gen_random_uuid(), n, 'theirs', n FROM generate_series(1, 300) n",
    );
    for made in [
        "ALTER TABLE tenant.accounts ALTER COLUMN token SET STATISTICS 100",
        "ALTER TABLE tenant.accounts ALTER COLUMN token SET STATISTICS 100; ANALYZE tenant.accounts; ALTER TABLE tenant.accounts ALTER COLUMN token SET STATISTICS 0",
        "ALTER TABLE tenant.accounts ALTER COLUMN tenant_id SET STATISTICS 100; ANALYZE tenant.accounts; ALTER TABLE tenant.accounts ALTER COLUMN tenant_id SET STATISTICS 1",
        "ALTER TABLE tenant.parts_0 ALTER COLUMN token SET STATISTICS 100; ANALYZE tenant.parts_0",
        "CREATE STATISTICS tenant.pairs ON token, balance FROM tenant.accounts; UPDATE pg_statistic_ext SET stxstattarget = 100",
        "CREATE STATISTICS shared.computed ON (lower(token)) FROM tenant.accounts; UPDATE pg_statistic_ext SET stxstattarget = 100;
         ANALYZE tenant.accounts; ALTER STATISTICS shared.computed SET STATISTICS 0",
        "CREATE INDEX later ON tenant.accounts (tenant_id, upper(token)); UPDATE pg_attribute SET attstattarget = 100 WHERE attrelid = 'tenant.later'::regclass;
         ANALYZE tenant.accounts",
    ] {
        place.sql_at(&acme, made);
        let kept = || async {
            let report = place.tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap();
            report.findings.into_iter().filter(|finding| finding.code == "statistics_kept").collect::<Vec<_>>()
        };
        let found = kept().await;
        assert!(found.len() == 1 && found[0].what.contains(" in tenant."), "{made}: {found:?}");
        place.sql_at(&acme, &found[0].repair);
        assert_eq!(kept().await, [], "{made}");
        place.sql_at(&acme, "ANALYZE");
        assert_eq!(place.sql_at(&acme, KEPT).trim(), "0", "{made}");
    }
    place.sql_at(&acme, "ALTER TABLE tenant.accounts ALTER COLUMN token SET STATISTICS 100; ANALYZE tenant.accounts");
    let report = place.tenancy.doctor(DoctorOptions::new().repair(true)).await.unwrap();
    assert!(report.repaired.iter().any(|what| what.contains("the planner keeps values")), "{report:?}");
    assert_eq!(place.sql_at(&acme, KEPT).trim(), "0");
    assert_eq!(number(&globex, "SELECT count(*) FROM accounts").await.unwrap(), 2);
}

/// It is there, and autovacuum may look at it, before its file ends or is killed.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_built_without_a_transaction_never_has_statistics() {
    let (place, acme, _) = two_tenants().await;
    place.sql_at(&acme, "CREATE INDEX CONCURRENTLY later ON tenant.accounts (tenant_id, upper(token), (balance % 7))");
    let made_together =
        "SELECT string_agg(attstattarget::text, ',' ORDER BY attnum) || ' ' || bool_and(a.xmin = i.xmin)
                           FROM pg_attribute a JOIN pg_index i ON i.indexrelid = a.attrelid
                          WHERE attrelid = 'tenant.later'::regclass AND attnum > 1";
    assert_eq!(place.sql_at(&acme, made_together).trim(), "0,0 true");
    // Nor is the table locked by whoever asks for them.
    place.sql_at(&acme, "ALTER INDEX tenant.later ALTER COLUMN 2 SET STATISTICS 500");
    place.sql_at(&acme, "CREATE STATISTICS tenant.pairs ON token, balance FROM tenant.accounts");
    place.sql_at(&acme, "ALTER STATISTICS tenant.pairs SET STATISTICS 300");
    place.sql_at(&acme, "ANALYZE");
    assert_eq!(place.sql_at(&acme, KEPT).trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_waits_for_nobody_who_has_a_table_that_it_does_not_change() {
    let (place, acme, _) = two_tenants().await;
    place.sql_at(&acme, "ALTER TABLE tenant.accounts ALTER COLUMN token SET STATISTICS 100");
    let mut raw = place.admin_at(&acme).await;
    raw.execute("BEGIN; LOCK TABLE tenant.accounts IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    let more = "CREATE TABLE unrelated (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, PRIMARY KEY (tenant_id, id))";
    drop(place.neighbour_with(&[("0002_accounts.sql", ACCOUNTS), ("0003_more.sql", more)], &[]).await);
    assert_eq!(place.sql_at(&acme, TARGETS).trim(), "100 0");
    raw.execute("ROLLBACK").await.unwrap();
    let even_more = more.replace("unrelated", "another");
    let files = [("0002_accounts.sql", ACCOUNTS), ("0003_more.sql", more), ("0004_more.sql", &even_more)];
    drop(place.neighbour_with(&files, &[]).await);
    assert_eq!(place.sql_at(&acme, TARGETS).trim(), "0 0");
}

const TARGETS: &str = "
    SELECT string_agg(attstattarget::text, ' ' ORDER BY attrelid::regclass::text) FROM pg_attribute
     WHERE attrelid IN ('tenant.accounts'::regclass, 'tenant.unrelated'::regclass) AND attname IN ('token', 'id') AND NOT (attname = 'id'
       AND attrelid = 'tenant.accounts'::regclass)";

/// PostgreSQL 18 computes such a column with each read, and lets nobody say what it keeps of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_generated_column_is_possible_where_the_server_has_them() {
    let (place, acme, globex) = two_tenants().await;
    let virtual_column = "ALTER TABLE accounts ADD COLUMN loud text GENERATED ALWAYS AS (upper(token)) VIRTUAL";
    let has_them = place.sql_at(&acme, "SELECT current_setting('server_version_num')::int >= 180000").trim() == "t";
    if !has_them {
        let refused = place.admin_at(&acme).await.execute(virtual_column).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42601");
        return;
    }
    drop(place.neighbour_with(&[("0002_accounts.sql", ACCOUNTS), ("0003_loud.sql", virtual_column)], &[]).await);
    assert_eq!(texts(&globex, "SELECT loud FROM accounts ORDER BY id").await.unwrap(), ["MINE", "MINE TOO"]);
    place.sql_at(&acme, "ANALYZE");
    assert_eq!(place.sql_at(&acme, KEPT).trim(), "0");
}

/// Elsewhere the rows are one tenant's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_ones_own_keeps_its_statistics() {
    let place = Installation::on(Kind::PostgresSchema).await;
    let acme = place.tenant("acme").await;
    let own =
        "CREATE TABLE accounts (id bigint PRIMARY KEY, token text); CREATE STATISTICS pairs ON id, token FROM accounts";
    drop(place.neighbour_with(&[("0002_accounts.sql", own)], &[]).await);
    run(&acme, "INSERT INTO accounts SELECT n, 'x' FROM generate_series(1, 100) n").await.unwrap();
    place.sql_at(&acme, "ANALYZE");
    assert_eq!(place.sql_at(&acme, "SELECT count(*) FROM pg_stats WHERE tablename = 'accounts'").trim(), "2");
}

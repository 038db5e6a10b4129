//! What a tenant runs when another process suspends it is stopped, and told so.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use tenantry::{Error, TenantDb, Tenantry};

use crate::support::{Installation, Kind, number, run, soak, user_add, users};

/// The promise, from the suspension's answer to the statement's.
const PROMISE: Duration = Duration::from_millis(2_500);

const RENAME: &str = "UPDATE users SET username = 'late'";

/// Somebody who does not let others write the tenant's users.
enum Holder {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Holder {
    async fn of(place: &Installation, db: &TenantDb) -> Self {
        if place.kind == Kind::SqliteDatabase {
            let file = place.file_of(db);
            let mut holder = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
            holder.execute("BEGIN IMMEDIATE").await.unwrap();
            return Self::Sqlite(holder);
        }
        let mut holder = place.admin_at(db).await;
        let lock = format!("BEGIN; LOCK TABLE {}.users IN SHARE MODE", place.schema_of(db));
        holder.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(lock))).await.unwrap();
        Self::Postgres(holder)
    }

    async fn let_go(self) {
        match self {
            Self::Sqlite(mut holder) => drop(holder.execute("ROLLBACK").await.unwrap()),
            Self::Postgres(mut holder) => drop(holder.execute("ROLLBACK").await.unwrap()),
        }
    }
}

/// A tenant with one user whom nobody may change, another one, and a second process.
async fn held(place: &Installation) -> (TenantDb, Holder, TenantDb, Tenantry) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "bob").await;
    let holder = Holder::of(place, &acme).await;
    let neighbour = place.neighbour().await;
    (acme, holder, globex, neighbour)
}

/// How the work ends when the tenant is suspended in the middle of it.
async fn suspended_meanwhile<T: Send + 'static>(
    neighbour: &Tenantry,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Error {
    let work = tokio::spawn(work);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!work.is_finished(), "it waits");
    neighbour.tenant_suspend("acme").await.unwrap();
    let told = Instant::now();
    let error = work.await.unwrap().map(drop).expect_err("nothing of a suspended tenant is acknowledged");
    assert!(told.elapsed() < PROMISE, "stopped after {:?}", told.elapsed());
    assert!(error.is_suspended() && !error.is_outcome_unknown(), "{error:?}");
    error
}

/// Nothing was stored, nobody else was hit, and the tenant is served again.
async fn expect_unchanged(place: &Installation, holder: Holder, globex: &TenantDb) {
    for _ in 0..20 {
        assert_eq!(users(globex).await, ["bob"]);
    }
    holder.let_go().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    place.tenancy.tenant_resume("acme").await.unwrap();
    let acme = place.tenancy.tenant("acme").await.unwrap();
    assert_eq!(users(&acme).await, ["ann"]);
    run(&acme, RENAME).await.unwrap();
}

pub async fn a_write_that_waits_is_stopped_when_its_tenant_is_suspended(place: Installation) {
    let (acme, holder, globex, neighbour) = held(&place).await;
    suspended_meanwhile(&neighbour, async move { Ok(run(&acme, RENAME).await?) }).await;
    expect_unchanged(&place, holder, &globex).await;
}

pub async fn a_transaction_that_waits_is_stopped_when_its_tenant_is_suspended(place: Installation) {
    let (acme, holder, globex, neighbour) = held(&place).await;
    let work = async move {
        let mut tx = acme.begin().await?;
        on!(tx, view => sqlx::query(RENAME).execute(view).await.map(drop))?;
        tx.commit().await
    };
    suspended_meanwhile(&neighbour, work).await;
    expect_unchanged(&place, holder, &globex).await;
}

pub async fn a_write_that_nobody_waits_for_is_stopped_when_its_tenant_is_suspended(place: Installation) {
    let (acme, holder, globex, neighbour) = held(&place).await;
    let rename = "UPDATE users SET username = 'late' RETURNING id";
    let mut rows = on!(acme, view => sqlx::query(rename).fetch(view).map(|item| item.map(drop)).boxed());
    let first = tokio::time::timeout(Duration::from_millis(300), rows.next()).await;
    assert!(first.is_err(), "it waits");
    neighbour.tenant_suspend("acme").await.unwrap();
    tokio::time::sleep(PROMISE).await;
    holder.let_go().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = Error::from(rows.next().await.unwrap().unwrap_err());
    assert!(told.is_suspended() && !told.is_outcome_unknown(), "{told:?}");
    drop(rows);
    expect_unchanged(&place, Holder::of(&place, &acme).await, &globex).await;
}

pub async fn a_long_read_is_stopped_when_its_tenant_is_suspended_here(place: Installation) {
    let (acme, holder, globex, _) = held(&place).await;
    let long = match place.kind {
        Kind::SqliteDatabase => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n, users"
        }
        _ => "SELECT count(*) FROM users, pg_sleep(60)",
    };
    suspended_meanwhile(&place.tenancy, async move {
        Ok(on!(acme, view => sqlx::query(long).fetch_all(view).await.map(drop))?)
    })
    .await;
    expect_unchanged(&place, holder, &globex).await;
}

/// On SQLite nothing is left to wait for at a commit, and behind a pooler nobody knows any more whose process has it.
pub async fn a_commit_that_waits_is_stopped_when_its_tenant_is_suspended(place: Installation) {
    let acme = place.tenant("acme").await;
    run(&acme, "INSERT INTO items (id, description, price) VALUES (1, 'chair', 1)").await.unwrap();
    let holder = match place.kind {
        Kind::SqliteDatabase => None,
        _ => {
            let mut holder = place.admin_at(&acme).await;
            let lock = format!("BEGIN; SELECT FROM {}.items FOR UPDATE", place.schema_of(&acme));
            holder.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(lock))).await.unwrap();
            Some(Holder::Postgres(holder))
        }
    };
    let neighbour = place.neighbour().await;
    let order = "INSERT INTO orders (item_id, quantity) VALUES (1, 1)";
    if let Some(holder) = holder {
        let acme = acme.clone();
        let work = async move {
            let mut tx = acme.begin().await?;
            on!(tx, view => sqlx::query(order).execute(view).await.map(drop))?;
            tx.commit().await
        };
        suspended_meanwhile(&neighbour, work).await;
        holder.let_go().await;
        place.tenancy.tenant_resume("acme").await.unwrap();
    }
    assert_eq!(number(&acme, "SELECT count(*) FROM orders").await.unwrap(), 0);
    run(&acme, order).await.unwrap();
}

pub async fn a_suspension_never_hits_another_tenant_on_the_same_connections(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "bob").await;
    for turn in 0..soak(40, 10_000) {
        let busy = acme.clone();
        let work = tokio::spawn(async move {
            loop {
                if let Err(error) = run(&busy, RENAME).await {
                    return Error::from(error);
                }
            }
        });
        tokio::time::sleep(Duration::from_micros(u64::try_from(turn % 40).unwrap() * 100)).await;
        place.tenancy.tenant_suspend("acme").await.unwrap();
        for _ in 0..10 {
            assert_eq!(users(&globex).await, ["bob"], "turn {turn}");
        }
        let told = work.await.unwrap();
        assert!(told.is_suspended(), "turn {turn}: {told:?}");
        place.tenancy.tenant_resume("acme").await.unwrap();
    }
    assert_eq!(users(&acme).await, ["late"]);
}

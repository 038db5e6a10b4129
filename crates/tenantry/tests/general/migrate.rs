//! Fleets of tenants: waves, failures, resuming, several runners, and lives that go on meanwhile.

use tenantry::{FleetReport, MigrateEvent, MigrateOptions, Migrations, NewTenant, Tenantry};

use crate::support::{self, Installation, SHARED, TENANT, user_add, users};

/// A second file that fails where there is a user called `broken`.
const UNIQUE: (&str, &str) = (
    "0002_names.sql",
    "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name <> 'broken'));
     INSERT INTO names (name) SELECT username FROM users;
     CREATE TABLE marker (applied INTEGER NOT NULL);
     INSERT INTO marker VALUES (1);",
);

async fn with_files(place: &Installation, files: &[(&str, &str)]) -> Tenantry {
    let migrations = Migrations::embedded(files.iter().copied(), SHARED.iter().copied()).unwrap();
    support::open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap()
}

async fn fleet_of(tenants: usize) -> Installation {
    let place = Installation::new().await;
    for n in 0..tenants {
        user_add(&place.tenant(&format!("t{n:02}")).await, "ann").await;
    }
    place
}

async fn up(tenancy: &Tenantry, options: MigrateOptions) -> FleetReport {
    tenancy.migrations().up(&options, |_| ()).await.unwrap()
}

async fn markers(tenancy: &Tenantry, key: &str) -> i64 {
    let db = tenancy.tenant(key).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM marker").fetch_one(db.sqlite().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_one_tenant_that_fails_stops_no_other_and_is_tried_again_alone() {
    let place = fleet_of(12).await;
    let broken = place.tenancy.tenant("t07").await.unwrap();
    user_add(&broken, "broken").await;
    let next = with_files(&place, &[TENANT[0], UNIQUE]).await;
    let report = up(&next, MigrateOptions::new()).await;
    assert_eq!((report.failed, report.targets.len(), report.up_to_date), (1, 12, 1));
    let failed = report.targets.iter().find(|t| t.error.is_some()).unwrap();
    assert_eq!((failed.target.as_str(), failed.version), ("t07", 1));
    assert_eq!(next.migration_failures().await.unwrap()[0].tenant.key.as_str(), "t07");
    // Nothing of the failed file is left there.
    let left = "SELECT count(*) FROM sqlite_master WHERE name IN ('names', 'marker')";
    let left: i64 = sqlx::query_scalar(left).fetch_one(broken.sqlite().unwrap()).await.unwrap();
    assert_eq!(left, 0);
    sqlx::query("DELETE FROM users WHERE username = 'broken'").execute(broken.sqlite().unwrap()).await.unwrap();
    let again = up(&next, MigrateOptions::new().retry_failed()).await;
    assert_eq!((again.failed, again.targets.len()), (0, 1));
    assert!(next.migration_failures().await.unwrap().is_empty());
    assert_eq!(next.migrations().verify().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_wave_in_which_something_failed_is_the_last() {
    let place = fleet_of(20).await;
    user_add(&place.tenancy.tenant("t00").await.unwrap(), "broken").await;
    let next = with_files(&place, &[TENANT[0], UNIQUE]).await;
    let mut waves = Vec::new();
    let options = MigrateOptions::new().waves(&[0.01, 0.5, 1.0]);
    let report = next
        .migrations()
        .up(&options, |event| {
            if let MigrateEvent::Wave { targets, .. } = event {
                waves.push(targets);
            }
        })
        .await
        .unwrap();
    assert_eq!((waves, report.failed, report.not_tried), (vec![1], 1, 19), "the canary wave stops the rest");
    let stopped = up(&next, MigrateOptions::new().parallel(1).stop_after(1)).await;
    assert_eq!((stopped.failed, stopped.targets.len() + stopped.not_tried), (1, 20));
    let only = up(&next, MigrateOptions::new().only("t1*").unwrap()).await;
    assert_eq!((only.failed, only.targets.len()), (0, 10));
    assert!(only.targets.iter().all(|t| t.target.starts_with("t1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_history_that_does_not_fit_stops_the_fleet_before_any_change() {
    let place = fleet_of(3).await;
    let changed = format!("{} -- a comment that was not there", TENANT[0].1);
    for files in [vec![(TENANT[0].0, changed.as_str()), UNIQUE], vec![UNIQUE]] {
        let next = with_files(&place, &files).await;
        let error = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap_err();
        assert!(error.is_migration() && error.help_text().is_some(), "{error:?}");
        assert!(next.migrations().plan(&MigrateOptions::new()).await.is_err());
        assert_eq!(next.migrations().verify().await.unwrap().len(), 3);
    }
    let next = with_files(&place, &[TENANT[0], UNIQUE]).await;
    assert_eq!(up(&next, MigrateOptions::new()).await.failed, 0, "and nothing was half done");
    let older = with_files(&place, TENANT).await;
    let error = older.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("newer program"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_tenant_whose_file_is_gone_is_one_that_failed_and_stops_no_other() {
    let place = fleet_of(3).await;
    std::fs::remove_file(place.file_of(&place.tenancy.tenant("t01").await.unwrap())).unwrap();
    let next = with_files(&place, &[TENANT[0], UNIQUE]).await;
    let plan = next.migrations().plan(&MigrateOptions::new()).await.unwrap();
    let errors: Vec<_> = plan.iter().filter(|t| t.error.is_some()).map(|t| t.target.as_str()).collect();
    assert_eq!(errors, ["t01"]);
    let report = up(&next, MigrateOptions::new()).await;
    assert_eq!((report.failed, report.targets.len()), (1, 3));
    assert_eq!((markers(&next, "t00").await, markers(&next, "t02").await), (1, 1));
    assert_eq!(next.migration_failures().await.unwrap()[0].tenant.key.as_str(), "t01");
    assert!(next.migrations().verify().await.unwrap()[0].failure.message.contains("is gone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_two_runners_apply_every_file_to_every_tenant_once() {
    let place = fleet_of(25).await;
    let runners = [with_files(&place, &[TENANT[0], UNIQUE]).await, with_files(&place, &[TENANT[0], UNIQUE]).await];
    let tasks = runners
        .clone()
        .map(|tenancy| tokio::spawn(async move { up(&tenancy, MigrateOptions::new().parallel(6)).await }));
    for task in tasks {
        assert_eq!(task.await.unwrap().failed, 0);
    }
    for n in 0..25 {
        assert_eq!(markers(&runners[0], &format!("t{n:02}")).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_tenants_live_and_die_while_the_fleet_is_migrated() {
    let place = fleet_of(20).await;
    let next = with_files(&place, &[TENANT[0], UNIQUE]).await;
    let lives = {
        let next = next.clone();
        tokio::spawn(async move {
            for n in 0..8 {
                next.tenant_create(NewTenant::new(&format!("new{n}")).unwrap()).await.unwrap();
                let key = format!("t{:02}", n * 2);
                next.tenant_delete(&key).await.unwrap();
                if n % 2 == 0 {
                    next.tenant_purge(&key).await.unwrap();
                }
            }
        })
    };
    let report = up(&next, MigrateOptions::new().parallel(2)).await;
    lives.await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    assert_eq!(up(&next, MigrateOptions::new()).await.failed, 0);
    for n in 0..8 {
        assert_eq!(
            markers(&next, &format!("new{n}")).await,
            1,
            "a tenant that is created meanwhile is at the newest version"
        );
    }
    assert_eq!(next.migrations().verify().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_readers_and_writers_go_on_while_their_tenant_is_migrated() {
    let place = fleet_of(1).await;
    let db = place.tenancy.tenant("t00").await.unwrap();
    let busy = {
        let db = db.clone();
        tokio::spawn(async move {
            for n in 0..100 {
                user_add(&db, &format!("u{n}")).await;
                assert!(!users(&db).await.is_empty());
            }
        })
    };
    let next = with_files(&place, &[TENANT[0], UNIQUE]).await;
    assert_eq!(up(&next, MigrateOptions::new()).await.failed, 0);
    busy.await.unwrap();
    assert_eq!(users(&db).await.len(), 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_stamp_writes_the_history_and_runs_nothing() {
    let place = fleet_of(2).await;
    let next = with_files(&place, &[TENANT[0], UNIQUE]).await;
    assert!(next.migrations().stamp(9, &MigrateOptions::new()).await.is_err());
    assert_eq!(next.migrations().stamp(2, &MigrateOptions::new()).await.unwrap(), 2);
    assert_eq!(up(&next, MigrateOptions::new()).await.targets.len(), 0);
    let db = next.tenant("t00").await.unwrap();
    assert!(sqlx::query("SELECT count(*) FROM marker").fetch_one(db.sqlite().unwrap()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_data_file_runs_for_each_new_tenant_and_may_read_the_shared_tables() {
    let place = Installation::new().await;
    let shared = place.tenancy.shared().await.unwrap();
    sqlx::query("INSERT INTO shared.plans (name) VALUES ('free')").execute(shared.sqlite().unwrap()).await.unwrap();
    let fill = "INSERT INTO notes (text) SELECT name || hex(randomblob(16)) FROM shared.plans";
    let next = with_files(
        &place,
        &[TENANT[0], ("0002_fill.data.sql", fill), ("0003_more.sql", "CREATE TABLE more (a INTEGER)")],
    )
    .await;
    let mut secrets = std::collections::HashSet::new();
    for key in ["a", "b", "c"] {
        next.tenant_create(NewTenant::new(key).unwrap()).await.unwrap();
        let db = next.tenant(key).await.unwrap();
        let notes: Vec<String> =
            sqlx::query_scalar("SELECT text FROM notes").fetch_all(db.sqlite().unwrap()).await.unwrap();
        assert!(notes.len() == 1 && notes[0].starts_with("free") && secrets.insert(notes[0].clone()), "{notes:?}");
        sqlx::query("SELECT a FROM more").fetch_all(db.sqlite().unwrap()).await.unwrap();
    }
    assert_eq!(next.migrations().verify().await.unwrap(), []);
}

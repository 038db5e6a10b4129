//! Several processes on one installation: what one changes, the others hear of; what one leaves, another ends.

use std::time::{Duration, Instant};

use tenantry::{Config, Error, NewTenant, Seconds, Tenantry};

use crate::support::{self, Installation, TENANT, user_add, users};

/// Waits until a condition holds, two seconds at most: the promise of the catalog's feed.
async fn within_two_seconds<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(2), "{what} takes longer than 2 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_suspension_bites_here_at_once_and_elsewhere_within_two_seconds() {
    let place = Installation::new().await;
    let here = place.tenant("acme").await;
    let neighbour = place.neighbour().await;
    let there = neighbour.tenant("acme").await.unwrap();
    user_add(&there, "ann").await;
    place.tenancy.tenant_suspend("acme").await.unwrap();
    assert!(sqlx::query("SELECT 1").fetch_all(here.sqlite().unwrap()).await.is_err());
    within_two_seconds("a suspension", async || {
        let old_handle = sqlx::query("SELECT 1").fetch_all(there.sqlite().unwrap()).await;
        let new_handle = neighbour.tenant("acme").await;
        old_handle.is_err() && new_handle.is_err_and(|e| e.is_suspended())
    })
    .await;
    place.tenancy.tenant_resume("acme").await.unwrap();
    within_two_seconds("a resumption", async || neighbour.tenant("acme").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_tenant_that_was_asked_for_too_early_is_found_once_it_exists() {
    let place = Installation::new().await;
    let neighbour = place.neighbour().await;
    assert!(place.tenancy.tenant("acme").await.unwrap_err().is_unknown_tenant());
    assert!(neighbour.tenant("acme").await.unwrap_err().is_unknown_tenant());
    place.tenancy.tenant_create(NewTenant::new("acme").unwrap()).await.unwrap();
    place.tenancy.tenant("acme").await.expect("here it is served at once");
    within_two_seconds("a new tenant", async || neighbour.tenant("acme").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_renamed_tenant_keeps_its_data_and_its_old_key_is_closed_for_a_while() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let neighbour = place.neighbour().await;
    neighbour.tenant("acme").await.unwrap();
    place.tenancy.tenant_rename("acme", "acme-2").await.unwrap();
    assert_eq!(users(&place.tenancy.tenant("acme-2").await.unwrap()).await, ["ann"]);
    assert!(place.tenancy.tenant("acme").await.unwrap_err().is_unknown_tenant());
    let again = place.tenancy.tenant_create(NewTenant::new("acme").unwrap()).await.unwrap_err();
    assert!(again.is_taken() && again.is_retryable(), "somebody may still hold the old owner in a cache");
    within_two_seconds("a rename", async || {
        neighbour.tenant("acme").await.is_err() && neighbour.tenant("acme-2").await.is_ok()
    })
    .await;
    assert_eq!(users(&acme).await, ["ann"], "a handle follows its tenant, not its key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_purge_by_another_process_loses_no_acknowledged_write_of_this_one() {
    let place = Installation::new().await;
    place.tenant("acme").await;
    let neighbour = place.neighbour().await;
    let there = neighbour.tenant("acme").await.unwrap();
    let writer = tokio::spawn(async move {
        for n in 0.. {
            let insert = sqlx::query("INSERT INTO users (username) VALUES (?)").bind(n.to_string());
            if let Err(error) = insert.execute(there.sqlite().unwrap()).await {
                return Error::from(error);
            }
        }
        unreachable!()
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    assert_eq!(place.tenant_files().len(), 0, "nothing of it is left, not even a journal");
    let error = tokio::time::timeout(Duration::from_secs(5), writer).await.expect("the writer is told").unwrap();
    assert!(error.http_status() == 404 || error.http_status() == 503 || error.http_status() == 500, "{error:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(place.tenant_files().len(), 0, "and no late writer made a file anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_silent_catalog_serves_who_is_known_and_says_unavailable_to_who_is_not() {
    let short = |mut config: Config| {
        config.catalog.max_stale = Seconds::new(3.0).unwrap();
        config
    };
    let place = Installation::with(short, TENANT).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    place.tenancy.tenant("acme").await.unwrap();
    place.tenancy.tenant("nobody").await.unwrap_err();
    let (file, moved) = (place.dir.path().join("catalog.db"), place.dir.path().join("moved.db"));
    std::fs::rename(&file, &moved).unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(users(&place.tenancy.tenant("acme").await.unwrap()).await, ["ann"], "known: served");
    let stranger = place.tenancy.tenant("stranger").await.unwrap_err();
    assert!(stranger.is_catalog_unavailable() && stranger.http_status() == 503, "unknown is not the same as not there");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let known = place.tenancy.tenant("acme").await.unwrap_err();
    assert!(known.is_catalog_unavailable(), "too long: {known:?}");
    let old_handle = sqlx::query("SELECT 1").fetch_all(acme.sqlite().unwrap()).await.unwrap_err();
    assert!(Error::from(old_handle).is_catalog_unavailable());
    std::fs::rename(&moved, &file).unwrap();
    within_two_seconds("the recovery", async || place.tenancy.tenant("acme").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_random_names_are_looked_up_no_faster_than_allowed() {
    let slow = |mut config: Config| {
        config.identify.unknown_per_second = 50;
        config
    };
    let place = Installation::with(slow, TENANT).await;
    place.tenant("acme").await;
    place.tenancy.tenant("acme").await.unwrap();
    let (mut unknown, mut throttled) = (0, 0);
    let started = Instant::now();
    for n in 0..5_000 {
        match place.tenancy.tenant(&format!("random-{n}")).await.unwrap_err() {
            e if e.is_unknown_tenant() => unknown += 1,
            e => {
                assert_eq!((e.http_status(), e.is_retryable()), (503, true));
                throttled += 1;
            }
        }
    }
    let allowed = 50.0 * (started.elapsed().as_secs_f64() + 1.0) + 1.0;
    assert!(f64::from(unknown) <= allowed, "{unknown} look-ups, {allowed} allowed");
    assert!(throttled > 0);
    place.tenancy.tenant("acme").await.expect("who is known is served all the same");
    // A name that was found missing costs no second look-up.
    assert!(place.tenancy.tenant("random-0").await.unwrap_err().is_unknown_tenant());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_tenant_that_lacks_a_migration_waits_while_the_others_are_served() {
    let place = Installation::new().await;
    place.tenant("acme").await;
    place.tenant("globex").await;
    let mut files = TENANT.to_vec();
    files.push(("0002_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY)"));
    let newer = tenantry::Migrations::embedded(files, support::SHARED.to_vec()).unwrap();
    let newer = support::open(place.dir.path().into(), |c| c, TENANT).await.migrations(newer).open().await.unwrap();
    let error = newer.tenant("acme").await.unwrap_err();
    assert_eq!((error.http_status(), error.is_retryable(), error.code()), (503, true, "tenant_migrating"));
    let only = tenantry::MigrateOptions::new().only("acme").unwrap();
    let report = newer.migrations().up(&only, |_| ()).await.unwrap();
    assert_eq!(report.failed, 0);
    newer.tenant("acme").await.expect("migrated: served");
    assert!(newer.tenant("globex").await.is_err());
    place.tenancy.tenant("globex").await.expect("the older program goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_twenty_creations_of_one_key_make_one_tenant() {
    let place = Installation::new().await;
    let neighbour = place.neighbour().await;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let tenancy: Tenantry = if n % 2 == 0 { place.tenancy.clone() } else { neighbour.clone() };
            tokio::spawn(async move { tenancy.tenant_create(NewTenant::new("acme").unwrap()).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert!(error.is_taken(), "{error:?}"),
        }
    }
    assert_eq!((made, place.tenant_files().iter().filter(|f| f.to_string_lossy().ends_with(".db")).count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_domain_belongs_to_one_tenant_and_is_closed_for_a_while_when_given_up() {
    let place = Installation::new().await;
    place.tenant("acme").await;
    place.tenant("globex").await;
    place.tenancy.domain_add("acme", "Shop.Example.com.").await.unwrap();
    assert!(place.tenancy.domain_add("globex", "shop.example.com").await.unwrap_err().is_taken());
    for look_alike in ["shop。example.com", "ｓhop.example.com", "shop.exa\u{200b}mple.com", "127.0.0.1", "localhost"]
    {
        let error = place.tenancy.domain_add("globex", look_alike).await.unwrap_err();
        assert!(error.http_status() < 500, "{look_alike}: {error:?}");
    }
    place.tenancy.domain_remove("shop.example.com").await.unwrap();
    let at_once = place.tenancy.domain_add("globex", "shop.example.com").await.unwrap_err();
    assert!(at_once.is_taken() && at_once.is_retryable());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_every_change_of_state_has_one_audit_entry() {
    let place = Installation::new().await;
    place.tenant("acme").await;
    let t = &place.tenancy;
    t.tenant_suspend("acme").await.unwrap();
    t.tenant_suspend("acme").await.unwrap();
    t.tenant_resume("acme").await.unwrap();
    t.tenant_rename("acme", "acme-2").await.unwrap();
    t.domain_add("acme-2", "shop.example.com").await.unwrap();
    t.tenant_delete("acme-2").await.unwrap();
    t.tenant_undelete("acme-2").await.unwrap();
    t.tenant_delete("acme-2").await.unwrap();
    t.tenant_purge("acme-2").await.unwrap();
    let mut actions: Vec<_> = t.audit(100).await.unwrap().into_iter().map(|e| (e.action, e.outcome)).collect();
    actions.reverse();
    let names: Vec<_> = actions.iter().map(|(action, _)| action.as_str()).collect();
    let expected = [
        "server.add",
        "shared.migrate",
        "tenant.create",
        "tenant.suspend",
        "tenant.resume",
        "tenant.rename",
        "domain.add",
        "tenant.delete",
        "tenant.undelete",
        "tenant.delete",
        "tenant.purge_begin",
        "tenant.purge",
    ];
    assert_eq!(names, expected);
    assert!(actions.iter().all(|(_, outcome)| outcome == "ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_the_home_of_the_shared_tables_is_not_removed_under_the_other_servers() {
    let place = Installation::new().await;
    let second = format!("sqlite://{}", place.dir.path().join("second").display());
    place.tenancy.server_add(tenantry::NewServer::new("second", &second)).await.unwrap();
    place.tenancy.tenant_create(NewTenant::new("acme").unwrap().server("second")).await.unwrap();
    assert!(place.tenancy.server_remove("local").await.unwrap_err().is_wrong_state());
    let acme = place.tenancy.tenant("acme").await.unwrap();
    sqlx::query("SELECT name FROM shared.plans").fetch_all(acme.sqlite().unwrap()).await.unwrap();
    let shown = format!("{:?}", place.tenancy.server_list().await.unwrap());
    assert!(!shown.contains("sqlite://"), "a log would show the URL: {shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_file_that_the_catalog_never_knew_is_reported_and_never_removed() {
    let place = Installation::new().await;
    place.tenant("acme").await;
    let other = Installation::new().await;
    other.tenant("globex").await;
    let stranger = other.tenant_files().into_iter().find(|f| f.extension().is_some_and(|e| e == "db")).unwrap();
    let moved = place.dir.path().join("data/tenants").join(stranger.file_name().unwrap());
    std::fs::copy(&stranger, &moved).unwrap();
    let report = place.tenancy.doctor(tenantry::DoctorOptions::new().repair(true)).await.unwrap();
    assert_eq!(report.findings.iter().map(|f| f.code).collect::<Vec<_>>(), ["stranger"], "{report:?}");
    assert!(moved.exists(), "it may be somebody's only copy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_builder_by_default_hears_of_a_suspension_elsewhere() {
    let place = Installation::new().await;
    place.tenant("acme").await;
    let dir = place.dir.path();
    let url = format!("sqlite://{}", dir.join("catalog.db").display());
    let mut config = Config::default();
    (config.catalog.url, config.catalog.key_file) = (url, dir.join("tenantry.key"));
    let files = tenantry::Migrations::embedded(TENANT.iter().copied(), support::SHARED.iter().copied()).unwrap();
    let builder = tenantry::TenantryBuilder::default().config(config);
    let other = builder.migrations(files).open().await.unwrap();
    other.tenant("acme").await.unwrap();
    place.tenancy.tenant_suspend("acme").await.unwrap();
    within_two_seconds("the suspension", async || other.tenant("acme").await.is_err_and(|error| error.is_suspended()))
        .await;
}

/// What one process may ask in vain is used up at once by two that ask for whatever comes to their mind.
async fn flooded(tenancy: &Tenantry) -> Vec<tokio::task::JoinHandle<()>> {
    let flood = (0..2).map(|peer| {
        let tenancy = tenancy.clone();
        tokio::spawn(async move {
            for n in 0_u64.. {
                drop(tenancy.tenant(&format!("nobody-{peer}-{n}")).await);
                tokio::task::yield_now().await;
            }
        })
    });
    let flood = flood.collect();
    // Another name each time: one that was looked up in vain is remembered.
    let mut asked = 0;
    let throttled = || {
        asked += 1;
        let name = format!("stranger-{asked}");
        async move { tenancy.tenant(&name).await.is_err_and(|error| error.http_status() == 503) }
    };
    within_two_seconds("the flood", throttled).await;
    flood
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_flood_of_unknown_names_keeps_no_tenant_out() {
    let place = Installation::new().await;
    let keys: Vec<String> = (0..8).map(|n| format!("real-{n}")).collect();
    for key in &keys {
        place.tenant(key).await;
    }
    let config = |mut config: Config| {
        config.identify.unknown_per_second = 1;
        config
    };
    let just_started = support::open(place.dir.path().into(), config, TENANT).await.open().await.unwrap();
    let flood = flooded(&just_started).await;
    for key in &keys {
        just_started.tenant(key).await.unwrap();
    }
    // One that another process makes now is heard of, and does not wait behind the flood either.
    just_started.tenant("later").await.unwrap_err();
    place.tenant("later").await;
    within_two_seconds("the new tenant", async || just_started.tenant("later").await.is_ok()).await;
    for peer in flood {
        peer.abort();
    }
}

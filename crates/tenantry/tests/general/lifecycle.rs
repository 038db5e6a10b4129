//! A tenant's life: created at run time, suspended, renamed, deleted, brought back, destroyed.

use tenantry::NewTenant;

use crate::support::{self, Installation, user_add, users};

#[tokio::test]
async fn two_sqlite_tenants_see_their_own_rows_only() {
    let place = Installation::new().await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "gus").await;
    assert_eq!(users(&acme).await, ["ann"]);
    assert_eq!(users(&globex).await, ["gus"]);
}

#[tokio::test]
async fn a_suspended_tenant_runs_no_statement_even_on_a_handle_from_before() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    place.tenancy.tenant_suspend("acme").await.unwrap();
    let error = sqlx::query("SELECT 1").fetch_all(acme.sqlite().unwrap()).await.unwrap_err();
    assert!(tenantry::Error::from(error).is_suspended());
    assert!(place.tenancy.tenant("acme").await.unwrap_err().is_suspended());
    place.tenancy.tenant_resume("acme").await.unwrap();
    assert_eq!(users(&acme).await, ["ann"]);
}

#[tokio::test]
async fn a_purged_tenant_leaves_nothing_and_its_key_is_closed_for_a_while() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    assert!(place.tenancy.tenant_purge("acme").await.unwrap_err().is_wrong_state());
    place.tenancy.tenant_delete("acme").await.unwrap();
    assert!(place.tenancy.tenant("acme").await.unwrap_err().is_unknown_tenant());
    place.tenancy.tenant_undelete("acme").await.unwrap();
    assert_eq!(users(&acme).await, ["ann"]);
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    assert_eq!(place.tenant_files(), Vec::<std::path::PathBuf>::new());
    let error = place.tenancy.tenant_create(NewTenant::new("acme").unwrap()).await.unwrap_err();
    assert!(error.is_taken() && error.is_retryable(), "{error:?}");
    let late = sqlx::query("INSERT INTO users (username) VALUES ('late')").execute(acme.sqlite().unwrap()).await;
    assert!(tenantry::Error::from(late.unwrap_err()).is_unknown_tenant());
}

/// What others of this machine may do with a file.
fn for_others(file: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o077
}

fn databases(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|file| file.to_string_lossy().contains(".db"));
    here.chain(dirs.iter().flat_map(|dir| databases(dir))).collect()
}

#[tokio::test]
async fn sqlite_shared_tables_and_templates_are_their_owners_alone_older_ones_too() {
    use std::os::unix::fs::PermissionsExt;
    let place = Installation::new().await;
    user_add(&place.tenant("acme").await, "ann").await;
    let files = databases(place.dir.path());
    let shared = files.iter().find(|file| file.ends_with("shared.db")).expect("the shared tables").clone();
    let templates = files.iter().filter(|file| file.parent().is_some_and(|dir| dir.ends_with("templates"))).count();
    assert!(templates > 0 && files.len() > 3, "{files:?}");
    for file in &files {
        assert_eq!(for_others(file), 0, "{}", file.display());
    }
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o644)).unwrap();
    let neighbour = place.neighbour().await;
    let view = neighbour.shared().await.unwrap();
    sqlx::query("SELECT 1").fetch_all(view.sqlite().unwrap()).await.unwrap();
    assert_eq!(for_others(&shared), 0);
}

#[tokio::test]
async fn sqlite_a_tenant_whose_file_is_missing_is_told_to_try_again_and_doctor_tells() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    let file = place.file_of(&acme);
    std::fs::rename(&file, file.with_extension("away")).unwrap();
    let neighbour = place.neighbour().await;
    let there = neighbour.tenant("acme").await.unwrap();
    let error = tenantry::Error::from(sqlx::query("SELECT 1").fetch_all(there.sqlite().unwrap()).await.unwrap_err());
    assert_eq!((error.http_status(), error.is_retryable()), (503, true), "{error:?}");
    let report = neighbour.doctor(tenantry::DoctorOptions::new().read_only(true)).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.code == "file_missing"), "{report:?}");
}

#[tokio::test]
async fn sqlite_doctor_counts_no_attack_as_refused_that_got_no_connection() {
    let little = |config: tenantry::Config| {
        let mut config = support::limits(1, 1)(config);
        config.pool.acquire_timeout = tenantry::Seconds::new(0.05).unwrap();
        config
    };
    let place = Installation::with(little, support::TENANT).await;
    let acme = place.tenant("acme").await;
    let report = place.tenancy.doctor(tenantry::DoctorOptions::new()).await.unwrap();
    assert!(!report.findings.iter().any(|finding| finding.code == "attack_not_tried"), "{report:?}");
    let held = acme.begin().await.unwrap();
    let report = place.tenancy.doctor(tenantry::DoctorOptions::new()).await.unwrap();
    drop(held);
    let not_tried = report.findings.iter().find(|finding| finding.code == "attack_not_tried").expect("a finding");
    assert!(not_tried.what.contains("no connection"), "{not_tried:?}");
    // Two in each direction are refused as they are read, before they need a connection.
    assert!(report.checks.iter().any(|check| check.contains("canaries: 4 attacks")), "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.code == "attack_not_tried"), "{report:?}");
}

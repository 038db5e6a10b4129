//! Transactions remember what failed in them.

use futures_util::TryStreamExt;
use tenantry::{TenantDb, TenantTx};

use crate::support::{Installation, Kind, run, user_add, users};

async fn add(tx: &mut TenantTx, name: &str) -> Result<(), sqlx::Error> {
    let insert = "INSERT INTO users (username) VALUES ($1)";
    on!(tx, view => sqlx::query(insert).bind(name).execute(view).await.map(drop))
}

async fn count(tx: &mut TenantTx) -> i64 {
    on!(tx, view => sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(view).await.unwrap())
}

async fn expect_users(db: &TenantDb, expected: &[&str]) {
    assert_eq!(users(db).await, expected);
}

pub async fn a_commit_keeps_and_a_rollback_or_a_drop_does_not(place: Installation) {
    let acme = place.tenant("acme").await;
    let mut kept = acme.begin().await.unwrap();
    add(&mut kept, "kept").await.unwrap();
    kept.commit().await.unwrap();
    let mut undone = acme.begin().await.unwrap();
    add(&mut undone, "undone").await.unwrap();
    undone.rollback().await.unwrap();
    let mut dropped = acme.begin().await.unwrap();
    add(&mut dropped, "dropped").await.unwrap();
    drop(dropped);
    expect_users(&acme, &["kept"]).await;
    user_add(&acme, "next").await;
}

pub async fn a_transaction_in_which_something_failed_is_not_committed(place: Installation) {
    let acme = place.tenant("acme").await;
    let mut tx = acme.begin().await.unwrap();
    add(&mut tx, "a").await.unwrap();
    assert!(add(&mut tx, "a").await.is_err());
    assert!(tx.commit().await.unwrap_err().is_transaction_failed());
    expect_users(&acme, &[]).await;
    let tx = acme.begin().await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn a_failure_behind_a_savepoint_is_forgiven_when_that_is_rolled_back(place: Installation) {
    let acme = place.tenant("acme").await;
    let mut tx = acme.begin().await.unwrap();
    add(&mut tx, "a").await.unwrap();
    let mut inner = tx.begin().await.unwrap();
    assert!(add(&mut inner, "a").await.is_err());
    inner.rollback().await.unwrap();
    let mut inner = tx.begin().await.unwrap();
    assert!(add(&mut inner, "a").await.is_err());
    assert!(inner.commit().await.unwrap_err().is_transaction_failed());
    let mut inner = tx.begin().await.unwrap();
    add(&mut inner, "b").await.unwrap();
    inner.commit().await.unwrap();
    tx.commit().await.unwrap();
    expect_users(&acme, &["a", "b"]).await;
}

pub async fn a_dropped_savepoint_rolls_back_before_the_next_statement(place: Installation) {
    let acme = place.tenant("acme").await;
    let mut tx = acme.begin().await.unwrap();
    add(&mut tx, "a").await.unwrap();
    let mut outer = tx.begin().await.unwrap();
    add(&mut outer, "b").await.unwrap();
    let mut inner = outer.begin().await.unwrap();
    add(&mut inner, "c").await.unwrap();
    drop(inner);
    drop(outer);
    add(&mut tx, "d").await.unwrap();
    tx.commit().await.unwrap();
    expect_users(&acme, &["a", "d"]).await;
}

pub async fn a_commit_under_an_open_savepoint_is_refused(place: Installation) {
    let acme = place.tenant("acme").await;
    let mut tx = acme.begin().await.unwrap();
    add(&mut tx, "a").await.unwrap();
    let mut inner = tx.begin().await.unwrap();
    add(&mut inner, "b").await.unwrap();
    assert!(tx.commit().await.unwrap_err().is_transaction_failed());
    assert!(add(&mut inner, "c").await.is_err());
    assert!(inner.commit().await.is_err());
    expect_users(&acme, &[]).await;
}

pub async fn a_read_transaction_sees_one_snapshot(place: Installation) {
    let acme = place.tenant("acme").await;
    user_add(&acme, "a").await;
    let mut reading = acme.begin_read().await.unwrap();
    let before = count(&mut reading).await;
    user_add(&acme, "b").await;
    assert_eq!((before, count(&mut reading).await), (1, 1));
    reading.commit().await.unwrap();
    expect_users(&acme, &["a", "b"]).await;
}

pub async fn a_read_transaction_writes_nothing_and_the_next_one_may(place: Installation) {
    let acme = place.tenant("acme").await;
    user_add(&acme, "a").await;
    for ends_well in [true, false] {
        let mut reading = acme.begin_read().await.unwrap();
        assert_eq!(count(&mut reading).await, 1);
        for write in ["DELETE FROM users", "INSERT INTO users (username) VALUES ('b')"] {
            let mut reading = acme.begin_read().await.unwrap();
            let refused = on!(reading, view => sqlx::query(write).execute(view).await.map(drop));
            assert!(refused.is_err(), "{write}");
            assert!(reading.commit().await.unwrap_err().is_transaction_failed());
        }
        match ends_well {
            true => reading.commit().await.unwrap(),
            false => drop(reading),
        }
        expect_users(&acme, &["a"]).await;
    }
    // Whichever connection it meets.
    for n in 0..8 {
        user_add(&acme, &format!("n{n}")).await;
    }
}

pub async fn a_dropped_stream_of_reads_does_not_fail_the_transaction(place: Installation) {
    let acme = place.tenant("acme").await;
    for n in 0..100 {
        user_add(&acme, &format!("u{n}")).await;
    }
    let mut tx = acme.begin().await.unwrap();
    on!(tx, view => {
        let mut rows = sqlx::query("SELECT id FROM users").fetch(view);
        assert!(rows.try_next().await.unwrap().is_some());
    });
    add(&mut tx, "after").await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = acme.begin().await.unwrap();
    on!(tx, view => {
        let mut rows = sqlx::query("DELETE FROM users RETURNING id").fetch(view);
        assert!(rows.try_next().await.unwrap().is_some());
    });
    assert!(tx.commit().await.unwrap_err().is_transaction_failed(), "nobody knows how much of it was done");
    assert_eq!(users(&acme).await.len(), 101);
}

/// Polls a future once and drops it: whatever it asked for is on its way, and nobody reads the answer.
async fn poll_once<F: Future>(future: F) {
    let mut future = Box::pin(future);
    std::future::poll_fn(|cx| {
        drop(future.as_mut().poll(cx));
        std::task::Poll::Ready(())
    })
    .await;
}

pub async fn a_savepoint_for_a_caller_who_went_away_is_taken_for_no_other(place: Installation) {
    let acme = place.tenant("acme").await;
    for end in ["rollback", "drop"] {
        let mut tx = acme.begin().await.unwrap();
        add(&mut tx, &format!("kept by {end}")).await.unwrap();
        let mut inner = tx.begin().await.unwrap();
        add(&mut inner, "undone").await.unwrap();
        poll_once(inner.begin()).await;
        if end == "rollback" {
            inner.rollback().await.unwrap();
        } else {
            drop(inner);
        }
        tx.commit().await.unwrap();
    }
    expect_users(&acme, &["kept by rollback", "kept by drop"]).await;
}

pub async fn a_transaction_that_the_database_ended_unseen_stores_nothing_more(place: Installation) {
    let acme = place.tenant("acme").await;
    user_add(&acme, "a").await;
    let mut tx = acme.begin().await.unwrap();
    add(&mut tx, "b").await.unwrap();
    // It ends the whole transaction, or leaves it to be rolled back, and nobody is told.
    let conflict = match place.kind {
        Kind::SqliteDatabase => "INSERT OR ROLLBACK INTO users (username) VALUES ('a')",
        Kind::PostgresRow | Kind::PostgresSchema | Kind::PostgresDatabase => {
            "INSERT INTO users (username) VALUES ('a')"
        }
    };
    on!(tx, view => poll_once(sqlx::raw_sql(conflict).execute(view)).await);
    assert!(add(&mut tx, "c").await.is_err(), "this would be stored outside of any transaction");
    assert!(tx.begin().await.is_err());
    assert!(tx.commit().await.is_err());
    expect_users(&acme, &["a"]).await;
}

pub async fn a_suspended_tenants_open_transaction_goes_no_further(place: Installation) {
    let acme = place.tenant("acme").await;
    let mut tx = acme.begin().await.unwrap();
    add(&mut tx, "a").await.unwrap();
    place.tenancy.tenant_suspend("acme").await.unwrap();
    let refused = tenantry::Error::from(add(&mut tx, "b").await.unwrap_err());
    assert!(refused.is_suspended(), "{refused:?}");
    assert!(tx.commit().await.unwrap_err().is_suspended());
    place.tenancy.tenant_resume("acme").await.unwrap();
    expect_users(&acme, &[]).await;
}

/// A small machine of random steps: what the transaction keeps is what the model keeps.
pub async fn random_nesting_ends_as_the_model_says(place: Installation) {
    let acme = place.tenant("acme").await;
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    // On some engines nothing goes on behind a failure but the way back.
    let goes_on = place.kind == Kind::SqliteDatabase;
    for round in 0..40 {
        run(&acme, "DELETE FROM users").await.unwrap();
        // Each level: its transaction, the names written in it, and whether something failed.
        let mut levels = vec![(acme.begin().await.unwrap(), Vec::<String>::new(), false)];
        for step in 0..12 {
            let (tx, names, failed) = levels.last_mut().unwrap();
            match next(6) {
                0 | 1 => {
                    let name = format!("r{round}-{step}");
                    let added = add(tx, &name).await;
                    assert_eq!(added.is_ok(), goes_on || !*failed, "{added:?}");
                    names.push(name);
                }
                2 => {
                    let null = "INSERT INTO users (username) VALUES (NULL)";
                    assert!(on!(tx, view => sqlx::query(null).execute(view).await.is_err()));
                    *failed = true;
                }
                3 => match tx.begin().await {
                    Ok(inner) => {
                        assert!(goes_on || !*failed);
                        levels.push((inner, Vec::new(), false));
                    }
                    Err(error) => assert!(!goes_on && *failed, "{error:?}"),
                },
                end if levels.len() > 1 => {
                    let (tx, names, failed) = levels.pop().unwrap();
                    if end == 4 {
                        assert_eq!(tx.commit().await.is_ok(), !failed);
                        if !failed {
                            levels.last_mut().unwrap().1.extend(names);
                        }
                    } else if next(2) == 0 {
                        tx.rollback().await.unwrap();
                    } else {
                        drop(tx);
                    }
                }
                _ => {}
            }
        }
        while levels.len() > 1 {
            drop(levels.pop());
        }
        let (tx, names, failed) = levels.pop().unwrap();
        assert_eq!(tx.commit().await.is_ok(), !failed);
        let expected = if failed { Vec::new() } else { names };
        assert_eq!(users(&acme).await, expected, "round {round}");
    }
}

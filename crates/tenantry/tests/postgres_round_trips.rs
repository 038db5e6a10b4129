//! What a statement costs on the way to PostgreSQL, counted on a wire that the test holds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use support::{Installation, Kind, TENANT, user_add};
use tenantry::{NewServer, TenantDb};
use tenantry_testbed::Postgres;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Stands before the server, counts how often a client speaks after it was spoken to, and answers only so often.
#[derive(Clone)]
struct Wire {
    trips: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Wire {
    async fn before(port: u16) -> (Self, u16) {
        let wire = Self { trips: Arc::default(), answered: Arc::new(AtomicUsize::new(usize::MAX)) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let forward = wire.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                forward.clone().forward(client, server);
            }
        });
        (wire, own)
    }

    fn forward(self, client: TcpStream, server: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let client_speaks = Arc::new(AtomicBool::new(false));
        let (wire, speaks) = (self.clone(), Arc::clone(&client_speaks));
        tokio::spawn(pump(from_client, to_server, async move || {
            if !speaks.swap(true, Ordering::SeqCst) {
                wire.trips.fetch_add(1, Ordering::SeqCst);
            }
        }));
        tokio::spawn(pump(from_server, to_client, async move || {
            while self.trips.load(Ordering::SeqCst) > self.answered.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            client_speaks.store(false, Ordering::SeqCst);
        }));
    }

    /// From now on only so many round trips are answered.
    fn answers_only(&self, trips: usize) {
        self.trips.store(0, Ordering::SeqCst);
        self.answered.store(trips, Ordering::SeqCst);
    }
}

async fn pump(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, mut on: impl AsyncFnMut()) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        on().await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// A tenant whose connections go through the counter; one, so that it is warm after the first use.
async fn counted(kind: Kind) -> (Installation, TenantDb, Wire) {
    let server: PgConnectOptions = Postgres::shared().unwrap().tcp_url("postgres").parse().unwrap();
    let (wire, port) = Wire::before(server.get_port()).await;
    let database = Postgres::shared().unwrap().database().unwrap();
    let url = database.tcp_url().replace(&format!(":{}/", server.get_port()), &format!(":{port}/"));
    let through = move |_| NewServer::new("local", url).connections(1);
    let place = Installation::at(kind, Some(database), |config| config, TENANT, through).await;
    let db = place.tenant("acme").await;
    user_add(&db, "ann").await;
    (place, db, wire)
}

async fn read(db: &TenantDb) {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT username FROM users").fetch_all(db.postgres().unwrap()).await.unwrap();
    assert_eq!(names, ["ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_read_costs_its_caller_two_round_trips_to_postgres_and_one_in_a_database_of_its_own() {
    for (kind, expected) in [(Kind::PostgresRow, 2), (Kind::PostgresSchema, 2), (Kind::PostgresDatabase, 1)] {
        let (place, db, wire) = counted(kind).await;
        for _ in 0..3 {
            // A connection that was reset behind a request that went away has to prepare the statement again.
            read(&db).await;
            read(&db).await;
            settled(&place).await;
            wire.answers_only(expected);
            let answer = tokio::time::timeout(Duration::from_secs(20), read(&db)).await;
            assert!(answer.is_ok(), "{kind:?}: {expected} round trips were not enough");
            wire.answers_only(usize::MAX);
            settled(&place).await;
            wire.answers_only(expected - 1);
            let answer = tokio::time::timeout(Duration::from_millis(300), read(&db)).await;
            assert!(answer.is_err(), "{kind:?}: the wire does not count");
            wire.answers_only(usize::MAX);
        }
        drop(place);
    }
}

/// What is done behind an answer is over: the connection is back.
async fn settled(place: &Installation) {
    while place.tenancy.stats().iter().any(|(_, stats)| stats.idle != stats.open || stats.open == 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

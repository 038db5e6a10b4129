//! A wire that the test holds: it stands between tenantry and a server.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use tenantry::{Config, NewServer, PoolLimits, TenantDb};
use tenantry_testbed::Postgres;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Installation, Kind, TENANT, user_add};

/// Stands before the server, counts how often a client speaks after it was spoken to, and answers only so often.
#[derive(Clone)]
pub struct Counter {
    trips: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    /// How many bytes are passed on at once.
    pub piece: Arc<AtomicUsize>,
    /// Bytes that came from the server.
    pub bytes: Arc<AtomicUsize>,
    /// Set, the next answer of the server is kept and the connection cut.
    pub cut: Arc<AtomicBool>,
}

impl Counter {
    pub async fn before(port: u16) -> (Self, u16) {
        let counter = Self {
            trips: Arc::default(),
            answered: Arc::new(AtomicUsize::new(usize::MAX)),
            piece: Arc::new(AtomicUsize::new(64 * 1024)),
            bytes: Arc::default(),
            cut: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let forward = counter.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                forward.clone().forward(client, server);
            }
        });
        (counter, own)
    }

    fn forward(self, client: TcpStream, server: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let client_speaks = Arc::new(AtomicBool::new(false));
        let (counter, speaks) = (self.clone(), Arc::clone(&client_speaks));
        let piece = Arc::clone(&self.piece);
        tokio::spawn(pump(from_client, to_server, Arc::clone(&piece), async move |_| {
            if !speaks.swap(true, Ordering::SeqCst) {
                counter.trips.fetch_add(1, Ordering::SeqCst);
            }
            true
        }));
        tokio::spawn(pump(from_server, to_client, piece, async move |count| {
            self.bytes.fetch_add(count, Ordering::SeqCst);
            while self.trips.load(Ordering::SeqCst) > self.answered.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            client_speaks.store(false, Ordering::SeqCst);
            !self.cut.swap(false, Ordering::SeqCst)
        }));
    }

    /// From now on only so many round trips are answered.
    pub fn answers_only(&self, trips: usize) {
        self.trips.store(0, Ordering::SeqCst);
        self.answered.store(trips, Ordering::SeqCst);
    }

    /// Waits until somebody speaks who gets no answer, for only so many are given.
    pub async fn speaks_after(&self, trips: usize) {
        while self.trips.load(Ordering::SeqCst) <= trips {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Ends, and closes what it writes to, when it is told so.
async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    piece: Arc<AtomicUsize>,
    mut on: impl AsyncFnMut(usize) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !on(count).await {
            return;
        }
        for some in buffer[..count].chunks(piece.load(Ordering::SeqCst)) {
            if to.write_all(some).await.is_err() {
                return;
            }
        }
    }
}

/// Tenants whose connections go through the counter; one connection, so that it is warm after the first use.
pub async fn counted(kind: Kind, wire: bool) -> (Installation, [TenantDb; 2], Counter) {
    let server: PgConnectOptions = Postgres::shared().unwrap().tcp_url("postgres").parse().unwrap();
    let (counter, port) = Counter::before(server.get_port()).await;
    let database = Postgres::shared().unwrap().database().unwrap();
    let url = database.tcp_url().replace(&format!(":{}/", server.get_port()), &format!(":{port}/"));
    let through = move |_| NewServer::new("local", url).connections(1);
    let change = |config: Config| Config { pool: PoolLimits { wire, ..config.pool }, ..config };
    let place = Installation::at(kind, Some(database), change, TENANT, through).await;
    let tenants = [place.tenant("acme").await, place.tenant("other").await];
    for db in &tenants {
        user_add(db, "ann").await;
    }
    (place, tenants, counter)
}

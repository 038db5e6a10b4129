//! What one request may take: time for its headers, its body and its answer, and the size of its body.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use tenantry::TenantTx;

use crate::{
    home::{Engine, Home},
    support::{Request, Shop, exchange, users_a},
};

const HEAD: &str = "POST /tenant_a/users HTTP/1.1\r\nHost: localhost\r\n";

#[track_caller]
fn assert_problem(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)), "{answer}");
}

/// Sends a text again and again, each time long before a limit, until the server has had enough.
fn trickle(mut stream: TcpStream, start: &str, again: &str) -> String {
    stream.write_all(start.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let again = again.to_owned();
    let trickling = thread::spawn(move || {
        for _ in 0..300 {
            thread::sleep(Duration::from_millis(100));
            if writer.write_all(again.as_bytes()).is_err() {
                return;
            }
        }
    });
    let mut answer = [0; 4096];
    // A connection that is closed while more is sent is reset.
    let length = stream.read(&mut answer).unwrap_or(0);
    drop(stream);
    trickling.join().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

pub(crate) fn a_client_that_sends_its_headers_or_its_body_slowly_is_not_waited_for(on: Engine) {
    let shop = Home::on(on).start(&["--header-timeout", "0.5", "--body-timeout", "0.5"]);
    assert_eq!(exchange(&mut shop.connect(), ""), "");
    assert_eq!(exchange(&mut shop.connect(), HEAD), "");
    assert_eq!(trickle(shop.connect(), HEAD, "X-Slow: 1\r\n"), "");
    let begun = format!("{HEAD}Content-Length: 1000\r\n\r\n{{");
    assert_problem(&exchange(&mut shop.connect(), &begun), 408, "body_too_slow");
    assert_problem(&trickle(shop.connect(), &begun, " "), 408, "body_too_slow");
    shop.get("/tenant_a/users").expect(200, users_a());
}

pub(crate) fn a_body_that_is_too_large_is_refused_with_and_without_its_length(on: Engine) {
    let shop = Home::on(on).start(&["--body-bytes", "1000"]);
    // Nothing of it was sent when the answer comes.
    let said = format!("{HEAD}Content-Length: 1001\r\nConnection: close\r\n\r\n");
    assert_problem(&exchange(&mut shop.connect(), &said), 413, "body_too_large");
    let part = "x".repeat(500);
    let parts = format!("1f4\r\n{part}\r\n1f4\r\n{part}\r\n1\r\nx\r\n0\r\n\r\n");
    let unsaid = format!("{HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{parts}");
    assert_problem(&exchange(&mut shop.connect(), &unsaid), 413, "body_too_large");
    let longest = format!(r#"{{"username":"{}"}}"#, "x".repeat(1000 - 15));
    shop.send(Request::post("/tenant_a/users", longest)).refused(422, "invalid_input");
    shop.get("/tenant_a/users").expect(200, users_a());
}

pub(crate) fn a_handler_that_takes_too_long_is_stopped_and_leaves_nothing(on: Engine) {
    let shop = Home::on(on).start(&["--total-timeout", "1"]);
    shop.operate(async |tenancy| {
        let tx = tenancy.tenant("tenant_a").await.unwrap().begin().await.unwrap();
        tx.execute_unprepared("INSERT INTO users (username) VALUES ('slow')").await.unwrap();
        // The shop's own row has to wait until it is known whether this one stays.
        shop.post("/tenant_a/users", json!({"username": "slow"})).refused(503, "outcome_unknown");
        while on != Engine::Sqlite && is_waited_for(&shop, &tx).await {
            thread::sleep(Duration::from_millis(20));
        }
        tx.rollback().await.unwrap();
    });
    shop.get("/tenant_a/users").expect(200, users_a());
    assert_eq!(shop.post("/tenant_a/users", json!({"username": "slow"})).status, 201);
}

/// Whether a statement of somebody else's waits for the end of this transaction, as the server tells its administrator.
async fn is_waited_for(shop: &Shop, tx: &TenantTx) -> bool {
    let own = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_current_xact_id()::xid::text", []);
    let own: String = tx.query_one_raw(own).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    let waits = format!("SELECT count(*) FROM pg_locks WHERE transactionid = '{own}'::xid AND NOT granted");
    shop.home.database.as_ref().unwrap().sql(&waits).unwrap().trim() != "0"
}

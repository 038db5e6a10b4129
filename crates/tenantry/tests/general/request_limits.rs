//! The limits of one request, on real sockets: what a client hears that is too slow or sends too much, and an app that is too slow.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::StatusCode,
    routing::{any, post},
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tenantry::{RequestLimits, Seconds};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// Longer than every limit that a test is about.
const PATIENCE: Duration = Duration::from_secs(30);

fn limits() -> RequestLimits {
    RequestLimits { body_bytes: NonZeroU32::new(16).unwrap(), ..RequestLimits::default() }
}

fn short() -> Seconds {
    Seconds::new(0.3).unwrap()
}

/// Handlers that make of a bad body what they like.
fn app() -> Router {
    let content = async |body: Body| -> Result<String, StatusCode> {
        let mut count = 0;
        let mut parts = body.into_data_stream();
        while let Some(part) = parts.next().await {
            count += part.map_err(|_| StatusCode::IM_A_TEAPOT)?.len();
        }
        Ok(count.to_string())
    };
    let part = async |body: Body| {
        let first = body.into_data_stream().next().await;
        format!("{}", first.is_some_and(|first| first.is_ok()))
    };
    Router::new()
        .route("/bytes", post(async |body: Bytes| body.len().to_string()))
        .route("/content", post(content))
        .route("/part", post(part))
        .route("/never", any(std::future::pending::<()>))
        .route("/peer", any(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()))
}

/// Serves until the sender is used or dropped.
async fn serve(limits: RequestLimits) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(limits.serve(listener, app(), async { drop(stopped.await) }));
    (address, stop)
}

async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the server closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an end").unwrap();
    answer
}

async fn send(address: SocketAddr, text: &str) -> String {
    rest(connect(address, text).await).await
}

fn post_head(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{body}\r\n\r\n")
}

#[track_caller]
fn assert_problem(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    assert!(head.contains("cache-control: no-store"), "{answer}");
    let body: Value = serde_json::from_str(body).expect("problem JSON");
    assert_eq!((&body["status"], &body["code"], &body["type"]), (&json!(status), &json!(code), &json!("about:blank")));
}

#[tokio::test]
async fn a_body_that_says_to_be_larger_than_the_limit_is_refused_before_it_comes() {
    let (address, _stop) = serve(limits()).await;
    for path in ["/bytes", "/content", "/part", "/nowhere"] {
        let answer = send(address, &post_head(path, "Content-Length: 17")).await;
        assert_problem(&answer, 413, "body_too_large");
    }
}

#[tokio::test]
async fn a_body_that_does_not_say_its_length_is_refused_where_it_passes_the_limit() {
    let (address, _stop) = serve(limits()).await;
    for path in ["/bytes", "/content"] {
        let chunks = "Transfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n8\r\nabcdefgh\r\n1\r\nx\r\n0";
        assert_problem(&send(address, &post_head(path, chunks)).await, 413, "body_too_large");
    }
    let chunks = "Transfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n8\r\nabcdefgh\r\n0";
    let answer = send(address, &post_head("/bytes", chunks)).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n16"), "{answer}");
}

#[tokio::test]
async fn the_limit_of_bodies_overrides_the_one_of_axum() {
    let large = NonZeroU32::new(3_000_000).unwrap();
    let (address, _stop) = serve(RequestLimits { body_bytes: large, ..limits() }).await;
    let body = format!("Content-Length: 3000000\r\n\r\n{}", "x".repeat(3_000_000));
    let answer = send(address, post_head("/bytes", &body).trim_end()).await;
    assert!(answer.ends_with("\r\n\r\n3000000"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_408_whatever_the_handler_makes_of_it() {
    let (address, _stop) = serve(RequestLimits { body_timeout: short(), ..limits() }).await;
    for path in ["/bytes", "/content"] {
        for begun in ["Content-Length: 9\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc"] {
            let answer = send(address, post_head(path, begun).trim_end()).await;
            assert_problem(&answer, 408, "body_too_slow");
        }
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_408_too() {
    let (address, _stop) = serve(RequestLimits { body_timeout: short(), ..limits() }).await;
    let mut stream = connect(address, &post_head("/bytes", "Content-Length: 16")).await;
    let begun = Instant::now();
    let mut answer = [0; 1024];
    // Each byte comes within the limit; all of them would take five times as long.
    let length = loop {
        let byte = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut answer)).await;
        if let Ok(length) = byte {
            break length.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "the byte-wise client is served on");
        // The server may close in between, and then the answer is there to be read.
        let _ = stream.write_all(b"x").await;
    };
    assert_problem(str::from_utf8(&answer[..length]).unwrap(), 408, "body_too_slow");
}

#[tokio::test]
async fn a_handler_that_answers_after_a_part_of_the_body_is_heard() {
    let (address, _stop) = serve(RequestLimits { body_timeout: short(), ..limits() }).await;
    let answer = send(address, post_head("/part", "Content-Length: 9\r\n\r\nabc").trim_end()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("true"), "{answer}");
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_stopped_and_says_whether_it_may_have_changed_something() {
    let (address, _stop) = serve(RequestLimits { total_timeout: short(), ..limits() }).await;
    let ask = |method: &str| format!("{method} /never HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = send(address, &ask("GET")).await;
    assert_problem(&answer, 503, "too_slow");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = send(address, &ask(method)).await;
        assert_problem(&answer, 503, "outcome_unknown");
        assert!(!answer.contains("retry-after"), "{answer}");
    }
}

#[tokio::test]
async fn a_handler_that_waits_for_the_client_all_the_time_is_not_to_blame() {
    let (address, _stop) = serve(RequestLimits { total_timeout: short(), ..limits() }).await;
    let answer = send(address, post_head("/bytes", "Content-Length: 9\r\n\r\nabc").trim_end()).await;
    assert_problem(&answer, 408, "body_too_slow");
}

#[tokio::test]
async fn headers_that_do_not_come_in_time_close_the_connection() {
    let (address, _stop) = serve(RequestLimits { header_timeout: short(), ..limits() }).await;
    for begun in ["", "P", "POST /bytes HTTP/1.1\r\nHost: localhost\r\nX-Slow: "] {
        assert_eq!(send(address, begun).await, "", "{begun:?}");
    }
    // After an answer too: the next headers have as long.
    let kept = "GET /peer HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = send(address, &format!("{kept}GET /pe")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn headers_that_trickle_close_the_connection_too() {
    let (address, _stop) = serve(RequestLimits { header_timeout: short(), ..limits() }).await;
    let mut stream = connect(address, "GET /peer HTTP/1.1\r\n").await;
    let begun = Instant::now();
    let mut answer = [0; 1024];
    loop {
        match tokio::time::timeout(Duration::from_millis(100), stream.read(&mut answer)).await {
            Ok(read) => break assert_eq!(read.unwrap_or(0), 0, "an answer to half a request"),
            Err(_) => drop(stream.write_all(b"X-Slow: 1\r\n").await),
        }
        assert!(begun.elapsed() < PATIENCE, "the slow client is waited for");
    }
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_serves_requests_that_had_begun() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(limits().serve(listener, app(), async { drop(stopped.await) }));
    let idle = connect(address, "").await;
    let kept = connect(address, "GET /peer HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    kept.readable().await.unwrap();
    let mut begun = connect(address, &post_head("/part", "Expect: 100-continue\r\nContent-Length: 4")).await;
    // The handler waits for the body: it says so.
    let mut expected = [0; 25];
    begun.read_exact(&mut expected).await.unwrap();
    assert_eq!(&expected, b"HTTP/1.1 100 Continue\r\n\r\n");
    stop.send(()).unwrap();
    assert_eq!(rest(idle).await, "");
    assert!(rest(kept).await.ends_with("127.0.0.1"));
    assert!(!serving.is_finished());
    begun.write_all(b"late").await.unwrap();
    assert!(rest(begun).await.ends_with("true"));
    tokio::time::timeout(PATIENCE, serving).await.expect("the loop ends").unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "it still accepts");
}

#[test]
fn limits_are_read_from_settings_and_never_switched_off() {
    let read = |text: &str| serde_json::from_str::<RequestLimits>(text);
    let limits = read(r#"{"total_timeout": 7, "body_bytes": 1000}"#).unwrap();
    assert_eq!(limits.total_timeout, Seconds::new(7.0).unwrap());
    assert_eq!(limits.header_timeout, RequestLimits::default().header_timeout);
    for wrong in
        ["total_timeout\": 0", "body_timeout\": -1", "header_timeout\": 1e300", "body_bytes\": 0", "bytes\": 1"]
    {
        assert!(read(&format!("{{\"{wrong}}}")).is_err(), "{wrong}");
    }
}

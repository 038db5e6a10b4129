//! Starting, ending, being killed, starting again.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;
use tenantry::{MigrateOptions, TenantFilter};

use crate::{
    home::{Engine, Home},
    support::{Request, Shop, exchange, users_b},
};

pub(crate) fn the_banner_is_six_lines_at_most_and_its_commands_work(on: Engine) {
    let shop = Shop::start(on);
    assert!(shop.banner.len() <= 6, "{:#?}", shop.banner);
    let text = shop.banner.join("\n");
    for path in ["/tenant_a/users", "/tenant_b/users", "/me/priced-orders"] {
        assert!(text.contains(&format!("http://{}{path}", shop.address)), "{text}");
    }
    assert!(shop.log().is_empty(), "{}", shop.log());
}

pub(crate) fn secrets_are_for_the_owner_of_the_directory_only(on: Engine) {
    let shop = Shop::start(on);
    let mode = |file: &str| fs::metadata(shop.home.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/tenantry.key"), mode("data/tenantry.toml")), (0o700, 0o600, 0o600));
}

pub(crate) fn a_restart_keeps_everything_and_makes_no_demo_a_second_time(on: Engine) {
    let shop = Shop::start(on);
    shop.post("/signup", json!({"tenant": "acme"}));
    shop.post("/acme/users", json!({"username": "x"}));
    shop.post("/tenant_a/users", json!({"username": "y"}));
    let shop = shop.stop(Signal::TERM).start(&[]);
    shop.get("/acme").expect(200, json!({"acme": ["x"]}));
    shop.get("/tenant_a").expect(200, json!({"tenant_a": ["userA", "userB", "y"]}));
    shop.get("/tenant_b/users").expect(200, users_b());
    let orders = shop.send(Request::get("/me/priced-orders").basic("client1@shop.test", "demo"));
    assert_eq!(orders.json().as_array().unwrap().len(), 2);
}

pub(crate) fn what_was_acknowledged_is_there_after_kill_9(on: Engine) {
    let shop = Shop::start(on);
    shop.post("/signup", json!({"tenant": "acme"}));
    for number in 0..20 {
        assert_eq!(shop.post("/acme/users", json!({"username": format!("u{number}")})).status, 201);
    }
    let shop = shop.stop(Signal::KILL).start(&[]);
    shop.get("/acme/dashboard").expect(200, json!({"tenant": "acme", "users": 20, "products": 0, "orders": 0}));
}

pub(crate) fn without_a_demo_nobody_is_there_and_none_is_made_where_others_live(on: Engine) {
    let shop = Home::on(on).start(&["--no-demo"]);
    assert!(!shop.banner.join("").contains("tenant_a"), "{:?}", shop.banner);
    shop.get("/tenant_a/users").refused(404, "unknown_tenant");
    shop.post("/signup", json!({"tenant": "acme"}));
    let shop = shop.stop(Signal::TERM).start(&[]);
    shop.get("/tenant_a/users").refused(404, "unknown_tenant");
    shop.get("/acme/users").expect(200, json!([]));
    assert!(!shop.banner.join("").contains("tenant_a"), "{:?}", shop.banner);
}

/// Three processes write for a tenant while it is deleted and purged. Whatever was acknowledged later, or stays behind, would be
/// found: by the answers, and by doctor.
pub(crate) fn a_purge_is_final_for_three_processes_that_write(on: Engine) {
    let shop = Shop::start(on);
    let others = [shop.another("log-2"), shop.another("log-3")];
    assert_eq!(shop.post("/signup", json!({"tenant": "acme"})).status, 201);
    let purged = OnceLock::new();
    let write = |shop: &Shop, writer: usize| {
        for number in 0.. {
            let asked = Instant::now();
            // An answer that did not wait for the body ends the connection: then nothing was acknowledged either.
            let user = json!({"username": format!("{writer}-{number}")});
            let status = shop.try_send(Request::post("/acme/users", user)).map(|answer| answer.status);
            match purged.get() {
                Some(purged) if asked.duration_since(*purged) > Duration::from_secs(3) => return,
                Some(purged) if asked > *purged => {
                    assert!(status.is_none_or(|s| [403, 404, 409, 503].contains(&s)), "{status:?}")
                }
                _ => {}
            }
        }
    };
    thread::scope(|scope| {
        let all = [&shop, &others[0], &others[1]];
        for writer in 0..6 {
            let write = &write;
            scope.spawn(move || write(all[writer % 3], writer));
        }
        thread::sleep(Duration::from_secs(1));
        shop.operate(async |tenancy| {
            tenancy.tenant_delete("acme").await.unwrap();
            tenancy.tenant_purge("acme").await.unwrap();
        });
        purged.set(Instant::now()).unwrap();
    });
    for shop in [&shop, &others[0], &others[1]] {
        shop.get("/acme/users").refused(404, "unknown_tenant");
        shop.get("/tenant_b/users").expect(200, users_b());
    }
    shop.is_healthy();
}

/// The beginning of a request whose body is still to come.
fn begin(shop: &Shop, body: &str) -> TcpStream {
    let mut stream = shop.connect();
    let length = body.len();
    let head =
        format!("POST /tenant_a/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}");
    stream.write_all(format!("{head}\r\n\r\n").as_bytes()).unwrap();
    // Long enough for the program to have read it.
    thread::sleep(Duration::from_millis(300));
    stream
}

pub(crate) fn a_request_that_had_begun_is_served_to_its_end_and_the_program_ends_with_0(on: Engine) {
    for signal in [Signal::TERM, Signal::INT] {
        let shop = Shop::start(on);
        let body = r#"{"username":"late"}"#;
        let mut in_flight = begin(&shop, body);
        shop.signal(signal);
        thread::sleep(Duration::from_millis(300));
        assert!(TcpStream::connect(&shop.address).is_err(), "it still accepts");
        let answer = exchange(&mut in_flight, body);
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        let shop = shop.stop(signal).start(&[]);
        shop.get("/tenant_a").expect(200, json!({"tenant_a": ["userA", "userB", "late"]}));
    }
}

pub(crate) fn a_client_that_never_ends_its_request_does_not_keep_the_program(on: Engine) {
    let mut shop = Shop::start(on);
    let mut idle = shop.connect();
    let stuck = begin(&shop, "never sent");
    shop.signal(Signal::TERM);
    let asked = Instant::now();
    assert!(shop.ended().success());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).unwrap_or(0), 0);
    drop(stuck);
}

pub(crate) fn what_an_operator_did_to_the_demo_is_not_undone_by_a_restart(on: Engine) {
    let shop = Shop::start(on);
    shop.operate(async |tenancy| {
        tenancy.tenant_delete("tenant_b").await.unwrap();
        tenancy.tenant_rename("client1", "customer1").await.unwrap();
    });
    let shop = shop.stop(Signal::TERM).start(&[]);
    shop.get("/tenant_b/users").refused(404, "unknown_tenant");
    shop.get("/client1/users").refused(404, "unknown_tenant");
    // An account names its organisation by id, which a rename leaves as it is.
    let signed_in = Request::get("/customer1/me/priced-orders").basic("client1@shop.test", "demo");
    assert_eq!(shop.send(signed_in).json().as_array().unwrap().len(), 2);
}

pub(crate) fn the_operators_program_finds_the_same_installation(on: Engine) {
    let shop = Shop::start(on);
    shop.operate(async |tenancy| {
        let tenants = tenancy.tenant_list(&TenantFilter::all()).await.unwrap();
        let keys: Vec<_> = tenants.iter().map(|tenant| tenant.key.as_str()).collect();
        assert_eq!(keys, ["client1", "client2", "tenant_a", "tenant_b"]);
        assert!(tenants.iter().all(|tenant| tenant.isolation.as_str() == on.isolation()), "{tenants:?}");
        let pending = tenancy.migrations().plan(&MigrateOptions::new()).await.unwrap();
        assert!(pending.iter().all(|target| target.pending.is_empty()), "{pending:?}");
        assert!(tenancy.tenant_key("openapi").is_err());
        tenancy.tenant_suspend("tenant_b").await.unwrap();
    });
    let began = Instant::now();
    while shop.get("/tenant_b/users").status != 403 {
        assert!(began.elapsed() < Duration::from_secs(10), "the shop does not hear of it");
        thread::sleep(Duration::from_millis(50));
    }
    shop.get("/tenant_b/users").refused(403, "tenant_suspended");
}

//! Starting, ending, being killed, starting again.

use std::{
    fs,
    io::{BufRead, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;
use tenantry::{MigrateOptions, TenantFilter, Tenantry};

use crate::support::{Request, Shop, command, exchange, users_a, users_b};

#[test]
fn the_banner_is_six_lines_at_most_and_its_commands_work() {
    let shop = Shop::start();
    assert!(shop.banner.len() <= 6, "{:#?}", shop.banner);
    let text = shop.banner.join("\n");
    for path in ["/tenant_a/users", "/tenant_b/users", "/me/priced-orders"] {
        assert!(text.contains(&format!("http://{}{path}", shop.address)), "{text}");
    }
    assert!(shop.log().is_empty(), "{}", shop.log());
}

#[test]
fn secrets_are_for_the_owner_of_the_directory_only() {
    let shop = Shop::start();
    let mode = |file: &str| fs::metadata(shop.dir.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/tenantry.key"), mode("data/tenantry.toml")), (0o700, 0o600, 0o600));
}

#[test]
fn a_restart_keeps_everything_and_makes_no_demo_a_second_time() {
    let shop = Shop::start();
    shop.post("/signup", json!({"tenant": "acme"}));
    shop.post("/acme/users", json!({"username": "x"}));
    shop.post("/tenant_a/users", json!({"username": "y"}));
    let shop = Shop::start_in(shop.stop(Signal::TERM), &[]);
    shop.get("/acme").expect(200, json!({"acme": ["x"]}));
    shop.get("/tenant_a").expect(200, json!({"tenant_a": ["userA", "userB", "y"]}));
    shop.get("/tenant_b/users").expect(200, users_b());
    let orders = shop.send(Request::get("/me/priced-orders").basic("client1@shop.test", "demo"));
    assert_eq!(orders.json().as_array().unwrap().len(), 2);
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let shop = Shop::start();
    shop.post("/signup", json!({"tenant": "acme"}));
    for number in 0..20 {
        assert_eq!(shop.post("/acme/users", json!({"username": format!("u{number}")})).status, 201);
    }
    let shop = Shop::start_in(shop.stop(Signal::KILL), &[]);
    shop.get("/acme/dashboard").expect(200, json!({"tenant": "acme", "users": 20, "products": 0, "orders": 0}));
}

/// What a first start makes, in its order.
const MOMENTS: [&str; 6] =
    ["data/migrations", "data/tenantry.toml", "data/tenantry.key", "data/catalog.db", "data/local/shared.db", TENANTS];
const TENANTS: &str = "data/local/tenants";

/// Kills a first start a little after a moment, and gives the directory that it left.
fn killed_after(moment: &str, delay: Duration) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(moment);
    let has_come = || match moment {
        TENANTS => fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()),
        _ => path.exists(),
    };
    let mut child = command(dir.path(), &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !has_come() {
        assert!(began.elapsed() < Duration::from_secs(20), "{moment} does not come");
        thread::sleep(Duration::from_micros(200));
    }
    thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    dir
}

fn the_demo_is_whole(shop: &Shop) {
    shop.get("/tenant_a/users").expect(200, users_a());
    shop.get("/tenant_b/users").expect(200, users_b());
    for (tenant, products, orders) in [("client1", 2, 2), ("client2", 1, 3)] {
        let dashboard = json!({"tenant": tenant, "users": 2, "products": products, "orders": orders});
        shop.get(&format!("/{tenant}/dashboard")).expect(200, dashboard);
        let signed_in = Request::get("/me/priced-orders").basic(&format!("{tenant}@shop.test"), "demo");
        assert_eq!(shop.send(signed_in).json().as_array().unwrap().len(), orders);
    }
}

#[test]
fn a_first_start_that_was_killed_is_ended_by_the_next() {
    let kills = MOMENTS.iter().flat_map(|&moment| [0, 5, 30].map(|delay| (moment, delay)));
    let left: Vec<_> = kills.map(|(moment, delay)| killed_after(moment, Duration::from_millis(delay))).collect();
    // All at once, for those that were killed while they made a tenant wait for the same ten seconds.
    thread::scope(|scope| {
        for dir in left {
            scope.spawn(|| the_demo_is_whole(&Shop::start_in(dir, &[])));
        }
    });
}

#[test]
fn without_a_demo_nobody_is_there_and_none_is_made_where_others_live() {
    let shop = Shop::start_in(tempfile::tempdir().unwrap(), &["--no-demo"]);
    assert!(!shop.banner.join("").contains("tenant_a"), "{:?}", shop.banner);
    shop.get("/tenant_a/users").refused(404, "unknown_tenant");
    shop.post("/signup", json!({"tenant": "acme"}));
    let shop = Shop::start_in(shop.stop(Signal::TERM), &[]);
    shop.get("/tenant_a/users").refused(404, "unknown_tenant");
    shop.get("/acme/users").expect(200, json!([]));
    assert!(!shop.banner.join("").contains("tenant_a"), "{:?}", shop.banner);
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

#[test]
fn a_request_that_had_begun_is_served_to_its_end_and_the_program_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut shop = Shop::start();
        let body = r#"{"username":"late"}"#;
        let mut in_flight = begin(&shop, body);
        shop.signal(signal);
        thread::sleep(Duration::from_millis(300));
        assert!(TcpStream::connect(&shop.address).is_err(), "it still accepts");
        let answer = exchange(&mut in_flight, body);
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert!(shop.ended().success());
        let shop = Shop::start_in(std::mem::replace(&mut shop.dir, tempfile::tempdir().unwrap()), &[]);
        shop.get("/tenant_a").expect(200, json!({"tenant_a": ["userA", "userB", "late"]}));
    }
}

#[test]
fn a_client_that_never_ends_its_request_does_not_keep_the_program() {
    let mut shop = Shop::start();
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

#[test]
fn a_signal_during_the_start_ends_it_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(dir.path(), &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The directory is made when the signals are already listened for.
    while !dir.path().join("data").exists() {
        thread::sleep(Duration::from_millis(1));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    Shop::start_in(dir, &[]).get("/tenant_a/users").expect(200, users_a());
}

/// Starts a shop that is to refuse, and gives what it says on stderr.
fn refusal(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path(), arguments).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    // Whatever was refused, the next start is not spoilt by it.
    Shop::start_in(dir, &["--no-demo"]);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_it_cannot_do_it_says_with_the_way_out() {
    for isolation in ["row", "schema"] {
        let text = refusal(&["--isolation", isolation]);
        assert!(text.contains("not available on sqlite") && text.contains("--isolation database"), "{text}");
    }
    let text = refusal(&["--server", "postgres://admin:hunter2@db.example/x"]);
    assert!(text.contains("postgres") && text.contains("help:") && !text.contains("hunter2"), "{text}");
    let text = refusal(&["--catalog", "postgres://admin:hunter2@db.example/x"]);
    assert!(text.contains("help:") && !text.contains("hunter2"), "{text}");
    let text = refusal(&["--base-domain", "{x}"]);
    assert!(text.contains("help:"), "{text}");
    assert!(refusal(&["--isolation", "cell"]).contains("row, schema, database"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = refusal(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(text.contains("cannot listen") && text.contains("--listen"), "{text}");
}

#[test]
fn settings_are_taken_from_the_environment_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = command(dir.path(), &[]);
    set.env("SHOP_NO_DEMO", "1").env("SHOP_DATA", "elsewhere").env("SHOP_ISOLATION", "database");
    let mut child = set.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !dir.path().join("elsewhere/local/shared.db").exists() && began.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(dir.path().join("elsewhere/local/shared.db").exists() && !dir.path().join("data").exists());
}

#[tokio::test]
async fn the_operators_program_finds_the_same_installation() {
    let shop = tokio::task::spawn_blocking(Shop::start).await.unwrap();
    let tenancy = Tenantry::from_config(shop.dir.path().join("data/tenantry.toml")).await.unwrap();
    let keys: Vec<_> = tenancy.tenant_list(&TenantFilter::all()).await.unwrap();
    let keys: Vec<_> = keys.iter().map(|tenant| tenant.key.as_str()).collect();
    assert_eq!(keys, ["client1", "client2", "tenant_a", "tenant_b"]);
    let pending = tenancy.migrations().plan(&MigrateOptions::new()).await.unwrap();
    assert!(pending.iter().all(|target| target.pending.is_empty()), "{pending:?}");
    assert!(tenancy.tenant_key("openapi").is_err());
    tenancy.tenant_suspend("tenant_b").await.unwrap();
    let suspended = async || loop {
        let (address, agent) =
            (shop.address.clone(), ureq::Agent::config_builder().http_status_as_error(false).build());
        let ask = move || ureq::Agent::from(agent).get(format!("http://{address}/tenant_b/users")).call();
        let answer = tokio::task::spawn_blocking(ask).await.unwrap().unwrap();
        if answer.status() == 403 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), suspended()).await.is_ok(), "the shop does not hear of it");
}

#[test]
fn two_first_starts_at_once_make_one_installation() {
    let dir = tempfile::tempdir().unwrap();
    // Takes the directory with it when it goes.
    let first = thread::scope(|scope| {
        let mut second = command(dir.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = second.stdout.take().unwrap();
        let other = scope.spawn(move || {
            let banner = std::io::BufReader::new(said).lines().next();
            second.kill().unwrap();
            let output = second.wait_with_output().unwrap();
            assert!(banner.is_some(), "{}", String::from_utf8_lossy(&output.stderr));
        });
        let first = Shop::start_in(dir, &[]);
        other.join().unwrap();
        first
    });
    the_demo_is_whole(&first);
}

#[tokio::test]
async fn what_an_operator_did_to_the_demo_is_not_undone_by_a_restart() {
    let shop = tokio::task::spawn_blocking(Shop::start).await.unwrap();
    let tenancy = Tenantry::from_config(shop.dir.path().join("data/tenantry.toml")).await.unwrap();
    tenancy.tenant_delete("tenant_b").await.unwrap();
    tenancy.tenant_rename("client1", "customer1").await.unwrap();
    let restart = || {
        let shop = Shop::start_in(shop.stop(Signal::TERM), &[]);
        shop.get("/tenant_b/users").refused(404, "unknown_tenant");
        shop.get("/client1/users").refused(404, "unknown_tenant");
        // An account names its organisation by id, which a rename leaves as it is.
        let signed_in = Request::get("/customer1/me/priced-orders").basic("client1@shop.test", "demo");
        assert_eq!(shop.send(signed_in).json().as_array().unwrap().len(), 2);
    };
    tokio::task::spawn_blocking(restart).await.unwrap();
}

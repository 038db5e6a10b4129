//! First starts: killed, two at once, told to stop, refused.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    home::{Engine, Home},
    support::{Request, Shop, users_a, users_b},
};

/// What a first start on SQLite makes, in its order.
const MOMENTS: [&str; 6] =
    ["data/migrations", "data/tenantry.toml", "data/tenantry.key", "data/catalog.db", "data/local/shared.db", TENANTS];
const TENANTS: &str = "data/local/tenants";

/// When a first start is killed: so long after that was there.
fn kills(on: Engine) -> Vec<(&'static str, Duration)> {
    let (moments, delays): (&[&str], &[u64]) = match on {
        Engine::Sqlite => (&MOMENTS, &[0, 20]),
        // What is made on a server cannot be seen coming from here.
        _ => (&["data/catalog.db"], &[0, 60, 130, 220, 350, 600]),
    };
    let all = moments.iter().flat_map(|&moment| delays.iter().map(move |&ms| (moment, Duration::from_millis(ms))));
    all.collect()
}

/// Kills a first start a little after a moment, and gives what it left.
fn killed_after(on: Engine, moment: &str, delay: Duration) -> Home {
    let home = Home::on(on);
    let path = home.path().join(moment);
    let has_come = || match moment {
        TENANTS => fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()),
        _ => path.exists(),
    };
    let mut child = home.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !has_come() {
        assert!(began.elapsed() < Duration::from_secs(20), "{moment} does not come");
        thread::sleep(Duration::from_micros(200));
    }
    thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    home
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

pub(crate) fn a_first_start_that_was_killed_is_ended_by_the_next(on: Engine) {
    let left: Vec<_> = kills(on).into_iter().map(|(moment, delay)| killed_after(on, moment, delay)).collect();
    // All at once, for those that were killed while they made a tenant wait for the same ten seconds.
    thread::scope(|scope| {
        for home in left {
            scope.spawn(|| {
                let shop = home.start(&[]);
                the_demo_is_whole(&shop);
                shop.is_healthy();
            });
        }
    });
}

pub(crate) fn two_first_starts_at_once_make_one_installation(on: Engine) {
    let home = Home::on(on);
    // Takes the directory with it when it goes.
    let first = thread::scope(|scope| {
        let mut second = home.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = second.stdout.take().unwrap();
        let other = scope.spawn(move || {
            let banner = BufReader::new(said).lines().next();
            second.kill().unwrap();
            let output = second.wait_with_output().unwrap();
            assert!(banner.is_some(), "{}", String::from_utf8_lossy(&output.stderr));
        });
        let first = home.start(&[]);
        other.join().unwrap();
        first
    });
    the_demo_is_whole(&first);
    first.is_healthy();
}

pub(crate) fn a_signal_during_the_start_ends_it_with_0(on: Engine) {
    let home = Home::on(on);
    let mut child = home.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The directory is made when the signals are already listened for.
    while !home.path().join("data").exists() {
        thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    home.start(&[]).get("/tenant_a/users").expect(200, users_a());
}

pub(crate) fn settings_are_taken_from_the_environment_too(on: Engine) {
    let home = Home::on(on);
    let mut set = home.command_by_environment();
    set.env("SHOP_NO_DEMO", "1").env("SHOP_DATA", "elsewhere");
    let mut child = set.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let first = BufReader::new(child.stdout.take().unwrap()).lines().next();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(first.unwrap().unwrap().ends_with("everything is kept in elsewhere"));
    assert!(home.path().join("elsewhere/tenantry.toml").exists() && !home.path().join("data").exists());
    let there = home.database.as_ref().map(|database| database.sql("SELECT count(*) FROM tenantry.place").unwrap());
    assert_eq!(there.as_deref(), (on != Engine::Sqlite).then_some("1"));
}

/// Starts a shop that is to refuse, and gives what it says on stderr.
pub(crate) fn refusal(home: &Home, arguments: &[&str]) -> String {
    let output = home.command(arguments).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    text
}

/// Whatever was refused, the next start is not spoilt by it.
fn refusal_in_passing(arguments: &[&str]) -> String {
    let home = Home::on(Engine::Sqlite);
    let text = refusal(&home, arguments);
    home.start(&["--no-demo"]);
    text
}

#[test]
fn what_it_cannot_do_it_says_with_the_way_out() {
    for isolation in ["row", "schema"] {
        let text = refusal_in_passing(&["--isolation", isolation]);
        assert!(text.contains("not available on sqlite") && text.contains("--isolation database"), "{text}");
    }
    for flag in ["--server", "--catalog"] {
        let text = refusal_in_passing(&[flag, "mysql://admin:hunter2@db.example/x"]);
        assert!(text.contains(flag) && text.contains("help: write") && text.contains("postgres://"), "{text}");
    }
    assert!(refusal_in_passing(&["--base-domain", "{x}"]).contains("help:"));
    assert!(refusal_in_passing(&["--isolation", "cell"]).contains("row, schema, database"));
    assert!(refusal_in_passing(&["--jwt-secret", ""]).contains("--jwt-secret"), "an empty secret opens every shop");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = refusal_in_passing(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(text.contains("cannot listen") && text.contains("--listen"), "{text}");
}

#[test]
fn a_server_that_does_not_answer_is_told_of_without_the_password() {
    // Nobody listens on it any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (flag, what) in [("--server", "cannot reach the database server"), ("--catalog", "cannot open the catalog")] {
        let text = refusal_in_passing(&[flag, &format!("postgres://admin:hunter2@127.0.0.1:{port}/x")]);
        assert!(text.contains(what) && text.contains("refused") && text.contains("help:"), "{text}");
    }
}

#[test]
fn an_installation_on_one_engine_is_not_started_for_another() {
    let home = Home::on(Engine::Sqlite).start(&["--no-demo"]).stop(Signal::TERM);
    let text = refusal(&home, &["--server", "postgres://admin:hunter2@db.example/x"]);
    assert!(text.contains("live on sqlite") && text.contains("--data DIR"), "{text}");
}

#[test]
fn one_tenant_whose_file_is_missing_keeps_no_other_from_being_served() {
    let home = Shop::start(Engine::Sqlite).stop(Signal::TERM);
    let files = fs::read_dir(home.path().join(TENANTS)).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|file| file.extension().is_some_and(|end| end == "db")).unwrap();
    fs::rename(&file, home.path().join("away")).unwrap();
    let shop = home.start(&[]);
    let tenants = ["tenant_a", "tenant_b", "client1", "client2"];
    let answers = tenants.map(|tenant| shop.get(&format!("/{tenant}/users")).status);
    let count = |status: u16| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((count(503), count(200)), (1, 3), "{answers:?}");
    assert!(shop.log().contains("a tenant could not be migrated"), "{}", shop.log());
    shop.operate(async |tenancy| {
        let report = tenancy.doctor(tenantry::DoctorOptions::new().read_only(true)).await.unwrap();
        assert!(report.findings.iter().any(|finding| finding.code == "file_missing"), "{report:#?}");
    });
}

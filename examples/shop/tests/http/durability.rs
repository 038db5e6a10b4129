//! Acknowledged means stored: under `kill -9`, and with several processes on one installation.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Request, Shop};

/// Adds users until the shop is gone or told to stop; gives the names that were acknowledged.
fn write(shop: &Shop, tenant: &str, mark: &str, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let name = format!("{tenant}-{mark}-{n}");
        let Some(answer) = shop.try_send(Request::post(&format!("/{tenant}/users"), json!({"username": name}))) else {
            break;
        };
        assert_eq!(answer.status, 201, "{}", answer.text);
        acknowledged.push(name);
    }
    acknowledged
}

fn names(shop: &Shop, tenant: &str) -> Vec<String> {
    let users = shop.get(&format!("/{tenant}/users")).json();
    users.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

/// Every acknowledged name is there once, and nothing of the other tenant.
fn check(shop: &Shop, tenant: &str, acknowledged: &[String]) {
    let stored = names(shop, tenant);
    for name in acknowledged {
        assert_eq!(stored.iter().filter(|n| *n == name).count(), 1, "{name}");
    }
    let other = if tenant == "tenant_a" { "tenant_b" } else { "tenant_a" };
    assert!(!stored.iter().any(|name| name.starts_with(other)));
}

#[test]
fn no_acknowledged_write_is_lost_when_the_program_is_killed() {
    let mut dir = tempfile::tempdir().unwrap();
    let (mut in_a, mut in_b) = (Vec::new(), Vec::new());
    for round in 0..12 {
        let shop = Shop::start_in(dir, &[]);
        let (mark, stop) = (round.to_string(), AtomicBool::new(false));
        thread::scope(|scope| {
            let a = scope.spawn(|| write(&shop, "tenant_a", &mark, &stop));
            let b = scope.spawn(|| write(&shop, "tenant_b", &mark, &stop));
            thread::sleep(Duration::from_millis(60 + 37 * round));
            shop.signal(Signal::KILL);
            in_a.extend(a.join().unwrap());
            in_b.extend(b.join().unwrap());
        });
        dir = shop.stop(Signal::KILL);
    }
    let shop = Shop::start_in(dir, &[]);
    assert!(in_a.len() > 12 && in_b.len() > 12, "hardly anything was written: the test tests nothing");
    check(&shop, "tenant_a", &in_a);
    check(&shop, "tenant_b", &in_b);
}

#[test]
fn several_programs_on_one_installation_lose_and_double_nothing() {
    let first = Shop::start();
    let data = first.dir.path().join("data").display().to_string();
    let beside = || Shop::start_in(TempDir::new().unwrap(), &["--data", &data]);
    let shops = [beside(), beside(), beside()];
    let stop = AtomicBool::new(false);
    let acknowledged: Vec<String> = thread::scope(|scope| {
        let (stop, first) = (&stop, &first);
        let all = std::iter::once(first).chain(&shops).enumerate();
        let writers: Vec<_> =
            all.map(|(n, shop)| scope.spawn(move || write(shop, "tenant_a", &format!("p{n}"), stop))).collect();
        thread::sleep(Duration::from_secs(3));
        stop.store(true, Ordering::Release);
        writers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    let stored = names(&first, "tenant_a");
    assert_eq!(stored.len(), acknowledged.len() + 2, "what was acknowledged, and the two of the demo");
    check(&first, "tenant_a", &acknowledged);
    assert!(acknowledged.len() > 40, "hardly anything was written");
}

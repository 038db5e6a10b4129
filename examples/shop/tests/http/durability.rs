//! Acknowledged means stored: under `kill -9`, and with several processes on one installation.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    home::{Engine, Home},
    support::{Request, Shop},
};

/// Adds users until the shop is gone or told to stop; gives the names that were acknowledged, and counts them meanwhile.
fn write(shop: &Shop, tenant: &str, mark: &str, stop: &AtomicBool, count: &AtomicUsize) -> Vec<String> {
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
        count.fetch_add(1, Ordering::AcqRel);
    }
    acknowledged
}

/// A machine with much else to do is given the time that it needs.
fn until_written(counts: &[&AtomicUsize], each: usize) {
    let began = Instant::now();
    while counts.iter().any(|count| count.load(Ordering::Acquire) < each) {
        assert!(began.elapsed() < Duration::from_secs(30), "hardly anything was written");
        thread::sleep(Duration::from_millis(5));
    }
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

const ROUNDS: u64 = 6;

pub(crate) fn no_acknowledged_write_is_lost_when_the_program_is_killed(on: Engine) {
    let mut home = Home::on(on);
    let (mut in_a, mut in_b) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let shop = home.start(&[]);
        let (mark, stop) = (round.to_string(), AtomicBool::new(false));
        let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
        thread::scope(|scope| {
            let a = scope.spawn(|| write(&shop, "tenant_a", &mark, &stop, &counts[0]));
            let b = scope.spawn(|| write(&shop, "tenant_b", &mark, &stop, &counts[1]));
            until_written(&[&counts[0], &counts[1]], 3);
            thread::sleep(Duration::from_millis(37 * round));
            shop.signal(Signal::KILL);
            in_a.extend(a.join().unwrap());
            in_b.extend(b.join().unwrap());
        });
        home = shop.stop(Signal::KILL);
    }
    let shop = home.start(&[]);
    check(&shop, "tenant_a", &in_a);
    check(&shop, "tenant_b", &in_b);
}

pub(crate) fn several_programs_on_one_installation_lose_and_double_nothing(on: Engine) {
    let first = Shop::start(on);
    let data = first.home.path().join("data").display().to_string();
    let beside = || first.home.beside().start(&["--data", &data]);
    let shops = [beside(), beside(), beside()];
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let acknowledged: Vec<String> = thread::scope(|scope| {
        let (stop, count, first) = (&stop, &count, &first);
        let all = std::iter::once(first).chain(&shops).enumerate();
        let writers: Vec<_> =
            all.map(|(n, shop)| scope.spawn(move || write(shop, "tenant_a", &format!("p{n}"), stop, count))).collect();
        until_written(&[count], 200);
        stop.store(true, Ordering::Release);
        writers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    let stored = names(&first, "tenant_a");
    assert_eq!(stored.len(), acknowledged.len() + 2, "what was acknowledged, and the two of the demo");
    check(&first, "tenant_a", &acknowledged);
}

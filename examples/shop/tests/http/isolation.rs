//! Many tenants at once, with clients that go away at random moments: each answer holds the caller's own rows only.

use std::{io::Write, net::Shutdown, thread, time::Duration};

use serde_json::json;

use crate::{
    home::{Engine, Home},
    support::{Request, Shop},
};

const TENANTS: [&str; 4] = ["storm-a", "storm-b", "storm-c", "storm-d"];
const ROUNDS: u64 = 60;

/// A small generator with a seed: a storm that failed can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Asks, and hangs up after a while that may be shorter than the answer takes.
fn hang_up(shop: &Shop, dice: &mut Dice, request: &str) {
    let mut stream = shop.connect();
    stream.write_all(request.as_bytes()).unwrap();
    thread::sleep(Duration::from_micros(dice.roll(3_000)));
    stream.shutdown(Shutdown::Both).unwrap_or_default();
}

fn visit(shop: &Shop, tenant: &str, seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let name = format!("canary-{tenant}-{seed}-{round}");
        match dice.roll(6) {
            0 => {
                let body = json!({"username": name}).to_string();
                let head =
                    format!("POST /{tenant}/users HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}", body.len());
                hang_up(shop, &mut dice, &format!("{head}\r\n\r\n{body}"));
            }
            1 => hang_up(shop, &mut dice, &format!("GET /{tenant}/users HTTP/1.1\r\nHost: localhost\r\n\r\n")),
            2 | 3 => {
                let answer = shop.post(&format!("/{tenant}/users"), json!({"username": name}));
                assert_eq!(answer.status, 201, "{answer:?}");
                acknowledged += 1;
            }
            4 => only_own(tenant, &shop.send(Request::get("/users").header("x-tenant-name", tenant)).text),
            _ => only_own(tenant, &shop.get(&format!("/{tenant}")).text),
        }
    }
    acknowledged
}

fn only_own(tenant: &str, text: &str) {
    let own = format!("canary-{tenant}-");
    assert_eq!(text.matches("canary-").count(), text.matches(&own).count(), "{tenant}: {text}");
}

pub(crate) fn no_answer_holds_a_row_of_another_tenant_while_clients_come_and_go(on: Engine) {
    let shop = Home::on(on).start(&["--no-demo"]);
    for tenant in TENANTS {
        assert_eq!(shop.post("/signup", json!({"tenant": tenant})).status, 201);
    }
    let visitors: Vec<(&str, u64)> = TENANTS.iter().flat_map(|&t| [(t, 1), (t, 2), (t, 3)]).collect();
    let acknowledged: Vec<(&str, u64)> = thread::scope(|scope| {
        let shop = &shop;
        let visits: Vec<_> = visitors.iter().map(|&(t, seed)| scope.spawn(move || (t, visit(shop, t, seed)))).collect();
        visits.into_iter().map(|v| v.join().unwrap()).collect()
    });
    for tenant in TENANTS {
        let answer = shop.get(&format!("/{tenant}"));
        only_own(tenant, &answer.text);
        let stored = answer.json()[tenant].as_array().unwrap().len() as u64;
        let promised: u64 = acknowledged.iter().filter(|(t, _)| *t == tenant).map(|(_, n)| n).sum();
        assert!(stored >= promised, "{tenant}: {promised} were acknowledged and {stored} are there");
    }
    assert!(!shop.log().contains("panicked"), "{}", shop.log());
}

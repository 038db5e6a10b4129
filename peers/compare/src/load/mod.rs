//! The load: so many connections that ask for tenants and look at each answer.

pub(crate) mod answer;
mod choice;
mod client;

use std::{
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use client::Client;
use tokio::task::JoinSet;

pub(crate) use choice::Spread;
use choice::{Choice, Random};

use crate::Result;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// So much time has passed.
    Passed(Duration),
    /// Each connection has asked so often.
    Asked(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// Stands in what is written, so that it can be found again.
    pub(crate) system: &'static str,
    /// Whose users are in each answer, if always the same.
    pub(crate) always: Option<&'static str>,
    pub(crate) tenants: usize,
    pub(crate) action: Action,
    pub(crate) spread: Spread,
    pub(crate) connections: u64,
    pub(crate) until: Until,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Of the answers that were right, in microseconds, in no order.
    pub(crate) latencies: Vec<u32>,
    /// Answers that were no success, and none at all.
    pub(crate) failed: u64,
    /// Answers with anything but the users of the tenant that was asked for.
    pub(crate) wrong: u64,
    pub(crate) took: Duration,
}

/// How long after its end a load waits for answers.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn key(tenant: usize) -> String {
    format!("t{tenant:05}")
}

impl Load {
    /// On this thread alone: the load is to leave the other cores to those that are measured.
    pub(crate) fn run(self) -> Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(tokio::task::LocalSet::new().run_until(self.run_here()))
    }

    async fn run_here(self) -> Result<Outcome> {
        let targets: Rc<Vec<Target>> = Rc::new((0..self.tenants).map(|n| self.target(n)).collect());
        let choice = Rc::new(Choice::new(self.spread, self.tenants));
        let started = Instant::now();
        let mut connections = JoinSet::new();
        for number in 1..=self.connections {
            let (targets, choice) = (Rc::clone(&targets), Rc::clone(&choice));
            connections.spawn_local(connection(self.clone(), targets, choice, Random::new(number)));
        }
        let mut outcome = Outcome::default();
        while let Some(part) = connections.join_next().await {
            outcome.add(part?);
        }
        outcome.took = started.elapsed();
        Ok(outcome)
    }

    fn target(&self, tenant: usize) -> Target {
        let key = key(tenant);
        let request = match self.action {
            Action::Read => read(&key),
            Action::Write => write(&key, self.system),
        };
        Target { request, expected: self.always.map_or(key, str::to_owned) }
    }
}

struct Target {
    request: Vec<u8>,
    expected: String,
}

/// The host is what django-tenants knows a tenant by; the others take no notice of it.
fn read(key: &str) -> Vec<u8> {
    format!("GET /t/{key}/users HTTP/1.1\r\nHost: {key}.peers.test\r\n\r\n").into_bytes()
}

fn write(key: &str, system: &str) -> Vec<u8> {
    let body = format!("{{\"text\":\"{system} for {key}\"}}");
    let length = body.len();
    let head = format!("POST /t/{key}/notes HTTP/1.1\r\nHost: {key}.peers.test\r\nContent-Type: application/json\r\n");
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

impl Outcome {
    /// Right answers a second.
    #[expect(clippy::cast_precision_loss, reason = "millions")]
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failed += other.failed;
        self.wrong += other.wrong;
    }
}

async fn connection(load: Load, targets: Rc<Vec<Target>>, choice: Rc<Choice>, mut random: Random) -> Outcome {
    let (mut client, mut outcome, started) = (Client::new(load.address), Outcome::default(), Instant::now());
    let mut asked = 0;
    let goes_on = |asked| match load.until {
        Until::Passed(time) => started.elapsed() < time,
        Until::Asked(count) => asked < count,
    };
    while goes_on(asked) {
        asked += 1;
        let target = &targets[choice.tenant(random.number())];
        if !ask(&mut client, load.action, target, &mut outcome).await {
            // A server that refuses everything is not to be asked as fast as we can.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    outcome
}

/// Whether there was an answer at all that means success.
async fn ask(client: &mut Client, action: Action, target: &Target, outcome: &mut Outcome) -> bool {
    let asked = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, client.ask(&target.request)).await;
    match (action, answer) {
        (Action::Write, Ok(Ok((201, _)))) => {}
        (Action::Read, Ok(Ok((200, body)))) => {
            if !answer::is_of(body, &target.expected) {
                outcome.wrong += 1;
                return true;
            }
        }
        _ => {
            outcome.failed += 1;
            return false;
        }
    }
    outcome.latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_its_tenant_by_path_and_by_host() {
        assert_eq!(read(&key(42)), b"GET /t/t00042/users HTTP/1.1\r\nHost: t00042.peers.test\r\n\r\n");
    }

    #[test]
    fn what_is_written_says_by_whom_and_for_whom() {
        let request = String::from_utf8(write("t00001", "flask")).unwrap();
        assert!(request.ends_with("Content-Length: 27\r\n\r\n{\"text\":\"flask for t00001\"}"), "{request}");
    }
}

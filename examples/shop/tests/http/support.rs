//! The running program, and a client that says what it asked.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use jsonwebtoken::{EncodingKey, Header, encode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tenantry::{DoctorOptions, Tenantry};
use ureq::{Agent, http};

use crate::home::{Engine, Home};

pub(crate) const SECRET: &str = "a secret of thirty-two bytes, and more";

/// Longer than any start: one that ends what a killed one began waits for a lease of ten seconds.
const PATIENCE: Duration = Duration::from_secs(40);

/// A shop that serves, and dies with its test.
pub(crate) struct Shop {
    pub(crate) home: Home,
    child: Child,
    agent: Agent,
    pub(crate) address: String,
    pub(crate) banner: Vec<String>,
}

impl Shop {
    /// In an empty home.
    pub(crate) fn start(on: Engine) -> Self {
        Home::on(on).start(&[])
    }

    pub(crate) fn of(home: Home, child: Child, banner: Vec<String>) -> Self {
        let address = banner[0].split("http://").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build();
        Self { home, child, agent: config.into(), address, banner }
    }

    /// Another process of the same installation.
    pub(crate) fn another(&self, log_file: &str) -> Self {
        let (child, banner) = self.home.serve(&["--no-demo"], log_file);
        Self::of(Home::with(Vec::new()), child, banner)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path))
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Request::post(path, body))
    }

    pub(crate) fn send(&self, request: Request) -> Answer {
        let asked = format!("{} {}", request.method, request.path);
        self.try_send(request).unwrap_or_else(|| panic!("{asked}: no answer"))
    }

    /// `None`: nobody answers.
    pub(crate) fn try_send(&self, request: Request) -> Option<Answer> {
        let asked = format!("{} {} {:?} {}", request.method, request.path, request.headers, request.body);
        let mut builder =
            http::Request::builder().method(request.method).uri(format!("http://{}{}", self.address, request.path));
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let response = match request.method {
            "GET" => self.agent.run(builder.body(()).unwrap()),
            _ => self.agent.run(builder.body(request.body).unwrap()),
        };
        let mut response = response.ok()?;
        let text = response.body_mut().read_to_string().ok()?;
        let headers = response.headers().clone();
        Some(Answer { asked, status: response.status().as_u16(), headers, text })
    }

    /// The host of a tenant, as a browser on this machine would send it.
    pub(crate) fn host_of(&self, tenant: &str) -> String {
        format!("{tenant}.localhost:{}", self.address.rsplit(':').next().unwrap())
    }

    /// A connection to write to by hand.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the program's end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the shop still runs")
    }

    /// Ends it and gives its home, to start another one there.
    pub(crate) fn stop(mut self, signal: Signal) -> Home {
        self.signal(signal);
        let status = self.ended();
        assert!(signal == Signal::KILL || status.success(), "{status}");
        std::mem::replace(&mut self.home, Home::with(Vec::new()))
    }

    /// What the operator's program does to the same installation.
    pub(crate) fn operate(&self, work: impl AsyncFnOnce(Tenantry)) {
        let file = self.home.path().join("data/tenantry.toml");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { work(Tenantry::from_config(file).await.unwrap()).await });
    }

    /// Nothing is left of what was killed, and every place is what it should be.
    #[track_caller]
    pub(crate) fn is_healthy(&self) {
        self.operate(async |tenancy| {
            let report = tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap();
            assert!(report.findings.is_empty(), "{report:#?}");
        });
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // It has ended already in the good case, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self { method: "GET", path: path.into(), headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn post(path: &str, body: impl ToString) -> Self {
        Self { method: "POST", path: path.into(), headers: Vec::new(), body: body.to_string() }
            .header("content-type", "application/json")
    }

    pub(crate) fn put(path: &str) -> Self {
        Self { method: "PUT", ..Self::get(path) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, email: &str, password: &str) -> Self {
        use base64::{Engine, engine::general_purpose::STANDARD};
        self.header("authorization", format!("Basic {}", STANDARD.encode(format!("{email}:{password}"))))
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    asked: String,
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{}: {e}: {}", self.asked, self.text))
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16, body: Value) {
        assert_eq!((self.status, self.json()), (status, body), "{}", self.asked);
    }

    /// A problem document of that status and code, which nobody keeps.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.asked);
        assert_eq!(self.headers["cache-control"], "no-store", "{}", self.asked);
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{}", self.asked);
        for leak in LEAKS {
            assert!(!self.text.contains(leak), "{}: {}", self.asked, self.text);
        }
    }
}

/// Words of a database and of its server.
const LEAKS: [&str; 13] = [
    "SELECT",
    "INSERT",
    "sqlite:",
    "SQLITE",
    "/tmp",
    ".db",
    "t_0",
    "postgres",
    "tn_",
    "violates",
    "constraint",
    "relation",
    "tenant_id",
];

/// A token as whoever signs people in would make it, with some claims changed; `null` takes one away.
pub(crate) fn token(changes: Value) -> String {
    token_signed_with(SECRET, changes)
}

pub(crate) fn token_signed_with(secret: &str, changes: Value) -> String {
    let mut claims = json!({"iss": "shop", "aud": "shop", "exp": u32::MAX, "tenant": "tenant_a", "sub": "userA"});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// Sends text as it is, and reads the whole answer.
pub(crate) fn exchange(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) fn users_a() -> Value {
    json!([{"id": 1, "username": "userA"}, {"id": 2, "username": "userB"}])
}

pub(crate) fn users_b() -> Value {
    json!([{"id": 1, "username": "userA"}, {"id": 2, "username": "userC"}])
}

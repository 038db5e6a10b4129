//! A small HTTP client that shows what was asked and what came instead.

use std::time::Duration;

use serde_json::Value;
use ureq::{
    Agent,
    http::{self, Response},
};

use crate::Result;

pub(crate) struct Client {
    agent: Agent,
    port: u16,
}

pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Value,
    asked: String,
}

impl Client {
    pub(crate) fn new(port: u16) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy of the environment has no business with our own machine.
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(10)))
            .build();
        Self { agent: config.into(), port }
    }

    /// The host that a browser on this machine would send for a tenant.
    pub(crate) fn host_of(&self, tenant: &str) -> String {
        format!("{tenant}.localhost:{}", self.port)
    }

    pub(crate) fn send(&self, request: Request) -> Result<Answer> {
        let asked = format!("{} {}", request.method, request.path);
        self.exchange(request).map_err(|e| format!("{asked}: {e}").into()).map(|a| Answer { asked, ..a })
    }

    fn exchange(&self, request: Request) -> Result<Answer> {
        let url = format!("http://127.0.0.1:{}{}", self.port, request.path);
        let mut builder = http::Request::builder().method(request.method).uri(url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let response = match request.body {
            Some(body) => {
                let builder = builder.header("content-type", "application/json");
                self.agent.run(builder.body(body.to_string())?)?
            }
            None => self.agent.run(builder.body(())?)?,
        };
        answer(response)
    }
}

fn answer(mut response: Response<ureq::Body>) -> Result<Answer> {
    let content_type = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("").into();
    let text = response.body_mut().read_to_string()?;
    // A body that is no JSON is kept as text, to be shown when it is not what was expected.
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status: response.status().as_u16(), content_type, body, asked: String::new() })
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), headers: Vec::new(), body: None }
    }

    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: "POST", path: path.into(), headers: Vec::new(), body: Some(body) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Answer {
    pub(crate) fn expect_status(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        Err(format!("{}: expected {status}, got {} {}", self.asked, self.status, self.body).into())
    }

    /// 200 with exactly this JSON.
    pub(crate) fn expect_json(self, expected: &Value) -> Result {
        let answer = self.expect_status(200)?;
        if answer.body == *expected {
            return Ok(());
        }
        Err(format!("{}: expected {expected}, got {}", answer.asked, answer.body).into())
    }

    /// A problem document of RFC 9457 with a code for programs.
    pub(crate) fn expect_problem(self, status: u16) -> Result {
        let answer = self.expect_status(status)?;
        let media_type = answer.content_type.split(';').next().unwrap_or("").trim();
        if media_type != "application/problem+json" {
            return Err(format!("{}: the content type is `{}`", answer.asked, answer.content_type).into());
        }
        match answer.body["code"].as_str() {
            Some(code) if !code.is_empty() => Ok(()),
            _ => Err(format!("{}: no `code` in {}", answer.asked, answer.body).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, content_type: &str, body: Value) -> Answer {
        Answer { status, content_type: content_type.into(), body, asked: "GET /".into() }
    }

    #[test]
    fn an_answer_with_another_tenants_row_is_found() {
        let error = answer(200, "", json!(["theirs"])).expect_json(&json!(["ours"])).unwrap_err();
        assert_eq!(error.to_string(), r#"GET /: expected ["ours"], got ["theirs"]"#);
    }

    #[test]
    fn the_right_body_with_another_status_is_found() {
        assert!(answer(500, "", json!([])).expect_json(&json!([])).is_err());
    }

    #[test]
    fn a_problem_needs_its_status_media_type_and_code() {
        let problem = "application/problem+json";
        assert!(answer(404, problem, json!({"code": "unknown_tenant"})).expect_problem(404).is_ok());
        assert!(answer(403, problem, json!({"code": "unknown_tenant"})).expect_problem(404).is_err());
        assert!(answer(404, "application/json", json!({"code": "unknown_tenant"})).expect_problem(404).is_err());
        assert!(answer(404, problem, json!({"title": "x"})).expect_problem(404).is_err());
    }
}

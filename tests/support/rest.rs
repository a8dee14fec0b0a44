//! One REST call and its answer, with the two things a test asks of it: it went well, or it was refused so.

use reqwest::Method;
use serde_json::Value;

use super::Target;

/// What came back. The body is `Null` where there was none, a string where it was not JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The parsed body.
    pub body: Value,
    /// The headers, names in lower case.
    pub headers: reqwest::header::HeaderMap,
    call: String,
}

/// A body as it goes out: JSON, or bytes that claim to be.
#[derive(Clone, Debug)]
pub enum Body {
    /// No body and no content type.
    None,
    /// A JSON value.
    Json(Value),
    /// Bytes sent as `application/json`, whatever they are.
    Raw(Vec<u8>),
}

impl Target {
    /// Calls `/api/v1{path}`; fails only when no answer came (the server is down).
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Body,
    ) -> Result<Answer, reqwest::Error> {
        let call = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.origin));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request = match body {
            Body::None => request,
            Body::Json(value) => request.json(&value),
            Body::Raw(bytes) => request.header("content-type", "application/json").body(bytes),
        };
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response.bytes().await?;
        let body = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(_) if bytes.is_empty() => Value::Null,
            Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        Ok(Answer { status, body, headers, call })
    }

    /// The same from a test that expects the server to be up.
    pub async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Body) -> Answer {
        self.try_call(method, path, token, body).await.unwrap_or_else(|error| panic!("{path}: no answer: {error}"))
    }

    /// A POST without a token, for what comes before signing in.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, None, Body::Json(body)).await
    }
}

impl Answer {
    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} answered {}", self.call, self.body);
        self.body
    }

    /// The problem document of a refusal that must have this status and code, and every field that one has.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{} answered {}",
            self.call,
            self.body
        );
        let kind = self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{}: content type {kind:?}", self.call);
        for field in ["type", "title", "detail", "request_id"] {
            assert!(self.body[field].is_string(), "{}: a problem has {field}: {}", self.call, self.body);
        }
        assert_eq!(self.body["status"], status, "{}: the status in the document", self.call);
        self.body
    }

    /// A validation refusal that names `field`.
    #[track_caller]
    pub fn invalid(self, field: &str) -> Value {
        let call = self.call.clone();
        let problem = self.refused(422, "validation_failed");
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{call}: no errors: {problem}"));
        assert!(
            errors.iter().any(|error| error["field"] == field && error["message"].is_string()),
            "{call}: {field} is not named: {problem}"
        );
        problem
    }

    /// A validation refusal that names `field` or something inside it.
    #[track_caller]
    pub fn invalid_somewhere(self, field: &str) -> Value {
        let call = self.call.clone();
        let problem = self.refused(422, "validation_failed");
        let named = |error: &Value| error["field"].as_str().is_some_and(|name| name.starts_with(field));
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{call}: no errors: {problem}"));
        assert!(errors.iter().any(named), "{call}: {field} is not named: {problem}");
        problem
    }
}

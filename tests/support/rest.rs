//! A REST call, its answer, and checks of the answer: its status, or its error.

use reqwest::Method;
use serde_json::Value;

use super::Target;

/// An answer. The body is `Null` if there was none, and a string if it was not JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub headers: reqwest::header::HeaderMap,
    call: String,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// No body and no content type.
    None,
    Json(Value),
    /// Any bytes, with the content type `application/json`.
    Raw(Vec<u8>),
}

impl Target {
    /// Calls `/api/v1{path}`. Returns an error only if there is no answer, for example because the server is down.
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

    /// Calls `/api/v1{path}` and panics if there is no answer.
    pub async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Body) -> Answer {
        self.try_call(method, path, token, body).await.unwrap_or_else(|error| panic!("{path}: no answer: {error}"))
    }

    /// Sends a POST without a token.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, None, Body::Json(body)).await
    }
}

impl Answer {
    /// Returns the body; panics if the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} answered {}", self.call, self.body);
        self.body
    }

    /// Returns the problem document; panics if the status or the code is another, or if a field is missing.
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

    /// Returns the problem document of a failed validation; panics if it does not name `field`.
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

    /// Returns the problem document of a failed validation; panics if it names neither `field` nor a part of it.
    #[track_caller]
    pub fn invalid_within(self, field: &str) -> Value {
        let call = self.call.clone();
        let problem = self.refused(422, "validation_failed");
        let named = |error: &Value| error["field"].as_str().is_some_and(|name| name.starts_with(field));
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{call}: no errors: {problem}"));
        assert!(errors.iter().any(named), "{call}: {field} is not named: {problem}");
        problem
    }
}

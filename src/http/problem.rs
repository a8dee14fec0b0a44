//! The HTTP form of errors: problem documents (RFC 9457).
//!
//! A handler returns `Result<_, Problem>` and uses `?` for the result of a use case. The middleware
//! [`edge`](super::middleware::edge) adds the id of the request, and gives the errors of the framework the same form.
//! [`Problem::log`] logs the cause, which only the operator may see.

use crate::domain::codes::Code;
use crate::error::{Error, FieldError};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// The media type of every error answer.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error that a handler returns.
#[derive(Debug)]
pub struct Problem {
    error: Error,
    /// The headers of the answer, in addition to those of all errors with the code.
    headers: Vec<(HeaderName, String)>,
}

/// An error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument<'a> {
    /// Always `about:blank`, because `code` has the type of the error.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// A short title. It is the same for every occurrence of the code.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// A text for people about this occurrence. It may change with the version of the server.
    pub detail: &'a str,
    /// The stable code, which is the same over the WebSocket. Its meaning never changes.
    pub code: &'static str,
    /// The id of this request in the log of the server.
    pub request_id: &'a str,
    /// The fields that are not valid. Absent for other codes than `validation_failed`.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    pub errors: &'a [FieldError],
}

impl Problem {
    /// Returns the problem for a method that the path does not support. `allow` lists the supported methods.
    pub fn method_not_allowed(allow: String) -> Self {
        Self { error: Error::method_not_allowed(), headers: vec![(header::ALLOW, allow)] }
    }

    /// Returns the problem for a handshake that asks for another version of the WebSocket protocol than `version`.
    pub fn upgrade_required(version: &str) -> Self {
        let headers = [(header::SEC_WEBSOCKET_VERSION, version), (header::UPGRADE, "websocket")];
        Self {
            error: Error::upgrade_required(version),
            headers: headers.map(|(name, value)| (name, value.to_owned())).into(),
        }
    }

    /// Returns the problem for an error of the framework, by its status. `detail` is the text for the client if the
    /// client made the error, and otherwise the cause for the log.
    pub fn of_framework(status: StatusCode, detail: String) -> Self {
        match status {
            StatusCode::NOT_FOUND => Error::not_found("path"),
            StatusCode::METHOD_NOT_ALLOWED => Error::method_not_allowed(),
            StatusCode::PAYLOAD_TOO_LARGE => Error::payload_too_large(crate::domain::limits::BODY_BYTES),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Error::unsupported_media_type(),
            status if status.is_client_error() => Error::invalid_request(detail),
            _ => Error::internal(detail),
        }
        .into()
    }

    /// Returns the stable code that clients read in the answer.
    pub fn code(&self) -> Code {
        self.error.code()
    }

    /// Returns the error that this problem answers, with its cause for the log.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Logs the cause of the error, if there is one.
    pub fn log(&self) {
        let cause = self.error.cause();
        match (self.code(), cause) {
            (Code::Internal, Some(cause)) => tracing::error!(cause, "a request failed"),
            (Code::Internal, None) => tracing::error!("a request failed"),
            // There may be as many of these errors as there are requests, so they are logged at the level debug.
            _ if self.error.is_temporary() => {
                tracing::debug!(detail = self.error.detail(), cause, "a request was refused");
            }
            (_, Some(cause)) => tracing::warn!(code = self.code().as_str(), cause, "a request was refused"),
            _ => {}
        }
    }

    /// Returns the answer to the request with this id.
    pub fn answer(&self, request_id: &str) -> HttpResponse {
        let mut answer = HttpResponseBuilder::new(self.status_code());
        answer.insert_header((header::CONTENT_TYPE, MEDIA_TYPE));
        if let Some(wait) = self.error.retry_after_ms() {
            answer.insert_header((header::RETRY_AFTER, wait.div_ceil(1000)));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            answer.insert_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        for (name, value) in &self.headers {
            answer.insert_header((name.clone(), value.as_str()));
        }
        let code = self.code();
        let document = ProblemDocument {
            kind: "about:blank",
            title: code.title(),
            status: code.status(),
            detail: self.error.detail(),
            code: code.as_str(),
            request_id,
            errors: self.error.fields(),
        };
        answer.json(document)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { error, headers: Vec::new() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        // The middleware `edge` replaces this answer by one with the id of the request.
        self.answer("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::header_text;
    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    async fn body(answer: HttpResponse) -> Value {
        let bytes = to_bytes(answer.into_body()).await.expect("a body in memory");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[actix_web::test]
    async fn a_problem_names_its_code_its_request_and_its_fields() {
        let answer = Problem::from(Error::invalid("name", "is needed")).answer("r-1");
        assert_eq!(answer.status(), 422);
        assert_eq!(header_text(answer.headers(), header::CONTENT_TYPE), MEDIA_TYPE);
        let expected = json!({
            "type": "about:blank",
            "title": "A field is not valid",
            "status": 422,
            "detail": "name is needed",
            "code": "validation_failed",
            "request_id": "r-1",
            "errors": [{"field": "name", "message": "is needed"}],
        });
        assert_eq!(body(answer).await, expected);
    }

    #[actix_web::test]
    async fn an_internal_error_does_not_show_its_cause() {
        let answer = Problem::from(Error::internal("password of the database: hunter2")).answer("r-2");
        assert_eq!(answer.status(), 500);
        assert!(!body(answer).await.to_string().contains("hunter2"));
    }

    #[actix_web::test]
    async fn the_time_to_wait_is_rounded_up_to_whole_seconds() {
        let answer = Problem::from(Error::rate_limited(1001)).answer("r-3");
        assert_eq!((answer.status().as_u16(), header_text(answer.headers(), header::RETRY_AFTER)), (429, "2"));
    }

    #[actix_web::test]
    async fn an_unauthorized_answer_names_the_scheme_and_a_wrong_method_the_supported_ones() {
        let answer = Problem::from(Error::unauthorized("Send a token.")).answer("r-4");
        assert_eq!(header_text(answer.headers(), header::WWW_AUTHENTICATE), "Bearer");
        let answer = Problem::method_not_allowed("GET, HEAD".into()).answer("r-5");
        assert_eq!((answer.status().as_u16(), header_text(answer.headers(), header::ALLOW)), (405, "GET, HEAD"));
    }
}

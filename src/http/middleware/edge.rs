//! The middleware that gives each request an id and a span, gives errors and panics the form of a problem, and writes
//! one line to the log.
//!
//! The query of a request is never logged, because it may contain a token.

use super::REQUEST_ID;
use super::headers::add_common;
use crate::app::App;
use crate::domain::caller::Principal;
use crate::domain::codes::Code;
use crate::domain::limits;
use crate::error::Error;
use crate::http::extract::RequestId;
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::supervision::Supervision;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};
use std::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

/// Middleware: names and logs a request, and gives an error its form. It replaces all other forms of errors, so no
/// middleware outside of it may replace a body.
pub async fn edge<B: MessageBody + 'static>(
    mut req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    copy_header_values(req.headers_mut());
    let id = request_id(&req);
    req.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", id, method = %req.method(), user = Empty, via = Empty);
    let supervision = req.app_data::<web::Data<Supervision>>().map(|data| data.as_ref().clone()).unwrap_or_default();
    async move {
        let started = Instant::now();
        // A panic is safe here: a handler owns its data, and the types of shared data survive a panic.
        let outcome = supervision.part("requests").catch_panic_in(async { next.call(req).await }).await;
        let answer = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(answer_error(&error, &id)),
            Err(panicked) => return Err(answer_problem(&Error::internal(panicked).into(), &id)),
        };
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            // Without the delay, a client that repeats its call immediately would be refused thousands of times a
            // second.
            tokio::time::sleep(limits::REFUSAL_DELAY).await;
        }
        let is_counted = count_refusal(&answer);
        let answer = with_problem_body(answer, &id);
        let route = answer.request().match_pattern();
        let route = route.as_deref().unwrap_or("unmatched");
        let (status, ms) = (answer.status().as_u16(), started.elapsed().as_millis() as u64);
        if route.starts_with("/api/") && !is_counted {
            tracing::info!(route, status, ms, "answered");
        } else {
            // These calls make no line: calls for files and health are many and of no interest, and admission counts
            // the refusals.
            tracing::debug!(route, status, ms, "answered");
        }
        Ok(answer)
    }
    .instrument(span)
    .await
}

/// Copies the values of the headers, which are slices of the read buffer of the connection. The framework keeps the
/// heads of past requests for reuse, and sockets keep theirs. Without the copy, they would keep whole buffers in
/// memory.
fn copy_header_values(headers: &mut HeaderMap) {
    headers.retain(|_, value| {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = copy;
        }
        true
    });
}

/// Returns true if admission counts the refusal, so that many refused requests do not become as many log lines.
///
/// Admission counts three kinds: refusals by a limit, errors of a server that cannot do the work, and errors of
/// unauthenticated clients, whom it cannot charge. This function counts the second and third kind. Wrong passwords are
/// not counted, because they have a limit of their own and operators want to see them.
fn count_refusal<B>(answer: &ServiceResponse<B>) -> bool {
    let Some(error) = answer.response().error() else { return false };
    let code = error
        .as_error::<Problem>()
        .map_or_else(|| Problem::of_framework(answer.status(), String::new()).code(), Problem::code);
    let app = answer.request().app_data::<web::Data<App>>();
    match code {
        Code::RateLimited => true,
        Code::Busy | Code::Unavailable => {
            if let (Some(problem), Some(app)) = (error.as_error::<Problem>(), app) {
                app.admission().count_if_unavailable(problem.error());
            }
            true
        }
        Code::Unauthorized
        | Code::InvalidRequest
        | Code::ValidationFailed
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::PayloadTooLarge
        | Code::UnsupportedMediaType => {
            let is_unauthenticated = answer.request().extensions().get::<Principal>().is_none();
            if let (true, Some(app)) = (is_unauthenticated, app) {
                app.admission().count_uncharged();
            }
            is_unauthenticated
        }
        _ => false,
    }
}

/// Returns the id that the client sent, if it is safe for the log: 1–64 characters of `[A-Za-z0-9._-]`. Otherwise
/// returns a new id.
fn request_id(req: &ServiceRequest) -> String {
    let sent = req.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_safe = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    sent.filter(is_safe).map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// Gives an error, of this server or of the framework, the form of a problem of this request. Other answers do not
/// change. Headers that do not describe the body are kept.
fn with_problem_body<B: MessageBody + 'static>(answer: ServiceResponse<B>, id: &str) -> ServiceResponse<EitherBody<B>> {
    let problem = answer.response().error().map(|error| match error.as_error::<Problem>() {
        Some(problem) => log_and_answer(problem, id),
        None => log_and_answer(&Problem::of_framework(answer.status(), error.to_string()), id),
    });
    let mut answer = match problem {
        None => answer.map_into_left_body(),
        Some(problem) => {
            let (status, body) = (problem.status(), problem.into_body());
            let mut answer = answer.map_body(|head, _| {
                head.status = status;
                head.reason = None;
                EitherBody::right(body)
            });
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            answer
        }
    };
    if let Ok(id) = HeaderValue::from_str(id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

fn log_and_answer(problem: &Problem, id: &str) -> HttpResponse {
    problem.log();
    problem.answer(id)
}

/// Returns the error of a service with its complete answer. The request is not available any more.
fn answer_error(error: &actix_web::Error, id: &str) -> actix_web::Error {
    match error.as_error::<Problem>() {
        Some(problem) => answer_problem(problem, id),
        None => answer_problem(&Problem::of_framework(error.error_response().status(), error.to_string()), id),
    }
}

/// Returns a problem as an error with its complete answer. Without the request, the outer middleware cannot add
/// headers, so they are added here.
fn answer_problem(problem: &Problem, id: &str) -> actix_web::Error {
    let mut answer = log_and_answer(problem, id);
    if let Ok(id) = HeaderValue::from_str(id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    add_common(answer.headers_mut());
    InternalError::from_response(problem.to_string(), answer).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::header_text;
    use actix_web::App;
    use actix_web::http::StatusCode;
    use actix_web::middleware::from_fn;
    use actix_web::test::{self, TestRequest};
    use serde_json::Value;

    async fn refuse() -> Result<HttpResponse, Problem> {
        Err(Error::not_a_participant().into())
    }

    async fn panic_with_secret() -> HttpResponse {
        panic!("a secret of the server")
    }

    /// An error that has its status only in its answer, like some errors of the framework.
    #[derive(Debug, thiserror::Error)]
    #[error("a handshake is expected")]
    struct ErrorWithAnswer;

    impl actix_web::ResponseError for ErrorWithAnswer {
        fn error_response(&self) -> HttpResponse {
            HttpResponse::BadRequest().finish()
        }
    }

    /// Returns the status, the request id of the header, and the body.
    async fn ask(req: TestRequest) -> (StatusCode, String, Value) {
        ask_supervised(req, &Supervision::default()).await
    }

    async fn ask_supervised(req: TestRequest, supervision: &Supervision) -> (StatusCode, String, Value) {
        let app = App::new()
            .app_data(web::Data::new(supervision.clone()))
            .wrap(from_fn(edge))
            .route("/refused", web::get().to(refuse))
            .route("/panics", web::get().to(panic_with_secret))
            .route("/number/{number}", web::get().to(async |_: web::Path<u8>| "a number"))
            .route("/framework", web::get().to(async || Err::<HttpResponse, _>(ErrorWithAnswer)))
            .route("/page", web::get().to(async || "a page"));
        let app = test::init_service(app).await;
        let answer = match test::try_call_service(&app, req.to_request()).await {
            Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
            Err(error) => error.error_response(),
        };
        let status = answer.status();
        let id = header_text(answer.headers(), REQUEST_ID).to_owned();
        let body = actix_web::body::to_bytes(answer.into_body()).await.expect("a body in memory");
        (status, id, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[actix_web::test]
    async fn a_safe_id_is_kept_and_another_one_is_replaced() {
        let with = |id| TestRequest::get().uri("/page").insert_header((REQUEST_ID, id));
        assert_eq!(ask(with("a.b_c-1")).await.1, "a.b_c-1");
        let long = "a".repeat(65);
        for bad in ["", "a b", "<script>", &long] {
            let (_, id, _) = ask(with(bad)).await;
            assert_eq!(id.len(), 32, "{bad}");
        }
    }

    #[actix_web::test]
    async fn an_error_has_the_id_of_its_request() {
        let (status, id, body) = ask(TestRequest::get().uri("/refused")).await;
        assert_eq!((status, body["code"].as_str()), (StatusCode::FORBIDDEN, Some("not_a_participant")));
        assert_eq!(body["request_id"], id.as_str());
    }

    #[actix_web::test]
    async fn an_error_of_the_framework_is_a_problem() {
        for (path, expected, code) in [("/number/x", 404, "not_found"), ("/framework", 400, "invalid_request")] {
            let (status, id, body) = ask(TestRequest::get().uri(path)).await;
            assert_eq!((status.as_u16(), body["code"].as_str()), (expected, Some(code)), "{path}");
            assert_eq!(body["request_id"], id.as_str());
        }
    }

    #[actix_web::test]
    async fn a_panic_is_a_problem_without_its_message_and_is_counted() {
        let supervision = Supervision::default();
        let (status, id, body) = ask_supervised(TestRequest::get().uri("/panics"), &supervision).await;
        assert_eq!(supervision.panic_count("requests"), 1);
        assert_eq!((status, body["code"].as_str()), (StatusCode::INTERNAL_SERVER_ERROR, Some("internal")));
        assert_eq!(body["request_id"], id.as_str());
        assert!(!body.to_string().contains("secret"));
    }
}

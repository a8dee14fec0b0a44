//! The first to see a request and the last to see its answer: gives it an id and a span, gives every refusal the form of
//! a problem, turns a panic into one, and writes one line to the log. Queries are logged nowhere: tokens may be in them.

use super::REQUEST_ID;
use super::headers::always;
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::limits;
use crate::error::Error;
use crate::http::extract::RequestId;
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::supervision::Supervision;
use crate::usecases::Caller;
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

/// See the module. It takes the place of every other error form, so nothing outside it may replace a body.
pub async fn edge<B: MessageBody + 'static>(
    mut req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    copy_values(req.headers_mut());
    let id = request_id(&req);
    req.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", id, method = %req.method(), user = Empty);
    let supervision = req.app_data::<web::Data<Supervision>>().map(|known| known.as_ref().clone()).unwrap_or_default();
    async move {
        let started = Instant::now();
        // a handler owns what it works on, and what nodes share is kept by types that survive a panic
        let outcome = supervision.part("requests").attempt(async { next.call(req).await }).await;
        let answer = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(unrouted(&error, &id)),
            Err(panicked) => return Err(outside(&Error::internal(panicked).into(), &id)),
        };
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            // answered at once, whoever asks again at once would be refused thousands of times a second
            tokio::time::sleep(limits::REFUSED_AFTER).await;
        }
        let refused = is_counted(&answer);
        let answer = in_our_form(answer, &id);
        let route = answer.request().match_pattern();
        let route = route.as_deref().unwrap_or("unmatched");
        let (status, ms) = (answer.status().as_u16(), started.elapsed().as_millis() as u64);
        if route.starts_with("/api/") && !refused {
            tracing::info!(route, status, ms, "answered");
        } else {
            // files and questions about health, of which there are many and none is news; and refusals that admission counts
            tracing::debug!(route, status, ms, "answered");
        }
        Ok(answer)
    }
    .instrument(span)
    .await
}

/// A header's value is a slice of the buffer that the connection was read into, and the framework keeps the heads of past
/// requests to use them again: whole buffers would stay with them, and with every open socket.
fn copy_values(headers: &mut HeaderMap) {
    headers.retain(|_, value| {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = copy;
        }
        true
    });
}

/// Whether it is a refusal that admission counts: a flood of requests must not become one of lines. That is what limits
/// refuse, what the server could not do, and what is refused to somebody whom nobody can charge; the latter two are counted
/// here. Wrong passwords are not among
/// it: they have a limit, and are news.
fn is_counted<B>(answer: &ServiceResponse<B>) -> bool {
    let Some(error) = answer.response().error() else { return false };
    let code = error
        .as_error::<Problem>()
        .map_or_else(|| Problem::of_framework(answer.status(), String::new()).code(), Problem::code);
    let app = answer.request().app_data::<web::Data<App>>();
    match code {
        Code::RateLimited => true,
        Code::Busy | Code::Unavailable => {
            if let (Some(problem), Some(app)) = (error.as_error::<Problem>(), app) {
                app.admission().answered(problem.error());
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
            let stranger = answer.request().extensions().get::<Caller>().is_none();
            if let (true, Some(app)) = (stranger, app) {
                app.admission().refused_stranger();
            }
            stranger
        }
        _ => false,
    }
}

/// The id that the client gave, if it is one that can stand in a log: 1–64 of `[A-Za-z0-9._-]`. Else a new one.
fn request_id(req: &ServiceRequest) -> String {
    let given = req.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let sane = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    given.filter(sane).map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// Gives a refusal, ours or the framework's, the form of a problem of this request; everything else stays as it is. Only
/// the body and what describes it change: headers that others added are kept.
fn in_our_form<B: MessageBody + 'static>(answer: ServiceResponse<B>, id: &str) -> ServiceResponse<EitherBody<B>> {
    let problem = answer.response().error().map(|error| match error.as_error::<Problem>() {
        Some(problem) => logged(problem, id),
        None => logged(&Problem::of_framework(answer.status(), error.to_string()), id),
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

fn logged(problem: &Problem, id: &str) -> HttpResponse {
    problem.log();
    problem.answer(id)
}

/// An error that came without its request.
fn unrouted(error: &actix_web::Error, id: &str) -> actix_web::Error {
    match error.as_error::<Problem>() {
        Some(problem) => outside(problem, id),
        None => outside(&Problem::of_framework(error.error_response().status(), error.to_string()), id),
    }
}

/// A problem whose request is gone: nobody further out can add to its answer, so all of it is made here.
fn outside(problem: &Problem, id: &str) -> actix_web::Error {
    let mut answer = logged(problem, id);
    if let Ok(id) = HeaderValue::from_str(id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    always(answer.headers_mut());
    InternalError::from_response(problem.to_string(), answer).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::said;
    use actix_web::App;
    use actix_web::http::StatusCode;
    use actix_web::middleware::from_fn;
    use actix_web::test::{self, TestRequest};
    use serde_json::Value;

    async fn refuse() -> Result<HttpResponse, Problem> {
        Err(Error::not_a_participant().into())
    }

    async fn fall() -> HttpResponse {
        panic!("the secret of the house")
    }

    /// Like some of the framework's errors, it tells its status only in its answer.
    #[derive(Debug, thiserror::Error)]
    #[error("a handshake is expected")]
    struct Taciturn;

    impl actix_web::ResponseError for Taciturn {
        fn error_response(&self) -> HttpResponse {
            HttpResponse::BadRequest().finish()
        }
    }

    /// The status, the request's id in the header and the body's.
    async fn ask(req: TestRequest) -> (StatusCode, String, Value) {
        ask_supervised(req, &Supervision::default()).await
    }

    async fn ask_supervised(req: TestRequest, supervision: &Supervision) -> (StatusCode, String, Value) {
        let app = App::new()
            .app_data(web::Data::new(supervision.clone()))
            .wrap(from_fn(edge))
            .route("/refused", web::get().to(refuse))
            .route("/falls", web::get().to(fall))
            .route("/number/{number}", web::get().to(async |_: web::Path<u8>| "a number"))
            .route("/taciturn", web::get().to(async || Err::<HttpResponse, _>(Taciturn)))
            .route("/page", web::get().to(async || "a page"));
        let app = test::init_service(app).await;
        let answer = match test::try_call_service(&app, req.to_request()).await {
            Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
            Err(error) => error.error_response(),
        };
        let status = answer.status();
        let id = said(answer.headers(), REQUEST_ID).to_owned();
        let body = actix_web::body::to_bytes(answer.into_body()).await.expect("a body in memory");
        (status, id, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[actix_web::test]
    async fn an_id_is_taken_when_it_is_sane_and_made_when_not() {
        let with = |id| TestRequest::get().uri("/page").insert_header((REQUEST_ID, id));
        assert_eq!(ask(with("a.b_c-1")).await.1, "a.b_c-1");
        let long = "a".repeat(65);
        for bad in ["", "a b", "<script>", &long] {
            let (_, id, _) = ask(with(bad)).await;
            assert_eq!(id.len(), 32, "{bad}");
        }
    }

    #[actix_web::test]
    async fn a_refusal_carries_the_id_of_its_request() {
        let (status, id, body) = ask(TestRequest::get().uri("/refused")).await;
        assert_eq!((status, body["code"].as_str()), (StatusCode::FORBIDDEN, Some("not_a_participant")));
        assert_eq!(body["request_id"], id.as_str());
    }

    #[actix_web::test]
    async fn a_refusal_of_the_framework_has_our_form() {
        for (path, expected, code) in [("/number/x", 404, "not_found"), ("/taciturn", 400, "invalid_request")] {
            let (status, id, body) = ask(TestRequest::get().uri(path)).await;
            assert_eq!((status.as_u16(), body["code"].as_str()), (expected, Some(code)), "{path}");
            assert_eq!(body["request_id"], id.as_str());
        }
    }

    #[actix_web::test]
    async fn a_panic_is_a_problem_that_tells_nothing_and_is_counted() {
        let supervision = Supervision::default();
        let (status, id, body) = ask_supervised(TestRequest::get().uri("/falls"), &supervision).await;
        assert_eq!(supervision.panics("requests"), 1);
        assert_eq!((status, body["code"].as_str()), (StatusCode::INTERNAL_SERVER_ERROR, Some("internal")));
        assert_eq!(body["request_id"], id.as_str());
        assert!(!body.to_string().contains("secret"));
    }
}

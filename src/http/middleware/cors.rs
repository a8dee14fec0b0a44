//! CORS: lets pages of the origins that the operator allows call the API.

use super::REQUEST_ID;
use actix_cors::Cors;
use actix_web::http::{Method, header};
use actix_web::middleware::Condition;

/// Returns the middleware that lets pages of these origins call the API. Their browsers send no cookies, because a
/// caller is authenticated by a bearer token only. Without any origin, the middleware adds nothing to answers.
pub fn cors(origins: &[String]) -> Condition<Cors> {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers([header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, REQUEST_ID])
        .expose_headers([header::RETRY_AFTER, REQUEST_ID])
        .max_age(600);
    let cors = origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
    Condition::new(!origins.is_empty(), cors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, web};

    async fn allowed(origins: &[String], req: TestRequest) -> Option<HeaderValue> {
        let app = App::new().wrap(cors(origins)).route("/", web::get().to(async || "a page"));
        let answer = test::call_service(&test::init_service(app).await, req.to_request()).await;
        answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned()
    }

    #[actix_web::test]
    async fn an_origin_may_call_only_if_it_is_allowed() {
        let origins = ["https://app.example.org".to_owned()];
        let from = |origin: &'static str| TestRequest::get().insert_header((header::ORIGIN, origin));
        assert_eq!(
            allowed(&origins, from("https://app.example.org")).await.expect("allowed"),
            "https://app.example.org"
        );
        assert_eq!(allowed(&origins, from("https://evil.example.org")).await, None);
        assert_eq!(allowed(&[], from("https://app.example.org")).await, None);
    }

    #[actix_web::test]
    async fn a_preflight_is_answered_before_any_route() {
        let origins = ["https://app.example.org".to_owned()];
        let asks = |origin: &'static str| {
            TestRequest::with_uri("/nowhere")
                .method(Method::OPTIONS)
                .insert_header((header::ORIGIN, origin))
                .insert_header((header::ACCESS_CONTROL_REQUEST_METHOD, "PATCH"))
                .insert_header((header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type"))
        };
        assert!(allowed(&origins, asks("https://app.example.org")).await.is_some());
        assert_eq!(allowed(&origins, asks("https://evil.example.org")).await, None);
    }
}

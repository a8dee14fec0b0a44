//! Adds the headers that keep browsers safe: some to every answer, and a content security policy to pages.

use crate::app::App;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};
use url::{Position, Url};

/// The headers of every answer: browsers must not guess media types, not send our addresses to other sites, not give
/// windows of other origins access, and not use devices that a chat does not need.
const COMMON_HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), geolocation=(self), microphone=(self), payment=(), usb=()",
    ),
];

/// Middleware: adds the headers for browsers to an answer. Answers of the API must not be cached unless they say
/// otherwise.
pub async fn headers<B: MessageBody>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let mut answer = next.call(req).await?;
    let policy = is_page(answer.headers()).then(|| policy(answer.request()));
    let uncached = answer.request().path().starts_with("/api/");
    let headers = answer.headers_mut();
    add_common(headers);
    if let Some(policy) = policy.and_then(|policy| HeaderValue::from_str(&policy).ok()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if uncached && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(answer)
}

/// Adds the headers that every answer has.
pub fn add_common(headers: &mut HeaderMap) {
    for (name, value) in COMMON_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Returns the content security policy of a page. Only the pages of `/docs/` need styles inside the page.
fn policy(req: &HttpRequest) -> String {
    let app = req.app_data::<web::Data<App>>();
    let origins = app.map_or(&[][..], |app| &app.settings().server.allowed_origins);
    let frames = if origins.is_empty() { "'none'".to_owned() } else { format!("'self' {}", origins.join(" ")) };
    let documents = req.path().starts_with("/docs/");
    let styles = if documents { "'self' 'unsafe-inline'" } else { "'self'" };
    let public_url = app.and_then(|app| app.settings().server.public_url.as_ref());
    let sockets = socket_sources(req, public_url);
    format!(
        "default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' https: data: blob:; \
         media-src 'self' blob:; connect-src 'self'{sockets}; font-src 'self'; manifest-src 'self'; \
         worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {frames}"
    )
}

/// Returns the WebSocket addresses of the host of the page and of the public URL, each after a space. Older browsers do
/// not include them in `'self'`.
fn socket_sources(req: &HttpRequest, public_url: Option<&Url>) -> String {
    let asked = req.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let public = public_url.map_or("", |url| &url[Position::BeforeHost..Position::AfterPort]);
    // A host with other characters could add directives of the client to the policy.
    let is_plain = |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte));
    let hosts = [asked, if public == asked { "" } else { public }];
    hosts
        .into_iter()
        .filter(|host| !host.is_empty() && is_plain(host))
        .fold(String::new(), |addresses, host| format!("{addresses} ws://{host} wss://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::header_text;
    use actix_web::middleware::from_fn;
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, HttpResponse};

    async fn ask(path: &str, host: &str) -> HeaderMap {
        let page = async || HttpResponse::Ok().content_type("text/html; charset=utf-8").body("a page");
        let app = App::new()
            .wrap(from_fn(headers))
            .route("/", web::get().to(page))
            .route("/docs/", web::get().to(page))
            .route("/api/v1/x", web::get().to(async || web::Json(1)));
        let app = test::init_service(app).await;
        let req = TestRequest::get().uri(path).insert_header((header::HOST, host)).to_request();
        test::call_service(&app, req).await.headers().clone()
    }

    fn policy_of(headers: &HeaderMap) -> &str {
        header_text(headers, header::CONTENT_SECURITY_POLICY)
    }

    #[actix_web::test]
    async fn every_answer_has_the_common_headers_and_the_api_is_not_cached() {
        let headers = ask("/api/v1/x", "chat.example.org").await;
        assert_eq!(header_text(&headers, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(header_text(&headers, header::CACHE_CONTROL), "no-store");
        assert!(!headers.contains_key(header::CONTENT_SECURITY_POLICY));
        assert_eq!(header_text(&ask("/nowhere", "chat.example.org").await, header::REFERRER_POLICY), "no-referrer");
    }

    #[actix_web::test]
    async fn a_page_loads_only_our_files_and_cannot_be_framed() {
        let headers = ask("/", "chat.example.org:8080").await;
        let policy = policy_of(&headers);
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(
            policy.contains("connect-src 'self' ws://chat.example.org:8080 wss://chat.example.org:8080;"),
            "{policy}"
        );
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!headers.contains_key(header::CACHE_CONTROL));
    }

    #[actix_web::test]
    async fn a_host_cannot_add_to_the_policy() {
        let headers = ask("/", "x; script-src *").await;
        assert!(policy_of(&headers).contains("connect-src 'self';"), "{}", policy_of(&headers));
    }

    #[test]
    fn behind_a_proxy_that_rewrites_host_sockets_go_to_the_public_address() {
        let req = TestRequest::get().insert_header((header::HOST, "127.0.0.1:8080")).to_http_request();
        let public = Url::parse("https://chat.example.org").expect("a URL");
        let both = " ws://127.0.0.1:8080 wss://127.0.0.1:8080 ws://chat.example.org wss://chat.example.org";
        assert_eq!(socket_sources(&req, Some(&public)), both);
        let req = TestRequest::get().insert_header((header::HOST, "chat.example.org")).to_http_request();
        assert_eq!(socket_sources(&req, Some(&public)), " ws://chat.example.org wss://chat.example.org");
    }

    #[actix_web::test]
    async fn styles_inside_the_page_are_allowed_only_in_docs() {
        assert!(policy_of(&ask("/docs/", "x").await).contains("style-src 'self' 'unsafe-inline';"));
        assert!(!policy_of(&ask("/", "x").await).contains("unsafe"));
    }
}

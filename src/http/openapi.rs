//! The OpenAPI 3.1 document of the API.
//!
//! The types and comments of the handlers describe the operations. The route table adds the parts that all operations
//! have: who may call them, and the form of errors.

use super::problem::{MEDIA_TYPE, Problem, ProblemDocument};
use super::routes::{self, API, Access};
use super::{
    auth, blocks, conversations, health, members, messages, pins, reactions, receipts, settings, statistics, users, ws,
};
use crate::error::{Error, FieldError};
use actix_web::HttpResponse;
use actix_web::http::Method;
use std::sync::LazyLock;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder, Server};
use utoipa::{Modify, OpenApi};

const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Greenroom",
        description = "A realtime chat server. The WebSocket at `/ws` sends live events.",
        contact(),
    ),
    tags(
        (name = "accounts", description = "Registration, sign-in, sign-out, and the caller's own logins"),
        (name = "users", description = "Profiles and presence"),
        (name = "conversations", description = "Direct conversations, groups, and conversations of classes"),
        (name = "members", description = "The participants of a conversation"),
        (name = "settings", description = "The caller's own view of a conversation"),
        (name = "blocks", description = "The blocks of the caller"),
        (name = "messages", description = "Sending, reading, editing and deleting messages"),
        (name = "receipts", description = "The participants who have received and read a message"),
        (name = "reactions", description = "Emojis on messages"),
        (name = "pins", description = "The pinned messages of a conversation"),
        (name = "operations", description = "The health of the server, the WebSocket, and this document"),
    ),
    paths(
        auth::register,
        auth::login,
        auth::refresh,
        auth::logout,
        auth::sessions,
        auth::revoke_session,
        auth::ticket,
        users::me,
        users::update_me,
        users::set_password,
        users::get,
        users::search,
        users::presence,
        conversations::create,
        conversations::list,
        conversations::detail,
        conversations::update,
        conversations::online,
        conversations::typing,
        conversations::leave,
        conversations::create_with,
        conversations::get_with,
        conversations::unread_count,
        statistics::own_stats,
        statistics::stats,
        conversations::read,
        members::list,
        members::get,
        members::add,
        members::remove,
        members::set_role,
        settings::archive,
        settings::unarchive,
        settings::mute,
        settings::unmute,
        settings::pin,
        settings::unpin,
        settings::notify,
        blocks::create,
        blocks::list,
        blocks::delete,
        blocks::status,
        messages::send,
        messages::list,
        messages::get,
        messages::context,
        messages::edit,
        messages::delete,
        messages::history,
        receipts::get,
        reactions::list,
        reactions::add,
        reactions::remove,
        pins::add,
        pins::remove,
        pins::list,
        ws::upgrade,
        health::health,
        health::live,
        health::ready,
        serve,
    ),
    components(schemas(ProblemDocument, FieldError)),
    modifiers(&CommonParts),
)]
struct ApiDocument;

/// Adds the parts that all operations have: the access, the form of errors, and a unique id.
struct CommonParts;

impl Modify for CommonParts {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.servers = Some(vec![Server::new(API)]);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        for route in routes::ROUTES.iter().chain(routes::SHARED_ROUTES) {
            let item = document.paths.paths.get_mut(route.path);
            let Some(operation) = item.and_then(|item| operation(item, route.method.as_str())) else { continue };
            let signed_in = SecurityRequirement::new(BEARER, [""; 0]);
            // the name of the handler alone is not unique, such as `users::get` and `messages::get`
            let tag = operation.tags.as_ref().and_then(|tags| tags.first());
            if let Some((tag, name)) = tag.zip(operation.operation_id.as_ref()) {
                // PUT and PATCH of one path have the same handler
                let is_patch = |other: &routes::Route| other.path == route.path && other.method == Method::PATCH;
                let is_second = route.method == Method::PUT && routes::ROUTES.iter().any(is_patch);
                operation.operation_id = Some(format!("{tag}_{name}{}", if is_second { "_put" } else { "" }));
            }
            operation.security = Some(if route.access == Access::User { vec![signed_in] } else { Vec::new() });
            let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let error = ResponseBuilder::new().description("An error. `code` is its type").content(MEDIA_TYPE, problem);
            operation.responses.responses.insert("default".to_owned(), error.build().into());
        }
    }
}

fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        "PUT" => item.put.as_mut(),
        "PATCH" => item.patch.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

/// Returns the document.
pub fn document() -> utoipa::openapi::OpenApi {
    ApiDocument::openapi()
}

/// Get this document
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "The OpenAPI 3.1 document", content_type = "application/json"))
)]
pub async fn serve() -> Result<HttpResponse, Problem> {
    static TEXT: LazyLock<Result<String, serde_json::Error>> = LazyLock::new(|| document().to_json());
    let text = TEXT.as_deref().map_err(|error| Error::internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_and_the_route_table_name_the_same_operations() {
        let mut document = document();
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        let mut described = BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for method in methods {
                if operation(item, method).is_some() {
                    described.insert((path.clone(), method.to_owned()));
                }
            }
        }
        let routed = routes::ROUTES.iter().chain(routes::SHARED_ROUTES);
        let routed: BTreeSet<_> = routed.map(|route| (route.path.to_owned(), route.method.to_string())).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn the_document_is_openapi_3_1_and_names_the_access() {
        let text = document().to_json().expect("JSON");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
        let of = |path: &str, method: &str| document["paths"][path][method].clone();
        assert_eq!(of("/users/me", "get")["security"], serde_json::json!([{"bearer": []}]));
        assert_eq!(of("/auth/login", "post")["security"], serde_json::json!([]));
        let problem = &of("/users/me", "get")["responses"]["default"]["content"]["application/problem+json"]["schema"];
        assert_eq!(problem["$ref"], "#/components/schemas/Problem");
        assert!(document["components"]["schemas"]["Problem"]["properties"]["code"].is_object());
    }

    #[test]
    fn every_reference_has_a_schema_and_every_operation_id_is_unique() {
        let text = document().to_json().expect("JSON");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let (mut references, mut ids) = (Vec::new(), Vec::new());
        walk(&document, &mut references, &mut ids);
        for reference in references {
            let name = reference.strip_prefix("#/components/schemas/").expect("a schema of this document");
            assert!(document["components"]["schemas"][name].is_object(), "{reference} has no schema");
        }
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    }

    #[test]
    fn every_parameter_is_described() {
        let text = document().to_json().expect("JSON");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let named = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
                let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
                let is_page = method == "get" && operation["responses"]["200"].to_string().contains("/Page_");
                for name in in_path.chain(["limit", "cursor"].into_iter().filter(|_| is_page)) {
                    assert!(named(name), "{method} {path} does not describe {name}");
                }
            }
        }
    }

    fn walk(value: &serde_json::Value, references: &mut Vec<String>, ids: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value.as_str()) {
                        ("$ref", Some(reference)) => references.push(reference.to_owned()),
                        ("operationId", Some(id)) => ids.push(id.to_owned()),
                        _ => walk(value, references, ids),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, references, ids)),
            _ => {}
        }
    }
}

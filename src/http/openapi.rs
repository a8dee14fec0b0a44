//! The OpenAPI 3.1 document: every operation from its handler's own types, and what all of them share (who may call,
//! how they refuse) from the route table.

use super::problem::{Document, MEDIA_TYPE, Problem};
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
        description = "A realtime chat server. Live events travel over the WebSocket at `/ws`.",
        contact(),
    ),
    tags(
        (name = "accounts", description = "Signing up, in and out, and one's own logins"),
        (name = "users", description = "Profiles and presence"),
        (name = "conversations", description = "Direct and group conversations"),
        (name = "members", description = "Who is in a conversation"),
        (name = "settings", description = "One's own view of a conversation"),
        (name = "blocks", description = "Whom one has blocked"),
        (name = "messages", description = "Sending and reading"),
        (name = "receipts", description = "Who has a message, and who has read it"),
        (name = "reactions", description = "Emojis on messages"),
        (name = "pins", description = "Messages pinned in a conversation"),
        (name = "operations", description = "Whether the server is well"),
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
    components(schemas(Document, FieldError)),
    modifiers(&Shared),
)]
struct Described;

/// What every operation has, told once.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.servers = Some(vec![Server::new(API)]);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        for route in routes::ROUTES.iter().chain(routes::ROUTES_TWICE) {
            let item = document.paths.paths.get_mut(route.path);
            let Some(operation) = item.and_then(|item| operation(item, route.method.as_str())) else { continue };
            let signed_in = SecurityRequirement::new(BEARER, [""; 0]);
            // the handler's name alone is not unique: `users::get`, `messages::get`
            let tag = operation.tags.as_ref().and_then(|tags| tags.first());
            if let Some((tag, name)) = tag.zip(operation.operation_id.as_ref()) {
                // PUT beside PATCH is another name of the same
                let twin = |other: &routes::Route| other.path == route.path && other.method == Method::PATCH;
                let also = route.method == Method::PUT && routes::ROUTES.iter().any(twin);
                operation.operation_id = Some(format!("{tag}_{name}{}", if also { "_put" } else { "" }));
            }
            operation.security = Some(if route.access == Access::User { vec![signed_in] } else { Vec::new() });
            let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let refused = ResponseBuilder::new().description("Refused; `code` says why").content(MEDIA_TYPE, problem);
            operation.responses.responses.insert("default".to_owned(), refused.build().into());
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

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
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
        let routed = routes::ROUTES.iter().chain(routes::ROUTES_TWICE);
        let routed: BTreeSet<_> = routed.map(|route| (route.path.to_owned(), route.method.to_string())).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn the_document_is_openapi_3_1_and_says_who_may_call() {
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
    fn every_reference_leads_to_a_schema_and_every_operation_has_an_id_of_its_own() {
        let text = document().to_json().expect("JSON");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let (mut references, mut ids) = (Vec::new(), Vec::new());
        walk(&document, &mut references, &mut ids);
        for reference in references {
            let name = reference.strip_prefix("#/components/schemas/").expect("a schema of this document");
            assert!(document["components"]["schemas"][name].is_object(), "{reference} leads nowhere");
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

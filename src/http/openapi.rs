//! The OpenAPI 3.1 document of the API.
//!
//! The attributes and comments of the handlers describe the operations. This module adds the parts that all operations
//! have: who may call them, and the form of errors.

use super::access::Access;
use super::problem::{MEDIA_TYPE, Problem, ProblemDocument};
use super::route::{API, METHODS, Route, operation};
use crate::error::{Error, FieldError};
use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use std::sync::OnceLock;
use utoipa::OpenApi;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder, Server};

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
    components(schemas(ProblemDocument, FieldError)),
)]
struct DocumentHead;

/// Returns the document of `routes`.
pub fn describe<'a>(routes: impl IntoIterator<Item = &'a Route>) -> utoipa::openapi::OpenApi {
    let mut document = DocumentHead::openapi();
    document.servers = Some(vec![Server::new(API)]);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    for route in routes {
        let mut described = route.describe();
        for item in described.paths.paths.values_mut() {
            add_common_parts(item, route.access);
        }
        document.merge(described);
    }
    document
}

/// Adds the parts that all operations have: the access, the form of errors, and a unique id.
fn add_common_parts(item: &mut PathItem, access: Access) {
    let has_patch = item.patch.is_some();
    for method in METHODS {
        let Some(operation) = operation(item, &method) else { continue };
        // The name of the handler alone is not unique, such as `users::get` and `messages::get`.
        let tag = operation.tags.as_ref().and_then(|tags| tags.first());
        if let Some((tag, name)) = tag.zip(operation.operation_id.as_ref()) {
            // PUT and PATCH of one path have the same handler.
            let suffix = if has_patch && method == Method::PUT { "_put" } else { "" };
            operation.operation_id = Some(format!("{tag}_{name}{suffix}"));
        }
        let requirement = access.roles().map(|roles| SecurityRequirement::new(BEARER, roles));
        operation.security = Some(requirement.into_iter().collect());
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let error = ResponseBuilder::new().description("An error. `code` is its type").content(MEDIA_TYPE, problem);
        operation.responses.responses.insert("default".to_owned(), error.build().into());
    }
}

/// The document as JSON, which is made when a client first asks for it.
pub struct DocumentText {
    build: fn() -> utoipa::openapi::OpenApi,
    text: OnceLock<String>,
}

impl DocumentText {
    /// Returns the text of the document that `build` returns.
    pub const fn new(build: fn() -> utoipa::openapi::OpenApi) -> Self {
        Self { build, text: OnceLock::new() }
    }

    fn get(&self) -> serde_json::Result<&str> {
        if let Some(text) = self.text.get() {
            return Ok(text);
        }
        let text = (self.build)().to_json()?;
        Ok(self.text.get_or_init(|| text))
    }
}

/// Get this document
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "The OpenAPI 3.1 document", content_type = "application/json"))
)]
pub async fn serve(document: web::Data<&'static DocumentText>) -> Result<HttpResponse, Problem> {
    let text = document.get().map_err(|error| Error::internal(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(text))
}

#[cfg(test)]
mod tests {
    use crate::domain::limits;
    use crate::http::routes::document;
    use std::collections::BTreeSet;
    use std::ops::RangeInclusive;

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

    /// Comments cannot take a number from a constant, so this test compares them.
    #[test]
    fn the_descriptions_state_the_limits() {
        let text = document().to_json().expect("JSON");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let fields = [
            ("Register/properties/username", range(limits::USERNAME_CHARS)),
            ("Register/properties/password", range(limits::PASSWORD_CHARS)),
            ("PasswordChange/properties/new_password", range(limits::PASSWORD_CHARS)),
            ("Register/properties/display_name", range(1..=limits::NAME_CHARS)),
            ("ProfileChange/properties/display_name", range(1..=limits::NAME_CHARS)),
            ("ProfileChange/properties/avatar_url", grouped(limits::URL_CHARS)),
            ("ProfileChange/properties/locale", grouped(limits::LOCALE_CHARS)),
            ("PresenceRequest/properties/user_ids", grouped(limits::PRESENCE_USERS)),
            ("NewConversation/properties/name", range(1..=limits::NAME_CHARS)),
            ("NewConversation/properties/description", grouped(limits::DESCRIPTION_CHARS)),
            ("NewConversation/properties/avatar_url", grouped(limits::URL_CHARS)),
            ("NewConversation/properties/temp_id", range(1..=limits::TEMP_ID_CHARS)),
            ("ConversationChange/properties/name", range(1..=limits::NAME_CHARS)),
            ("ConversationChange/properties/description", grouped(limits::DESCRIPTION_CHARS)),
            ("ConversationChange/properties/avatar_url", grouped(limits::URL_CHARS)),
            ("ConversationDetail", grouped(limits::DETAIL_MEMBERS as usize)),
            ("ConversationStatistics/properties/messages_by_member", grouped(limits::TOP_SENDERS as usize)),
            ("Mute/properties/seconds", format!("1 to {}", grouped(limits::MUTE_SECONDS as usize))),
            ("NewMessage/properties/content", range(1..=limits::CONTENT_CHARS)),
            ("NewMessage/properties/temp_id", range(1..=limits::TEMP_ID_CHARS)),
            ("NewMessage/properties/data", format!("{} KiB", limits::DATA_BYTES / 1024)),
            ("NewText/properties/content", range(1..=limits::CONTENT_CHARS)),
            ("LastMessage/properties/content", grouped(limits::PREVIEW_CHARS)),
            ("Quote/properties/content", grouped(limits::PREVIEW_CHARS)),
            ("Message/properties/status/oneOf/0", grouped(limits::STATUS_MEMBERS as usize)),
            ("ReactionUsers/properties/user_ids", grouped(limits::LISTED_USERS as usize)),
            ("Receipts/properties/delivered", grouped(limits::LISTED_USERS as usize)),
            ("Receipts/properties/read", grouped(limits::LISTED_USERS as usize)),
        ];
        let fields = fields.map(|(field, number)| (format!("/components/schemas/{field}"), number));
        let reaction = "/conversations/{id}/messages/{mid}/reactions/{emoji}";
        let operations = [
            ("/auth/register", "post", format!("{} accounts in a burst", limits::REGISTRATION_BURST)),
            ("/auth/login", "post", format!("{} wrong passwords a minute", limits::WRONG_PASSWORDS_PER_MINUTE)),
            ("/ws/ticket", "post", format!("{} seconds", limits::TICKET_LIFETIME.as_secs())),
            ("/users/search", "get", grouped(limits::SEARCH_CANDIDATES as usize)),
            ("/users/search", "get/parameters/0", range(1..=limits::USER_QUERY_CHARS)),
            (reaction, "put/parameters/2", format!("{} bytes", limits::EMOJI_BYTES)),
            (reaction, "delete/parameters/2", format!("{} bytes", limits::EMOJI_BYTES)),
        ];
        let operations = operations
            .map(|(path, operation, number)| (format!("/paths/{}/{operation}", path.replace('/', "~1")), number));
        for (pointer, number) in fields.into_iter().chain(operations) {
            let description = document.pointer(&format!("{pointer}/description")).and_then(serde_json::Value::as_str);
            let description = description.unwrap_or_else(|| panic!("{pointer} has no description"));
            assert!(description.contains(&number), "{pointer} does not state {number}: {description}");
        }
        let operations = document["paths"].as_object().expect("paths").values();
        let operations = operations.flat_map(|item| item.as_object().expect("operations").values());
        for parameter in operations.flat_map(|operation| operation["parameters"].as_array().into_iter().flatten()) {
            if parameter["name"] == "limit" {
                assert_eq!(parameter["schema"]["maximum"], limits::PAGE_MAX);
                assert!(
                    parameter["description"].as_str().expect("a text").contains(&format!("1–{}", limits::PAGE_MAX))
                );
            }
        }
    }

    fn range(range: RangeInclusive<usize>) -> String {
        format!("{}–{}", range.start(), grouped(*range.end()))
    }

    /// Returns a number with commas between groups of three digits, as the descriptions have them.
    fn grouped(number: usize) -> String {
        let rest = format!("{:03}", number % 1000);
        if number < 1000 { number.to_string() } else { format!("{},{rest}", grouped(number / 1000)) }
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

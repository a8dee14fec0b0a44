//! Invalid input over REST: for every route of the authorization table, bodies and paths that are invalid in each way,
//! and then the input of single features. The server names what is invalid, and it never answers with a 5xx status.

use greenroom::domain::limits;
use reqwest::Method;
use serde_json::{Value, json};

use crate::authorization::fixture::{Fixture, TestConversation};
use crate::support::authorization_table::{CALLERS, Row, TABLE, rows};
use crate::support::rest::{Answer, Body};
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

/// Returns one row of the table for each route.
fn routes() -> Vec<Row> {
    let mut routes: Vec<Row> = Vec::new();
    for row in rows(TABLE, CALLERS.len()) {
        if routes.iter().all(|known| known.route() != row.route()) {
            routes.push(row);
        }
    }
    routes
}

/// Users and a group in which the owner can make the calls of all rows, and the unexpected answers so far.
struct RouteChecker {
    fixture: Fixture,
    conversation: TestConversation,
    errors: Vec<String>,
}

impl RouteChecker {
    async fn new() -> Self {
        let fixture = Fixture::new(&CALLERS).await;
        let conversation = fixture.create_group().await;
        Self { fixture, conversation, errors: Vec::new() }
    }

    /// Makes the call as the owner, and adds an error if the answer is not as expected.
    async fn call(&mut self, row: &Row, check: impl FnOnce(&Answer) -> Result<(), String>) {
        let answer = self.fixture.call(row, "owner", &self.conversation).await;
        let result = if answer.status >= 500 { Err("an error of the server".to_owned()) } else { check(&answer) };
        if let Err(error) = result {
            let sent: String = row.body.clone().unwrap_or_default().chars().take(200).collect();
            self.errors.push(format!("{} {} {sent}: {} {}: {error}", row.method, row.path, answer.status, answer.body));
        }
    }

    fn assert_no_errors(self) {
        assert!(self.errors.is_empty(), "{} wrong answers:\n{}", self.errors.len(), self.errors.join("\n"));
    }
}

fn has_error(status: u16, code: &str) -> impl FnOnce(&Answer) -> Result<(), String> {
    move |answer| {
        let found = (answer.status, answer.body["code"].as_str().unwrap_or_default());
        if found == (status, code) { Ok(()) } else { Err(format!("not {status} {code}")) }
    }
}

/// Expects an error that names the field, or a field inside it.
fn names_field(field: &str) -> impl FnOnce(&Answer) -> Result<(), String> {
    move |answer| {
        has_error(422, "validation_failed")(answer)?;
        let fields = answer.body["errors"].as_array().into_iter().flatten();
        let mut fields = fields.filter_map(|error| error["field"].as_str());
        if fields.any(|named| named.starts_with(field)) { Ok(()) } else { Err(format!("{field} is not named")) }
    }
}

/// Expects any answer except an error of the server.
const NO_SERVER_ERROR: fn(&Answer) -> Result<(), String> = |_| Ok(());

#[tokio::test]
async fn every_route_refuses_invalid_bodies() {
    let mut checker = RouteChecker::new().await;
    let routes = routes();
    let routes_with_body: Vec<&Row> = routes.iter().filter(|row| row.body.is_some()).collect();
    assert!(routes_with_body.len() > 10, "few routes take a body");
    for row in routes_with_body {
        let body: Value = serde_json::from_str(row.body.as_ref().unwrap()).unwrap();
        let with_body = |body: String| Row { body: Some(body), ..row.clone() };
        for malformed in ["{", "nonsense", r#"{"a":1} x"#, "{\"a\":\"\u{1}\"}"] {
            checker.call(&with_body(malformed.to_owned()), has_error(400, "invalid_request")).await;
        }
        for other in ["[]", "null", "5", "\"text\""] {
            checker.call(&with_body(other.to_owned()), has_error(422, "validation_failed")).await;
        }
        let mut unknown = body.clone();
        unknown["colour"] = json!("red");
        checker.call(&with_body(unknown.to_string()), names_field("colour")).await;
        let large = format!("{{\"colour\":\"{}\"}}", "x".repeat(limits::BODY_BYTES));
        checker.call(&with_body(large), has_error(413, "payload_too_large")).await;
        for (field, value) in body.as_object().unwrap() {
            let with = |value: &str| {
                let text = serde_json::to_string(&body).unwrap();
                let before = format!("\"{field}\":{}", body[field]);
                with_body(text.replacen(&before, &format!("\"{field}\":{value}"), 1))
            };
            for wrong in [r#"{"x":1}"#, "[[1]]", "1e400", "123456789012345678901234567890"] {
                // A number that is too large for the JSON parser is malformed. The others have a wrong type.
                let refused = |answer: &Answer| match answer.status {
                    400 => has_error(400, "invalid_request")(answer),
                    _ => names_field(field)(answer),
                };
                checker.call(&with(wrong), refused).await;
            }
            if !value.is_string() {
                checker.call(&with("\"text\""), names_field(field)).await;
            }
            let long = format!("\"{}\"", "x".repeat(100_000));
            for unusual in
                ["\"\"", "\"\\u0000\"", "\" \"", "null", "-1", "0", "9223372036854775807", "true", "[]", &long]
            {
                checker.call(&with(unusual), NO_SERVER_ERROR).await;
            }
            checker
                .call(&with("\"a\\u0000b\""), |answer| {
                    if (400..500).contains(&answer.status) { Ok(()) } else { Err("NUL was accepted".to_owned()) }
                })
                .await;
            let twice = body.to_string().replacen('{', &format!("{{\"{field}\":{value},"), 1);
            checker
                .call(&with_body(twice), |answer| {
                    if matches!(answer.status, 400 | 422) {
                        Ok(())
                    } else {
                        Err("a repeated field was accepted".to_owned())
                    }
                })
                .await;
        }
    }
    checker.assert_no_errors();
}

/// A client that sends fields to such a route may expect an effect, so the server must refuse them.
#[tokio::test]
async fn a_route_without_a_body_refuses_fields() {
    let mut checker = RouteChecker::new().await;
    let routes = routes();
    let routes_without_body: Vec<&Row> =
        routes.iter().filter(|row| row.body.is_none() && row.method != "GET").collect();
    assert!(routes_without_body.len() > 10, "few routes take no body");
    for row in routes_without_body {
        let with_body = |body: &str| Row { body: Some(body.to_owned()), ..row.clone() };
        checker.call(&with_body(r#"{"colour":"red"}"#), names_field("colour")).await;
        for malformed in ["{", "nonsense"] {
            checker.call(&with_body(malformed), has_error(400, "invalid_request")).await;
        }
        for other in ["[]", "5"] {
            checker.call(&with_body(other), has_error(422, "validation_failed")).await;
        }
        for empty in ["", "{}", " { } "] {
            let accepted = |answer: &Answer| if answer.status < 300 { Ok(()) } else { Err("not accepted".to_owned()) };
            checker.call(&with_body(empty), accepted).await;
            checker.conversation = checker.fixture.create_group().await;
        }
    }
    checker.assert_no_errors();
}

/// Invalid ids, as users and programs may send them.
const INVALID_IDS: [&str; 6] =
    ["nonsense", "%00", "..%2F..%2Fetc", "0", "'%20OR%201=1", "019a9f0c0000700080000000000000ff"];

#[tokio::test]
async fn every_route_refuses_invalid_paths() {
    let mut checker = RouteChecker::new().await;
    let long = "9".repeat(4000);
    for row in routes().into_iter().filter(|row| row.path.contains('{')) {
        for parameter in parameters(&row.path) {
            let with = |value: &str| Row { path: row.path.replace(&parameter, value), ..row.clone() };
            let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
            if parameter.starts_with("{id:") || parameter.starts_with("{mid:") {
                for invalid in INVALID_IDS.into_iter().chain([long.as_str()]) {
                    checker.call(&with(invalid), has_error(400, "invalid_request")).await;
                }
                checker.call(&with(unknown), has_error(404, "not_found")).await;
            } else if parameter.starts_with("{ref:") {
                for invalid in ["%00", "no%20body", "ext:", "ext:%00", long.as_str(), "no-such-user", unknown] {
                    // Removing a user or block that does not exist is no error.
                    let absent = |answer: &Answer| match answer.status {
                        204 if row.method == "DELETE" => Ok(()),
                        404 => Ok(()),
                        _ => Err("not 404".to_owned()),
                    };
                    checker.call(&with(invalid), absent).await;
                }
            } else {
                for invalid in ["%00", "ab", "%20", "%FF", long.as_str()] {
                    let refused = |answer: &Answer| match answer.status {
                        400 | 422 => Ok(()),
                        _ => Err("not refused".to_owned()),
                    };
                    checker.call(&with(invalid), refused).await;
                }
            }
        }
    }
    checker.assert_no_errors();
}

/// Returns the parameters of a path as the table writes them, for example `{id:room}`.
fn parameters(path: &str) -> Vec<String> {
    path.split('{').skip(1).map(|rest| format!("{{{}}}", rest.split('}').next().unwrap())).collect()
}

#[tokio::test]
async fn every_list_refuses_invalid_page_parameters() {
    let mut checker = RouteChecker::new().await;
    let mut pages = 0;
    for row in routes().into_iter().filter(|row| row.method == "GET") {
        let answer = checker.fixture.call(&row, "owner", &checker.conversation).await;
        if answer.body["items"].is_null() {
            continue;
        }
        pages += 1;
        let separator = if row.path.contains('?') { '&' } else { '?' };
        for wrong in ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=1e3", "limit=", "cursor=%00", "colour=red"]
        {
            let wrong = Row { path: format!("{}{separator}{wrong}", row.path), ..row.clone() };
            checker.call(&wrong, has_error(400, "invalid_request")).await;
        }
    }
    assert!(pages >= 6, "{pages} pages were found");
    checker.assert_no_errors();
}

/// Returns Alice and Bob, their group, and a message of Alice in it.
async fn group_with_message(server: &TestServer) -> (TestUser, TestUser, String, String) {
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let message = text(&alice.send(&room, "hello").await["id"]);
    (alice, bob, room, message)
}

#[tokio::test]
async fn a_reaction_is_one_emoji() {
    let server = TestServer::start().await;
    let (_, bob, room, message) = group_with_message(&server).await;
    let mut socket = bob.connect().await;
    let long = "👩\u{200d}".repeat(10) + "👩";
    let invalid = [
        "a",
        "ab",
        "1",
        "👍👍",
        "👍a",
        "a👍",
        " 👍",
        "👍 ",
        "🇩",
        "🇩🇪🇫",
        "🇩🇪🇫🇷",
        "\u{200d}",
        "\u{fe0f}",
        "ñ",
        "नि",
        &long,
    ];
    for emoji in invalid {
        let path = format!("/conversations/{room}/messages/{message}/reactions/{}", escaped(emoji));
        for method in [Method::PUT, Method::DELETE] {
            bob.call(method, &path, Body::None).await.invalid("emoji");
        }
        let payload = json!({ "conversation_id": room, "message_id": message, "emoji": emoji });
        socket.refused("reaction.add", payload.clone(), "validation_failed").await;
        socket.refused("reaction.remove", payload, "validation_failed").await;
    }
    let payload = json!({ "conversation_id": room, "message_id": message, "emoji": "" });
    socket.refused("reaction.add", payload, "validation_failed").await;
    let valid = [
        "👍",
        "👍🏽",
        "👨\u{200d}👩\u{200d}👧\u{200d}👦",
        "🇩🇪",
        "1\u{fe0f}\u{20e3}",
        "❤\u{fe0f}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    ];
    for emoji in valid {
        let path = format!("/conversations/{room}/messages/{message}/reactions/{}", escaped(emoji));
        let reacted = bob.call(Method::PUT, &path, Body::None).await.expect(200);
        assert_eq!(reacted["emoji"], emoji);
    }
}

/// Returns a text with percent-encoding, for a path.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |path, byte| format!("{path}%{byte:02X}"))
}

#[tokio::test]
async fn a_message_of_another_conversation_is_not_found() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = group_with_message(&server).await;
    let other = alice.group("other", &[&bob]).await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut socket = bob.connect().await;
    for reply_to in [message.as_str(), unknown] {
        let body = json!({ "content": "a reply", "reply_to_id": reply_to });
        bob.post(&format!("/conversations/{other}/messages"), body).await.invalid("reply_to_id");
        let payload = json!({ "conversation_id": other, "content": "a reply", "reply_to_id": reply_to });
        socket.refused("message.send", payload, "validation_failed").await;
    }
    // The other calls do not find the message in another conversation either.
    for call in ["/history", "/receipts", "/reactions"] {
        alice.get(&format!("/conversations/{other}/messages/{message}{call}")).await.refused(404, "not_found");
    }
    let path = format!("/conversations/{other}/messages/{message}");
    alice.patch(&path, json!({ "content": "better" })).await.refused(404, "not_found");
    alice.put(&format!("{path}/pin"), json!({})).await.refused(404, "not_found");
    alice.put(&format!("{path}/reactions/%F0%9F%91%8D"), json!({})).await.refused(404, "not_found");
    for audience in ["everyone", "me"] {
        alice.delete(&format!("{path}?for={audience}")).await.refused(404, "not_found");
    }
    alice
        .post(&format!("/conversations/{other}/read"), json!({ "message_id": message }))
        .await
        .refused(404, "not_found");
    assert_eq!(alice.history(&room).await.last().unwrap()["content"], "hello");
    assert_eq!(alice.history(&other).await.len(), 1);
}

#[tokio::test]
async fn a_seq_beyond_the_newest_message_means_the_newest_message() {
    let server = TestServer::start().await;
    let (_, bob, room, message) = group_with_message(&server).await;
    let messages = format!("/conversations/{room}/messages");
    for around in ["2", "3", "1000000", "9223372036854775807"] {
        let page = bob.get(&format!("{messages}?around={around}")).await.expect(200);
        assert_eq!(page["items"].as_array().unwrap().last().unwrap()["id"], message.as_str(), "{around}");
        assert_eq!((&page["has_more_before"], &page["has_more_after"]), (&json!(false), &json!(false)));
    }
    let page = bob.get(&format!("{messages}?after=9223372036854775807")).await.expect(200);
    assert_eq!((&page["items"], &page["has_more_after"]), (&json!([]), &json!(false)));
    let page = bob.get(&format!("{messages}?before=9223372036854775807")).await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    for range in ["before", "after", "around"] {
        for wrong in ["9223372036854775808", "-1", "1.5", "x", ""] {
            bob.get(&format!("{messages}?{range}={wrong}")).await.refused(400, "invalid_request");
        }
    }
    bob.get(&format!("{messages}?before=2&after=1")).await.refused(400, "invalid_request");
    for seq in [2, 3, i64::MAX] {
        let mark = bob.post(&format!("/conversations/{room}/read"), json!({ "seq": seq })).await.expect(200);
        assert_eq!((&mark["last_read_seq"], &mark["unread_count"]), (&json!(2), &json!(0)));
    }
}

#[tokio::test]
async fn unknown_roles_are_refused_and_only_an_owner_can_transfer_ownership() {
    let server = TestServer::start().await;
    let (alice, _, room, _) = group_with_message(&server).await;
    server.user("carol").await;
    let members = format!("/conversations/{room}/members");
    for role in ["king", "Admin", "OWNER", "", "teacher", "member "] {
        alice.put(&format!("{members}/bob/role"), json!({ "role": role })).await.invalid("role");
        alice.post(&members, json!({ "user_ids": ["carol"], "role": role })).await.invalid("role");
    }
    let owner = alice.post(&members, json!({ "user_ids": ["carol"], "role": "owner" })).await;
    assert!(matches!(owner.status, 403 | 422), "{}", owner.body);
    alice.put(&format!("{members}/alice/role"), json!({ "role": "member" })).await.refused(403, "forbidden");
    let detail = alice.conversation(&room).await;
    assert_eq!((&detail["my"]["role"], &detail["member_count"]), (&json!("owner"), &json!(2)));
}

#[tokio::test]
async fn a_group_has_at_most_a_thousand_members() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let id = if server.database().url().is_some() { "gen_random_uuid()" } else { "randomblob(16)" };
    server
        .sql(&format!(
            "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
             SELECT {id}, 'user-' || i, 'user-' || i, 'User', 'user', 1, 1 FROM n"
        ))
        .await;
    let usernames: Vec<String> = (1..=1001).map(|number| format!("user-{number}")).collect();
    let group = |others: &[String]| json!({ "type": "group", "name": "room", "participant_ids": others });
    alice.post("/conversations", group(&usernames[..1000])).await.refused(409, "group_full");
    let room = text(&alice.post("/conversations", group(&usernames[..998])).await.expect(201)["id"]);
    let members = format!("/conversations/{room}/members");
    let add = async |users: &[String]| alice.post(&members, json!({ "user_ids": users })).await;
    add(&usernames[998..1000]).await.refused(409, "group_full");
    assert_eq!(alice.conversation(&room).await["member_count"], 999, "no user was added");
    add(&usernames[998..999]).await.expect(200);
    add(&usernames[999..1000]).await.refused(409, "group_full");
    // Adding current members again changes nothing. After a member left, another user can be added.
    add(&usernames[990..995]).await.expect(200);
    alice.delete(&format!("{members}/user-1")).await.expect(204);
    add(&usernames[999..1000]).await.expect(200);
    assert_eq!(alice.conversation(&room).await["member_count"], 1000);
    let list = alice.get("/conversations").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "a refused group is not created");
}

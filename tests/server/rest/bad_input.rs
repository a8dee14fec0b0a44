//! What no client should send: for every route of the table, bodies and paths that are wrong in each way, driven by the
//! rows of the authorisation matrix, so that a new route is in here with its row; then the inputs that only one feature
//! knows. A server refuses them by name, and none of them is ever its fault.

use greenroom::domain::limits;
use reqwest::Method;
use serde_json::{Value, json};

use crate::authorization::fixture::{People, Room};
use crate::support::authorization_table::{CALLERS, Row, TABLE, rows};
use crate::support::rest::{Answer, Body};
use crate::support::user::text;
use crate::support::{TestServer, TestUser};

/// One row of each route.
fn routes() -> Vec<Row> {
    let mut routes: Vec<Row> = Vec::new();
    for row in rows(TABLE, CALLERS.len()) {
        if routes.iter().all(|known| known.route() != row.route()) {
            routes.push(row);
        }
    }
    routes
}

/// A stage on which the calls of all rows go well when the owner makes them, and what went wrong so far.
struct Stage {
    people: People,
    room: Room,
    wrong: Vec<String>,
}

impl Stage {
    async fn new() -> Self {
        let people = People::gather(&CALLERS).await;
        let room = people.room().await;
        Self { people, room, wrong: Vec::new() }
    }

    /// Makes the call as the owner; what is wrong with the answer is noted.
    async fn call(&mut self, row: &Row, judge: impl FnOnce(&Answer) -> Result<(), String>) {
        let answer = self.people.call(row, "owner", &self.room).await;
        let judged = if answer.status >= 500 { Err("a fault of the server".to_owned()) } else { judge(&answer) };
        if let Err(wrong) = judged {
            let sent: String = row.body.clone().unwrap_or_default().chars().take(200).collect();
            self.wrong.push(format!("{} {} {sent}: {} {}: {wrong}", row.method, row.path, answer.status, answer.body));
        }
    }

    fn end(self) {
        assert!(self.wrong.is_empty(), "{} wrong answers:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

fn is(status: u16, code: &str) -> impl FnOnce(&Answer) -> Result<(), String> {
    move |answer| {
        let found = (answer.status, answer.body["code"].as_str().unwrap_or_default());
        if found == (status, code) { Ok(()) } else { Err(format!("not {status} {code}")) }
    }
}

/// A refusal that names the field, or something inside it.
fn names(field: &str) -> impl FnOnce(&Answer) -> Result<(), String> {
    move |answer| {
        is(422, "validation_failed")(answer)?;
        let fields = answer.body["errors"].as_array().into_iter().flatten();
        let mut fields = fields.filter_map(|error| error["field"].as_str());
        if fields.any(|named| named.starts_with(field)) { Ok(()) } else { Err(format!("{field} is not named")) }
    }
}

/// Anything but a fault.
const LIVES: fn(&Answer) -> Result<(), String> = |_| Ok(());

#[tokio::test]
async fn every_body_is_read_strictly() {
    let mut stage = Stage::new().await;
    let routes = routes();
    let with_body: Vec<&Row> = routes.iter().filter(|row| row.body.is_some()).collect();
    assert!(with_body.len() > 10, "few routes take a body");
    for row in with_body {
        let body: Value = serde_json::from_str(row.body.as_ref().unwrap()).unwrap();
        let sending = |body: String| Row { body: Some(body), ..row.clone() };
        for malformed in ["{", "nonsense", r#"{"a":1} x"#, "{\"a\":\"\u{1}\"}"] {
            stage.call(&sending(malformed.to_owned()), is(400, "invalid_request")).await;
        }
        for other in ["[]", "null", "5", "\"text\""] {
            stage.call(&sending(other.to_owned()), is(422, "validation_failed")).await;
        }
        let mut unknown = body.clone();
        unknown["colour"] = json!("red");
        stage.call(&sending(unknown.to_string()), names("colour")).await;
        let large = format!("{{\"colour\":\"{}\"}}", "x".repeat(limits::BODY_BYTES));
        stage.call(&sending(large), is(413, "payload_too_large")).await;
        for (field, value) in body.as_object().unwrap() {
            let with = |value: &str| {
                let marked = serde_json::to_string(&body).unwrap();
                let (before, after) = (format!("\"{field}\":{value_text}", value_text = value_of(&body, field)), value);
                sending(marked.replacen(&before, &format!("\"{field}\":{after}"), 1))
            };
            for wrong in [r#"{"x":1}"#, "[[1]]", "1e400", "123456789012345678901234567890"] {
                // a number too large for JSON's readers is malformed, any other of these has the wrong type
                let refused = |answer: &Answer| match answer.status {
                    400 => is(400, "invalid_request")(answer),
                    _ => names(field)(answer),
                };
                stage.call(&with(wrong), refused).await;
            }
            if !value.is_string() {
                stage.call(&with("\"text\""), names(field)).await;
            }
            let long = format!("\"{}\"", "x".repeat(100_000));
            for odd in ["\"\"", "\"\\u0000\"", "\" \"", "null", "-1", "0", "9223372036854775807", "true", "[]", &long] {
                stage.call(&with(odd), LIVES).await;
            }
            stage
                .call(&with("\"a\\u0000b\""), |answer| {
                    if (400..500).contains(&answer.status) { Ok(()) } else { Err("NUL was taken".to_owned()) }
                })
                .await;
            let twice = body.to_string().replacen('{', &format!("{{\"{field}\":{value},"), 1);
            stage
                .call(&sending(twice), |answer| {
                    if matches!(answer.status, 400 | 422) {
                        Ok(())
                    } else {
                        Err("a field given twice was taken".to_owned())
                    }
                })
                .await;
        }
    }
    stage.end();
}

/// Whoever sends fields where none are read may believe that they are.
#[tokio::test]
async fn a_route_without_a_body_takes_no_fields() {
    let mut stage = Stage::new().await;
    let routes = routes();
    let without: Vec<&Row> = routes.iter().filter(|row| row.body.is_none() && row.method != "GET").collect();
    assert!(without.len() > 10, "few routes take no body");
    for row in without {
        let sending = |body: &str| Row { body: Some(body.to_owned()), ..row.clone() };
        stage.call(&sending(r#"{"colour":"red"}"#), names("colour")).await;
        for malformed in ["{", "nonsense"] {
            stage.call(&sending(malformed), is(400, "invalid_request")).await;
        }
        for other in ["[]", "5"] {
            stage.call(&sending(other), is(422, "validation_failed")).await;
        }
        for nothing in ["", "{}", " { } "] {
            let goes = |answer: &Answer| if answer.status < 300 { Ok(()) } else { Err("not taken".to_owned()) };
            stage.call(&sending(nothing), goes).await;
            stage.room = stage.people.room().await;
        }
    }
    stage.end();
}

fn value_of(body: &Value, field: &str) -> String {
    body[field].to_string()
}

/// Ids that are none, in the forms that people and programs give them.
const NO_IDS: [&str; 6] = ["nonsense", "%00", "..%2F..%2Fetc", "0", "'%20OR%201=1", "019a9f0c0000700080000000000000ff"];

#[tokio::test]
async fn every_path_is_read_strictly() {
    let mut stage = Stage::new().await;
    let long = "9".repeat(4000);
    for row in routes().into_iter().filter(|row| row.path.contains('{')) {
        for parameter in parameters(&row.path) {
            let with = |value: &str| Row { path: row.path.replace(&parameter, value), ..row.clone() };
            let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
            if parameter.starts_with("{id:") || parameter.starts_with("{mid:") {
                for bad in NO_IDS.into_iter().chain([long.as_str()]) {
                    stage.call(&with(bad), is(400, "invalid_request")).await;
                }
                stage.call(&with(unknown), is(404, "not_found")).await;
            } else if parameter.starts_with("{ref:") {
                for bad in ["%00", "no%20body", "ext:", "ext:%00", long.as_str(), "nobody-at-all", unknown] {
                    // taking away what is not there is no error
                    let absent = |answer: &Answer| match answer.status {
                        204 if row.method == "DELETE" => Ok(()),
                        404 => Ok(()),
                        _ => Err("not 404".to_owned()),
                    };
                    stage.call(&with(bad), absent).await;
                }
            } else {
                for bad in ["%00", "ab", "%20", "%FF", long.as_str()] {
                    let refused = |answer: &Answer| match answer.status {
                        400 | 422 => Ok(()),
                        _ => Err("not refused".to_owned()),
                    };
                    stage.call(&with(bad), refused).await;
                }
            }
        }
    }
    stage.end();
}

/// The parameters of a path as a row writes them, `{id:room}`.
fn parameters(path: &str) -> Vec<String> {
    path.split('{').skip(1).map(|rest| format!("{{{}}}", rest.split('}').next().unwrap())).collect()
}

#[tokio::test]
async fn every_page_has_bounds() {
    let mut stage = Stage::new().await;
    let mut pages = 0;
    for row in routes().into_iter().filter(|row| row.method == "GET") {
        let answer = stage.people.call(&row, "owner", &stage.room).await;
        if answer.body["items"].is_null() {
            continue;
        }
        pages += 1;
        let glue = if row.path.contains('?') { '&' } else { '?' };
        for wrong in ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=1e3", "limit=", "cursor=%00", "colour=red"]
        {
            let wrong = Row { path: format!("{}{glue}{wrong}", row.path), ..row.clone() };
            stage.call(&wrong, is(400, "invalid_request")).await;
        }
    }
    assert!(pages >= 6, "{pages} pages were found");
    stage.end();
}

/// Alice and Bob in a room with a message of Alice's; the room and the message.
async fn room(server: &TestServer) -> (TestUser, TestUser, String, String) {
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[&bob]).await;
    let message = text(&alice.send(&room, "hello").await["id"]);
    (alice, bob, room, message)
}

#[tokio::test]
async fn a_reaction_is_one_emoji() {
    let server = TestServer::start().await;
    let (_, bob, room, message) = room(&server).await;
    let mut socket = bob.connect().await;
    let long = "👩\u{200d}".repeat(10) + "👩";
    let none = [
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
    for emoji in none {
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
    let one = [
        "👍",
        "👍🏽",
        "👨\u{200d}👩\u{200d}👧\u{200d}👦",
        "🇩🇪",
        "1\u{fe0f}\u{20e3}",
        "❤\u{fe0f}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    ];
    for emoji in one {
        let path = format!("/conversations/{room}/messages/{message}/reactions/{}", escaped(emoji));
        let reacted = bob.call(Method::PUT, &path, Body::None).await.expect(200);
        assert_eq!(reacted["emoji"], emoji);
    }
}

/// A text as it stands in a path.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |path, byte| format!("{path}%{byte:02X}"))
}

#[tokio::test]
async fn a_reply_stays_in_its_conversation() {
    let server = TestServer::start().await;
    let (alice, bob, room, message) = room(&server).await;
    let other = alice.group("other", &[&bob]).await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut socket = bob.connect().await;
    for reply_to in [message.as_str(), unknown] {
        let body = json!({ "content": "a reply", "reply_to_id": reply_to });
        bob.post(&format!("/conversations/{other}/messages"), body).await.invalid("reply_to_id");
        let payload = json!({ "conversation_id": other, "content": "a reply", "reply_to_id": reply_to });
        socket.refused("message.send", payload, "validation_failed").await;
    }
    // nor does any other call take a message for one of another conversation
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
async fn a_place_beyond_the_end_is_the_end() {
    let server = TestServer::start().await;
    let (_, bob, room, message) = room(&server).await;
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
async fn a_role_is_one_of_four_and_an_owner_is_made_by_giving() {
    let server = TestServer::start().await;
    let (alice, _, room, _) = room(&server).await;
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
async fn a_group_has_room_for_a_thousand() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let id = if server.database().url().is_some() { "gen_random_uuid()" } else { "randomblob(16)" };
    server
        .sql(&format!(
            "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
             SELECT {id}, 'crowd-' || i, 'crowd-' || i, 'Crowd', 'crowd', 1, 1 FROM n"
        ))
        .await;
    let crowd: Vec<String> = (1..=1001).map(|number| format!("crowd-{number}")).collect();
    let group = |others: &[String]| json!({ "type": "group", "name": "room", "participant_ids": others });
    alice.post("/conversations", group(&crowd[..1000])).await.refused(409, "group_full");
    let room = text(&alice.post("/conversations", group(&crowd[..998])).await.expect(201)["id"]);
    let members = format!("/conversations/{room}/members");
    let add = async |users: &[String]| alice.post(&members, json!({ "user_ids": users })).await;
    add(&crowd[998..1000]).await.refused(409, "group_full");
    assert_eq!(alice.conversation(&room).await["member_count"], 999, "nobody was added");
    add(&crowd[998..999]).await.expect(200);
    add(&crowd[999..1000]).await.refused(409, "group_full");
    // who is in takes no room, and one who leaves gives it back
    add(&crowd[990..995]).await.expect(200);
    alice.delete(&format!("{members}/crowd-1")).await.expect(204);
    add(&crowd[999..1000]).await.expect(200);
    assert_eq!(alice.conversation(&room).await["member_count"], 1000);
    let list = alice.get("/conversations").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "a group that was refused is not there");
}

//! Cursors that a client invented or took from another list: every list refuses them with `invalid_request`, and the
//! server never fails.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser};

/// Returns all lists with pages. Each has at least two items, so that a page of one item ends with a cursor.
async fn lists(server: &TestServer) -> (TestUser, Vec<String>) {
    let alice = server.user("alice").await;
    let (bob, carol) = (server.user("bob-finch").await, server.user("carol-finch").await);
    alice.login().await;
    for other_user in [&bob, &carol] {
        alice.post("/blocks", json!({ "user": other_user.id })).await.expect(201);
    }
    let room = alice.group("room", &[&bob, &carol]).await;
    let other = alice.group("other", &[]).await;
    // The cursor of a pinned conversation has another form.
    alice.post_empty(&format!("/conversations/{other}/pin")).await.expect(200);
    let mut messages = Vec::new();
    for number in 0..2 {
        let id = text(&alice.send(&room, &format!("number {number}")).await["id"]);
        alice.put(&format!("/conversations/{room}/messages/{id}/pin"), json!({})).await.expect(200);
        messages.push(id);
    }
    let message = format!("/conversations/{room}/messages/{}", messages[0]);
    for emoji in ["%F0%9F%91%8D", "%F0%9F%8E%89"] {
        alice.put(&format!("{message}/reactions/{emoji}"), json!({})).await.expect(200);
        alice.patch(&message, json!({ "content": emoji })).await.expect(200);
    }
    let lists = vec![
        "/auth/sessions?".to_owned(),
        "/blocks?".to_owned(),
        "/conversations?".to_owned(),
        "/users/search?q=finch&".to_owned(),
        format!("/conversations/{room}/members?"),
        format!("/conversations/{room}/pins?"),
        format!("{message}/history?"),
        format!("{message}/reactions?"),
    ];
    (alice, lists)
}

fn forged(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

/// JSON values that no cursor of the server has.
const UNUSUAL_VALUES: [&str; 15] = [
    "null",
    "-1",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1e300",
    "1.5",
    r#""""#,
    r#""\u0000""#,
    r#""a\u0000b""#,
    r#""\ud800""#,
    "[]",
    "{}",
    "[[[[1]]]]",
];

/// Returns copies of `json` as text, in each of which one inner value is replaced by `unusual`.
fn with_one_replaced(json: &Value, unusual: &str) -> Vec<String> {
    const MARKER: &str = "\u{e000}value\u{e000}";
    fn collect_leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    collect_leaves(value, &format!("{pointer}/{name}"), found);
                }
            }
            Value::Array(items) => {
                for (number, value) in items.iter().enumerate() {
                    collect_leaves(value, &format!("{pointer}/{number}"), found);
                }
            }
            _ => found.push(pointer.to_owned()),
        }
    }
    let mut pointers = Vec::new();
    collect_leaves(json, "", &mut pointers);
    let modified = |pointer: &String| {
        let mut json = json.clone();
        *json.pointer_mut(pointer).expect("the pointer was just found") = json!(MARKER);
        json.to_string().replace(&format!("\"{MARKER}\""), unusual)
    };
    pointers.iter().map(modified).collect()
}

#[tokio::test]
async fn a_forged_cursor_is_refused_on_every_list() {
    let server = TestServer::start().await;
    let (alice, lists) = lists(&server).await;
    let mut cursors = Vec::new();
    for list in &lists {
        let page = alice.get(&format!("{list}limit=1")).await.expect(200);
        let cursor =
            page["next_cursor"].as_str().unwrap_or_else(|| panic!("{list}: no second page: {page}")).to_owned();
        alice.get(&format!("{list}cursor={cursor}")).await.expect(200);
        cursors.push(cursor);
    }
    let mut invalid: Vec<String> =
        ["", "null", "nonsense", "%00", "e30", "AA", "====", "..%2F..", &"A".repeat(20_000)].map(str::to_owned).into();
    for json in ["", "null", "[]", "{}", "0", "\"text\"", "{\"v\":1}", "{\"v\":2}", "{\"at\":1}", "{", "\u{0}", "[[[["]
    {
        invalid.push(forged(json));
    }
    for envelope in [r#"{"v":2,"at":"#, r#"{"v":2,"of":"members","at":"#] {
        invalid.extend(UNUSUAL_VALUES.map(|unusual| forged(&format!("{envelope}{unusual}}}"))));
    }
    let mut errors = Vec::new();
    for (list, own_cursor) in lists.iter().zip(&cursors) {
        let decoded = URL_SAFE_NO_PAD.decode(own_cursor).expect("a cursor is base64");
        let decoded: Value = serde_json::from_slice(&decoded).expect("a cursor is JSON");
        let modified =
            UNUSUAL_VALUES.iter().flat_map(|unusual| with_one_replaced(&decoded, unusual)).map(|json| forged(&json));
        let of_other_lists = cursors.iter().filter(|cursor| *cursor != own_cursor).cloned();
        for cursor in invalid.iter().cloned().chain(modified).chain(of_other_lists) {
            let answer = alice.get(&format!("{list}cursor={cursor}")).await;
            if (answer.status, answer.body["code"].as_str()) != (400, Some("invalid_request")) {
                let decoded = URL_SAFE_NO_PAD.decode(&cursor).map(|json| String::from_utf8_lossy(&json).into_owned());
                errors.push(format!("{} {list}: {decoded:?}", answer.status));
            }
        }
    }
    assert!(errors.is_empty(), "{} forged cursors were accepted:\n{}", errors.len(), errors.join("\n"));
}

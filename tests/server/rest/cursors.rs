//! Cursors that clients made up, or took from elsewhere: each is refused by name on every list, on both databases, and
//! none is ever a fault of the server.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::user::text;
use crate::support::{TestServer, TestUser};

/// Everything that has pages, with at least two items in each; a page of one ends with a cursor.
async fn lists(server: &TestServer) -> (TestUser, Vec<String>) {
    let alice = server.user("alice").await;
    let (bob, carol) = (server.user("bob-finch").await, server.user("carol-finch").await);
    alice.login().await;
    for foe in [&bob, &carol] {
        alice.post("/blocks", json!({ "user": foe.id })).await.expect(201);
    }
    let room = alice.group("room", &[&bob, &carol]).await;
    let other = alice.group("other", &[]).await;
    // a pinned one, too: its place differs
    alice.post_nothing(&format!("/conversations/{other}/pin")).await.expect(200);
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

/// Values that no place of ours holds, as JSON.
const ODD: [&str; 15] = [
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

/// The texts of `json` in which one value inside was replaced by `odd`.
fn with_one_replaced(json: &Value, odd: &str) -> Vec<String> {
    const MARK: &str = "\u{e000}here\u{e000}";
    fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    leaves(value, &format!("{pointer}/{name}"), found);
                }
            }
            Value::Array(items) => {
                for (number, value) in items.iter().enumerate() {
                    leaves(value, &format!("{pointer}/{number}"), found);
                }
            }
            _ => found.push(pointer.to_owned()),
        }
    }
    let mut pointers = Vec::new();
    leaves(json, "", &mut pointers);
    let spoiled = |pointer: &String| {
        let mut json = json.clone();
        *json.pointer_mut(pointer).expect("it was found there") = json!(MARK);
        json.to_string().replace(&format!("\"{MARK}\""), odd)
    };
    pointers.iter().map(spoiled).collect()
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
    let mut wrong: Vec<String> =
        ["", "null", "nonsense", "%00", "e30", "AA", "====", "..%2F..", &"A".repeat(20_000)].map(str::to_owned).into();
    for json in ["", "null", "[]", "{}", "0", "\"text\"", "{\"v\":1}", "{\"v\":2}", "{\"at\":1}", "{", "\u{0}", "[[[["]
    {
        wrong.push(forged(json));
    }
    for envelope in [r#"{"v":2,"at":"#, r#"{"v":2,"of":"members","at":"#] {
        wrong.extend(ODD.map(|odd| forged(&format!("{envelope}{odd}}}"))));
    }
    let mut faults = Vec::new();
    for (list, own) in lists.iter().zip(&cursors) {
        let decoded = URL_SAFE_NO_PAD.decode(own).expect("a cursor is text that travels in a query");
        let decoded: Value = serde_json::from_slice(&decoded).expect("what is in it can be read");
        let spoiled = ODD.iter().flat_map(|odd| with_one_replaced(&decoded, odd)).map(|json| forged(&json));
        let foreign = cursors.iter().filter(|cursor| *cursor != own).cloned();
        for cursor in wrong.iter().cloned().chain(spoiled).chain(foreign) {
            let answer = alice.get(&format!("{list}cursor={cursor}")).await;
            if (answer.status, answer.body["code"].as_str()) != (400, Some("invalid_request")) {
                let shown = URL_SAFE_NO_PAD.decode(&cursor).map(|json| String::from_utf8_lossy(&json).into_owned());
                faults.push(format!("{} {list}: {shown:?}", answer.status));
            }
        }
    }
    assert!(faults.is_empty(), "{} forged cursors were taken:\n{}", faults.len(), faults.join("\n"));
}

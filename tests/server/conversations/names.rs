//! The rules for the characters of names, descriptions, previews and URLs. Names contain no invisible characters and
//! few combining marks, and no preview ends inside a grapheme.

use serde_json::json;

use crate::support::TestServer;
use crate::support::user::text;

/// Names with unusual characters that a script or an emoji needs.
const VALID_NAMES: [&str; 17] = [
    "Ada Lovelace",
    "Nguyễn Thị Hoa",
    "Nguye\u{302}\u{303}n",
    "សុខា",
    "လျှော့",
    "རྐྱེན",
    "می\u{200C}خواهم",
    "क्\u{200D}ष",
    "ശ്രീ ന്\u{200D}",
    "ශ්\u{200D}රී",
    "👨\u{200D}👩\u{200D}👧 family",
    "❤\u{FE0F}\u{200D}🔥",
    "1\u{FE0F}\u{20E3} team",
    "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
    "葛\u{E0100}城",
    "Z\u{301}\u{302}\u{303}\u{304}",
    "דנה محمد",
];

/// Names with invisible characters that no script or emoji needs, or with too many combining marks.
const INVALID_NAMES: [&str; 20] = [
    "Ada\u{200B}",
    "A\u{200D}da",
    "\u{200C}Ada",
    "a\u{200F}b",
    "a\u{202E}b",
    "a\u{2066}b",
    "a\u{AD}b",
    "a\u{2060}b",
    "\u{FEFF}Ada",
    "Ada\u{3164}Bo",
    "Ada\u{FE0F}",
    "a\u{E0100}b",
    "a\u{E0061}b",
    "🏴\u{E0067}\u{E0062}",
    "👨\u{200D}",
    "می\u{200C}\u{200C}خواهم",
    "\u{2800}",
    "a\u{2028}b",
    "Z\u{301}\u{302}\u{303}\u{304}\u{305}",
    "e\u{323}\u{302}\u{301}\u{302}\u{301}",
];

#[tokio::test]
async fn a_name_contains_no_invisible_character_unless_a_script_or_emoji_needs_it() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    let group_body = |name: &str| json!({ "type": "group", "name": name, "participant_ids": [] });
    for name in VALID_NAMES {
        let spaced = format!(" {name}\n");
        let changed = alice.patch("/users/me", json!({ "display_name": spaced })).await.expect(200);
        assert_eq!(changed["display_name"], name);
        assert_eq!(alice.post("/conversations", group_body(&spaced)).await.expect(201)["name"], name);
        let renamed = alice.patch(&format!("/conversations/{group}"), json!({ "name": spaced })).await.expect(200);
        assert_eq!(renamed["name"], name);
    }
    for (number, name) in INVALID_NAMES.into_iter().enumerate() {
        let account =
            json!({ "username": format!("user-{number}"), "password": "correct horse", "display_name": name });
        server.target().post("/auth/register", account).await.invalid("display_name");
        alice.patch("/users/me", json!({ "display_name": name })).await.invalid("display_name");
        alice.post("/conversations", group_body(name)).await.invalid("name");
        alice.patch(&format!("/conversations/{group}"), json!({ "name": name })).await.invalid("name");
    }
}

#[tokio::test]
async fn a_preview_never_ends_inside_a_grapheme() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let direct = alice.direct(&bob).await;
    let family = "👨\u{200D}👩\u{200D}👧\u{200D}👦";
    let x = |count: usize| "x".repeat(count);
    for (content, preview) in [
        (x(101), x(100)),
        (x(93) + family + "y", x(93) + family),
        (x(94) + family + "y", x(94)),
        (x(99) + "e\u{301}", x(99)),
        (x(99) + "🇫🇷", x(99)),
        ("🇫🇷".repeat(60), "🇫🇷".repeat(50)),
        ("\u{1100}\u{1161}\u{11A8}".repeat(60), "\u{1100}\u{1161}\u{11A8}".repeat(33)),
    ] {
        let sent = alice.send(&direct, &content).await;
        assert_eq!(bob.conversation(&direct).await["last_message"]["content"], preview);
        let body = json!({ "content": "a reply", "reply_to_id": sent["id"] });
        let reply = bob.post(&format!("/conversations/{direct}/messages"), body).await.expect(201);
        assert_eq!(reply["reply_to"]["content"], preview);
        let later = alice.get(&format!("/messages/{}", text(&reply["id"]))).await.expect(200);
        assert_eq!(later["reply_to"]["content"], preview);
    }
}

/// Line breaks and tabs are part of a description; other control characters would only make its events large.
#[tokio::test]
async fn a_description_contains_line_breaks_and_tabs_but_no_other_control_characters() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    let path = format!("/conversations/{group}");
    let group_body = |text: &str| json!({ "type": "group", "name": "a", "participant_ids": [], "description": text });
    let good = "one\r\n\ttwo\nthree";
    assert_eq!(alice.post("/conversations", group_body(good)).await.expect(201)["description"], good);
    assert_eq!(alice.patch(&path, json!({ "description": good })).await.expect(200)["description"], good);
    for bad in ["a\0b", &"\u{1}".repeat(2_000), "a\u{1B}[0mb", "a\u{7F}b", "a\u{85}b"] {
        alice.post("/conversations", group_body(bad)).await.invalid("description");
        alice.patch(&path, json!({ "description": bad })).await.invalid("description");
    }
}

/// A letter outside of ASCII is stored as several characters of the URL.
#[tokio::test]
async fn the_length_of_an_avatar_url_is_checked_in_its_stored_form() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let group = alice.group("Chess", &[]).await;
    let path = format!("/conversations/{group}");
    let with_avatar_url = |end: String| json!({ "avatar_url": format!("https://x/{end}") });
    for good in ["a".repeat(2_038), "\u{1F600}".repeat(169)] {
        for resource in ["/users/me", &path] {
            let stored = alice.patch(resource, with_avatar_url(good.clone())).await.expect(200);
            assert!(text(&stored["avatar_url"]).len() <= 2_048);
        }
    }
    for bad in ["a".repeat(2_039), "\u{1F600}".repeat(170), "\u{1F600}".repeat(2_030)] {
        alice.patch("/users/me", with_avatar_url(bad.clone())).await.invalid("avatar_url");
        alice.patch(&path, with_avatar_url(bad.clone())).await.invalid("avatar_url");
        let mut body = with_avatar_url(bad);
        body["type"] = json!("group");
        body["name"] = json!("a");
        body["participant_ids"] = json!([]);
        alice.post("/conversations", body).await.invalid("avatar_url");
    }
}

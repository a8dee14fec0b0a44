//! Bad input over the socket: each thing gets its error or its closing code, the session or at least the server lives
//! on, and nobody else notices.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::{RawSocket, TestServer, TestSocket, TestUser};

const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Alice misbehaves; Bob's session must go on undisturbed.
struct Scene {
    server: TestServer,
    alice: TestUser,
    bob: TestUser,
    direct: String,
    bystander: TestSocket,
}

async fn scene() -> Scene {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let bystander = bob.connect().await;
    Scene { server, alice, bob, direct, bystander }
}

impl Scene {
    /// The server serves, and Bob gets what is sent.
    async fn goes_on(mut self) {
        let sent = self.alice.send(&self.direct, "life goes on").await;
        let event = self.bystander.expect("message.new").await;
        assert_eq!(event["payload"]["message"]["id"], sent["id"]);
        self.bystander.is_alive().await;
        assert!(self.server.target().is_ready().await);
        drop(self.bob);
    }
}

fn fragment(bytes: &[u8], opcode: Data, last: bool) -> Message {
    Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(opcode), last))
}

#[tokio::test]
async fn an_unknown_type_is_an_error_and_the_session_lives_on() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    socket.refused("message.fly", json!({}), "unknown_type").await;
    socket.refused("", json!({}), "unknown_type").await;
    socket.is_alive().await;
    scene.goes_on().await;
}

#[tokio::test]
async fn text_that_is_no_json_is_an_error_and_the_session_lives_on() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    let lone = r#"{"type":"message.send","payload":{"content":"\ud800"}}"#;
    for text in ["", "{", "nonsense", r#"{"type":"ping"} {}"#, lone, "\u{feff}{}", "{\"type\":\"ping\"", "[[[[[[[["] {
        socket.send_text(text);
        let error = socket.expect("error").await;
        assert_eq!(error["payload"]["code"], "invalid_request", "{text}");
    }
    socket.is_alive().await;
    scene.goes_on().await;
}

#[tokio::test]
async fn deeply_nested_json_is_an_error_and_the_server_lives_on() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    let deep = format!(r#"{{"type":"ping","payload":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    socket.send_text(deep);
    let error = socket.expect("error").await;
    assert!(["invalid_request", "validation_failed"].contains(&error["payload"]["code"].as_str().unwrap()), "{error}");
    socket.is_alive().await;
    scene.goes_on().await;
}

#[tokio::test]
async fn a_frame_that_is_no_command_is_an_error_and_the_session_lives_on() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    for frame in [
        json!([]),
        json!("text"),
        json!(null),
        json!(5),
        json!({}),
        json!({ "payload": {} }),
        json!({ "type": 5 }),
        json!({ "type": "ping", "payload": "text" }),
        json!({ "type": "ping", "colour": 1 }),
        json!({ "type": "ping", "id": { "a": 1 } }),
    ] {
        socket.send(frame.clone());
        let error = socket.expect("error").await;
        let code = error["payload"]["code"].as_str().unwrap();
        assert!(["invalid_request", "validation_failed"].contains(&code), "{frame} was answered by {error}");
    }
    socket.is_alive().await;
    scene.goes_on().await;
}

#[tokio::test]
async fn an_unknown_field_and_a_wrong_type_are_named() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    let direct = scene.direct.as_str();
    for (kind, payload, field) in [
        ("message.send", json!({ "conversation_id": direct, "content": "a", "colour": 1 }), "colour"),
        ("message.send", json!({ "conversation_id": direct, "content": 5 }), "content"),
        ("message.send", json!({ "content": "a" }), "conversation_id"),
        ("message.send", json!({ "conversation_id": "nonsense", "content": "a" }), "conversation_id"),
        ("message.read", json!({ "conversation_id": direct, "seq": "x" }), "seq"),
        ("message.delivered", json!({ "conversation_id": direct }), "seq"),
        ("subscribe", json!({ "conversation_ids": "x" }), "conversation_ids"),
        ("sync", json!({ "conversations": 5 }), "conversations"),
        ("presence.set", json!({ "status": "asleep" }), "status"),
        ("typing.start", json!({}), "conversation_id"),
    ] {
        let error = socket.refused(kind, payload.clone(), "validation_failed").await;
        assert!(error["detail"].as_str().unwrap().contains(field), "{kind} {payload} was answered by {error}");
    }
    socket.is_alive().await;
    scene.goes_on().await;
}

#[tokio::test]
async fn content_that_cannot_be_is_an_error_that_names_the_temp_id() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    for (what, content) in [
        ("NUL", json!("nul\0")),
        ("empty", json!("")),
        ("white", json!("  \n ")),
        ("10,001 characters", json!("x".repeat(10_001))),
    ] {
        let payload = json!({ "conversation_id": scene.direct, "content": content, "temp_id": what });
        let error = socket.refused("message.send", payload, "validation_failed").await;
        assert_eq!(error["temp_id"], what);
    }
    let longest = socket.say(&scene.direct, &"x".repeat(10_000)).await;
    assert_eq!(longest["message"]["seq"], 1, "what was refused left no hole");
    scene.bob.history(&scene.direct).await;
}

#[tokio::test]
async fn foreign_and_unknown_ids_are_errors_and_the_session_lives_on() {
    let mut scene = scene().await;
    let eve = scene.server.user("eve").await;
    let mut socket = eve.connect().await;
    let direct = scene.direct.clone();
    for (kind, mut payload) in [
        ("message.send", json!({ "content": "hello" })),
        ("message.read", json!({ "seq": 1 })),
        ("message.delivered", json!({ "seq": 1 })),
        ("typing.start", json!({})),
    ] {
        payload["conversation_id"] = json!(direct);
        socket.refused(kind, payload.clone(), "not_a_participant").await;
        payload["conversation_id"] = json!(UNKNOWN);
        let frame = socket.command(kind, payload).await;
        let code = frame["payload"]["code"].as_str().unwrap_or_default();
        assert!(["not_found", "not_a_participant"].contains(&code), "{kind}: {frame}");
    }
    let answer = socket.accepted("subscribe", json!({ "conversation_ids": [direct, UNKNOWN] }), "subscribed").await;
    assert_eq!(answer["conversation_ids"], json!([]));
    assert_eq!(answer["denied"].as_array().unwrap().len(), 2, "{answer}");
    socket.is_alive().await;
    let frames = scene.bystander.frames_until_pong().await;
    assert!(frames.iter().all(|frame| !frame.to_string().contains(&eve.id)), "{frames:?}");
    scene.goes_on().await;
}

#[tokio::test]
async fn a_frame_of_64_kib_is_read_and_one_byte_more_closes_1009() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    let mut frame = json!({ "type": "nonsense", "id": "large", "payload": "" });
    let room = 64 * 1024 - frame.to_string().len();
    frame["payload"] = json!("x".repeat(room));
    assert_eq!(frame.to_string().len(), 64 * 1024);
    socket.send(frame.clone());
    let error = socket.wait_for("an answer", |answer| answer["id"] == "large").await;
    assert_eq!(error["payload"]["code"], "unknown_type");

    frame["payload"] = json!("x".repeat(room + 1));
    socket.send(frame);
    socket.expect_close(1009).await;
    scene.goes_on().await;
}

#[tokio::test]
async fn a_binary_frame_is_an_error_and_the_session_lives_on() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    socket.send_message(Message::binary(vec![0, 159, 146, 150]));
    assert_eq!(socket.expect("error").await["payload"]["code"], "invalid_request");
    socket.is_alive().await;
    scene.goes_on().await;
}

#[tokio::test]
async fn bad_utf8_closes_the_session_and_the_server_lives_on() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    socket.send_message(fragment(b"{\"type\":\"\xff\xfe\"}", Data::Text, true));
    let closed = socket.until_closed().await;
    assert!(matches!(closed.0, Some(1007 | 4400)), "{closed:?}");
    scene.goes_on().await;
}

#[tokio::test]
async fn a_fragmented_command_is_a_command() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    socket.send_message(fragment(br#"{"type":"pi"#, Data::Text, false));
    socket.send_message(fragment(br#"ng","id":"#, Data::Continue, false));
    socket.send_message(fragment(br#""whole"}"#, Data::Continue, true));
    assert_eq!(socket.expect("pong").await["id"], "whole");
    scene.goes_on().await;
}

#[tokio::test]
async fn fragments_without_an_end_are_bounded() {
    let scene = scene().await;
    let mut socket = scene.alice.connect().await;
    let before = scene.server.process().resident_bytes();
    socket.send_message(fragment(b"[", Data::Text, false));
    for _ in 0..200 {
        socket.send_message(fragment(&vec![b' '; 60 * 1024], Data::Continue, false));
    }
    let closed = socket.until_closed().await;
    assert!(matches!(closed.0, Some(1009 | 4400) | None), "{closed:?}");
    let grown = scene.server.process().resident_bytes().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "the server kept {grown} bytes");
    scene.goes_on().await;
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_the_connection() {
    let scene = scene().await;
    let unmasked: &[u8] = b"\x81\x10{\"type\":\"ping\"}\n";
    let reserved: &[u8] = b"\xf1\x80\x00\x00\x00\x00";
    let continued: &[u8] = b"\x80\x80\x00\x00\x00\x00";
    let long_ping: &[u8] = b"\x89\xfe\x00\xff\x00\x00\x00\x00";
    let endless: &[u8] = b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00";
    for bytes in [unmasked, reserved, continued, endless] {
        let mut socket = RawSocket::open(&scene.alice).await;
        socket.write(bytes).await;
        socket.until_ended().await;
    }
    let mut socket = RawSocket::open(&scene.alice).await;
    socket.write(long_ping).await;
    socket.write(&[0; 255]).await;
    socket.until_ended().await;
    scene.goes_on().await;
}

#[tokio::test]
async fn a_client_that_floods_after_the_limit_is_closed() {
    const BURST: usize = 60;
    let server = TestServer::builder().set("GREENROOM_LIMIT_SENDS_PER_SECOND", "20").start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    let send = |number: usize| json!({ "conversation_id": room, "content": "flood", "temp_id": format!("{number}") });
    for number in 0..BURST {
        assert_eq!(
            socket.command("message.send", send(number)).await["type"],
            "message.sent",
            "the burst is let through"
        );
    }
    for number in BURST..400 {
        socket.start("message.send", send(number));
    }
    socket.expect_close(4429).await;
    let limited = socket.kept().find(|frame| frame["payload"]["code"] == "rate_limited").expect("it was told before");
    assert!(limited["payload"]["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{limited}");
    let acknowledged = socket.kept().filter(|frame: &&Value| frame["type"] == "message.sent").count();
    let stored = alice.history(&room).await.len() - 1;
    assert!((BURST..400).contains(&stored), "the burst is let through and little more: {stored}");
    assert!(acknowledged <= stored, "what was acknowledged is stored");
    alice.connect().await.is_alive().await;
}

/// What waits beyond the bound is refused, and that is no flood; marks do not pile up at all.
#[tokio::test]
async fn commands_at_once_are_each_answered_once() {
    let scene = scene().await;
    for (kind, payload, answer) in [
        ("message.read", json!({ "conversation_id": scene.direct, "seq": 1 }), "ack"),
        ("message.read", json!({ "conversation_id": scene.direct }), "ack"),
        ("message.delivered", json!({ "conversation_id": scene.direct, "seq": 1 }), "ack"),
        ("subscribe", json!({ "conversation_ids": [scene.direct] }), "subscribed"),
        ("sync", json!({ "conversations": {}, "user_rev": 0 }), "sync.done"),
        ("typing.stop", json!({ "conversation_id": scene.direct }), "ack"),
        ("presence.subscribe", json!({ "user_ids": [scene.bob.id] }), "presence.state"),
        ("auth", json!({ "token": scene.alice.access_token }), "auth.success"),
    ] {
        for mut socket in [scene.alice.connect().await, scene.alice.connect_unsubscribed().await] {
            let mut open: BTreeSet<String> = (0..600).map(|_| socket.start(kind, payload.clone())).collect();
            let mut refused = 0;
            while !open.is_empty() {
                let frame = socket.frame(&format!("{} more answers to {kind}", open.len())).await;
                let Some(id) = frame["id"].as_str() else {
                    assert_ne!(frame["type"], "error", "{kind}: {frame}");
                    continue;
                };
                assert!(open.remove(id), "{kind}: a second answer is {frame}");
                if frame["type"] == "error" {
                    assert_eq!(frame["payload"]["code"], "busy", "{kind}: {frame}");
                    assert!(frame["payload"]["retry_after_ms"].is_u64(), "{kind}: {frame}");
                    refused += 1;
                } else {
                    assert_eq!(frame["type"], answer, "{kind}: {frame}");
                }
            }
            assert!(refused == 0 || answer != "ack" || kind == "typing.stop", "{refused} of 600 {kind} were refused");
            assert!(socket.frames_until_pong().await.iter().all(|frame| frame.get("id").is_none()), "{kind}");
        }
    }
    scene.goes_on().await;
}

/// Whatever is wrong with a command, and wherever that is found out, one answer says so.
#[tokio::test]
async fn a_refused_command_is_answered_once() {
    let scene = scene().await;
    let here = scene.alice.group("room", &[]).await;
    let mut socket = scene.alice.connect().await;
    for (kind, payload) in [
        ("message.send", json!({ "conversation_id": here, "content": "", "temp_id": "t" })),
        ("message.send", json!({ "conversation_id": here, "content": "a\0b" })),
        ("message.read", json!({ "conversation_id": here, "seq": -1 })),
        ("message.read", json!({ "conversation_id": here, "message_id": UNKNOWN })),
        ("message.delivered", json!({ "conversation_id": here, "seq": -1 })),
        ("message.edit", json!({ "conversation_id": here, "message_id": UNKNOWN, "content": "" })),
        ("message.delete", json!({ "conversation_id": here, "message_id": UNKNOWN })),
        ("reaction.add", json!({ "conversation_id": here, "message_id": UNKNOWN, "emoji": "no" })),
        ("subscribe", json!({ "conversation_ids": vec![UNKNOWN; 1_001] })),
        ("message.send", json!({ "conversation_id": UNKNOWN, "content": "a" })),
        ("message.delivered", json!({ "conversation_id": UNKNOWN, "seq": 1 })),
        ("typing.start", json!({ "conversation_id": UNKNOWN })),
        ("presence.subscribe", json!({ "user_ids": vec![UNKNOWN; 1_001] })),
    ] {
        let first = socket.command(kind, payload.clone()).await;
        assert_eq!(first["type"], "error", "{kind} {payload}");
        assert_eq!(first["payload"].get("temp_id"), payload.get("temp_id"), "{kind}");
        // a second answer would come before those to what is done after the first
        socket.say(&here, "and on").await;
        let frames = socket.frames_until_pong().await;
        assert!(frames.iter().all(|frame| frame.get("id").is_none()), "{kind}: also {frames:?}");
    }
    scene.goes_on().await;
}

/// The length in a frame's header is a claim; what it announces must be refused before it is kept, whoever announces
/// it.
#[tokio::test]
async fn a_frame_announced_too_large_is_refused_before_it_arrives() {
    let scene = scene().await;
    let before = scene.server.process().resident_bytes();
    let mut header = b"\x81\xff".to_vec();
    header.extend((1_u64 << 30).to_be_bytes());
    header.extend([0; 4]);
    let mut socket = RawSocket::open(&scene.alice).await;
    socket.write(&header).await;
    socket.write_until_ended(&vec![b'x'; 64 * 1024], 1024).await;
    let grown = scene.server.process().resident_bytes().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "the server kept {grown} bytes");
    socket.until_ended().await;
    scene.goes_on().await;
}

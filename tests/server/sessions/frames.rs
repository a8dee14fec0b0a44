//! Invalid input over the socket: the client gets an error or a closing code, and other sessions are not affected.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::{RawSocket, TestServer, TestSocket, TestUser};

const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Alice sends the invalid input, and the session of Bob must continue to work.
struct Fixture {
    server: TestServer,
    alice: TestUser,
    bob: TestUser,
    direct: String,
    bystander: TestSocket,
}

async fn fixture() -> Fixture {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let bob = server.user("bob").await;
    let direct = alice.direct(&bob).await;
    let bystander = bob.connect().await;
    Fixture { server, alice, bob, direct, bystander }
}

impl Fixture {
    /// Checks that the server is ready and that Bob gets new messages.
    async fn assert_server_continues(mut self) {
        let sent = self.alice.send(&self.direct, "after invalid input").await;
        let event = self.bystander.expect("message.new").await;
        assert_eq!(event["payload"]["message"]["id"], sent["id"]);
        self.bystander.assert_alive().await;
        assert!(self.server.target().is_ready().await);
        drop(self.bob);
    }
}

fn fragment(bytes: &[u8], opcode: Data, last: bool) -> Message {
    Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(opcode), last))
}

#[tokio::test]
async fn an_unknown_type_is_refused_and_the_session_continues() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    socket.refused("message.fly", json!({}), "unknown_type").await;
    socket.refused("", json!({}), "unknown_type").await;
    socket.assert_alive().await;
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn text_that_is_no_json_is_refused_and_the_session_continues() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    let lone = r#"{"type":"message.send","payload":{"content":"\ud800"}}"#;
    for text in ["", "{", "nonsense", r#"{"type":"ping"} {}"#, lone, "\u{feff}{}", "{\"type\":\"ping\"", "[[[[[[[["] {
        socket.send_text(text);
        let error = socket.expect("error").await;
        assert_eq!(error["payload"]["code"], "invalid_request", "{text}");
    }
    socket.assert_alive().await;
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn deeply_nested_json_is_refused_and_the_session_continues() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    let deep = format!(r#"{{"type":"ping","payload":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    socket.send_text(deep);
    let error = socket.expect("error").await;
    assert!(["invalid_request", "validation_failed"].contains(&error["payload"]["code"].as_str().unwrap()), "{error}");
    socket.assert_alive().await;
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn a_frame_that_is_no_command_is_refused_and_the_session_continues() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
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
    socket.assert_alive().await;
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn an_error_names_an_unknown_field_or_a_field_of_a_wrong_type() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    let direct = fixture.direct.as_str();
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
    socket.assert_alive().await;
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn an_error_about_invalid_content_has_the_temp_id() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    for (reason, content) in [
        ("NUL", json!("nul\0")),
        ("empty", json!("")),
        ("white", json!("  \n ")),
        ("10,001 characters", json!("x".repeat(10_001))),
    ] {
        let payload = json!({ "conversation_id": fixture.direct, "content": content, "temp_id": reason });
        let error = socket.refused("message.send", payload, "validation_failed").await;
        assert_eq!(error["temp_id"], reason);
    }
    let longest = socket.send_message(&fixture.direct, &"x".repeat(10_000)).await;
    assert_eq!(longest["message"]["seq"], 1, "a refused message uses no `seq`");
    fixture.bob.history(&fixture.direct).await;
}

#[tokio::test]
async fn ids_of_others_and_unknown_ids_are_refused_and_the_session_continues() {
    let mut fixture = fixture().await;
    let eve = fixture.server.user("eve").await;
    let mut socket = eve.connect().await;
    let direct = fixture.direct.clone();
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
    socket.assert_alive().await;
    let frames = fixture.bystander.frames_until_pong().await;
    assert!(frames.iter().all(|frame| !frame.to_string().contains(&eve.id)), "{frames:?}");
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn a_frame_of_64_kib_is_read_and_one_byte_more_closes_1009() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
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
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn a_binary_frame_is_refused_and_the_session_continues() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    socket.send_raw(Message::binary(vec![0, 159, 146, 150]));
    assert_eq!(socket.expect("error").await["payload"]["code"], "invalid_request");
    socket.assert_alive().await;
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn invalid_utf8_closes_the_session_and_the_server_continues() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    socket.send_raw(fragment(b"{\"type\":\"\xff\xfe\"}", Data::Text, true));
    let closed = socket.wait_for_close().await;
    assert!(matches!(closed.0, Some(1007 | 4400)), "{closed:?}");
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn a_command_in_several_fragments_is_accepted() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    socket.send_raw(fragment(br#"{"type":"pi"#, Data::Text, false));
    socket.send_raw(fragment(br#"ng","id":"#, Data::Continue, false));
    socket.send_raw(fragment(br#""whole"}"#, Data::Continue, true));
    assert_eq!(socket.expect("pong").await["id"], "whole");
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn fragments_without_an_end_cost_bounded_memory() {
    let fixture = fixture().await;
    let mut socket = fixture.alice.connect().await;
    let bytes_before = fixture.server.process().resident_bytes();
    socket.send_raw(fragment(b"[", Data::Text, false));
    for _ in 0..200 {
        socket.send_raw(fragment(&vec![b' '; 60 * 1024], Data::Continue, false));
    }
    let closed = socket.wait_for_close().await;
    assert!(matches!(closed.0, Some(1009 | 4400) | None), "{closed:?}");
    let grown = fixture.server.process().resident_bytes().saturating_sub(bytes_before);
    assert!(grown < 8 * 1024 * 1024, "the server kept {grown} bytes");
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_the_connection() {
    let fixture = fixture().await;
    let unmasked: &[u8] = b"\x81\x10{\"type\":\"ping\"}\n";
    let reserved: &[u8] = b"\xf1\x80\x00\x00\x00\x00";
    let continued: &[u8] = b"\x80\x80\x00\x00\x00\x00";
    let long_ping: &[u8] = b"\x89\xfe\x00\xff\x00\x00\x00\x00";
    let endless: &[u8] = b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00";
    for bytes in [unmasked, reserved, continued, endless] {
        let mut socket = RawSocket::open(&fixture.alice).await;
        socket.write(bytes).await;
        socket.wait_for_end().await;
    }
    let mut socket = RawSocket::open(&fixture.alice).await;
    socket.write(long_ping).await;
    socket.write(&[0; 255]).await;
    socket.wait_for_end().await;
    fixture.assert_server_continues().await;
}

#[tokio::test]
async fn a_client_that_continues_to_send_over_the_limit_is_closed() {
    const BURST: usize = 60;
    let server = TestServer::builder().set("GREENROOM_LIMIT_SENDS_PER_SECOND", "20").start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let mut socket = alice.connect().await;
    let send = |number: usize| json!({ "conversation_id": room, "content": "flood", "temp_id": format!("{number}") });
    for number in 0..BURST {
        assert_eq!(socket.command("message.send", send(number)).await["type"], "message.sent", "the burst is accepted");
    }
    for number in BURST..400 {
        socket.start("message.send", send(number));
    }
    socket.expect_close(4429).await;
    let limited = socket
        .unread_frames()
        .find(|frame| frame["payload"]["code"] == "rate_limited")
        .expect("an error before the close");
    assert!(limited["payload"]["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{limited}");
    let acknowledged = socket.unread_frames().filter(|frame: &&Value| frame["type"] == "message.sent").count();
    let stored = alice.history(&room).await.len() - 1;
    assert!((BURST..400).contains(&stored), "only the burst and few more are accepted: {stored}");
    assert!(acknowledged <= stored, "each acknowledged message is stored");
    alice.connect().await.assert_alive().await;
}

/// Commands beyond the bound of waiting commands are refused, and this does not count as a flood. Marks are merged, so
/// they are never refused.
#[tokio::test]
async fn each_of_many_simultaneous_commands_is_answered_once() {
    let fixture = fixture().await;
    for (kind, payload, answer) in [
        ("message.read", json!({ "conversation_id": fixture.direct, "seq": 1 }), "ack"),
        ("message.read", json!({ "conversation_id": fixture.direct }), "ack"),
        ("message.delivered", json!({ "conversation_id": fixture.direct, "seq": 1 }), "ack"),
        ("subscribe", json!({ "conversation_ids": [fixture.direct] }), "subscribed"),
        ("sync", json!({ "conversations": {}, "user_rev": 0 }), "sync.done"),
        ("typing.stop", json!({ "conversation_id": fixture.direct }), "ack"),
        ("presence.subscribe", json!({ "user_ids": [fixture.bob.id] }), "presence.state"),
        ("auth", json!({ "token": fixture.alice.access_token }), "auth.success"),
    ] {
        for mut socket in [fixture.alice.connect().await, fixture.alice.connect_unsubscribed().await] {
            let mut unanswered: BTreeSet<String> = (0..600).map(|_| socket.start(kind, payload.clone())).collect();
            let mut refused = 0;
            while !unanswered.is_empty() {
                let frame = socket.frame(&format!("{} more answers to {kind}", unanswered.len())).await;
                let Some(id) = frame["id"].as_str() else {
                    assert_ne!(frame["type"], "error", "{kind}: {frame}");
                    continue;
                };
                assert!(unanswered.remove(id), "{kind}: a second answer is {frame}");
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
    fixture.assert_server_continues().await;
}

/// Covers errors that different parts of the server find.
#[tokio::test]
async fn a_refused_command_is_answered_once() {
    let fixture = fixture().await;
    let group = fixture.alice.group("room", &[]).await;
    let mut socket = fixture.alice.connect().await;
    for (kind, payload) in [
        ("message.send", json!({ "conversation_id": group, "content": "", "temp_id": "t" })),
        ("message.send", json!({ "conversation_id": group, "content": "a\0b" })),
        ("message.read", json!({ "conversation_id": group, "seq": -1 })),
        ("message.read", json!({ "conversation_id": group, "message_id": UNKNOWN })),
        ("message.delivered", json!({ "conversation_id": group, "seq": -1 })),
        ("message.edit", json!({ "conversation_id": group, "message_id": UNKNOWN, "content": "" })),
        ("message.delete", json!({ "conversation_id": group, "message_id": UNKNOWN })),
        ("reaction.add", json!({ "conversation_id": group, "message_id": UNKNOWN, "emoji": "no" })),
        ("subscribe", json!({ "conversation_ids": vec![UNKNOWN; 1_001] })),
        ("message.send", json!({ "conversation_id": UNKNOWN, "content": "a" })),
        ("message.delivered", json!({ "conversation_id": UNKNOWN, "seq": 1 })),
        ("typing.start", json!({ "conversation_id": UNKNOWN })),
        ("presence.subscribe", json!({ "user_ids": vec![UNKNOWN; 1_001] })),
    ] {
        let first = socket.command(kind, payload.clone()).await;
        assert_eq!(first["type"], "error", "{kind} {payload}");
        assert_eq!(first["payload"].get("temp_id"), payload.get("temp_id"), "{kind}");
        // A second answer would come before the answers to later commands.
        socket.send_message(&group, "next").await;
        let frames = socket.frames_until_pong().await;
        assert!(frames.iter().all(|frame| frame.get("id").is_none()), "{kind}: also {frames:?}");
    }
    fixture.assert_server_continues().await;
}

/// The server must refuse a frame by the length in its header, before it allocates memory for the content.
#[tokio::test]
async fn a_frame_with_a_too_large_length_is_refused_before_its_content_arrives() {
    let fixture = fixture().await;
    let bytes_before = fixture.server.process().resident_bytes();
    let mut header = b"\x81\xff".to_vec();
    header.extend((1_u64 << 30).to_be_bytes());
    header.extend([0; 4]);
    let mut socket = RawSocket::open(&fixture.alice).await;
    socket.write(&header).await;
    socket.write_until_ended(&vec![b'x'; 64 * 1024], 1024).await;
    let grown = fixture.server.process().resident_bytes().saturating_sub(bytes_before);
    assert!(grown < 8 * 1024 * 1024, "the server kept {grown} bytes");
    socket.wait_for_end().await;
    fixture.assert_server_continues().await;
}

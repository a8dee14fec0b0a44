//! Pages around a message or a seq, also at both ends of a conversation.

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::user::text;

fn seqs(items: &Value) -> Vec<i64> {
    items.as_array().expect("messages").iter().map(|message| message["seq"].as_i64().expect("a seq")).collect()
}

#[tokio::test]
async fn the_context_of_a_message_has_the_messages_around_it() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.group("room", &[]).await;
    let mut messages = alice.history(&room).await;
    for number in 2..=30 {
        messages.push(alice.send(&room, &format!("number {number}")).await);
    }
    let path = |seq: usize| format!("/messages/{}/context", text(&messages[seq - 1]["id"]));
    for (seq, query, before, after, more) in [
        (15, "?limit=4", 13..=14, 16..=17, (true, true)),
        (15, "?limit=5", 12..=14, 16..=17, (true, true)),
        (15, "", 5..=14, 16..=25, (true, true)),
        (15, "?limit=100", 1..=14, 16..=30, (false, false)),
        (2, "?limit=2", 1..=1, 3..=3, (false, true)),
        (29, "?limit=2", 28..=28, 30..=30, (true, false)),
    ] {
        let context = alice.get(&format!("{}{query}", path(seq))).await.expect(200);
        assert_eq!(context["message"], messages[seq - 1]);
        let expected: (Vec<i64>, Vec<i64>) = (before.collect(), after.collect());
        assert_eq!((seqs(&context["before"]), seqs(&context["after"])), expected, "{seq} {query}");
        assert_eq!((&context["has_more_before"], &context["has_more_after"]), (&json!(more.0), &json!(more.1)));
    }
    let first = alice.get(&path(1)).await.expect(200);
    assert_eq!((&first["before"], &first["has_more_before"]), (&json!([]), &json!(false)));
    let only = alice.get(&format!("{}?limit=1", path(30))).await.expect(200);
    assert_eq!((seqs(&only["before"]), &only["after"]), (vec![29], &json!([])));
    assert_eq!((&only["has_more_before"], &only["has_more_after"]), (&json!(true), &json!(false)));
    for query in ["?limit=0", "?limit=101", "?limit=x", "?around=3"] {
        alice.get(&format!("{}{query}", path(15))).await.refused(400, "invalid_request");
    }
    bob.get(&path(15)).await.refused(403, "not_a_participant");
    alice.get("/messages/01890a5d-ac96-774b-bcce-b302099a8057/context").await.refused(404, "not_found");
    alice.get("/messages/nonsense/context").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_seq_beyond_an_end_means_that_end() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    for _ in 2..=9 {
        alice.send(&room, "text").await;
    }
    let greatest = i64::MAX;
    for (query, expected, more) in [
        (format!("around={greatest}&limit=5"), 7..10, (true, false)),
        ("around=1000&limit=5".to_owned(), 7..10, (true, false)),
        ("around=0&limit=3".to_owned(), 1..4, (false, true)),
        (format!("before={greatest}&limit=2"), 8..10, (true, false)),
        ("before=0".to_owned(), 0..0, (false, true)),
        ("after=0&limit=2".to_owned(), 1..3, (false, true)),
        (format!("after={greatest}"), 0..0, (true, false)),
    ] {
        let page = alice.get(&format!("/conversations/{room}/messages?{query}")).await.expect(200);
        assert_eq!(seqs(&page["items"]), expected.collect::<Vec<_>>(), "{query}");
        assert_eq!((&page["has_more_before"], &page["has_more_after"]), (&json!(more.0), &json!(more.1)), "{query}");
    }
    for query in ["around=-1", "before=9223372036854775808", "after=1e3", "around=", "before=2&after=1"] {
        let refused = alice.get(&format!("/conversations/{room}/messages?{query}")).await;
        refused.refused(400, "invalid_request");
    }
}

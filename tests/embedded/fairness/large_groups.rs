//! Large groups: the part of an event that is the same for all members is sent to the database once, so that a large
//! group delays other writes as little as possible.

use crate::harness::{TestApp, on_each_database};
use greenroom::domain::caller::Caller;
use greenroom::domain::ids::{ConversationId, Rev};
use greenroom::domain::names::UserRef;
use greenroom::domain::roles::Role;
use greenroom::domain::stream::Stream;
use greenroom::store::db::pools::ReadPool;
use greenroom::store::log;
use greenroom::usecases::groups::{self, NewGroup};
use greenroom::usecases::{conversations, members};
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// Returns the conversation in the newest event of the user stream, and the conversation as the user sees it now.
async fn get_from_event_and_now(test: &TestApp, user: Caller, id: ConversationId) -> (Value, Value) {
    let conn = test.app.db().read(ReadPool::Log);
    let frames = log::list_after(conn, Stream::User(user.user_id), Rev(0), 100).await.unwrap();
    let event: Value = serde_json::from_str(&frames.last().unwrap().text).unwrap();
    assert_eq!((&event["type"], &event["stream"]), (&"conversation.created".into(), &"user".into()));
    assert_eq!(event["rev"], frames.last().unwrap().rev.0);
    let mut seen = conversations::get(&test.app, &user, id).await.unwrap();
    seen.last_message = None;
    (event["payload"]["conversation"].clone(), serde_json::to_value(seen).unwrap())
}

#[test]
fn the_common_part_of_an_event_for_all_members_is_sent_once() {
    on_each_database(&async |test: &TestApp| {
        let users = test.users(60).await;
        let (first_members, added_members) = users.split_at(30);
        let sent_values = Arc::new(Mutex::new(Vec::new()));
        let recorded = sent_values.clone();
        test.app.db().observe(move |statement, _| recorded.lock().unwrap().push(format!("{:?}", statement.values)));
        let description = "a description that occurs in no other row ".repeat(50).trim().to_owned();
        let count_sent = || {
            let sent_values = std::mem::take(&mut *sent_values.lock().unwrap());
            sent_values.iter().map(|values| values.matches(&description).count()).sum::<usize>()
        };
        let refs = |users: &[Caller]| users.iter().map(|user| UserRef::Id(user.user_id)).collect::<Vec<_>>();
        let new = NewGroup {
            name: "a group".to_owned(),
            description: Some(description.clone()),
            avatar_url: None,
            members: refs(&first_members[1..]),
            temp_id: None,
        };
        let created = groups::create(&test.app, &first_members[0], new).await.unwrap();
        let id = created.conversation.id;
        assert_eq!(count_sent(), 3, "the row, the event of the owner, and the events of the members");
        members::add(&test.app, &first_members[0], id, &refs(&added_members[..20]), Role::Observer).await.unwrap();
        assert_eq!(count_sent(), 1, "the events of the new members");
        for user in [first_members[0], first_members[1], first_members[29]] {
            let (event, now) = get_from_event_and_now(test, user, id).await;
            let without_counters = |mut seen: Value| {
                // These changed when more members were added, which is another event.
                for name in ["member_count", "last_seq", "last_rev"] {
                    seen[name].take();
                }
                seen
            };
            assert_eq!(without_counters(event), without_counters(now));
        }
        for user in [added_members[0], added_members[19]] {
            let (event, now) = get_from_event_and_now(test, user, id).await;
            assert_eq!(event, now);
            assert_eq!(event["my"]["role"], "observer");
        }
    });
}

//! Groups of a thousand: what all of their members are told alike is made once and travels once, so that a large group
//! holds up the others who write no longer than it must.

use crate::harness::{Inside, on_each_database};
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

/// What the newest event of the user's stream says, and the conversation as the user sees it now.
async fn told_and_seen(inside: &Inside, user: Caller, id: ConversationId) -> (Value, Value) {
    let conn = inside.app.db().read(ReadPool::Log);
    let frames = log::list_after(conn, Stream::User(user.user_id), Rev(0), 100).await.unwrap();
    let told: Value = serde_json::from_str(&frames.last().unwrap().text).unwrap();
    assert_eq!((&told["type"], &told["stream"]), (&"conversation.created".into(), &"user".into()));
    assert_eq!(told["rev"], frames.last().unwrap().rev.0);
    let mut seen = conversations::get(&inside.app, &user, id).await.unwrap();
    seen.last_message = None;
    (told["payload"]["conversation"].clone(), serde_json::to_value(seen).unwrap())
}

#[test]
fn what_all_members_are_told_alike_travels_to_the_database_once() {
    on_each_database(&async |inside: &Inside| {
        let everybody = inside.users(60).await;
        let (founders, late) = everybody.split_at(30);
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        inside.app.db().observe(move |statement, _| heard.lock().unwrap().push(format!("{:?}", statement.values)));
        let description = "a description that stands nowhere else ".repeat(50).trim().to_owned();
        let travelled = || {
            let said = std::mem::take(&mut *said.lock().unwrap());
            said.iter().map(|values| values.matches(&description).count()).sum::<usize>()
        };
        let refs = |users: &[Caller]| users.iter().map(|user| UserRef::Id(user.user_id)).collect::<Vec<_>>();
        let new = NewGroup {
            name: "a group".to_owned(),
            description: Some(description.clone()),
            avatar_url: None,
            members: refs(&founders[1..]),
            temp_id: None,
        };
        let made = groups::create(&inside.app, &founders[0], new).await.unwrap();
        let id = made.conversation.id;
        assert_eq!(travelled(), 3, "the row, what the owner is told, and what the members are told");
        members::add(&inside.app, &founders[0], id, &refs(&late[..20]), Role::Observer).await.unwrap();
        assert_eq!(travelled(), 1, "what those who came are told");
        for user in [founders[0], founders[1], founders[29]] {
            let (told, seen) = told_and_seen(inside, user, id).await;
            let counted = |mut seen: Value| {
                // more have come since, which is another event
                for name in ["member_count", "last_seq", "last_rev"] {
                    seen[name].take();
                }
                seen
            };
            assert_eq!(counted(told), counted(seen));
        }
        for user in [late[0], late[19]] {
            let (told, seen) = told_and_seen(inside, user, id).await;
            assert_eq!(told, seen);
            assert_eq!(told["my"]["role"], "observer");
        }
    });
}

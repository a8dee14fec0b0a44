//! The migrations to the keys of messages and to the stored number of members, on a database with rows.

use ::entity::{
    conversations, hidden_messages, mentions, message_edits, message_links, messages, notifications, participants,
    reactions, uploads,
};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, QueryOrder, QueryResult, Statement};

use super::sample_rows::{self, TIME, id};
use super::upgrade::{before, insert_group, literal};
use crate::migrations::catalogue::{insert, on_each_database};

async fn rows(db: &DatabaseConnection, query: &str) -> Vec<QueryResult> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.expect("rows")
}

/// Inserts two messages, of which one quotes the other, and a row of each table that refers to messages.
async fn insert_history(db: &DatabaseConnection) -> Vec<messages::Model> {
    for number in 1..=3 {
        insert(db, sample_rows::user(number)).await.expect("a user");
    }
    insert_group(db, 30).await;
    insert_group(db, 31).await;
    for (user, left) in [(1, None), (2, None), (3, Some(TIME))] {
        let row =
            participants::Model { left_at: left, left_rev: left.map(|_| 4), ..sample_rows::participant(30, user) };
        insert(db, row).await.expect("a participant");
    }
    let link = sample_rows::link(41, 30).url;
    let quoted = messages::Model { reply_to_id: None, content: link, ..sample_rows::message(41, 30, 1, 1) };
    // The ids are in another order than the messages.
    let reply = messages::Model { reply_to_id: Some(id(41)), ..sample_rows::message(40, 30, 2, 2) };
    let system = sample_rows::system_message(42, 31, 1);
    for row in [&quoted, &reply, &system] {
        insert(db, row.clone()).await.expect("a message");
    }
    insert(db, sample_rows::mention(2, 30, 1, 41)).await.expect("a mention");
    insert(db, sample_rows::hidden(2, 41, 30)).await.expect("a hidden message");
    insert(db, sample_rows::link(41, 30)).await.expect("a link");
    insert(db, sample_rows::attachment(50, 1, 30, 41)).await.expect("an attachment");
    insert(db, sample_rows::notification(60, 2, 30, 41)).await.expect("a notification");
    let [message, room, user] = [41, 30, 2].map(|number| literal(db, id(number)));
    for statement in [
        format!(
            "INSERT INTO reactions (message_id, emoji, user_id, conversation_id, created_at, place)
             VALUES ({message}, '👍🏽', {user}, {room}, {TIME}, 3)"
        ),
        format!(
            "INSERT INTO message_edits (id, message_id, content, edited_at) VALUES (7, {message}, 'before', {TIME})"
        ),
    ] {
        db.execute_unprepared(&statement).await.expect("a row");
    }
    vec![quoted, reply, system]
}

/// Checks that all rows have the values from before the migration.
async fn expect_history(db: &DatabaseConnection, expected: &[messages::Model]) {
    let found = messages::Entity::find()
        .order_by_asc(messages::Column::ConversationId)
        .order_by_asc(messages::Column::Seq)
        .all(db)
        .await;
    assert_eq!(found.expect("messages"), expected);
    assert_eq!(mentions::Entity::find().all(db).await.expect("mentions"), [sample_rows::mention(2, 30, 1, 41)]);
    assert_eq!(hidden_messages::Entity::find().all(db).await.expect("hidden"), [sample_rows::hidden(2, 41, 30)]);
    assert_eq!(message_links::Entity::find().all(db).await.expect("links"), [sample_rows::link(41, 30)]);
    assert_eq!(uploads::Entity::find().all(db).await.expect("uploads"), [sample_rows::attachment(50, 1, 30, 41)]);
    let notified = notifications::Entity::find().all(db).await.expect("notifications");
    assert_eq!(notified, [sample_rows::notification(60, 2, 30, 41)]);
    if db.get_database_backend() == DbBackend::Sqlite {
        assert!(rows(db, "PRAGMA foreign_key_check").await.is_empty());
    }
}

#[tokio::test]
async fn messages_and_the_rows_that_refer_to_them_keep_their_values() {
    on_each_database(|db| async move {
        let db = &db;
        let steps = before("m20261130_000020_message_keys");
        Migrator::up(db, Some(steps)).await.expect("up to the keys");
        let expected = insert_history(db).await;
        for _ in 0..2 {
            Migrator::up(db, None).await.expect("up");
            expect_history(db, &expected).await;
            let edit = message_edits::Model { id: 7, ..sample_rows::edit(7, 30, 41) };
            assert_eq!(message_edits::Entity::find().all(db).await.expect("edits"), [edit]);
            let reaction = reactions::Model { position: 3, ..sample_rows::reaction(41, 2, 30) };
            assert_eq!(reactions::Entity::find().all(db).await.expect("reactions"), [reaction]);
            let counted = conversations::Entity::find().order_by_asc(conversations::Column::Id).all(db).await;
            let counted: Vec<_> = counted.expect("groups").iter().map(|group| group.member_count).collect();
            assert_eq!(counted, [2, 0], "a user who left is counted");

            Migrator::down(db, Some(Migrator::migrations().len() as u32 - steps)).await.expect("down");
            expect_history(db, &expected).await;
            let former_position: i64 =
                rows(db, "SELECT place FROM reactions").await[0].try_get("", "place").expect("a number");
            let edit: i64 = rows(db, "SELECT id FROM message_edits").await[0].try_get("", "id").expect("a number");
            assert_eq!((former_position, edit), (3, 7));
        }
    })
    .await;
}

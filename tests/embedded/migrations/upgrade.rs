//! Migrations that change rows, on databases with rows.

use ::entity::{
    conversation_statistics, conversations, hidden_messages, logins, mentions, message_links, messages, meta,
    participants, readers, sender_statistics, user_words, users,
};
use greenroom::domain::search;
use migration::{Migrator, MigratorTrait};
use sea_orm::ActiveValue::NotSet;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IntoActiveModel, QuerySelect,
    Statement,
};
use uuid::Uuid;

use super::sample_rows::{self, id};
use crate::migrations::catalogue::{insert, on_each_database};

/// The number of migrations before the one that counts messages.
const BEFORE_STATISTICS: u32 = 8;

/// Inserts a text message, or a system message if there is no sender.
async fn insert_text(db: &DatabaseConnection, number: u128, seq: i64, count: i64, sender: Option<u128>, content: &str) {
    let text_message = messages::Model {
        kind: "text".to_owned(),
        data: None,
        reply_to_id: None,
        content: content.to_owned(),
        created_at: sample_rows::TIME + seq,
        seq,
        count,
        rev: seq,
        ..sample_rows::message(number, 30, sender.unwrap_or(1), seq)
    };
    let row = match sender {
        Some(_) => text_message,
        None => messages::Model {
            count,
            created_at: sample_rows::TIME + seq,
            ..sample_rows::system_message(number, 30, seq)
        },
    };
    insert_message(db, row).await;
}

/// Inserts a message as it was before messages had the flag for a mention of all.
async fn insert_message(db: &DatabaseConnection, row: messages::Model) {
    let mut row = row.into_active_model().reset_all();
    row.mentions_all = NotSet;
    messages::Entity::insert(row).exec_without_returning(db).await.expect("a message");
}

/// Inserts a group as it was before groups had a `temp_id` and a number of members.
pub async fn insert_group(db: &DatabaseConnection, number: u128) {
    let mut row = sample_rows::group(number, 1).into_active_model().reset_all();
    row.temp_id = NotSet;
    row.body_hash = NotSet;
    row.member_count = NotSet;
    conversations::Entity::insert(row).exec_without_returning(db).await.expect("a group");
}

/// Inserts a group with a system message and four messages of two users, of which one is deleted and two have links.
async fn insert_history(db: &DatabaseConnection) {
    for number in 1..=2 {
        insert(db, sample_rows::user(number)).await.expect("a user");
    }
    insert_group(db, 30).await;
    insert_group(db, 31).await;
    insert_text(db, 40, 1, 0, None, "").await;
    insert_text(db, 41, 2, 1, Some(1), "see https://a.example/x, and HTTP://b.example.").await;
    insert_text(db, 42, 3, 2, Some(2), "no link: xhttp://c.example").await;
    insert_text(db, 43, 4, 3, Some(1), "https://a.example/x").await;
    let deleted = messages::Model {
        content: String::new(),
        data: None,
        kind: "text".to_owned(),
        reply_to_id: None,
        count: 4,
        deleted_at: Some(sample_rows::TIME),
        ..sample_rows::message(44, 30, 1, 5)
    };
    insert_message(db, deleted).await;
    for rev in 1..=5 {
        insert(db, sample_rows::log_row(rev * 10, 30, rev)).await.expect("a log row");
    }
}

async fn cursor_of(db: &DatabaseConnection, name: &str) -> Option<i64> {
    let cursor = readers::Entity::find_by_id(name).select_only().column(readers::Column::Cursor);
    cursor.into_tuple().one(db).await.expect("a query")
}

#[tokio::test]
async fn existing_messages_are_counted_once() {
    on_each_database(|db| async move {
        let db = &db;
        Migrator::up(db, Some(BEFORE_STATISTICS)).await.expect("up to the statistics");
        insert_history(db).await;
        for _ in 0..2 {
            Migrator::up(db, None).await.expect("up");
            let counted = conversation_statistics::Entity::find().all(db).await.expect("counts");
            let expected = conversation_statistics::Model {
                conversation_id: id(30),
                messages: 4,
                attachments: 0,
                links: 3,
                first_message_at: Some(sample_rows::TIME + 2),
            };
            assert_eq!(counted, [expected]);
            let mut senders = sender_statistics::Entity::find().all(db).await.expect("counts");
            senders.sort_by_key(|sender| sender.user_id);
            let senders: Vec<_> = senders.iter().map(|sender| (sender.user_id, sender.messages)).collect();
            assert_eq!(senders, [(id(1), 3), (id(2), 1)]);
            let mut links = message_links::Entity::find().all(db).await.expect("links");
            links.sort_by_key(|link| (link.seq, link.position));
            let links: Vec<_> = links.iter().map(|link| (link.message_id, link.seq, link.url.as_str())).collect();
            let urls = ["https://a.example/x", "HTTP://b.example", "https://a.example/x"];
            assert_eq!(links, [(id(41), 2, urls[0]), (id(41), 2, urls[1]), (id(43), 4, urls[2])]);

            assert_eq!((cursor_of(db, "sequencer").await, cursor_of(db, "statistics").await), (None, Some(50)));
            let steps = Migrator::migrations().len() as u32 - BEFORE_STATISTICS;
            Migrator::down(db, Some(steps)).await.expect("down");
            assert_eq!(message_links::Entity::find().all(db).await.expect("links"), []);
            assert_eq!(cursor_of(db, "statistics").await, None);
        }
    })
    .await;
}

/// The number of migrations before the one that counts refreshes.
const BEFORE_GENERATIONS: u32 = 11;

#[tokio::test]
async fn existing_logins_get_their_network_and_their_tokens_stay_valid() {
    on_each_database(|db| async move {
        let db = &db;
        Migrator::up(db, Some(BEFORE_GENERATIONS)).await.expect("up to the generations");
        let bytes = |number: u32| match db.get_database_backend() {
            DbBackend::Postgres => format!("'{}'::uuid", id(number.into())),
            _ => format!("x'{}'", id(number.into()).simple()),
        };
        let run = async |statement: String| db.execute_unprepared(&statement).await.expect("a statement");
        run(format!(
            "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at) \
             VALUES ({}, 'Ada', 'ada', 'Ada', 'ada', 1, 1)",
            bytes(1)
        ))
        .await;
        for (number, ip) in [(10, "192.0.2.7"), (11, "2001:db8:0:1:2::3"), (12, "")] {
            run(format!(
                "INSERT INTO logins (id, user_id, device, ip, created_at, last_used_at) \
                 VALUES ({}, {}, '', '{ip}', 1, 1)",
                bytes(number),
                bytes(1)
            ))
            .await;
        }
        for (hash, expires_at) in [("07", 70), ("09", 90)] {
            let literal = match db.get_database_backend() {
                DbBackend::Postgres => format!("'\\x{hash}'"),
                _ => format!("x'{hash}'"),
            };
            run(format!(
                "INSERT INTO refresh_tokens (token_hash, login_id, created_at, expires_at) \
                 VALUES ({literal}, {}, 1, {expires_at})",
                bytes(10)
            ))
            .await;
        }
        for _ in 0..2 {
            Migrator::up(db, None).await.expect("up");
            let mut rows = logins::Entity::find().all(db).await.expect("logins");
            rows.sort_by_key(|row| row.id);
            let networks: Vec<_> = rows.iter().map(|row| row.network.as_deref()).collect();
            assert_eq!(networks, [Some("192.0.2.7"), Some("2001:db8:0:1::"), None]);
            assert!(rows.iter().all(|row| (row.generation, row.seen_generation) == (0, 0)));
            let until = meta::Entity::find_by_id("plain_tokens_until").one(db).await.expect("a query");
            assert_eq!(until.expect("tokens existed before the migration").value, "90");
            let after = u32::try_from(Migrator::migrations().len()).expect("few") - BEFORE_GENERATIONS;
            Migrator::down(db, Some(after)).await.expect("down");
        }
    })
    .await;
}

/// Returns the number of migrations before this one.
pub fn before(name: &str) -> u32 {
    let migrations = Migrator::migrations();
    migrations.iter().position(|migration| migration.name() == name).expect("a migration of this name") as u32
}

pub fn literal(db: &DatabaseConnection, id: Uuid) -> String {
    if db.get_database_backend() == DbBackend::Postgres { format!("'{id}'") } else { format!("x'{}'", id.simple()) }
}

/// Returns the `seq` and the user of each mention, in the order of the messages and of the mentions in them.
async fn mentioned(db: &DatabaseConnection) -> Vec<(i64, u128)> {
    let mut rows = mentions::Entity::find().all(db).await.expect("mentions");
    rows.sort_by_key(|row| (row.seq, row.position, row.user_id));
    rows.iter().map(|row| (row.seq, row.user_id.as_u128())).collect()
}

#[tokio::test]
async fn mentions_of_all_become_flags() {
    on_each_database(|db| async move {
        let db = &db;
        let steps = before("m20261130_000016_mentions_all");
        Migrator::up(db, Some(steps)).await.expect("up to the flags");
        for number in 1..=4 {
            insert(db, sample_rows::user(number)).await.expect("a user");
        }
        let [room, owner] = [30, 1].map(|number| literal(db, id(number)));
        let columns = "id, kind, name, created_by, created_at, updated_at";
        let group = format!("INSERT INTO conversations ({columns}) VALUES ({room}, 'group', 'Room', {owner}, 1, 1)");
        db.execute_unprepared(&group).await.expect("a group");
        for number in 1..=4 {
            let mut row = sample_rows::participant(30, number).into_active_model().reset_all();
            (row.former_read_seq, row.left_at, row.left_rev) = (NotSet, sea_orm::Set(None), sea_orm::Set(None));
            row.joined_at = sea_orm::Set(sample_rows::TIME - number as i64);
            participants::Entity::insert(row).exec_without_returning(db).await.expect("a participant");
        }
        insert_text(db, 40, 1, 0, None, "").await;
        insert_text(db, 41, 2, 1, Some(1), "@ALL, and @User3 first").await;
        insert_text(db, 42, 3, 2, Some(1), "hello @user2").await;
        insert_text(db, 43, 4, 3, Some(2), "all but @all of you").await;
        let rows = [(41, 2, 3, 0, true), (41, 2, 2, 1, true), (41, 2, 4, 2, true), (42, 3, 2, 0, false)];
        for (message, seq, user, position, by_all) in
            rows.into_iter().chain([1, 3, 4].into_iter().zip(0..).map(|(user, position)| (43, 4, user, position, true)))
        {
            let [user, room, message] = [user, 30, message].map(|number| literal(db, id(number)));
            let row = format!("{user}, {room}, {seq}, {message}, {position}, {by_all}");
            let columns = "user_id, conversation_id, seq, message_id, position, by_all";
            db.execute_unprepared(&format!("INSERT INTO mentions ({columns}) VALUES ({row})"))
                .await
                .expect("a mention");
        }
        for (message, seq) in [(40, 1), (42, 3)] {
            let [user, room, message] = [3, 30, message].map(|number| literal(db, id(number)));
            let row = format!("{user}, {message}, {room}, {seq}, 1");
            let columns = "user_id, message_id, conversation_id, seq, created_at";
            let statement = format!("INSERT INTO hidden_messages ({columns}) VALUES ({row})");
            db.execute_unprepared(&statement).await.expect("a hidden message");
        }
        for _ in 0..2 {
            Migrator::up(db, None).await.expect("up");
            let mut all = messages::Entity::find().all(db).await.expect("messages");
            all.sort_by_key(|message| message.seq);
            let flags: Vec<bool> = all.iter().map(|message| message.mentions_all).collect();
            assert_eq!(flags, [false, true, false, true]);
            assert_eq!(mentioned(db).await, [(2, 3), (3, 2)], "the users who were mentioned by name");
            let mut hidden = hidden_messages::Entity::find().all(db).await.expect("hidden messages");
            hidden.sort_by_key(|row| row.seq);
            assert_eq!(hidden.iter().map(|row| row.counts).collect::<Vec<_>>(), [false, true]);
            Migrator::down(db, Some(Migrator::migrations().len() as u32 - steps)).await.expect("down");
            assert_eq!(mentioned(db).await, [(2, 3), (2, 2), (2, 4), (3, 2), (4, 1), (4, 3), (4, 4)]);
            let query = Statement::from_string(db.get_database_backend(), "SELECT seq FROM mentions WHERE by_all");
            assert_eq!(db.query_all_raw(query).await.expect("rows").len(), 6);
        }
    })
    .await;
}

/// The number of migrations before the one that indexes names.
const BEFORE_SEARCH: u32 = 11;

async fn indexed(db: &DatabaseConnection) -> Vec<(u128, bool, String)> {
    let rows = user_words::Entity::find().all(db).await.expect("words");
    let mut rows: Vec<_> = rows.into_iter().map(|row| (row.user_id.as_u128(), row.inside == 1, row.word)).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn existing_names_are_found() {
    on_each_database(|db| async move {
        let long = "x".repeat(255);
        let names = ["Đặng Thị Hà", "張偉 (Wei)", "สมชาย ใจดี", "김철수", "O'Neil-Smith", "Οδυσσεύς", "Anna🎉", &long];
        let db = &db;
        Migrator::up(db, Some(BEFORE_SEARCH)).await.expect("up to the index");
        let mut expected = Vec::new();
        for (number, name) in (1..).zip(names) {
            let text = search::searchable_text(&format!("User{number}"), name);
            let words = search::indexed_words(&text);
            expected.extend(words.into_iter().map(|word| (number, word.inside, word.word)));
            // An older version stored the searchable text in this form.
            let row = users::Model { search_text: text.replace('σ', "ς"), ..sample_rows::user(number) };
            insert(db, row).await.expect("a user");
        }
        for (number, status) in [(100, "suspended"), (101, "deleted")] {
            let deleted_at = (status == "deleted").then_some(sample_rows::TIME);
            let row = users::Model { status: status.to_owned(), deleted_at, ..sample_rows::user(number) };
            insert(db, row).await.expect("a user who is not found");
        }
        expected.sort();
        let steps = Migrator::migrations().len() as u32 - BEFORE_SEARCH;
        for _ in 0..2 {
            Migrator::up(db, None).await.expect("up");
            assert_eq!(indexed(db).await, expected);
            Migrator::down(db, Some(steps)).await.expect("down");
        }
    })
    .await;
}

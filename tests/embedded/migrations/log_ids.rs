//! The migration from positions to the ids of log rows, on databases whose sequencer and readers were far behind.

use std::collections::BTreeMap;

use ::entity::{conversation_statistics, message_links, messages, outbox, reader_failures, readers, sender_statistics};
use migration::{Migrator, MigratorTrait};
use sea_orm::ActiveValue::NotSet;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IntoActiveModel, QueryOrder,
    Statement,
};

use super::sample_rows::{self, TIME, id};
use super::upgrade::{before, literal};
use crate::migrations::catalogue::{insert, on_each_database};

const NAME: &str = "m20261130_000024_log_ids";
/// The number of messages with a link, more than the migration reads with one query.
const MANY: i64 = 1203;
/// The last id that the log has assigned. Its row was removed.
const LAST_ID: i64 = 95;

fn is_postgres(db: &DatabaseConnection) -> bool {
    db.get_database_backend() == DbBackend::Postgres
}

async fn run(db: &DatabaseConnection, statements: &str) {
    db.execute_unprepared(statements).await.unwrap_or_else(|error| panic!("{error}: {statements}"));
}

fn text_message(number: u128, seq: i64, sender: u128, content: &str) -> messages::Model {
    messages::Model {
        kind: "text".to_owned(),
        data: None,
        reply_to_id: None,
        content: content.to_owned(),
        created_at: TIME + seq,
        ..sample_rows::message(number, 30, sender, seq)
    }
}

/// Inserts a conversation of which the reader has counted only the first two messages, and has seen the former text of
/// the second one, and a conversation with many messages that it has not seen.
async fn insert_history(db: &DatabaseConnection) {
    for number in 1..=2 {
        insert(db, sample_rows::user(number)).await.expect("a user");
    }
    for number in [30, 31, 32] {
        insert(db, sample_rows::group(number, 1)).await.expect("a group");
    }
    let system = messages::Model { count: 0, ..sample_rows::system_message(40, 30, 1) };
    let deleted = messages::Model { deleted_at: Some(TIME), count: 5, ..text_message(45, 6, 2, "") };
    let counted = |row: messages::Model| messages::Model { count: row.seq - 1, ..row };
    for row in [
        system,
        counted(text_message(41, 2, 1, "see https://a.example/x, and HTTP://b.example.")),
        counted(text_message(42, 3, 2, "edited: https://new.example")),
        counted(text_message(43, 4, 1, "例えばwww.c.example。xwww.d.example a@www.e.example")),
        counted(text_message(44, 5, 1, "no link: www. and xhttp://f.example")),
        deleted,
    ] {
        insert(db, row).await.expect("a message");
    }
    let (room, user) = (literal(db, id(31)), literal(db, id(2)));
    let new_id = if is_postgres(db) { "gen_random_uuid()" } else { "randomblob(16)" };
    run(
        db,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
             INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, created_at)
             SELECT {new_id}, {room}, i, i, i, {user}, 'text', 'https://many.example/' || i, {TIME} + i FROM n"
        ),
    )
    .await;

    for row in [
        conversation_statistics::Model { messages: 2, links: 1, ..sample_rows::statistics(30) },
        conversation_statistics::Model { messages: 0, links: 0, attachments: 0, ..sample_rows::statistics(32) },
    ] {
        insert(db, row).await.expect("counts");
    }
    let sender = sender_statistics::Model { messages: 7, ..sample_rows::sender(30, 2) };
    insert(db, sender).await.expect("a count");
    let former = message_links::Model { seq: 3, url: "https://old.example".to_owned(), ..sample_rows::link(42, 30) };
    insert(db, former).await.expect("a link of a former text");

    // The rows of the first message are removed already. The sequencer has reached some of the rows, in another order.
    for (number, rev) in [(40, 3), (60, 4), (70, 5), (90, 6), (LAST_ID, 7)] {
        insert(db, sample_rows::log_row(number, 30, rev)).await.expect("a log row");
    }
    if is_postgres(db) {
        run(db, "UPDATE outbox SET position = 8 WHERE id = 70; UPDATE outbox SET position = 9 WHERE id = 40").await;
        run(db, "UPDATE readers SET cursor = 9 WHERE name = 'sequencer'").await;
        run(db, "SELECT setval(pg_get_serial_sequence('outbox', 'id')::regclass, 95)").await;
    }
    run(db, &format!("DELETE FROM outbox WHERE id = {LAST_ID}")).await;
    run(db, "UPDATE readers SET cursor = 8, failed_at = 5 WHERE name = 'statistics'").await;
    insert(db, readers::Model { cursor: 3, failed_at: Some(6), ..sample_rows::reader("search") })
        .await
        .expect("a reader");
    for reader in ["statistics", "search"] {
        insert(db, sample_rows::failure(reader, 30)).await.expect("a failed row");
    }
}

/// Checks that the statistics are those of the messages, and that every reader continues after the last row.
async fn expect_ids(db: &DatabaseConnection) {
    let counts = conversation_statistics::Entity::find().order_by_asc(conversation_statistics::Column::ConversationId);
    let counts = counts.all(db).await.expect("counts");
    let (first, many) = (sample_rows::statistics(30), sample_rows::statistics(31));
    let attachments = first.attachments;
    let expected = [
        conversation_statistics::Model { messages: 5, links: 4, first_message_at: Some(TIME + 2), ..first },
        conversation_statistics::Model {
            messages: MANY,
            links: MANY,
            attachments: 0,
            first_message_at: Some(TIME + 1),
            ..many
        },
        conversation_statistics::Model { messages: 0, links: 0, attachments: 0, ..sample_rows::statistics(32) },
    ];
    assert_eq!(counts, expected);
    assert!(attachments > 0, "nothing shows that the counts of attachments stay");
    let senders = sender_statistics::Entity::find().all(db).await.expect("counts");
    let senders: BTreeMap<_, _> =
        senders.iter().map(|row| ((row.conversation_id, row.user_id), row.messages)).collect();
    let expected = [((id(30), id(1)), 3), ((id(30), id(2)), 2), ((id(31), id(2)), MANY)];
    assert_eq!(senders, BTreeMap::from(expected));
    let links = message_links::Entity::find()
        .order_by_asc(message_links::Column::ConversationId)
        .order_by_asc(message_links::Column::Seq)
        .order_by_asc(message_links::Column::Position);
    let links = links.all(db).await.expect("links");
    let texts: Vec<_> = links.iter().map(|row| (row.seq, row.position, row.url.as_str())).collect();
    let expected = [
        (2, 0, "https://a.example/x"),
        (2, 1, "HTTP://b.example"),
        (3, 0, "https://new.example"),
        (4, 0, "www.c.example"),
    ];
    assert_eq!(texts[..4], expected);
    let of_many = links[4..].iter().zip(1..).all(|(row, seq)| {
        (row.conversation_id, row.seq, row.url.as_str())
            == (id(31), seq, format!("https://many.example/{seq}").as_str())
    });
    assert!(of_many && links.len() as i64 == 4 + MANY, "{links:?}");

    let readers = readers::Entity::find().order_by_asc(readers::Column::Name).all(db).await.expect("readers");
    let readers: Vec<_> = readers.iter().map(|row| (row.name.as_str(), row.cursor, row.failed_at)).collect();
    assert_eq!(readers, [("search", 90, Some(6)), ("statistics", 90, None)]);
    let failures = reader_failures::Entity::find().all(db).await.expect("failures");
    assert_eq!(failures, [sample_rows::failure("search", 30)], "the count contains the rows of the statistics");
}

#[tokio::test]
async fn statistics_are_complete_and_readers_continue_after_the_last_row() {
    on_each_database(|db| async move {
        let db = &db;
        let steps = before(NAME);
        Migrator::up(db, Some(steps)).await.expect("up to the ids");
        insert_history(db).await;
        Migrator::up(db, Some(1)).await.expect("up");
        expect_ids(db).await;
        let log = [(40, 3), (60, 4), (70, 5), (90, 6)].map(|(number, rev)| sample_rows::log_row(number, 30, rev));
        let rows = || outbox::Entity::find().order_by_asc(outbox::Column::Id).all(db);
        assert_eq!(rows().await.expect("the log"), log);

        // Rows that this version adds have a position after the migration down, as their readers have passed them.
        Migrator::down(db, Some(1)).await.expect("down");
        assert_eq!(rows().await.expect("the log"), log);
        let query = "SELECT id, position, (SELECT cursor FROM readers WHERE name = 'sequencer') AS last FROM outbox
                     ORDER BY id";
        let query = Statement::from_string(db.get_database_backend(), query);
        let positions: Vec<(i64, Option<i64>, Option<i64>)> = db
            .query_all_raw(query)
            .await
            .expect("positions")
            .iter()
            .map(|row| ["id", "position", "last"].map(|name| row.try_get("", name).expect("a number")))
            .map(|[row_id, position, last]: [Option<i64>; 3]| (row_id.expect("an id"), position, last))
            .collect();
        let expected = if is_postgres(db) {
            [40, 60, 70, 90].map(|row_id| (row_id, Some(row_id), Some(90)))
        } else {
            [40, 60, 70, 90].map(|row_id| (row_id, None, None))
        };
        assert_eq!(positions, expected);
        let statistics = readers::Entity::find_by_id("statistics").one(db).await.expect("a query").expect("a reader");
        assert_eq!(statistics.cursor, 90, "the reader continues after the same row");

        Migrator::up(db, None).await.expect("up again");
        expect_ids(db).await;
        let mut row = sample_rows::log_row(0, 30, 8).into_active_model().reset_all();
        row.id = NotSet;
        let next = outbox::Entity::insert(row).exec(db).await.expect("a log row").last_insert_id;
        assert!(next > LAST_ID, "the id {next} of a removed row was used again");
    })
    .await;
}

#[tokio::test]
async fn an_empty_log_becomes_a_log_without_positions() {
    on_each_database(|db| async move {
        let steps = before(NAME);
        Migrator::up(&db, Some(steps)).await.expect("up to the ids");
        run(&db, "DELETE FROM readers").await;
        for _ in 0..2 {
            Migrator::up(&db, None).await.expect("up");
            let found = readers::Entity::find().all(&db).await.expect("readers");
            let found: Vec<_> = found.iter().map(|row| (row.name.as_str(), row.cursor)).collect();
            assert_eq!(found, [("statistics", 0)], "a reader without a row would count the log twice");
            Migrator::down(&db, Some(Migrator::migrations().len() as u32 - steps)).await.expect("down");
        }
    })
    .await;
}

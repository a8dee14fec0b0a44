//! The schema: the migrations run up, down and up again; the entities fit the tables; the constraints refuse wrong
//! rows; the indexes serve the foreign keys and contain no counters or marks.

mod catalogue;
mod constraints;
mod emails;
mod log_ids;
mod message_keys;
mod sample_rows;
mod upgrade;

use std::collections::BTreeSet;

use ::entity::meta;
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IntoActiveModel, Iterable,
    ModelTrait, Statement, TransactionTrait,
};

use crate::migrations::catalogue::{Catalogue, insert, on_each_database};

#[tokio::test]
async fn migrations_run_up_down_and_up_again() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let first = Catalogue::read(&db).await;
        let epoch = meta::Entity::find_by_id("epoch").one(&db).await.expect("read").expect("an epoch").value;
        assert_eq!(epoch.len(), 32);
        assert!(epoch.chars().all(|digit| digit.is_ascii_hexdigit()), "{epoch}");

        Migrator::down(&db, None).await.expect("down");
        assert_eq!(Catalogue::read(&db).await, Catalogue::default());

        // Run each migration alone, so that every `down` must be the inverse of its `up`.
        for _ in Migrator::migrations() {
            let before = Catalogue::read(&db).await;
            Migrator::up(&db, Some(1)).await.expect("one up");
            Migrator::down(&db, Some(1)).await.expect("one down");
            assert_eq!(Catalogue::read(&db).await, before);
            Migrator::up(&db, Some(1)).await.expect("one up again");
        }
        assert_eq!(Catalogue::read(&db).await, first);
        let second_epoch = meta::Entity::find_by_id("epoch").one(&db).await.expect("read").expect("an epoch").value;
        assert_ne!(second_epoch, epoch, "a new history has a new epoch");
    })
    .await;
}

#[tokio::test]
async fn indexes_serve_the_foreign_keys_and_avoid_the_marks() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let catalogue = Catalogue::read(&db).await;
        assert!(catalogue.foreign_keys.len() > 30, "{:?}", catalogue.foreign_keys);
        for (table, key) in &catalogue.foreign_keys {
            // A partial index is sufficient if it leaves out only the rows without a reference.
            let whole: Vec<String> = key.iter().map(|column| format!("{column} IS NOT NULL")).collect();
            let served = catalogue.indexes.values().any(|(of, columns, predicate)| {
                let predicate = predicate.trim_matches(['(', ')']);
                // The last column of such a key is the id, which alone finds the rows.
                let finds = columns.starts_with(key) || Some(&columns[0]) == key.last();
                of == table && finds && (predicate.is_empty() || whole.iter().any(|whole| whole == predicate))
            });
            assert!(served, "no index serves {table}.{key:?}");
        }

        let changing_columns = [
            "last_seq",
            "last_count",
            "last_rev",
            "last_message_at",
            "last_read_seq",
            "last_read_count",
            "delivered_seq",
            "delivered_at",
            "last_seen_at",
            "last_used_at",
        ];
        for (index, (table, columns, predicate)) in &catalogue.indexes {
            let words = predicate.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            for word in words.chain(columns.iter().map(String::as_str)) {
                assert!(!changing_columns.contains(&word), "{index} contains {word}");
                assert!(table != "participants" || word != "read_at", "{index} contains {word}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn entities_fit_the_tables() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let (db, c) = (&db, &Catalogue::read(&db).await);
        check_entity(db, c, sample_rows::user(1)).await;
        check_entity(db, c, sample_rows::user(2)).await;
        check_entity(db, c, sample_rows::login(10, 1)).await;
        check_entity(db, c, sample_rows::refresh_token(10)).await;
        check_entity(db, c, sample_rows::ticket(1, 10)).await;
        check_entity(db, c, sample_rows::block(1, 2)).await;
        check_entity(db, c, sample_rows::class(20, 1)).await;
        check_entity(db, c, sample_rows::class_member(20, 1)).await;
        check_entity(db, c, sample_rows::group(30, 1)).await;
        check_entity(db, c, sample_rows::direct(31, 1, 2)).await;
        check_entity(db, c, sample_rows::class_conversation(32, 20, 1)).await;
        check_entity(db, c, sample_rows::participant(30, 1)).await;
        check_entity(db, c, sample_rows::message(40, 30, 1, 1)).await;
        check_entity(db, c, sample_rows::system_message(41, 30, 2)).await;
        check_entity(db, c, sample_rows::mention(2, 30, 1, 40)).await;
        check_entity(db, c, sample_rows::edit(1, 30, 40)).await;
        check_entity(db, c, sample_rows::hidden(2, 40, 30)).await;
        check_entity(db, c, sample_rows::reaction(40, 2, 30)).await;
        check_entity(db, c, sample_rows::link(40, 30)).await;
        check_entity(db, c, sample_rows::attachment(50, 1, 30, 40)).await;
        check_entity(db, c, sample_rows::notification(60, 2, 30, 40)).await;
        check_entity(db, c, sample_rows::notification_setting(1)).await;
        check_entity(db, c, sample_rows::push_subscription(70, 1, 10)).await;
        check_entity(db, c, sample_rows::log_row(1, 30, 1)).await;
        check_entity(db, c, sample_rows::reader("search")).await;
        check_entity(db, c, sample_rows::failure("search", 30)).await;
        check_entity(db, c, sample_rows::bulk_change(80)).await;
        check_entity(db, c, sample_rows::statistics(30)).await;
        check_entity(db, c, sample_rows::sender(30, 1)).await;
        check_entity(db, c, sample_rows::user_word(1)).await;
        check_entity(db, c, sample_rows::fact()).await;
        for table in c.tables.keys() {
            let query = Statement::from_string(db.get_database_backend(), format!("SELECT 1 FROM {table} LIMIT 1"));
            let row = db.query_one_raw(query).await.expect("a query");
            assert!(row.is_some(), "no entity is checked for {table}");
        }
    })
    .await;
}

/// Counters and marks change with every message, so PostgreSQL must be able to change them without changing an index.
#[tokio::test]
async fn counters_and_marks_are_updated_without_a_change_of_an_index() {
    on_each_database(|db| async move {
        if db.get_database_backend() != DbBackend::Postgres {
            return;
        }
        Migrator::up(&db, None).await.expect("up");
        insert(&db, sample_rows::user(1)).await.expect("a user");
        insert(&db, sample_rows::group(30, 1)).await.expect("a group");
        insert(&db, sample_rows::participant(30, 1)).await.expect("a participant");
        for (table, change) in [
            (
                "conversations",
                "last_seq = last_seq + 1, last_count = last_count + 1, last_rev = last_rev + 1, last_message_at = 1",
            ),
            (
                "participants",
                "last_read_seq = 9, last_read_count = 8, read_at = 1, delivered_seq = 9, delivered_at = 1",
            ),
            ("users", "last_rev = last_rev + 1, last_seen_at = 1"),
        ] {
            let transaction = db.begin().await.expect("begin");
            transaction.execute_unprepared(&format!("UPDATE {table} SET {change}")).await.expect("an update");
            let query = format!(
                "SELECT pg_stat_get_xact_tuples_hot_updated(oid) AS hot, array_to_string(reloptions, ',') AS options \
                 FROM pg_class WHERE oid = '{table}'::regclass"
            );
            let row = transaction
                .query_one_raw(Statement::from_string(DbBackend::Postgres, query))
                .await
                .expect("statistics")
                .expect("a row");
            assert_eq!(row.try_get::<i64>("", "hot").expect("a count"), 1, "{table}");
            assert_eq!(row.try_get::<String>("", "options").expect("options"), "fillfactor=70", "{table}");
            transaction.commit().await.expect("commit");
        }
    })
    .await;
}

/// Stores the row through its entity and reads it back, then compares the table's columns with the entity's.
async fn check_entity<M>(db: &DatabaseConnection, catalogue: &Catalogue, row: M)
where
    M: ModelTrait + Clone + PartialEq + std::fmt::Debug + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    M::Entity: EntityTrait<Model = M> + Default,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
{
    let table = sea_orm::EntityName::table_name(&M::Entity::default()).to_owned();
    insert(db, row.clone()).await.unwrap_or_else(|error| panic!("{table} refuses a valid row: {error}"));
    let found = M::Entity::find().all(db).await.unwrap_or_else(|error| panic!("{table} cannot be read: {error}"));
    assert!(found.contains(&row), "{table}: {row:?} is read as {found:?}");
    let columns: BTreeSet<_> = <M::Entity as EntityTrait>::Column::iter()
        .map(|column| sea_orm::IdenStatic::as_str(&column).to_owned())
        .collect();
    assert_eq!(columns, catalogue.tables[&table], "{table}");
}

//! The schema, on SQLite always and on PostgreSQL where `GREENROOM_TEST_POSTGRES` names a server: it comes, goes and
//! comes again; the entities fit it; its rules bite; its indexes serve the foreign keys and stay off the marks.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use ::entity::*;
use migration::{Migrator, MigratorTrait};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend,
    DbErr, EntityTrait, IntoActiveModel, Iterable, ModelTrait, QueryResult, Statement,
    TransactionTrait,
};

#[path = "migration/sample.rs"]
mod sample;

use sample::id;

/// Runs `test` on a fresh SQLite file, and on a fresh PostgreSQL database that is dropped afterwards.
async fn on_each_database<F: Future<Output = ()> + Send + 'static>(
    test: fn(DatabaseConnection) -> F,
) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("schema.db");
    let sqlite = connect(format!("sqlite://{}?mode=rwc", file.display())).await;
    test(sqlite).await;

    let Ok(admin_url) = std::env::var("GREENROOM_TEST_POSTGRES") else {
        // not `eprintln!`, which the test harness swallows
        let _ = writeln!(
            std::io::stderr(),
            "left out: migrations on PostgreSQL (GREENROOM_TEST_POSTGRES is not set)"
        );
        return;
    };
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "greenroom_migration_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let admin = connect(admin_url.clone()).await;
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .expect("a new database");
    let mut url = url::Url::parse(&admin_url).expect("GREENROOM_TEST_POSTGRES is a URL");
    url.set_path(&name);
    let postgres = connect(url.to_string()).await;
    let outcome = tokio::spawn(test(postgres)).await;
    admin
        .execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .expect("the database dropped");
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

async fn connect(url: String) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).sqlx_logging(false);
    Database::connect(options).await.expect("a connection")
}

async fn rows(db: &DatabaseConnection, on_postgres: &str, on_sqlite: &str) -> Vec<QueryResult> {
    let backend = db.get_database_backend();
    let sql = if backend == DbBackend::Postgres {
        on_postgres
    } else {
        on_sqlite
    };
    db.query_all_raw(Statement::from_string(backend, sql))
        .await
        .expect("a catalogue query")
}

/// The schema as the database's own catalogue tells it.
#[derive(Debug, Default, PartialEq)]
struct Catalogue {
    /// table → columns
    tables: BTreeMap<String, BTreeSet<String>>,
    /// (table, column) that refers to another table
    foreign_keys: BTreeSet<(String, String)>,
    /// index → its table, columns and predicate
    indexes: BTreeMap<String, (String, Vec<String>, String)>,
}

impl Catalogue {
    async fn read(db: &DatabaseConnection) -> Self {
        let mut catalogue = Self::default();
        let get =
            |row: &QueryResult, name: &str| row.try_get::<String>("", name).expect("a text column");
        for row in rows(
            db,
            "SELECT table_name::text AS t, column_name::text AS c FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name <> 'seaql_migrations'",
            "SELECT t.name AS t, c.name AS c FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT IN ('seaql_migrations', 'sqlite_sequence')",
        )
        .await
        {
            catalogue
                .tables
                .entry(get(&row, "t"))
                .or_default()
                .insert(get(&row, "c"));
        }
        for row in rows(
            db,
            "SELECT f.conrelid::regclass::text AS t, a.attname::text AS c FROM pg_constraint f, unnest(f.conkey) k, \
             pg_attribute a WHERE f.contype = 'f' AND a.attrelid = f.conrelid AND a.attnum = k",
            "SELECT t.name AS t, f.\"from\" AS c FROM sqlite_schema t, pragma_foreign_key_list(t.name) f \
             WHERE t.type = 'table'",
        )
        .await
        {
            catalogue.foreign_keys.insert((get(&row, "t"), get(&row, "c")));
        }
        for row in rows(
            db,
            "SELECT i.indexrelid::regclass::text AS i, i.indrelid::regclass::text AS t, a.attname::text AS c, \
             coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS p FROM pg_index i, \
             unnest(i.indkey) WITH ORDINALITY k (attnum, place), pg_class r, pg_attribute a \
             WHERE r.oid = i.indrelid AND r.relnamespace = current_schema()::regnamespace \
             AND r.relname <> 'seaql_migrations' AND a.attrelid = r.oid AND a.attnum = k.attnum ORDER BY i, k.place",
            "SELECT i.name AS i, t.name AS t, c.name AS c, \
             coalesce(CASE i.partial WHEN 1 THEN substr(s.sql, instr(s.sql, 'WHERE ') + 6) END, '') AS p \
             FROM sqlite_schema t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) c \
             LEFT JOIN sqlite_schema s ON s.name = i.name \
             WHERE t.type = 'table' AND t.name <> 'seaql_migrations' AND c.key = 1 AND c.cid >= 0 \
             ORDER BY i.name, c.seqno",
        )
        .await
        {
            let empty = (get(&row, "t"), Vec::new(), get(&row, "p"));
            catalogue.indexes.entry(get(&row, "i")).or_insert(empty).1.push(get(&row, "c"));
        }
        catalogue
    }
}

#[tokio::test]
async fn comes_goes_and_comes_again() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let first = Catalogue::read(&db).await;
        let epoch = meta::Entity::find_by_id("epoch")
            .one(&db)
            .await
            .expect("read")
            .expect("an epoch")
            .value;
        assert_eq!(epoch.len(), 32);
        assert!(
            epoch.chars().all(|digit| digit.is_ascii_hexdigit()),
            "{epoch}"
        );

        Migrator::down(&db, None).await.expect("down");
        assert_eq!(Catalogue::read(&db).await, Catalogue::default());

        // each migration alone, so that every `down` is the inverse of its own `up`
        for _ in Migrator::migrations() {
            let before = Catalogue::read(&db).await;
            Migrator::up(&db, Some(1)).await.expect("one up");
            Migrator::down(&db, Some(1)).await.expect("one down");
            assert_eq!(Catalogue::read(&db).await, before);
            Migrator::up(&db, Some(1)).await.expect("one up again");
        }
        assert_eq!(Catalogue::read(&db).await, first);
        let again = meta::Entity::find_by_id("epoch")
            .one(&db)
            .await
            .expect("read")
            .expect("an epoch")
            .value;
        assert_ne!(again, epoch, "a new history has a new epoch");
    })
    .await;
}

#[tokio::test]
async fn indexes_serve_the_foreign_keys_and_avoid_the_marks() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let catalogue = Catalogue::read(&db).await;
        assert!(
            catalogue.foreign_keys.len() > 30,
            "{:?}",
            catalogue.foreign_keys
        );
        for (table, column) in &catalogue.foreign_keys {
            // a partial index serves if it leaves out no more than the rows that refer to nothing
            let whole = format!("{column} IS NOT NULL");
            let served = catalogue.indexes.values().any(|(of, columns, predicate)| {
                let predicate = predicate.trim_matches(['(', ')']);
                of == table && columns[0] == *column && (predicate.is_empty() || predicate == whole)
            });
            assert!(served, "no index serves {table}.{column}");
        }

        let everywhere = [
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
                assert!(!everywhere.contains(&word), "{index} contains {word}");
                assert!(
                    table != "participants" || word != "read_at",
                    "{index} contains {word}"
                );
            }
        }
    })
    .await;
}

/// Stores the row through its entity and reads it back, then compares the table's columns with the entity's.
async fn fits<M>(db: &DatabaseConnection, catalogue: &Catalogue, row: M)
where
    M: ModelTrait
        + Clone
        + PartialEq
        + std::fmt::Debug
        + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    M::Entity: EntityTrait<Model = M> + Default,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
{
    let table = sea_orm::EntityName::table_name(&M::Entity::default()).to_owned();
    insert(db, row.clone())
        .await
        .unwrap_or_else(|error| panic!("{table} refuses a valid row: {error}"));
    let found = M::Entity::find()
        .all(db)
        .await
        .unwrap_or_else(|error| panic!("{table} cannot be read: {error}"));
    assert!(
        found.contains(&row),
        "{table}: {row:?} came back as {found:?}"
    );
    let columns: BTreeSet<_> = <M::Entity as EntityTrait>::Column::iter()
        .map(|column| sea_orm::IdenStatic::as_str(&column).to_owned())
        .collect();
    assert_eq!(columns, catalogue.tables[&table], "{table}");
}

#[tokio::test]
async fn entities_fit_the_tables() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let (db, c) = (&db, &Catalogue::read(&db).await);
        fits(db, c, sample::user(1)).await;
        fits(db, c, sample::user(2)).await;
        fits(db, c, sample::login(10, 1)).await;
        fits(db, c, sample::refresh_token(10)).await;
        fits(db, c, sample::ticket(1, 10)).await;
        fits(db, c, sample::block(1, 2)).await;
        fits(db, c, sample::class(20, 1)).await;
        fits(db, c, sample::class_member(20, 1)).await;
        fits(db, c, sample::group(30, 1)).await;
        fits(db, c, sample::direct(31, 1, 2)).await;
        fits(db, c, sample::of_class(32, 20, 1)).await;
        fits(db, c, sample::participant(30, 1)).await;
        fits(db, c, sample::message(40, 30, 1, 1)).await;
        fits(db, c, sample::system_message(41, 30, 2)).await;
        fits(db, c, sample::mention(2, 30, 1, 40)).await;
        fits(db, c, sample::edit(1, 40)).await;
        fits(db, c, sample::hidden(2, 40, 30)).await;
        fits(db, c, sample::reaction(40, 2, 30)).await;
        fits(db, c, sample::link(40, 30)).await;
        fits(db, c, sample::attachment(50, 1, 30, 40)).await;
        fits(db, c, sample::notification(60, 2, 30, 40)).await;
        fits(db, c, sample::notification_setting(1)).await;
        fits(db, c, sample::push_subscription(70, 1, 10)).await;
        fits(db, c, sample::log_row(1, 30, 1)).await;
        fits(db, c, sample::reader("search")).await;
        fits(db, c, sample::failure("search", 30)).await;
        fits(db, c, sample::fact()).await;
        for table in c.tables.keys() {
            let query = Statement::from_string(
                db.get_database_backend(),
                format!("SELECT 1 FROM {table} LIMIT 1"),
            );
            let row = db.query_one_raw(query).await.expect("a query");
            assert!(row.is_some(), "{table} has no entity here");
        }
    })
    .await;
}

async fn insert<M>(db: &DatabaseConnection, row: M) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
{
    let row = row.into_active_model().reset_all();
    M::Entity::insert(row)
        .exec_without_returning(db)
        .await
        .map(|_| ())
}

/// Expects the row to be refused by `rule`: the name of a check, or the kind of constraint.
async fn refused<M>(db: &DatabaseConnection, rule: &str, row: M)
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
{
    let shown = format!("{row:?}");
    let error = insert(db, row).await.expect_err(&shown).to_string();
    assert!(error.to_lowercase().contains(rule), "{rule}: {error}");
}

#[tokio::test]
async fn rules_bite() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let db = &db;
        for number in 1..=3 {
            insert(db, sample::user(number)).await.expect("a user");
        }
        insert(db, sample::group(30, 1)).await.expect("a group");
        insert(db, sample::direct(31, 1, 2))
            .await
            .expect("a direct conversation");
        insert(db, sample::message(40, 30, 1, 1))
            .await
            .expect("a message");
        insert(db, sample::notification(60, 2, 30, 40))
            .await
            .expect("a notification");
        insert(db, sample::log_row(1, 30, 1))
            .await
            .expect("a log row");

        // words out of their lists
        let user = || sample::user(4);
        refused(
            db,
            "check constraint",
            users::Model {
                role: "root".into(),
                ..user()
            },
        )
        .await;
        refused(
            db,
            "check constraint",
            users::Model {
                status: "asleep".into(),
                ..user()
            },
        )
        .await;
        let message = || sample::message(41, 30, 1, 2);
        refused(
            db,
            "check constraint",
            messages::Model {
                kind: "poll".into(),
                ..message()
            },
        )
        .await;
        refused(
            db,
            "check constraint",
            outbox::Model {
                stream_kind: 2,
                ..sample::log_row(2, 30, 2)
            },
        )
        .await;

        // columns that belong together
        refused(
            db,
            "users_deleted_with_time",
            users::Model {
                status: "deleted".into(),
                ..user()
            },
        )
        .await;
        refused(
            db,
            "users_email_with_key",
            users::Model {
                email: None,
                ..user()
            },
        )
        .await;
        let direct = || sample::direct(32, 1, 3);
        refused(
            db,
            "conversations_direct_has_two",
            conversations::Model {
                direct_low: None,
                ..direct()
            },
        )
        .await;
        refused(
            db,
            "conversations_direct_has_two",
            conversations::Model {
                direct_high: None,
                ..direct()
            },
        )
        .await;
        refused(
            db,
            "conversations_direct_in_order",
            sample::direct(32, 3, 1),
        )
        .await;
        refused(
            db,
            "conversations_direct_in_order",
            sample::direct(32, 3, 3),
        )
        .await;
        let group = || sample::group(32, 1);
        refused(
            db,
            "conversations_direct_has_two",
            conversations::Model {
                direct_low: Some(id(1)),
                ..group()
            },
        )
        .await;
        refused(
            db,
            "conversations_class_has_class",
            conversations::Model {
                kind: "class".into(),
                ..group()
            },
        )
        .await;
        refused(
            db,
            "conversations_named",
            conversations::Model {
                name: None,
                ..group()
            },
        )
        .await;
        refused(
            db,
            "conversations_count_within_seq",
            conversations::Model {
                last_count: 10,
                ..group()
            },
        )
        .await;
        let participant = || sample::participant(30, 1);
        refused(
            db,
            "participants_left_with_rev",
            participants::Model {
                left_at: None,
                ..participant()
            },
        )
        .await;
        refused(
            db,
            "participants_count_within_seq",
            participants::Model {
                last_read_count: 6,
                ..participant()
            },
        )
        .await;
        refused(
            db,
            "messages_system_has_no_sender",
            messages::Model {
                kind: "system".into(),
                ..message()
            },
        )
        .await;
        refused(
            db,
            "messages_temp_id_has",
            messages::Model {
                body_hash: None,
                ..message()
            },
        )
        .await;
        refused(
            db,
            "messages_kind_has_data",
            messages::Model {
                data: None,
                ..message()
            },
        )
        .await;
        refused(
            db,
            "messages_deleted_is_empty",
            messages::Model {
                deleted_at: Some(1),
                ..message()
            },
        )
        .await;
        let upload = || sample::attachment(50, 1, 30, 40);
        refused(
            db,
            "uploads_place_in_message",
            uploads::Model {
                position: None,
                ..upload()
            },
        )
        .await;
        refused(
            db,
            "uploads_attached_with_purpose",
            uploads::Model {
                attached_at: None,
                ..upload()
            },
        )
        .await;
        refused(
            db,
            "uploads_place_in_message",
            uploads::Model {
                purpose: Some("avatar".into()),
                ..upload()
            },
        )
        .await;
        refused(db, "blocks_not_oneself", sample::block(1, 1)).await;
        let setting = || sample::notification_setting(1);
        refused(
            db,
            "notification_settings_quiet_whole",
            notification_settings::Model {
                quiet_tz: None,
                ..setting()
            },
        )
        .await;

        // what there is once
        refused(
            db,
            "unique constraint",
            users::Model {
                username_key: "user1".into(),
                ..user()
            },
        )
        .await;
        refused(
            db,
            "unique constraint",
            users::Model {
                external_id: Some("host-1".into()),
                ..user()
            },
        )
        .await;
        refused(db, "unique constraint", sample::direct(32, 1, 2)).await;
        refused(
            db,
            "unique constraint",
            messages::Model {
                seq: 1,
                count: 1,
                ..message()
            },
        )
        .await;
        refused(
            db,
            "unique constraint",
            messages::Model {
                temp_id: Some("temp-40".into()),
                ..message()
            },
        )
        .await;
        refused(db, "unique constraint", sample::notification(61, 2, 30, 40)).await;
        refused(db, "unique constraint", sample::log_row(2, 30, 1)).await;
        refused(
            db,
            "unique constraint",
            outbox::Model {
                position: Some(1),
                ..sample::log_row(2, 30, 2)
            },
        )
        .await;

        // what must be there
        refused(db, "foreign key constraint", sample::message(41, 99, 1, 2)).await;
        refused(db, "foreign key constraint", sample::participant(30, 99)).await;
        refused(
            db,
            "foreign key constraint",
            messages::Model {
                reply_to_id: Some(id(99)),
                ..message()
            },
        )
        .await;

        // the same rules let pass what they must: the same temp_id elsewhere or from another, none twice, a read row
        let same = messages::Model {
            temp_id: Some("temp-40".into()),
            reply_to_id: None,
            ..message()
        };
        insert(
            db,
            messages::Model {
                conversation_id: id(31),
                ..same.clone()
            },
        )
        .await
        .expect("another conversation");
        insert(
            db,
            messages::Model {
                id: id(42),
                sender_id: Some(id(2)),
                ..same
            },
        )
        .await
        .expect("another sender");
        insert(
            db,
            messages::Model {
                temp_id: None,
                ..sample::message(43, 30, 1, 3)
            },
        )
        .await
        .expect("no temp_id");
        insert(
            db,
            messages::Model {
                temp_id: None,
                ..sample::message(44, 30, 1, 4)
            },
        )
        .await
        .expect("none again");
        let read = notifications::Model {
            read_at: Some(1),
            ..sample::notification(61, 2, 30, 40)
        };
        insert(db, read).await.expect("a read notification");
        let unread_mention = notifications::Model {
            kind: "mention".into(),
            ..sample::notification(62, 2, 30, 40)
        };
        insert(db, unread_mention).await.expect("a mention");
    })
    .await;
}

#[tokio::test]
async fn deleting_takes_what_belongs_and_keeps_what_was_said() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let db = &db;
        for number in 1..=3 {
            insert(db, sample::user(number)).await.expect("a user");
        }
        insert(db, sample::login(10, 3)).await.expect("a login");
        insert(db, sample::refresh_token(10))
            .await
            .expect("a token");
        insert(db, sample::group(30, 1)).await.expect("a group");
        insert(db, sample::message(40, 30, 1, 1))
            .await
            .expect("a message");
        let reply = messages::Model {
            reply_to_id: Some(id(40)),
            ..sample::message(41, 30, 2, 2)
        };
        insert(db, reply).await.expect("a reply");
        insert(db, sample::reaction(40, 2, 30))
            .await
            .expect("a reaction");
        insert(db, sample::attachment(50, 2, 30, 41))
            .await
            .expect("an attachment");

        let author = users::Entity::delete_by_id(id(1))
            .exec(db)
            .await
            .expect_err("who said something stays");
        assert!(
            author
                .to_string()
                .to_lowercase()
                .contains("foreign key constraint"),
            "{author}"
        );
        users::Entity::delete_by_id(id(3))
            .exec(db)
            .await
            .expect("who said nothing may go");
        assert_eq!(
            refresh_tokens::Entity::find()
                .all(db)
                .await
                .expect("tokens"),
            []
        );

        messages::Entity::delete_by_id(id(40))
            .exec(db)
            .await
            .expect("a message goes");
        assert_eq!(
            reactions::Entity::find().all(db).await.expect("reactions"),
            []
        );
        let reply = messages::Entity::find_by_id(id(41))
            .one(db)
            .await
            .expect("read")
            .expect("the reply");
        assert_eq!(reply.reply_to_id, None);
        let stored = messages::Entity::delete_by_id(id(41))
            .exec(db)
            .await
            .expect_err("its bytes are still stored");
        assert!(
            stored
                .to_string()
                .to_lowercase()
                .contains("foreign key constraint"),
            "{stored}"
        );
    })
    .await;
}

#[tokio::test]
async fn log_ids_are_never_given_twice() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let append = async |rev| {
            let row = outbox::ActiveModel {
                id: NotSet,
                position: Set(None),
                ..sample::log_row(0, 30, rev).into_active_model().reset_all()
            };
            outbox::Entity::insert(row)
                .exec(&db)
                .await
                .expect("a log row")
                .last_insert_id
        };
        let (first, second) = (append(1).await, append(2).await);
        assert!(second > first);
        outbox::Entity::delete_many()
            .exec(&db)
            .await
            .expect("an empty log");
        assert!(append(3).await > second);
    })
    .await;
}

/// Counters and marks change with every message; PostgreSQL must be able to do that without touching an index.
#[tokio::test]
async fn counters_and_marks_are_updated_in_place() {
    on_each_database(|db| async move {
        if db.get_database_backend() != DbBackend::Postgres {
            return;
        }
        Migrator::up(&db, None).await.expect("up");
        insert(&db, sample::user(1)).await.expect("a user");
        insert(&db, sample::group(30, 1)).await.expect("a group");
        insert(&db, sample::participant(30, 1)).await.expect("a participant");
        for (table, change) in [
            ("conversations", "last_seq = last_seq + 1, last_count = last_count + 1, last_rev = last_rev + 1, last_message_at = 1"),
            ("participants", "last_read_seq = 9, last_read_count = 8, read_at = 1, delivered_seq = 9, delivered_at = 1"),
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

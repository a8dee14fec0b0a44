//! The constraints of the schema: each refuses wrong rows and accepts correct ones.

use ::entity::{messages, outbox, reactions, refresh_tokens, users};
use migration::{Migrator, MigratorTrait};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ActiveModelTrait, DatabaseBackend, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, ModelTrait,
    TransactionTrait,
};

use super::sample_rows::{self, id};
use crate::migrations::catalogue::{insert, on_each_database};
use crate::support::integrity;

/// Checks that `rule` refuses the row. A rule is the name of a check, or the kind of a constraint.
async fn refused<M>(db: &DatabaseConnection, rule: &str, row: M)
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
{
    let description = format!("{row:?}");
    assert_refused_by(&insert(db, row).await.expect_err(&description), rule);
}

/// Checks that `rule` refuses the row on SQLite. PostgreSQL has no constraint for it; there the check of the rules that
/// every test of the writer runs must find it.
async fn broken<M>(db: &DatabaseConnection, rule: &str, name: &str, row: M)
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
{
    if db.get_database_backend() == DatabaseBackend::Sqlite {
        return refused(db, rule, row).await;
    }
    let transaction = db.begin().await.expect("a transaction");
    let description = format!("{row:?}");
    insert(&transaction, row).await.expect(&description);
    assert_eq!(integrity::broken_rules(&transaction).await, [name], "{description}");
    transaction.rollback().await.expect("a rollback");
}

fn assert_refused_by(error: &DbErr, rule: &str) {
    let error = error.to_string();
    assert!(error.to_lowercase().contains(rule), "{rule}: {error}");
}

/// Changes some columns of a valid row, and checks that a rule refuses the result.
macro_rules! refused {
    ($db:ident, $rule:literal, $row:expr $(, $column:ident = $value:expr)*) => {{
        #[allow(unused_mut)]
        let mut row = $row;
        $(row.$column = $value;)*
        refused($db, $rule, row).await
    }};
}

/// Changes some columns of a valid row, and checks that the row breaks a rule that only SQLite enforces.
macro_rules! broken {
    ($db:ident, $rule:literal, $name:literal, $row:expr $(, $column:ident = $value:expr)*) => {{
        #[allow(unused_mut)]
        let mut row = $row;
        $(row.$column = $value;)*
        broken($db, $rule, $name, row).await
    }};
}

async fn insert_common_rows(db: &DatabaseConnection) {
    Migrator::up(db, None).await.expect("up");
    for number in 1..=3 {
        insert(db, sample_rows::user(number)).await.expect("a user");
    }
    insert(db, sample_rows::group(30, 1)).await.expect("a group");
    insert(db, sample_rows::direct(31, 1, 2)).await.expect("a direct conversation");
    insert(db, sample_rows::message(40, 30, 1, 1)).await.expect("a message");
}

#[tokio::test]
async fn columns_with_a_list_of_words_accept_no_other_word() {
    on_each_database(|db| async move {
        let db = &db;
        insert_common_rows(db).await;
        let other_word = || "else".to_owned();
        refused!(db, "check constraint", sample_rows::user(4), role = other_word());
        refused!(db, "check constraint", sample_rows::user(4), status = other_word());
        refused!(db, "check constraint", sample_rows::login(10, 1), revoke_reason = Some(other_word()));
        broken!(db, "check constraint", "conversations_kind_check", sample_rows::group(32, 1), kind = other_word());
        broken!(
            db,
            "check constraint",
            "participants_role_check",
            sample_rows::participant(30, 1),
            role = other_word()
        );
        broken!(
            db,
            "check constraint",
            "participants_notify_check",
            sample_rows::participant(30, 1),
            notify = other_word()
        );
        broken!(db, "check constraint", "messages_kind_check", sample_rows::message(41, 30, 1, 2), kind = other_word());
        refused!(db, "check constraint", sample_rows::attachment(50, 1, 30, 40), kind = other_word());
        refused!(db, "check constraint", sample_rows::notification(60, 1, 30, 40), kind = other_word());
        broken!(db, "check constraint", "outbox_stream_kind_check", sample_rows::log_row(1, 30, 1), stream_kind = 2);
    })
    .await;
}

#[tokio::test]
async fn columns_that_belong_together_stay_together() {
    on_each_database(|db| async move {
        let db = &db;
        insert_common_rows(db).await;
        refused!(db, "users_deleted_with_time", sample_rows::user(4), status = "deleted".into());
        refused!(db, "users_email_with_key", sample_rows::user(4), email = None);
        refused!(db, "blocks_not_oneself", sample_rows::block(1, 1));

        broken!(
            db,
            "conversations_direct_has_two",
            "conversations_direct_has_two",
            sample_rows::direct(32, 1, 3),
            direct_low = None
        );
        broken!(
            db,
            "conversations_direct_has_two",
            "conversations_direct_has_two",
            sample_rows::direct(32, 1, 3),
            direct_high = None
        );
        broken!(
            db,
            "conversations_direct_has_two",
            "conversations_direct_has_two",
            sample_rows::group(32, 1),
            direct_low = Some(id(1))
        );
        broken!(db, "conversations_direct_in_order", "conversations_direct_in_order", sample_rows::direct(32, 3, 1));
        broken!(db, "conversations_direct_in_order", "conversations_direct_in_order", sample_rows::direct(32, 3, 3));
        broken!(
            db,
            "conversations_class_has_class",
            "conversations_class_has_class",
            sample_rows::group(32, 1),
            kind = "class".into()
        );
        broken!(db, "conversations_named", "conversations_named", sample_rows::group(32, 1), name = None);
        broken!(
            db,
            "conversations_count_within_seq",
            "conversations_count_within_seq",
            sample_rows::group(32, 1),
            last_count = 10
        );

        let participant = || sample_rows::participant(30, 1);
        broken!(db, "participants_left_with_rev", "participants_left_with_rev", participant(), left_at = None);
        broken!(
            db,
            "participants_count_within_seq",
            "participants_count_within_seq",
            participant(),
            last_read_count = 6
        );

        let message = || sample_rows::message(41, 30, 1, 2);
        broken!(db, "messages_count_within_seq", "messages_count_within_seq", message(), count = 3);
        broken!(
            db,
            "messages_system_has_no_sender",
            "messages_system_has_no_sender",
            message(),
            kind = "system".into()
        );
        broken!(
            db,
            "messages_temp_id_has_sender_and_hash",
            "messages_temp_id_has_sender_and_hash",
            message(),
            body_hash = None
        );
        broken!(db, "messages_kind_has_data", "messages_kind_has_data", message(), data = None);
        broken!(db, "messages_deleted_is_empty", "messages_deleted_is_empty", message(), deleted_at = Some(1));
        broken!(db, "messages_pinned_by_with_time", "messages_pinned_by_with_time", message(), pinned_at = None);

        let upload = || sample_rows::attachment(50, 1, 30, 40);
        refused!(db, "uploads_attached_with_purpose", upload(), attached_at = None);
        refused!(db, "uploads_purpose_has_message", upload(), position = None);
        refused!(db, "uploads_purpose_has_message", upload(), purpose = Some("avatar".into()));
        refused!(db, "uploads_both_sides", upload(), width = None);

        let notification = || sample_rows::notification(60, 1, 30, 40);
        refused!(db, "notifications_message_has_seq", notification(), seq = None);
        let setting = || sample_rows::notification_setting(1);
        refused!(db, "notification_settings_quiet_whole", setting(), quiet_tz = None);
    })
    .await;
}

#[tokio::test]
async fn unique_values_cannot_be_stored_twice() {
    on_each_database(|db| async move {
        let db = &db;
        insert_common_rows(db).await;
        insert(db, sample_rows::notification(60, 2, 30, 40)).await.expect("a notification");
        insert(db, sample_rows::log_row(1, 30, 1)).await.expect("a log row");

        refused!(db, "unique constraint", sample_rows::user(4), username_key = "user1".into());
        refused!(db, "unique constraint", sample_rows::user(4), external_id = Some("host-1".into()));
        refused!(db, "unique constraint", sample_rows::direct(32, 1, 2));
        let message = || sample_rows::message(41, 30, 1, 2);
        refused!(db, "unique constraint", message(), id = id(40));
        refused!(db, "unique constraint", message(), id = id(40), conversation_id = id(31));
        refused!(db, "unique constraint", message(), seq = 1, count = 1);
        refused!(db, "unique constraint", message(), temp_id = Some("temp-40".into()));
        refused!(db, "unique constraint", sample_rows::notification(61, 2, 30, 40));
        refused!(db, "unique constraint", sample_rows::log_row(2, 30, 1));

        let mut same = message();
        same.temp_id = Some("temp-40".into());
        let in_other_conversation = messages::Model { conversation_id: id(31), ..same.clone() };
        insert(db, in_other_conversation).await.expect("the same temp_id in another conversation");
        let of_other_sender = messages::Model { id: id(42), reply_to_id: None, sender_id: Some(id(2)), ..same };
        insert(db, of_other_sender).await.expect("the same temp_id from another sender");
        for (number, seq) in [(43, 3), (44, 4)] {
            let without = messages::Model { temp_id: None, ..sample_rows::message(number, 30, 1, seq) };
            insert(db, without).await.expect("no temp_id");
        }
        let mut read = sample_rows::notification(61, 2, 30, 40);
        read.read_at = Some(1);
        insert(db, read).await.expect("a read notification");
        let mut mention = sample_rows::notification(62, 2, 30, 40);
        mention.kind = "mention".into();
        insert(db, mention).await.expect("a mention");
    })
    .await;
}

#[tokio::test]
async fn rows_refer_only_to_existing_rows() {
    on_each_database(|db| async move {
        let db = &db;
        insert_common_rows(db).await;
        broken!(db, "foreign key constraint", "messages_conversation_id_fkey", sample_rows::message(41, 99, 1, 2));
        broken!(
            db,
            "foreign key constraint",
            "messages_reply_to_id_fkey",
            sample_rows::message(41, 30, 1, 2),
            reply_to_id = Some(id(99))
        );
        // A message of another conversation cannot belong to this one.
        broken!(
            db,
            "foreign key constraint",
            "messages_reply_to_id_fkey",
            sample_rows::message(41, 31, 1, 1),
            reply_to_id = Some(id(40))
        );
        broken!(db, "foreign key constraint", "mentions_message_id_fkey", sample_rows::mention(2, 31, 1, 40));
        refused!(db, "foreign key constraint", sample_rows::edit(1, 31, 40));
        refused!(db, "foreign key constraint", sample_rows::hidden(2, 40, 31));
        refused!(db, "foreign key constraint", sample_rows::reaction(40, 2, 31));
        refused!(db, "foreign key constraint", sample_rows::link(40, 31));
        refused!(db, "foreign key constraint", sample_rows::attachment(50, 2, 31, 40));
        refused!(db, "foreign key constraint", sample_rows::notification(60, 2, 31, 40));
        refused!(db, "foreign key constraint", sample_rows::participant(30, 99));
        refused!(db, "foreign key constraint", sample_rows::failure("unknown", 30));
    })
    .await;
}

#[tokio::test]
async fn a_deletion_removes_dependent_rows_and_keeps_messages() {
    on_each_database(|db| async move {
        let db = &db;
        insert_common_rows(db).await;
        insert(db, sample_rows::login(10, 3)).await.expect("a login");
        insert(db, sample_rows::refresh_token(10)).await.expect("a token");
        let mut reply = sample_rows::message(41, 30, 2, 2);
        reply.reply_to_id = Some(id(40));
        insert(db, reply).await.expect("a reply");
        insert(db, sample_rows::reaction(40, 2, 30)).await.expect("a reaction");
        insert(db, sample_rows::attachment(50, 2, 30, 41)).await.expect("an attachment");

        if db.get_database_backend() == DatabaseBackend::Sqlite {
            let author = users::Entity::delete_by_id(id(1)).exec(db).await;
            assert_refused_by(&author.expect_err("an author was removed"), "foreign key constraint");
        }
        users::Entity::delete_by_id(id(3)).exec(db).await.expect("a user without messages is removed");
        assert_eq!(refresh_tokens::Entity::find().all(db).await.expect("tokens"), []);

        if db.get_database_backend() == DatabaseBackend::Sqlite {
            let quoted = messages::Entity::delete_by_id((id(30), id(40))).exec(db).await;
            assert_refused_by(&quoted.expect_err("a quoted message was removed"), "foreign key constraint");
        }
        let reply = messages::Entity::find_by_id((id(30), id(41))).one(db).await.expect("a query");
        let mut reply = reply.expect("the reply").into_active_model();
        reply.reply_to_id = Set(None);
        reply.update(db).await.expect("a reply without its quote");
        messages::Entity::delete_by_id((id(30), id(40))).exec(db).await.expect("the message is removed");
        assert_eq!(reactions::Entity::find().all(db).await.expect("reactions"), []);
        let stored = messages::Entity::delete_by_id((id(30), id(41))).exec(db).await;
        assert_refused_by(&stored.expect_err("a message with a stored upload was removed"), "foreign key constraint");
    })
    .await;
}

#[tokio::test]
async fn log_ids_are_never_used_twice() {
    on_each_database(|db| async move {
        Migrator::up(&db, None).await.expect("up");
        let append = async |rev| {
            let mut row = sample_rows::log_row(0, 30, rev).into_active_model().reset_all();
            row.id = NotSet;
            let outcome = outbox::Entity::insert(row).exec(&db).await;
            outcome.expect("a log row").last_insert_id
        };
        let (first, second) = (append(1).await, append(2).await);
        assert!(second > first);
        outbox::Entity::delete_many().exec(&db).await.expect("an empty log");
        assert!(append(3).await > second);
    })
    .await;
}

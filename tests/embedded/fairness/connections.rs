//! Connections are shared out by what they are for: who waits in vain is `busy`, alone, and nobody takes that for a database
//! that is away.

use crate::harness::{Inside, Post, on_each_database};
use futures_util::FutureExt;
use greenroom::domain::caller::Caller;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::ConversationId;
use greenroom::domain::limits;
use greenroom::error::{Error, Result};
use greenroom::store::db::DbState;
use greenroom::store::db::pools::{HeavyRead, ReadPool};
use greenroom::usecases::{logins, sessions, users};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, TransactionTrait};

/// How many connections a pool has.
fn size_of(pool: &DatabaseConnection) -> u32 {
    match pool.get_database_backend() {
        DatabaseBackend::Sqlite => pool.get_sqlite_connection_pool().options().get_max_connections(),
        _ => pool.get_postgres_connection_pool().options().get_max_connections(),
    }
}

/// Takes all connections of a pool, waiting for those that somebody uses for a moment.
pub async fn all_of(pool: &DatabaseConnection) -> Vec<DatabaseTransaction> {
    let mut taken = Vec::new();
    for _ in 0..size_of(pool) {
        taken.push(pool.begin().await.unwrap());
    }
    taken
}

/// Takes turns at heavy reading until there is none left.
fn all_heavy(inside: &Inside, by: &[Caller]) -> Vec<HeavyRead> {
    let mut taken = Vec::new();
    // nobody else searches here, so a turn comes at once or not at all
    for user in by.iter().cycle() {
        match inside.app.db().heavy(user.user_id).now_or_never() {
            Some(turn) => taken.push(turn.unwrap()),
            None => break,
        }
    }
    assert!(!taken.is_empty());
    taken
}

fn assert_busy<T>(outcome: Result<T>) {
    let refused = outcome.err().expect("it waits in vain");
    assert_eq!(refused.code(), Code::Busy, "{refused}");
    assert!(refused.retry_after_ms().is_some());
}

/// What everybody else goes on doing: coming back, and sending.
async fn assert_others_go_on(inside: &Inside, user: Caller, group: ConversationId, token: &str) {
    let claims = logins::verify_access_token(&inside.app, token).unwrap();
    let caller = logins::authenticate(&inside.app, &claims).await.unwrap();
    let likely = sessions::list_likely_conversations(&inside.app, &caller).await.unwrap();
    let opened = sessions::read_start(&inside.app, &caller, &likely).await.unwrap();
    assert!(opened.memberships.iter().any(|membership| membership.conversation_id == group));
    inside.send(Post::new(group, &user, "hello")).await.unwrap();
    assert_eq!(inside.app.db().state(), DbState::Ok, "a busy pool is not a database that is away");
    assert_eq!(inside.app.db().check().await, DbState::Ok, "the probe has a connection of its own");
}

#[test]
fn waiting_for_a_connection_is_busy_for_that_caller_alone() {
    on_each_database(&async |inside: &Inside| {
        let user = inside.user().await;
        let group = inside.group(&[user, inside.user().await]).await;
        let access = logins::issue_tokens(&inside.app, user.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        let db = inside.app.db();
        let taken = all_of(db.read(ReadPool::Ordinary).pool()).await;
        assert_busy(
            users::list_presence(&inside.app, user, serde_json::from_str(r#"{"user_ids":["user"]}"#).unwrap()).await,
        );
        assert_others_go_on(inside, user, group, &access).await;
        users::search(&inside.app, user, "user", None, 20).await.unwrap();
        drop(taken);
    });
}

#[test]
fn a_search_waits_for_searches_and_holds_up_nobody() {
    on_each_database(&async |inside: &Inside| {
        let [user, one, two, three] = inside.users(4).await[..] else { unreachable!() };
        let group = inside.group(&[user, inside.user().await]).await;
        let access = logins::issue_tokens(&inside.app, user.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        let taken = all_heavy(inside, &[one, two, three]);
        assert_busy(users::search(&inside.app, user, "user", None, 20).await);
        assert_others_go_on(inside, user, group, &access).await;
        users::list_presence(&inside.app, user, serde_json::from_str(r#"{"user_ids":["user"]}"#).unwrap())
            .await
            .unwrap();
        drop(taken);
        users::search(&inside.app, user, "user", None, 20).await.unwrap();
    });
}

#[test]
fn one_user_waits_with_a_few_searches_and_no_more() {
    on_each_database(&async |inside: &Inside| {
        let [greedy, modest] = inside.users(2).await[..] else { unreachable!() };
        let db = inside.app.db();
        let taken = all_heavy(inside, &[modest]);
        let waiting = std::iter::repeat_with(async || db.heavy(greedy.user_id).await.map(drop))
            .take(limits::HEAVY_READS_PER_USER);
        let mut waiting = std::pin::pin!(futures_util::future::join_all(waiting));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_busy(db.heavy(greedy.user_id).await);
        let other = db.heavy(modest.user_id);
        drop(taken);
        let waited = waiting.await.into_iter().collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(waited.len(), limits::HEAVY_READS_PER_USER);
        other.await.unwrap();
    });
}

#[test]
fn a_heavy_read_ends_in_time_and_the_database_is_not_away_for_it() {
    on_each_database(&async |inside: &Inside| {
        let user = inside.user().await;
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let app = inside.app.clone();
        let outcome = inside.app.run_with_deadline(async move {
            let turn = app.db().heavy(user.user_id).await?;
            turn.conn().execute_unprepared(endless).await.map_err(Error::from)
        });
        assert_eq!(outcome.await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(inside.app.db().state(), DbState::Ok);
        users::search(&inside.app, user, "user", None, 20).await.unwrap();
    });
}

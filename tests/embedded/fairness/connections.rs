//! Each purpose has connections of its own: a caller that waits too long for one gets `busy`, other callers do not, and
//! it does not count as an outage of the database.

use crate::harness::{TestApp, TestSend, on_each_database};
use futures_util::FutureExt;
use greenroom::domain::caller::Caller;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::ConversationId;
use greenroom::domain::limits;
use greenroom::error::{Error, Result};
use greenroom::store::db::DbState;
use greenroom::store::db::kept::ConnectionLease;
use greenroom::store::db::pools::{HeavyRead, ReadPool};
use greenroom::store::db::reading::ReadConnection;
use greenroom::usecases::{logins, presence, sessions, users};
use sea_orm::ConnectionTrait;

/// Takes all connections of a pool, and waits for those that are in use for a moment.
pub async fn take_all(pool: &ReadConnection) -> Vec<ConnectionLease> {
    let mut taken = Vec::new();
    for _ in 0..pool.count() {
        taken.push(pool.lease().await.unwrap());
    }
    taken
}

/// Takes all permits for heavy reads.
fn take_all_heavy(test: &TestApp, by: &[Caller]) -> Vec<HeavyRead> {
    let mut taken = Vec::new();
    // No other user searches here, so a permit is granted immediately or not at all.
    for user in by.iter().cycle() {
        match test.app.db().heavy(user.user_id).now_or_never() {
            Some(turn) => taken.push(turn.unwrap()),
            None => break,
        }
    }
    assert!(!taken.is_empty());
    taken
}

fn assert_busy<T>(outcome: Result<T>) {
    let refused = outcome.err().expect("the wait times out");
    assert_eq!(refused.code(), Code::Busy, "{refused}");
    assert!(refused.retry_after_ms().is_some());
}

/// Checks that other users can reconnect and send.
async fn assert_others_work(test: &TestApp, user: Caller, group: ConversationId, token: &str) {
    let claims = logins::verify_access_token(&test.app, token).unwrap();
    let caller = logins::authenticate(&test.app, &claims).await.unwrap();
    let likely = sessions::list_likely_conversations(&test.app, &caller).await.unwrap();
    let opened = sessions::read_start(&test.app, &caller, &likely).await.unwrap();
    assert!(opened.memberships.iter().any(|membership| membership.conversation_id == group));
    test.send(TestSend::new(group, &user, "hello")).await.unwrap();
    assert_eq!(test.app.db().state(), DbState::Ok, "a busy pool is no outage of the database");
    assert_eq!(test.app.db().check().await, DbState::Ok, "the probe has a connection of its own");
}

#[test]
fn a_wait_for_a_connection_is_busy_for_this_caller_alone() {
    on_each_database(&async |test: &TestApp| {
        let user = test.user().await;
        let group = test.group(&[user, test.user().await]).await;
        let access = logins::issue_tokens(&test.app, user.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        let db = test.app.db();
        let taken = take_all(db.read(ReadPool::Ordinary)).await;
        assert_busy(presence::list(&test.app, user, serde_json::from_str(r#"{"user_ids":["user"]}"#).unwrap()).await);
        assert_others_work(test, user, group, &access).await;
        users::search(&test.app, user, "user", None, 20).await.unwrap();
        drop(taken);
    });
}

#[test]
fn a_search_waits_for_other_searches_and_delays_no_other_call() {
    on_each_database(&async |test: &TestApp| {
        let [user, one, two, three] = test.users(4).await[..] else { unreachable!() };
        let group = test.group(&[user, test.user().await]).await;
        let access = logins::issue_tokens(&test.app, user.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        let taken = take_all_heavy(test, &[one, two, three]);
        assert_busy(users::search(&test.app, user, "user", None, 20).await);
        assert_others_work(test, user, group, &access).await;
        presence::list(&test.app, user, serde_json::from_str(r#"{"user_ids":["user"]}"#).unwrap()).await.unwrap();
        drop(taken);
        users::search(&test.app, user, "user", None, 20).await.unwrap();
    });
}

#[test]
fn one_user_may_have_only_a_few_waiting_searches() {
    on_each_database(&async |test: &TestApp| {
        let [heavy_user, light_user] = test.users(2).await[..] else { unreachable!() };
        let db = test.app.db();
        let taken = take_all_heavy(test, &[light_user]);
        let waiting = std::iter::repeat_with(async || db.heavy(heavy_user.user_id).await.map(drop))
            .take(limits::HEAVY_READS_PER_USER);
        let mut waiting = std::pin::pin!(futures_util::future::join_all(waiting));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_busy(db.heavy(heavy_user.user_id).await);
        let other = db.heavy(light_user.user_id);
        drop(taken);
        let waited = waiting.await.into_iter().collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(waited.len(), limits::HEAVY_READS_PER_USER);
        other.await.unwrap();
    });
}

#[test]
fn a_heavy_read_ends_in_time_and_is_no_outage_of_the_database() {
    on_each_database(&async |test: &TestApp| {
        let user = test.user().await;
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let app = test.app.clone();
        let outcome = test.app.run_with_deadline(async move {
            let turn = app.db().heavy(user.user_id).await?;
            turn.conn().execute_unprepared(endless).await.map_err(Error::from)
        });
        assert_eq!(outcome.await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(test.app.db().state(), DbState::Ok);
        users::search(&test.app, user, "user", None, 20).await.unwrap();
    });
}
